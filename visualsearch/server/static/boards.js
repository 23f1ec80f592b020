// All boards of a person.

import * as api from "/static/api.js";
import { app } from "/static/app.js";
import { boardForm, tile } from "/static/board-parts.js";
import { $, el } from "/static/dom.js";
import { known, loadBoards, ready } from "/static/person.js";
import { navigate } from "/static/router.js";
import { note, toast, told } from "/static/says.js";
import { t } from "/static/words.js";

export async function show() {
  const root = $("place");
  const list = el("ul", { class: "board-list" });
  const make = () => boardForm(t("New board"), {}, async (values) => {
    await ready();
    const made = await api.send("POST", "/boards", values);
    await loadBoards();
    navigate(`/?board=${made.id}`);
  });
  root.replaceChildren(el("div", { class: "row" }, el("h1", {}, t("Your boards")), el("button", { type: "button", class: "quiet", onclick: make }, t("New board"))), list);
  document.title = `${t("Your boards")} · visualsearch`;
  try {
    if (known()) await loadBoards();
  } catch (error) {
    list.replaceWith(note(t("Your boards cannot be read"), told(error), [t("Try again"), () => show()]));
    return;
  }
  if (app.boards.length) list.replaceChildren(...app.boards.map(tile));
  else list.replaceWith(note(t("No boards yet"), t("Press the bookmark on any pin: it is kept here."), [t("Look around"), () => navigate("/?at=explore")]));
  others(root);
}

/** Public boards of others with the same taste. */
async function others(root) {
  if (!app.saved.size) return;
  try {
    const { boards } = await api.call("/me/similar?k=8");
    if (!boards.length || app.route.name !== "boards") return;
    root.append(el("div", { class: "head" }, el("h2", {}, t("Boards of others, like yours"))), el("ul", { class: "board-list" }, ...boards.map(tile)));
  } catch (error) { if (error.status !== 404) toast(told(error)); }
}

export function leave() { $("place").replaceChildren(); }
