"""Ideas for a board: what people saved with its pins, blended with what looks like them.

Candidates come from the learnt weights and from the nearest neighbours of the board's looks. A pin that nobody saved gets
what to expect of it: the mean strength of the learnt candidates that it looks like. Every idea has a reason made from what
scored it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from visualsearch.errors import UnknownNameError, UsageError
from visualsearch.ranking import check_diversity
from visualsearch.types import WHOLE, Evidence, Float32, Hit, Hits, Reason

from .asking import RelatedIndex, hidden_of, lowered_of
from .base import present
from .items import Items, items_of
from .looks import Looks, looks_of, units
from .variety import mixed
from .why import LOOK_ALIKE, NEAR, SIGHT, TOGETHER, quoted

if TYPE_CHECKING:
    from visualsearch.people import Board
    from visualsearch.store import Pin

MOST_K = 1000
NEWEST = 2000
"""Of a larger board the newest pins count."""
CANDIDATES = 200
LENDERS = 8
SHARP = 4.0
"""Chosen on boards of simulated worlds: see `benchmarks/cold_pins.py`."""
NAMED = 3
"""Pins that a reason names as evidence."""
LEARN = "Run: visualsearch learn DIR"
NAMES = ("title", "name", "caption")


@dataclass(frozen=True)
class Asked:
    """What ideas are wanted for: pins, newest first; what must not come back; and where the pins lie, for the reasons."""

    pins: Sequence[str]
    without: frozenset[str]
    title: str


@dataclass
class Idea:
    """A candidate: `together` (0..1) by saves, `sight` (-1..1), and `cosine` to the nearest look.

    `lender` is the candidate that lent a pin without saves most of its strength, `alike` their cosine.
    """

    pin: str
    together: float = 0.0
    sight: float = 0.0
    cosine: float = 0.0
    lender: str = ""
    alike: float = 0.0
    score: float = 0.0


def ideas(
    gallery: RelatedIndex,
    board: str | None = None,
    k: int = 20,
    *,
    person: str | None = None,
    section: str | None = None,
    where: str | None = None,
    sight: float | None = None,
    diversity: float = 0.0,
) -> Hits:
    """Ideas for a board, or for all that a person saved; see `Index.ideas`."""
    started = time.perf_counter()
    if not 1 <= k <= MOST_K:
        raise UsageError(f"k: {k:,} asked for", f"1 to {MOST_K:,} are taken", "Ask for less")
    check_diversity(diversity)
    asked = asked_for(gallery, board, person, section)
    items = items_of(gallery)
    found = ranked(gallery, items, asked, max(CANDIDATES, 3 * k), sight, where)
    order = mixed(gallery, [idea.pin for idea in found], [idea.score for idea in found], diversity, k)
    chosen = [found[at] for at in order[:k]]
    reasons = reasons_of(gallery, items, asked, chosen, sight)
    hits = _hits(gallery, chosen, reasons)
    learnt = items is not None and any(name in items.at for name in asked.pins)
    notes = (
        [] if items is not None else [f"nothing was learnt yet, so these ideas are by sight alone. {LEARN}"]
    )
    if not asked.pins:
        notes = ["the board has no pins of this index to go by"]
    return Hits(
        tuple(hits), len(found), "saves-and-sight" if learnt else "sight", time.perf_counter() - started,
        best=max((hit.score for hit in hits), default=None), notes=tuple(notes),
    )  # fmt: skip


def asked_for(gallery: RelatedIndex, board: str | None, person: str | None, section: str | None) -> Asked:
    """The pins of a board that `person` may see, or of all boards of a person. Raises UnknownNameError, UsageError."""
    if board is None and person is None:
        raise UsageError("ideas for nothing", "neither a board nor a person is named", "Name one of them")
    people = gallery.people
    if board is None:
        assert person is not None
        boards: Sequence[Board] = people.boards(person, viewer=person, k=10_000)
        title = ""
    else:
        boards = [people.board(board, viewer=person)]
        title = boards[0].title
    held = [save for each in boards for save in people.pins_of(each.id, viewer=person, k=1_000_000)]
    held.sort(key=lambda save: (-save.at, -save.id))
    names = list(dict.fromkeys(save.pin for save in held if section is None or save.section == section))
    if section is not None and not names:
        known = [name for each in boards for name in each.sections]
        if section not in known:
            raise UnknownNameError("section", section[:80], known)
    hidden = set(hidden_of(gallery)) | (people.hidden(person) if person is not None else set())
    without = frozenset({save.pin for save in held} | hidden)
    return Asked(present(gallery, names[:NEWEST]), without, title)


def ranked(
    gallery: RelatedIndex,
    items: Items | None,
    asked: Asked,
    most: int,
    sight: float | None = None,
    where: str | None = None,
) -> list[Idea]:
    """All candidates, best first."""
    if not asked.pins:
        return []
    looks = looks_of(gallery, asked.pins)
    together = _together(items, asked, most)
    near = _near(gallery, looks, asked, most, where)
    names = list(dict.fromkeys([*together, *near]))
    held = gallery.people.pins.find(names)
    if where is not None:
        allowed = set(near)
        names = [name for name in names if name in allowed]
    names = [name for name in names if name in held and name not in asked.without]
    if not names:
        return []
    vectors = units(gallery.vectors(names))
    cosines = (vectors @ looks.vectors.T).max(axis=1)
    low = min(near.values(), default=0.0)
    high = max([*near.values(), low + 1e-6])
    found = [
        Idea(
            name, together.get(name, 0.0), float(np.clip((cosine - low) / (high - low), -1, 1)), float(cosine)
        )
        for name, cosine in zip(names, cosines.tolist(), strict=True)
    ]
    _lend(items, found, vectors)
    share = _share(items, together, sight)
    lowered = lowered_of(gallery)
    for idea in found:
        idea.score = (1 - share) * idea.together + share * idea.sight
        idea.score = min(idea.score, 0.0) - 1.0 if idea.pin in lowered else idea.score
    return sorted(found, key=lambda idea: (-idea.score, idea.pin))


def _share(items: Items | None, together: Mapping[str, float], sight: float | None) -> float:
    """The weight of sight; all of it where saves say nothing."""
    if items is None or not together:
        return 1.0
    return items.sight if sight is None else sight


def _together(items: Items | None, asked: Asked, most: int) -> dict[str, float]:
    """The strongest pins by saves, as shares of the strongest."""
    if items is None:
        return {}
    rows, known = items.scores(asked.pins)
    if not known:
        return {}
    sums = np.asarray(rows.sum(axis=0)).ravel()
    sums[[items.at[name] for name in asked.without if name in items.at]] = 0.0
    order = np.argsort(-sums, kind="stable")[:most]
    top = float(sums[order[0]])
    return {items.pins[at]: float(sums[at]) / top for at in order.tolist() if sums[at] > 0}


def _near(
    gallery: RelatedIndex, looks: Looks, asked: Asked, most: int, where: str | None
) -> dict[str, float]:
    """The nearest pins of the board's looks, each with its best cosine."""
    found: dict[str, float] = {}
    extra = min(len(asked.without), 500)
    for hits in gallery.nearest(looks.vectors, k=most + extra, where=where, details=False):
        for hit in hits:
            if hit.id not in asked.without:
                found[hit.id] = max(found.get(hit.id, -1.0), hit.score)
    best = sorted(found, key=lambda name: (-found[name], name))[:most]
    return {name: found[name] for name in best}


def _lend(items: Items | None, found: Sequence[Idea], vectors: Float32) -> None:
    """A pin that was not learnt gets the mean strength of the LENDERS learnt candidates that it looks like most.

    They are weighted by cosine ** SHARP, those without any strength too: it is what to expect of a pin that looks so
    (Nadaraya and Watson 1964). The one that gave most is named.
    """
    if items is None:
        return
    warm = [at for at, idea in enumerate(found) if idea.pin in items.at]
    cold = [at for at, idea in enumerate(found) if idea.pin not in items.at]
    if not warm or not cold:
        return
    alike = np.clip(vectors[cold] @ vectors[warm].T, 0, 1)
    strength = np.array([found[at].together for at in warm], dtype=np.float32)
    nearest = np.argsort(-alike, axis=1, kind="stable")[:, :LENDERS]
    weights = np.take_along_axis(alike, nearest, 1) ** SHARP
    given = weights * strength[nearest]
    worth = given.sum(1) / np.maximum(weights.sum(1), 1e-9)
    for row, at in enumerate(cold):
        if worth[row] <= 0:
            continue
        best = int(nearest[row, given[row].argmax()])
        found[at].together = float(worth[row])
        found[at].lender = found[warm[best]].pin
        found[at].alike = float(alike[row, best])


# -- reasons -------------------------------------------------------------------------------------------------------
def reasons_of(
    gallery: RelatedIndex, items: Items | None, asked: Asked, chosen: Sequence[Idea], sight: float | None
) -> list[Reason]:
    """Why each idea is there: the saves where they weigh more than sight, else the pin that it looks like."""
    if not chosen:
        return []
    together = {idea.pin: idea.together for idea in chosen if idea.together > 0}
    share = _share(items, together, sight)
    by_saves = [idea for idea in chosen if (1 - share) * idea.together > share * max(idea.sight, 0.0)]
    known = carriers(items, asked.pins, [idea.lender or idea.pin for idea in by_saves])
    carried = {idea.pin: known.get(idea.lender or idea.pin, []) for idea in by_saves}
    pairs = [(c[0].id, idea.lender or idea.pin) for idea in chosen if (c := carried.get(idea.pin))]
    both = gallery.people.saved_together(pairs)
    alike = _alike(gallery, asked, [idea.pin for idea in chosen])
    ids = {e.id for c in carried.values() for e in c} | {e.id for e in alike.values()}
    names = Names(gallery, [*ids, *(idea.lender for idea in chosen if idea.lender)])
    reasons = []
    for idea in chosen:
        evidence = carried.get(idea.pin)
        if not evidence:
            nearest = alike[idea.pin]
            sentence = f"Looks like {names.of(nearest.id)}{_on(asked)} (cosine {nearest.weight:.2f})"
            reasons.append(Reason(SIGHT, sentence, (nearest,)))
            continue
        reasons.append(_by_saves(idea, evidence, asked, names, both))
    return reasons


def _by_saves(
    idea: Idea, evidence: Sequence[Evidence], asked: Asked, names: Names, both: set[tuple[str, str]]
) -> Reason:
    first = f"{names.of(evidence[0].id)}{_on(asked)}"
    saved = (evidence[0].id, idea.lender or idea.pin) in both
    if idea.lender:
        how = "was saved together with" if saved else "goes with"
        sentence = f"Looks like {names.of(idea.lender)}, which {how} {first}"
        return Reason(LOOK_ALIKE, sentence, (Evidence("pin", idea.lender, idea.alike), *evidence))
    if saved:
        return Reason(TOGETHER, f"Saved together with {first}", tuple(evidence))
    return Reason(NEAR, f"Saved to boards like those that hold {first}", tuple(evidence))


def carriers(items: Items | None, pins: Sequence[str], ideas: Sequence[str]) -> dict[str, list[Evidence]]:
    """The pins that carried each idea by saves, weightiest first, each with its share of the whole. Ideas that were not learnt
    are left out. Anyone can compute it again.
    """
    learnt = [] if items is None else [name for name in dict.fromkeys(ideas) if name in items.at]
    if items is None or not learnt:
        return {}
    rows, known = items.scores(pins)
    weights = rows[:, [items.at[name] for name in learnt]].toarray()
    totals = weights.sum(axis=0)
    order = np.argsort(-weights, axis=0, kind="stable")[:NAMED]
    return {
        name: [
            Evidence("pin", known[at], float(weights[at, column] / totals[column]))
            for at in order[:, column].tolist()
            if weights[at, column] > 0
        ]
        for column, name in enumerate(learnt)
    }


def _alike(gallery: RelatedIndex, asked: Asked, names: Sequence[str]) -> dict[str, Evidence]:
    """The asked pin that each looks like most, with the cosine."""
    mine = units(gallery.vectors(asked.pins))
    cosines = units(gallery.vectors(names)) @ mine.T
    best = cosines.argmax(axis=1).tolist()
    return {
        name: Evidence("pin", asked.pins[at], float(cosines[row, at]))
        for row, (name, at) in enumerate(zip(names, best, strict=True))
    }


def _on(asked: Asked) -> str:
    return f" on {quoted(asked.title)}" if asked.title else ""


def stored(gallery: RelatedIndex, ids: Sequence[str]) -> dict[str, Pin]:
    """The pins of those ids that the index holds."""
    with gallery.catalog.read() as reader:
        return {pin.id: pin for pin in reader.by_ids(list(dict.fromkeys(ids)))}


class Names:
    """What to call a pin in a sentence: its title, else its id."""

    def __init__(self, gallery: RelatedIndex, ids: Sequence[str]) -> None:
        self._known = stored(gallery, ids)

    def of(self, pin: str) -> str:
        """The name in quotes."""
        attributes = self._known[pin].attributes if pin in self._known else {}
        return quoted(str(next((attributes[n] for n in NAMES if attributes.get(n)), pin)))


def _hits(gallery: RelatedIndex, chosen: Sequence[Idea], reasons: Sequence[Reason]) -> list[Hit]:
    made = []
    held = stored(gallery, [idea.pin for idea in chosen])
    for idea, why in zip(chosen, reasons, strict=True):
        pin = held.get(idea.pin)
        if pin is None:
            continue  # it left the index while this was computed
        signals = {
            "together": round(idea.together, 6),
            "sight": round(idea.sight, 6),
            "idea": round(idea.score, 6),
        }
        made.append(Hit(idea.pin, pin.uri, idea.cosine, WHOLE, pin.attributes, signals, signals["idea"], why))
    return made
