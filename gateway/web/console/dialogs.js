// The dialogs of the console: a question about a step, and the sheet of shortcuts.

import { byId, setText } from "../shared/look/page.js";
import { ACTION_KEYS, PAGE_KEYS } from "./keys.js";

/** @typedef {import("../languages/all.js").Texts["console"]} Texts */
/** @typedef {[value: string, name: string]} Choice */

/** @param {string} id */
const dialog = (id) => /** @type {HTMLDialogElement} */ (byId(id));
/** @param {string} id */
const field = (id) => /** @type {HTMLInputElement} */ (byId(id));

/** Whether a dialog has the keyboard. */
export const isAsking = () => dialog("ask").open || dialog("sheet").open;

/**
 * Asks for a text, or for one of the choices, or for both when `more` asks for a text beside the
 * choices. A question that wants neither is a yes or no.
 * @param {{title: string, question: string, choices?: Choice[], chosen?: string, more?: string,
 *   confirm?: boolean, required?: boolean}} what
 * @param {Texts} texts
 * @returns {Promise<{choice: string, text: string} | undefined>} nothing when the clerk gave up
 */
export function ask(
  { title, question, choices, chosen = "", more = "", confirm, required },
  texts,
) {
  setText(byId("ask-title"), title);
  setText(byId("ask-label"), question);
  setText(byId("ask-ok"), texts.ok);
  setText(byId("ask-cancel"), texts.cancel);
  const choice = /** @type {HTMLSelectElement} */ (byId("ask-choice"));
  field("ask-text").required = Boolean(required);
  field("ask-text").hidden = confirm || (Boolean(choices) && !more);
  byId("ask-text-label").hidden = !more;
  setText(byId("ask-text-label"), more);
  choice.hidden = !choices;
  byId("ask-label").setAttribute("for", choices ? "ask-choice" : "ask-text");
  choice.replaceChildren(...(choices ?? []).map(([value, name]) => new Option(name, value)));
  if (choices) choice.value = chosen;
  field("ask-text").value = "";
  const box = dialog("ask");
  box.returnValue = "";
  box.showModal();
  return new Promise((resolve) => {
    byId("ask-cancel").onclick = () => box.close();
    box.onclose = () => {
      const answer = { choice: choice.value, text: field("ask-text").value.trim() };
      resolve(box.returnValue === "ok" ? answer : undefined);
    };
  });
}

/** @param {Texts} texts */
export function showSheet(texts) {
  setText(byId("sheet-title"), texts.shortcuts);
  setText(byId("sheet-close"), texts.close);
  const { actions, keys, callNext } = texts;
  /** @type {[string, string][]} */
  const pairs = [
    ["↑ ↓ / k j", keys.move],
    ["Alt ↑ ↓", keys.reorder],
    ...Object.entries(PAGE_KEYS).map(
      ([name, key]) =>
        /** @type {[string, string]} */ ([
          key,
          name === "callNext" ? callNext : keys[/** @type {keyof typeof keys} */ (name)],
        ]),
    ),
    ...Object.entries(ACTION_KEYS).map(
      ([name, key]) =>
        /** @type {[string, string]} */ ([key, actions[/** @type {"call"} */ (name)]]),
    ),
  ];
  byId("sheet-keys").replaceChildren(
    ...pairs.map(([key, text]) => {
      const row = document.createElement("div");
      const term = row.appendChild(document.createElement("dt"));
      term.appendChild(document.createElement("kbd")).textContent = key;
      row.appendChild(document.createElement("dd")).textContent = text.replace("…", "");
      return row;
    }),
  );
  dialog("sheet").showModal();
}
