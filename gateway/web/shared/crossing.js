// The banner of a super admin who looks at another organisation's data with a token of some
// minutes.

/** @typedef {import("./language.js").Language} Language */
/** @typedef {{tenant: string, until: Date}} Crossing */

/** @type {Record<Language, (tenant: string, time: string) => string>} */
const TEXTS = {
  en: (tenant, time) =>
    `You are seeing ${tenant} as a super admin until ${time}. Your reason is in its audit.`,
  fr: (tenant, time) =>
    `Vous consultez ${tenant} à titre de super administrateur jusqu’à ${time}. ` +
    `Votre motif figure dans son registre des accès.`,
};

/**
 * What a token says about a crossing into another tenant. The server has checked it before it
 * answers anything; here it only decides what is shown.
 * @param {string | null} token
 * @returns {Crossing | undefined}
 */
export function crossingOf(token) {
  try {
    const payload = (token ?? "").split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const { crossed, tenant, expires } = JSON.parse(atob(payload));
    return crossed === true ? { tenant: String(tenant), until: new Date(expires) } : undefined;
  } catch {
    return undefined;
  }
}

/** @param {Crossing} crossing @param {Language} language */
export function crossingText({ tenant, until }, language) {
  const time = until.toLocaleTimeString(`${language}-CA`, { hour: "2-digit", minute: "2-digit" });
  return TEXTS[language](tenant, time);
}

/**
 * Puts a banner on top of the page, if the token crosses. Answers a function that writes its text.
 * @param {string | null} token
 * @returns {(language: Language) => void}
 */
export function crossingBanner(token) {
  const crossing = crossingOf(token);
  if (!crossing) return () => {};
  const banner = document.createElement("section");
  banner.className = "banner";
  banner.setAttribute("role", "status");
  const text = banner.appendChild(document.createElement("p"));
  document.body.prepend(banner);
  return (language) => (text.textContent = crossingText(crossing, language));
}
