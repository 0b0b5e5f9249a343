// Chromium, watched for errors in the console and in scripts.

import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { until } from "./until.js";

const CHROMIUM = process.env.CLINICWIRE_CHROMIUM || "/usr/bin/chromium";
const SHOTS = fileURLToPath(new URL("../../../../target/shots/", import.meta.url));
const ARGS = [
  "--headless=new",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const PHONE = { width: 390, height: 844 };
export const SCREEN = { width: 1280, height: 720 };

/** Starts a browser for all tests of a file. @param {...string} flags */
export async function launch(...flags) {
  if (!existsSync(CHROMIUM))
    throw new Error(`there is no ${CHROMIUM}: install Chromium, or set CLINICWIRE_CHROMIUM`);
  await mkdir(SHOTS, { recursive: true });
  return chromium.launch({ executablePath: CHROMIUM, args: [...ARGS, ...flags] });
}

/** One page in a browser context of its own. */
export class Page {
  /** Errors of the console and of scripts. @type {string[]} */
  complaints = [];
  /** The data of every event of every stream, and of every frame of every socket. @type {string[]} */
  heard = [];

  /** @param {import("playwright-core").Page} page */
  constructor(page) {
    this.page = page;
    page.on("pageerror", (error) => this.complaints.push(String(error)));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) this.complaints.push(message.text());
    });
  }

  /**
   * @param {import("playwright-core").Browser} browser
   * @param {string} url
   * @param {{width: number, height: number}} viewport
   */
  static async open(browser, url, viewport) {
    const context = await browser.newContext({
      viewport,
      locale: "en-CA",
      timezoneId: "America/Toronto",
      deviceScaleFactor: viewport === PHONE ? 2 : 1,
    });
    const page = new Page(await context.newPage());
    const devtools = await context.newCDPSession(page.page);
    await devtools.send("Network.enable");
    devtools.on("Network.eventSourceMessageReceived", ({ data }) => page.heard.push(data));
    devtools.on("Network.webSocketFrameReceived", ({ response }) => {
      // Pings are no news.
      if (response.payloadData.includes('"channel"')) page.heard.push(response.payloadData);
    });
    await page.page.goto(url);
    return page;
  }

  /**
   * The visible text of the element, or "" when it shows none. Characters that only forbid the end
   * of a line are left out (joiners) or become plain spaces.
   * @param {string} selector
   */
  async text(selector) {
    const element = this.page.locator(selector).first();
    const text = (await element.isVisible()) ? await element.innerText() : "";
    return text.replaceAll("\u2060", "").replaceAll("\u00a0", " ").trim();
  }

  /** Labels and names of time zones that the page breaks over two lines. */
  brokenNames() {
    return this.page.evaluate(() => {
      const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      const broken = [];
      for (let node = texts.nextNode(); node; node = texts.nextNode()) {
        for (const found of (node.textContent ?? "").matchAll(
          /\b([A-Z][A-Z0-9]{0,3}-\u2060?\d+|(GMT|UTC)[-+]\u2060?\d+)\b/g,
        )) {
          const range = document.createRange();
          range.setStart(node, found.index);
          range.setEnd(node, found.index + found[0].length);
          const lines = new Set([...range.getClientRects()].map(({ bottom }) => bottom));
          if (lines.size > 1) broken.push(found[0]);
        }
      }
      return broken;
    });
  }

  /**
   * Waits until the visible text of the element is this, or matches it.
   * @param {string} selector
   * @param {string | RegExp} wanted
   */
  async shows(selector, wanted) {
    let seen = "";
    const right = () => (typeof wanted === "string" ? seen === wanted : wanted.test(seen));
    try {
      await until("the page shows it", async () => {
        seen = await this.text(selector);
        return right();
      });
    } catch {
      throw new Error(`${selector} should show ${wanted}, and shows ${JSON.stringify(seen)}`);
    }
  }

  /**
   * Takes a picture for people to look at, once everything that moves has arrived. It is taken only
   * where `CLINICWIRE_SHOTS` is set, because hundreds of pictures take a minute.
   * @param {string} name
   * @param {{fullPage?: boolean}} [more]
   */
  async shoot(name, more) {
    if (process.env.CLINICWIRE_SHOTS)
      await this.page.screenshot({ path: `${SHOTS}${name}.png`, animations: "disabled", ...more });
  }

  async close() {
    await this.page.context().close();
  }
}
