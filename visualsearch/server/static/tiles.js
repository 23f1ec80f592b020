// Grids of pins as they are everywhere on the page: a link, a save button, what was seen told to the events.

import { app, on } from "/static/app.js";
import { facts } from "/static/facets.js";
import { Grid } from "/static/grid.js";
import { clicked, watch } from "/static/events.js";
import { saveButton, showSaved } from "/static/saving.js";

const grids = new Set();

/** Where a card stands, as events and saves say it. */
export const seenAt = (surface) => (card) => ({
  surface, slot: card.slot, row: card.row, column: card.column, ...(card.answer ? { answer: card.answer } : {}),
  ...(card.pin.placement ? { variant: `promoted:${card.pin.placement}` } : {}),
});

/** A grid in `list`. `surface` is what events call the place; `more` are further actions of a Grid; `more.seen` goes with every save. */
export function tiles(list, surface, more = {}) {
  const at = seenAt(surface);
  const seen = (card) => ({ ...at(card), ...more.seen });
  const grid = new Grid(list, {
    ...more,
    surface,
    decorate: (card) => {
      card.seen = () => seen(card);
      card.keep = saveButton(card, seen);
      card.buttons.append(card.keep);
      card.open.addEventListener("click", () => { app.trail = card.grid.order; clicked(card); });
      more.decorate?.(card);
      watch(card);
    },
    updated: (card) => {
      card.keep.hidden = !app.server.people;
      showSaved(card.keep, card.pin);
      more.updated?.(card);
    },
  });
  grid.facts = app.server.version ? facts() : null;
  grids.add(new WeakRef(grid));
  return grid;
}

function each(act) {
  for (const held of grids) {
    const grid = held.deref();
    if (grid) act(grid); else grids.delete(held);
  }
}

on("saved", (id) => each((grid) => {
  for (const card of id ? [grid.cards.get(id)].filter(Boolean) : grid.cards.values()) showSaved(card.keep, card.pin);
}));
