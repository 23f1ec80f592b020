// What is searched for, as it stands beside the results: the picture with its box, the parts, what is known of the pin.

import * as api from "/static/api.js";
import { app, remember, tell } from "/static/app.js";
import { $, ICONS, el, icon, say, titleOf } from "/static/dom.js";
import { showFacets } from "/static/facets.js";
import { active } from "/static/filters.js";
import { findWhileDragging, go } from "/static/search.js";
import { Stage } from "/static/stage.js";
import { asks, words } from "/static/state.js";
import { t } from "/static/words.js";

const BETWEEN = 70; // ms between queries while a box is dragged

export const stage = new Stage($("stage"), cropped, () => tell("dots wished"));

let timer = 0;
function cropped(crop, done, step) {
  clearTimeout(timer);
  const edit = (next) => {
    next.crop = crop;
    // A part of a stored pin is a part of its picture.
    if (crop && !next.image && next.like.length) next.image = `pin:${next.like.shift()}`;
    if (!crop && next.image?.startsWith("pin:")) {
      next.like.unshift(next.image.slice(4));
      next.image = null;
    }
  };
  if (done) {
    // Each press of an arrow key changes the box a little: together they are one step of the history.
    go(edit, { replace: Boolean(step && history.state?.step) }).then(() => history.replaceState({ ...history.state, step }, ""));
    return;
  }
  const next = structuredClone(app.search);
  edit(next);
  timer = setTimeout(() => findWhileDragging(next), BETWEEN);
}

/** Everything but the results. */
export function frame() {
  const { search, file } = app;
  const source = pictured();
  const searching = Boolean(file) || asks(search);
  document.body.classList.toggle("searching", searching);
  $("hero").hidden = searching || Object.keys(search.chosen).length + Object.keys(search.ranges).length > 0;
  $("query").hidden = !searching;
  $("hint").hidden = true;
  if (source) stage.show(source, t("The picture that is searched for"));
  else stage.hide();
  stage.set(search.crop);
  $("words").value = words(search);
  chips();
  about();
  filterChips();
  sortChoices();
  showFacets();
  document.title = title();
}

/** The same, once the results are there: the query's picture has a name now. */
export function settledFrame() {
  $("query").hidden = false;
  const source = pictured();
  if (source) stage.show(source, t("The picture that is searched for"));
}

function title() {
  const { text, like } = app.search;
  const named = text[0] ?? (like[0] && app.known.has(like[0]) ? titleOf(app.known.get(like[0]))[1] : null);
  return named ? `${named} · visualsearch` : "visualsearch";
}

/** Where the query's picture is shown from. A file that is at hand is not fetched back. */
function pictured() {
  const { file, search, shown } = app;
  if (file && app.local?.blob !== file) {
    if (app.local) URL.revokeObjectURL(app.local.address);
    app.local = { blob: file, address: URL.createObjectURL(file), image: null };
  }
  const mine = app.local?.image && app.local.image === search.image && !$("stage").classList.contains("broken");
  if (file || mine) return app.local.address;
  return api.pictureOf(search.image ?? (search.like[0] ? `pin:${search.like[0]}` : null), shown.upload, 960);
}

/** The parts of the query that can be taken off one by one. */
function chips() {
  const { search } = app;
  const parts = [];
  const off = (edit) => () => go(edit);
  if (search.image && (search.also.length || search.text.length || search.not_text.length || search.like.length || search.unlike.length)) {
    parts.push(chip(t("picture"), null, off((next) => { next.image = next.also.shift() ?? null; next.crop = null; }), t("the picture")));
  }
  search.also.forEach((name, at) => {
    const picture = el("img", { src: api.pictureOf(name, null, 160), alt: "" });
    parts.push(chip(t("picture {n}", { n: at + 2 }), picture, off((next) => next.also.splice(at, 1)), t("picture {n}", { n: at + 2 }), "like"));
  });
  search.text.forEach((text, at) => parts.push(chip(`“${text}”`, null, off((next) => next.text.splice(at, 1)), t("the words {text}", { text }))));
  search.not_text.forEach((text, at) => parts.push(chip(`− “${text}”`, null, off((next) => next.not_text.splice(at, 1)), t("the words {text}", { text }), "unlike")));
  // The pin in the frame needs no chip while it is all that is asked for.
  const alone = !search.text.length && !search.not_text.length && !search.unlike.length && search.like.length === 1;
  const first = !search.image && alone ? 1 : 0;
  for (const id of search.like.slice(first)) parts.push(pinChip(id, "like", "+"));
  for (const id of search.unlike) parts.push(pinChip(id, "unlike", "−"));
  if (search.image || search.like.length) parts.push(el("li", {}, el("button", { type: "button", class: "link", onclick: () => tell("picture wished") }, t("Add a picture"))));
  $("chips").replaceChildren(...parts);
  $("chips").hidden = !parts.length;
  learn([...search.like.slice(first), ...search.unlike]);
}

/** Learn the names of pins that only the address named. */
async function learn(ids) {
  const strange = ids.filter((id) => !app.known.has(id));
  if (!strange.length) return;
  const found = await Promise.allSettled(strange.map((id) => api.pin(id)));
  const pins = found.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  remember(pins);
  if (pins.length) chips();
}

function pinChip(id, list, sign) {
  const pin = app.known.get(id);
  const name = pin ? titleOf(pin)[1] : id;
  const picture = el("img", { src: `/pins/${encodeURIComponent(id)}/picture?size=160`, alt: "" });
  const said = t(list === "like" ? "more of {name}" : "less of {name}", { name });
  return chip(`${sign} ${name}`, picture, () => go((next) => { next[list] = next[list].filter((other) => other !== id); }), said, list);
}

function chip(text, picture, take, said, kind = "") {
  const off = el("button", { type: "button", "aria-label": t("Take off {said}", { said }), onclick: take }, icon(ICONS.close));
  return el("li", { class: `part ${kind}` }, picture, el("span", { dir: "auto" }, text), off);
}

function filterChips() {
  const on = active(app.search);
  const found = on.map(([text, edit]) => chip(text, null, () => go(edit), t("the filter {text}", { text })));
  if (on.length > 1) {
    found.push(el("li", {}, el("button", { type: "button", class: "link", onclick: () => go((next) => Object.assign(next, { chosen: {}, ranges: {} })) }, t("Clear all"))));
  }
  $("active").replaceChildren(...found);
  $("filter-count").textContent = on.length ? String(on.length) : "";
}

function sortChoices() {
  const choice = (value, text) => el("option", { value }, text);
  const by = [choice("", asks(app.search) || app.file ? t("Best match") : t("Mixed"))];
  for (const { name, kind } of app.server.summaries) {
    if (kind === "number") by.push(choice(name, t("{name}, low to high", { name })), choice(`-${name}`, t("{name}, high to low", { name })));
    else if (kind === "category" || ["title", "name"].includes(name)) by.push(choice(name, t("{name}, A to Z", { name })));
  }
  $("sort").replaceChildren(...by);
  $("sort").value = app.search.sort ?? "";
}

/** What is known of the pin in the frame. */
async function about() {
  const { search, file } = app;
  const id = search.like[0] ?? (search.image?.startsWith("pin:") ? search.image.slice(4) : null);
  const root = $("about");
  if (!id || (search.image && !search.image.startsWith("pin:")) || file) {
    root.replaceChildren();
    return;
  }
  if (!app.known.has(id)) {
    try { remember([await api.pin(id)]); } catch { root.replaceChildren(); return; }
  }
  const pin = app.known.get(id);
  const [key, name] = titleOf(pin);
  const facts = Object.entries(pin.attributes).filter(([other, value]) => other !== key && value !== null).slice(0, 8);
  root.replaceChildren(
    el("h3", {}, el("a", { href: `/?pin=${encodeURIComponent(id)}`, dir: "auto" }, name)),
    el("dl", {}, ...facts.flatMap(([term, value]) => [el("dt", {}, term.replaceAll("_", " ")), el("dd", { dir: "auto" }, say(value))])),
    ...(pin.uri ? [el("a", { href: pin.uri, rel: "noopener noreferrer", target: "_blank" }, t("Open its page"))] : []),
  );
  document.title = title();
}
