// The masonry of results: cards in the order of their rank, each placed in the shortest column. Cards are kept
// between results and glide to their new place, so a query that changes a little changes the page a little.
// Of a long list only what is near the screen stands in the page: a board of 10,000 pins has no more elements than one of 200.

import { loadCard, makeCard, tellCard } from "/static/card.js";
import { Masonry } from "/static/masonry.js";

const GAP = { small: 10, large: 18 };
const NARROW = 620;
const WISHED = { small: 165, large: 218 }; // width of a column, pixels
const TALLEST = 2.4;
const FLATTEST = 0.42;
const WHOLE = 120; // a list of so many stands in the page as a whole
const AHEAD = 1.2; // screens above and below that are kept ready
const ROUNDS = 4; // what comes in sight as heights become known is looked at so often

const ratios = new Map(); // height / width of pictures seen before, by pin

export class Grid {
  /**
   * `actions`: `surface` (where it is, for events); `refines()`, whether plus(pin) and minus(pin) are offered; `href(pin)`;
   * `decorate(card)`, which may add to a new card; `updated(card)`.
   */
  constructor(list, actions) {
    this.list = list;
    this.actions = actions;
    this.cards = new Map(); // what stands in the page
    this.items = new Map(); // all of them
    this.order = [];
    this.layout = new Masonry();
    this.facts = []; // names of attributes under a title; null while the server has not said which there are
    this.frame = 0;
    this.width = 0;
    this.paused = false;
    this.scrolled = () => this.follow();
    new ResizeObserver(() => { if (list.clientWidth !== this.width) this.arrange(); }).observe(list);
  }

  /** Show these pins; with `append`, after those that are there. `answer` is the id of the served list. */
  show(pins, { append = false, answer = null } = {}) {
    const first = append ? this.order.length : 0;
    const items = append ? this.items : new Map();
    const order = append ? this.order : [];
    for (const pin of pins) {
      if (items.has(pin.id)) continue;
      items.set(pin.id, { id: pin.id, pin, answer, slot: order.length, text: null, column: -1, shown: false });
      order.push(pin.id);
    }
    this.items = items;
    this.order = order;
    this.changed(first);
  }

  clear() { this.show([]); }

  /** Take one pin away. */
  drop(id) {
    if (!this.items.delete(id)) return;
    this.order = this.order.filter((other) => other !== id);
    this.changed(0);
  }

  /** Put one pin at a place. */
  put(pin, at, answer = null) {
    this.items.set(pin.id, { id: pin.id, pin, answer, slot: at, text: null, column: -1, shown: false });
    this.order = this.order.filter((other) => other !== pin.id).toSpliced(at, 0, pin.id);
    this.changed(0);
  }

  /** The same cards in another order. */
  reorder(order) {
    this.order = order;
    this.changed(0);
  }

  /** Write every card anew: what is said of pins has changed. */
  again() {
    for (const item of this.items.values()) item.text = null;
    for (const card of this.cards.values()) tellCard(card, card.pin, this.facts, this.actions);
    this.arrange();
  }

  changed(first) {
    this.layout.items = this.order.map((id) => this.items.get(id));
    this.layout.free(first);
    for (const [id, card] of this.cards) if (!this.items.has(id)) this.remove(card);
    for (const card of this.cards.values()) {
      const item = this.items.get(card.id);
      if (card.pin !== item.pin || card.answer !== item.answer) this.tell(card, item);
    }
    removeEventListener("scroll", this.scrolled);
    if (this.long) addEventListener("scroll", this.scrolled, { passive: true });
    this.now();
  }

  /** Whether it is too long to stand in the page as a whole. */
  get long() { return this.order.length > WHOLE; }

  /** Arrange at the next frame. */
  arrange() {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.now());
  }

  /** The page was scrolled: what comes near is made ready. */
  follow() {
    if (!this.list.isConnected) removeEventListener("scroll", this.scrolled);
    else if (!this.frame && this.list.clientWidth) this.frame = requestAnimationFrame(() => { this.frame = 0; this.fill(); });
  }

  /** Place the cards. */
  now() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const width = this.list.clientWidth;
    if (!width) { this.width = 0; return; } // out of sight: it is placed when it comes back
    const kind = width < NARROW ? "small" : "large";
    const gap = GAP[kind];
    const columns = Math.max(2, Math.floor((width + gap) / (WISHED[kind] + gap)));
    const held = this.layout.columns && this.long ? this.looked() : null;
    if (this.layout.shape(columns, (width - gap * (columns - 1)) / columns, gap)) {
      for (const item of this.items.values()) Object.assign(item, { text: null, shown: false });
    }
    this.mirrored = document.documentElement.dir === "rtl" ? -1 : 1;
    this.width = width;
    this.height = this.layout.place((pin) => this.ratio(pin));
    this.list.style.height = `${this.height}px`;
    this.fill();
    for (const card of this.cards.values()) this.move(card);
    if (held && held.item.y !== held.y && this.items.has(held.item.id)) scrollBy({ top: held.item.y - held.y, behavior: "instant" });
  }

  /** The first item that is on the screen of a list that was scrolled into. */
  looked() {
    const top = -this.list.getBoundingClientRect().top;
    const item = top > 0 && this.layout.items.find((one) => this.cards.has(one.id) && one.y + one.height > top);
    return item ? { item, y: item.y } : null;
  }

  /** Bring into the page what is near the screen, and take out what is far. */
  fill() {
    const { layout } = this;
    const fresh = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const wanted = this.near();
      const anchor = wanted.map((at) => layout.items[at]).find((item) => item.shown && item.y + item.height > this.top);
      const before = anchor?.y;
      fresh.push(...this.stand(wanted));
      const unknown = wanted.filter((at) => layout.items[at].text === null);
      if (!unknown.length) break;
      const cards = unknown.map((at) => this.cards.get(layout.items[at].id));
      const heights = cards.map((card) => card.node.offsetHeight); // one reading after all the writing
      const wrong = unknown.filter((at, n) => layout.measured(layout.items[at], heights[n] - layout.items[at].picture));
      for (const at of wrong) this.release(at);
      if (!wrong.length) break;
      this.height = layout.place((pin) => this.ratio(pin));
      this.list.style.height = `${this.height}px`;
      if (this.long && anchor && anchor.y !== before && scrollY > 0) scrollBy({ top: anchor.y - before, behavior: "instant" }); // what is looked at stays
      for (const card of this.cards.values()) this.move(card);
    }
    for (const item of layout.items) if (this.cards.has(item.id)) item.shown = true;
    if (fresh.length) requestAnimationFrame(() => fresh.forEach((card) => card.node.classList.add("in")));
  }

  /** What was not shown yet from number `at` on may still change its column. */
  release(at) {
    const { items } = this.layout;
    for (let next = at; next < items.length; next += 1) if (!items[next].shown) items[next].column = -1;
  }

  /** Numbers of the items that belong in the page, in their order. */
  near() {
    const { items } = this.layout;
    if (!this.long) return items.map((_, at) => at);
    this.top = -this.list.getBoundingClientRect().top;
    const margin = AHEAD * innerHeight;
    const wanted = new Set(this.layout.between(this.top - margin, this.top + innerHeight + margin));
    const held = [document.activeElement?.closest?.(".card"), this.list.querySelector(".dragged")];
    for (const node of held) if (node?.card?.grid === this) wanted.add(this.order.indexOf(node.card.id));
    return [...wanted].filter((at) => at >= 0).sort((a, b) => a - b);
  }

  /** Let just these stand in the page, in the order of rank, for readers and keyboards. Returns the cards that are new. */
  stand(wanted) {
    const { items } = this.layout;
    const names = new Set(wanted.map((at) => items[at].id));
    for (const card of this.cards.values()) if (!names.has(card.id)) this.remove(card);
    const fresh = [];
    wanted.forEach((at, place) => {
      const item = items[at];
      let card = this.cards.get(item.id);
      if (!card) {
        card = makeCard(this, item.pin);
        if (this.paused) card.image.removeAttribute("src");
        this.cards.set(item.id, card);
        this.tell(card, item);
        this.move(card);
        if (item.shown) card.node.classList.add("in"); else fresh.push(card);
      }
      if (this.long) {
        card.node.setAttribute("aria-posinset", at + 1);
        card.node.setAttribute("aria-setsize", items.length);
      }
      // Moving only what stands wrong keeps focus and images.
      if (this.list.children[place] !== card.node) this.list.insertBefore(card.node, this.list.children[place] ?? null);
    });
    return fresh;
  }

  remove(card) {
    card.node.remove();
    this.cards.delete(card.id);
  }

  tell(card, item) {
    card.answer = item.answer;
    card.slot = item.slot;
    tellCard(card, item.pin, this.facts, this.actions);
  }

  /** Put a card where its item is. */
  move(card) {
    const { each, gap } = this.layout;
    const item = this.items.get(card.id);
    const { style } = card.node;
    const transform = `translate(${this.mirrored * Math.round(item.column * (each + gap))}px, ${item.y}px)`;
    if (style.transform !== transform) style.transform = transform;
    const width = `${each}px`;
    if (style.width !== width) style.width = width;
    const height = `${item.picture}px`;
    if (card.picture.style.height !== height) card.picture.style.height = height;
    card.column = item.column;
    card.row = item.row;
  }

  learnRatio(id, ratio) {
    ratios.set(id, ratio);
    this.arrange();
  }

  /** Height / width of a pin's tile: from the API, else from the picture once it was here. */
  ratio(pin) {
    const known = pin.width && pin.height ? pin.height / pin.width : ratios.get(pin.id) ?? 1;
    return Math.min(TALLEST, Math.max(FLATTEST, known));
  }

  /** Stop loading pictures: a browser has few connections to a server, and a query comes first. `resume` goes on. */
  pause() {
    this.paused = true;
    for (const { image, picture } of this.cards.values()) {
      if (!image.complete && !picture.classList.contains("loaded")) image.removeAttribute("src");
    }
  }

  resume() {
    this.paused = false;
    for (const card of this.cards.values()) loadCard(card);
  }
}
