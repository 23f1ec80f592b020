"""A world's deeds day by day, as plain columns: for whoever measures on many worlds and needs no record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from visualsearch.types import Bool, Int64

from .generator import Generator, unseen
from .rows import KINDS

if TYPE_CHECKING:
    from .world import World


@dataclass(frozen=True)
class Deeds:
    """A day's events by time, (n,) each. `kind` is a number in `KINDS`; `counts` says whose consent lets them be kept."""

    day: int
    at: Int64 = field(repr=False)
    person: Int64 = field(repr=False)
    kind: Int64 = field(repr=False)
    pin: Int64 = field(repr=False)
    counts: Bool = field(repr=False)
    kinds: tuple[str, ...] = KINDS

    def of(self, *names: str) -> Bool:
        """(n,) which events are of those kinds and may be kept."""
        found: Bool = self.counts.copy()
        wanted = [self.kinds.index(name) for name in names]
        found &= (self.kind[:, None] == wanted).any(1)
        return found


def deeds(world: World) -> Iterator[Deeds]:
    """What people do on each day, under the simulated site's own lists. Projects end as the days go by: ask once."""
    for day in Generator(world.scene).days():
        if day.number >= 0:
            rows = day.events
            yield Deeds(
                day.number,
                rows["at"],
                rows["person"].astype("int64"),
                rows["kind"].astype("int64"),
                rows["pin"].astype("int64"),
                ~unseen(world.scene, rows["person"]),
            )
