"""Saves as a graph of pins and boards: two compressed lists of links (CSR), one by pin and one by board.

A link takes 4 bytes in each: its weight in the high bits, the node that it leads to in the low ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from visualsearch.compiled import Side, frozen
from visualsearch.errors import UsageError
from visualsearch.types import Float32, Int64

from .learnt import texts_arrays

SHIFT = 26
"""Bits of a node's number while there are fewer nodes than 2^26; the 5 bits above hold the weight."""
NO_FRESH: tuple[Any, Any, Any] = (
    frozen(np.zeros(0, np.int64)),
    frozen(np.zeros(1, np.int64)),
    frozen(np.zeros(0, np.int32)),
)


class PackedNames(NamedTuple):
    """Ids of boards as a graph keeps them: each has a save, and they are in the order of their bytes."""

    text: NDArray[np.uint8]
    ends: NDArray[Any]


@dataclass(frozen=True)
class Links:
    """A built graph.

    `numbers` (p,) are the pin numbers of the pins' nodes, ascending. `names` (UTF-8 bytes in a row) and `ends` (b + 1,) are the
    boards' ids, in the order of their bytes. `guests` (b,) says whether others than its owner saved to a board.
    """

    numbers: NDArray[Any]
    names: NDArray[np.uint8]
    ends: NDArray[Any]
    guests: NDArray[np.uint8]
    pins: Side
    boards: Side
    shifts: tuple[int, int]
    values: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """Links."""
        return len(self.pins.links)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays().values())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What goes to disk, by name."""
        return {
            "numbers": self.numbers,
            "names": self.names,
            "ends": self.ends,
            "guests": self.guests,
            "pin_offsets": self.pins.offsets,
            "pin_links": self.pins.links,
            "board_offsets": self.boards.offsets,
            "board_links": self.boards.links,
        }

    def pin_nodes(self, numbers: Sequence[int]) -> Int64:
        """The nodes of pin numbers; -1 where nobody saved the pin."""
        wanted = np.asarray(numbers, np.int64)
        at = np.searchsorted(self.numbers, wanted)
        inside = np.minimum(at, max(0, len(self.numbers) - 1))
        known = self.numbers[inside] == wanted if len(self.numbers) else np.zeros(len(wanted), bool)
        return np.where(known, at, -1)

    def board_name(self, node: int) -> str:
        """The id of a board."""
        return self._name(node).decode()

    def board_node(self, name: str) -> int:
        """The node of a board's id, or -1."""
        wanted, low, high = name.encode(), 0, len(self.ends) - 1
        while low < high:
            middle = (low + high) // 2
            if self._name(middle) < wanted:
                low = middle + 1
            else:
                high = middle
        return low if low < len(self.ends) - 1 and self._name(low) == wanted else -1

    def _name(self, node: int) -> bytes:
        return self.names[int(self.ends[node]) : int(self.ends[node + 1])].tobytes()


def from_arrays(arrays: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> Links:
    """The graph that `Links.arrays` was written from. Raises UsageError where the arrays do not fit together."""
    a = {name: frozen(array) for name, array in arrays.items()}
    pins = Side(a["pin_offsets"], a["pin_links"], *NO_FRESH)
    boards = Side(a["board_offsets"], a["board_links"], *NO_FRESH)
    shifts = (int(values["pin_shift"]), int(values["board_shift"]))
    links = Links(a["numbers"], a["names"], a["ends"], a["guests"], pins, boards, shifts, values)
    _check(links)
    return links


def _check(links: Links) -> None:
    """Compiled loops check no bounds: every number that they follow is checked here, once."""
    p, b = len(links.numbers), len(links.ends) - 1
    fine = len(links.guests) == b and int(links.ends[0]) == 0 and int(links.ends[-1]) == len(links.names)
    for side, own, others, shift in (
        (links.pins, p, b, links.shifts[1]),
        (links.boards, b, p, links.shifts[0]),
    ):
        offsets = side.offsets
        fine = fine and len(offsets) == own + 1 and int(offsets[0]) == 0 and SHIFT <= shift <= 31
        fine = fine and int(offsets[-1]) == len(side.links) and _ascending(offsets)
        fine = fine and _within(side.links, shift, others)
    if not fine:
        raise UsageError(
            "cannot use the graph of saves", "its arrays do not fit together", "Run: visualsearch learn DIR"
        )


_BLOCK = 1 << 22


def _ascending(offsets: NDArray[Any]) -> bool:
    return all(
        bool((offsets[a + 1 : a + _BLOCK + 1] >= offsets[a : a + _BLOCK][: len(offsets) - a - 1]).all())
        for a in range(0, max(1, len(offsets) - 1), _BLOCK)
    )


def _within(links: NDArray[np.int32], shift: int, nodes: int) -> bool:
    low = np.int32((1 << shift) - 1) if shift < 31 else np.int32(2**31 - 1)
    for a in range(0, len(links), _BLOCK):
        part = links[a : a + _BLOCK]
        if int(part.min()) < 0 or int((part & low).max()) >= nodes:
            return False
    return True


def build(
    pin: NDArray[np.int32],
    board: NDArray[np.int32],
    numbers: Int64,
    names: Sequence[str] | PackedNames,
    *,
    weights: Float32 | None = None,
    guests: NDArray[Any] | None = None,
    values: Mapping[str, Any] | None = None,
) -> Links:
    """The graph of (n,) saves: `pin` and `board` are positions in `numbers` and `names`, each pair at most once.

    `weights` (n,) are above 0; within the links of one pin or board only their proportions count, in steps of 1/32 of the
    largest.
    Pins and boards without a save are left out.
    """
    used_pins = np.flatnonzero(np.bincount(pin, minlength=len(numbers)))
    order = used_pins[np.argsort(numbers[used_pins], kind="stable")]
    pin_nodes = np.empty(len(numbers), np.int32)
    pin_nodes[order] = np.arange(len(order), dtype=np.int32)
    if isinstance(names, PackedNames):
        text, ends = names
    else:
        used = np.flatnonzero(np.bincount(board, minlength=len(names)))
        in_order = np.array(sorted(used.tolist(), key=lambda at: names[at].encode()), np.int64)
        board_nodes = np.empty(len(names), np.int32)
        board_nodes[in_order] = np.arange(len(in_order), dtype=np.int32)
        board = board_nodes[board]
        text, ends = texts_arrays([names[at] for at in in_order.tolist()])
    boards_count = len(ends) - 1
    pin = pin_nodes[pin]
    shifts = (_shift(len(order)), _shift(boards_count))
    pins = _side(pin, board, len(order), shifts[1], weights)
    boards = _side(board, pin, boards_count, shifts[0], weights)
    flags = np.zeros(boards_count, np.uint8)
    if guests is not None:
        flags[board[np.asarray(guests, bool)]] = 1
    largest = int(np.diff(pins.offsets.astype(np.int64)).max(initial=0))
    more = {"pin_shift": shifts[0], "board_shift": shifts[1], "largest": largest}
    kept = numbers[order]
    small = not len(kept) or (kept[0] >= 0 and kept[-1] < 2**31)
    return Links(
        kept.astype(np.int32) if small else kept, text, _compact(ends), flags, pins, boards, shifts,
        {**(values or {}), **more},
    )  # fmt: skip


def _shift(nodes: int) -> int:
    """Bits for the numbers of the nodes, with room for a quarter more that come later."""
    return max(SHIFT, min(31, (nodes + nodes // 4 + 1024).bit_length()))


def capacity(shift: int) -> int:
    """How many nodes the low bits can tell apart."""
    return (1 << shift) - 1


def _compact(offsets: NDArray[Any]) -> NDArray[Any]:
    return offsets.astype(np.uint32 if int(offsets[-1]) < 2**32 else np.uint64)


def _side(
    own: NDArray[np.int32], other: NDArray[np.int32], nodes: int, shift: int, weights: Float32 | None
) -> Side:
    """The links of one side: sorted by node, the other node and the weight packed into 32 bits."""
    key = own.astype(np.int64)
    key <<= 32
    key |= packed(own, other, nodes, shift, weights)
    key.sort()
    offsets = np.zeros(nodes + 1, np.int64)
    np.cumsum(np.bincount(own, minlength=nodes), out=offsets[1:])
    key &= 0x7FFFFFFF
    return Side(frozen(_compact(offsets)), frozen(key.astype(np.int32)), *NO_FRESH)


def packed(
    own: NDArray[np.int32], other: NDArray[np.int32], nodes: int, shift: int, weights: Float32 | None
) -> NDArray[np.int32]:
    """(n,) int32 links. Weights become steps of the largest weight among the links of a node."""
    top = (1 << (31 - shift)) - 1
    if weights is None or not len(own):
        return other | np.int32(top << shift)
    most = np.zeros(nodes, np.float32)
    np.maximum.at(most, own, weights)
    level = np.clip(np.rint(weights / most[own] * (top + 1)) - 1, 0, top).astype(np.int32)
    links: NDArray[np.int32] = other | (level << np.int32(shift))
    return links
