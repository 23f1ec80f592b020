// Talking to the server. Every failure is an Error with the problem document's words and kind.

export class Problem extends Error {
  constructor(kind, title, detail, status) {
    super(detail || title);
    Object.assign(this, { kind, title, detail, status });
  }
}

let login = null;
let csrf = null; // what changes in the name of a cookie need


/** What to do when a key is needed: an async function that asks for one. */
export const whenKeyNeeded = (ask) => { login = ask; };

export const token = () => csrf;

export async function call(path, options = {}) {
  let answer;
  const changes = options.method && options.method !== "GET" && csrf ? { "X-CSRF-Token": csrf } : {};
  try {
    answer = await fetch(path, { ...options, headers: { Accept: "application/json", ...changes, ...options.headers } });
    if (answer.ok) return answer.status === 204 ? null : await answer.json(); // the line may break here, too
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("offline", "The server does not answer", "Check that it runs and that you are connected, then try again.", 0);
  }
  const body = await answer.json().catch(() => ({}));
  const kind = (body.type ?? "").split("#")[1] ?? "internal";
  if (kind === "person-needed" && !options.again) { // from here on the visitor is somebody
    await me();
    return call(path, { ...options, again: true });
  }
  if (answer.status === 401 && login && path !== "/session") {
    await login(body.detail);
    return call(path, options);
  }
  if (answer.status === 429 && !options.tried) {
    const wait = 1000 * Math.min(5, Number(answer.headers.get("Retry-After")) || 1);
    await new Promise((done) => { setTimeout(done, wait); });
    options.signal?.throwIfAborted();
    return call(path, { ...options, tried: true });
  }
  if (kind === "forbidden" && csrf && options.method && !options.again) { // the cookie or the server's secret is a new one
    csrf = null;
    await me();
    return call(path, { ...options, again: true });
  }
  throw new Problem(kind, body.title ?? "That did not work", body.detail ?? "", answer.status);
}

export const isAddress = (text) => /^https?:\/\/\S+$/i.test(text.trim());

const json = (value, method = "POST", signal = undefined) => ({
  method,
  signal,
  body: JSON.stringify(value),
  headers: { "Content-Type": "application/json" },
});

export const search = (query, signal) => call("/search", json(query, "POST", signal));
export const look = (query, signal) => call("/look", json(query, "POST", signal));
export const upload = (blob) => call("/uploads", { method: "POST", body: blob, headers: { "Content-Type": "application/octet-stream" } });
export const info = () => call("/info");
export const attributes = () => call("/attributes");

/** How many pins each value leaves, as {attribute: [{value, count}]}; of the attribute `name` alone where one is given. */
export const counts = async (where, name, signal) => {
  const words = new URLSearchParams();
  if (where) words.set("where", where);
  if (name) words.append("name", name);
  return (await call(`/attributes/counts?${words}`, { signal })).counts;
};
export const session = (key) => call("/session", json({ key }));
export const pin = (id, signal) => call(`/pins/${encodeURIComponent(id)}`, { signal });

export function pins(query, signal) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== null && value !== undefined) words.set(name, value);
  return call(`/pins?${words}`, { signal });
}

/** Search by a file; the answer's `upload` names it for the queries that follow. */
export function searchFile(file, query, signal) {
  const form = new FormData();
  form.append("image", file, "picture");
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) && name !== "crop" ? value : [value]) form.append(name, String(one));
  }
  return call("/search", { method: "POST", body: form, signal });
}

/** Where the picture of a state's `image` is shown from; an address of another site is shown from the kept copy. */
export function pictureOf(image, upload, size) {
  if (image?.startsWith("pin:")) return `/pins/${encodeURIComponent(image.slice(4))}/picture?size=${size}`;
  const name = image?.startsWith("upload:") ? image.slice(7) : upload;
  return name ? `/uploads/${encodeURIComponent(name)}/picture?size=${size}` : null;
}

// -- people -----------------------------------------------------------------------------------------------------------
const named = (name) => encodeURIComponent(name);
const words = (query) => new URLSearchParams(Object.entries(query).filter(([, value]) => value !== null && value !== undefined)).toString();

/** Who asks; a visitor gets a cookie by it, so it is asked for only when something is to be kept. */
export async function me() {
  const found = await call("/me");
  csrf = found.csrf;
  return found;
}
export const send = (method, path, body) => call(path, body === undefined ? { method } : json(body, method));
export const related = (id, k, signal) => call(`/pins/${named(id)}/related?${words({ k })}`, { signal });
export const savesOf = (pin, k, signal) => call(`/saves?${words({ pin, k })}`, { signal });
export const saves = (cursor) => call(`/saves?${words({ k: 200, cursor })}`);
export const boards = (query = {}, signal = undefined) => call(`/boards?${words({ k: 200, ...query })}`, { signal });
export const board = (id, signal) => call(`/boards/${named(id)}`, { signal });
export const boardPins = (id, query, signal) => call(`/boards/${named(id)}/pins?${words(query)}`, { signal });
export const ideas = (id, query, signal) => call(`/boards/${named(id)}/ideas?${words(query)}`, { signal });
export const feed = (query, signal) => call(`/feed?${words(query)}`, { signal });
export const follows = () => call("/follows?k=200");
export const comments = (pin, cursor, signal) => call(`/pins/${named(pin)}/comments?${words({ k: 50, cursor })}`, { signal });
