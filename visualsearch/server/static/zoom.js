// A picture as large as it is: fitted to the screen, and larger around the place that is pressed, pinched or scrolled at.

import { $, ICONS, el, icon } from "/static/dom.js";
import { zoomable } from "/static/gestures.js";
import { t } from "/static/words.js";

const STEP = 80; // pixels
const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/** Show the picture that `named()` gives as {address, title}; `step(by)` goes to a neighbour, and says whether there is one. */
export function zoom(named, step) {
  const dialog = $("zoom");
  const image = el("img", { alt: "", draggable: "false" });
  const button = el("button", { type: "button", class: "zoomed", "aria-pressed": "false" }, image);
  const pane = el("div", { class: "zoom-pane" }, button);
  const close = el("button", { type: "button", class: "icon", "aria-label": t("Close"), onclick: () => dialog.close() }, icon(ICONS.close));
  const get = el("a", { class: "quiet", download: "picture" }, t("Download"));
  const show = () => {
    const { address, title } = named();
    image.src = get.href = address;
    image.alt = title;
    button.setAttribute("aria-label", t("Larger or smaller: {title}", { title }));
    dialog.setAttribute("aria-label", title);
  };
  const next = (by) => {
    dialog.dataset.stays = ""; // the page below turns, this one stays
    try { if (step(by)) show(); } finally { delete dialog.dataset.stays; }
  };
  const view = zoomable(pane, button, {
    next,
    close: () => dialog.close(),
    changed: (scale) => {
      button.setAttribute("aria-pressed", String(scale > 1));
      button.classList.toggle("big", scale > 1);
    },
  });
  pane.addEventListener("keydown", (event) => {
    const to = ARROWS[event.key];
    if (!to) return;
    event.preventDefault();
    if (view.large()) view.move(to[0] * STEP, to[1] * STEP);
    else if (to[0]) next(document.documentElement.dir === "rtl" ? to[0] : -to[0]);
  });
  show();
  dialog.replaceChildren(el("div", { class: "dialog-head" }, get, close), pane);
  dialog.showModal();
  button.focus();
}
