// What is being looked at, and its address: every state has one, so back, forward and sharing work.

let start = () => "/";
/** Say what the address is where nothing is asked. */
export const whereToStart = (address) => { start = address; };

const LISTS = ["also", "text", "not_text", "like", "unlike"];

/** A state with nothing asked. */
export const empty = () => ({
  image: null, // "upload:HASH", "pin:ID" or an address
  crop: null, // [x0, y0, x1, y1] as fractions
  also: [], // further pictures: "upload:HASH" or "pin:ID"
  text: [],
  not_text: [],
  like: [],
  unlike: [],
  chosen: {}, // attribute -> values
  ranges: {}, // attribute -> [low, high], either may be null
  sort: null,
});

export function fromAddress(search) {
  const words = new URLSearchParams(search);
  const state = empty();
  state.image = words.get("image");
  state.sort = words.get("sort");
  for (const name of LISTS) state[name] = words.getAll(name);
  const crop = (words.get("crop") ?? "").split(",").map(Number);
  if (crop.length === 4 && crop.every(Number.isFinite)) state.crop = crop;
  for (const one of words.getAll("is")) {
    const [name, value] = cut(one);
    if (value === undefined) continue;
    try {
      (state.chosen[name] ??= []).push(JSON.parse(value));
    } catch { /* an address that was cut short */ }
  }
  for (const one of words.getAll("between")) {
    const [name, value] = cut(one);
    const [low, high] = (value ?? "").split("..").map((number) => (number === "" ? null : Number(number)));
    if (![low, high].some((bound) => Number.isNaN(bound) || bound === undefined)) state.ranges[name] = [low, high];
  }
  return state;
}

/** The first "=" separates; names may hold any other character. */
const cut = (text) => {
  const at = text.indexOf("=");
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
};

/** The words as they are typed: the first, then "+more" and "-less". */
export const words = ({ text, not_text: not }) => [text[0] ?? "", ...text.slice(1).map((one) => `+${one}`), ...not.map((one) => `-${one}`)].join(" ").trim();

/** What was typed, as parts of a query. A sign counts after a space, or at the very beginning. */
export function spoken(typed) {
  const parts = typed.trim().split(/\s+(?=[+\u2212-]\S)/);
  const found = { text: [], not_text: [] };
  for (const part of parts) {
    const sign = /^[+\u2212-]\S/.test(part) ? part[0] : "";
    found[sign && sign !== "+" ? "not_text" : "text"].push(sign ? part.slice(1) : part);
  }
  return found;
}

export function toAddress(state) {
  const words = new URLSearchParams();
  if (state.image) words.set("image", state.image);
  if (state.crop) words.set("crop", state.crop.map((number) => number.toFixed(4)).join(","));
  for (const name of LISTS) for (const value of state[name]) words.append(name, value);
  for (const [name, values] of Object.entries(state.chosen)) {
    for (const value of values) words.append("is", `${name}=${JSON.stringify(value)}`);
  }
  for (const [name, [low, high]] of Object.entries(state.ranges)) {
    words.append("between", `${name}=${low ?? ""}..${high ?? ""}`);
  }
  if (state.sort) words.set("sort", state.sort);
  const text = words.toString();
  return text ? `/?${text}` : start();
}

/** Whether anything is looked for, filters aside. */
export const asks = (state) => Boolean(state.image || state.also.length || state.text.length || state.like.length);

/** The filter expression for the chosen values and ranges; null without any. */
export function where(state) {
  const tests = [];
  for (const [name, values] of Object.entries(state.chosen)) {
    if (!values.length) continue;
    tests.push(typeof values[0] === "boolean"
      ? `(${values.map((value) => `${quoted(name)} = ${value}`).join(" or ")})`
      : `${quoted(name)} in (${values.map(literal).join(", ")})`);
  }
  for (const [name, [low, high]] of Object.entries(state.ranges)) {
    if (low !== null) tests.push(`${quoted(name)} >= ${low}`);
    if (high !== null) tests.push(`${quoted(name)} <= ${high}`);
  }
  return tests.length ? tests.join(" and ") : null;
}

const quoted = (name) => "`" + name + "`";
const literal = (value) => (typeof value === "string" ? `'${value.replaceAll("'", "''")}'` : String(value));

/** The query as the API takes it. */
export function request(state, k, offset) {
  const body = { k, offset };
  if (state.image) body.image = state.image;
  if (state.image && state.crop) body.crop = state.crop;
  for (const name of LISTS) if (state[name].length) body[name] = state[name];
  const filter = where(state);
  if (filter) body.where = filter;
  if (state.sort) body.sort = state.sort;
  return body;
}
