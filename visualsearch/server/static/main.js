// The page begins: its views, its top bar, and what the server says of itself.

import * as api from "/static/api.js";
import { app, on, tell } from "/static/app.js";
import { $ } from "/static/dom.js";
import { resume } from "/static/events.js";
import { keepFiles, shared } from "/static/app-like.js";
import { listen as listenToInputs, take } from "/static/inputs.js";
import { listen as listenForKeys } from "/static/login.js";
import { drain, waiting } from "/static/outbox.js";
import { hasSaved, load } from "/static/person.js";
import { begin } from "/static/router.js";
import * as search from "/static/search.js";
import { whereToStart } from "/static/state.js";
import { speak, t } from "/static/words.js";

const VIEWS = {
  search: async () => ({ show: search.enter, leave: search.leave }),
  pin: () => import("/static/pin.js"),
  feed: () => import("/static/feed.js"),
  boards: () => import("/static/boards.js"),
  board: () => import("/static/board.js"),
  me: () => import("/static/me.js"),
  history: () => import("/static/looked.js"),
  keep: () => import("/static/keep.js"),
  button: () => import("/static/button.js"),
  owner: () => import("/static/owner.js"),
};

whereToStart(() => (start() === "search" ? "/" : "/?at=explore"));
const start = () => (hasSaved() ? "feed" : "search");

on("route", () => {
  const { name } = app.route;
  $("search").hidden = name !== "search";
  $("place").hidden = name === "search";
  if (name !== "search") $("results").setAttribute("aria-busy", "false");
  for (const link of $("nav").querySelectorAll("a")) {
    if (link.dataset.place === name) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  for (const open of document.querySelectorAll("dialog[open]:not(#login, [data-stays])")) open.close();
});
for (const dialog of document.querySelectorAll("dialog:not(#login)")) {
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); }); // beside it
}
on("me", resume);

$("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("theme", document.documentElement.dataset.theme); } catch { /* it lasts for this visit */ }
});
$("more").addEventListener("click", search.more);
new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) search.more(); }, { rootMargin: "900px" }).observe($("sentinel"));

const wide = matchMedia("(min-width: 62rem)");
const fold = () => { $("filters").open = wide.matches; };
wide.addEventListener("change", fold);

/** Who has an owner's key sees the way to the owner's pages; a server without people has no other place beside the search. */
function ownersNav(owner) {
  $("owner").hidden = !owner;
  $("nav").hidden = !app.server.people && !owner;
  document.body.classList.toggle("places", !$("nav").hidden);
  for (const link of $("nav").querySelectorAll("a")) {
    if (!app.server.people && !["search", "owner"].includes(link.dataset.place)) link.hidden = true;
  }
}

async function describe() {
  try {
    const [info, summaries] = await Promise.all([api.info(), api.attributes()]);
    app.server = { ...info, summaries: summaries.attributes };
  } catch (error) {
    if (error.kind !== "offline") console.error(error);
    return; // the results say what is wrong
  }
  if (!app.server.text) $("words").placeholder = t("Paste a picture’s address");
  ownersNav(null);
  tell("server");
  if (waiting()) drain();
  load().catch((error) => console.warn(error)); // the page can be read without
  api.call("/session").then(({ owner }) => ownersNav(owner), () => {});
}

listenToInputs();
listenForKeys();
fold();
await speak();
const photograph = await shared();
await Promise.all([describe(), begin(VIEWS, start)]);
if (photograph) await take(photograph);
keepFiles();
