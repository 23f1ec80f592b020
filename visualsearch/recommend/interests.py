"""A person's interests: groups of pins that they saved or looked at, each with a medoid, an importance, a kind and its evidence.

Ward's method groups the vectors, and what lies back counts less (PinnerSage, arXiv 2007.03634). An interest says nothing about
a person: it is a list of pins. A project ends with its board or with a purchase; secret boards and sensitive topics make none.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from visualsearch.people import Consent, ConsentLevel, weight
from visualsearch.types import Evidence, Float32, Float64, Int64

from .asking import RelatedIndex, numbers_of
from .looks import grouped, medoid, units
from .sensitive import Topics, allowed, topics_of

if TYPE_CHECKING:
    from visualsearch.people import Deeds

DAY_MS = 86_400_000
MINUTE_MS = 60_000
MOST_PINS = 400
"""Of more pins, the weightiest and an even sample of the rest are grouped: Ward's method takes the square of them."""
MOST_SAVED = 400
"""What was bought or looked at is compared with so many saved pins."""
MOST_HIDDEN = 200
MOST_GROUPS = 12
PINS_A_GROUP = 4
LEISURE_DAYS, PROJECT_DAYS = 90.0, 30.0
"""The weight of a deed halves in this time."""
SILENT_DAYS = {False: 90.0, True: 21.0}
"""The weight of a board halves in this time from its last save on; a project's (True) faster."""
SHOWN_DAYS = 3.0
"""Impressions of so many days say what was passed over."""
SEEN_DAYS = 30.0
PASSED = 0.04
"""An interest of which many pins were shown and none was touched counts less: 1 / (1 + PASSED * shown)."""
POSITIVE = ("save", "click", "visit", "share", "purchase")
KEPT_PERSONS = 2000


class Kind(StrEnum):
    """A project ends; leisure stays."""

    PROJECT = "project"
    LEISURE = "leisure"


@dataclass(frozen=True)
class Interest:
    """`medoid` is the pin that stands for it, `vector` (d,) its unit vector, `importance` its share of all (0..1).

    `evidence` has the pins that it is made of, the weightiest first, each with its share. `last` is the newest deed, in ms.
    """

    medoid: str
    vector: Float32 = field(repr=False, compare=False)
    importance: float
    kind: Kind
    evidence: tuple[Evidence, ...]
    last: int


@dataclass(frozen=True)
class Interests:
    """What is known to recommend to one person: `items`, the most important first, and what must not be shown.

    `pins` are all pins behind the interests with their weights, `vectors` (n, d) their unit vectors, `boards` the board of each
    that was saved. `without` holds saved, hidden, reported and bought
    pins, and those that were looked at lately. `hidden` (m, d) are vectors of hidden pins. `seen`
    says how often a pin was shown lately. `muted` are boards and people that were taken out. `mass` is the sum of all weights.
    """

    items: tuple[Interest, ...] = ()
    pins: tuple[str, ...] = ()
    weights: Float64 = field(default_factory=lambda: np.zeros(0), repr=False)
    vectors: Float32 = field(default_factory=lambda: np.zeros((0, 0), np.float32), repr=False)
    boards: dict[str, str] = field(default_factory=dict)
    without: frozenset[str] = frozenset()
    hidden: Float32 = field(default_factory=lambda: np.zeros((0, 0), np.float32), repr=False)
    seen: dict[str, int] = field(default_factory=dict)
    muted: frozenset[str] = frozenset()
    follows: tuple[tuple[str, str], ...] = ()
    mass: float = 0.0

    @property
    def newest(self) -> Float32:
        """The vectors of `pins`, the weightiest first."""
        return self.vectors[np.argsort(-self.weights, kind="stable")]


def interests_of(index: RelatedIndex, person: str, now: int | None = None) -> Interests | None:
    """The interests of a person at a time (ms). None for somebody unknown, and where the consent is off.

    They are kept until the person does something, the index changes or the list of sensitive topics does.
    """
    people = index.people
    at = people.now() if now is None else now
    mark = people.deeds_mark(person)
    if mark is None:
        _drop(index, person)
        return None
    with index.catalog.read() as reader:
        state = reader.state
    topics = topics_of(index.folder)
    # Weights halve in weeks: what was made within the hour still holds.
    key = (mark, state, topics, at // 3_600_000)
    held = _kept(index)
    with _GUARD:
        found = held.get(person)
        if found is not None and found[0] == key:
            held.move_to_end(person)
            return found[1]
    deeds = people.deeds(person)
    made = None if deeds is None else made_of(index, deeds, topics, at)
    if made is None:
        _drop(index, person)
        return None
    with _GUARD:
        held[person] = (key, made)
        while len(held) > KEPT_PERSONS:
            held.popitem(last=False)
    return made


def of_session(index: RelatedIndex, looked: Sequence[str], now: int) -> Interests:
    """What pins that somebody unknown looked at just now say, the newest first. Nothing of it is kept."""
    from visualsearch.people import Deed, Deeds

    deeds = [Deed("click", name, now - at * MINUTE_MS) for at, name in enumerate(dict.fromkeys(looked))]
    session = Deeds(0, Consent(ConsentLevel.SESSION), deeds, frozenset(), {}, (), 0)
    return made_of(index, session, topics_of(index.folder), now)


_KEPT: WeakKeyDictionary[Any, OrderedDict[str, tuple[Any, Interests]]] = WeakKeyDictionary()
_GUARD = threading.Lock()


def _kept(index: RelatedIndex) -> OrderedDict[str, tuple[Any, Interests]]:
    with _GUARD:
        return _KEPT.setdefault(index, OrderedDict())


def _drop(index: RelatedIndex, person: str) -> None:
    """Keep nothing of somebody who was forgotten or withdrew."""
    held = _kept(index)
    with _GUARD:
        held.pop(person, None)


def made_of(index: RelatedIndex, deeds: Deeds, topics: Topics, now: int) -> Interests:
    """The interests that deeds stand for."""
    hidden = _hidden(deeds)
    muted = frozenset(deed.board for deed in deeds.deeds if deed.kind == "hide" and deed.board)
    bought = {deed.pin for deed in deeds.deeds if deed.kind == "purchase"}
    since = now - SEEN_DAYS * DAY_MS
    known = {deed.pin for deed in deeds.deeds if deed.kind in POSITIVE and deed.at >= since}
    without = deeds.saved | hidden | bought | known
    over = _over(index, deeds, now)
    shut = {
        name
        for name, board in deeds.boards.items()
        if board.secret or name in muted or name in over or topics.names(board.title)
    }
    weights, boards, last = _weights(deeds, hidden, shut, now)
    seen = _seen(deeds, now)
    names = _sampled(weights)
    held = numbers_of(index, sorted(hidden)[:MOST_HIDDEN])
    listed = [name for name in sorted(hidden)[:MOST_HIDDEN] if name in held]
    plain = Interests(
        without=frozenset(without),
        hidden=units(index.vectors(listed)) if listed else np.zeros((0, 0), np.float32),
        seen=seen,
        muted=muted,
        follows=tuple(target for target in deeds.follows if target[1] not in muted),
    )
    names = list(allowed(index, topics, names))
    names = _without_ended(index, deeds, names, boards, over)
    if not names:
        return plain
    vectors = units(index.vectors(names))
    worth = np.array([weights[name] for name in names])
    items = _grouped(index, names, vectors, worth, deeds, boards, last, now)
    return replace(
        plain,
        items=items,
        pins=tuple(names),
        weights=worth,
        vectors=vectors,
        boards={name: boards[name] for name in names if name in boards},
        mass=float(worth.sum()),
    )


def _hidden(deeds: Deeds) -> set[str]:
    """Pins that were hidden or reported and not saved since. A hide that names a board says something of that board alone."""
    saved: dict[str, int] = {}
    for deed in deeds.deeds:
        if deed.kind == "save":
            saved[deed.pin] = max(saved.get(deed.pin, 0), deed.at)
    return {
        deed.pin
        for deed in deeds.deeds
        if deed.kind in ("hide", "report") and saved.get(deed.pin, -1) <= deed.at
    }


def _seen(deeds: Deeds, now: int) -> dict[str, int]:
    """How often each pin was shown lately without being touched."""
    touched = {deed.pin for deed in deeds.deeds if deed.kind in POSITIVE}
    seen: dict[str, int] = {}
    for deed in deeds.deeds:
        if deed.kind == "impression" and deed.at >= now - SEEN_DAYS * DAY_MS and deed.pin not in touched:
            seen[deed.pin] = seen.get(deed.pin, 0) + 1
    return seen


def _weights(
    deeds: Deeds, hidden: set[str], shut: set[str], now: int
) -> tuple[dict[str, float], dict[str, str], dict[str, int]]:
    """The weight of each pin above 0, the board of each saved one, and its newest deed. Boards of `shut` give none."""
    kept = {d.pin for d in deeds.deeds if d.kind == "save" and d.board not in shut}
    closed = {d.pin for d in deeds.deeds if d.kind == "save"} - kept
    weights: dict[str, float] = {}
    boards: dict[str, str] = {}
    last: dict[str, int] = {}
    for deed in deeds.deeds:
        if deed.kind not in POSITIVE or deed.pin in hidden or deed.pin in closed or deed.board in shut:
            continue
        board = deeds.boards.get(deed.board)
        project = board is not None and board.project
        age = max(0, now - deed.at) / DAY_MS
        value = weight(deed.kind, deed.dwell_ms) * 0.5 ** (age / (PROJECT_DAYS if project else LEISURE_DAYS))
        if board is not None:
            value *= 0.5 ** (max(0, now - board.last) / DAY_MS / SILENT_DAYS[project])
        weights[deed.pin] = weights.get(deed.pin, 0.0) + value
        last[deed.pin] = max(last.get(deed.pin, 0), deed.at)
        if deed.kind == "save" and deed.board:
            boards.setdefault(deed.pin, deed.board)
    return {name: value for name, value in weights.items() if value > 1e-6}, boards, last


def _over(index: RelatedIndex, deeds: Deeds, now: int) -> dict[str, int]:
    """The projects that are over, and since when: their day has passed, or something of theirs was bought.

    What was bought belongs to the board that it was saved on, else to that of the saved pin that it looks like most.
    """
    projects = {name: board for name, board in deeds.boards.items() if board.project}
    over = {
        name: board.ends for name, board in projects.items() if board.ends is not None and board.ends <= now
    }
    bought = {d.pin: d.at for d in reversed(deeds.deeds) if d.kind == "purchase"} if projects else {}
    for pin, board in _belonging(index, deeds, list(bought)).items():
        if board in projects:
            over.setdefault(board, bought[pin])
    return over


def _belonging(index: RelatedIndex, deeds: Deeds, pins: Sequence[str]) -> dict[str, str]:
    """The board of the saved pin that each pin is, or looks like most."""
    own: dict[str, str] = {}
    for deed in deeds.deeds:
        if deed.kind == "save" and len(own) < MOST_SAVED:
            own.setdefault(deed.pin, deed.board)
    found = {name: own[name] for name in pins if name in own}
    held = numbers_of(index, [*own, *pins]) if len(found) < len(pins) and own else {}
    asked = [name for name in pins if name not in found and name in held]
    saved = [name for name in own if name in held]
    if asked and saved:
        nearest = (units(index.vectors(asked)) @ units(index.vectors(saved)).T).argmax(1)
        found |= {name: own[saved[at]] for name, at in zip(asked, nearest.tolist(), strict=True)}
    return found


def _sampled(weights: dict[str, float]) -> list[str]:
    """At most MOST_PINS pins: the weightiest half, and an even sample of the others."""
    ordered = sorted(weights, key=lambda name: (-weights[name], name))
    if len(ordered) <= MOST_PINS:
        return ordered
    half = MOST_PINS // 2
    rest = ordered[half:]
    some = np.linspace(0, len(rest) - 1, MOST_PINS - half).astype(int)
    return [*ordered[:half], *(rest[at] for at in some.tolist())]


def _without_ended(
    index: RelatedIndex, deeds: Deeds, names: list[str], boards: dict[str, str], over: dict[str, int]
) -> list[str]:
    """Without pins that were only looked at while a project was on, and that look like those of that project."""
    if not over:
        return names
    looked = {d.pin: d.at for d in reversed(deeds.deeds) if d.kind in ("click", "visit", "share", "purchase")}
    belongs = _belonging(index, deeds, [name for name in names if name not in boards])
    return [
        name for name in names if name not in belongs or looked.get(name, 0) > over.get(belongs[name], -1)
    ]


def _grouped(
    index: RelatedIndex,
    names: Sequence[str],
    vectors: Float32,
    worth: Float64,
    deeds: Deeds,
    boards: dict[str, str],
    last: dict[str, int],
    now: int,
) -> tuple[Interest, ...]:
    """The groups as interests, the most important first."""
    groups = grouped(vectors, min(MOST_GROUPS, 2 + len(names) // PINS_A_GROUP))
    passed = _passed(index, vectors, groups, deeds, now)
    found = []
    for group in np.unique(groups).tolist():
        members: Int64 = np.flatnonzero(groups == group)
        value = float(worth[members].sum())
        order = members[np.argsort(-worth[members], kind="stable")]
        evidence = tuple(Evidence("pin", names[at], float(worth[at]) / value) for at in order.tolist())
        on = sum(
            float(worth[at])
            for at in members.tolist()
            if (held := deeds.boards.get(boards.get(names[at], ""))) is not None and held.project
        )
        middle = medoid(vectors, members)
        kind = Kind.PROJECT if on > value / 2 else Kind.LEISURE
        newest = max(last[names[at]] for at in members.tolist())
        found.append((value * passed[group], names[middle], vectors[middle], kind, evidence, newest))
    total = sum(each[0] for each in found) or 1.0
    items = [
        Interest(name, vector, value / total, kind, evidence, newest)
        for value, name, vector, kind, evidence, newest in found
    ]
    return tuple(sorted(items, key=lambda item: (-item.importance, item.medoid)))


def _passed(index: RelatedIndex, vectors: Float32, groups: Int64, deeds: Deeds, now: int) -> dict[int, float]:
    """How much each group counts still, after its pins were shown and passed over in these days."""
    since = now - SHOWN_DAYS * DAY_MS
    touched = {d.pin for d in deeds.deeds if d.kind in POSITIVE and d.at >= since}
    shown = {d.pin for d in deeds.deeds if d.kind == "impression" and d.at >= since}
    skipped = sorted(shown - touched)[:500]
    fine: dict[int, float] = dict.fromkeys(np.unique(groups).tolist(), 1.0)
    held = numbers_of(index, [*skipped, *sorted(touched)[:500]])
    skipped = [name for name in skipped if name in held]
    liked = [name for name in sorted(touched)[:500] if name in held]
    if not skipped:
        return fine
    own = units(index.vectors([*skipped, *liked]))
    nearest = groups[(own @ vectors.T).argmax(1)]
    for group in fine:
        shows = int((nearest[: len(skipped)] == group).sum())
        likes = int((nearest[len(skipped) :] == group).sum())
        fine[group] = (1 + likes) / (1 + likes + PASSED * shows)
    return fine
