// Reads texts aloud with the browser's voices, one after the other.

/** @typedef {{lang: string, text: string}} Sentence */

// A text is read twice, because people miss the first words of the first time.
const TIMES = 2;
// The chime ends first.
const AFTER_MS = 2_000;
// More calls than this within a minute cannot be read in time; the oldest are on the screen.
const MOST_WAITING = 8;

export class Voice {
  on = false;
  #speech = globalThis.speechSynthesis;
  /** @type {{key: string, sentences: Sentence[]}[]} */
  #waiting = [];
  #busy = false;

  /**
   * @param {string} key a repeated call replaces one that was not read yet
   * @param {Sentence[]} sentences the same in each language
   */
  say(key, sentences) {
    const known = sentences.filter(({ lang }) => this._voiceFor(lang));
    if (!this.on || !known.length) return;
    this.drop(key);
    this.#waiting.push({ key, sentences: known });
    if (this.#waiting.length > MOST_WAITING) this.#waiting.shift();
    if (!this.#busy) this._next(AFTER_MS);
  }

  /** Forgets a text that was not read yet. @param {string} key */
  drop(key) {
    this.#waiting = this.#waiting.filter((one) => one.key !== key);
  }

  stop() {
    this.on = false;
    this.#waiting = [];
    this.#speech?.cancel();
  }

  /** @param {string} lang */
  _voiceFor(lang) {
    const voices = this.#speech?.getVoices() ?? [];
    return voices.find((voice) => voice.lang.toLowerCase().split(/[-_]/)[0] === lang);
  }

  /** @param {number} pause ms */
  _next(pause) {
    this.#busy = this.#waiting.length > 0;
    if (this.#busy) setTimeout(() => this._readFirst(), pause);
  }

  _readFirst() {
    const { sentences = [] } = this.#waiting.shift() ?? {};
    const all = Array.from({ length: TIMES }, () => sentences).flat();
    const read = () => {
      const sentence = all.shift();
      if (!sentence || !this.on) return this._next(0);
      const utterance = new SpeechSynthesisUtterance(sentence.text);
      utterance.voice = this._voiceFor(sentence.lang) ?? null;
      utterance.lang = utterance.voice?.lang ?? sentence.lang;
      utterance.rate = 0.9;
      utterance.onend = utterance.onerror = read;
      return this.#speech.speak(utterance);
    };
    read();
  }
}
