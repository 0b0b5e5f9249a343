// What every page asks of its document.

/** @typedef {"fr" | "en"} Language */

/**
 * The element with this id. The pages and their scripts are one piece: a missing one is our mistake.
 * @param {string} id
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`this page has no element with the id ${id}`);
  return element;
}

/** What the link carries behind `#`: a browser never sends that part to a server, so no log sees a token. */
export function fragment() {
  return new URLSearchParams(location.hash.slice(1));
}

/** Another link opened in the same tab changes the fragment only: start over with it. */
export function restartOnNewLink() {
  addEventListener("hashchange", () => location.reload());
}

/**
 * Sets the text only when it differs, so that nothing is repainted or announced twice.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Sets the icon of the first `use` element within `holder`.
 * @param {Element} holder
 * @param {string} name the id of a symbol in `icons.svg`
 */
export function setIcon(holder, name) {
  holder.querySelector("use")?.setAttribute("href", `shared/icons.svg#${name}`);
}

/** Keeps the screen on while the page is looked at, where the browser can; the lock falls when it is hidden. */
export function keepScreenOn() {
  const ask = () => {
    if (document.visibilityState === "visible") navigator.wakeLock?.request("screen").catch(() => {});
  };
  document.addEventListener("visibilitychange", ask);
  ask();
}
