// Writes the tag with which a shop puts the save button on its pages.

import { $, el } from "/static/dom.js";
import { copied } from "/static/pages.js";
import { t } from "/static/words.js";

export function show() {
  const label = el("input", { maxlength: 40, value: t("Save"), dir: "auto" });
  const tag = el("pre", { tabindex: "0" });
  const write = () => {
    const script = document.createElement("script");
    script.src = `${location.origin}/save.js`;
    script.dataset.label = label.value;
    script.setAttribute("async", "");
    tag.textContent = script.outerHTML;
  };
  label.addEventListener("input", write);
  write();
  $("place").replaceChildren(el("div", { class: "me" }, el("h1", {}, t("A save button for your site")), el("section", {},
    el("p", {}, t("Put this line on your pages. It asks nothing and keeps nothing until somebody presses it.")),
    el("label", { class: "row" }, el("span", {}, t("What the button says")), label), tag,
    el("div", { class: "row" }, el("button", { type: "button", class: "primary", onclick: () => copied(tag.textContent) }, t("Copy"))),
    el("p", { class: "soft" }, t("Without more it takes the product that the page names, or its largest picture. An element with data-visualsearch-save gets a button of its own.")),
    el("p", { class: "soft" }, t("A Content-Security-Policy needs only: script-src {origin}", { origin: location.origin })))));
  document.title = `${t("A save button for your site")} · visualsearch`;
}

export function leave() { $("place").replaceChildren(); }
