// Where the visitor is. Every place has an address; every entry of the history keeps how far down it was, and what it
// showed, so that back and forward are there at once.

import { app, tell } from "/static/app.js";

const ENTRIES = 50;
const scrolls = new Map(read()); // entry -> pixels from the top
const kept = new Map(); // entry -> what its view put by
let views = {};
let home = () => "search"; // the view of the bare address
let current = null; // the view that is shown
let arrivals = 0;
let returning = false; // on the way back to an entry: what the page does to the scroll meanwhile is not the visitor's

/** What the address stands for: {name, id, section}. */
export function routeOf(search) {
  const words = new URLSearchParams(search);
  for (const name of ["pin", "board"]) if (words.get(name)) return { name, id: words.get(name), section: words.get("section") };
  const place = words.get("at");
  if (place in views) return { name: place };
  return { name: !search || search === "?" ? home() : "search" };
}

export const entry = () => history.state?.key ?? "first";
/** Keep something for when the visitor comes back to this entry. */
export const keep = (value) => {
  kept.set(entry(), value);
  if (kept.size > ENTRIES) kept.delete(kept.keys().next().value);
};
export const keptHere = () => kept.get(entry());

/** Go to an address. `replace` the entry, or add one; `state` is kept with it. */
export function navigate(address, { replace = false, state = {}, top = false } = {}) {
  settle();
  const key = replace ? entry() : crypto.randomUUID?.() ?? String(Math.random());
  history[replace ? "replaceState" : "pushState"]({ ...state, key }, "", address);
  kept.delete(key);
  return arrive({ top });
}

/** Only the address changes: what it stands for is shown already. */
export function rename(address, state = {}, replace = false) {
  history[replace ? "replaceState" : "pushState"]({ ...state, key: replace ? entry() : crypto.randomUUID?.() ?? String(Math.random()) }, "", address);
}

/** Show what the address stands for. */
export async function arrive({ top = false, back = false } = {}) {
  const mine = ++arrivals;
  returning = back;
  const before = app.route;
  app.route = routeOf(location.search);
  const moved = before.name !== app.route.name || before.id !== app.route.id;
  document.body.dataset.view = app.route.name;
  tell("route");
  const view = await views[app.route.name]();
  if (mine !== arrivals) return;
  if (current && current !== view) current.leave?.();
  current = view;
  if (!back && moved) scrollTo(0, 0);
  else if (top) scrollTo({ top: 0, behavior: calm() ? "auto" : "smooth" });
  await view.show({ back, moved });
  if (mine === arrivals && back) restore();
  if (mine === arrivals) returning = false;
}

function restore() {
  const y = scrolls.get(entry()) ?? 0;
  scrollTo(0, y);
  requestAnimationFrame(() => { if (Math.abs(scrollY - y) > 2) scrollTo(0, y); }); // the last of the layout has come
}

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// -- how far down ------------------------------------------------------------------------------------------------------
function read() {
  try { return JSON.parse(sessionStorage.getItem("scrolls") ?? "[]"); } catch { return []; }
}

let timer = 0;
function settle() {
  clearTimeout(timer);
  timer = 0;
  if (returning) return;
  scrolls.set(entry(), scrollY);
  if (scrolls.size > ENTRIES) scrolls.delete(scrolls.keys().next().value);
}

/** Begin with the views by name, each a function that gives {show, leave}; `start()` names the one of the bare address. */
export function begin(all, start) {
  views = all;
  home = start;
  history.scrollRestoration = "manual";
  addEventListener("scroll", () => { if (!timer) timer = setTimeout(settle, 80); }, { passive: true });
  addEventListener("pagehide", () => {
    settle();
    try { sessionStorage.setItem("scrolls", JSON.stringify([...scrolls])); } catch { /* the visit goes on without */ }
  });
  addEventListener("popstate", () => {
    clearTimeout(timer);
    timer = 0;
    arrive({ back: true });
  });
  document.addEventListener("click", follow);
  return arrive({ back: scrolls.has(entry()) });
}

/** A plain click on a link of ours stays on the page. */
function follow(event) {
  const link = event.target.closest?.("a[href^='/']");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (link.target || link.hasAttribute("download") || !/^\/(\?|$)/.test(link.getAttribute("href"))) return;
  event.preventDefault();
  app.file = null;
  navigate(link.getAttribute("href"), { top: true });
}
