// A picture as large as it is: fitted to the screen, and at a press twice as large, around the place that was pressed.

import { $, ICONS, el, icon } from "/static/dom.js";
import { t } from "/static/words.js";

export function zoom(address, title) {
  const dialog = $("zoom");
  const image = el("img", { src: address, alt: title });
  const turn = (event) => {
    const { left, top, width, height } = image.getBoundingClientRect();
    const [x, y] = event.detail ? [(event.clientX - left) / width, (event.clientY - top) / height] : [0.5, 0.5]; // a key has no place
    const big = button.classList.toggle("big");
    button.setAttribute("aria-pressed", String(big));
    if (big) pane.scrollTo(x * pane.scrollWidth - pane.clientWidth / 2, y * pane.scrollHeight - pane.clientHeight / 2);
  };
  const button = el("button", { type: "button", class: "zoomed", "aria-label": t("Larger or smaller: {title}", { title }), "aria-pressed": "false", onclick: turn }, image);
  const pane = el("div", { class: "zoom-pane" }, button);
  const close = el("button", { type: "button", class: "icon", "aria-label": t("Close"), onclick: () => dialog.close() }, icon(ICONS.close));
  const get = el("a", { class: "quiet", href: address, download: "picture" }, t("Download"));
  dialog.setAttribute("aria-label", title);
  dialog.replaceChildren(el("div", { class: "dialog-head" }, get, close), pane);
  dialog.showModal();
  button.focus();
}
