// The one state of the page, and who wants to know when a part of it changes.

import { empty } from "/static/state.js";

const MOST_KNOWN = 5000;

export const app = {
  route: { name: "search" }, // where the visitor is
  search: empty(), // what is asked
  file: null, // a picture that the server has not seen yet
  local: null, // the visitor's own file: {blob, address, image}
  shown: { offset: 0, more: false, total: 0, upload: null }, // the results that are there
  server: { text: true, people: false, pins: 0, attributes: [], summaries: [], limits: { body_bytes: 20e6 } },
  trail: [], // pins of the list that was opened from, in its order
  taking: null, // what takes files that are dropped, where it is not the search
  known: new Map(), // pins seen, by id
};

/** Keep what is known of pins for the chips and the pages that name them. */
export function remember(pins) {
  for (const pin of pins) app.known.set(pin.id, pin);
  while (app.known.size > MOST_KNOWN) app.known.delete(app.known.keys().next().value);
}

const hearers = new Map();

/** Call `hear(value)` whenever `what` is told. */
export function on(what, hear) {
  hearers.set(what, [...(hearers.get(what) ?? []), hear]);
}

export function tell(what, value) {
  for (const hear of hearers.get(what) ?? []) hear(value);
}
