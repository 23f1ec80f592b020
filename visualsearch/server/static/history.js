// The pins that were looked at. They stay in this browser: the server does not get the list.

import { read, write } from "/static/stored.js";

const NAME = "history";
const MOST = 200;

/** A pin's page was opened. */
export function viewed({ id, attributes, picture, width, height }) {
  const rest = read(NAME, []).filter((one) => one.id !== id);
  const { title, name, caption, price } = attributes;
  const kept = Object.fromEntries(Object.entries({ title, name, caption, price }).filter(([, value]) => value !== undefined));
  write(NAME, [{ id, attributes: kept, picture, width, height, at: Date.now() }, ...rest].slice(0, MOST));
}

export const looked = () => read(NAME, []);
export const clear = () => write(NAME, null);
