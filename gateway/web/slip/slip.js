// The slip of a ticket, to print: label, line, and the QR code and short code of its link.

import { textsOf } from "../languages/all.js";
import { LanguageSwitch } from "../shared/words/language.js";
import { byId, fragment, restartOnNewLink, setText } from "../shared/look/page.js";
import { timeoutSignal } from "../shared/connection/timeout.js";
import { changeText } from "../shared/words/times.js";

/** @typedef {import("../shared/visit/ticket.js").Ticket} Ticket */

const slipTexts = textsOf("slip");
const ticketTexts = textsOf("ticket");

const TIMEOUT_MS = 10_000;
const PAPER_KEY = "slip-paper";

const params = fragment();
const token = params.get("token");
const ticketId = params.get("ticket");

const languages = new LanguageSwitch(render);
const paper = /** @type {HTMLSelectElement} */ (byId("paper"));

/** @type {Ticket | undefined} */
let ticket;
let code = "";
/** @type {"missing" | "refused" | "unreachable" | undefined} */
let note = token && ticketId ? undefined : "missing";

/** The address that a patient types in front of the code. */
const site = () => `${location.host}${new URL("t/", document.baseURI).pathname}`;

function render() {
  const { current } = languages;
  const text = slipTexts[current];
  languages.render();
  document.title = [ticket?.label, text.title].filter(Boolean).join(" · ");
  setText(byId("title"), text.title);
  setText(byId("paper-text"), text.paper);
  setText(byId("print"), text.print);
  byId("note").hidden = !note;
  if (note) {
    const [title, meaning] = ticketTexts[current].notes[note];
    setText(byId("note-title"), title);
    setText(byId("note-text"), meaning);
  }
  byId("slip").hidden = byId("controls").hidden = !ticket;
  byId("slip").dataset.paper = paper.value;
  if (!ticket) return;
  const { clinic, issued_at: at } = ticket;
  setText(byId("clinic"), clinic.name);
  setText(byId("address"), clinic.address ?? "");
  setText(byId("label"), ticket.label);
  setText(byId("queue"), ticket.queue_name);
  setText(byId("issued"), text.issued(changeText(at, Date.now(), current, clinic.time_zone)));
  setText(byId("hint"), text.hint);
  setText(byId("site"), site());
  setText(byId("code"), code);
  byId("qr").setAttribute("aria-label", text.qr);
}

/** @param {string} path @returns {Promise<Response>} */
function get(path) {
  return fetch(`v1/tickets/${encodeURIComponent(ticketId ?? "")}${path}`, {
    headers: { authorization: `Bearer ${token}` },
    cache: "no-store",
    signal: timeoutSignal(TIMEOUT_MS),
  });
}

async function load() {
  try {
    const answers = await Promise.all(["", "/link", "/link.svg?mm=40"].map(get));
    if (!answers.every(({ ok }) => ok)) {
      note = answers.some(({ status }) => status >= 500) ? "unreachable" : "refused";
      return render();
    }
    const [state, link, image] = answers;
    ticket = await state.json();
    code = String((await link.json()).code ?? "");
    const parsed = new DOMParser().parseFromString(await image.text(), "image/svg+xml");
    byId("qr").replaceChildren(document.adoptNode(parsed.documentElement));
  } catch {
    note = "unreachable";
  }
  return render();
}

function storedPaper() {
  try {
    return localStorage.getItem(PAPER_KEY);
  } catch {
    return null; // The browser was told to keep nothing.
  }
}

function start() {
  restartOnNewLink();
  paper.value = storedPaper() === "80" ? "80" : "58";
  paper.addEventListener("change", () => {
    try {
      localStorage.setItem(PAPER_KEY, paper.value);
    } catch {
      // The clerk chooses it again next time.
    }
    render();
  });
  byId("controls").addEventListener("submit", (event) => {
    event.preventDefault();
    print();
  });
  render();
  if (!note) void load();
}

start();
