// The owner's pages: pins to add, what waits for review, campaigns, experiments, insight. Each asks for the right key.

import * as api from "/static/api.js";
import { app } from "/static/app.js";
import { adding } from "/static/adding.js";
import { $, el } from "/static/dom.js";
import { entered, give, may, ownerCall } from "/static/owner-key.js";
import { attempt, sheet } from "/static/pages.js";
import { note, toast, told } from "/static/says.js";
import { t } from "/static/words.js";

export async function show() {
  const root = $("place");
  document.title = `${t("Owner")} · visualsearch`;
  const found = await entered().catch((error) => error);
  if (app.route.name !== "owner") return;
  if (found instanceof Error) {
    root.replaceChildren(note(t("That did not work"), told(found), [t("Try again"), () => show()]));
    return;
  }
  const parts = el("div", { class: "owner" });
  root.replaceChildren(el("div", { class: "me" }, el("h1", {}, t("Owner")), ...(may("open") ? [] : [keyForm()]), parts));
  if (may("write")) {
    parts.append(adding(), review());
    if (app.server.people) parts.append(await campaigns(), await experiments());
  }
  if (may("insight") && app.server.people) parts.append(insight());
}

export function leave() {
  app.taking = null;
  $("place").replaceChildren();
}

function keyForm() {
  const key = el("input", { type: "password", required: true, autocomplete: "off", spellcheck: "false", maxlength: 200 });
  const form = el("form", { class: "row" }, el("label", { class: "row" }, el("span", {}, t("A key with the scope write or insight")), key), el("button", { class: "primary" }, t("Continue")));
  form.addEventListener("submit", attempt(async (event) => {
    event.preventDefault();
    if (await give(key.value.trim())) show();
    else toast(t("This key is no owner’s: it may read only."));
  }));
  const person = app.me && !app.me.visitor;
  return el("section", {}, el("p", { class: "soft" }, t("A key that may write stays in this page’s memory, and is gone when you close or reload it.")),
    person ? el("p", { class: "soft" }, t("The key takes the place of your own token in this browser: sign in again afterwards.")) : null, form);
}

const section = (title, ...children) => el("section", {}, el("h2", {}, title), ...children.filter(Boolean));

function review() {
  return section(t("Review"), el("p", { class: "soft" }, t("What looks like spam waits for a person, with its evidence.")),
    el("div", { class: "row" }, el("a", { class: "quiet", href: "/review" }, t("Open the queue"))));
}

/** A table with a heading for each column; cells may be text or elements. */
function table(name, heads, rows) {
  const cells = (tag, values) => el("tr", {}, ...values.map((value) => el(tag, tag === "th" ? { scope: "col" } : { dir: "auto" }, value)));
  return el("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": name },
    el("table", {}, el("thead", {}, cells("th", heads)), el("tbody", {}, ...rows.map((row) => cells("td", row)))));
}

/** What `read` gives as a section, or what went wrong in its place. */
async function listed(title, read) {
  try {
    return section(title, ...await read());
  } catch (error) {
    return section(title, el("p", { class: "soft", role: "alert" }, told(error)));
  }
}

const ask = (title, text, act) => sheet(title, [el("p", {}, text), el("button", { class: "primary" }, title)], async () => { await act(); show(); });
const press = (text, act) => el("button", { type: "button", class: "quiet small", onclick: act }, text);
const money = (minor, currency) => {
  try {
    const format = new Intl.NumberFormat(document.documentElement.lang, { style: "currency", currency });
    return format.format(minor / 10 ** format.resolvedOptions().maximumFractionDigits);
  } catch { return `${minor} ${currency}`; }
};
const STATES = { draft: "Draft", running: "Running", active: "Running", stopped: "Stopped", paused: "Paused", ended: "Ended", waiting: "Waiting", spent: "Spent" };
const state = (name) => t(STATES[name] ?? name);

const campaigns = () => listed(t("Campaigns"), async () => {
  const found = (await ownerCall("GET", "/campaigns")).campaigns;
  if (!found.length) return [el("p", { class: "soft" }, t("There are none. Import some with: {command}", { command: "visualsearch promote import DIR FILE" }))];
  const rows = found.map((one) => [one.id, one.advertiser, state(one.state), `${money(one.spent, one.currency)} / ${money(one.budget, one.currency)}`,
    one.state === "stopped" ? "" : press(t("Stop"), () => ask(t("Stop"), t("“{name}” is shown no more. What was shown before is still billed.", { name: one.id }), () => ownerCall("POST", `/campaigns/${encodeURIComponent(one.id)}/stop`)))]);
  return [table(t("Campaigns"), [t("Name"), t("Advertiser"), t("State"), t("Spent, of its budget"), ""], rows)];
});

const experiments = () => listed(t("Experiments"), async () => {
  const { experiments: found } = await ownerCall("GET", "/experiments");
  if (!found.length) return [el("p", { class: "soft" }, t("There are none. Plan one with: {command}", { command: "visualsearch experiment create DIR NAME" }))];
  const path = (one) => `/experiments/${encodeURIComponent(one.name)}`;
  const says = (one) => attempt(async () => {
    const { sentences, units } = await ownerCall("GET", path(one));
    const counted = Object.entries(units).map(([arm, n]) => `${arm}: ${n.toLocaleString()}`).join(", ");
    sheet(one.name, [el("p", { class: "soft" }, counted), el("ul", { class: "plain", lang: "en" }, ...sentences.map((sentence) => el("li", {}, sentence)))]);
  });
  const rows = found.map((one) => [one.name, state(one.state), `${Math.round(100 * one.ramp)} %`, el("span", { class: "row" }, press(t("What it says"), says(one)),
    one.state === "running" && one.ramp < 1 ? press(t("Let more in"), attempt(async () => { await ownerCall("POST", `${path(one)}/ramp`); show(); })) : null,
    one.state === "running" ? press(t("Stop"), () => ask(t("Stop"), t("“{name}” meets nobody any more. What was seen stays.", { name: one.name }), () => ownerCall("POST", `${path(one)}/stop`))) : null)]);
  return [table(t("Experiments"), [t("Name"), t("State"), t("People in it"), ""], rows)];
});

function insight() {
  const link = (text, path) => el("a", { class: "quiet", href: `/insight/${path}?format=html`, target: "_blank", rel: "noopener" }, text);
  const domain = el("input", { name: "domain", required: true, placeholder: "shop.example", maxlength: 253, pattern: "[^/ ]+", "aria-label": t("A shop’s domain") });
  const form = el("form", { class: "row" }, domain, el("button", { class: "quiet" }, t("What its pins did")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    open(`/insight/merchant/${encodeURIComponent(domain.value)}?format=html`, "_blank", "noopener");
  });
  return section(t("Insight"), el("p", { class: "soft" }, t("Figures over groups of people, never of one.")),
    el("div", { class: "row" }, link(t("Trends"), "trends"), link(t("Map"), "map"), link(t("When people look"), "timing")), form);
}
