// The owner's key: one that may write stays in this page's memory alone. A cookie only reads, and stands for insight.

import * as api from "/static/api.js";

let key = "";
let by = null; // "open", "write" or "insight": why the owner's pages are for this visitor

/** Ask the server whether the owner's pages are for this visitor. */
export async function entered() {
  const { owner } = await api.call("/session");
  by = owner;
  return by;
}

/** What may be done here now: "open" (no key is needed), "write", "insight". */
export const may = (what) => by === "open" || (what === "write" ? Boolean(key) : by === what);

/** Take a key; whether it is an owner's. */
export async function give(given) {
  const { scope, owner } = await api.session(given);
  if (scope === "write") key = given;
  by = owner;
  return Boolean(owner);
}

/** A request in the owner's name. */
export function ownerCall(method, path, body, headers = {}) {
  return api.call(path, { method, headers: { ...(key ? { Authorization: `Bearer ${key}` } : {}), ...headers }, ...(body === undefined ? {} : { body }) });
}
