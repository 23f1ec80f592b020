// Changes on their way to the server: shown at once, kept until the server has them, sent in order and once. A server that
// restarts, or a line that breaks, only delays them.

import * as api from "/static/api.js";
import { tell } from "/static/app.js";
import { ready } from "/static/person.js";
import { read, write } from "/static/stored.js";

const NAME = "outbox";
const FIRST_MS = 500;
const LONGEST_MS = 30_000;
const MOST = 1000;

let wait = FIRST_MS;
let timer = 0;
let sending = null;

/** A change as {method, path, body}; `label` comes back with the answer. Returns its id. */
export function post(method, path, body, label = {}) {
  const id = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  write(NAME, [...read(NAME, []), { id, method, path, body, label }].slice(-MOST));
  drain();
  return id;
}

/** Take a change back that was not sent yet. Whether there was one. */
export function take(id) {
  const list = read(NAME, []);
  const rest = list.filter((one) => one.id !== id);
  if (rest.length === list.length || busyWith === id) return false;
  write(NAME, rest);
  return true;
}

export const waiting = () => read(NAME, []).length;

let busyWith = null;
/** Send what waits; of several tabs, one does. */
export function drain() {
  clearTimeout(timer);
  sending ??= (navigator.locks ? navigator.locks.request(NAME, sendAll) : sendAll()).finally(() => {
    sending = null;
    if (waiting() && !timer) drain();
  });
  return sending;
}

async function sendAll() {
  timer = 0;
  for (let next = read(NAME, [])[0]; next; next = read(NAME, [])[0]) {
    busyWith = next.id;
    try {
      await ready();
      const answer = await api.send(next.method, next.path, next.body);
      wait = FIRST_MS;
      done(next, answer, null);
    } catch (error) {
      if (!(error instanceof api.Problem)) { done(next, null, error); throw error; }
      if (error.status === 0 || error.status === 429 || error.status >= 500) {
        tell("waiting", waiting());
        timer = setTimeout(drain, wait);
        wait = Math.min(LONGEST_MS, 2 * wait);
        return;
      }
      done(next, null, error);
    } finally {
      busyWith = null;
    }
  }
}

function done(entry, answer, error) {
  write(NAME, read(NAME, []).filter((one) => one.id !== entry.id));
  tell(error ? "refused" : "sent", { entry, answer, error });
}

addEventListener("online", () => { wait = FIRST_MS; drain(); });
