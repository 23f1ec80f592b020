// The review queue: clusters first, their evidence and pictures, one key a verdict, and undo.

import { $, el } from "/static/dom.js";

const WORDS = { f: "fine", l: "lower", o: "hold", h: "hide", r: "remove" };
let key = ""; // stays in this page's memory: a key that may write is kept nowhere
const done = [];

async function call(path, options = {}) {
  const headers = { Accept: "application/json", ...(key ? { Authorization: `Bearer ${key}` } : {}), ...options.headers };
  const answer = await fetch(path, { ...options, headers });
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => ({}));
  if (answer.status === 401 || answer.status === 403) $("login").hidden = false;
  throw new Error(body.detail || body.title || "That did not work");
}

const say = (text) => { $("said").textContent = text; };

async function post(path, value) {
  const body = value ? { body: JSON.stringify(value), headers: { "Content-Type": "application/json" } } : {};
  return (await call(path, { method: "POST", ...body })).json();
}

/** A pin's picture. It may be hidden from everybody else, so it is fetched with the key. */
function picture(id) {
  const image = el("img", { alt: id, title: id, loading: "lazy" });
  call(`/trust/pins/${encodeURIComponent(id)}/picture?size=160`, { headers: { Accept: "image/jpeg" } })
    .then((answer) => answer.blob())
    .then((blob) => { image.src = URL.createObjectURL(blob); image.onload = () => URL.revokeObjectURL(image.src); })
    .catch(() => image.replaceWith(el("span", { title: id }, id)));
  return image;
}

function shown(one) {
  const signs = one.evidence.map((sign) => el("li", {}, el("b", {}, `${sign.weight > 0 ? "+" : ""}${sign.weight.toFixed(1)}`), sign.sentence));
  const doing = one.action === "nothing" ? "nothing is done yet" : `now: ${one.action}`;
  const ends = one.until ? `, until ${new Date(one.until).toLocaleString()}` : "";
  const acts = Object.entries(WORDS).map(([letter, word]) =>
    el("button", { onclick: () => decide(node, one, word) }, `${word} (${letter.toUpperCase()})`));
  const node = el("li", { class: "case", tabindex: "0", "data-verdict": one.verdict },
    el("h2", {}, one.title),
    el("p", { class: "label" }, `${one.kind}, score ${one.score.toFixed(2)}; ${doing}${ends}; ${one.pin_count} pins, ${one.people.length} accounts ${one.sites.join(", ")}`),
    ...one.appeals.map((each) => appealed(one, each)),
    el("ul", { class: "signs" }, ...signs),
    el("div", { class: "pins" }, ...one.pins.map(picture)),
    el("div", { class: "acts" }, ...acts));
  node.addEventListener("keydown", (event) => {
    const word = WORDS[event.key.toLowerCase()];
    if (!word || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    decide(node, one, word);
  });
  return node;
}

/** What somebody says against it. Granted, it lets them go with their pins, and the case goes on for the others. */
function appealed(one, said) {
  const waits = said.outcome === "waiting";
  const acts = waits ? [["grant", true], ["refuse", false]].map(([word, granted]) =>
    el("button", { onclick: () => answer(one, said, granted) }, word)) : [];
  return el("p", { class: "appeal" }, `Appeal of ${said.person} (${said.outcome}): ${said.text} `, ...acts);
}

async function answer(one, said, granted) {
  try {
    await post(`/trust/cases/${one.verdict}/appeals`, { person: said.person, granted });
    await load();
    say(`${one.title}: the appeal of ${said.person} is ${granted ? "granted" : "refused"}.`);
  } catch (error) { say(error.message); }
}

async function decide(node, one, verdict) {
  try {
    await post(`/trust/cases/${one.verdict}`, { verdict });
    done.push(one);
    const next = node.nextElementSibling ?? node.previousElementSibling;
    node.remove();
    next?.focus();
    say(`${one.title}: ${verdict}. U takes it back.`);
  } catch (error) { say(error.message); }
}

async function undo() {
  const one = done.pop();
  if (!one) { say("Nothing was decided here yet."); return; }
  try {
    await post(`/trust/cases/${one.verdict}`, { verdict: "reopen" });
    await load();
    document.querySelector(`[data-verdict="${one.verdict}"]`)?.focus();
    say(`${one.title}: taken back, it waits again.`);
  } catch (error) { done.push(one); say(error.message); }
}

async function load() {
  try {
    const found = await (await call(`/trust/cases?k=50&ask_first=${$("ask").checked}`)).json();
    $("login").hidden = true;
    $("cases").replaceChildren(...found.cases.map(shown));
    const seen = found.prevalence;
    $("figures").textContent = seen.impressions
      ? `Spam had ${(100 * seen.share).toFixed(2)} % of the last day's ${seen.impressions.toLocaleString()} impressions; at most ${(100 * seen.highest).toFixed(2)} % with what waits.`
      : "";
    say(found.cases.length ? "" : "Nothing waits for a person.");
    $("cases").firstElementChild?.focus();
  } catch (error) { say(error.message); }
}

document.addEventListener("keydown", (event) => {
  if (event.target.tagName === "INPUT" || event.ctrlKey || event.metaKey || event.altKey) return;
  const here = document.activeElement?.closest(".case");
  if (event.key === "u") undo();
  else if (event.key === "j") (here ? here.nextElementSibling : $("cases").firstElementChild)?.focus();
  else if (event.key === "k") here?.previousElementSibling?.focus();
});
$("ask").addEventListener("change", load);
$("login").addEventListener("submit", (event) => { event.preventDefault(); key = $("key").value.trim(); $("key").value = ""; load(); });
load();
