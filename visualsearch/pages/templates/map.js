// The map of a collection: tiles that are moved and zoomed by hand, by keys and by buttons. It asks nobody but its own folder.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const map = document.getElementById("map");
  const told = document.getElementById("told");
  const here = document.getElementById("here");
  const SIDE = 256;
  const MOVING = ["rising", "peaking", "fading"];
  const shown = new Map(); // "level/x/y" -> its picture
  const there = data.there && data.there.map((tiles) => new Set(tiles));
  let level = 0;
  let x = 0.5; // the middle of the view, 0..1 from the left and from the top
  let y = 0.5;

  const looks = data.looks.map((look) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = `look ${MOVING.includes(look.phase) ? look.phase : ""}`;
    button.textContent = look.name;
    const grows = look.factor === null ? "" : `, ${look.factor.toFixed(2)} times as usual`;
    button.setAttribute("aria-label", `${look.name}: ${look.phase || "no trend known"}${grows}, ${look.pins} pins`);
    button.addEventListener("click", () => visit(look));
    map.append(button);
    return { ...look, button };
  });
  const byId = new Map(looks.map((look) => [look.id, look]));

  function whole() {
    level = Math.max(0, Math.min(data.deepest, Math.floor(Math.log2(Math.min(map.clientWidth, map.clientHeight) / SIDE))));
    x = y = 0.5;
    draw();
  }

  function move(dx, dy) {
    const scale = SIDE * 2 ** level;
    x = Math.max(0, Math.min(1, x + dx / scale));
    y = Math.max(0, Math.min(1, y + dy / scale));
    draw();
  }

  function zoom(by) {
    const next = Math.max(0, Math.min(data.deepest, level + by));
    if (next === level) return;
    level = next;
    draw();
  }

  function draw() {
    const scale = SIDE * 2 ** level;
    const left = x * scale - map.clientWidth / 2;
    const top = y * scale - map.clientHeight / 2;
    const most = 2 ** level - 1;
    const wanted = new Set();
    for (let column = Math.max(0, Math.floor(left / SIDE)); column <= Math.min(most, (left + map.clientWidth) / SIDE); column++) {
      for (let line = Math.max(0, Math.floor(top / SIDE)); line <= Math.min(most, (top + map.clientHeight) / SIDE); line++) {
        const key = `${level}/${column}/${line}`;
        if (there && !there[level].has(column * 65536 + line)) continue;
        wanted.add(key);
        if (!shown.has(key)) shown.set(key, picture(key));
        const tile = shown.get(key);
        tile.style.left = `${column * SIDE - left}px`;
        tile.style.top = `${line * SIDE - top}px`;
      }
    }
    for (const [key, tile] of shown) {
      if (wanted.has(key)) continue;
      tile.remove();
      shown.delete(key);
    }
    place(scale, left, top);
  }

  function picture(key) {
    const tile = new Image(SIDE, SIDE);
    tile.alt = "";
    tile.draggable = false;
    tile.src = `${data.base}${key}.png`;
    map.prepend(tile);
    return tile;
  }

  // Names of looks: what moves first, then the largest; one that would cover another is left out, and is in the table below.
  function place(scale, left, top) {
    const taken = [];
    const seen = [];
    const order = [...looks].sort((a, b) => MOVING.includes(b.phase) - MOVING.includes(a.phase) || b.pins - a.pins);
    for (const look of order) {
      const at = [look.x * scale - left, look.y * scale - top];
      const inside = at[0] > 0 && at[1] > 0 && at[0] < map.clientWidth && at[1] < map.clientHeight;
      const free = taken.every((other) => Math.abs(other[0] - at[0]) > 110 || Math.abs(other[1] - at[1]) > 28);
      look.button.hidden = !(inside && (free || look.button === document.activeElement));
      if (inside) seen.push(look);
      if (look.button.hidden) continue;
      taken.push(at);
      look.button.style.left = `${at[0]}px`;
      look.button.style.top = `${at[1]}px`;
    }
    const moving = seen.filter((look) => MOVING.includes(look.phase)).map((look) => `${look.name} (${look.phase})`);
    told.textContent = `Level ${level} of ${data.deepest}. ${seen.length} looks in view. ${moving.length ? `Trends: ${moving.join(", ")}.` : "No trend in view."}`;
  }

  function visit(look) {
    [x, y, level] = [look.x, look.y, Math.max(level, Math.min(data.deepest, 3))];
    draw();
    tell();
  }

  async function tell() {
    const side = 2 ** level;
    const [column, line] = [x, y].map((value) => Math.min(side - 1, Math.floor(value * side)));
    here.replaceChildren();
    const said = document.createElement("p");
    here.append(said);
    if (there && !there[level].has(column * 65536 + line)) {
      said.textContent = "No pin lies here.";
      return;
    }
    try {
      const answer = await fetch(`${data.base}${level}/${column}/${line}.json`);
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      list(await answer.json(), said);
    } catch (error) {
      said.textContent = location.protocol === "file:" ? "Browsers read no further files from a disk. Serve this folder (python -m http.server) to see the pins' names." : `What is here could not be read: ${error.message}.`;
    }
  }

  function list(found, said) {
    const names = found.looks.slice(0, 5).map((each) => `${byId.get(each.id).name} (${each.count.toLocaleString()})`);
    said.textContent = `${found.count.toLocaleString()} pins in the middle tile: ${names.join(", ") || "none"}.`;
    const rows = document.createElement("ul");
    for (const pin of found.pins) {
      const row = document.createElement("li");
      const name = document.createElement(data.pins === null ? "span" : "a");
      name.textContent = pin.id;
      if (data.pins !== null) name.href = `${data.pins}${encodeURIComponent(pin.id)}`;
      row.append(name, ` (${byId.get(pin.look).name})`);
      rows.append(row);
    }
    here.append(rows);
  }

  document.getElementById("in").addEventListener("click", () => zoom(1));
  document.getElementById("out").addEventListener("click", () => zoom(-1));
  document.getElementById("all").addEventListener("click", whole);
  map.addEventListener("keydown", (event) => {
    if (event.target !== map || event.ctrlKey || event.altKey || event.metaKey) return;
    const act = {
      ArrowLeft: () => move(-96, 0), ArrowRight: () => move(96, 0), ArrowUp: () => move(0, -96), ArrowDown: () => move(0, 96),
      "+": () => zoom(1), "=": () => zoom(1), "-": () => zoom(-1), 0: whole, Enter: tell,
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  map.addEventListener("wheel", (event) => {
    event.preventDefault();
    const [dx, dy] = fromMiddle(event);
    const before = level;
    zoom(event.deltaY < 0 ? 1 : -1);
    if (level > before) move(dx, dy);
    else if (level < before) move(-dx / 2, -dy / 2);
  }, { passive: false });
  function fromMiddle(event) {
    const box = map.getBoundingClientRect();
    return [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
  }
  let held = null;
  map.addEventListener("pointerdown", (event) => {
    if (event.target.closest(".look")) return;
    held = { x: event.clientX, y: event.clientY, moved: false };
    map.setPointerCapture(event.pointerId);
  });
  map.addEventListener("pointermove", (event) => {
    if (!held) return;
    const [dx, dy] = [held.x - event.clientX, held.y - event.clientY];
    if (!held.moved && Math.abs(dx) + Math.abs(dy) < 4) return;
    held = { x: event.clientX, y: event.clientY, moved: true };
    move(dx, dy);
  });
  map.addEventListener("pointerup", (event) => {
    if (held && !held.moved) {
      move(...fromMiddle(event));
      tell();
    }
    held = null;
  });
  map.addEventListener("pointercancel", () => { held = null; });
  document.querySelectorAll("[data-look]").forEach((link) => link.addEventListener("click", (event) => {
    event.preventDefault();
    visit(byId.get(Number(link.dataset.look)));
    map.focus();
  }));
  addEventListener("resize", draw);
  whole();
})();
