// The page's words in the visitor's language. English stands in the code; `lang/CODE.json` has the others, and what a
// plural needs. A new language is one more file there, and its code in LANGUAGES.

export const LANGUAGES = { en: "English", de: "Deutsch", fr: "Français", es: "Español", ja: "日本語" };
const RIGHT_TO_LEFT = ["ar", "fa", "he", "ur", "yi"];

// The forms of what English says differently of one.
const ENGLISH = {
  "{n} pins": { one: "{n} pin", other: "{n} pins" },
  "Best of {n} pins": { one: "Best of {n} pin", other: "Best of {n} pins" },
  "{n} boards": { one: "{n} board", other: "{n} boards" },
  "{n} saved pins": { one: "{n} saved pin", other: "{n} saved pins" },
  "{n} events, such as looking at a pin": { one: "{n} event, such as saving a pin", other: "{n} events, such as saving or looking at a pin" },
  "{n} things that you follow": { one: "{n} thing that you follow", other: "{n} things that you follow" },
  "{n} comments": { one: "{n} comment", other: "{n} comments" },
  "{n} boards of others that you work on": { one: "{n} board of others that you work on", other: "{n} boards of others that you work on" },
  "Saved {n} times": { one: "Saved once", other: "Saved {n} times" },
  "It remembers {n} pins that you looked at.": { one: "It remembers one pin that you looked at.", other: "It remembers {n} pins that you looked at." },
  "Its {n} saved pins go with it. This cannot be undone.": { one: "Its saved pin goes with it. This cannot be undone.", other: "Its {n} saved pins go with it. This cannot be undone." },
};

let language = "en";
let words = ENGLISH;
let plural = new Intl.PluralRules("en");

/** The language that was chosen, or the first of the browser's that is there. */
function wished() {
  let chosen = null;
  try { chosen = localStorage.getItem("language"); } catch { /* no storage: the browser's list stands */ }
  return [chosen, ...navigator.languages.map((one) => one.split("-")[0])].find((one) => one in LANGUAGES) ?? "en";
}

/** Read the words of the visitor's language, and put them in the page. */
export async function speak() {
  language = wished();
  if (language === "en") return;
  try {
    const answer = await fetch(`/static/lang/${language}.json`);
    if (answer.ok) words = await answer.json();
  } catch { return; } // English is in the code
  plural = new Intl.PluralRules(language);
  document.documentElement.lang = language;
  document.documentElement.dir = RIGHT_TO_LEFT.includes(language) ? "rtl" : "ltr";
  translate(document.body);
}

export const spoken = () => language;

export function choose(code) {
  try { localStorage.setItem("language", code); } catch { return; }
  location.reload();
}

/** `text` in the visitor's language, with {name} replaced; `values.n` also chooses among the forms of a plural. */
export function t(text, values = {}) {
  let found = words[text] ?? text;
  if (typeof found === "object") found = found[plural.select(values.n)] ?? found.other;
  return filled(found, values);
}

/** Whether there is a translation. */
export const knows = (text) => text in words;

const filled = (text, values) => text.replaceAll(/\{(\w+)\}/g, (all, name) => {
  const value = values[name];
  return value === undefined ? all : typeof value === "number" ? value.toLocaleString(language) : value;
});

const SAID = ["aria-label", "placeholder", "title"];

/** The words that the page itself holds. */
function translate(root) {
  const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    if (node.nodeType === Node.TEXT_NODE) {
      const text = node.data.trim();
      if (text && words[text]) node.data = node.data.replace(text, t(text));
    } else {
      for (const name of SAID) if (words[node.getAttribute(name)]) node.setAttribute(name, t(node.getAttribute(name)));
    }
  }
}
