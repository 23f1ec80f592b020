"""Rings: accounts that save, or click, the same pins within the same minutes, again and again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from visualsearch.people import Level, Touches

from .findings import Finding, Sign
from .gather import Material, plural
from .words import lures

WITHIN_MS = 10 * 60_000
TOGETHER = 5
"""Two accounts belong together once they met on so many pins."""
CLICKED_TOGETHER = 8
MEMBERS = 4
CROWD = 40
"""A pin on which more meet within these minutes is popular, and says nothing."""
DEVOTED = 0.3
"""So much of what a member does must be with the others."""


def save_rings(material: Material) -> list[Finding]:
    """Rings of accounts that save the same pins at the same time. What they saved is others' and stays; it counts less."""
    puts = material.puts
    found = []
    for members, pins, share in _rings(puts.person, puts.pin, puts.at, TOGETHER):
        rows = np.flatnonzero(np.isin(puts.person, members))
        rows = rows[[puts.pin[at] in pins for at in rows.tolist()]]
        if not puts.new[rows].any():
            continue
        material.need(members)
        size = plural(len(members), "account")
        signs = [
            Sign(
                "same pins, same minutes",
                len(pins),
                4.5,
                f"{size} saved the same {plural(len(pins), 'pin')} together",
            ),
            Sign(
                "devoted", share, 1.0 if share >= 0.5 else 0.0, f"{share:.0%} of what they saved was saved so"
            ),
        ]
        if len(members) >= 8:
            signs.append(Sign("size", len(members), 1.0, f"{size} take part"))
        signs += _told(material, rows)
        signs += material.company(members)
        title = f"{size} save the same {plural(len(pins), 'pin')} in the same minutes"
        found.append(Finding("ring", title, [s for s in signs if s.weight], (), sorted(members)))
    return found


def click_rings(material: Material, touches: Touches) -> list[Finding]:
    """Rings of accounts that click the same pins at the same time: their clicks do not count."""
    found = []
    for members, pins, share in _rings(touches.person, touches.pin, touches.at, CLICKED_TOGETHER):
        among = np.isin(touches.person, members)
        each = Counter(
            (person, pin)
            for person, pin in zip(touches.person[among].tolist(), _at(touches.pin, among), strict=True)
        )
        again = sum(count for count in each.values()) / len(each)
        dwell = touches.dwell[among]
        brief = float((dwell[dwell >= 0] < 3000).mean()) if (dwell >= 0).any() else 0.0
        size = plural(len(members), "account")
        signs = [
            Sign(
                "same clicks, same minutes",
                len(pins),
                4.5,
                f"{size} clicked the same {plural(len(pins), 'pin')} together",
            ),
            Sign(
                "devoted",
                share,
                1.0 if share >= 0.5 else 0.0,
                f"{share:.0%} of what they clicked was clicked so",
            ),
            Sign(
                "again and again",
                again,
                1.5 if again >= 3 else 0.0,
                f"each pin {again:.1f} times by the same account",
            ),
            Sign(
                "brief",
                brief,
                1.0 if brief >= 0.8 else 0.0,
                f"{brief:.0%} of the visits took under 3 seconds",
            ),
        ]
        signs += material.company(members)
        title = f"{size} click the same {plural(len(pins), 'pin')} in the same minutes"
        found.append(
            Finding("clicks", title, [s for s in signs if s.weight], (), sorted(members), most=Level.HOLD)
        )
    return found


def _at(names: Sequence[str], among: NDArray[np.bool_]) -> list[str]:
    return [names[at] for at in np.flatnonzero(among).tolist()]


def _told(material: Material, rows: NDArray[np.int64]) -> list[Sign]:
    texts = [material.text[at] for at in rows.tolist()]
    luring = sum(lures(text) > 0 for text in texts) / max(len(texts), 1)
    signs = []
    if luring >= 0.2:
        signs.append(Sign("lures", luring, 1.0 + min(1.0, luring), f"{luring:.0%} of the texts lure"))
    sites = Counter(material.site[at] for at in rows.tolist() if material.site[at])
    if sites and sites.most_common(1)[0][1] >= 0.8 * len(rows):
        site = sites.most_common(1)[0][0]
        signs.append(Sign("one site", 1.0, 0.5, f"all with the site {site}"))
    return signs


def _rings(
    person: NDArray[np.int64], pin: Sequence[str], at: NDArray[np.int64], least: int
) -> Iterator[tuple[list[int], set[str], float]]:
    """Members, the pins on which at least three of them met, and the share of what they do that is done so."""
    met = _meetings(person, pin, at)
    pairs = {pair: pins for pair, pins in met.items() if len(pins) >= least}
    for members in _components(pairs):
        if len(members) < MEMBERS:
            continue
        inside = set(members)
        common = Counter(
            name for (one, other), pins in pairs.items() if one in inside and other in inside for name in pins
        )
        shared = {name for name, count in common.items() if count >= 3}
        own = Counter(person.tolist())
        part = {
            who: sum(1 for name in {n for pair, pins in pairs.items() if who in pair for n in pins})
            / own[who]
            for who in members
        }
        devoted = [who for who in members if part[who] >= DEVOTED]
        if len(devoted) >= MEMBERS and len(shared) >= least:
            yield devoted, shared, min(1.0, float(np.mean([part[who] for who in devoted])))


def _meetings(
    person: NDArray[np.int64], pin: Sequence[str], at: NDArray[np.int64]
) -> dict[tuple[int, int], set[str]]:
    """For pairs of accounts, the pins on which they met within WITHIN_MS."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(pin):
        places[name].append(place)
    met: dict[tuple[int, int], set[str]] = defaultdict(set)
    for name, mine in places.items():
        if len(mine) < MEMBERS - 1:
            continue
        rows = np.array(mine)[np.argsort(at[mine], kind="stable")]
        ends = np.flatnonzero(np.diff(at[rows]) > WITHIN_MS) + 1
        for part in np.split(rows, ends):
            who = sorted(set(person[part].tolist()))
            if MEMBERS - 1 <= len(who) <= CROWD:
                for pair in combinations(who, 2):
                    met[pair].add(name)
    return met


def _components(pairs: dict[tuple[int, int], set[str]]) -> list[list[int]]:
    """Who is joined by pairs, the larger groups first."""
    root: dict[int, int] = {}

    def find(who: int) -> int:
        root.setdefault(who, who)
        while root[who] != who:
            root[who] = root[root[who]]
            who = root[who]
        return who

    for one, other in pairs:
        low, high = sorted((find(one), find(other)))
        root[high] = low
    groups: dict[int, list[int]] = defaultdict(list)
    for who in sorted(root):
        groups[find(who)].append(who)
    return sorted(groups.values(), key=lambda members: (-len(members), members))
