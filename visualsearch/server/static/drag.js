// Drag a card of a grid to another place. The keyboard does the same from the card's menu.

/** Let the cards of `grid` be dragged; `place(pin, before)` is told where one was put, null: behind all. */
export function arrangeable(grid, place) {
  let dragged = null;
  let before; // undefined: nowhere yet
  const mark = (card) => {
    for (const other of grid.cards.values()) other.node.classList.toggle("before", other === card);
  };
  const end = () => {
    dragged?.node.classList.remove("dragged");
    dragged = null;
    before = undefined;
    mark(null);
  };
  grid.list.addEventListener("dragstart", (event) => {
    dragged = event.target.closest?.(".card")?.card ?? null;
    if (!dragged) return;
    event.dataTransfer.effectAllowed = "copyMove";
    dragged.node.classList.add("dragged");
  });
  grid.list.addEventListener("dragover", (event) => {
    if (!dragged) return;
    event.preventDefault();
    event.stopPropagation();
    const over = event.target.closest?.(".card")?.card;
    if (!over || over === dragged) return;
    const { left, width } = over.node.getBoundingClientRect();
    const after = event.clientX > left + width / 2;
    const at = grid.order.indexOf(over.pin.id) + (after ? 1 : 0);
    before = grid.order[at] ?? null;
    mark(before === null ? null : grid.cards.get(before));
  });
  for (const kind of ["dragenter", "dragleave"]) grid.list.addEventListener(kind, (event) => { if (dragged) event.stopPropagation(); });
  grid.list.addEventListener("drop", (event) => {
    if (!dragged) return;
    event.preventDefault();
    event.stopPropagation();
    const { pin } = dragged;
    if (before !== undefined && before !== pin.id) place(pin.id, before);
    end();
  });
  grid.list.addEventListener("dragend", end);
}
