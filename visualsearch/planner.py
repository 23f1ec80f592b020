"""Which way a query goes: the exact scan of the rows that its filter leaves, or the approximate index with a selector.

Both ways are priced in microseconds from costs measured on one machine; since both grow with the same memory and the same
arithmetic, the choice carries over to others. A filter that leaves few rows makes the scan cheap and the index dear: of what the
index visits only a share counts, so it has to visit more. How much more is set here too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from .catalog import Generation


@dataclass(frozen=True)
class Costs:
    """Microseconds, for vectors of 512 float16 values, on both cores of a 2-core Zen 5; measured over a million mapped rows.

    `start`: of a scan. `passed`: a row that the mask leaves out. `row`: a row alone among such, fetched from memory.
    `streamed`: a row among neighbours that are read too.
    """

    start: float = 100
    passed: float = 0.0015
    row: float = 0.45
    streamed: float = 0.03

    def scan(self, rows: int, left: int, dim: int) -> float:
        """Microseconds of an exact scan of `left` among `rows` rows."""
        # Where the rows left lie close, the memory is read as a stream.
        read = min(left * self.row, rows * self.streamed)
        return self.start + rows * self.passed + read * dim / 512


COSTS = Costs()


@dataclass(frozen=True)
class Family:
    """A kind of approximate index. `knob`: the search parameter that says how much is visited.

    `visits(value, covers, factory)`: rows that a search visits. `cost(value, covers, factory)`: its microseconds.
    """

    knob: str
    usual: int
    visits: Callable[[float, int, str], float]
    cost: Callable[[float, int, str], float]


def _lists(factory: str) -> int:
    found = re.search(r"IVF(\d+)", factory)
    return int(found[1]) if found else 1


FAMILIES: Mapping[str, Family] = {
    "IVF": Family(
        "nprobe",
        32,
        lambda value, covers, factory: value * covers / _lists(factory),
        lambda value, covers, factory: (
            150 + 0.03 * _lists(factory) + value * (0.5 + 0.015 * covers / _lists(factory))
        ),
    ),
    # Each of the `efSearch` nearest nodes was expanded, and a few of its neighbours were new.
    "HNSW": Family("efSearch", 64, lambda value, _c, _f: 2.5 * value, lambda value, _c, _f: 150 + 2 * value),
}
"""By the mark in the factory string, first match first. Visits and costs: benchmarks/filtered.py."""


@dataclass(frozen=True)
class Plan:
    """`exact`, or the search parameters for the approximate index, and the microseconds expected."""

    exact: bool
    microseconds: float
    search: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


def choose(
    rows: int, left: int, dim: int, generation: Generation | None, wanted: int, costs: Costs | None = None
) -> Plan:
    """The cheaper way to `wanted` candidates among the `left` of `rows` rows that may be found."""
    scan = Plan(True, (costs or COSTS).scan(rows, left, dim))
    family = _family(generation)
    if generation is None or family is None:
        return scan if generation is None else Plan(False, 0.0, generation.search)
    share = left / max(rows, 1)
    value = float(generation.search.get(family.knob, family.usual))
    if share < 1:
        each = family.visits(1, generation.covers, generation.factory) * share
        value = max(value, math.ceil(wanted / each)) if each > 0 else math.inf
    if not math.isfinite(value) or value > generation.covers:
        return scan
    search = {**generation.search, family.knob: int(value)}
    index = Plan(False, family.cost(value, generation.covers, generation.factory), search)
    return min(scan, index, key=lambda plan: plan.microseconds)


def _family(generation: Generation | None) -> Family | None:
    if generation is None:
        return None
    return next((f for mark, f in FAMILIES.items() if mark in generation.factory), None)
