"""What a list is made for: who asks, what is on, and which experiment acts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from visualsearch.experiments import Experiment, Kind
from visualsearch.types import Hits

Sets = Mapping[str, float | str]
Make = Callable[[Sets], Hits]
Mark = tuple[str | None, float | None]
"""Of a pin in a list: the variant of its events, and the chance with which it stands there."""


@dataclass(frozen=True)
class LiveSettings:
    """What is on without an experiment. All is off.

    `swaps`: the share of lists in which two neighbours may trade places by a coin. `explore`: the share of a feed's slots in
    which fresh pins are tried. `floor`: looks that each of these gets before it is judged.
    """

    swaps: float = 0.0
    explore: float = 0.0
    floor: float = 20.0


@dataclass(frozen=True)
class Asked:
    """Who asks where. `key` says what for: the same draft is drawn again for it. `cut`: hits before it are not on this page."""

    surface: str
    person: str
    session: str | None
    key: str
    k: int
    cut: int = 0
    cursor: str | None = None


@dataclass(frozen=True)
class Met:
    """The experiment that acts on a list, and the arm."""

    experiment: Experiment
    arm: str

    @property
    def sets(self) -> Sets:
        """What the arm sets."""
        return next((arm.sets for arm in self.experiment.plan.arms if arm.name == self.arm), {})

    @property
    def mixed(self) -> bool:
        """Whether the list is drafted from two."""
        return self.experiment.plan.kind is Kind.INTERLEAVE
