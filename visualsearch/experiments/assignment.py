"""Which arm of an experiment a person is in. A hash decides, so nothing has to be stored to answer the same again.

A unit is a person or a session. Three independent hashes of it are used. They give its place on the line of the exclusion group,
whether the ramp has reached it, and its arm. Each is salted by its own name, so experiments do not correlate.
Source: Kohavi, Tang and Xu, "Trustworthy Online Controlled Experiments" (2020), chapters 4 and 14.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from visualsearch.errors import UsageError

HOLDBACK = "holdback"
"""The salt of the people whom no experiment reaches."""


@dataclass(frozen=True)
class Arm:
    """One variant. `weight` > 0 is its part of the experiment's people, relative to the other arms' weights.

    `sets` is what a server does otherwise for these people; see `variants.SETTINGS`.
    """

    name: str
    weight: float = 1.0
    sets: Mapping[str, float | str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Design:
    """What decides an assignment. It is frozen: a new ramp is a new Design, and nobody changes arm by it.

    `arms` has the control first. `ramp` (0..1) is the share of eligible units that are in. Experiments of one `group` own
    disjoint `segment`s (from, to) of its line 0..1, so that no unit is in two of them. `holdback` (0..1) is the share of all
    units that stay out of every experiment with the same holdback. `salt` is unique to the experiment.
    Raises UsageError for fewer than two arms, a weight that is not positive, equal names, or a share outside 0..1.
    """

    name: str
    arms: tuple[Arm, ...] = (Arm("control"), Arm("treatment"))
    ramp: float = 1.0
    group: str = ""
    segment: tuple[float, float] = (0.0, 1.0)
    holdback: float = 0.0
    salt: str = ""
    bounds: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        what = f"experiment {self.name!r} cannot be made"
        if len(names) < 2 or len(set(names)) < len(names):
            raise UsageError(
                what, f"its arms are {names}", "Give at least two arms, each with a name of its own"
            )
        for arm in self.arms:
            if not (math.isfinite(arm.weight) and arm.weight > 0):
                raise UsageError(
                    what,
                    f"arm {arm.name!r} has weight {arm.weight}",
                    "Give a weight above 0, or drop the arm",
                )
        low, high = self.segment
        for label, value in (
            ("ramp", self.ramp),
            ("holdback", self.holdback),
            ("segment", low),
            ("segment", high),
        ):
            if not 0 <= value <= 1:
                raise UsageError(what, f"{label} is {value}", "Give a share from 0 to 1")
        if low >= high:
            raise UsageError(what, f"segment {self.segment} is empty", "Give (from, to) with from < to")
        total, sums = sum(arm.weight for arm in self.arms), list[float]()
        for arm in self.arms:
            sums.append((sums[-1] if sums else 0.0) + arm.weight / total)
        object.__setattr__(self, "bounds", (*sums[:-1], 1.0))

    def ramped(self, ramp: float) -> Design:
        """The same experiment with another share of units. Units that were in stay in, and in their arm, when it grows."""
        return replace(self, ramp=ramp)

    def assign(self, unit: str) -> str | None:
        """The unit's arm, or None when it is outside: held back, in another segment of the group, or not ramped to yet."""
        if self.holdback and position(HOLDBACK, unit) < self.holdback:
            return None
        if (
            self.segment != (0.0, 1.0)
            and not self.segment[0] <= position(f"group {self.group}", unit) < self.segment[1]
        ):
            return None
        salt = self.salt or self.name
        if self.ramp < 1 and position(f"ramp {salt}", unit) >= self.ramp:
            return None
        place = position(f"arm {salt}", unit)
        return next(arm.name for arm, bound in zip(self.arms, self.bounds, strict=True) if place < bound)


def position(salt: str, unit: str) -> float:
    """A place on the line 0 <= x < 1 that looks random, and is the same each time for the same salt and unit."""
    digest = blake2b(f"{len(salt)} {salt} {unit}".encode(errors="surrogatepass"), digest_size=7).digest()
    return (int.from_bytes(digest, "big") >> 3) / 9007199254740992  # 2 ** 53: every value is exact, none is 1


def free_segment(designs: Iterable[Design], group: str, share: float) -> tuple[float, float]:
    """The first stretch of a group's line that is `share` long and that none of the designs owns.

    Raises UsageError when there is none.
    """
    if not 0 < share <= 1:
        raise UsageError(
            f"a segment of {share} cannot be given", "it is no share", "Give a share above 0, at most 1"
        )
    start = 0.0
    for low, high in sorted(design.segment for design in designs if design.group == group):
        if low - start >= share - 1e-12:
            break
        start = max(start, high)
    if start + share > 1 + 1e-12:
        raise UsageError(
            f"no room for {share:.0%} in the group {group!r}",
            f"its experiments leave {max(1 - start, 0):.0%} at its end",
            "Stop one of them, take a smaller share, or another group",
        )
    return (start, min(start + share, 1.0))
