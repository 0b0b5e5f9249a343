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
 *
 * Secrets leave the address bar at once, so that no person can read them from a screen, a photo or
 * the history. They stay in `sessionStorage`, which a reload of this tab finds and no other tab or
 * later visitor of the device does. A browser without it keeps them in the address bar.
 * @param {string[]} secrets the names of parameters that grant access
 */
export function fragment(secrets = ["token"]) {
  const params = new URLSearchParams(location.hash.slice(1));
  const shown = new URLSearchParams([...params].filter(([name]) => !secrets.includes(name)));
  const hidden = [...params].filter(([name]) => secrets.includes(name));
  const hash = String(shown) ? `#${shown}` : "";
  const place = `keys:${location.pathname}${hash}`;
  try {
    if (hidden.length) {
      sessionStorage.setItem(place, JSON.stringify(hidden));
      history.replaceState(history.state, "", `${location.pathname}${location.search}${hash}`);
      return params;
    }
    const kept = JSON.parse(sessionStorage.getItem(place) ?? "[]");
    for (const [name, value] of kept) params.set(name, value);
  } catch {
    // The browser was told to keep nothing.
  }
  return params;
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
 * A label or the name of a time zone for a sentence, which then breaks at no hyphen of it: an
 * invisible joiner (U+2060) follows each. Elements that hold a label alone do not wrap instead, so
 * that people copy the plain text.
 * @param {string} text such as `A-042` or `GMT-6`
 */
export const unbroken = (text) => text.replace(/-(?=\w)/g, "-\u2060");

const SPRITE = "shared/look/icons.svg#";
// Where icons come from: the sprite's file, later its copy in the document.
let icons = SPRITE;

/**
 * Sets the icon of the first `use` element within `holder`.
 * @param {Element} holder
 * @param {string} name the id of a symbol in `icons.svg`
 */
export function setIcon(holder, name) {
  const use = holder.querySelector("use");
  // Setting it again would load the sprite again.
  if (use?.getAttribute("href") !== icons + name) use?.setAttribute("href", icons + name);
}

/**
 * Copies the sprite into the document: icons change while the server is out of reach, too, and each
 * change of a reference to a file would ask the server.
 */
async function embedIcons() {
  const response = await fetch("shared/look/icons.svg").catch(() => undefined);
  if (!response?.ok) return;
  const text = await response.text().catch(() => "");
  const sprite = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  if (sprite.localName !== "svg") return;
  // The prefix keeps the ids apart from those of the page.
  for (const symbol of sprite.children) symbol.id = `icon-${symbol.id}`;
  sprite.setAttribute("hidden", "");
  document.body.append(document.adoptNode(sprite));
  icons = "#icon-";
  const templates = [...document.querySelectorAll("template")].map(({ content }) => content);
  for (const part of [document, ...templates]) {
    for (const use of part.querySelectorAll("use")) {
      const name = use.getAttribute("href")?.replace(SPRITE, "");
      use.setAttribute("href", icons + name);
    }
  }
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

// Tests of pure parts have no document.
if (globalThis.document?.querySelector("use, template")) void embedIcons();
