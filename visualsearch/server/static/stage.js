// The query's picture: drag a box on it to search that part, or press a dot to search what was found there.

import { el } from "/static/dom.js";
import { place } from "/static/card.js";
import { t } from "/static/words.js";

const SMALLEST = 0.04; // a side of the box, as a fraction
const STEP = 0.03;
const CORNERS = ["nw", "n", "ne", "e", "se", "s", "sw", "w"];
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Stage {
  /**
   * `changed(crop, done, step)`: the box moved; `done` when the hand is off it, a `step` by an arrow key. A crop of null is
   * the whole picture.
   * `wished()`: dots are asked for.
   */
  constructor(root, changed, wished) {
    this.root = root;
    this.changed = changed;
    this.crop = null;
    this.image = el("img", { alt: "", draggable: "false" });
    this.shade = el("div", { class: "shade", "aria-hidden": "true" });
    this.box = el("button", { class: "box", type: "button" }, ...CORNERS.map((at) => el("i", { class: `grip ${at}`, "data-grip": at })));
    this.whole = el("button", { class: "whole", type: "button", onclick: () => this.set(null, true) }, t("Whole picture"));
    this.draw = el("button", { class: "whole", type: "button", onclick: () => this.begin() }, t("Search a part"));
    this.find = el("button", { class: "whole", type: "button", onclick: wished }, t("Find objects"));
    this.frame = el("div", { class: "frame" }, this.image, this.shade, this.box);
    this.dots = el("div", { class: "dots" });
    this.frame.append(this.dots);
    root.append(this.frame, el("div", { class: "stage-actions" }, this.draw, this.whole, this.find));
    this.image.addEventListener("error", () => root.classList.add("broken"));
    this.image.addEventListener("load", () => root.classList.remove("broken"));
    this.frame.addEventListener("pointerdown", (event) => this.grab(event));
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.set(null);
  }

  /** Show a picture; its dots come later. */
  show(source, alt) {
    if (this.source !== source) {
      this.source = source;
      this.image.src = source;
      this.mark(null);
    }
    this.image.alt = alt;
    this.root.hidden = false;
  }

  hide() {
    this.root.hidden = true;
    this.source = null;
    this.mark(null);
  }

  /** Dots on what was found: [{box, label}]; null where nobody looked yet. */
  mark(objects) {
    this.find.hidden = objects !== null;
    objects ??= [];
    this.dots.replaceChildren(...objects.map(({ box, label }, at) => {
      const dot = el("button", {
        class: "dot",
        type: "button",
        "aria-label": label ? t("Search the {label}, number {n} in the picture", { label, n: at + 1 }) : t("Search this object, number {n} in the picture", { n: at + 1 }),
        onclick: () => this.set(box, true),
        onpointerenter: () => place(this.glow(), box),
        onfocus: () => place(this.glow(), box),
        onpointerleave: () => this.glow().remove(),
        onblur: () => this.glow().remove(),
      }, el("span", {}, label ?? ""));
      dot.style.left = `${50 * (box[0] + box[2])}%`;
      dot.style.top = `${50 * (box[1] + box[3])}%`;
      return dot;
    }));
  }

  glow() {
    this.outline ??= el("div", { class: "outline" });
    this.frame.append(this.outline);
    return this.outline;
  }

  /** Put the box; `tell` when a visitor did it. */
  set(crop, tell = false, step = false) {
    this.crop = crop;
    this.box.hidden = this.shade.hidden = this.whole.hidden = !crop;
    this.draw.hidden = Boolean(crop);
    this.root.classList.toggle("cropped", Boolean(crop));
    if (crop) {
      place(this.box, crop);
      const [x0, y0, x1, y1] = crop.map((number) => `${100 * number}%`);
      this.shade.style.clipPath = `polygon(evenodd, 0 0, 100% 0, 100% 100%, 0 100%, 0 0, ${x0} ${y0}, ${x1} ${y0}, ${x1} ${y1}, ${x0} ${y1}, ${x0} ${y0})`;
      const said = crop.map((number) => Math.round(100 * number));
      this.box.setAttribute("aria-label", t("Searched part: from {x}, {y} to {right}, {bottom} percent. Arrow keys move it, with Shift they resize it, Escape searches the whole picture.", { x: said[0], y: said[1], right: said[2], bottom: said[3] }));
    }
    if (tell) this.changed(crop, true, step);
  }

  begin() {
    this.set([0.2, 0.2, 0.8, 0.8], true);
    this.box.focus();
  }

  at(event) {
    const frame = this.image.getBoundingClientRect();
    const inside = (number) => Math.min(1, Math.max(0, number));
    return [inside((event.clientX - frame.left) / frame.width), inside((event.clientY - frame.top) / frame.height)];
  }

  grab(event) {
    if (event.button !== 0 || !event.isPrimary) return;
    // A finger on a large picture scrolls or swipes: a part is begun with its button there.
    if (event.pointerType === "touch" && !this.crop && this.root.classList.contains("large")) return;
    const start = this.at(event);
    const grip = event.target.dataset?.grip;
    const old = this.crop;
    const kind = grip ? "size" : event.target === this.box ? "move" : "draw";
    let moved = false; // until then it may be a click on a dot
    event.preventDefault();
    const drag = (now) => {
      const [x, y] = this.at(now);
      if (!moved && Math.hypot(now.clientX - event.clientX, now.clientY - event.clientY) < 5) return;
      if (!moved) this.frame.setPointerCapture(event.pointerId);
      moved = true;
      this.root.classList.add("dragging");
      this.set(SHAPES[kind](old, start, [x, y], grip));
      this.changed(this.crop, false);
    };
    const drop = () => {
      this.root.classList.remove("dragging");
      if (moved) {
        this.box.focus({ preventScroll: true });
        this.changed(this.crop, true);
      }
    };
    const over = new AbortController();
    const end = () => { over.abort(); drop(); };
    addEventListener("pointermove", drag, { signal: over.signal });
    addEventListener("pointerup", end, { signal: over.signal });
    addEventListener("pointercancel", end, { signal: over.signal });
  }

  key(event) {
    if (event.key === "Escape") {
      this.set(null, true);
      this.draw.focus();
      return;
    }
    const move = MOVES[event.key];
    if (!move || !this.crop) return;
    event.preventDefault();
    const [dx, dy] = move.map((number) => number * STEP);
    const [x0, y0, x1, y1] = this.crop;
    this.set(event.shiftKey
      ? [x0, y0, Math.min(1, Math.max(x0 + SMALLEST, x1 + dx)), Math.min(1, Math.max(y0 + SMALLEST, y1 + dy))]
      : moved(this.crop, dx, dy), true, true);
  }
}

function moved([x0, y0, x1, y1], dx, dy) {
  const right = Math.min(1 - x1, Math.max(-x0, dx));
  const down = Math.min(1 - y1, Math.max(-y0, dy));
  return [x0 + right, y0 + down, x1 + right, y1 + down];
}

/** How the box follows the pointer: (old box, where the drag began, where it is, the grip). */
const SHAPES = {
  draw: (_, [ax, ay], [bx, by]) => sized([Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)]),
  move: (old, [ax, ay], [bx, by]) => moved(old, bx - ax, by - ay),
  size: ([x0, y0, x1, y1], _, [x, y], grip) => sized([
    grip.includes("w") ? Math.min(x, x1 - SMALLEST) : x0,
    grip.includes("n") ? Math.min(y, y1 - SMALLEST) : y0,
    grip.includes("e") ? Math.max(x, x0 + SMALLEST) : x1,
    grip.includes("s") ? Math.max(y, y0 + SMALLEST) : y1,
  ]),
};

/** At least as large as the smallest box, and inside the picture. */
function sized([x0, y0, x1, y1]) {
  const left = Math.max(0, Math.min(x0, 1 - SMALLEST));
  const top = Math.max(0, Math.min(y0, 1 - SMALLEST));
  return [left, top, Math.min(1, Math.max(x1, left + SMALLEST)), Math.min(1, Math.max(y1, top + SMALLEST))];
}
