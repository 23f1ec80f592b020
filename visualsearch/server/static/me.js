// Me: what this server knows, what it may keep, and how to take it along or have it forgotten.

import * as api from "/static/api.js";
import { app } from "/static/app.js";
import { $, el } from "/static/dom.js";
import { clear, looked } from "/static/history.js";
import { attempt, sheet } from "/static/pages.js";
import { followsSection } from "/static/follows.js";
import { again, agreed, forgotten, known, load } from "/static/person.js";
import { note, toast, told } from "/static/says.js";
import { write } from "/static/stored.js";
import { LANGUAGES, choose, spoken, t } from "/static/words.js";

const SWITCHES = {
  clicks: ["What I look at and press", "Impressions and clicks. They teach the feed what you like."],
  searches: ["What I search for", "Words and pictures of searches."],
  profile: ["What I say of myself", "Language and interests that you declare. Nothing is guessed."],
  sites: ["Where I saved from", "The address of the shop whose save button you pressed."],
};
const COUNTED = {
  boards: "{n} boards", saves: "{n} saved pins", events: "{n} events, such as looking at a pin", follows: "{n} things that you follow",
  comments: "{n} comments", collaborators: "{n} boards of others that you work on",
};

export async function show() {
  const root = $("place");
  document.title = `${t("Me")} · visualsearch`;
  try {
    const held = known() ? await everything() : null;
    if (app.route.name === "me") root.replaceChildren(el("div", { class: "me" }, el("h1", {}, t("Me")), knownOf(held), ...(held ? [followsSection(), switches(), yours()] : []), account(), browser()));
  } catch (error) {
    root.replaceChildren(note(t("What is known cannot be read"), told(error), [t("Try again"), () => show()]));
  }
}

export function leave() { $("place").replaceChildren(); }

async function everything() {
  await again();
  try { return await api.call("/me/export"); } catch (error) {
    if (error.status === 404) return {}; // nothing was kept yet
    throw error;
  }
}

function knownOf(held) {
  const section = el("section", {}, el("h2", {}, t("What is known of you")));
  if (!held) {
    section.append(el("p", {}, t("Nothing. You have no account here, no cookie, and no record. The first thing that you save begins one.")));
    return section;
  }
  const lines = Object.entries(COUNTED).map(([name, text]) => [text, held[name]?.length ?? 0]).filter(([, n]) => n).map(([text, n]) => el("li", {}, t(text, { n })));
  const { profile } = app.me;
  for (const [name, value] of Object.entries(profile)) lines.push(el("li", {}, `${name}: ${[value].flat().join(", ")}`));
  section.append(
    el("p", {}, app.me.visitor ? t("You are a visitor: this browser’s cookie alone says that it is you. Without the cookie nobody can tell, not even you.") : t("You are signed in as {name}.", { name: app.me.pseudonym })),
    lines.length ? el("ul", { class: "plain" }, ...lines) : el("p", {}, t("Nothing is kept of you yet.")),
  );
  if (app.me.limited) section.append(el("p", {}, t("Your browser asks that nothing be kept for longer than a session, and this server heeds it.")));
  return section;
}

function toggle([title, text], on, change) {
  const input = el("input", { type: "checkbox", role: "switch", checked: on });
  input.addEventListener("change", async () => {
    try { await change(input.checked); toast(t("Kept")); } catch (error) { input.checked = !input.checked; toast(told(error)); }
  });
  return el("label", { class: "switch" }, input, el("span", {}, el("b", {}, t(title)), el("span", { class: "soft" }, t(text))));
}

function switches() {
  const { consent } = app.me;
  const put = async (path, body) => {
    await api.send("PUT", path, body);
    await again();
  };
  return el("section", {}, el("h2", {}, t("What may be kept")),
    toggle(["Keep boards and what I save", "Off: what was kept is deleted at once, but for this refusal."], consent.level !== "off", async (on) => {
      await put("/me/consent", { level: on ? "on" : "off" });
      await load();
      show();
    }),
    ...Object.entries(SWITCHES).map(([name, words]) => toggle(words, consent[name] && (name !== "clicks" || agreed() === "yes"), (on) => {
      if (name === "clicks") write("agreed", on ? "yes" : "no");
      return put("/me/signals", { [name]: on });
    })),
    toggle(["Pause", "On: what was kept stays, and nothing is added until you go on. Saving works."], consent.paused, (on) => put("/me/pause", { paused: on })));
}

function yours() {
  const forget = () => sheet(t("Forget me?"), [
    el("p", {}, t("Boards, saves, comments and events are removed from every table and file. This cannot be undone.")),
    el("button", { class: "primary" }, t("Forget me")),
  ], async () => {
    const receipt = await api.send("DELETE", "/me");
    forgotten();
    clear();
    const removed = Object.values(receipt.removed).reduce((a, b) => a + b, 0);
    await show();
    $("place").querySelector("section").append(el("p", { class: "receipt" }, t("You are forgotten: {n} rows are gone. Your receipt is {id}.", { n: removed, id: receipt.id })));
  });
  return el("section", {}, el("h2", {}, t("Take it along, or have it forgotten")),
    el("div", { class: "row" }, el("a", { class: "quiet", href: "/me/export", download: "visualsearch-me.json" }, t("Download everything")), el("button", { type: "button", class: "quiet danger", onclick: forget }, t("Forget me"))));
}

/** A person's token: what a visitor kept becomes theirs. */
function account() {
  const section = el("section", {}, el("h2", {}, t("Account")));
  if (app.me && !app.me.visitor) {
    section.append(el("div", { class: "row" }, el("button", { type: "button", class: "quiet", onclick: attempt(async () => {
      await api.send("DELETE", "/session");
      forgotten();
      show();
    }) }, t("Sign out"))));
    return section;
  }
  const key = el("input", { type: "password", name: "key", required: true, autocomplete: "current-password", "aria-label": t("Your token") });
  const sign = () => sheet(t("Sign in"), [el("p", {}, t("The owner of this server gives you a token. What you kept as a visitor becomes yours.")), key, el("button", { class: "primary" }, t("Sign in"))], async () => {
    await api.session(key.value);
    write("person", 1);
    await again();
    if (app.me.visitor) throw new api.Problem("bad-key", t("This key reads, and names no person"), "", 0);
    await api.send("POST", "/me/claim", {}).catch((error) => { if (error.status !== 422 && error.status !== 400) throw error; }); // no visitor to claim
    await load();
    show();
  });
  section.append(el("p", { class: "soft" }, t("You need none. With one, your boards follow you to other browsers.")), el("div", { class: "row" }, el("button", { type: "button", class: "quiet", onclick: sign }, t("Sign in with a token"))));
  return section;
}

function browser() {
  const language = el("select", { id: "language" }, ...Object.entries(LANGUAGES).map(([code, name]) => el("option", { value: code, lang: code }, name)));
  language.value = spoken();
  language.addEventListener("change", () => choose(language.value));
  return el("section", {}, el("h2", {}, t("This browser")),
    el("label", { class: "row" }, el("span", {}, t("Language")), language),
    el("p", {}, t("It remembers {n} pins that you looked at.", { n: looked().length }), " ", el("a", { href: "/?at=history" }, t("See them"))),
    el("p", {}, el("a", { href: "/?at=button" }, t("A save button for your site"))),
    el("p", {}, el("a", { href: "/?at=owner" }, t("For this server’s owner"))));
}
