// The pins that were looked at in this browser.

import { $, el } from "/static/dom.js";
import { clear, looked } from "/static/history.js";
import { navigate } from "/static/router.js";
import { note, toast } from "/static/says.js";
import { tiles } from "/static/tiles.js";
import { t } from "/static/words.js";

export function show() {
  const pins = looked();
  const list = el("ol", { class: "results", "aria-label": t("What you looked at") });
  const forget = el("button", { type: "button", class: "quiet", onclick: () => { clear(); show(); toast(t("The list is empty now")); } }, t("Clear the list"));
  $("place").replaceChildren(
    el("div", { class: "row" }, el("h1", {}, t("What you looked at")), ...(pins.length ? [forget] : [])),
    el("p", { class: "soft" }, t("This list stays in this browser.")),
    pins.length ? list : note(t("Nothing yet"), null, [t("Look around"), () => navigate("/?at=explore")]),
  );
  document.title = `${t("What you looked at")} · visualsearch`;
  if (pins.length) tiles(list, "search").show(pins);
}

export function leave() { $("place").replaceChildren(); }
