// A pin's own page: the picture large, what is known of it, and where it leads.

import * as api from "/static/api.js";
import { app, on, remember } from "/static/app.js";
import { talk } from "/static/comments.js";
import { $, ICONS, el, icon, reason, say, titleOf } from "/static/dom.js";
import { objectsOf } from "/static/dots.js";
import { record } from "/static/events.js";
import { swipes } from "/static/gestures.js";
import { viewed } from "/static/history.js";
import { navigate } from "/static/router.js";
import { note, toast, told } from "/static/says.js";
import { isSaved, pick, save } from "/static/saving.js";
import { Stage } from "/static/stage.js";
import { empty, toAddress } from "/static/state.js";
import { tiles } from "/static/tiles.js";
import { t } from "/static/words.js";
import { zoom } from "/static/zoom.js";

const ALIKE = 40;
const RELATED = 20;
const PATIENCE = 500; // ms
const BOARDS = 6;
const MOST = 20;
const TALL = 74; // hundredths of the screen's height
const SMALL = 520; // pixels
const TOGETHER = ["together", "near"]; // reasons that rest on what people saved

const pages = new Map(); // pins that were looked at: what was read of them
let asking = null;
let shown = null;

export async function show({ back }) {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const { id } = app.route;
  const root = $("place");
  const page = (back && pages.get(id)) || { id };
  pages.delete(id);
  pages.set(id, page);
  if (pages.size > MOST) pages.delete(pages.keys().next().value);
  shown = build(page);
  root.replaceChildren(shown.node);
  const begun = app.known.get(id);
  if (begun) describe(begun);
  try {
    page.pin ??= await api.pin(id, signal);
  } catch (error) {
    if (error.name !== "AbortError") root.replaceChildren(note(t("There is no such pin"), told(error), [t("Start over"), () => navigate("/")]));
    return;
  }
  const why = begun?.why;
  remember([{ ...page.pin, why }]);
  describe({ ...page.pin, why });
  viewed(page.pin);
  const beside = together(page, signal);
  const parts = [alike(page, beside, signal), beside, boards(page, signal), talk(shown.talk, id, signal)];
  if (back) await Promise.race([Promise.all(parts.slice(0, 2)), new Promise((later) => setTimeout(later, 400))]);
}

/** The picture as large as it is; from there to its neighbours in the list that it came from. */
const larger = () => zoom(() => ({ address: `/pins/${encodeURIComponent(app.route.id)}/picture?size=1920`, title: app.known.has(app.route.id) ? titleOf(app.known.get(app.route.id))[1] : "" }), beside);

/** Go to the pin so many places on in the list that this one came from; whether there is one. */
function beside(by) {
  const at = app.trail.indexOf(app.route.id);
  const id = at < 0 ? undefined : app.trail[at + by];
  if (id === undefined) return false;
  navigate(`/?pin=${encodeURIComponent(id)}`, { replace: true, top: true }); // what it shows comes by itself
  return true;
}

export function leave() {
  asking?.abort();
  shown = null;
  $("place").replaceChildren();
}

function build(page) {
  const { id } = page;
  const address = `/pins/${encodeURIComponent(id)}/picture`;
  const picture = el("div", { class: "stage large waiting" });
  const crop = (box, done) => {
    if (done && box) navigate(toAddress({ ...empty(), image: `pin:${id}`, crop: box }), { top: true });
  };
  const stage = new Stage(picture, crop, () => look(page));
  const bigger = el("button", { class: "whole", type: "button", onclick: larger }, t("Zoom"));
  picture.querySelector(".stage-actions").append(bigger);
  swipes(stage.frame, beside);
  stage.image.addEventListener("click", larger);
  const parts = {
    stage, picture,
    title: el("h1", { dir: "auto" }),
    price: el("p", { class: "price" }),
    facts: el("dl", {}),
    why: el("p", { class: "why", dir: "auto" }),
    actions: el("div", { class: "row" }),
    boards: el("div", { class: "on-boards" }),
    talk: el("section", { class: "talk", "aria-label": t("Comments") }),
    look: section(t("Complete the look"), el("div", { class: "looks" })),
    together: section(t("People also saved"), el("ol", { class: "results" })),
    alike: section(t("More like this"), el("ol", { class: "results" })),
  };
  const text = el("div", { class: "about-pin" }, parts.actions, parts.title, parts.price, parts.why, parts.facts, parts.boards, parts.talk);
  parts.node = el("article", { class: "closeup" }, el("div", { class: "closeup-top" }, el("div", { class: "closeup-picture" }, picture), text),
    parts.look.node, parts.together.node, parts.alike.node);
  stage.show(`${address}?size=960`, "");
  return parts;
}

function section(title, list) {
  const head = el("div", { class: "head" }, el("h2", {}, title));
  const node = el("section", { hidden: true }, head, list);
  return { node, list, head };
}

function describe(pin) {
  const [key, title] = titleOf(pin);
  shown.picture.classList.remove("waiting"); // its size is known
  const { price, ...rest } = pin.attributes;
  shown.title.textContent = title;
  shown.stage.image.alt = title;
  if (pin.width && pin.height) {
    shown.stage.image.width = pin.width;
    shown.stage.image.height = pin.height;
    const most = `${TALL * (pin.width / pin.height)}vh`; // as tall as the screen takes, and a small picture a little larger
    shown.stage.frame.style.width = `min(100%, ${most}, ${Math.max(SMALL, pin.width)}px)`;
  }
  shown.price.textContent = price === undefined || price === null ? "" : say(price);
  shown.why.textContent = pin.why ? t("Why you saw it: {reason}", { reason: reason(pin) }) : "";
  const facts = Object.entries(rest).filter(([name, value]) => name !== key && value !== null);
  shown.facts.replaceChildren(...facts.flatMap(([term, value]) => [el("dt", {}, term.replaceAll("_", " ")), el("dd", { dir: "auto" }, say(value))]));
  actions(pin);
  document.title = `${title} · visualsearch`;
}

function actions(pin) {
  const from = { surface: app.route.name === "pin" ? "related" : "search" };
  const keep = el("button", { type: "button", class: "primary save", onclick: () => (isSaved(pin.id) ? pick(pin, from) : save(pin, from)) });
  const choose = el("button", { type: "button", class: "icon round", "aria-label": t("Choose a board"), title: t("Choose a board"), onclick: () => pick(pin, from) }, icon(ICONS.down));
  const copy = el("button", { type: "button", class: "quiet", onclick: async () => {
    try { await navigator.clipboard.writeText(location.href); toast(t("The link is copied")); } catch { toast(location.href); }
  } }, t("Copy link"));
  const visit = pin.uri && el("a", { class: "quiet", href: pin.uri, target: "_blank", rel: "noopener noreferrer", onclick: () => record("visit", { pin: pin.id, ...from }) }, t("Visit its page"));
  const similar = el("a", { class: "quiet", href: `/?like=${encodeURIComponent(pin.id)}` }, t("Search with it"));
  shown.actions.replaceChildren(...(app.server.people ? [keep, choose] : []), similar, ...(visit ? [visit] : []), copy);
  shown.keep = keep;
  mark();
}

function mark() {
  if (!shown?.keep) return;
  const is = isSaved(app.route.id);
  shown.keep.textContent = is ? t("Saved") : t("Save");
  shown.keep.setAttribute("aria-pressed", String(is));
  shown.keep.classList.toggle("done", is);
}
on("saved", mark);
on("server", () => { if (shown && app.known.has(app.route.id)) describe(app.known.get(app.route.id)); });

/** What looks like it, by sight alone. It stands below what people saved `beside` it, so that comes first if it comes soon. */
async function alike(page, beside, signal) {
  const part = shown.alike;
  try {
    page.alike ??= await api.search({ like: [page.id], k: ALIKE }, signal);
    await Promise.race([beside, new Promise((later) => setTimeout(later, PATIENCE))]);
    if (signal.aborted) return;
    remember(page.alike.hits);
    const grid = tiles(part.list, "related");
    part.node.hidden = !page.alike.hits.length;
    grid.show(page.alike.hits, { answer: page.alike.answer });
  } catch (error) {
    if (error.name === "AbortError") return;
    part.node.hidden = false;
    part.list.replaceWith(note(t("That did not work"), told(error)));
  }
}

/** What people keep beside it. */
async function together(page, signal) {
  if (!app.server.people && app.server.version) return;
  const part = shown.together;
  try {
    page.related ??= await api.related(page.id, RELATED, signal);
    if (signal.aborted) return;
    const hits = page.related.hits.filter((hit) => TOGETHER.includes(hit.why?.kind)).map(({ score: _, ...hit }) => hit);
    remember(hits);
    part.node.hidden = !hits.length;
    if (hits.length) tiles(part.list, "related").show(hits, { answer: page.related.answer });
  } catch (error) {
    if (error.name !== "AbortError") console.warn(error); // the look-alikes stand without
  }
}

/** The boards that it is on, as far as the visitor may see them. */
async function boards(page, signal) {
  const root = shown.boards;
  if (!app.server.people && app.server.version) return;
  try {
    page.saves ??= await api.savesOf(page.id, BOARDS, signal);
    const names = [...new Set(page.saves.saves.map((one) => one.board))];
    const found = await Promise.allSettled(names.map((id) => api.board(id, signal)));
    if (signal.aborted) return;
    const links = found.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []))
      .map((board) => el("li", {}, el("a", { class: "chip", href: `/?board=${board.id}`, dir: "auto" }, board.title)));
    const count = page.saves.count ? t("Saved {n} times", { n: page.saves.count }) : "";
    root.replaceChildren(...(links.length ? [el("h2", { class: "label" }, t("On boards")), el("ul", { class: "chips" }, ...links), el("p", { class: "soft" }, count)] : []));
  } catch (error) {
    if (error.name !== "AbortError" && error.status !== 404) console.warn(error);
  }
}

/** The things in the picture, as dots on it and as rows of what looks like each. */
async function look(page) {
  const { signal } = asking;
  const part = shown.look;
  part.node.hidden = false;
  part.list.replaceChildren(el("p", { class: "soft" }, t("Looking at the picture …")));
  try {
    const objects = await objectsOf(`pin:${page.id}`, signal);
    if (signal.aborted) return;
    shown.stage.mark(objects);
    if (!objects.length) {
      part.list.replaceChildren(el("p", { class: "soft" }, t("No objects were found; drag a box to search a part.")));
      return;
    }
    part.list.replaceChildren(...objects.map((one, at) => {
      const list = el("ol", { class: "strip" });
      const name = one.label ?? t("Object {n}", { n: at + 1 });
      const all = el("a", { class: "link", href: toAddress({ ...empty(), image: `pin:${page.id}`, crop: one.box }) }, t("See all"));
      list.append(...one.hits.filter((hit) => hit.id !== page.id).map((hit) => el("li", {}, el("a", { href: `/?pin=${encodeURIComponent(hit.id)}` },
        el("img", { src: `${hit.picture}?size=240`, alt: titleOf(hit)[1], loading: "lazy" })))));
      return el("div", { class: "look" }, el("div", { class: "head" }, el("h3", { dir: "auto" }, name), all), list);
    }));
  } catch (error) {
    if (error.name !== "AbortError") part.list.replaceChildren(el("p", { class: "soft" }, told(error)));
  }
}
