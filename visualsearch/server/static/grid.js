// The masonry of results: cards in the order of their rank, each placed in the shortest column. Cards are kept
// between results and glide to their new place, so a query that changes a little changes the page a little.

import { ICONS, el, icon, reason, say, titleOf } from "/static/dom.js";
import { t } from "/static/words.js";

const GAP = { small: 10, large: 18 };
const NARROW = 620;
const WISHED = { small: 165, large: 218 }; // width of a column, pixels
const TALLEST = 2.4;
const FLATTEST = 0.42;

const ratios = new Map(); // height / width of pictures seen before, by pin

export class Grid {
  /**
   * `actions`: `surface` (where it is, for events); `refines()`, whether plus(pin) and minus(pin) are offered; `href(pin)`;
   * `decorate(card)`, which may add to a new card; `updated(card)`.
   */
  constructor(list, actions) {
    this.list = list;
    this.actions = actions;
    this.cards = new Map();
    this.order = [];
    this.facts = []; // names of attributes under a title; null while the server has not said which there are
    this.frame = 0;
    this.width = 0;
    new ResizeObserver(() => { if (list.clientWidth !== this.width) this.arrange(); }).observe(list);
  }

  /** Show these pins; with `append`, after those that are there. `answer` is the id of the served list. */
  show(pins, { append = false, answer = null } = {}) {
    const first = append ? this.order.length : 0;
    if (!append) this.order = [];
    const kept = new Set(append ? this.order : []);
    const fresh = [];
    for (const pin of pins) {
      if (kept.has(pin.id)) continue;
      kept.add(pin.id);
      let card = this.cards.get(pin.id);
      if (!card) {
        card = this.card(pin);
        this.cards.set(pin.id, card);
        fresh.push(card);
      }
      card.answer = answer;
      card.slot = this.order.length;
      this.order.push(pin.id);
      this.update(card, pin);
    }
    for (const [id, card] of this.cards) {
      if (kept.has(id)) continue;
      card.node.remove();
      this.cards.delete(id);
    }
    // In the order of rank, for readers and keyboards; moving only what stands wrong keeps focus and images.
    for (let at = first; at < this.order.length; at += 1) {
      const { node } = this.cards.get(this.order[at]);
      if (this.list.children[at] !== node) this.list.insertBefore(node, this.list.children[at] ?? null);
    }
    this.now(first);
    requestAnimationFrame(() => fresh.forEach((card) => card.node.classList.add("in")));
  }

  clear() { this.show([]); }

  /** Take one pin away. */
  drop(id) {
    const card = this.cards.get(id);
    if (!card) return;
    card.node.remove();
    this.cards.delete(id);
    this.order = this.order.filter((other) => other !== id);
    this.arrange();
  }

  /** The same cards in another order. */
  reorder(order) {
    this.order = order;
    order.forEach((id, at) => {
      const { node } = this.cards.get(id);
      if (this.list.children[at] !== node) this.list.insertBefore(node, this.list.children[at] ?? null);
    });
    this.now();
  }

  /** Write every card anew: what is said of pins has changed. */
  again() {
    for (const card of this.cards.values()) this.update(card, card.pin);
    this.arrange();
  }

  /** Arrange at the next frame. */
  arrange() {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.now());
  }

  /** Place the cards; from the card number `first` on where those before it stand already. */
  now(first = 0) {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const width = this.list.clientWidth;
    if (!width) return;
    const kind = width < NARROW ? "small" : "large";
    const gap = GAP[kind];
    const columns = Math.max(2, Math.floor((width + gap) / (WISHED[kind] + gap)));
    const each = (width - gap * (columns - 1)) / columns;
    const from = width === this.width && this.bottoms ? first : 0;
    this.width = width;
    const bottoms = from ? this.bottoms : new Array(columns).fill(0);
    const rows = from ? this.rows : new Array(columns).fill(0);
    const cards = this.order.slice(from).map((id) => this.cards.get(id));
    for (const card of cards) {
      card.node.style.width = `${each}px`;
      card.picture.style.height = `${Math.round(each * this.ratio(card.pin))}px`;
    }
    const heights = cards.map((card) => card.node.offsetHeight); // one reading after all the writing
    const mirrored = getComputedStyle(this.list).direction === "rtl" ? -1 : 1;
    cards.forEach((card, at) => {
      let column = 0;
      for (let other = 1; other < columns; other += 1) if (bottoms[other] < bottoms[column] - 4) column = other;
      card.node.style.transform = `translate(${mirrored * Math.round(column * (each + gap))}px, ${Math.round(bottoms[column])}px)`;
      card.column = column;
      card.row = rows[column];
      rows[column] += 1;
      bottoms[column] += heights[at] + gap;
    });
    Object.assign(this, { bottoms, rows });
    this.list.style.height = `${Math.max(0, ...bottoms)}px`;
  }

  /** Height / width of a pin's tile: from the API, else from the picture once it was here. */
  ratio(pin) {
    const known = pin.width && pin.height ? pin.height / pin.width : ratios.get(pin.id) ?? 1;
    return Math.min(TALLEST, Math.max(FLATTEST, known));
  }

  card(pin) {
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
    const card = { id: pin.id, pin, node, image, picture, box, score, name, fact, why, open, buttons, grid: this };
    node.card = card;
    this.actions.decorate?.(card);
    if (this.actions.plus) {
      card.plus = el("button", { class: "refine", type: "button", title: t("More of this"), onclick: () => this.actions.plus(card.pin) }, icon(ICONS.plus));
      card.minus = el("button", { class: "refine", type: "button", title: t("Less of this"), onclick: () => this.actions.minus(card.pin) }, icon(ICONS.minus));
      buttons.append(card.plus, card.minus);
    }
    image.addEventListener("load", () => {
      picture.classList.add("loaded");
      if (pin.width && pin.height) return;
      ratios.set(pin.id, image.naturalHeight / image.naturalWidth);
      this.arrange();
    });
    image.addEventListener("error", () => picture.classList.add("broken"));
    this.load(card);
    return card;
  }

  load(card) {
    if (card.pin.gone) card.picture.classList.add("broken");
    else if (!card.image.getAttribute("src")) card.image.src = `${card.pin.picture}?size=480`;
  }

  /** Stop loading pictures: a browser has few connections to a server, and a query comes first. `resume` goes on. */
  pause() {
    for (const { image, picture } of this.cards.values()) {
      if (!image.complete && !picture.classList.contains("loaded")) image.removeAttribute("src");
    }
  }

  resume() {
    for (const card of this.cards.values()) this.load(card);
  }

  update(card, pin) {
    card.pin = pin;
    const [key, title] = titleOf(pin);
    const scored = pin.score !== undefined && pin.score !== null;
    card.open.href = this.actions.href?.(pin) ?? `/?pin=${encodeURIComponent(pin.id)}`;
    card.name.textContent = title;
    card.name.title = pin.id;
    const facts = (this.facts ?? []).filter((name) => name !== key && pin.attributes[name] !== undefined && pin.attributes[name] !== null);
    card.fact.textContent = this.facts ? facts.map((name) => say(pin.attributes[name])).join(" · ") : "\u00a0"; // their line is kept free
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
      card.plus.hidden = card.minus.hidden = !this.actions.refines();
    }
    const whole = !pin.box || pin.box.every((number, at) => number === [0, 0, 1, 1][at]);
    card.box.hidden = whole;
    if (!whole) place(card.box, pin.box);
    this.actions.updated?.(card);
  }
}

/** Put an element over a box given as fractions of its parent. */
export function place(node, [x0, y0, x1, y1]) {
  node.style.left = `${100 * x0}%`;
  node.style.top = `${100 * y0}%`;
  node.style.width = `${100 * (x1 - x0)}%`;
  node.style.height = `${100 * (y1 - y0)}%`;
}
