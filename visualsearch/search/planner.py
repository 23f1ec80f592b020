"""Which way a query goes: an exact scan, the approximate index, or the codes that a graph keeps.

Each way is priced in microseconds from costs measured on one machine. All of them grow with the same memory and arithmetic, so
another machine changes them together. Where scans are twice as fast or as slow as priced here, the way taken costs at most twice
the best one. Fixed thresholds cost 3.5 times the best and more (10,000 to 3,000,000 rows). So nothing is measured at first use.

A strict filter makes the scan cheap and the index expensive: the index must visit 1 / selectivity times as many rows. How many
it visits is set here too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from visualsearch.nearest import WIDENED, WIDER
from visualsearch.store import Generation


@dataclass(frozen=True)
class Costs:
    """Microseconds, for vectors of 512 float16 values, measured over a million mapped rows on a 2-core AMD EPYC with AVX-512.

    `start`: of a scan. `code`: a row's code, fetched from the graph.
    Where the rows left are listed: `listed` per row of the mask, `copied` per row of the list, which is fetched and compared.
    Where rows are compared in place: `passed` per row that the mask leaves out, `row` per row that is compared alone,
    `streamed` per row that is compared among others.
    """

    start: float = 100
    listed: float = 0.0003
    copied: float = 0.6
    passed: float = 0.0015
    row: float = 0.45
    streamed: float = 0.03
    code: float = 0.12

    def scan(self, rows: int, left: int, dim: int) -> float:
        """Microseconds of an exact scan of `left` among `rows` rows."""
        width = dim / 512
        copied = rows * self.listed + left * self.copied * width
        # Where the rows left lie close, the memory is read as a stream.
        read = min(left * self.row, rows * self.streamed) * width
        return self.start + min(copied, rows * self.passed + read)

    def codes(self, rows: int, left: int) -> float:
        """Microseconds to compare the codes of `left` among `rows` rows; more candidates are fetched than by a scan."""
        return 2 * self.start + rows * self.listed + left * self.code


COSTS = Costs()


@dataclass(frozen=True)
class Family:
    """A kind of approximate index. `knob`: the search parameter that says how much is visited.

    `visits(value, covers, factory)`: rows that a search visits, of which a filter takes its share. `cost(value, covers,
    factory)`: its microseconds. `widens`: a filtered search that finds too little may look `ann.WIDER` times as wide.
    """

    knob: str
    usual: int
    visits: Callable[[float, int, str], float]
    cost: Callable[[float, int, str], float]
    widens: bool = False


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
    # What the filter leaves of the `efSearch` nearest is used, and it may leave a little less there than elsewhere.
    "HNSW": Family(
        "efSearch", 64, lambda value, _c, _f: 0.8 * value, lambda value, _c, _f: 150 + 2 * value, True
    ),
}
"""By the mark in the factory string, first match first. Visits and costs: benchmarks/filtered.py."""


class Way(StrEnum):
    """How candidates are found. SCAN compares the stored rows, INDEX asks the index, CODES compares the graph's codes."""

    SCAN = "exact"
    INDEX = "ann"
    CODES = "codes"


@dataclass(frozen=True)
class Plan:
    """A way, the microseconds expected of it, and search parameters where the index is asked."""

    way: Way
    microseconds: float
    search: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


def choose(
    rows: int,
    left: int,
    dim: int,
    generation: Generation | None,
    wanted: int,
    codes: bool = False,
    costs: Costs | None = None,
) -> Plan:
    """The cheapest way to `wanted` candidates among the `left` of `rows` rows that may be found.

    `codes`: the index keeps a code of every row. It stands between the others: for where the graph would visit too much.
    """
    costs = costs or COSTS
    ways = [Plan(Way.SCAN, costs.scan(rows, left, dim))]
    if codes and left < rows:
        ways.append(Plan(Way.CODES, costs.codes(rows, left)))
    if generation is not None:
        other = min(plan.microseconds for plan in ways)
        ways += _asking(rows, left, generation, wanted, other)
    return min(ways, key=lambda plan: plan.microseconds)


def _asking(rows: int, left: int, generation: Generation, wanted: int, other: float) -> list[Plan]:
    """The index with parameters that visit enough of what is left; [] where that is all there is.

    A graph that finds too little may look wider, and wider again, as long as the other ways, of `other` microseconds, cost
    more.
    """
    family = _family(generation)
    if family is None:
        return [Plan(Way.INDEX, 0.0, generation.search)]
    value = float(generation.search.get(family.knob, family.usual))
    if left < rows:
        each = family.visits(1, generation.covers, generation.factory) * left / rows
        value = max(value, math.ceil(wanted / each)) if each > 0 else math.inf
    if value > generation.covers:
        return []
    search = {**generation.search, family.knob: int(value)}
    if left < rows and family.widens:
        wider = (value * WIDER**n for n in range(1, WIDENED + 1))
        search["widened"] = sum(family.cost(w, generation.covers, generation.factory) <= other for w in wider)
    return [Plan(Way.INDEX, family.cost(value, generation.covers, generation.factory), search)]


def _family(generation: Generation) -> Family | None:
    return next((f for mark, f in FAMILIES.items() if mark in generation.factory), None)
