// What a person follows: boards, people, and topics, which are words that boards are named by.

import * as api from "/static/api.js";
import { app } from "/static/app.js";
import { el } from "/static/dom.js";
import { attempt } from "/static/pages.js";
import { known, ready } from "/static/person.js";
import { toast } from "/static/says.js";
import { t } from "/static/words.js";

/** Read what is followed, where somebody is known. */
export async function loadFollows() {
  app.follows = known() ? (await api.follows()).follows : [];
  return app.follows;
}

export const followed = (kind, target) => Boolean(app.follows?.some((one) => one.kind === kind && one.target === target));

/** Follow, or follow no more. */
export async function follow(kind, target, on) {
  await ready();
  if (on) await api.send("POST", "/follows", { kind, target });
  else await api.send("DELETE", `/follows?${new URLSearchParams({ kind, target })}`);
  await loadFollows();
}

/** A button that follows and unfollows; it says `off` or `on`. */
export function followButton(kind, target, off, on) {
  const button = el("button", { type: "button", class: "quiet" });
  const say = () => { button.textContent = followed(kind, target) ? on : off; };
  button.addEventListener("click", attempt(async () => {
    await follow(kind, target, !followed(kind, target));
    say();
  }));
  say();
  return button;
}

/** Everything that is followed, as a section of the person's own page. */
export function followsSection() {
  const list = el("ul", { class: "follows plain" });
  const topic = el("input", { maxlength: 200, required: true, dir: "auto", autocomplete: "off", "aria-label": t("A topic, such as garden") });
  const form = el("form", { class: "row" }, topic, el("button", { class: "quiet" }, t("Follow the topic")));
  const names = { board: t("Board"), person: t("Person"), topic: t("Topic") };
  const draw = async () => {
    const follows = await loadFollows();
    const titles = new Map();
    await Promise.all(follows.filter(({ kind }) => kind === "board").map(async ({ target }) => {
      try { titles.set(target, (await api.board(target)).title); } catch { /* it is gone or secret now: its name stands */ }
    }));
    list.replaceChildren(...follows.map(({ kind, target }) => {
      const title = titles.get(target) ?? target;
      const name = kind === "board" ? el("a", { href: `/?board=${encodeURIComponent(target)}`, dir: "auto" }, title) : el("span", { dir: "auto" }, title);
      const end = el("button", { type: "button", class: "link", "aria-label": t("Follow {name} no more", { name: title }), onclick: attempt(async () => { await follow(kind, target, false); await draw(); }) }, t("Unfollow"));
      return el("li", {}, el("span", { class: "soft" }, names[kind]), name, end);
    }));
    if (!follows.length) list.replaceChildren(el("li", { class: "soft" }, t("Nothing yet")));
  };
  form.addEventListener("submit", attempt(async (event) => {
    event.preventDefault();
    await follow("topic", topic.value.trim(), true);
    topic.value = "";
    await draw();
    toast(t("Following"));
  }));
  attempt(draw)();
  return el("section", {}, el("h2", {}, t("What you follow")), el("p", { class: "soft" }, t("New pins of boards, people and topics come into your feed. A topic is a word that boards are named by.")), list, form);
}
