// The side panel: searches for the task that the background script left, and shows what looks like it.

import { chrome } from "./browser.js";
import { SERVER } from "./config.js";

const $ = (id) => document.getElementById(id);
const PAGE = 24;
const TITLES = ["title", "name", "caption"];

let task = null;
let upload = null; // the server's name for the query's picture
let offset = 0;
let asking = null;
let opened = 0; // the task whose page for saving was opened
const addresses = new Set(); // blob: addresses in use

async function headers() {
  const { key } = await chrome.storage.local.get("key");
  return key ? { Authorization: `Bearer ${key}` } : {};
}

async function call(path, options = {}) {
  let answer;
  try {
    answer = await fetch(SERVER + path, { ...options, headers: { ...(await headers()), ...options.headers }, credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(`The server at ${SERVER} does not answer. Is it running? Start it with: visualsearch serve DIR`);
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  if (answer.status === 401) $("login").hidden = false;
  throw new Error(problem.detail ?? `The server answered with status ${answer.status}.`);
}

/** What the visitor asks for beside the picture. */
function narrowed() {
  const words = $("words").value.trim();
  return { ...(words ? { text: [words] } : {}), ...($("products").checked ? { where: "price >= 0" } : {}) };
}

async function query(signal) {
  if (!upload && task.kind === "data" && Object.keys(narrowed()).length) {
    const picture = await (await fetch(task.data)).blob();
    upload = (await (await call("/uploads", { method: "POST", signal, body: picture, headers: { "Content-Type": "application/octet-stream" } })).json()).upload;
  }
  if (upload || task.kind === "address") {
    const body = { image: upload ? `upload:${upload}` : task.address, k: PAGE, offset, ...narrowed() };
    return call("/search", { method: "POST", signal, body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
  }
  const picture = await (await fetch(task.data)).blob();
  return call(`/search?k=${PAGE}`, { method: "POST", signal, body: picture, headers: { "Content-Type": "application/octet-stream" } });
}

async function search(first, again = false) {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  if (first) {
    offset = 0;
    if (!again) upload = null;
    $("results").replaceChildren();
    addresses.forEach((address) => URL.revokeObjectURL(address));
    addresses.clear();
  }
  $("status").textContent = "Searching …";
  try {
    const page = await (await query(signal)).json();
    if (signal.aborted) return;
    $("login").hidden = true;
    upload = page.upload ?? upload;
    offset += page.hits.length;
    $("status").textContent = page.hits.length || !first ? `Best of ${page.total.toLocaleString()} pins` : "Nothing was found.";
    $("results").append(...page.hits.map(card));
    $("more").hidden = !page.more;
    $("server").href = `${SERVER}/?image=upload:${upload}`;
    keep();
  } catch (error) {
    if (error.name !== "AbortError") $("status").textContent = error.message;
  }
}

/** The link that saves the picture to a board; opened at once for who chose that in the menu. */
function keep() {
  const words = new URLSearchParams({ at: "keep", from: "extension", image: `upload:${upload}`, ...(task.page ? { page: task.page } : {}), ...(task.title ? { title: task.title } : {}) });
  $("keep").href = `${SERVER}/?${words}`;
  $("keep").hidden = false;
  if (!task.keep || opened === task.at) return;
  opened = task.at;
  chrome.tabs.create({ url: $("keep").href });
}

function card(hit) {
  const key = TITLES.find((name) => typeof hit.attributes[name] === "string");
  const image = Object.assign(document.createElement("img"), { alt: "" });
  const name = Object.assign(document.createElement("b"), { textContent: key ? hit.attributes[key] : hit.id });
  const score = Object.assign(document.createElement("span"), { textContent: hit.score.toFixed(2), title: "Likeness" });
  const pin = `${SERVER}/?pin=${encodeURIComponent(hit.id)}`;
  const link = Object.assign(document.createElement("a"), { href: hit.uri ?? pin, target: "_blank", rel: "noopener" });
  link.append(image, name);
  const item = document.createElement("li");
  const facts = Object.assign(document.createElement("span"), { className: "facts" });
  if (hit.attributes.price !== undefined) facts.append(String(hit.attributes.price));
  facts.append(Object.assign(document.createElement("a"), { href: pin, target: "_blank", rel: "noopener", textContent: "Save", ariaLabel: `Save ${name.textContent}` }));
  item.append(link, score, facts);
  picture(image, `${hit.picture}?size=320`);
  return item;
}

/** Pictures need the key as well, so they are fetched rather than linked. */
async function picture(image, path) {
  try {
    const address = URL.createObjectURL(await (await call(path, { headers: { Accept: "image/webp" } })).blob());
    addresses.add(address);
    image.src = address;
  } catch { image.alt = "No picture"; }
}

const BEGIN = {
  waiting: () => { $("status").textContent = "Reading the picture …"; },
  failed: () => { $("status").textContent = task.why; },
  data: () => { show(task.data); search(true); },
  address: () => { show(task.address); search(true); },
};

function show(source) {
  $("query").src = source;
  $("query").hidden = false;
}

function take(next) {
  if (!next || next.at === task?.at) return;
  task = next;
  BEGIN[task.kind]?.();
}

chrome.storage.session.onChanged.addListener((changes) => take(changes.task?.newValue));
$("query").addEventListener("error", () => { $("query").hidden = true; });
$("select").addEventListener("click", () => chrome.runtime.sendMessage({ kind: "select" }));
$("more").addEventListener("click", () => search(false));
$("narrow").addEventListener("submit", (event) => { event.preventDefault(); if (task) search(true, true); });
$("products").addEventListener("change", () => { chrome.storage.local.set({ products: $("products").checked }); if (task) search(true, true); });
$("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  await chrome.storage.local.set({ key: $("key").value });
  $("key").value = "";
  if (task) search(true);
});
$("server").href = SERVER;
$("products").checked = Boolean((await chrome.storage.local.get("products")).products);
take((await chrome.storage.session.get("task")).task);
