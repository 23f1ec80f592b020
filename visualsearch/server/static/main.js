// The page: one state, shown again whenever it changes.

import * as api from "/static/api.js";
import { $, ICONS, el, icon, say, titleOf } from "/static/dom.js";
import { active, build } from "/static/filters.js";
import { Grid } from "/static/grid.js";
import { Stage } from "/static/stage.js";
import { asks, empty, fromAddress, request, toAddress, where } from "/static/state.js";

const PAGE = 40;
const WHILE_DRAGGING = 24;
const BETWEEN = 70; // ms between queries while a box is dragged
const FACTS = ["price", "category", "kind", "colour", "color", "brand", "type"];

let state = fromAddress(location.search);
let server = { text: true, pins: 0, attributes: [], limits: { body_bytes: 20e6 } };
let file = null; // a picture that the server has not seen yet
let shown = { offset: 0, more: false, total: 0, upload: null };
let asking = null; // the AbortController of the query that runs
let filters = null;
const known = new Map(); // pins seen, by id

const grid = new Grid($("results"), {
  like: (pin) => go((next) => Object.assign(next, { image: null, crop: null, text: [], like: [pin.id], unlike: [] }), true),
  plus: (pin) => refine("like", pin),
  minus: (pin) => refine("unlike", pin),
});
const stage = new Stage($("stage"), cropped, () => dots(asking.signal, true));

// -- changing the state -------------------------------------------------------------------------------------------
/** Edit a copy of the state, give it an address, show it. */
function go(edit, top = false) {
  const next = structuredClone(state);
  edit(next);
  state = next;
  history.pushState({ upload: shown.upload }, "", toAddress(state));
  if (top) scrollTo({ top: 0, behavior: calm() ? "auto" : "smooth" });
  show();
}

function refine(list, pin) {
  const other = list === "like" ? "unlike" : "like";
  go((next) => {
    next[other] = next[other].filter((id) => id !== pin.id);
    if (!next[list].includes(pin.id)) next[list].push(pin.id);
  });
}

let timer = 0;
function cropped(crop, done) {
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
    go(edit);
    return;
  }
  const next = structuredClone(state);
  edit(next);
  timer = setTimeout(() => find(next, WHILE_DRAGGING), BETWEEN);
}

/** Search by a picture file. */
async function take(picture) {
  if (!picture) return;
  if (!picture.type.startsWith("image/") && picture.type) {
    fail(new api.Problem("bad-picture", "That is not a picture", "Drop a JPEG, PNG, WebP, HEIC or another picture file."));
    return;
  }
  file = await fitting(picture);
  state = Object.assign(empty(), { chosen: state.chosen, ranges: state.ranges, sort: state.sort });
  scrollTo({ top: 0 });
  await show();
}

/** The file itself, or a smaller copy where the server would refuse it. */
async function fitting(picture) {
  if (picture.size <= server.limits.body_bytes) return picture;
  try {
    const bitmap = await createImageBitmap(picture);
    const scale = Math.min(1, 2400 / Math.max(bitmap.width, bitmap.height));
    const canvas = new OffscreenCanvas(Math.round(bitmap.width * scale), Math.round(bitmap.height * scale));
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
  } catch {
    return picture; // the server says what is wrong with it
  }
}

const isAddress = (text) => /^https?:\/\/\S+$/i.test(text.trim());

function ask(text) {
  const words = text.trim();
  if (!words) return;
  if (isAddress(words)) {
    $("words").value = "";
    go((next) => Object.assign(next, empty(), { image: words, chosen: next.chosen, ranges: next.ranges }), true);
  } else if (!server.text) {
    fail(new api.Problem("bad-request", "This index does not understand words",
      `Its model, ${server.encoder}, knows pictures only. Drop or choose a picture, paste a picture’s address, or start from a pin.`));
  } else {
    go((next) => { next.text = [words]; }, true); // beside the picture or the pin: "like this, but red"
  }
}

// -- showing it ---------------------------------------------------------------------------------------------------
async function show() {
  frame();
  await find(state, PAGE);
}

/** Everything but the results. */
function frame() {
  const source = pictured();
  const searching = Boolean(file) || asks(state);
  document.body.classList.toggle("searching", searching);
  $("hero").hidden = searching || Object.keys(state.chosen).length + Object.keys(state.ranges).length > 0;
  $("query").hidden = !searching;
  $("hint").hidden = true;
  if (source) stage.show(source, "The picture that is searched for");
  else stage.hide();
  stage.set(state.crop);
  $("words").value = state.text.join(" ");
  chips();
  about();
  filterChips();
  sortChoices();
  filters?.show(state);
  document.title = title();
}

function title() {
  const words = state.text[0] ?? (state.like[0] && known.has(state.like[0]) ? titleOf(known.get(state.like[0]))[1] : null);
  return words ? `${words} · visualsearch` : "visualsearch";
}

let local = null; // the visitor's own file: what it is called here and at the server

/** Where the query's picture is shown from. A file that is at hand is not fetched back. */
function pictured() {
  if (file && local?.blob !== file) {
    if (local) URL.revokeObjectURL(local.address);
    local = { blob: file, address: URL.createObjectURL(file), image: null };
  }
  if (file || (local?.image && local.image === state.image && !$("stage").classList.contains("broken"))) return local.address;
  return api.pictureOf(state.image ?? (state.like[0] ? `pin:${state.like[0]}` : null), shown.upload, 960);
}

/** The parts of the query that can be taken off one by one. */
function chips() {
  const parts = [];
  const off = (edit) => () => go(edit);
  if (state.image && (state.text.length || state.like.length || state.unlike.length)) {
    parts.push(chip("picture", null, off((next) => { next.image = null; next.crop = null; }), "the picture"));
  }
  state.text.forEach((text, at) => parts.push(chip(`“${text}”`, null, off((next) => next.text.splice(at, 1)), `the words ${text}`)));
  // The pin in the frame needs no chip while it is all that is asked for.
  const alone = !state.text.length && !state.unlike.length && state.like.length === 1;
  const first = !state.image && alone ? 1 : 0;
  for (const id of state.like.slice(first)) parts.push(pinChip(id, "like", "+"));
  for (const id of state.unlike) parts.push(pinChip(id, "unlike", "−"));
  $("chips").replaceChildren(...parts);
  $("chips").hidden = !parts.length;
  learn([...state.like.slice(first), ...state.unlike]);
}

/** Learn the names of pins that only the address named. */
async function learn(ids) {
  const strange = ids.filter((id) => !known.has(id));
  if (!strange.length) return;
  const found = await Promise.allSettled(strange.map((id) => api.pin(id)));
  const pins = found.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  remember(pins);
  if (pins.length) chips();
}

function pinChip(id, list, sign) {
  const pin = known.get(id);
  const name = pin ? titleOf(pin)[1] : id;
  const picture = el("img", { src: `/pins/${encodeURIComponent(id)}/picture?size=160`, alt: "" });
  return chip(`${sign} ${name}`, picture, () => go((next) => { next[list] = next[list].filter((other) => other !== id); }), `${list === "like" ? "more of" : "less of"} ${name}`, list);
}

function chip(text, picture, take, said, kind = "") {
  const off = el("button", { type: "button", "aria-label": `Take off ${said}`, onclick: take }, icon(ICONS.close));
  return el("li", { class: `part ${kind}` }, picture, el("span", {}, text), off);
}

function filterChips() {
  const on = active(state);
  const chips = on.map(([text, edit]) => chip(text, null, () => go(edit), `the filter ${text}`));
  if (on.length > 1) {
    chips.push(el("li", {}, el("button", { type: "button", class: "link", onclick: () => go((next) => Object.assign(next, { chosen: {}, ranges: {} })) }, "Clear all")));
  }
  $("active").replaceChildren(...chips);
  $("filter-count").textContent = on.length ? String(on.length) : "";
}

function sortChoices() {
  const choice = (value, text) => el("option", { value }, text);
  const by = [choice("", asks(state) || file ? "Best match" : "Mixed")];
  for (const one of server.summaries ?? []) {
    if (one.kind === "number") by.push(choice(one.name, `${one.name}, low to high`), choice(`-${one.name}`, `${one.name}, high to low`));
    else if (one.kind === "category" || ["title", "name"].includes(one.name)) by.push(choice(one.name, `${one.name}, A to Z`));
  }
  $("sort").replaceChildren(...by);
  $("sort").value = state.sort ?? "";
}

/** What is known of the pin in the frame. */
async function about() {
  const id = state.like[0] ?? (state.image?.startsWith("pin:") ? state.image.slice(4) : null);
  const root = $("about");
  if (!id || (state.image && !state.image.startsWith("pin:")) || file) {
    root.replaceChildren();
    return;
  }
  if (!known.has(id)) {
    try { known.set(id, await api.pin(id)); } catch { root.replaceChildren(); return; }
  }
  const pin = known.get(id);
  const [key, name] = titleOf(pin);
  const facts = Object.entries(pin.attributes).filter(([other, value]) => other !== key && value !== null).slice(0, 8);
  root.replaceChildren(
    el("h3", {}, name),
    el("dl", {}, ...facts.flatMap(([term, value]) => [el("dt", {}, term), el("dd", {}, say(value))])),
    ...(pin.uri ? [el("a", { href: pin.uri, rel: "noopener noreferrer", target: "_blank" }, "Open its page")] : []),
  );
  document.title = title();
}

/** Ask and show the first page of results. */
async function find(wanted, k) {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const results = $("results");
  results.setAttribute("aria-busy", "true");
  grid.pause();
  document.body.classList.add("busy");
  try {
    const page = await answer(wanted, k, 0, signal);
    if (signal.aborted) return;
    $("message").hidden = true;
    shown = { offset: page.pins.length, more: page.more && k === PAGE, total: page.total, upload: page.upload ?? shown.upload, partial: k !== PAGE };
    remember(page.pins);
    grid.show(page.pins);
    settled(wanted, page);
    if (k === PAGE) { dots(signal); recount(wanted, signal); }
  } catch (error) {
    if (error.name !== "AbortError") fail(error);
  } finally {
    if (!signal.aborted) {
      grid.resume();
      results.setAttribute("aria-busy", "false");
      document.body.classList.remove("busy");
    }
  }
}

/**
 * Bring the counts beside the filters' values up to date. An attribute that is filtered by is counted without its own
 * filter: its numbers say what choosing another value would give.
 */
async function recount(wanted, signal) {
  if (!filters) return;
  const without = (name) => {
    const { [name]: _, ...chosen } = wanted.chosen;
    return where({ ...wanted, chosen });
  };
  try {
    const names = Object.keys(wanted.chosen);
    const [all, ...own] = await Promise.all([api.counts(where(wanted), null, signal), ...names.map((name) => api.counts(without(name), name, signal))]);
    if (!signal.aborted) filters.count(Object.assign(all, ...own));
  } catch (error) {
    if (error.name !== "AbortError") console.warn(error); // the counts of before stay; the results are there
  }
}

async function answer(wanted, k, offset, signal) {
  if (file && offset === 0) {
    const { image: _, crop: __, ...query } = request(wanted, k, offset);
    if (wanted.crop) query.crop = wanted.crop.join(",");
    const page = await api.searchFile(file, query, signal);
    // From here on the picture is known by its name, and this state has an address.
    file = null;
    state.image = `upload:${page.upload}`;
    local.image = state.image;
    history.pushState({ upload: page.upload }, "", toAddress(state));
    return { ...page, pins: page.hits };
  }
  if (asks(wanted)) {
    const query = request(wanted, k, offset);
    // An address was fetched once already: the copy that is kept answers for it while it is there.
    if (shown.upload && isAddress(query.image ?? "") && shown.address === query.image) query.image = `upload:${shown.upload}`;
    const page = await api.search(query, signal);
    return { ...page, pins: page.hits };
  }
  return api.pins({ k, offset, where: where(wanted), sort: wanted.sort }, signal);
}

function settled(wanted, page) {
  const count = page.total.toLocaleString();
  const time = page.seconds === undefined ? "" : ` in ${Math.max(1, Math.round(1000 * page.seconds))} ms`;
  const best = page.alike === false ? "Nothing alike here; the nearest of" : "Best of";
  $("status").textContent = [asks(wanted) ? `${best} ${count} pins${time}` : `${count} pins`, ...(page.notes ?? [])].join(". ");
  if (isAddress(state.image ?? "")) shown.address = state.image;
  if (asks(state)) {
    $("query").hidden = false;
    const source = pictured();
    if (source) stage.show(source, "The picture that is searched for");
  }
  if (!page.pins.length) nothing();
  foot();
}

function nothing() {
  const filtered = active(state).length > 0;
  message("Nothing fits", filtered ? "No pin passes all the filters." : "There are no pins here yet. Add some with: visualsearch index PICTURES --to DIR",
    filtered ? ["Clear the filters", () => go((next) => Object.assign(next, { chosen: {}, ranges: {} }))] : null);
}

function foot() {
  $("more").hidden = !shown.more;
  $("end").hidden = shown.more || shown.partial || !grid.order.length;
  $("end").textContent = `That is all ${grid.order.length.toLocaleString()} of them.`;
  if (!shown.more && grid.order.length < shown.total) $("end").textContent = `The best ${grid.order.length.toLocaleString()} are shown.`;
}

let loading = false;
async function more() {
  if (loading || !shown.more) return;
  loading = true;
  const wanted = state;
  const signal = asking?.signal;
  try {
    const page = await answer(wanted, PAGE, shown.offset, signal);
    if (wanted !== state || signal?.aborted) return;
    shown.offset += page.pins.length;
    shown.more = page.more;
    remember(page.pins);
    grid.show(page.pins, true);
    foot();
  } catch (error) {
    if (error.name !== "AbortError") { shown.more = false; foot(); fail(error, true); }
  } finally {
    loading = false;
  }
}

const looked = new Map(); // image -> objects
/**
 * Find the objects in the query's picture, once the results are there. A visitor's picture is often a scene and is
 * looked at unasked; a stored pin mostly shows one thing, and is looked at when that is `wished`.
 */
async function dots(signal, wished = false) {
  const pin = state.image?.startsWith("pin:") ? state.image : state.like[0] ? `pin:${state.like[0]}` : null;
  const image = isAddress(state.image ?? "") ? `upload:${shown.upload}` : state.image ?? pin;
  if (!image || (image === pin && !wished && !looked.has(image))) {
    hint("Drag a box on the picture to search a part.");
    return;
  }
  try {
    if (!looked.has(image)) {
      const found = await api.look({ image, k: 1 }, signal);
      looked.set(image, found.found ? found.objects : []);
    }
    if (signal.aborted) return;
    const objects = looked.get(image);
    stage.mark(objects);
    hint(objects.length ? "Press a dot, or drag a box, to search a part." : wished ? "No objects were found; drag a box to search a part." : "Drag a box on the picture to search a part.");
  } catch (error) {
    if (error.name !== "AbortError") hint(`Objects were not looked for: ${error.detail ?? error.message}`); // the results stand without dots
  }
}

function hint(text) {
  $("hint").hidden = false;
  $("hint").textContent = text;
}

function remember(pins) {
  for (const pin of pins) known.set(pin.id, pin);
  while (known.size > 5000) known.delete(known.keys().next().value);
}

// -- saying what is wrong -----------------------------------------------------------------------------------------
const ADVICE = {
  "upload-gone": ["This picture is no longer kept", "Uploaded pictures stay in the server’s memory for a while only. Drop or choose it again.", ["Choose the picture", () => $("file").click()]],
  "bad-request": ["That cannot be searched", null, null],
  offline: [null, null, ["Try again", () => show()]],
  busy: ["Many people are searching right now", "Wait a moment.", ["Try again", () => show()]],
  "rate-limited": ["That was a little fast", "Wait a moment.", ["Try again", () => show()]],
};

function fail(error, keep = false) {
  const [title, text, action] = ADVICE[error.kind] ?? [];
  if (!(error instanceof api.Problem)) console.error(error);
  file = null;
  if (isAddress(state.image ?? "")) $("words").value = state.image; // its spelling is to be checked
  message(title ?? error.title ?? "That did not work", text ?? error.detail ?? error.message, action ?? ["Start over", () => go((next) => Object.assign(next, empty()))]);
  if (!keep) { grid.clear(); shown = { ...shown, offset: 0, more: false }; $("status").textContent = ""; foot(); }
  document.body.classList.remove("busy");
}

function message(title, text, action) {
  const button = action && el("button", { type: "button", class: "primary", onclick: action[1] }, action[0]);
  $("message").replaceChildren(el("h3", {}, title), el("p", {}, text), ...(button ? [button] : []));
  $("message").hidden = false;
}

// -- a key, where one is needed -----------------------------------------------------------------------------------
let login = null;
api.whenKeyNeeded(() => {
  login ??= new Promise((done) => {
    $("login").showModal();
    $("login-form").onsubmit = async (event) => {
      event.preventDefault();
      try {
        await api.session($("key").value);
        $("login").close();
        login = null;
        done();
      } catch (error) {
        $("login-error").textContent = error.detail ?? error.message;
      }
    };
  });
  return login;
});

// -- events -------------------------------------------------------------------------------------------------------
const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

$("ask").addEventListener("submit", (event) => { event.preventDefault(); ask($("words").value); });
$("words").addEventListener("search", () => { if (!$("words").value && state.text.length) go((next) => { next.text = []; }); });
for (const [button, input] of [["choose", "file"], ["hero-choose", "file"], ["snap", "photo"]]) $(button).addEventListener("click", () => $(input).click());
for (const input of ["file", "photo"]) $(input).addEventListener("change", (event) => { take(event.target.files[0]); event.target.value = ""; });
$("home").addEventListener("click", (event) => {
  if (event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  file = null;
  go((next) => Object.assign(next, empty()), true);
});
$("sort").addEventListener("change", () => go((next) => { next.sort = $("sort").value || null; }));
$("more").addEventListener("click", more);
$("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("theme", document.documentElement.dataset.theme); } catch { /* it lasts for this visit */ }
});

let over = 0;
const holdsPicture = (event) => [...(event.dataTransfer?.types ?? [])].some((type) => ["Files", "text/uri-list"].includes(type));
addEventListener("dragenter", (event) => { if (holdsPicture(event)) { over += 1; $("drop").classList.add("on"); } });
addEventListener("dragleave", () => { over = Math.max(0, over - 1); if (!over) $("drop").classList.remove("on"); });
addEventListener("dragover", (event) => { if (holdsPicture(event)) event.preventDefault(); });
addEventListener("drop", (event) => {
  over = 0;
  $("drop").classList.remove("on");
  if (!holdsPicture(event)) return;
  event.preventDefault();
  const dropped = event.dataTransfer.files[0];
  const address = event.dataTransfer.getData("text/uri-list").split("\n")[0];
  if (dropped) take(dropped);
  else if (isAddress(address)) ask(address);
});
addEventListener("paste", (event) => {
  const picture = [...event.clipboardData.items].find((item) => item.type.startsWith("image/"))?.getAsFile();
  const text = event.clipboardData.getData("text/plain");
  if (picture) { event.preventDefault(); take(picture); }
  else if (isAddress(text) && event.target.id !== "key") { event.preventDefault(); ask(text); }
});
addEventListener("keydown", (event) => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) { event.preventDefault(); $("words").focus(); }
});
addEventListener("popstate", (event) => {
  file = null;
  state = fromAddress(location.search);
  shown = { ...shown, upload: event.state?.upload ?? null, address: null };
  show();
});
new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) more(); }, { rootMargin: "900px" }).observe($("sentinel"));

// -- begin --------------------------------------------------------------------------------------------------------
const wide = matchMedia("(min-width: 62rem)");
const fold = () => { $("filters").open = wide.matches; };
wide.addEventListener("change", fold);

async function begin() {
  frame();
  fold();
  await Promise.all([describe(), show()]);
}

async function describe() {
  try {
    const [info, summaries] = await Promise.all([api.info(), api.attributes()]);
    server = { ...info, summaries: summaries.attributes };
  } catch (error) {
    if (error.kind !== "offline") console.error(error);
    return; // the results say what is wrong
  }
  grid.facts = FACTS.filter((name) => server.attributes.includes(name)).slice(0, 2);
  for (const card of grid.cards.values()) grid.update(card, card.pin);
  grid.arrange();
  if (!server.text) $("words").placeholder = "Paste a picture’s address";
  filters = build($("filter-list"), server.summaries, (edit) => go(edit));
  $("filters").hidden = !filters.some;
  filters.show(state);
  if (asking) recount(state, asking.signal);
  sortChoices();
}

begin();
