// The filters beside the results, and how many pins each value leaves.

import * as api from "/static/api.js";
import { app } from "/static/app.js";
import { $ } from "/static/dom.js";
import { build } from "/static/filters.js";
import { where } from "/static/state.js";

const FACTS = ["price", "category", "kind", "colour", "color", "brand", "type"];

let filters = null;

/** Make the filters from what the server said of its attributes; which of these to show under a title. */
export function whatFilters(go) {
  filters = build($("filter-list"), app.server.summaries, (edit) => go(edit));
  $("filters").hidden = !filters.some;
  filters.show(app.search);
  return facts();
}

export const facts = () => FACTS.filter((name) => app.server.attributes.includes(name)).slice(0, 2);

export const showFacets = () => filters?.show(app.search);

/**
 * Bring the counts beside the filters' values up to date. An attribute that is filtered by is counted without its own
 * filter: its numbers say what choosing another value would give.
 */
export async function recount(wanted, signal) {
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
