// A layer over the page on which a rectangle is dragged. It takes itself away again.

(() => {
  const NAME = "visualsearch-select";
  const SMALLEST = 12; // CSS pixels
  document.getElementById(NAME)?.remove();

  const host = document.createElement("div");
  host.id = NAME;
  const root = host.attachShadow({ mode: "closed" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    :host { all: initial; position: fixed !important; inset: 0 !important; z-index: 2147483647 !important; cursor: crosshair !important; display: block !important; }
    .shade { position: absolute; inset: 0; background: rgb(15 10 12 / .42); }
    .box { position: absolute; box-shadow: 0 0 0 2px #fff, 0 0 0 4px #d6264f; border-radius: 4px; display: none; }
    p { position: absolute; top: 20px; left: 50%; transform: translateX(-50%); margin: 0; padding: 10px 18px; border-radius: 20px; background: #fff; color: #1d1a18; font: 600 15px/1.4 system-ui, sans-serif; box-shadow: 0 8px 30px rgb(0 0 0 / .3); }
  `);
  root.adoptedStyleSheets = [sheet];
  const shade = Object.assign(document.createElement("div"), { className: "shade" });
  const box = Object.assign(document.createElement("div"), { className: "box" });
  const hint = Object.assign(document.createElement("p"), { textContent: "Drag a rectangle over what you look for · Esc to leave" });
  root.append(shade, box, hint);
  document.documentElement.append(host);

  let start = null;
  const rectangle = (event) => [
    Math.min(start[0], event.clientX), Math.min(start[1], event.clientY),
    Math.abs(event.clientX - start[0]), Math.abs(event.clientY - start[1]),
  ];
  const leave = () => {
    host.remove();
    removeEventListener("keydown", escape, true);
  };
  const escape = (event) => { if (event.key === "Escape") leave(); };
  addEventListener("keydown", escape, true);

  host.addEventListener("pointerdown", (event) => {
    start = [event.clientX, event.clientY];
    host.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  host.addEventListener("pointermove", (event) => {
    if (!start) return;
    const [x, y, width, height] = rectangle(event);
    Object.assign(box.style, { display: "block", left: `${x}px`, top: `${y}px`, width: `${width}px`, height: `${height}px` });
    const [right, bottom] = [x + width, y + height].map((number) => `${number}px`);
    shade.style.clipPath = `polygon(evenodd, 0 0, 100% 0, 100% 100%, 0 100%, 0 0, ${x}px ${y}px, ${right} ${y}px, ${right} ${bottom}, ${x}px ${bottom}, ${x}px ${y}px)`;
  });
  host.addEventListener("pointerup", (event) => {
    if (!start) return;
    const chosen = rectangle(event);
    leave();
    if (Math.min(chosen[2], chosen[3]) < SMALLEST) return;
    // Two frames later the layer is off the screen, and the picture of the page is of the page alone.
    requestAnimationFrame(() => requestAnimationFrame(() => {
      chrome.runtime.sendMessage({ kind: "selected", rectangle: chosen, ratio: devicePixelRatio });
    }));
  });
})();
