"""Makes lists for people in experiments, and remembers what an event about them must be credited to.

>>> from visualsearch.live import open_live
>>> live = open_live(index)                                    # doctest: +SKIP
>>> hits = live.feed("ada"); hits.variant                      # doctest: +SKIP
'warm-feed:treatment'
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from visualsearch.errors import LockedError, UnknownNameError, UnreachableError, VisualSearchError
from visualsearch.experiments import (
    INTERLEAVED,
    SETTINGS,
    Action,
    Experiment,
    Experiments,
    Kind,
    State,
    Unit,
    credited,
    of_surface,
    position,
    team_draft,
)
from visualsearch.keywords import keywords_of
from visualsearch.learn import EXPLORED, swapped
from visualsearch.people import ConsentLevel, ServedList, new_list
from visualsearch.ranking import DEPTH
from visualsearch.recommend import EXACT, cursor_after, interests_of, taught_of
from visualsearch.search import SearchOptions
from visualsearch.types import Hit, Hits

from .arms import feed_with, open_to, related_with, search_with
from .asked import Asked, LiveSettings, Make, Mark, Met, Sets
from .exploring import Exploring

if TYPE_CHECKING:
    from visualsearch.engine import Index

log = logging.getLogger("visualsearch.live")
LEFT_OUT = "experiments are left out: the record of people does not answer"
FAILED = "an arm of an experiment failed, and this is the plain list"
FEWEST_FAILED, FAILING = 10, 0.02
"""An interleaving is stopped where at least 10 of its lists failed, and more than 2 % of them all."""


class Live:
    """The lists of an index as they are served. Safe to share between threads."""

    def __init__(
        self,
        index: Index,
        settings: LiveSettings | None = None,
        *,
        seed: int | None = None,
        saw: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.index, self.settings, self._saw = index, settings or LiveSettings(), saw
        self._seed, self._drawn = seed, 0
        self._held: Experiments | None = None
        self._guard = threading.Lock()
        self._exploring = Exploring(index, self.settings.floor)
        self._waiting: list[Future[bool]] = []

    @property
    def experiments(self) -> Experiments:
        """The experiments of the index's record."""
        if self._held is None:
            self._held = Experiments(self.index.people)
        return self._held

    # -- surfaces --------------------------------------------------------------------------------------------------
    def feed(
        self,
        person: str | None,
        k: int = 25,
        *,
        cursor: str | None = None,
        looked: Sequence[str] = (),
        session: str | None = None,
    ) -> Hits:
        """`Index.feed` as it is served."""
        options: dict[str, Any] = {"cursor": cursor, "looked": looked}

        def plain() -> Hits:
            return self.index.feed(person, k, **options)

        if person is None:
            return plain()
        name = person
        asked = Asked("feed", person, session, cursor or "", k, cursor=cursor)
        return self._served(asked, plain, lambda sets: feed_with(self.index, sets, name, k, **options))

    def related(
        self,
        pin: str,
        k: int = 20,
        *,
        diversity: float = 0.0,
        person: str | None = None,
        session: str | None = None,
    ) -> Hits:
        """`Index.related` as it is served. Who asks for a diversity gets it, whatever their arm."""

        def plain() -> Hits:
            return self.index.related(pin, k, diversity=diversity, person=person)

        if person is None or diversity:
            return plain()
        name = person
        asked = Asked("related", person, session, pin, k)
        return self._served(asked, plain, lambda sets: related_with(self.index, sets, name, pin, k))

    @keywords_of(SearchOptions)
    def search(self, asked: SearchOptions) -> Hits:
        """`Index.search` as it is served."""
        return self.asked(asked)

    def asked(self, asked: SearchOptions, session: str | None = None) -> Hits:
        """The same for options that were put together before. A page beyond the best 200 is plain."""

        def plain() -> Hits:
            return self.index.asked(asked)

        if asked.person is None or not open_to(asked) or asked.offset + asked.k > DEPTH:
            return plain()
        key = repr((asked.text, asked.like, asked.not_text, asked.unlike, asked.where))
        wanted = Asked("search", asked.person, session, key, asked.offset + asked.k, asked.offset)

        def make(sets: Sets) -> Hits:
            return self.index.asked(search_with(sets, asked))

        def whole(sets: Sets) -> Hits:
            return self.index.asked(replace(search_with(sets, asked), offset=0, k=asked.offset + asked.k))

        return self._served(wanted, plain, make, whole)

    def asks(self, surface: str) -> bool:
        """Whether a list of a surface may depend on who asks. False while the record of people does not answer."""
        try:
            if not self.index.has_people:
                return False
            on = bool(self.settings.swaps or self.settings.explore)
            learnt = taught_of(self.index.folder, surface) is not None
            return on or learnt or bool(self.experiments.serving(surface))
        except (UnreachableError, LockedError):
            return False

    # -- one list --------------------------------------------------------------------------------------------------
    def _served(self, asked: Asked, plain: Callable[[], Hits], make: Make, whole: Make | None = None) -> Hits:
        try:
            met = self._met(asked)
        except (UnreachableError, LockedError):
            hits = plain()
            return replace(hits, notes=(*hits.notes, LEFT_OUT))
        if met is None:
            return plain()
        found, sets, chosen = met
        started = time.perf_counter()
        failed, marks = False, dict[str, Mark]()
        try:
            if chosen is None:
                hits = plain()
            elif chosen.mixed:
                hits, marks = self._drafted(asked, chosen.experiment, whole or make)
            else:
                hits = make(sets)
        except Exception as error:
            if chosen is None:
                raise
            hits = plain()  # where this fails too, the request is at fault, and no arm
            failed = True
            hits = replace(hits, notes=(*hits.notes, FAILED))
            log.error("an arm of experiment %r failed: %s", found, type(error).__name__, exc_info=True)
        ms = 1000 * (time.perf_counter() - started)
        traded: bool | None = None
        if not failed and not (chosen is not None and chosen.mixed):
            hits, marks = self._tried(asked, hits, sets)
            hits, marks, traded = self._swapped(asked, hits, sets, marks)
        if chosen is None and not marks:
            return hits
        variant = "" if chosen is None else found
        return self._remembered(asked, hits, variant, ms, failed, traded, marks, chosen is not None)

    def _met(self, asked: Asked) -> tuple[str, Sets, Met | None] | None:
        """What acts on a list: (variant, settings, experiment). None: nothing does."""
        own: dict[str, float | str] = {"swaps": self.settings.swaps, "explore": self.settings.explore}
        idle = not any(own.values())
        if not self.index.has_people:
            return None
        running = self.experiments.serving(asked.surface)
        if (idle and not running) or not self._allows(asked.person):
            return None
        chosen = self._chosen(asked, running)
        if chosen is None:
            return None if idle else ("", own, None)
        name = chosen.experiment.name
        variant = f"{INTERLEAVED}{name}" if chosen.mixed else f"{name}:{chosen.arm}"
        self._saw("interleaved" if chosen.mixed else "experiment")
        return variant, {**own, **of_surface(chosen.sets, asked.surface)}, chosen

    def _allows(self, person: str) -> bool:
        """Whether somebody who is known lets what they look at be kept."""
        try:
            found = self.index.people.consent(person)
        except UnknownNameError:
            return False
        return found.level is not ConsentLevel.OFF and found.clicks and not found.paused

    def _chosen(self, asked: Asked, running: Sequence[Experiment]) -> Met | None:
        """The experiment that was started first and that has the person, where its arms matter to them."""
        known: bool | None = None
        for each in running:
            if each.plan.unit is Unit.SESSION and not asked.session:
                continue
            if known is None:
                mine = interests_of(self.index, asked.person)
                known = mine is not None and bool(mine.items)
            if not self._matters(each, asked.surface, known):
                continue
            arm = self.experiments.meet(each, asked.person, asked.session, make=False)
            if arm is not None:
                return Met(each, arm)
        return None

    def _matters(self, found: Experiment, surface: str, known: bool) -> bool:
        """Whether an arm changes anything for this person on this surface."""
        names = {name for arm in found.plan.arms for name in of_surface(arm.sets, surface)}
        if taught_of(self.index.folder, surface) is None:
            names.discard("ranker")  # nothing was learnt: plain against plain
        return any(known or surface in SETTINGS[name].general for name in names)

    def _drafted(self, asked: Asked, found: Experiment, make: Make) -> tuple[Hits, dict[str, Mark]]:
        """One list from the lists of two arms, and the team of each pin."""
        both = [make(of_surface(arm.sets, asked.surface)) for arm in found.plan.arms]
        # Drawn from what was asked for, so that the next page goes on with the same draft.
        drawn = position(f"draft {found.salt}", f"{asked.person} {asked.key}")
        draft = team_draft(both[0].ids, both[1].ids, asked.k, np.random.default_rng(int(drawn * 2**53)))
        held: list[Mapping[str, Hit]] = [{hit.id: hit for hit in hits} for hits in both]
        page = list(zip(draft.pins, draft.teams, strict=True))[asked.cut :]
        items = tuple(held[team][pin] for pin, team in page)
        marks: dict[str, Mark] = {pin: (credited(found.name, team), None) for pin, team in page}
        seconds = sum(hits.seconds for hits in both)
        hits = replace(both[0], items=items, seconds=seconds)
        return self._turned(asked, hits), marks

    def _turned(self, asked: Asked, hits: Hits) -> Hits:
        """A page of a feed whose cursor says what is on it now."""
        if asked.surface != "feed" or hits.cursor is None:
            return hits
        return replace(hits, cursor=cursor_after(self.index, asked.cursor, hits.ids))

    def _tried(self, asked: Asked, hits: Hits, sets: Sets) -> tuple[Hits, dict[str, Mark]]:
        budget = float(sets.get("explore", 0.0))
        if asked.surface != "feed" or budget <= 0 or len(hits) < 2 or hits.cursor is None:
            return hits, {}  # on the last page nothing could come later
        page, chances = self._exploring.tried(hits.items, asked.person, asked.cursor, budget, self._rng())
        if not chances:
            return hits, {}
        self._saw("explored")
        marks: dict[str, Mark] = {name: (EXPLORED, chance) for name, chance in chances.items()}
        return self._turned(asked, replace(hits, items=tuple(page))), marks

    def _swapped(
        self, asked: Asked, hits: Hits, sets: Sets, marks: dict[str, Mark]
    ) -> tuple[Hits, dict[str, Mark], bool | None]:
        """Neighbours in the order of the list, which stand beside one another in a grid."""
        swap = swapped(len(hits), 1, float(sets.get("swaps", 0.0)), self._rng())
        pair = np.flatnonzero(swap.random < 1).tolist()
        fixed = [
            at
            for at in pair
            if hits[at].id in marks or (asked.surface == "search" and hits[at].score >= EXACT)
        ]
        if not pair or fixed:
            return hits, marks, None
        self._saw("swapped")
        more: dict[str, Mark] = {hits[at].id: (None, float(swap.random[at])) for at in pair}
        items = tuple(hits[at] for at in swap.order.tolist())
        return replace(hits, items=items), {**marks, **more}, bool(swap.order[pair[0]] != pair[0])

    def _rng(self) -> np.random.Generator:
        self._drawn += 1
        return np.random.default_rng(None if self._seed is None else (self._seed, self._drawn))

    # -- what is remembered ----------------------------------------------------------------------------------------
    def _remembered(
        self,
        asked: Asked,
        hits: Hits,
        variant: str,
        ms: float,
        failed: bool,
        traded: bool | None,
        marks: Mapping[str, Mark],
        measured: bool,
    ) -> Hits:
        made = ServedList(
            new_list(),
            asked.person,
            asked.surface,
            variant,
            asked.session or "",
            ms,
            failed,
            self._diversity(hits) if measured else None,
            traded,
            marks,
        )
        if failed:
            self._saw("failed")
        future = self.index.people.remember_list(made)
        with self._guard:
            self._waiting = [each for each in self._waiting if not each.done()]
            self._waiting.append(future)
        future.add_done_callback(_told)
        return replace(hits, variant=variant or None, listed=made.answer)

    def _diversity(self, hits: Hits) -> float | None:
        """The mean of 1 - cosine over the pairs of a list."""
        if len(hits) < 2:
            return None
        vectors = self.index.vectors(hits.ids)
        units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        n = len(units)
        total = float(np.square(units.sum(0)).sum())  # of all pairs, each with itself among them
        return 1.0 - (total - n) / (n * (n - 1))

    def flush(self) -> None:
        """Wait until all that was served is remembered. Raises StorageError where it could not be written."""
        with self._guard:
            waiting, self._waiting = self._waiting, []
        for future in waiting:
            future.result()

    # -- stopping --------------------------------------------------------------------------------------------------
    def round(self) -> list[Experiment]:
        """Stop each experiment on a surface whose guardrail broke; the stopped ones. Also forgets old lists."""
        if not self.index.has_people:
            return []
        stopped = []
        for each in self.experiments.all():
            if each.state is not State.RUNNING or not each.plan.surfaces:
                continue
            if each.plan.kind is Kind.INTERLEAVE:
                said = self._failing(each)
                stopped += [self.experiments.stop(each.name, said)] if said else []
                continue
            report = self.experiments.report(each.name, each.version)
            if report.decision.action is Action.STOP:
                stopped.append(self.experiments.apply(report))
        self.index.people.expire_lists()
        return stopped

    def _failing(self, found: Experiment) -> str:
        """Why an interleaving must stop: its two arms share each list, so that nothing but failures can be told of them."""
        name = f"{INTERLEAVED}{found.name}"
        lists = [each for each in self.index.people.served_lists(found.started or 0) if each.variant == name]
        failed = sum(each.failed for each in lists)
        much = failed >= FEWEST_FAILED and failed > FAILING * len(lists)
        return f"{failed:,} of {len(lists):,} lists could not be drafted" if much else ""


def _told(future: Future[bool]) -> None:
    error = future.exception()
    if isinstance(error, VisualSearchError):
        log.error("a list was not remembered, and its events will not be credited: %s", error)
    elif error is not None:
        log.error("a list was not remembered, and its events will not be credited: %s", type(error).__name__)


def open_live(index: Index, settings: LiveSettings | None = None, **options: Any) -> Live:
    """The lists of an index as they are served."""
    return Live(index, settings, **options)
