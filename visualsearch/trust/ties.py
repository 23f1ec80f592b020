"""The company that accounts keep: labels of verdicts, spread over who follows whom both ways and who saves from which site.

A follow counts where it is returned: anybody can follow somebody honest, or have a rival followed by spammers. Sites that many
saved from for long tie nobody. Honest labels are what a person called fine, and accounts that were long there. `spread_labels`
averages whole neighbourhoods, so that wrong labels among them drown.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from visualsearch.people import Level

from .domains import site_of
from .findings import Sign
from .propagation import spread_labels

if TYPE_CHECKING:
    from visualsearch.engine import Index

KEPT_SECONDS, ANEW_SECONDS = 600.0, 30.0
"""The graph is read anew after so long; after a change of a verdict, sooner."""
STANDING_MS, STANDING_SAVES = 30 * 86_400_000, 10
"""An account of this age with so many saves, under no verdict, is taken for honest."""
LIKE_SPAM = 0.5
"""Who has so large a part of the median value of accounts labelled spam is of their company: fewer than half are wrong."""
STRONGEST, WEAKEST = 2.0, -1.0


@dataclass(frozen=True)
class Ties:
    """What the graph says. `value` (n,) of `person` (n,), ascending: higher for spam. `spam` is the value from which on."""

    person: NDArray[np.int64]
    value: NDArray[np.float64]
    labelled: frozenset[int]
    spam: float

    def sign(self, persons: Sequence[int]) -> Sign | None:
        """What the company of some accounts speaks for; None where half of them or more are tied to nobody who is labelled."""
        some = np.array([who for who in persons if who not in self.labelled], np.int64)
        if not len(some) or not len(self.person):
            return None
        at = np.searchsorted(self.person, some).clip(max=len(self.person) - 1)
        value = np.where(self.person[at] == some, self.value[at], 0.0)
        tied = value != 0
        if tied.mean() <= 0.5:
            return None
        bad, good = float((value[tied] >= self.spam).mean()), float((value[tied] < 0).mean())
        if bad > good:
            said = f"{bad:.0%} of the accounts keep company with accounts under a verdict"
            return Sign("company", bad, STRONGEST * (bad - good), said)
        said = f"{good:.0%} of the accounts keep company with accounts in good standing"
        return Sign("company", bad, WEAKEST * (good - bad), said)


NOBODY = Ties(np.zeros(0, np.int64), np.zeros(0), frozenset(), np.inf)
_KEPT: WeakKeyDictionary[Index, tuple[float, int, Ties]] = WeakKeyDictionary()


def ties_of(index: Index, now: int) -> Ties:
    """The graph of an index's people; nobody is in it before a verdict says of somebody that it is spam."""
    mark, at = index.people.verdict_mark(), time.monotonic()
    held = _KEPT.get(index)
    if held is None or at - held[0] > (KEPT_SECONDS if held[1] == mark else ANEW_SECONDS):
        held = (at, mark, _spread(index, now))
        _KEPT[index] = held
    return held[2]


def _spread(index: Index, now: int) -> Ties:
    people = index.people
    spam, fine = _labels(index)
    if not spam:
        return NOBODY
    fine |= people.long_standing(now - STANDING_MS, STANDING_SAVES) - spam
    if not fine:
        return NOBODY
    edges, numbers = _edges(index, now)
    place = {number: at for at, number in enumerate(numbers)}
    known = [(place[who], who in spam) for who in sorted(spam | fine) if who in place]
    labelled = np.array([at for at, _ in known], np.int64)
    bad = np.array([said for _, said in known], bool)
    if not bad.any() or bad.all():
        return NOBODY
    nodes = int(edges.max()) + 1 if len(edges) else len(numbers)
    value = spread_labels(edges, nodes, labelled, bad)
    least = LIKE_SPAM * float(np.median(value[labelled[bad]]))
    everybody = np.array(numbers, np.int64)
    order = np.argsort(everybody)
    labels = frozenset(int(everybody[at]) for at in labelled.tolist())
    return Ties(everybody[order], value[: len(numbers)][order], labels, max(least, 1e-12))


def _labels(index: Index) -> tuple[set[int], set[int]]:
    """Who is spam: by a person's word, or hidden by rules; and whom a person called fine."""
    spam: set[int] = set()
    fine: set[int] = set()
    for ruling in index.people.rulings(("waiting", "decided")):
        if ruling.spam or (ruling.spam is None and ruling.action >= Level.HIDE):
            spam.update(ruling.people)
        elif ruling.spam is False:
            fine.update(ruling.people)
    return spam - fine - index.people.excused(0)[0], fine


def _edges(index: Index, now: int) -> tuple[NDArray[np.int64], list[int]]:
    """Pairs of nodes, and the persons who are the first of the nodes; the others are sites."""
    people = index.people
    follows = people.follow_pairs()
    person, site = people.site_pairs()
    known = {site_of(name): value for name, value in people.known_sites().items()}
    common = {name for name, (count, first) in known.items() if count >= 5 and first < now - STANDING_MS}
    names = [site_of(name) for name in site]
    kept = [at for at, name in enumerate(names) if name and name not in common]
    numbers = sorted({*follows.ravel().tolist(), *person[kept].tolist()})
    place = {number: at for at, number in enumerate(numbers)}
    sites: dict[str, int] = {}
    pairs = [(place[one], place[other]) for one, other in _returned(follows).tolist()]
    for at in kept:
        pairs.append((place[int(person[at])], len(numbers) + sites.setdefault(names[at], len(sites))))
    return np.array(pairs, np.int64).reshape(-1, 2), numbers


def _returned(follows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The pairs that follow each other, each once."""
    if not len(follows):
        return follows
    both = {tuple(pair) for pair in follows.tolist()}
    found = [pair for pair in both if pair[0] < pair[1] and (pair[1], pair[0]) in both]
    return np.array(sorted(found), np.int64).reshape(-1, 2)
