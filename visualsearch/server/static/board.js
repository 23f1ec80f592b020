// One board: its pins in an order of their own, sections, notes, ideas; what its owner may do, and what a guest may.

import * as api from "/static/api.js";
import { app, remember, tell } from "/static/app.js";
import { boardForm, tile } from "/static/board-parts.js";
import { $, ICONS, el, icon, titleOf } from "/static/dom.js";
import { arrangeable } from "/static/drag.js";
import { followButton, loadFollows } from "/static/follows.js";
import { attempt, choice, copied, download, endless, sheet } from "/static/pages.js";
import { known, loadBoards, ready } from "/static/person.js";
import { keep, keptHere, navigate } from "/static/router.js";
import { note, toast, told } from "/static/says.js";
import { tiles } from "/static/tiles.js";
import { t } from "/static/words.js";

const PAGE = 50;
const IDEAS = 24;
const ORDERS = { own: "In your order", newest: "Newest first", oldest: "Oldest first" };

let asking = null;
let here = null; // {board, order, grid, saves: Map, own}

export async function show({ moved, back }) {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const { id, section } = app.route;
  const order = here?.board.id === id && !moved ? here.order : "own";
  try {
    if (known()) await ready();
    const board = await api.board(id, signal);
    here = { board, order, section, saves: new Map(), own: app.me?.pseudonym === board.owner, works: app.me && [board.owner, ...board.collaborators].includes(app.me.pseudonym) };
    if (!here.own && known() && !app.follows) await loadFollows().catch(() => {}); // the board can be read without
    const held = back && keptHere();
    const kept = held?.board === id && held.order === order ? held : { board: id, order, pages: [] };
    if (!kept.pages.length) kept.pages.push(await page(null, signal));
    if (signal.aborted) return;
    for (const { saves } of kept.pages) for (const save of saves) here.saves.set(save.pin, save);
    keep(kept);
    draw(kept);
    ideas(signal);
  } catch (error) {
    if (error.name === "AbortError") return;
    const gone = error.status === 404;
    $("place").replaceChildren(note(gone ? t("There is no such board") : t("The board cannot be read"), gone ? t("It may have been deleted, or it is secret.") : told(error),
      gone ? [t("Your boards"), () => navigate("/?at=boards")] : [t("Try again"), () => show({ moved: false })]));
    if (gone && app.boards.some((one) => one.id === id)) loadBoards().catch(() => {});
  }
}

export function leave() {
  asking?.abort();
  here = null;
  $("place").replaceChildren();
}

const again = () => show({ moved: false });

async function page(cursor, signal) {
  const { board, order, section } = here;
  const found = await api.boardPins(board.id, { k: PAGE, order, section, cursor, gone: true }, signal);
  const pins = new Map(found.pins.map((pin) => [pin.id, pin]));
  for (const save of found.saves) here?.saves.set(save.pin, save);
  remember(found.pins);
  return { ...found, pins: found.saves.map((save) => pins.get(save.pin) ?? { id: save.pin, attributes: { title: t("A pin that left the index") }, picture: save.picture, gone: true }) };
}

function draw({ pages }) {
  const { board } = here;
  const list = el("ol", { class: "results", "aria-label": t("Pins") });
  here.grid = tiles(list, "board", {
    decorate: (card) => {
      card.note = el("span", { class: "saved-note", dir: "auto" });
      card.open.after(card.note);
      if (!here.works) return;
      card.menu = el("button", { class: "refine", type: "button", title: t("More"), onclick: () => menu(card) }, icon(ICONS.dots));
      card.buttons.append(card.menu);
    },
    updated: (card) => {
      card.note.textContent = here.saves.get(card.pin.id)?.note ?? "";
      card.menu?.setAttribute("aria-label", t("What to do with {title}", { title: titleOf(card.pin)[1] }));
    },
  });
  const more = endless(async (cursor) => {
    const next = await page(cursor, asking.signal);
    pages.push(next);
    here.grid.show(next.pins, { append: true, answer: next.answer });
    return next.cursor;
  }, pages.at(-1).cursor);
  const empty = pages[0].pins.length ? null : note(t("Nothing is on it yet"), here.own ? t("Press the bookmark on any pin, or take one of the ideas below.") : null);
  here.ideas = el("section", { hidden: true });
  $("place").replaceChildren(head(), tabs(), ...(empty ? [empty] : []), list, more.foot, here.ideas);
  pages.forEach((one, at) => here.grid.show(one.pins, { append: at > 0, answer: one.answer }));
  if (here.works && here.order === "own") arrangeable(here.grid, place);
  document.title = `${board.title} · visualsearch`;
}

function head() {
  const { board, own } = here;
  const facts = [t("{n} pins", { n: board.saves }), board.secret ? t("Secret") : null, board.kind === "project" ? t("A project") : null].filter(Boolean);
  const buttons = [
    own && button(t("Edit"), edit),
    here.works && button(t("New section"), newSection),
    !board.secret && button(t("Share link"), () => copied(location.href)),
    button(t("Export"), attempt(exported)),
    ...(!own && app.server.people ? [followButton("board", board.id, t("Follow"), t("Following")), followButton("person", board.owner, t("Follow who made it"), t("Following who made it"))] : []),
  ].filter(Boolean);
  return el("header", { class: "board-head" }, el("h1", { dir: "auto" }, board.title), board.description ? el("p", { dir: "auto" }, board.description) : null,
    el("p", { class: "facts" }, facts.join(" · ")), el("div", { class: "row" }, ...buttons));
}

const button = (text, act) => el("button", { type: "button", class: "quiet", onclick: act }, text);

function tabs() {
  const { board, section, order } = here;
  const base = `/?board=${board.id}`;
  const tab = (title, address, on) => el("a", { class: "chip", href: address, "aria-current": on ? "page" : null, dir: "auto" }, title);
  const sections = board.sections.length ? [tab(t("All"), base, !section), ...board.sections.map((one) => tab(one, `${base}&section=${encodeURIComponent(one)}`, one === section))] : [];
  const select = el("select", { id: "board-order" }, ...Object.entries(ORDERS).map(([value, text]) => el("option", { value }, t(text))));
  select.value = order;
  select.addEventListener("change", () => { here.order = select.value; again(); });
  return el("div", { class: "tabs" }, ...sections, el("label", { class: "sort" }, el("span", {}, t("Sort")), select));
}

// -- what its people may do ---------------------------------------------------------------------------------------------
const pinPath = (pin) => `/boards/${here.board.id}/pins/${encodeURIComponent(pin)}`;

/** Put a pin before another, null: behind all. */
const place = attempt(async (pin, before) => {
  const { grid } = here;
  const order = grid.order.filter((id) => id !== pin);
  order.splice(before === null ? order.length : order.indexOf(before), 0, pin);
  grid.reorder(order);
  const kept = keptHere();
  if (kept) kept.board = null; // back reads it anew
  try {
    await api.send("PATCH", pinPath(pin), { before });
  } catch (error) {
    again();
    throw error;
  }
});

function menu(card) {
  const { board, grid } = here;
  const { pin } = card;
  const at = grid.order.indexOf(pin.id);
  const save = here.saves.get(pin.id);
  const act = (work) => () => { close(); work(); };
  const change = (body) => attempt(async () => { await api.send("PATCH", pinPath(pin.id), body); again(); });
  const moves = here.order === "own" ? [
    at > 0 && choice(t("Move earlier"), act(() => place(pin.id, grid.order[at - 1]))),
    at < grid.order.length - 1 && choice(t("Move later"), act(() => place(pin.id, grid.order[at + 2] ?? null))),
  ] : [];
  const sections = [...board.sections.filter((one) => one !== save?.section).map((one) => choice(t("To the section “{title}”", { title: one }), act(change({ section: one })))),
    save?.section && choice(t("Out of the section “{title}”", { title: save.section }), act(change({ section: null })))];
  const { close } = sheet(titleOf(pin)[1], [el("ul", { class: "choices" }, ...[
    choice(t("Write a note"), act(() => writeNote(pin, save))), ...moves, ...sections,
    here.own && !save?.gone && choice(t("Make it the cover"), act(attempt(async () => { await api.send("PATCH", `/boards/${board.id}`, { cover: pin.id }); toast(t("It is the cover now")); }))),
    choice(t("Take it off the board"), act(attempt(async () => {
      await api.send("DELETE", pinPath(pin.id));
      app.saved.get(pin.id)?.delete(board.id);
      if (!app.saved.get(pin.id)?.size) app.saved.delete(pin.id);
      tell("saved", pin.id);
      again();
    })), "danger"),
  ].filter(Boolean))]);
}

function writeNote(pin, save) {
  const text = el("textarea", { name: "note", rows: 4, maxlength: 5000, dir: "auto", "aria-label": t("Note") });
  text.value = save?.note ?? "";
  sheet(t("Note"), [text, el("button", { class: "primary" }, t("Keep"))], async () => {
    const kept = await api.send("PATCH", pinPath(pin.id), { note: text.value });
    here.saves.set(pin.id, kept);
    here.grid.again();
  });
  text.focus();
}

function edit() {
  const { board } = here;
  const gone = button(t("Delete the board"), () => {
    sheet(t("Delete “{title}”?", { title: board.title }), [el("p", {}, t("Its {n} saved pins go with it. This cannot be undone.", { n: board.saves })), el("button", { class: "primary" }, t("Delete the board"))], async () => {
      await api.send("DELETE", `/boards/${board.id}`);
      await loadBoards();
      for (const [pin, boards] of app.saved) if (boards.delete(board.id) && !boards.size) app.saved.delete(pin);
      tell("saved");
      navigate("/?at=boards");
    });
  });
  boardForm(t("Edit the board"), board, async (values) => {
    const { title, ...rest } = values;
    await api.send("PATCH", `/boards/${board.id}`, title === board.title ? rest : values);
    loadBoards().catch(() => {});
    again();
  }, [gone]);
}

function newSection() {
  const title = el("input", { name: "title", maxlength: 200, required: true, dir: "auto", "aria-label": t("Title of the section") });
  sheet(t("New section"), [title, el("button", { class: "primary" }, t("Make it"))], async () => {
    await api.send("POST", `/boards/${here.board.id}/sections`, { title: title.value });
    again();
  });
}

// -- what everybody may do ------------------------------------------------------------------------------------------------
/** Every pin of the board, as a file. */
async function exported() {
  const { board } = here;
  const saves = [];
  let cursor = null;
  do {
    const found = await api.boardPins(board.id, { k: 200, order: "own", cursor, gone: true }, asking.signal);
    const pins = new Map(found.pins.map((pin) => [pin.id, pin]));
    saves.push(...found.saves.map(({ pin, at, note: text, section, site }) => ({ pin, at: new Date(at).toISOString(), note: text, section, site, uri: pins.get(pin)?.uri, attributes: pins.get(pin)?.attributes })));
    cursor = found.cursor;
  } while (cursor);
  const { title, description, sections } = board;
  download(`${title.replaceAll(/[^\p{L}\p{N}]+/gu, "-")}.json`, JSON.stringify({ title, description, sections, saves }, null, 2), "application/json");
}

/** What else would fit. */
async function ideas(signal) {
  const { board, section } = here;
  if (!board.saves) return;
  try {
    const found = await api.ideas(board.id, { k: IDEAS, section }, signal);
    if (signal.aborted || !found.hits.length) return;
    remember(found.hits);
    const list = el("ol", { class: "results", "aria-label": t("Ideas") });
    here.ideas.replaceChildren(el("div", { class: "head" }, el("h2", {}, t("Ideas for this board"))), list);
    here.ideas.hidden = false;
    tiles(list, "related").show(found.hits.map(({ score: _, ...hit }) => hit), { answer: found.answer });
    const { boards } = await api.call(`/boards/${board.id}/similar?k=6`, { signal });
    if (boards.length) here.ideas.append(el("div", { class: "head" }, el("h2", {}, t("Boards like this one"))), el("ul", { class: "board-list" }, ...boards.map(tile)));
  } catch (error) {
    if (error.name !== "AbortError") console.warn(error); // the board stands without
  }
}
