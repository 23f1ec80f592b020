"""The graph of saves: the built one, the saves that came since, and the links that count no more.

The built graph is the learnt part `graph`. Where nothing was learnt yet, and there are few saves, it is built in memory.
Saves of every process count within FRESH_SECONDS: the record of people is asked for what came since.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from visualsearch.compiled import WALKS, Side, frozen, loops
from visualsearch.types import Float32, Int64

from .diffuse import SMALLEST, clusters, diffuse_boards
from .learnt import current, open_learnt
from .links import NO_FRESH, Links, build, capacity, from_arrays, packed
from .looks import units
from .view import View
from .walk import DEAD_BOARD, Walkable, links_of

if TYPE_CHECKING:
    from visualsearch.people import Material, People, PinRef, Pins

Vectors = Callable[[Sequence[str]], Float32]
"""Pin ids -> their vectors, (n, d)."""
PART = "graph"
"""Its name among what is learnt."""
FRESH_SECONDS = 0.3
MOST_IN_MEMORY = 1_000_000
"""Saves that are read where nothing was learnt yet."""
MOST_FRESH = 500_000
"""Saves beside the built graph; the next wait for `visualsearch learn`."""
OVERLAP = 1000
"""Numbers of saves before the watermark that are read again: a database server may commit them out of order."""
HALF_LIFE_DAYS = 365.0
"""A link that is so much older than the newest weighs half. Pins and boards forget slowly."""
PAYS = 200_000
"""Links from which the compiled walk is loaded: it takes a second, and the first time on a machine some more."""
_DAY_MS = 86_400_000
_FIND = 5000


def graph_of(
    material: Material,
    pins: Pins,
    *,
    drop: NDArray[Any] | None = None,
    signs: Mapping[str, int] | None = None,
) -> Links:
    """The graph of what may be learnt from. `pins` says which the index holds; `drop` are positions of boards to leave out.
    `signs` are those of the moment before, see `signs_of`.
    """
    numbers = np.full(len(material.pins), -1, np.int64)
    for at in range(0, len(material.pins), _FIND):
        names = material.pins[at : at + _FIND]
        held = pins.find(names)
        for place, name in enumerate(names, at):
            ref = held.get(name)
            if ref is not None and ref.number is not None:
                numbers[place] = ref.number
    kept = numbers[material.pin] >= 0
    if drop is not None and len(drop):
        kept &= ~np.isin(material.board, drop)
    guests = material.person != material.owner[material.board]
    values = {"watermark": material.watermark, "sample": _sample(material.pins, numbers), **(signs or {})}
    return build(
        material.pin[kept], material.board[kept], numbers, material.boards,
        weights=recency(material.at[kept]), guests=guests[kept], values=values,
    )  # fmt: skip


def signs_of(people: People) -> dict[str, int]:
    """What changes when links may have gone without a trace: choices of consent, and how many people were forgotten."""
    return {"choices": people.choices(), "forgotten": people.epoch()[1]}


def diffuse_of(material: Material, pins: Pins, vectors: Vectors, seed: int = 0) -> Int64:
    """Boards about everything, by the looks of their pins; only pins on boards that are large enough are looked at."""
    sizes = np.bincount(material.board, minlength=len(material.boards))
    inside = np.unique(material.pin[sizes[material.board] >= SMALLEST]).tolist()
    kept: list[int] = []
    for at in range(0, len(inside), _FIND):
        part = inside[at : at + _FIND]
        held = pins.find([material.pins[each] for each in part])
        kept += [each for each in part if material.pins[each] in held]
    cluster = np.full(len(material.pins), -1, np.int32)
    if kept:
        cluster[kept] = clusters(
            len(kept), lambda at: units(vectors([material.pins[kept[each]] for each in at.tolist()])), seed
        )
    return diffuse_boards(material.board, material.pin, cluster)


def recency(at: Int64) -> Float32:
    """(n,) weights of saves by their times in milliseconds: half for each HALF_LIFE_DAYS before the newest."""
    if not len(at):
        return np.zeros(0, np.float32)
    days = (at.max() - at) / _DAY_MS
    weights: Float32 = np.power(0.5, days / HALF_LIFE_DAYS).astype(np.float32)
    return weights


def _sample(names: Sequence[str], numbers: Int64) -> list[list[Any]]:
    """Some pins by number and id: they tell whether the catalog is still the one of these numbers."""
    known = np.flatnonzero(numbers >= 0)
    some = (
        known[np.linspace(0, len(known) - 1, min(32, len(known))).astype(np.int64)] if len(known) else known
    )
    return [[int(numbers[at]), names[at]] for at in some.tolist()]


class SaveGraph:
    """The graph of an index's saves, kept up to date. Safe to share between threads."""

    def __init__(self, folder: Path, people: People, vectors: Vectors | None = None) -> None:
        self.folder, self.people, self._vectors = folder, people, vectors
        self._guard = threading.Lock()
        self._looked = -np.inf
        self._view: View | None = None
        self.origin, self.waiting = "", 0
        self._generation: int | None = None

    def view(self) -> View:
        """The graph now: looks for changes where the last look is older than FRESH_SECONDS."""
        with self._guard:
            now = time.monotonic()
            if self._view is None or now - self._looked > FRESH_SECONDS:
                if self._view is None or current(self.folder) != self._generation:
                    self._open()
                self._catch_up()
                self._looked = now
            assert self._view is not None
            return self._view

    def bury(self, view: View, keys: Iterable[int]) -> View:
        """Links and boards of `view`, as `Walkable.dead` has them, leave the graph; the graph without them."""
        return self.bury_of(view.base, keys) or view

    def bury_of(self, base: Links, keys: Iterable[int]) -> View | None:
        """The same, for a view over `base`; None where another graph took over meanwhile."""
        with self._guard:
            if self._view is None or self._view.base is not base:
                self._looked = -np.inf
                return None
            self._dead.update(keys)
            return self._renewed()

    def figures(self) -> dict[str, Any]:
        """What the graph is, as plain values."""
        view = self.view()
        return {
            "origin": self.origin,
            "links": view.links,
            "fresh": len(view.walkable.pins.fresh_links),
            "dead": len(view.walkable.dead),
            "waiting": self.waiting,
            "bytes": view.base.nbytes,
            "walk": "compiled" if WALKS.ready is not None else "numpy",
        }

    # -- inside: under the guard -----------------------------------------------------------------------------------
    def _open(self) -> None:
        self._generation = current(self.folder)
        self._signs = signs_of(self.people)
        self._overlap = 0 if self.people.store.sqlite else OVERLAP
        self._newest = -1
        learnt = open_learnt(self.folder)
        part = None if learnt is None else learnt.part(PART)
        base = None if part is None else from_arrays(part.arrays, part.values)
        if base is not None and self._same_catalog(base.values["sample"]):
            self.origin = "learnt"
        else:
            self.origin = "none"
            base = _nothing()
            if self.people.newest_save() <= MOST_IN_MEMORY:
                base, self.origin = self._from_record(), "memory"
        if len(base) >= PAYS or loops() is not None:
            WALKS.load()
        self._base = base
        self._after = max(0, int(base.values["watermark"]) - self._overlap)
        self._margin = int(base.values["watermark"])
        self._seen: set[int] = set()
        self._pairs: list[tuple[int, int]] = []
        self._paired: set[tuple[int, int]] = set()
        self._fresh_pins: dict[int, int] = {}
        self._fresh_numbers: list[int] = []
        self._fresh_boards: dict[str, int] = {}
        self._fresh_names: list[str] = []
        self._guests: set[str] = set()
        self._dead: set[int] = set()
        self.waiting = 0
        if self.origin == "learnt":  # what went between learning and now
            known = {name: base.values.get(name, -1) for name in self._signs}
            self._forget(known, self._signs)
        self._renewed()

    def _from_record(self) -> Links:
        material = self.people.material()
        drop = None if self._vectors is None else diffuse_of(material, self.people.pins, self._vectors)
        return graph_of(material, self.people.pins, drop=drop)

    def _same_catalog(self, sample: Sequence[Sequence[Any]]) -> bool:
        """Whether most pins still have the numbers that the graph knows them by: a rebuilt index gives others."""
        held = self.people.pins.find([name for _, name in sample])
        there = [(number, held[name].number) for number, name in sample if name in held]
        return not there or sum(a == b for a, b in there) * 2 > len(there)

    def _catch_up(self) -> None:
        newest, signs = self.people.epoch()[0], signs_of(self.people)
        changed = self._forget(self._signs, signs)
        self._signs = signs
        if newest != self._newest:
            changed = self._take(newest) or changed
            self._newest = newest
        if changed:
            self._renewed()

    def _forget(self, before: Mapping[str, int], now: Mapping[str, int]) -> bool:
        """Bury what went between two moments; whether any of it may be here."""
        erased = before["forgotten"] != now["forgotten"]
        if before["choices"] != now["choices"]:
            erased = self._withdraw(before["choices"]) or erased
        if erased:
            self._sweep()
        return before != now

    def _take(self, newest: int) -> bool:
        room = MOST_FRESH - len(self._pairs)
        if room <= 0 or self.origin == "none":
            self.waiting = newest - self._margin
            return False
        rows = [row for row in self.people.fresh_saves(self._after, room) if row.save not in self._seen]
        held: dict[str, PinRef] = {}
        names = list({row.pin for row in rows})
        for at in range(0, len(names), _FIND):
            held.update(self.people.pins.find(names[at : at + _FIND]))
        for row in rows:
            self._seen.add(row.save)
            ref = held.get(row.pin)
            if ref is None or ref.number is None:
                continue
            pin, board = self._pin(ref.number), self._board(row.board)
            if pin < 0 or board < 0:
                continue
            self._dead -= {(pin << 32) | board, DEAD_BOARD | board}
            known = (pin, board) in self._paired or (
                row.save <= self._margin and board in links_of(self._base.pins, self._base.shifts[1], pin)
            )
            if known:
                continue
            if row.guest:
                self._guests.add(row.board)
            self._pairs.append((pin, board))
            self._paired.add((pin, board))
        last = rows[-1].save if rows else 0
        full = len(rows) >= room
        self._after = max(self._after, (last if full else newest) - self._overlap, 0)
        self._seen = {save for save in self._seen if save > self._after}
        return bool(rows)

    def _pin(self, number: int) -> int:
        node = int(self._base.pin_nodes([number])[0])
        if node >= 0:
            return node
        base = len(self._base.numbers)
        if number not in self._fresh_pins:
            if base + len(self._fresh_numbers) >= capacity(self._base.shifts[0]):
                return -1
            self._fresh_pins[number] = base + len(self._fresh_numbers)
            self._fresh_numbers.append(number)
        return self._fresh_pins[number]

    def _board(self, name: str) -> int:
        node = self._node_of(name)
        base = len(self._base.guests)
        if node < 0 and base + len(self._fresh_names) < capacity(self._base.shifts[1]):
            node = self._fresh_boards[name] = base + len(self._fresh_names)
            self._fresh_names.append(name)
        return node

    def _node_of(self, name: str) -> int:
        node = self._base.board_node(name)
        return self._fresh_boards.get(name, -1) if node < 0 else node

    def _withdraw(self, since: int) -> bool:
        """Bury what its owners or savers withdrew; whether other rows were deleted with it."""
        gone = self.people.withdrawn(since)
        for name in gone.boards:
            if (node := self._node_of(name)) >= 0:
                self._dead.add(DEAD_BOARD | node)
        self._bury_named(gone.links)
        return gone.erased

    def _bury_named(self, links: Sequence[tuple[str, str]]) -> None:
        known = [(board, pin) for board, pin in links if self._node_of(board) >= 0]
        names = list({pin for _, pin in known})
        held: dict[str, PinRef] = {}
        for at in range(0, len(names), _FIND):
            held.update(self.people.pins.find(names[at : at + _FIND]))
        for board, pin in known:
            number = held[pin].number if pin in held else None
            if number is None:
                continue
            node = int(self._base.pin_nodes([number])[0])
            node = self._fresh_pins.get(number, -1) if node < 0 else node
            if node >= 0:
                self._dead.add((node << 32) | self._node_of(board))

    def _sweep(self) -> None:
        """Compare all boards with the record: somebody was forgotten, and the record does not say what was theirs."""
        alive = np.zeros(len(self._base.guests) + len(self._fresh_names), bool)
        for name in self.people.open_boards():
            if (node := self._node_of(name)) >= 0:
                alive[node] = True
        self._dead.update(DEAD_BOARD | node for node in np.flatnonzero(~alive).tolist())
        shared = [self._base.board_name(int(at)) for at in np.flatnonzero(self._base.guests)]
        shared = [name for name in {*shared, *self._guests} if alive[self._node_of(name)]]
        links = self.people.board_links(shared)
        for name in shared:
            board = self._node_of(name)
            held = self.people.pins.find(list(links[name]))
            numbers = [ref.number for ref in held.values() if ref.number is not None]
            there = {node for node in self._base.pin_nodes(numbers).tolist() if node >= 0}
            there |= {self._fresh_pins[number] for number in numbers if number in self._fresh_pins}
            nodes = links_of(self._base.boards, self._base.shifts[0], board).tolist()
            nodes += [pin for pin, each in self._pairs if each == board]
            self._dead.update((pin << 32) | board for pin in nodes if pin not in there)

    def _renewed(self) -> View:
        """A new view of what is known now."""
        base = self._base
        pairs = np.array(self._pairs, np.int64).reshape(-1, 2)
        pins = _with_fresh(base.pins, pairs[:, 0], pairs[:, 1], base.shifts[1])
        boards = _with_fresh(base.boards, pairs[:, 1], pairs[:, 0], base.shifts[0])
        dead = frozen(np.array(sorted(self._dead), np.int64))
        largest = int(base.values["largest"]) + len(pairs)
        walkable = Walkable(pins, boards, base.shifts, dead, largest)
        self._view = View(
            base, walkable, self._fresh_pins, self._fresh_numbers, self._fresh_boards, self._fresh_names
        )
        return self._view


def _with_fresh(side: Side, own: Int64, other: Int64, shift: int) -> Side:
    if not len(own):
        return side._replace(fresh_nodes=NO_FRESH[0], fresh_offsets=NO_FRESH[1], fresh_links=NO_FRESH[2])
    order = np.argsort(own, kind="stable")
    nodes, first = np.unique(own[order], return_index=True)
    links = packed(own[order].astype(np.int32), other[order].astype(np.int32), 0, shift, None)
    return side._replace(
        fresh_nodes=frozen(nodes),
        fresh_offsets=frozen(np.append(first, len(own)).astype(np.int64)),
        fresh_links=frozen(links),
    )


def _nothing() -> Links:
    none = np.zeros(0, np.int32)
    return build(none, none, np.zeros(0, np.int64), [], values={"watermark": 0, "sample": []})
