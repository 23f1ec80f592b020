// What fingers do: swipe to what comes next, pinch, pull down. Everything has a key or a button as well.

const FAR = 56; // pixels of a swipe
const PULL = 96; // pixels of a pull that closes
const STILL = 8; // a finger that moves less is a press
const MOST = 6; // times as large as the screen shows it

/** `next(1)` at a swipe towards the beginning of a line, `next(-1)` at one towards its end. Fingers only; a scroll is none. */
export function swipes(node, next) {
  let start = null;
  node.addEventListener("pointerdown", (event) => { start = event.pointerType === "touch" && event.isPrimary ? event : null; });
  node.addEventListener("pointercancel", () => { start = null; });
  node.addEventListener("pointerup", (event) => {
    if (!start || event.pointerId !== start.pointerId) return;
    const by = sideways(event.clientX - start.clientX, event.clientY - start.clientY);
    start = null;
    if (by) next(by);
  });
}

/** -1, 0 or 1: where a finger that went so far leads, in the direction of the page's writing. */
function sideways(dx, dy) {
  if (Math.abs(dx) < FAR || Math.abs(dx) < 1.5 * Math.abs(dy)) return 0;
  return (dx < 0 ? 1 : -1) * (document.documentElement.dir === "rtl" ? -1 : 1);
}

/**
 * Let `content` in `pane` be made larger with two fingers, the wheel or a press, and moved with one. While it is as large as
 * the pane, a swipe tells `next(by)` and a pull down `close()`. `changed(scale)` is told every size.
 */
export function zoomable(pane, content, { next, close, changed }) {
  const fingers = new Map();
  let view = { scale: 1, x: 0, y: 0 };
  let from = null; // {view, middle, spread} when the fingers that are down came down
  let moved = false;

  const draw = (settling = false) => {
    content.classList.toggle("settling", settling);
    content.style.transform = view.scale === 1 && !view.x && !view.y ? "" : `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
  };
  const set = (scale, x, y, settling = false) => {
    const large = Math.min(MOST, Math.max(1, scale));
    const [right, down] = [pane.clientWidth, pane.clientHeight].map((side) => ((large - 1) * side) / 2);
    view = { scale: large, x: Math.min(right, Math.max(-right, x)), y: Math.min(down, Math.max(-down, y)) };
    draw(settling);
    changed(large);
  };
  /** Another size around a point of the screen. */
  const around = (scale, point, base = view, settling = false) => {
    const { left, top, width, height } = pane.getBoundingClientRect();
    const [px, py] = [point[0] - left - width / 2, point[1] - top - height / 2];
    const large = Math.min(MOST, Math.max(1, scale));
    set(large, px - ((px - base.x) * large) / base.scale, py - ((py - base.y) * large) / base.scale, settling);
  };
  const places = () => [...fingers.values()];
  const middle = () => places().reduce(([x, y], one) => [x + one[0] / fingers.size, y + one[1] / fingers.size], [0, 0]);
  const spread = () => (fingers.size < 2 ? 0 : Math.hypot(places()[0][0] - places()[1][0], places()[0][1] - places()[1][1]));
  const begin = () => { from = { view: { ...view }, middle: middle(), spread: spread() }; };

  pane.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (fingers.size === 1) moved = false;
    begin();
  });
  pane.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    const [dx, dy] = middle().map((number, at) => number - from.middle[at]);
    if (!moved && fingers.size < 2 && Math.hypot(dx, dy) < STILL) return;
    if (!moved) pane.setPointerCapture(event.pointerId);
    moved = true;
    if (fingers.size > 1) {
      around((from.view.scale * spread()) / (from.spread || 1), from.middle, from.view);
      set(view.scale, view.x + dx, view.y + dy);
    } else if (view.scale > 1) set(view.scale, from.view.x + dx, from.view.y + dy);
    else if (event.pointerType === "touch") { view = { scale: 1, x: dx, y: Math.max(0, dy) }; draw(); }
  });
  /** Larger around a point of the screen, or as before; a key has no point. */
  const press = (point) => {
    if (view.scale > 1) set(1, 0, 0, true);
    else if (point) around(2, point, view, true);
    else set(2, 0, 0, true);
  };
  const end = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    if (fingers.size) { begin(); return; }
    // Not every browser makes a click of a finger's press where it takes the touches itself.
    if (!moved && event.pointerType === "touch" && event.type === "pointerup") { press([event.clientX, event.clientY]); return; }
    if (view.scale > 1) return;
    const { x, y } = view;
    set(1, 0, 0, true);
    if (event.type === "pointercancel") return;
    if (y > PULL && y > Math.abs(x)) close();
    else if (sideways(x, y)) next(sideways(x, y));
  };
  for (const kind of ["pointerup", "pointercancel"]) pane.addEventListener(kind, end);
  pane.addEventListener("click", (event) => {
    if (!event.detail) press(null);
    else if (event.pointerType !== "touch" && !moved) press([event.clientX, event.clientY]);
  });
  pane.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.ctrlKey || view.scale === 1) around(view.scale * Math.exp(-event.deltaY / 400), [event.clientX, event.clientY]);
    else set(view.scale, view.x - event.deltaX, view.y - event.deltaY);
  }, { passive: false });
  return {
    reset: () => set(1, 0, 0),
    large: () => view.scale > 1,
    move: (dx, dy) => set(view.scale, view.x + dx, view.y + dy, true),
  };
}
