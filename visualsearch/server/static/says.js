// Saying what is wrong, what was done, and what can be undone.

import { $, el } from "/static/dom.js";
import { translated } from "/static/problems.js";
import { t } from "/static/words.js";

const SHOWN_MS = 7000;

/** A message in place of results: `action` is [text, what it does], or null. */
export function message(title, text, action) {
  $("message").replaceChildren(note(title, text, action));
  $("message").hidden = false;
}

/** A heading, a sentence, and a button for what can be done. */
export function note(title, text, action) {
  const button = action && el("button", { type: "button", class: "primary", onclick: action[1] }, action[0]);
  return el("div", { class: "note" }, el("h3", {}, title), text ? el("p", {}, text) : null, button || null);
}

let timer = 0;
/** A line at the foot of the page, with up to two actions as [text, what it does]; it goes by itself. */
export function toast(text, ...actions) {
  clearTimeout(timer);
  const buttons = actions.filter(Boolean).map(([name, act]) => el("button", { type: "button", onclick: () => { hush(); act(); } }, name));
  $("toast").replaceChildren(el("span", { dir: "auto" }, text), ...buttons);
  $("toast").hidden = false;
  const later = () => {
    timer = setTimeout(() => { if ($("toast").matches(":hover, :focus-within")) later(); else hush(); }, SHOWN_MS);
  };
  later();
}

export function hush() { $("toast").hidden = true; }

/** What an error says, in a sentence. */
export const told = (error) => translated(error) || error.detail || error.title || error.message || t("That did not work");
