"""A ranker from the events of a record, for one surface: learnt from older lists, and kept where it wins on newer ones.

Signals are made as of the moment of each list, from the saves and hides before it. How popular a pin is comes from the first part
of the events, which nothing is learnt from. So no signal knows what it should foretell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from visualsearch.errors import UsageError
from visualsearch.people import Material, pseudonym_text
from visualsearch.ranking import Trees
from visualsearch.recommend import (
    SIGNAL_NAMES,
    TAUGHT_PARTS,
    Builder,
    Built,
    Gallery,
    Taught,
    moved,
    taught_signals,
)
from visualsearch.types import Bool, Float32, Float64, Int64

from .places import Examined, examined
from .ranker import Deeds, train_ranker
from .shown import Shown, shown_of

if TYPE_CHECKING:
    from visualsearch.people import People

FEWEST_CLICKS = 2_000
"""Below so many clicks the plain order stays."""
HISTORY, TRAINING = 0.4, 0.75
"""Shares of the impressions, by time: until the first they are history, until the second they teach, the rest judges."""
SMOOTH = 20.0
"""A pin's deeds per look are pulled towards the usual ones by so many looks."""
LEAST_CHANCE = 0.05
DAY_MS = 86_400_000
END_MS = 4_102_444_800_000
"""The year 2100: all events, those of a simulated world too."""
DRAWS = 2_000
Say = Callable[[str], None]


@dataclass(frozen=True)
class Judged:
    """What held-out lists say: expected deeds per list by the plain order and by the learnt one, and the gain's 95 % interval."""

    plain: float
    learnt: float
    gain: float
    interval: tuple[float, float]
    lists: int

    @property
    def wins(self) -> bool:
        """Whether the interval lies above zero."""
        return self.interval[0] > 0


@dataclass(frozen=True)
class Lesson:
    """What came of it. `taught` is None where the plain order stays, and `why` says why."""

    taught: Taught | None
    why: str
    judged: Judged | None = None
    places: Examined | None = field(default=None, repr=False)
    clicks: int = 0


def teach(
    gallery: Gallery,
    *,
    surface: str = "feed",
    seed: int = 0,
    without: Callable[[str], bool] | None = None,
    fewest: int = FEWEST_CLICKS,
    say: Say = lambda _: None,
) -> Lesson:
    """Learn a ranker of a surface from the record's events; see `Lesson`. `without(pseudonym)` leaves people out, such as bots.

    Of searches and related pins it judges the order that would be served: each hit moves by a few places only (`moved`).
    Raises MissingExtraError.
    """
    people = gallery.people
    events = people.event_columns(0, END_MS)
    try:
        shown = _of_surface(shown_of(events), surface)
        if without is not None:
            shown = shown.part(~_named(shown.person, without))
        clicks = int(shown.clicked.sum())
        if clicks < fewest:
            return Lesson(None, f"{clicks:,} clicks, and {fewest:,} are needed", clicks=clicks)
        places = examined(shown)
    except UsageError as error:
        return Lesson(None, f"{error.what}: {error.why}")
    say(f"{len(shown):,} impressions, {clicks:,} clicks; places told by {places.clicks:,}")
    chance = np.maximum(places.chance, LEAST_CHANCE)[shown.place]
    cuts = np.quantile(shown.at, (HISTORY, TRAINING))
    history, inside = shown.at < cuts[0], (shown.at >= cuts[0]) & (shown.at < cuts[1])
    signals = _Signals(gallery, shown, chance, history)
    trees = train_ranker(_deeds(shown, chance, inside, signals), seed=seed, models=1)
    judged = judge(shown, chance, shown.at >= cuts[1], signals, trees, seed, bounded=surface != "feed")
    if not judged.wins:
        low, high = judged.interval
        why = f"on held-out lists the gain of {judged.gain:+.4f} deeds a list has the interval {low:+.4f} to {high:+.4f}"
        return Lesson(None, why, judged, places, clicks)
    rates, usual = signals.rates(np.ones(len(shown), bool))
    popular = {shown.items[item]: rate for item, rate in rates.items()}
    return Lesson(Taught(trees, popular, usual), "", judged, places, clicks)


def ranker_builders(
    people: People, without: Callable[[str], bool] | None = None, fewest: int = FEWEST_CLICKS
) -> dict[str, Builder]:
    """The builders of the learnt orders of all surfaces, by part, for `visualsearch learn`; built anew for other events."""
    return {part: ranker_builder(people, without, fewest, surface) for surface, part in TAUGHT_PARTS.items()}


def ranker_builder(
    people: People,
    without: Callable[[str], bool] | None = None,
    fewest: int = FEWEST_CLICKS,
    surface: str = "feed",
) -> Builder:
    """The builder of one surface's learnt order."""

    def build(material: Material, gallery: Gallery, seed: int, say: Say) -> Built | None:
        found = teach(gallery, surface=surface, seed=seed, without=without, fewest=fewest, say=say)
        if found.taught is None or found.judged is None:
            say(f"{surface}: the plain order stays: {found.why}")
            return None
        figures = {
            "deeds a list, plain": found.judged.plain,
            "deeds a list, learnt": found.judged.learnt,
            "gain, low": found.judged.interval[0],
            "gain, high": found.judged.interval[1],
            "held-out lists": found.judged.lists,
            "clicks": found.clicks,
            **{f"gain of {name}": share for name, share in found.taught.trees.gains.items()},
        }
        return Built(found.taught.part("", {}, surface), figures)

    marks: list[tuple[str, int]] = sorted(people.event_counts().items())
    marks += [("judged", number) for number in sorted(people.shut_people())]
    version = 1 + sum(hash_of(f"{kind} {count}") for kind, count in marks) % (1 << 31)
    return Builder(TAUGHT_PARTS[surface], version, build)


def hash_of(text: str) -> int:
    """A number for a text that is the same in every process."""
    import hashlib

    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def judge(
    shown: Shown,
    chance: Float64,
    which: Bool,
    signals: _Signals,
    trees: Trees,
    seed: int = 0,
    bounded: bool = False,
) -> Judged:
    """Expected deeds of held-out lists, ordered as they were and as `trees` would: each deed counts by the chance of its new
    place over that of its old one (inverse propensity scoring). The interval draws whole persons. `bounded`: as `moved` would."""
    rows = np.flatnonzero(which)
    rows = rows[np.lexsort((shown.place[rows], shown.list[rows]))]
    scores = trees.scores(signals.of(rows))
    first = np.r_[True, shown.list[rows][1:] != shown.list[rows][:-1]]
    number = np.cumsum(first) - 1
    order = np.lexsort((-scores, number))
    after = np.empty(len(rows))
    if bounded:
        starts = np.flatnonzero(first)
        for start, end in zip(starts, np.r_[starts[1:], len(rows)], strict=True):
            after[start + moved(scores[start:end])] = chance[rows[start:end]]
    else:  # the best takes the likeliest place of its list
        after[order] = chance[rows][np.lexsort((-chance[rows], number))]
    good = shown.clicked[rows].astype(np.float64)
    plain, learnt = good, good * after / chance[rows]
    person = np.unique(shown.person[rows], return_inverse=True)[1].reshape(-1)
    lists = np.bincount(person, first)
    gain = np.bincount(person, learnt - plain)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(lists), (DRAWS, len(lists)))
    means = gain[drawn].sum(1) / np.maximum(lists[drawn].sum(1), 1)
    low, high = np.quantile(means, (0.025, 0.975))
    total = max(1, int(first.sum()))
    return Judged(
        float(plain.sum() / total),
        float(learnt.sum() / total),
        float(gain.sum() / total),
        (float(low), float(high)),
        total,
    )


class _Signals:
    """The signals of impressions, as of the moment each was shown."""

    def __init__(self, gallery: Gallery, shown: Shown, chance: Float64, history: Bool) -> None:
        self.shown, self.chance = shown, chance
        names = [shown.items[item] for item in range(len(shown.items))]
        held = gallery.people.pins.find(names)
        known = [name for name in names if name in held]
        self.row = {name: at for at, name in enumerate(known)}
        self.vectors = gallery.vectors(known)
        self.vectors /= np.maximum(np.linalg.norm(self.vectors, axis=1, keepdims=True), 1e-12)
        self.at_item = np.array([self.row.get(name, -1) for name in names], np.int64)
        self.since = self._added(gallery, known)
        self.saves: dict[int, tuple[Int64, Int64]] = {}
        self.hides: dict[int, tuple[Int64, Int64]] = {}
        self._read(gallery.people)
        rates, usual = self.rates(history)
        self.popular = np.full(len(names), usual)
        for item, rate in rates.items():
            self.popular[item] = rate

    def rates(self, which: Bool) -> tuple[dict[int, float], float]:
        """Deeds per look of each item, smoothed by the looks that were expected (Memboost), and the usual ones."""
        item = self.shown.item[which]
        looks = np.bincount(item, self.chance[which], len(self.shown.items))
        done = np.bincount(item, self.shown.clicked[which], len(self.shown.items))
        usual = float(done.sum() / max(looks.sum(), 1e-9))
        rate = (done + SMOOTH * usual) / (looks + SMOOTH)
        return {int(at): float(rate[at]) for at in np.flatnonzero(looks)}, usual

    def of(self, rows: Int64) -> Float32:
        """(n, f) signals of impressions."""
        made = np.zeros((len(rows), len(SIGNAL_NAMES)), np.float32)
        shown = self.shown
        order = np.lexsort((shown.list[rows], shown.person[rows]))
        ends = np.flatnonzero(np.diff(shown.list[rows][order], append=-1)) + 1
        for start, end in zip(np.r_[0, ends[:-1]], ends, strict=True):
            places = order[start:end]
            mine = rows[places]
            person, at = int(shown.person[mine[0]]), int(shown.at[mine[0]])
            items = self.at_item[shown.item[mine]]
            made[places] = taught_signals(
                self.vectors[np.maximum(items, 0)],
                self._before(self.saves, person, at),
                self._before(self.hides, person, at),
                self.popular[shown.item[mine]],
                (at - self.since[np.maximum(items, 0)]) / DAY_MS,
            )
        return made

    def _before(self, deeds: dict[int, tuple[Int64, Int64]], person: int, at: int) -> Float32:
        """The vectors of a person's pins before a moment, newest first."""
        if person not in deeds:
            return self.vectors[:0]
        times, rows = deeds[person]
        return self.vectors[rows[: np.searchsorted(times, at)][::-1][:50]]

    def _read(self, people: People) -> None:
        """Person -> times and rows of saved and of hidden pins, by time: what a feed knows of them, and when."""
        for number in np.unique(self.shown.person).tolist():
            deeds = people.deeds(pseudonym_text(number))
            for held, kinds in ((self.saves, ("save",)), (self.hides, ("hide", "report"))):
                known = deeds.deeds if deeds is not None else ()
                found = [(d.at, self.row[d.pin]) for d in known if d.kind in kinds and d.pin in self.row]
                if found:
                    times, rows = np.array(sorted(found), np.int64).T
                    held[number] = (times, rows)

    @staticmethod
    def _added(gallery: Any, known: list[str]) -> Float64:
        """(k,) when pins were added, in milliseconds."""
        with gallery.catalog.read() as reader:
            numbers = reader.look_up("pin", "id", known)
            times = reader.added(list(numbers.values()))
        return np.array([times[numbers[name]] * 1000 for name in known], np.float64)


def _deeds(shown: Shown, chance: Float64, which: Bool, signals: _Signals) -> Deeds:
    """The impressions as what `train_ranker` learns from: each list is a query, each impression a candidate."""
    rows = np.flatnonzero(which)
    rows = rows[np.argsort(shown.list[rows], kind="stable")]
    sizes = np.unique(shown.list[rows], return_counts=True)[1]
    value = np.where(shown.value[rows] > 0, shown.value[rows], np.minimum(shown.value[rows] + 0.05, 0))
    return Deeds(
        SIGNAL_NAMES,
        signals.of(rows),
        sizes,
        np.arange(len(rows)),
        shown.list[rows],
        chance[rows],
        value,
        shown.place[rows],
    )


def _of_surface(shown: Shown, surface: str) -> Shown:
    number = [at for at, place in enumerate(shown.places) if place[0] == surface]
    found = shown.part(np.isin(shown.place, number))
    if not len(found):
        raise UsageError("nothing to learn from", f"no list of the surface {surface!r} was recorded")
    return found


def _named(person: Int64, without: Callable[[str], bool]) -> Bool:
    numbers, code = np.unique(person, return_inverse=True)
    return np.array([without(pseudonym_text(int(number))) for number in numbers], bool)[code.reshape(-1)]
