"""The graph of saves at one moment, by pin numbers and board ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from visualsearch.types import Int64

from .links import Links
from .walk import DEAD_BOARD, Walkable, links_of


@dataclass(frozen=True)
class View:
    """The graph at one moment. It does not change while a walk uses it."""

    base: Links
    walkable: Walkable
    fresh_pins: dict[int, int]
    fresh_numbers: list[int]
    fresh_boards: dict[str, int]
    fresh_names: list[str]

    def pin_nodes(self, numbers: Sequence[int]) -> list[int]:
        """The node of each pin number, or -1."""
        found: list[int] = self.base.pin_nodes(numbers).tolist()
        return [
            self.fresh_pins.get(number, -1) if node < 0 else node
            for node, number in zip(found, numbers, strict=True)
        ]

    def numbers(self, nodes: Sequence[int] | Int64) -> list[int]:
        """The pin number of each node."""
        base = len(self.base.numbers)
        return [
            int(self.base.numbers[node]) if node < base else self.fresh_numbers[node - base]
            for node in (int(each) for each in nodes)
        ]

    def board_name(self, node: int) -> str:
        """The id of a board's node."""
        base = len(self.base.guests)
        return self.base.board_name(node) if node < base else self.fresh_names[node - base]

    def boards_of(self, node: int) -> Int64:
        """The boards' nodes of a pin."""
        found = links_of(self.walkable.pins, self.walkable.shifts[1], node)
        dead = self.walkable.dead
        if len(dead):
            found = found[~(np.isin((node << 32) | found, dead) | np.isin(DEAD_BOARD | found, dead))]
        return found

    @property
    def links(self) -> int:
        """How many saves are in it."""
        return len(self.base) + len(self.walkable.pins.fresh_links)
