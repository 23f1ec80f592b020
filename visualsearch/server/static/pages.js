// What the places share: a list that goes on while one scrolls, a sheet with a form, a button that says what went wrong.

import { $, ICONS, el, icon } from "/static/dom.js";
import { toast, told } from "/static/says.js";
import { t } from "/static/words.js";

/**
 * Load further pages as the end comes near. `next(cursor)` gives {cursor, ...} or throws; a cursor of null ends it.
 * Returns the element to put behind the list, and `stop`.
 */
export function endless(next, cursor) {
  let loading = false;
  const button = el("button", { type: "button", class: "quiet", onclick: () => load() }, t("Show more"));
  const foot = el("div", { class: "foot" }, button);
  const load = async () => {
    if (loading || !cursor) return;
    loading = true;
    try {
      cursor = await next(cursor);
      if (!cursor) stop();
      else { watcher.unobserve(foot); watcher.observe(foot); } // it may still be near
    } catch (error) {
      if (error.name !== "AbortError") toast(told(error)); // the button stays: it tries again
    } finally {
      loading = false;
    }
  };
  const watcher = new IntersectionObserver((entries) => { if (entries.some((one) => one.isIntersecting)) load(); }, { rootMargin: "900px" });
  const stop = () => { watcher.disconnect(); foot.remove(); };
  watcher.observe(foot);
  if (!cursor) foot.hidden = true;
  return { foot, stop };
}

/** A sheet over the page with a heading and these children; `send` is called when its form is sent. */
export function sheet(title, children, send = null) {
  const dialog = $("sheet");
  const close = el("button", { type: "button", class: "icon", "aria-label": t("Close"), onclick: () => dialog.close() }, icon(ICONS.close));
  const form = el("form", {}, el("div", { class: "dialog-head" }, el("h2", { dir: "auto" }, title), close), ...children);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (send) attempt(async () => { await send(form); dialog.close(); })();
  });
  dialog.setAttribute("aria-label", title);
  dialog.replaceChildren(form);
  dialog.showModal();
  return { form, close: () => dialog.close() };
}

/** `act`, with what goes wrong said at the foot of the page. */
export const attempt = (act) => async (...args) => {
  try { return await act(...args); } catch (error) {
    if (error.name !== "AbortError") toast(told(error));
    return null;
  }
};

/** A button of a sheet's menu. */
export const choice = (text, act, kind = "") => el("li", {}, el("button", { type: "button", class: `choice ${kind}`, onclick: act }, el("span", {}, text)));

export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast(t("The link is copied"));
  } catch { toast(text); }
}

/** Hand a file to the visitor. */
export function download(name, text, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
