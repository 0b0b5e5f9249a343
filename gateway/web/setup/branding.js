// The colour and the logo of a clinic, with a sample of the colour as pages show it.

import { contrast, paletteOf } from "../shared/look/colours.js";
import { byId, setText } from "../shared/look/page.js";
import { EntryForm } from "./entry-form.js";
import { brandingBody, brandingValues } from "./values.js";

/** @typedef {import("../shared/schemas.js").BrandingSettings} Settings */
/** @typedef {import("./setup.js").Site} Site */

// As `MAX_LOGO` of the server.
const MOST_BYTES = 64 * 1024;
const SCHEMES = /** @type {const} */ (["light", "dark"]);
const CARDS = { light: "#ffffff", dark: "#132124" };

/** @param {string} id */
const field = (id) => /** @type {HTMLInputElement} */ (byId(id));

export class BrandingPart {
  #site;
  #form;
  #element = /** @type {HTMLFormElement} */ (byId("branding-form"));

  /** @param {Site} site */
  constructor(site) {
    this.#site = site;
    /** @type {EntryForm<Settings>} */
    this.#form = new EntryForm(this.#element, {
      read: brandingValues,
      save: (values, edition) =>
        site.send("PUT", `locations/${encodeURIComponent(site.location)}/branding`, {
          ...brandingBody(values),
          edition,
        }),
      texts: site.texts,
    });
    this.#element.addEventListener("input", () => this._renderSamples());
    this.#element.addEventListener("filled", () => this._renderSamples());
    field("logo-file").addEventListener("change", () => void this._upload());
    byId("logo-remove").addEventListener("click", () => this._use(""));
  }

  /** Gives the form a logo, which counts once the form is saved. @param {string} logo */
  _use(logo) {
    /** @type {HTMLInputElement} */ (this.#element.elements.namedItem("logo")).value = logo;
    field("logo-file").value = "";
    this.#form.touch();
    this._renderSamples();
  }

  async _upload() {
    const [file] = field("logo-file").files ?? [];
    if (!file) return;
    const text = this.#site.texts();
    const said = /** @type {HTMLElement} */ (this.#element.querySelector(".said"));
    if (file.size > MOST_BYTES) return setText(said, text.refusals.too_large);
    const path = `v1/locations/${encodeURIComponent(this.#site.location)}/logo`;
    try {
      const response = await fetch(path, {
        method: "PUT",
        headers: { authorization: `Bearer ${this.#site.token()}` },
        body: file,
      });
      const answer = await response.json();
      if (response.ok) return this._use(answer.logo);
      const refusal = answer.code === "invalid_value" ? text.notALogo : text.refusals[answer.code];
      return setText(said, refusal ?? text.refused(String(answer.code)));
    } catch {
      return setText(said, text.refusals.unreachable);
    }
  }

  render() {
    this.#form.update(this.#site.entries().get("branding"));
    this._renderSamples();
  }

  _renderSamples() {
    const text = this.#site.texts();
    const { coloured, colour, logo } = brandingValuesOf(this.#form.values);
    /** @type {HTMLInputElement} */ (this.#element.elements.namedItem("colour")).disabled =
      !coloured;
    byId("samples").hidden = byId("contrast").hidden = !coloured;
    const ratios = SCHEMES.map((scheme) => {
      const { brand, onBrand } = paletteOf(colour, scheme);
      const sample = /** @type {HTMLElement} */ (
        document.querySelector(`.sample[data-scheme=${scheme}]`)
      );
      sample.style.background = brand;
      sample.style.color = onBrand;
      setText(sample, text.samples[scheme]);
      return {
        scheme,
        brand,
        own: contrast(colour, CARDS[scheme]),
        ratio: contrast(brand, onBrand),
      };
    });
    setText(
      byId("contrast"),
      ratios
        .map(({ scheme, brand, own, ratio }) =>
          text.contrast(text.samples[scheme], own.toFixed(1), brand === colour, ratio.toFixed(1)),
        )
        .join(" "),
    );
    byId("logo-shown").hidden = byId("logo-remove").hidden = !logo;
    setText(byId("logo-remove"), text.removeLogo);
    const image = /** @type {HTMLImageElement} */ (byId("logo-shown"));
    const source = logo ? `logos/${logo}` : "";
    if (image.getAttribute("src") !== source) {
      if (source) image.setAttribute("src", source);
      else image.removeAttribute("src");
    }
    image.alt = text.logoNow;
  }
}

/** @param {import("./entry-form.js").Values} values */
function brandingValuesOf({ coloured, colour, logo }) {
  return { coloured: coloured === true, colour: String(colour), logo: String(logo ?? "") };
}
