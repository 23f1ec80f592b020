// A board as a tile, and the form that makes or changes one.

import { ICONS, el, icon, reason } from "/static/dom.js";
import { sheet } from "/static/pages.js";
import { t } from "/static/words.js";

const PICTURES = 3;

export function cover(board) {
  const pictures = board.covers.slice(0, PICTURES).map((address) => el("img", { src: `${address}?size=320`, alt: "", loading: "lazy" }));
  if (pictures.length === 1) return el("span", { class: "cover one", "aria-hidden": "true" }, ...pictures);
  return el("span", { class: "cover", "aria-hidden": "true" }, ...pictures, ...Array.from({ length: PICTURES - pictures.length }, () => el("span", {})));
}

export function tile(board) {
  return el("li", {}, el("a", { class: "board-tile", href: `/?board=${board.id}` }, cover(board),
    el("b", {}, el("span", { dir: "auto" }, board.title), board.secret ? icon(ICONS.lock) : null),
    el("small", {}, reason(board) || t("{n} pins", { n: board.saves }))));
}

export const field = (text, input) => el("label", {}, text, input);
export const check = (name, text, on) => el("label", { class: "check" }, el("input", { type: "checkbox", name, checked: on }), el("span", {}, text));

/** Ask for title, description and secrecy; `send(values)` does it. `more` are further elements of the form. */
export function boardForm(title, board, send, more = []) {
  const { form } = sheet(title, [
    field(t("Title"), el("input", { name: "title", maxlength: 200, required: true, dir: "auto", value: board.title ?? "" })),
    field(t("Description"), el("textarea", { name: "description", maxlength: 5000, rows: 3, dir: "auto" })),
    check("secret", t("Secret: nobody else sees that it exists"), board.secret),
    el("div", { class: "row" }, el("button", { class: "primary" }, board.id ? t("Keep") : t("Make it")), ...more),
  ], () => send({ title: form.elements.title.value, description: form.elements.description.value, secret: form.elements.secret.checked }));
  form.elements.description.value = board.description ?? "";
}
