// Who is here, and what they keep. Nobody is asked for before something is to be kept: until then there is no cookie.

import * as api from "/static/api.js";
import { app, tell } from "/static/app.js";
import { read, write } from "/static/stored.js";

const MOST_PAGES = 50;

Object.assign(app, { me: null, boards: [], saved: new Map() });

/** Whether this browser has kept something before. */
export const known = () => Boolean(read("person"));

let asked = null;
/** The person, asked for once. */
export function ready() {
  asked ??= api.me().then((found) => {
    app.me = found;
    write("person", 1);
    tell("me");
    return found;
  });
  asked.catch(() => { asked = null; });
  return asked;
}

/** Ask again: something of the person has changed. */
export function again() {
  asked = null;
  return ready();
}

/** Read boards and saves, where there may be some. */
export async function load() {
  if (!app.server.people || !known()) return;
  await ready();
  await Promise.all([loadBoards(), loadSaves()]);
}

export async function loadBoards() {
  const found = [];
  let cursor = null;
  do {
    const page = await api.boards({ cursor });
    found.push(...page.boards);
    cursor = page.cursor;
  } while (cursor);
  app.boards = found;
  tell("boards");
}

async function loadSaves() {
  const found = new Map();
  let cursor = null;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const { saves, cursor: next } = await api.saves(cursor);
    for (const { pin, board } of saves) found.set(pin, (found.get(pin) ?? new Set()).add(board));
    cursor = next;
    if (!cursor) break;
  }
  app.saved = found;
  write("saves", found.size);
  tell("saved");
}

/** Whether this person has saved something: then the feed is the start page. */
export const hasSaved = () => app.saved.size > 0 || Boolean(read("saves"));

// -- what may be recorded ------------------------------------------------------------------------------------------------
/** The answer to whether what is looked at may be kept: "yes", "no", or null of who was not asked. */
export const agreed = () => (app.me && !app.me.visitor ? "yes" : read("agreed"));

/** Whether events of a kind may be sent, by the switch that it belongs to. */
export function recorded(signal = "clicks") {
  const consent = app.me?.consent;
  return Boolean(consent) && agreed() === "yes" && consent.level !== "off" && !consent.paused && consent[signal];
}

export async function agree(yes) {
  write("agreed", yes ? "yes" : "no");
  await ready();
  Object.assign(app.me.consent, await api.send("PUT", "/me/signals", { clicks: yes, searches: yes }));
  tell("me");
}

/** Nothing of the person is left here either. */
export function forgotten() {
  for (const name of ["person", "saves", "agreed", "board", "outbox", "events", "history"]) write(name, null);
  Object.assign(app, { me: null, boards: [], saved: new Map(), follows: null });
  asked = null;
  tell("me");
}
