// Comments under a pin.

import * as api from "/static/api.js";
import { app } from "/static/app.js";
import { el } from "/static/dom.js";
import { ready } from "/static/person.js";
import { toast, told } from "/static/says.js";
import { spoken, t } from "/static/words.js";

/** Show the comments on a pin in `root`, and a line to write one. */
export async function talk(root, pin, signal) {
  if (!app.server.people && app.server.version) return;
  const list = el("ol", { class: "comments" });
  const place = `/pins/${encodeURIComponent(pin)}/comments`;
  const line = (comment) => {
    const own = app.me?.pseudonym && comment.person === app.me.pseudonym;
    const act = own
      ? el("button", { type: "button", class: "link", onclick: attempt(async () => { await api.send("DELETE", `${place}/${comment.id}`); item.remove(); }) }, t("Delete"))
      : el("button", { type: "button", class: "link", onclick: attempt(async () => { await ready(); await api.send("POST", `${place}/${comment.id}/report`, {}); toast(t("Thank you. Somebody will look at it.")); }) }, t("Report"));
    const when = new Date(comment.at).toLocaleDateString(spoken());
    const item = el("li", {}, el("p", { dir: "auto" }, comment.text), el("small", {}, own ? t("You") : comment.person, " · ", when, " "), act);
    return item;
  };
  const text = el("input", { name: "text", maxlength: 2000, autocomplete: "off", required: true, dir: "auto", placeholder: t("Say something about it"), "aria-label": t("Your comment") });
  const form = el("form", { class: "say" }, text, el("button", { class: "quiet" }, t("Send")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      await ready();
      const made = await api.send("POST", place, { text: text.value });
      app.me.pseudonym ??= made.person;
      list.append(line(made));
      text.value = "";
    })();
  });
  try {
    const found = await api.comments(pin, null, signal);
    list.append(...found.comments.map(line));
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error.status !== 404) { root.replaceChildren(el("p", { class: "soft" }, told(error))); return; }
  }
  root.replaceChildren(el("h2", { class: "label" }, t("Comments")), list, form);
}

const attempt = (act) => () => act().catch((error) => toast(told(error)));
