// Helpers for the document that every page uses.

/**
 * The element with this id. Throws if there is none: a page and its script belong together.
 * @param {string} id
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`this page has no element with the id ${id}`);
  return element;
}

/**
 * The parameters of the link behind `#`. A browser never sends that part to a server, so no log
 * contains a token.
 */
export function fragment() {
  return new URLSearchParams(location.hash.slice(1));
}

/** Starts over when another link is opened in this tab, because that changes the fragment only. */
export function restartOnNewLink() {
  addEventListener("hashchange", () => location.reload());
}

/**
 * Sets the text only if it differs, so that nothing is repainted or announced twice.
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

/**
 * A new icon that screen readers skip.
 * @param {string} name the id of a symbol in `icons.svg`
 * @param {string} [kind] a class beside `icon`
 */
export function newIcon(name, kind = "") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", `icon ${kind}`.trim());
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS("http://www.w3.org/2000/svg", "use"));
  setIcon(svg, name);
  return svg;
}

/**
 * Keeps the screen on while the page is visible, if the browser can. Browsers release the lock when
 * the page is hidden.
 */
export function keepScreenOn() {
  const request = () => {
    if (document.visibilityState === "visible")
      navigator.wakeLock?.request("screen").catch(() => {});
  };
  document.addEventListener("visibilitychange", request);
  request();
}
