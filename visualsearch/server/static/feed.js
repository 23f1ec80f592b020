// The feed: the start page of who has saved something. Each pin says why it is there, and how to get less like it.

import * as api from "/static/api.js";
import { app, remember } from "/static/app.js";
import { $, ICONS, el, icon, reason, titleOf } from "/static/dom.js";
import { looked } from "/static/history.js";
import { attempt, choice, endless, sheet } from "/static/pages.js";
import { known, ready } from "/static/person.js";
import { keep, keptHere, navigate } from "/static/router.js";
import { note, toast, told } from "/static/says.js";
import { tiles } from "/static/tiles.js";
import { t } from "/static/words.js";

const PAGE = 25;
const LOOKED = 10;

let asking = null;

export async function show({ back }) {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const root = $("place");
  const list = el("ol", { class: "results", "aria-label": t("For you") });
  const status = el("p", { class: "soft", role: "status" });
  root.replaceChildren(el("div", { class: "row head-row" }, el("h1", {}, t("For you")), el("a", { class: "quiet", href: "/?at=history" }, t("What you looked at"))), status, list);
  document.title = `${t("For you")} · visualsearch`;
  const grid = tiles(list, "feed", { decorate: (card) => decorate(card, () => grid) });
  const kept = (back && keptHere()) || { pages: [] };
  try {
    if (known()) await ready();
    if (!kept.pages.length) kept.pages.push(await page(null, signal));
    if (signal.aborted) return;
    kept.pages.forEach((one, at) => grid.show(one.pins, { append: at > 0, answer: one.answer }));
    keep(kept);
    status.textContent = kept.pages[0].plan === "personal" ? "" : t("Save a few pins, and this page learns what you like.");
    const more = endless(async (cursor) => {
      const next = await page(cursor, signal);
      kept.pages.push(next);
      grid.show(next.pins, { append: true, answer: next.answer });
      return next.cursor;
    }, kept.pages.at(-1).cursor);
    root.append(more.foot);
    if (!grid.order.length) root.append(note(t("Nothing yet"), t("Save a few pins first."), [t("Look around"), () => navigate("/?at=explore")]));
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error.status === 404) navigate("/?at=explore", { replace: true }); // a server without people
    else root.append(note(t("The feed cannot be read"), told(error), [t("Try again"), () => show({})]));
  }
}

export function leave() {
  asking?.abort();
  $("place").replaceChildren();
}

async function page(cursor, signal) {
  const words = new URLSearchParams({ k: PAGE });
  if (cursor) words.set("cursor", cursor);
  for (const { id } of looked().slice(0, LOOKED)) words.append("looked", id);
  const found = await api.call(`/feed?${words}`, { signal });
  remember(found.hits);
  return { ...found, pins: found.hits.map(({ score: _, ...hit }) => hit) }; // a cosine says nothing here
}

function decorate(card, gridOf) {
  const button = el("button", { class: "refine", type: "button", title: t("Less like this"), "aria-label": t("Less like {title}", { title: titleOf(card.pin)[1] }) }, icon(ICONS.hide));
  button.addEventListener("click", () => less(card.pin, gridOf()));
  card.buttons.append(button);
}

/** Say why a pin is there, and let it be hidden, alone or with what brought it. */
function less(pin, grid) {
  const hide = (why) => attempt(async () => {
    close();
    await ready();
    const id = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`.replace(".", "-");
    await api.send("POST", "/less", { pin: pin.id, id, ...(why ? { why } : {}) });
    const at = grid.order.indexOf(pin.id);
    const card = grid.cards.get(pin.id);
    grid.drop(pin.id);
    const pages = keptHere()?.pages ?? [];
    const page = pages.find((one) => one.pins.some((other) => other.id === pin.id));
    const was = page?.pins;
    if (page) page.pins = was.filter((other) => other.id !== pin.id);
    const undo = attempt(async () => {
      await api.send("DELETE", `/less?${new URLSearchParams({ id })}`);
      if (page) page.pins = was;
      grid.put(pin, at, card?.answer);
      toast(t("It is back"));
    });
    toast(why ? t("Understood: less like that from the next page on") : t("It is hidden"), [t("Undo"), undo]);
  });
  const { close } = sheet(titleOf(pin)[1], [
    pin.why ? el("p", {}, t("You see it because: {reason}", { reason: reason(pin) })) : null,
    el("ul", { class: "choices" }, choice(t("Hide this pin only"), hide(null)),
      ...(pin.why?.evidence?.length ? [choice(t("Hide it, and count what brought it here no more"), hide(pin.why))] : [])),
  ].filter(Boolean));
}
