"""What swapped neighbours and tried pins have cost so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from visualsearch.learn import EXPLORED, Cost, Explorer

from .exploring import tallies_of

if TYPE_CHECKING:
    from visualsearch.people import EventColumns, People

DAY_MS = 86_400_000
GOOD = ("click", "visit", "save", "share", "purchase")


@dataclass(frozen=True)
class SwapCost:
    """Lists in which a coin let two neighbours trade places, or left them.

    `deeds` is what a traded list lost against one that was left, with a 95 % interval. A negative number is a gain."""

    traded: int
    left: int
    deeds: float
    interval: tuple[float, float]

    @property
    def lost(self) -> float:
        """Deeds that all traded lists lost."""
        return self.deeds * self.traded


@dataclass(frozen=True)
class Costs:
    """`swaps` by surface; `explored` is what tried pins cost in saves, None where none was tried."""

    days: float
    swaps: Mapping[str, SwapCost]
    explored: Cost | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        swaps = {name: {**asdict(found), "lost": found.lost} for name, found in self.swaps.items()}
        return {"days": self.days, "swaps": swaps, "explored": self.explored and asdict(self.explored)}

    def sentences(self) -> list[str]:
        """The costs in plain words."""
        said = []
        for surface, found in self.swaps.items():
            low, high = found.interval
            said.append(
                f"{surface}: neighbours traded places in {found.traded:,} lists and were left in {found.left:,}. A trade cost"
                f" {found.deeds:+.3f} deeds a list ({low:+.3f} to {high:+.3f}), {found.lost:+,.1f} in all."
            )
        if self.explored is not None:
            low, high = self.explored.interval
            said.append(
                f"feed: fresh pins were looked at {self.explored.looks:,.0f} times. That cost {self.explored.saves:+,.1f} saves"
                f" ({low:+,.1f} to {high:+,.1f})."
            )
        return said or ["Nothing was swapped and no fresh pin was tried in these days."]


def costs_of(people: People, days: float = 28.0) -> Costs:
    """What was swapped and tried in the last days, and what it cost."""
    now = people.now()
    since = now - round(days * DAY_MS)
    deeds = people.event_columns(since, now + 1)
    lists = [each for each in people.served_lists(since) if each.traded is not None]
    done = _deeds_of_lists(deeds)
    swaps = {
        surface: _cost(
            *(
                [done.get(each.answer, 0) for each in lists if each.surface == surface and each.traded is way]
                for way in (True, False)
            )
        )
        for surface in sorted({each.surface for each in lists})
    }
    return Costs(days, swaps, _explored(people, deeds, now))


def _deeds_of_lists(events: EventColumns) -> dict[str, int]:
    codes = [events.code("kind", kind) for kind in GOOD]
    answer = events.codes["answer"]
    held = np.isin(events.codes["kind"], codes) & (answer >= 0)
    counts = np.bincount(answer[held], minlength=len(events.names["answer"])).tolist()
    return dict(zip(events.names["answer"], counts, strict=True))


def _cost(traded: list[int], left: list[int]) -> SwapCost:
    sides = [np.array(side, np.float64) for side in (left, traded)]
    if min(len(side) for side in sides) < 2:
        return SwapCost(len(traded), len(left), 0.0, (-np.inf, np.inf))
    lost = float(sides[0].mean() - sides[1].mean())
    error = float(np.sqrt(sum(side.var(ddof=1) / len(side) for side in sides)))
    return SwapCost(len(traded), len(left), lost, (lost - 1.96 * error, lost + 1.96 * error))


def _explored(people: People, events: EventColumns, now: int) -> Cost | None:
    tried = events.codes["variant"] == events.code("variant", EXPLORED)
    kind = events.codes["kind"]
    looks = int((tried & (kind == events.code("kind", "impression"))).sum())
    if not looks:
        return None
    saves = int((tried & (kind == events.code("kind", "save"))).sum())
    explorer = Explorer(tallies_of(people, now).usual)
    return explorer.cost(np.array([looks], np.float64), np.array([saves], np.float64))
