// Filters made from what the index's attributes hold: values to choose, ranges to narrow.

import { el, say } from "/static/dom.js";
import { t } from "/static/words.js";

const SHOWN = 8;
const FEW = 15; // values that are taken in at a glance
const TICKS = 100;

/** Fill `root` for these attributes; `change(edit)` is given a function that edits the state. */
export function build(root, attributes, change) {
  const groups = attributes.toSorted((a, b) => weight(a) - weight(b)).map((one) => MAKERS[one.kind]?.(one, change)).filter(Boolean);
  root.replaceChildren(...groups.map(({ node }) => node));
  return {
    some: groups.length > 0,
    /** Show what the state has chosen. */
    show: (state) => groups.forEach(({ show }) => show(state)),
    /** Show how many pins each value leaves, from {attribute: [{value, count}]}. */
    count: (counts) => groups.forEach(({ count }) => count?.(counts)),
  };
}

/** What is most often chosen by comes first: short lists, then ranges, then long lists. */
const weight = ({ kind, values: list }) => (kind === "number" ? 1 : list.length <= FEW ? 0 : 2);

const MAKERS = { category: values, boolean: values, number: range };

function values(one, change) {
  if (one.values.length < 2) return null;
  const chips = one.values.map(({ value, count }) => {
    const chip = el("button", { type: "button", class: "chip", "aria-pressed": "false" }, say(value), el("small", {}, count.toLocaleString()));
    chip.addEventListener("click", () => change((state) => {
      const chosen = new Set(state.chosen[one.name] ?? []);
      if (!chosen.delete(value)) chosen.add(value);
      if (chosen.size) state.chosen[one.name] = [...chosen];
      else delete state.chosen[one.name];
    }));
    return { value, chip };
  });
  const list = el("div", { class: "values" }, ...chips.map(({ chip }) => chip));
  const rest = chips.slice(SHOWN);
  if (rest.length > 1) {
    const more = el("button", { type: "button", class: "link", "aria-expanded": "false" }, t("{n} more", { n: rest.length }));
    const open = (wide) => {
      rest.forEach(({ chip }) => { chip.hidden = !wide && chip.getAttribute("aria-pressed") === "false"; });
      more.textContent = wide ? t("Fewer") : t("{n} more", { n: rest.length });
      more.setAttribute("aria-expanded", String(wide));
    };
    more.addEventListener("click", () => open(more.getAttribute("aria-expanded") === "false"));
    list.append(more);
    open(false);
  }
  roving(list);
  const show = (state) => {
    const chosen = state.chosen[one.name] ?? [];
    for (const { value, chip } of chips) {
      const on = chosen.includes(value);
      chip.setAttribute("aria-pressed", String(on));
      if (on) chip.hidden = false;
    }
  };
  const count = (counts) => {
    if (!counts[one.name]) return;
    const left = new Map(counts[one.name].map((each) => [each.value, each.count]));
    for (const { value, chip } of chips) {
      const pins = left.get(value) ?? 0;
      chip.querySelector("small").textContent = pins.toLocaleString();
      chip.classList.toggle("none", !pins);
    }
  };
  return { node: group(one.name, list), show, count };
}

function range(one, change) {
  if (!(one.high > one.low)) return null;
  const whole = Number.isInteger(one.low) && Number.isInteger(one.high);
  const span = one.high - one.low;
  const toValue = (tick) => {
    const value = one.low + (span * tick) / TICKS;
    return whole ? Math.round(value) : Number(value.toPrecision(3));
  };
  const toTick = (value) => Math.round((TICKS * (value - one.low)) / span);
  const slider = (side, start) => el("input", {
    type: "range", min: 0, max: TICKS, value: start, class: side, "aria-label": t(side === "low" ? "{name}, at least" : "{name}, at most", { name: one.name }),
  });
  const low = slider("low", 0);
  const high = slider("high", TICKS);
  const said = el("output", { class: "said" });
  const track = el("span", { class: "track", "aria-hidden": "true" });
  const read = () => [
    Number(low.value) > 0 ? toValue(Number(low.value)) : null,
    Number(high.value) < TICKS ? toValue(Number(high.value)) : null,
  ];
  const draw = () => {
    const [from, to] = read();
    said.textContent = `${say(from ?? one.low)} – ${say(to ?? one.high)}`;
    for (const [input, value] of [[low, from ?? one.low], [high, to ?? one.high]]) input.setAttribute("aria-valuetext", say(value));
    track.style.left = `${low.value}%`;
    track.style.right = `${100 - high.value}%`;
  };
  low.addEventListener("input", () => { if (Number(low.value) > Number(high.value)) low.value = high.value; draw(); });
  high.addEventListener("input", () => { if (Number(high.value) < Number(low.value)) high.value = low.value; draw(); });
  for (const input of [low, high]) {
    input.addEventListener("change", () => change((state) => {
      const [from, to] = read();
      if (from === null && to === null) delete state.ranges[one.name];
      else state.ranges[one.name] = [from, to];
    }));
  }
  const show = (state) => {
    const [from, to] = state.ranges[one.name] ?? [null, null];
    low.value = from === null ? 0 : toTick(from);
    high.value = to === null ? TICKS : toTick(to);
    draw();
  };
  draw();
  return { node: group(one.name, said, el("div", { class: "range" }, el("span", { class: "rail", "aria-hidden": "true" }), track, low, high)), show };
}

/** One stop for the Tab key in a group of buttons; the arrow keys go from one to the next. */
function roving(list) {
  const buttons = () => [...list.querySelectorAll("button")].filter((one) => !one.hidden);
  const stop = (wanted) => { for (const one of list.querySelectorAll("button")) one.tabIndex = one === wanted ? 0 : -1; };
  stop(buttons()[0]);
  list.setAttribute("role", "group");
  list.addEventListener("focusin", (event) => stop(event.target.closest("button")));
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const all = buttons();
    all[(all.indexOf(document.activeElement) + step + all.length) % all.length]?.focus();
  });
}

const group = (name, ...children) => el("fieldset", {}, el("legend", {}, name), ...children);

/** The filters that are on, as [text, edit that takes it off]. */
export function active(state) {
  const found = [];
  for (const [name, chosen] of Object.entries(state.chosen)) {
    for (const value of chosen) {
      found.push([`${name}: ${say(value)}`, (next) => {
        next.chosen[name] = next.chosen[name].filter((other) => other !== value);
        if (!next.chosen[name].length) delete next.chosen[name];
      }]);
    }
  }
  for (const [name, [low, high]] of Object.entries(state.ranges)) {
    const text = low === null ? `${name} ≤ ${say(high)}` : high === null ? `${name} ≥ ${say(low)}` : `${name}: ${say(low)} – ${say(high)}`;
    found.push([text, (next) => { delete next.ranges[name]; }]);
  }
  return found;
}
