// Elements from data. Text goes in as text nodes only: nothing that a pin or a visitor says becomes markup.

import { inWords } from "/static/reasons.js";
import { t } from "/static/words.js";

export const $ = (id) => document.getElementById(id);

/** An element: el("p", {class: "x", onclick: f}, "text", child). */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

/** A small line icon from a path. */
export function icon(path) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

export const ICONS = {
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  close: "m6 6 12 12M18 6 6 18",
  keep: "M6 4h12v16l-6-4.500-6 4.500z",
  down: "m6 9 6 6 6-6",
  back: "M15 5 8 12l7 7",
  dots: "M5 12h.01M12 12h.01M19 12h.01",
  lock: "M7 11V8a5 5 0 0 1 10 0v3M5 11h14v9H5z",
  hide: "M4 4l16 16M9.900 5.200A9 9 0 0 1 12 5c6 0 9 7 9 7a15 15 0 0 1-2.500 3.500M6.500 7.500A15 15 0 0 0 3 12s3 7 9 7a9 9 0 0 0 4-.900",
  out: "M9 6H6v12h12v-3M13 5h6v6m0-6-8 8",
};

const TITLES = ["title", "name", "caption"];

/** The attribute that names a pin, and its value. */
export function titleOf(pin) {
  const key = TITLES.find((name) => typeof pin.attributes[name] === "string" && pin.attributes[name]);
  return [key, key ? pin.attributes[key] : pin.id];
}

/** An attribute's value as a person would write it. */
export function say(value) {
  if (value === true) return t("yes");
  if (value === false) return t("no");
  if (typeof value === "number" && !Number.isInteger(value)) {
    return value.toLocaleString(undefined, { maximumFractionDigits: Math.abs(value) < 1 ? 4 : 2, minimumFractionDigits: 2 });
  }
  if (Array.isArray(value)) return value.map(say).join(", ");
  if (value !== null && typeof value === "object") return JSON.stringify(value);
  return String(value);
}

/** Why a pin is there, in words: the number beside them says little to most. Empty where there is no reason. */
export const reason = (pin) => inWords((pin.why?.sentence ?? "").replace(/ \(cosine -?[\d.]+\)$/, ""));
