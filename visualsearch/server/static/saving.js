// Saving a pin: one press puts it on the board that was used last; another board, or a new one, is a press away.

import { app, on, tell } from "/static/app.js";
import { $, ICONS, el, icon, titleOf } from "/static/dom.js";
import { post, take } from "/static/outbox.js";
import { agree, agreed, known, load, loadBoards } from "/static/person.js";
import { toast, told } from "/static/says.js";
import { read, write } from "/static/stored.js";
import { t } from "/static/words.js";

const FIRST = () => ({ id: null, title: t("My ideas") });

/** The board that was used last, as {id, title}; the id of one that is being made comes later. */
function last() {
  const kept = read("board");
  if (kept?.id && app.boards.length && !app.boards.some((one) => one.id === kept.id)) return app.boards[0] ?? FIRST();
  return kept ?? app.boards[0] ?? FIRST();
}

const made = new Map(); // title -> the board that a save by title made

const boardKey = (board) => board.id ?? board.title;
export const isSaved = (id) => Boolean(app.saved.get(id)?.size);

function mark(id, key, there) {
  const boards = app.saved.get(id) ?? new Set();
  if (there) boards.add(key); else boards.delete(key);
  if (boards.size) app.saved.set(id, boards); else app.saved.delete(id);
  tell("saved", id);
}

/** Put a pin on a board: shown at once, sent when the server is there. `seen` says where it was shown. */
export function save(pin, seen = {}, board = last()) {
  const key = boardKey(board);
  write("board", { id: board.id, title: board.title });
  write("saves", app.saved.size + 1);
  mark(pin.id, key, true);
  const body = { pin: pin.id, board: key, ...seen };
  const sent = post("POST", "/saves", body, { what: "save", pin: pin.id, key, title: board.title });
  toast(t("Saved to {board}", { board: board.title }), [t("Undo"), () => unsave(pin.id, key, sent)], [t("Change"), () => pick(pin, seen, { id: pin.id, key, sent })]);
  tell("kept");
}

/** Take a pin off a board. */
export function unsave(id, key, sent = null) {
  mark(id, key, false);
  if (sent && take(sent)) return;
  const board = made.get(key) ?? key;
  mark(id, board, false);
  post("DELETE", `/saves?${new URLSearchParams({ pin: id, board })}`, undefined, { what: "unsave", pin: id, key: board });
}

on("sent", ({ entry, answer }) => {
  if (entry.label.what !== "save") return;
  const { pin, key, title } = entry.label;
  if (answer.board !== key) { // the title has become a board
    made.set(key, answer.board);
    if (app.saved.get(pin)?.has(key)) { mark(pin, key, false); mark(pin, answer.board, true); }
    if (read("board")?.title === title) write("board", { id: answer.board, title });
    loadBoards().catch(() => {}); // the picker asks again
  }
  ask();
});

on("refused", ({ entry, error }) => {
  const { what, pin, key } = entry.label;
  if (what !== "save") { if (what) toast(told(error)); return; }
  mark(pin, key, false);
  if (error.status === 404) {
    write("board", null);
    load().catch(() => {}); // the rest of that board is gone as well
    const shown = app.known.get(pin);
    toast(t("That board is gone, and the pin was not saved."), shown && [t("Choose a board"), () => pick(shown)]);
  } else toast(told(error));
});

on("waiting", () => toast(t("The server does not answer. What you saved is kept here and sent later.")));

/** The button on a tile. */
export function saveButton(card, seen) {
  const button = el("button", { class: "refine keep", type: "button" }, icon(ICONS.keep));
  button.addEventListener("click", () => {
    const { pin } = card;
    const boards = app.saved.get(pin.id);
    if (boards?.size) pick(pin, seen(card));
    else save(pin, seen(card));
  });
  return button;
}

/** Say on a button whether its pin is saved. */
export function showSaved(button, pin) {
  const is = isSaved(pin.id);
  const title = titleOf(pin)[1];
  button.setAttribute("aria-pressed", String(is));
  button.closest(".card")?.classList.toggle("kept", is); // a class is cheaper to follow than what a card has in it
  button.setAttribute("aria-label", is ? t("Saved: {title}. Change its boards", { title }) : t("Save {title}", { title }));
  button.title = is ? t("Saved") : t("Save");
}

// -- choosing a board ------------------------------------------------------------------------------------------------------
/** Choose boards for a pin; `instead` takes it off the one that it was just saved to. */
export function pick(pin, seen = {}, instead = null) {
  const dialog = $("picker");
  const title = el("input", { id: "new-board", maxlength: 200, autocomplete: "off", placeholder: t("Find or make a board") });
  const list = el("ul", { class: "choices" });
  const choose = (board) => {
    dialog.close();
    if (instead && boardKey(board) !== instead.key) unsave(instead.id, instead.key, instead.sent);
    save(pin, seen, board);
  };
  const show = () => {
    const wanted = title.value.trim();
    const fits = app.boards.filter((board) => board.title.toLocaleLowerCase().includes(wanted.toLocaleLowerCase()));
    const same = app.boards.some((board) => board.title.toLocaleLowerCase() === wanted.toLocaleLowerCase());
    const items = fits.map((board) => {
      const there = app.saved.get(pin.id)?.has(board.id);
      return el("li", {}, el("button", {
        type: "button", class: "choice", "aria-pressed": String(Boolean(there)),
        onclick: () => { if (there) { unsave(pin.id, board.id); dialog.close(); toast(t("Taken off {board}", { board: board.title })); } else choose(board); },
      }, el("span", { dir: "auto" }, board.title), board.secret ? icon(ICONS.lock) : null, el("small", {}, there ? t("Saved") : t("{n} pins", { n: board.saves }))));
    });
    if (wanted && !same) items.unshift(el("li", {}, el("button", { type: "submit", class: "choice new" }, icon(ICONS.plus), el("span", { dir: "auto" }, t("Make “{title}”", { title: wanted })))));
    list.replaceChildren(...items);
  };
  title.addEventListener("input", show);
  const close = el("button", { type: "button", class: "icon", "aria-label": t("Close"), onclick: () => dialog.close() }, icon(ICONS.close));
  const form = el("form", {}, el("div", { class: "dialog-head" }, el("h2", {}, t("Save to a board")), close), title, list);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = title.value.trim();
    if (!wanted) return;
    const same = app.boards.find((board) => board.title.toLocaleLowerCase() === wanted.toLocaleLowerCase());
    choose(same ?? { id: null, title: wanted });
  });
  title.setAttribute("aria-label", t("Find or make a board"));
  dialog.setAttribute("aria-label", t("Save to a board"));
  dialog.replaceChildren(form);
  show();
  dialog.showModal();
  title.focus();
  if (known()) loadBoards().then(show, () => {});
}

// -- asking, once, after the first save ------------------------------------------------------------------------------------
function ask() {
  if (agreed() || !$("consent").hidden) return;
  const answer = (yes) => () => {
    $("consent").hidden = true;
    agree(yes).catch((error) => toast(told(error)));
  };
  $("consent").replaceChildren(
    el("p", {}, t("May this server also remember what you look at and press? It makes your feed better. Your boards are kept either way, and you can change this under “Me”.")),
    el("div", { class: "row" }, el("button", { type: "button", class: "primary", onclick: answer(true) }, t("Yes, remember")), el("button", { type: "button", class: "quiet", onclick: answer(false) }, t("No, only my boards"))),
  );
  $("consent").hidden = false;
}
