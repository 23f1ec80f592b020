// The masonry of results: cards in the order of their rank, each placed in the shortest column. Cards are kept
// between results and glide to their new place, so a query that changes a little changes the page a little.

import { ICONS, el, icon, say, titleOf } from "/static/dom.js";

const GAP = { small: 10, large: 18 };
const NARROW = 620;
const WISHED = { small: 165, large: 218 }; // width of a column, pixels

export class Grid {
  /** `actions`: like(pin), plus(pin), minus(pin). `facts`: names of attributes to show under a title. */
  constructor(list, actions) {
    this.list = list;
    this.actions = actions;
    this.cards = new Map();
    this.order = [];
    this.ratios = new Map(); // height / width of pictures seen before
    this.facts = [];
    this.frame = 0;
    new ResizeObserver(() => this.arrange()).observe(list);
  }

  /** Show these pins; with `append`, after those that are there. */
  show(pins, append = false) {
    const first = append ? this.order.length : 0;
    if (!append) this.order = [];
    const kept = new Set(append ? this.order : []);
    const fresh = [];
    for (const pin of pins) {
      if (kept.has(pin.id)) continue;
      kept.add(pin.id);
      this.order.push(pin.id);
      let card = this.cards.get(pin.id);
      if (!card) {
        card = this.card(pin);
        this.cards.set(pin.id, card);
        fresh.push(card);
      }
      this.update(card, pin);
    }
    for (const [id, card] of this.cards) {
      if (kept.has(id)) continue;
      card.node.remove();
      this.cards.delete(id);
    }
    // In the order of rank, for readers and keyboards; moving only what stands wrong keeps focus and images.
    this.order.forEach((id, at) => {
      const { node } = this.cards.get(id);
      if (at >= first || !append) {
        if (this.list.children[at] !== node) this.list.insertBefore(node, this.list.children[at] ?? null);
      }
    });
    this.now();
    requestAnimationFrame(() => fresh.forEach((card) => card.node.classList.add("in")));
  }

  clear() { this.show([]); }

  /** Arrange at the next frame. */
  arrange() {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.now());
  }

  now() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const width = this.list.clientWidth;
    if (!width) return;
    const kind = width < NARROW ? "small" : "large";
    const gap = GAP[kind];
    const columns = Math.max(2, Math.floor((width + gap) / (WISHED[kind] + gap)));
    const each = (width - gap * (columns - 1)) / columns;
    const cards = this.order.map((id) => this.cards.get(id));
    for (const card of cards) {
      card.node.style.width = `${each}px`;
      card.picture.style.height = `${Math.round(each * Math.min(2.4, Math.max(0.42, this.ratios.get(card.id) ?? 1)))}px`;
    }
    const heights = cards.map((card) => card.node.offsetHeight); // one reading after all the writing
    const bottoms = new Array(columns).fill(0);
    cards.forEach((card, at) => {
      let column = 0;
      for (let other = 1; other < columns; other += 1) if (bottoms[other] < bottoms[column] - 4) column = other;
      card.node.style.transform = `translate(${Math.round(column * (each + gap))}px, ${Math.round(bottoms[column])}px)`;
      bottoms[column] += heights[at] + gap;
    });
    this.list.style.height = `${Math.max(0, ...bottoms)}px`;
  }

  card(pin) {
    const image = el("img", { alt: "", loading: "lazy", decoding: "async", draggable: "false", fetchpriority: "low" });
    const box = el("span", { class: "found", hidden: true });
    const score = el("span", { class: "score" });
    const picture = el("span", { class: "picture" }, image, box);
    const name = el("span", { class: "name" });
    const fact = el("span", { class: "fact" });
    const open = el("button", { class: "open", type: "button" }, picture, name, fact);
    const plus = el("button", { class: "refine", type: "button" }, icon(ICONS.plus));
    const minus = el("button", { class: "refine", type: "button" }, icon(ICONS.minus));
    const node = el("li", { class: "card" }, open, score, el("span", { class: "refines" }, plus, minus));
    const card = { id: pin.id, pin, node, image, picture, box, score, name, fact, open, plus, minus };
    open.addEventListener("click", () => this.actions.like(card.pin));
    plus.addEventListener("click", () => this.actions.plus(card.pin));
    minus.addEventListener("click", () => this.actions.minus(card.pin));
    image.addEventListener("load", () => {
      this.ratios.set(pin.id, image.naturalHeight / image.naturalWidth);
      picture.classList.add("loaded");
      this.arrange();
    });
    image.addEventListener("error", () => picture.classList.add("broken"));
    this.load(card);
    return card;
  }

  load(card) {
    if (!card.image.getAttribute("src")) card.image.src = `${card.pin.picture}?size=480`;
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
    const scored = pin.score !== undefined;
    card.name.textContent = title;
    card.name.title = pin.id;
    const facts = this.facts.filter((name) => name !== key && pin.attributes[name] !== undefined && pin.attributes[name] !== null);
    card.fact.textContent = facts.map((name) => say(pin.attributes[name])).join(" · ");
    card.score.hidden = !scored;
    card.score.textContent = scored ? pin.score.toFixed(2) : "";
    card.score.title = scored ? `Cosine ${pin.score.toFixed(4)}` : "";
    if (pin.promoted) {
      card.score.hidden = false;
      card.score.textContent = "Promoted";
      card.score.title = pin.why.sentence;
    }
    const said = pin.promoted ? ", promoted" : scored ? `, likeness ${pin.score.toFixed(2)}` : "";
    card.open.setAttribute("aria-label", `More like ${title}${said}`);
    card.plus.setAttribute("aria-label", `More of ${title}`);
    card.minus.setAttribute("aria-label", `Less of ${title}`);
    card.plus.title = "More of this";
    card.minus.title = "Less of this";
    const whole = !pin.box || pin.box.every((number, at) => number === [0, 0, 1, 1][at]);
    card.box.hidden = whole;
    if (!whole) place(card.box, pin.box);
  }
}

/** Put an element over a box given as fractions of its parent. */
export function place(node, [x0, y0, x1, y1]) {
  node.style.left = `${100 * x0}%`;
  node.style.top = `${100 * y0}%`;
  node.style.width = `${100 * (x1 - x0)}%`;
  node.style.height = `${100 * (y1 - y0)}%`;
}
