// A picture of another site, to be saved: the pin that has it, or those that look like it. A shop's save button and the
// browser extension lead here, with the picture's address, and the page that it is on.

import * as api from "/static/api.js";
import { app, remember } from "/static/app.js";
import { $, el, titleOf } from "/static/dom.js";
import { navigate } from "/static/router.js";
import { note, told } from "/static/says.js";
import { pick } from "/static/saving.js";
import { tiles } from "/static/tiles.js";
import { t } from "/static/words.js";

const ALIKE = 24;
const SAME = 0.985; // cosine from which two pictures are one, scaled or saved anew

let asking = null;

export async function show() {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const words = new URLSearchParams(location.search);
  const [image, page, title, surface] = ["image", "page", "title", "from"].map((name) => words.get(name));
  const root = $("place");
  const seen = { ...(page ? { site: page } : {}), surface: surface === "extension" ? "extension" : "site" };
  root.replaceChildren(el("h1", { dir: "auto" }, title ? t("Save “{title}”", { title }) : t("Save this picture")), el("p", { class: "soft", role: "status" }, t("Looking for it here …")));
  document.title = `${t("Save this picture")} · visualsearch`;
  if (!image) {
    root.append(note(t("No picture was named"), null, [t("Start over"), () => navigate("/")]));
    return;
  }
  try {
    const found = await api.search({ image, k: ALIKE }, signal);
    remember(found.hits);
    const [best] = found.hits;
    const same = best && best.score >= SAME;
    const list = el("ol", { class: "results" });
    root.querySelector("[role=status]").textContent = same ? t("It is here: “{title}”.", { title: titleOf(best)[1] }) : t("This very picture is not in this collection. These look like it; save one of them instead.");
    root.append(list);
    const grid = tiles(list, seen.surface, { seen });
    grid.show(found.hits, { answer: found.answer });
    if (same && app.server.people) pick(best, seen);
  } catch (error) {
    if (error.name !== "AbortError") root.append(note(t("The picture cannot be read"), told(error), [t("Start over"), () => navigate("/")]));
  }
}

export function leave() {
  asking?.abort();
  $("place").replaceChildren();
}
