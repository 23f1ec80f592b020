// The search: what is asked, and its results.

import * as api from "/static/api.js";
import { app, on, remember } from "/static/app.js";
import { frame, settledFrame } from "/static/query.js";
import { recount, whatFilters } from "/static/facets.js";
import { $ } from "/static/dom.js";
import { record } from "/static/events.js";
import { dots } from "/static/dots.js";
import { keep, keptHere, navigate, rename } from "/static/router.js";
import { message, told } from "/static/says.js";
import { asks, empty, fromAddress, request, toAddress, where } from "/static/state.js";
import { active } from "/static/filters.js";
import { recall } from "/static/uploads.js";
import { tiles } from "/static/tiles.js";
import { t } from "/static/words.js";

const PAGE = 40;
const WHILE_DRAGGING = 24;

let asking = null; // the AbortController of the query that runs
let loading = false;

export const grid = tiles($("results"), "search", {
  refines: () => asks(app.search) || app.file,
  plus: (pin) => refine("like", pin),
  minus: (pin) => refine("unlike", pin),
});

// -- changing the state -------------------------------------------------------------------------------------------
/** Edit a copy of the state, give it an address, show it. */
export function go(edit, { top = false, replace = false } = {}) {
  const next = structuredClone(app.search);
  edit(next);
  return navigate(toAddress(next), { top, replace, state: { upload: app.shown.upload } });
}

export function refine(list, pin) {
  const other = list === "like" ? "unlike" : "like";
  go((next) => {
    next[other] = next[other].filter((id) => id !== pin.id);
    if (!next[list].includes(pin.id)) next[list].push(pin.id);
  });
}

/** Add pictures, by the names that the server gave them: the first of a new query stands in the frame. */
export function addPictures(names, fresh) {
  return go((next) => {
    if (fresh) Object.assign(next, empty(), { chosen: next.chosen, ranges: next.ranges, sort: next.sort });
    const images = names.map((name) => `upload:${name}`);
    if (!next.image && !next.like.length) next.image = images.shift();
    next.also = [...new Set([...next.also, ...images])].filter((one) => one !== next.image);
  }, { top: true });
}

/** Nothing asked, filters aside. */
export const startOver = () => go((next) => Object.assign(next, empty()), { top: true });

/** Search by a picture that the server has not seen. */
export function searchFile(blob) {
  app.file = blob;
  const next = Object.assign(empty(), { chosen: app.search.chosen, ranges: app.search.ranges, sort: app.search.sort });
  if (app.route.name !== "search") return navigate(toAddress(next), { top: true, state: { file: true } });
  app.search = next;
  scrollTo({ top: 0 });
  return show();
}

// -- showing it ---------------------------------------------------------------------------------------------------
/** The view, as the router shows it. */
export async function enter({ back }) {
  const waiting = app.file;
  app.search = fromAddress(location.search);
  app.shown = { ...app.shown, upload: history.state?.upload ?? null, address: null };
  if (back) app.file = null;
  const kept = back && !waiting ? keptHere() : null;
  if (!kept) return show();
  frame();
  asking?.abort();
  asking = new AbortController();
  app.shown = { ...kept.shown };
  $("message").hidden = true;
  grid.show(kept.pins, { answer: kept.shown.answer });
  settled(app.search, kept.shown);
  busy(false);
  recount(app.search, asking.signal);
  dots(asking.signal);
}

export function leave() {
  asking?.abort();
  busy(false);
}

async function show() {
  frame();
  await find(app.search, PAGE);
}

function busy(is) {
  $("results").setAttribute("aria-busy", String(is));
  document.body.classList.toggle("busy", is);
  if (is) grid.pause(); else grid.resume();
}

/** Ask and show the first page of results. */
export async function find(wanted, k) {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  busy(true);
  try {
    const page = await answer(wanted, k, 0, signal);
    if (signal.aborted) return;
    $("message").hidden = true;
    const { pins, ...said } = page;
    app.shown = { ...said, offset: pins.length, more: page.more && k === PAGE, upload: page.upload ?? app.shown.upload, address: app.shown.address, partial: k !== PAGE };
    remember(pins);
    grid.show(pins, { answer: page.answer });
    settled(wanted, page);
    if (k === PAGE) {
      if (asks(wanted)) record("search", { surface: "search", ...(page.answer ? { answer: page.answer } : {}) });
      keep({ pins, shown: { ...app.shown } });
      dots(signal);
      recount(wanted, signal);
    }
  } catch (error) {
    if (error.name !== "AbortError") fail(error);
  } finally {
    if (!signal.aborted) busy(false);
  }
}

export const findWhileDragging = (wanted) => find(wanted, WHILE_DRAGGING);

async function answer(wanted, k, offset, signal) {
  if (app.file && offset === 0) {
    const { image: _, crop: __, ...query } = request(wanted, k, offset);
    if (wanted.crop) query.crop = wanted.crop.join(",");
    const page = await api.searchFile(app.file, query, signal);
    // From here on the picture is known by its name, and this state has an address.
    recall.keep(page.upload, app.file);
    app.file = null;
    app.search.image = `upload:${page.upload}`;
    app.local.image = app.search.image;
    rename(toAddress(app.search), { upload: page.upload }, Boolean(history.state?.file));
    return { ...page, pins: page.hits };
  }
  if (asks(wanted)) {
    const query = request(wanted, k, offset);
    // An address was fetched once already: the copy that is kept answers for it while it is there.
    if (app.shown.upload && api.isAddress(query.image ?? "") && app.shown.address === query.image) query.image = `upload:${app.shown.upload}`;
    const page = await recall.again([query.image, ...wanted.also], () => api.search(query, signal));
    return { ...page, pins: page.hits };
  }
  return api.pins({ k, offset, where: where(wanted), sort: wanted.sort }, signal);
}

function settled(wanted, page) {
  const count = { n: page.total };
  const time = page.seconds === undefined ? "" : t(" in {ms} ms", { ms: Math.max(1, Math.round(1000 * page.seconds)) });
  const best = page.alike === false ? t("Nothing alike here; the nearest of {n} pins", count) : t("Best of {n} pins", count);
  $("status").textContent = [asks(wanted) ? best + time : t("{n} pins", count), ...(page.notes ?? [])].join(". ");
  if (api.isAddress(app.search.image ?? "")) app.shown.address = app.search.image;
  if (asks(app.search)) settledFrame();
  if (!grid.order.length) nothing();
  foot();
}

function nothing() {
  const filtered = active(app.search).length > 0;
  message(t("Nothing fits"), filtered ? t("No pin passes all the filters.") : t("There are no pins here yet. Add some with: {command}", { command: "visualsearch index PICTURES --to DIR" }),
    filtered ? [t("Clear the filters"), () => go((next) => Object.assign(next, { chosen: {}, ranges: {} }))] : null);
}

function foot() {
  const { more: some, partial, total } = app.shown;
  const there = { n: grid.order.length };
  $("more").hidden = !some;
  $("end").hidden = some || partial || !there.n;
  $("end").textContent = !some && there.n < total ? t("The best {n} are shown.", there) : t("That is all {n} of them.", there);
}

export async function more() {
  if (app.route.name !== "search" || loading || !app.shown.more) return;
  loading = true;
  const wanted = app.search;
  const signal = asking?.signal;
  try {
    const page = await answer(wanted, PAGE, app.shown.offset, signal);
    if (wanted !== app.search || signal?.aborted) return;
    const before = keptHere();
    app.shown.offset += page.pins.length;
    app.shown.more = page.more;
    remember(page.pins);
    grid.show(page.pins, { append: true, answer: page.answer });
    if (before) keep({ pins: [...before.pins, ...page.pins], shown: { ...app.shown } });
    foot();
  } catch (error) {
    if (error.name !== "AbortError") { app.shown.more = false; foot(); fail(error, true); }
  } finally {
    loading = false;
  }
}

// -- saying what is wrong -----------------------------------------------------------------------------------------
const again = () => [t("Try again"), () => show()];
const ADVICE = {
  "upload-gone": () => [t("This picture is no longer kept"), t("Uploaded pictures stay in the server’s memory for a while only. Drop or choose it again."), [t("Choose the picture"), () => $("file").click()]],
  "bad-request": () => [t("That cannot be searched"), null, null],
  offline: () => [t("The server does not answer"), t("Check that it runs and that you are connected, then try again."), again()],
  busy: () => [t("Many people are searching right now"), t("Wait a moment."), again()],
  "rate-limited": () => [t("That was a little fast"), t("Wait a moment."), again()],
};

export function fail(error, stay = false) {
  const [title, text, action] = ADVICE[error.kind]?.() ?? [];
  if (!(error instanceof api.Problem)) console.error(error);
  app.file = null;
  if (api.isAddress(app.search.image ?? "")) $("words").value = app.search.image; // its spelling is to be checked
  message(title ?? error.title ?? t("That did not work"), text ?? told(error), action ?? [t("Start over"), startOver]);
  if (!stay) {
    grid.clear();
    app.shown = { ...app.shown, offset: 0, more: false };
    $("status").textContent = "";
    foot();
  }
  document.body.classList.remove("busy");
}

on("dots wished", () => dots(asking.signal, true));
on("server", () => {
  grid.facts = whatFilters(go);
  grid.again();
  if (asking) recount(app.search, asking.signal);
  if (app.route.name === "search") frame();
});
