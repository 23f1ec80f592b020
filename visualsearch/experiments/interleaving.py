"""Two rankers in one list: each person is their own control, so far fewer sessions tell the better one.

Team draft: round by round a coin decides which ranker picks first, each picks its best pin that is not in the list yet, and a
click is credited to the ranker that picked the pin (Radlinski, Kurup and Joachims, "How does clickthrough data reflect retrieval
quality?", CIKM 2008). A session prefers the ranker with more credit; ties say nothing.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from visualsearch.errors import UsageError

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True)
class Draft(Generic[T]):
    """The mixed list, and which ranker (0 or 1) picked each of its pins."""

    pins: tuple[T, ...]
    teams: tuple[int, ...]

    def credit(self, clicked: Iterable[T]) -> tuple[int, int]:
        """Clicks on each ranker's pins. A pin that is not in the list counts for none; one clicked twice counts once."""
        team = dict(zip(self.pins, self.teams, strict=True))
        found = [team[pin] for pin in set(clicked) if pin in team]
        return found.count(0), found.count(1)


def team_draft(first: Sequence[T], second: Sequence[T], k: int, rng: np.random.Generator) -> Draft[T]:
    """The first `k` pins of the two lists mixed by team draft. Shorter when both lists end before."""
    lists, places = (first, second), [0, 0]
    pins: dict[T, int] = {}
    while len(pins) < k:
        start = int(rng.integers(2))
        before = len(pins)
        for team in (start, 1 - start):
            while places[team] < len(lists[team]) and lists[team][places[team]] in pins:
                places[team] += 1
            if places[team] < len(lists[team]) and len(pins) < k:
                pins[lists[team][places[team]]] = team
        if len(pins) == before:
            break
    return Draft(tuple(pins), tuple(pins.values()))


@dataclass(frozen=True)
class Preference:
    """What the sessions say.

    `share` (0..1) of the decided sessions prefer the second ranker; `low` and `high` bound it at every look.
    """

    sessions: int
    decided: int
    share: float
    low: float
    high: float

    @property
    def winner(self) -> int | None:
        """0 or 1 when the interval leaves out one half, else None."""
        return 1 if self.low > 0.5 else 0 if self.high < 0.5 else None


def preference(credits: Iterable[tuple[int, int]], alpha: float = 0.05) -> Preference:
    """Judge sessions' credits, (clicks on the first's pins, on the second's) each.

    The interval is the confidence sequence of a coin under a uniform prior (Robbins 1970): look after every session.
    Raises UsageError for a credit below 0.
    """
    pairs = np.asarray(list(credits), np.int64).reshape(-1, 2)
    if (pairs < 0).any():
        raise UsageError(
            "a session's credit is below 0", "credits count clicks", "Give the numbers that `credit` gave"
        )
    second, first = int((pairs[:, 1] > pairs[:, 0]).sum()), int((pairs[:, 1] < pairs[:, 0]).sum())
    low, high = _coin(second, first, alpha)
    decided = first + second
    return Preference(len(pairs), decided, second / decided if decided else 0.5, low, high)


def _coin(heads: int, tails: int, alpha: float) -> tuple[float, float]:
    """All p for which the uniform mixture's likelihood is less than 1 / alpha times p's."""
    grid = np.linspace(1e-6, 1 - 1e-6, 200_001)
    ratio = _log_beta(heads + 1, tails + 1) - heads * np.log(grid) - tails * np.log1p(-grid)
    inside = grid[ratio < math.log(1 / alpha)]
    low = 0.0 if inside[0] == grid[0] else float(inside[0])
    high = 1.0 if inside[-1] == grid[-1] else float(inside[-1])
    return low, high


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
