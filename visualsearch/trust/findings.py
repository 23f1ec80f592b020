"""What was found: a cluster, the evidence for and against it, one score, and the action that the score allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp
from typing import Any

from visualsearch.people import Level

PRIOR = -4.0
"""The log-odds of spam before any evidence."""
MOST_AGAINST = -2.0
"""All that speaks for somebody together takes at most so much: a good past is cheap to make up."""
ACTIONS = ((0.95, Level.HIDE), (0.9, Level.HOLD), (0.8, Level.LOWER))
"""From a score on, what is done without a person's word."""
ASKED = 0.5
"""From this score on, a person is asked."""


@dataclass(frozen=True)
class Sign:
    """One piece of evidence: its name, the measured value, what it adds to the log-odds, and a sentence for a person."""

    name: str
    value: float
    weight: float
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "signal": self.name,
            "value": round(self.value, 4),
            "weight": round(self.weight, 3),
            "sentence": self.sentence,
        }


@dataclass(frozen=True)
class Finding:
    """A cluster that may be spam. `people` are persons' numbers; `most` bounds what is done without a person's word."""

    kind: str
    title: str
    signs: Sequence[Sign]
    pins: Sequence[str] = field(default=(), repr=False)
    people: Sequence[int] = field(default=(), repr=False)
    sites: Sequence[str] = ()
    most: Level = Level.HIDE

    @property
    def score(self) -> float:
        """The chance, 0 to 1, that it is spam, by the evidence's log-odds."""
        for_it = sum(sign.weight for sign in self.signs if sign.weight > 0)
        against = max(MOST_AGAINST, sum(sign.weight for sign in self.signs if sign.weight < 0))
        return 1 / (1 + exp(-(PRIOR + for_it + against)))

    @property
    def action(self) -> Level:
        """What its score allows without a person's word."""
        level = next((action for least, action in ACTIONS if self.score >= least), Level.NOTHING)
        return min(level, self.most)

    def evidence(self) -> list[Mapping[str, Any]]:
        """The signs as plain values, the weightiest first."""
        return [sign.to_dict() for sign in sorted(self.signs, key=lambda sign: -abs(sign.weight))]


@dataclass(frozen=True)
class Limits:
    """What is done without a person's word. `hold_days`: an automatic hold or lowering ends by itself after so long.

    `hidden_accounts`: so many accounts may be held or hidden a day by rules; what is above waits for a person. Rules never
    remove: that takes a person's word. `act` False: everything waits for a person.

    `wrong`: where people found more than this share of what rules held or hid lately to be fine (the last `lately` cases, once
    `least` were decided), rules hold and hide nothing until people confirm more.
    """

    act: bool = True
    hold_days: float = 14.0
    hidden_accounts: int = 200
    wrong: float = 0.1
    lately: int = 50
    least: int = 10
