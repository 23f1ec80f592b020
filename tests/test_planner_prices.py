"""The planner's prices are one machine's; on another one, whose scans are faster or slower, little is lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import pytest

from visualsearch.search.planner import COSTS, Costs, Plan, Way, choose
from visualsearch.store import Generation

FREE = Costs(start=1e12)


@dataclass(frozen=True)
class Case:
    """A filtered query of an index."""

    rows: int
    left: int
    dim: int
    generation: Generation | None
    codes: bool

    def chosen(self, costs: Costs) -> Plan:
        """The plan by these prices."""
        return choose(self.rows, self.left, self.dim, self.generation, 40, self.codes, costs)

    def price(self, way: Way) -> float:
        """What a way costs here, by the prices measured."""
        if way is Way.SCAN:
            return COSTS.scan(self.rows, self.left, self.dim)
        if way is Way.CODES:
            return COSTS.codes(self.rows, self.left)
        return self.chosen(
            FREE
        ).microseconds  # scans and codes cost a fortune: the index is asked where it can be


def cases() -> Iterator[Case]:
    for rows in (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000):
        graph = Generation(1, "f", "hnsw", "HNSW16,SQ8", {"efSearch": 64}, rows, 0)
        lists = Generation(1, "f", "ivf", f"IVF{int(4 * rows**0.5)},RaBitQfs", {"nprobe": 32}, rows, 0)
        for share in (0.0005, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5, 0.9, 1.0):
            for dim in (512, 768):
                left = max(10, int(rows * share))
                yield Case(rows, left, dim, graph, True)
                yield Case(rows, left, dim, lists, False)
                yield Case(rows, left, dim, None, False)


@pytest.mark.parametrize("faster", [0.5, 2.0])
def test_a_machine_whose_scans_are_twice_as_fast_or_slow_loses_at_most_a_factor_of_two(faster: float) -> None:
    other = replace(COSTS, **{field.name: getattr(COSTS, field.name) * faster for field in fields(Costs)})
    lost = []
    for case in cases():
        ways = {case.chosen(costs).way for costs in (COSTS, FREE, replace(COSTS, code=1e12))} | {Way.SCAN}
        best = min(case.price(way) for way in ways)
        lost.append(case.price(case.chosen(other).way) / best)
    assert max(lost) <= 2.0
    assert sum(lost) / len(lost) <= 1.05
