// Pins added from the page: files dropped or chosen, each sent by itself, with what became of it.

import { app } from "/static/app.js";
import { el } from "/static/dom.js";
import { ownerCall } from "/static/owner-key.js";
import { told } from "/static/says.js";
import { t } from "/static/words.js";

const AT_ONCE = 2;
const ASKED = 3; // attributes that all of them may share
const SHOWN = 200; // lines; what went well leaves the list first

/** The section of the owner's place that takes pictures. */
export function adding() {
  const input = el("input", { type: "file", accept: "image/*", multiple: true, hidden: true });
  const bar = el("progress", { max: 1, value: 0, hidden: true, "aria-label": t("Pictures that were sent") });
  const status = el("p", { class: "soft", role: "status" });
  const list = el("ul", { class: "sent plain" });
  const fields = shared();
  const node = el("section", { class: "adding" }, el("h2", {}, t("Add pins")),
    el("p", { class: "soft" }, t("Drop pictures anywhere on this page, or choose them. A file’s name becomes the title.")),
    el("div", { class: "row" }, ...fields.map(({ label }) => label)),
    el("div", { class: "row" }, el("button", { type: "button", class: "primary", onclick: () => input.click() }, t("Choose pictures"))),
    input, bar, status, list);
  const waiting = [];
  const counted = { all: 0, added: 0, there: 0, failed: 0 };
  let running = 0;

  const tellAll = () => {
    bar.hidden = false;
    bar.max = counted.all;
    bar.value = counted.added + counted.there + counted.failed;
    status.textContent = [t("{n} added", { n: counted.added }), counted.there && t("{n} were there", { n: counted.there }),
      counted.failed && t("{n} failed", { n: counted.failed }), counted.all - bar.value && t("{n} to go", { n: counted.all - bar.value })].filter(Boolean).join(" · ");
  };
  const work = async () => {
    running += 1;
    for (let one = waiting.shift(); one; one = waiting.shift()) {
      one.say(t("Being sent …"));
      try {
        const pin = await sent(one.file, one.attributes);
        counted.added += 1;
        one.say(el("a", { href: `/?pin=${encodeURIComponent(pin.id)}` }, t("Added")), "good");
      } catch (error) {
        if (error.kind === "exists") {
          counted.there += 1;
          one.say(t("It is in the index already"), "good");
        } else {
          counted.failed += 1;
          one.say(told(error), "bad", el("button", { type: "button", class: "link", onclick: () => { counted.failed -= 1; begin(one); } }, t("Try again")));
        }
      }
      tellAll();
    }
    running -= 1;
  };
  const begin = (one) => {
    waiting.push(one);
    one.say(t("Waiting"));
    tellAll();
    if (running < AT_ONCE) work();
  };
  const take = (files) => {
    const values = Object.fromEntries(fields.map(({ name, box }) => [name, box.value.trim()]).filter(([, value]) => value));
    for (const file of files) {
      counted.all += 1;
      const line = row(file.name);
      list.prepend(line.node);
      while (list.children.length > SHOWN) (list.querySelector(".good") ?? list.lastElementChild).remove();
      begin({ file, attributes: { title: titleFrom(file.name), ...values }, say: line.say });
    }
  };
  input.addEventListener("change", () => { take([...input.files]); input.value = ""; });
  app.taking = take;
  return node;
}

function row(name) {
  const said = el("span", { class: "what" });
  const node = el("li", {}, el("span", { class: "name", dir: "auto" }, name), said);
  return { node, say: (what, kind = "", ...more) => { node.className = kind; said.replaceChildren(what, ...more); } };
}

/** Attributes that pins of this index have, to be given to all that are added. */
function shared() {
  return app.server.summaries.filter(({ kind, name }) => kind === "category" && !["title", "name"].includes(name)).slice(0, ASKED).map(({ name, values }) => {
    const known = el("datalist", { id: `known-${name}` }, ...values.map(({ value }) => el("option", { value })));
    const box = el("input", { list: `known-${name}`, maxlength: 200, autocomplete: "off", dir: "auto" });
    return { name, box, label: el("label", { class: "shared" }, el("span", { dir: "auto" }, name), box, known) };
  });
}

const titleFrom = (name) => name.replace(/\.[^.]+$/, "").replaceAll(/[_-]+/g, " ").trim() || name;

const sent = (file, attributes) => ownerCall("POST", `/pins?${new URLSearchParams({ attributes: JSON.stringify(attributes) })}`, file, { "Content-Type": "application/octet-stream" });
