"""What an arm may set of the lists that a server makes, and on which surfaces."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from visualsearch.errors import UnknownNameError, UsageError

SURFACES = ("feed", "related", "search")
Value = float | str
Sets = Mapping[str, Value]
LEARNT, PLAIN = "learnt", "plain"


@dataclass(frozen=True)
class Setting:
    """One thing that an arm may set: a number from `low` to `high`, or one of `choices`.

    `general`: surfaces on which it counts for somebody of whom nothing is known, too. On others they do not meet the experiment.
    """

    what: str
    surfaces: tuple[str, ...]
    low: float = 0.0
    high: float = 1.0
    choices: tuple[str, ...] = ()
    general: tuple[str, ...] = ()

    @property
    def form(self) -> str:
        """What may be given, in words."""
        return " or ".join(self.choices) if self.choices else f"a number from {self.low:g} to {self.high:g}"


SETTINGS: Mapping[str, Setting] = {
    "ranker": Setting("the order that clicks taught, or the plain one", SURFACES, choices=(LEARNT, PLAIN)),
    "personal": Setting("the most that interests add to a cosine", ("search",)),
    "diversity": Setting(
        "variety against likeness", ("feed", "related", "search"), general=("related", "search")
    ),
    "interest": Setting("the weight of interests", ("feed",), high=2.0),
    "together": Setting("the weight of what people saved together", ("feed",), high=2.0),
    "walk": Setting("the weight of the walk over saves", ("feed", "related"), general=("related",)),
    "follow": Setting("the weight of what is followed", ("feed",), high=2.0),
    "popular": Setting("the weight of what is popular", ("feed",), high=2.0),
    "fresh": Setting("the weight of being new", ("feed",), high=2.0),
    "new": Setting("the share of slots kept for new pins", ("feed",), high=0.5),
    "swaps": Setting("the share of lists in which two neighbours may trade", SURFACES, general=SURFACES),
    "explore": Setting("the share of slots in which fresh pins are tried", ("feed",), high=0.5),
}
"""Everything that an arm may set."""
PRESETS: Mapping[str, Sets] = {"ranker": {"ranker": LEARNT}, "plain": {"ranker": PLAIN}}
"""What an arm sets that has one of these names and sets nothing itself."""


def checked_sets(arm: str, sets: Sets, surfaces: Sequence[str]) -> Sets:
    """What an arm sets, each value in its range. Raises UnknownNameError, UsageError."""
    held: dict[str, Value] = {}
    for name, value in sets.items():
        known = SETTINGS.get(name)
        if known is None:
            raise UnknownNameError("setting of an arm", name, SETTINGS)
        what = f"arm {arm!r} cannot set {name} to {value!r}"
        if not set(known.surfaces) & set(surfaces):
            there = " or ".join(known.surfaces)
            raise UsageError(what, f"it counts on {there} alone", f"Run the experiment on {there}")
        if known.choices:
            if value not in known.choices:
                raise UsageError(what, f"it is {known.form}", "Give one of them")
            held[name] = value
            continue
        if isinstance(value, str) or not math.isfinite(value) or not known.low <= value <= known.high:
            raise UsageError(what, f"it is {known.form}", "Give such a number")
        held[name] = float(value)
    return held


def of_surface(sets: Sets, surface: str) -> dict[str, Value]:
    """The part of what an arm sets that counts on a surface."""
    return {name: value for name, value in sets.items() if surface in SETTINGS[name].surfaces}
