// How people of a language write figures, for its file in `languages/`.

/**
 * @param {string} locale such as `fr-CA`
 * @param {ReturnType<typeof import("./durations.js").durations>} times
 */
export function figuresOf(locale, times) {
  const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
  const tenth = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
  /** @type {Intl.NumberFormatOptions} */
  const currency = { style: "currency", currency: "CAD", currencyDisplay: "narrowSymbol" };
  const dollars = new Intl.NumberFormat(locale, currency);
  const moments = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
  return {
    /** @param {number} count */
    number: (count) => whole.format(count),
    /** @param {number} cents */
    money: (cents) => dollars.format(cents / 100),
    /** Rounds down, so that 100 appears at the end only. @param {number} permille */
    percent: (permille) => Math.floor(permille / 10),
    /** @param {number} bytes */
    size: (bytes) => {
      const [unit, divisor] = bytes < 1e6 ? ["kilobyte", 1e3] : ["megabyte", 1e6];
      const maximumFractionDigits = bytes < 1e5 || bytes >= 1e6 ? 1 : 0;
      const format = new Intl.NumberFormat(locale, { style: "unit", unit, maximumFractionDigits });
      return format.format(bytes / divisor);
    },
    /** @param {number} ms a duration */
    took: (ms) => {
      if (ms < 10) return `${tenth.format(ms)}\u00a0ms`;
      if (ms < 1_000) return `${whole.format(ms)}\u00a0ms`;
      return ms < 60_000 ? `${tenth.format(ms / 1_000)}\u00a0s` : times.age(ms);
    },
    /** A date and time in the zone of this device. @param {number} ms */
    moment: (ms) => moments.format(ms),
  };
}
