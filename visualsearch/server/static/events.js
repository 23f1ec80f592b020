// What people look at and press, as events: only of who agreed, in batches, and the rest when the page is left.

import * as api from "/static/api.js";
import { recorded } from "/static/person.js";
import { read, write } from "/static/stored.js";

const SEEN_MS = 1000; // half of a tile, for so long, is an impression
const BATCH = 40;
const BETWEEN_MS = 8000;
const MOST = 400;

const session = crypto.randomUUID?.() ?? String(Math.random());
const seen = new Set(); // impressions that were told, by list and pin
let waiting = [];
let timer = 0;
let sending = false;

/** Record one event. */
export function record(kind, values) {
  if (!recorded(kind === "search" ? "searches" : "clicks")) return;
  waiting.push({ kind, event_id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, at: Date.now(), session, ...values });
  waiting = waiting.slice(-MOST);
  if (waiting.length >= BATCH) send();
  else if (!timer) timer = setTimeout(send, BETWEEN_MS);
}

async function send() {
  clearTimeout(timer);
  timer = 0;
  if (sending || !waiting.length) return;
  if (!recorded() && !recorded("searches")) { waiting = []; return; }
  sending = true;
  const batch = waiting;
  waiting = [];
  try {
    await api.send("POST", "/events", { events: batch, sent: Date.now() });
  } catch (error) {
    if (!error.status || error.status >= 429) waiting = [...batch, ...waiting].slice(-MOST); // sent again under the same ids
  } finally {
    sending = false;
    if (waiting.length && !timer) timer = setTimeout(send, BETWEEN_MS);
  }
}

/** The page may be gone after this. What a browser will not take is kept for the next visit. */
function leave() {
  if (!waiting.length) return;
  const body = new Blob([JSON.stringify({ events: waiting, sent: Date.now(), csrf: api.token() })], { type: "application/json" });
  let taken = false;
  try { taken = navigator.sendBeacon("/events", body); } catch { /* blocked */ }
  if (!taken) write("events", waiting);
  waiting = [];
}

addEventListener("pagehide", leave);
document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") leave(); });

/** Events that the last visit could not send. */
export function resume() {
  const left = read("events", []);
  if (!left.length) return;
  write("events", null);
  if (!recorded() && !recorded("searches")) return;
  waiting = [...left, ...waiting].slice(-MOST);
  send();
}

// -- tiles -----------------------------------------------------------------------------------------------------------------
const timers = new WeakMap();
const observer = new IntersectionObserver((entries) => {
  for (const { target, intersectionRatio } of entries) {
    clearTimeout(timers.get(target));
    const { card } = target;
    if (intersectionRatio < 0.5 || !card) continue;
    timers.set(target, setTimeout(() => {
      const { answer } = card;
      const key = `${answer ?? ""} ${card.pin.id}`;
      if (!answer || seen.has(key) || document.visibilityState === "hidden" || !target.isConnected) return;
      seen.add(key);
      record("impression", { pin: card.pin.id, ...card.seen() });
    }, SEEN_MS));
  }
}, { threshold: [0, 0.5] });

/** Tell when a card has been looked at. */
export const watch = (card) => observer.observe(card.node);

export function clicked(card) {
  record("click", { pin: card.pin.id, ...card.seen() });
}
