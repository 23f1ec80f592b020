// One tile of a grid: its elements, and what they say of a pin.

import { ICONS, el, icon, reason, say, titleOf } from "/static/dom.js";
import { t } from "/static/words.js";

/** A tile for `pin` in `grid`; what it says comes with `tellCard`. */
export function makeCard(grid, pin) {
  const { actions } = grid;
  const image = el("img", { alt: "", loading: "lazy", decoding: "async", draggable: "false", fetchpriority: "low" });
  const box = el("span", { class: "found", hidden: true });
  const score = el("span", { class: "score" });
  const picture = el("span", { class: "picture" }, image, box);
  const name = el("span", { class: "name", dir: "auto" });
  const fact = el("span", { class: "fact", dir: "auto" });
  const why = el("span", { class: "why", dir: "auto" });
  const open = el("a", { class: "open", href: "/" }, picture, name, fact, why);
  const buttons = el("span", { class: "refines" });
  const node = el("li", { class: "card" }, open, score, buttons);
  const card = { id: pin.id, pin, node, image, picture, box, score, name, fact, why, open, buttons, grid };
  node.card = card;
  actions.decorate?.(card);
  if (actions.plus) {
    card.plus = el("button", { class: "refine", type: "button", title: t("More of this"), onclick: () => actions.plus(card.pin) }, icon(ICONS.plus));
    card.minus = el("button", { class: "refine", type: "button", title: t("Less of this"), onclick: () => actions.minus(card.pin) }, icon(ICONS.minus));
    buttons.append(card.plus, card.minus);
  }
  image.addEventListener("load", () => {
    picture.classList.add("loaded");
    if (!(pin.width && pin.height)) grid.learnRatio(pin.id, image.naturalHeight / image.naturalWidth);
  });
  image.addEventListener("error", () => picture.classList.add("broken"));
  loadCard(card);
  return card;
}

export function loadCard(card) {
  if (card.pin.gone) card.picture.classList.add("broken");
  else if (!card.image.getAttribute("src")) card.image.src = `${card.pin.picture}?size=480`;
}

/** Write what is known of a pin on its tile. `facts` are names of attributes; null: they are not known yet. */
export function tellCard(card, pin, facts, actions) {
  card.pin = pin;
  const [key, title] = titleOf(pin);
  const scored = pin.score !== undefined && pin.score !== null;
  card.open.href = actions.href?.(pin) ?? `/?pin=${encodeURIComponent(pin.id)}`;
  card.name.textContent = title;
  card.name.title = pin.id;
  const there = (facts ?? []).filter((name) => name !== key && pin.attributes[name] !== undefined && pin.attributes[name] !== null);
  card.fact.textContent = facts ? there.map((name) => say(pin.attributes[name])).join(" · ") : "\u00a0"; // their line is kept free
  card.why.textContent = reason(pin);
  card.score.hidden = !scored;
  card.score.textContent = scored ? pin.score.toFixed(2) : "";
  card.score.title = scored ? t("Cosine {score}", { score: pin.score.toFixed(4) }) : "";
  if (pin.promoted) {
    card.score.hidden = false;
    card.score.textContent = t("Promoted");
    card.score.title = pin.why?.sentence ?? "";
  }
  card.open.setAttribute("aria-label", pin.promoted ? t("{title}, promoted", { title }) : scored ? t("{title}, likeness {score}", { title, score: pin.score.toFixed(2) }) : title);
  if (card.plus) {
    card.plus.setAttribute("aria-label", t("More of {title}", { title }));
    card.minus.setAttribute("aria-label", t("Less of {title}", { title }));
    card.plus.hidden = card.minus.hidden = !actions.refines();
  }
  const whole = !pin.box || pin.box.every((number, at) => number === [0, 0, 1, 1][at]);
  card.box.hidden = whole;
  if (!whole) place(card.box, pin.box);
  actions.updated?.(card);
}

/** Put an element over a box given as fractions of its parent. */
export function place(node, [x0, y0, x1, y1]) {
  node.style.left = `${100 * x0}%`;
  node.style.top = `${100 * y0}%`;
  node.style.width = `${100 * (x1 - x0)}%`;
  node.style.height = `${100 * (y1 - y0)}%`;
}
