// Why a pin or a board is there, in the visitor's language. The server says it in English, in one of a few forms with titles in
// quotes; each form has a translation. A form that is not known here stays as the server said it.

import { knows, spoken, t } from "/static/words.js";

const TITLE = /"([^"]*)"(?: and (many|[\d,]+) more (?:board|pin)s?)?/g;
const NAMES = ["a", "b", "c"];

/** The form of an English sentence, and what stands in it. */
export function formOf(sentence) {
  const values = {};
  let at = 0;
  const form = sentence.replaceAll(TITLE, (_, title, count) => {
    const name = NAMES[at];
    at += 1;
    if (name) values[name] = { title, count };
    return `{${name}}`;
  }).replace(/\b(\d[\d,]*) public boards?/, (_, count) => {
    values.n = number(count);
    return "{n} public boards";
  });
  return { form, values };
}

const number = (text) => Number(text.replaceAll(",", ""));

/** A title in quotes, with how many others there are. */
function named({ title, count }) {
  if (!count) return t("“{title}”", { title });
  if (count === "many") return t("“{title}” and many more", { title });
  return t("“{title}” and {n} more", { title, n: number(count) });
}

/** An English reason in the visitor's language. */
export function inWords(sentence) {
  if (spoken() === "en" || !sentence) return sentence;
  const { form, values } = formOf(sentence);
  const said = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, name === "n" ? value : named(value)]));
  return knows(form) ? t(form, said) : sentence;
}
