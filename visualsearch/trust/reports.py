"""Reports and hides, each weighed by who gives it: a competitor who reports en masse weighs next to nothing.

Reports alone never hide anything. They bring a site or an account before a person.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from visualsearch.people import Account, Level, Touches

from .domains import site_of
from .findings import Finding, Sign
from .gather import Material, PinFacts, plural

KINDS = {"report": 1.0, "hide": 0.25}
OLD_MS = 14 * 86_400_000
"""An account of this age has its full weight."""
BUSY = 10
"""So many saves, too."""
ENOUGH = 3.0
"""Reports of so much weight bring a site or an account before a person."""
TOGETHER_MS = 30 * 60_000
CAMPAIGN = 5
"""So many who report the same within these minutes and report little else act together."""
DAMPED = 0.05


@dataclass
class Standing:
    """How much a report of each account weighs, 0 to 2. `right` and `wrong`: reports that a person confirmed, or did not."""

    accounts: Mapping[int, Account]
    now: int
    right: Mapping[int, int] = field(default_factory=dict)
    wrong: Mapping[int, int] = field(default_factory=dict)

    def of(self, person: int) -> float:
        """The weight."""
        account = self.accounts.get(person)
        if account is None or account.level >= Level.HOLD:
            return 0.0
        age = min(1.0, max(0.0, (self.now - account.first) / OLD_MS))
        busy = min(1.0, account.saves / BUSY)
        right, wrong = self.right.get(person, 0), self.wrong.get(person, 0)
        proven = 2.0 * (right + 1) / (right + wrong + 2)
        return age * busy * min(2.0, proven)


def reported(
    material: Material, touches: Touches, standing: Standing, facts: Mapping[str, PinFacts]
) -> list[Finding]:
    """Sites and accounts that people of good standing report or hide."""
    weights = _weights(touches, standing, facts)
    found = []
    for site, by in weights.items():
        total = sum(by.values())
        pins = [
            pin for pin in dict.fromkeys(touches.pin) if pin in facts and site_of(facts[pin].link) == site
        ]
        if total < ENOUGH:
            continue
        signs = [
            Sign(
                "reports",
                total,
                min(4.5, 3.5 + 0.25 * (total - ENOUGH)),
                f"{plural(len(by), 'person', 'people')} reported or hid pins of {site}, with a weight of {total:.1f}",
            )
        ]
        held = len(by)
        signs.append(Sign("reporters", held, 0.5, f"{plural(held, 'account')} did so, each counted once"))
        found.append(
            Finding(
                "reports",
                f"{site} is reported by {plural(held, 'person', 'people')}",
                signs,
                pins,
                (),
                [site],
                Level.NOTHING,
            )
        )
    return found


def _weights(
    touches: Touches, standing: Standing, facts: Mapping[str, PinFacts]
) -> dict[str, dict[int, float]]:
    """For each site, what each reporter's word weighs: the weightiest of theirs, once."""
    about: dict[str, list[int]] = defaultdict(list)
    own: dict[int, list[str]] = defaultdict(list)
    for at, pin in enumerate(touches.pin):
        site = site_of(facts[pin].link) if pin in facts else ""
        if site:
            about[site].append(at)
            own[int(touches.person[at])].append(site)
    found: dict[str, dict[int, float]] = {}
    for site, places in about.items():
        by: dict[int, float] = {}
        for at in places:
            person = int(touches.person[at])
            by[person] = max(by.get(person, 0.0), KINDS[touches.kind[at]] * standing.of(person))
        for person in _campaign(site, places, touches, own):
            by[person] = by.get(person, 0.0) * DAMPED
        found[site] = {person: weight for person, weight in by.items() if weight > 0}
    return found


def _campaign(site: str, places: Sequence[int], touches: Touches, own: Mapping[int, list[str]]) -> set[int]:
    """Who reports one site within the same minutes as several others, and reports little else."""
    single = [
        at
        for at in places
        if own[int(touches.person[at])].count(site) >= 0.8 * len(own[int(touches.person[at])])
    ]
    single.sort(key=lambda at: int(touches.at[at]))
    times = np.array([int(touches.at[at]) for at in single], np.int64)
    ends = np.searchsorted(times, times + TOGETHER_MS, side="right")
    members: set[int] = set()
    for start, end in enumerate(ends.tolist()):
        near = {int(touches.person[at]) for at in single[start:end]}
        if len(near) >= CAMPAIGN:
            members |= near
    return members
