// Durations in the words of a language, for its file in `languages/`.

/**
 * @param {object} units as they are written behind a number
 * @param {string} units.hour
 * @param {string} units.minute
 * @param {string} units.second
 * @param {boolean} [units.isLong] whether the minutes of `1 h 07` need their unit as well
 */
export function durations({ hour, minute, second, isLong = false }) {
  /** A duration in minutes and hours, such as `1 h 07`. @param {number} count */
  const minutes = (count) => {
    if (count < 60) return `${count}\u00a0${minute}`;
    const hours = `${Math.floor(count / 60)}\u00a0${hour}`;
    const rest = count % 60;
    if (!rest) return hours;
    return isLong
      ? `${hours} ${rest}\u00a0${minute}`
      : `${hours}\u00a0${String(rest).padStart(2, "0")}`;
  };

  /** A duration in seconds up to a minute and a half, then in minutes. @param {number} ms */
  const age = (ms) => {
    const seconds = Math.max(0, Math.round(ms / 1000));
    return seconds < 90 ? `${seconds}\u00a0${second}` : minutes(Math.round(seconds / 60));
  };

  /** @param {number} low @param {number} high minutes */
  const range = (low, high) =>
    high < 60 ? `${low}–${minutes(high)}` : `${minutes(low)} – ${minutes(high)}`;

  /**
   * Counts the last seconds one by one, and before that in steps that do not flicker.
   * @param {number} ms
   */
  const left = (ms) => {
    const stepped = ms > 10_000 && ms < 90_000;
    return age(stepped ? Math.round(ms / 5_000) * 5_000 : Math.max(ms, 1_000));
  };

  return { minutes, age, range, left };
}
