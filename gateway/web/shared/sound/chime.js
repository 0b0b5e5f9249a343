// A chime of two soft notes, synthesised so that there is no file to load or to license.

const NOTES_HZ = [659.3, 523.3];
const NOTE_EVERY_S = 0.42;
const NOTE_LASTS_S = 1.4;
const CHIME_EVERY_S = 2.4;
// Calls that come together ring one after the other, up to this many.
const MOST_WAITING = 3;

/** Stays silent until someone has touched the page: browsers allow no sound before. */
export class Chime {
  #onChange;
  /** @type {AudioContext | undefined} */
  #audio;
  #freeAt = 0;

  /** @param {() => void} onChange called when sound becomes possible or impossible */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  get on() {
    return this.#audio?.state === "running";
  }

  /** Turns sound on and rings once as a proof. Call it from a click or a touch. */
  async start() {
    if (!this.#audio) {
      this.#audio = new AudioContext();
      this.#audio.onstatechange = this.#onChange;
    }
    await this.#audio.resume();
    this.ring();
  }

  async stop() {
    await this.#audio?.suspend();
  }

  ring() {
    if (!this.#audio || !this.on) return;
    const now = this.#audio.currentTime;
    const start = Math.max(now, this.#freeAt);
    if (start - now > MOST_WAITING * CHIME_EVERY_S) return;
    this.#freeAt = start + CHIME_EVERY_S;
    NOTES_HZ.forEach((hertz, index) => this._strike(hertz, start + index * NOTE_EVERY_S));
  }

  /**
   * @param {number} hertz
   * @param {number} at seconds on the audio clock
   */
  _strike(hertz, at) {
    const audio = /** @type {AudioContext} */ (this.#audio);
    // A quieter octave above the note makes it sound like a bell rather than a beep.
    for (const [factor, loudness] of [
      [1, 0.28],
      [2, 0.09],
    ]) {
      const tone = new OscillatorNode(audio, { frequency: hertz * factor });
      const level = new GainNode(audio, { gain: 0 });
      level.gain.setValueAtTime(0, at);
      level.gain.linearRampToValueAtTime(loudness, at + 0.015);
      level.gain.exponentialRampToValueAtTime(0.0005, at + NOTE_LASTS_S);
      tone.connect(level).connect(audio.destination);
      tone.start(at);
      tone.stop(at + NOTE_LASTS_S);
    }
  }
}
