"""What an index recommends: related pins, ideas for boards, feeds. And the record of people that this rests on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visualsearch.errors import UsageError, VisualSearchError
from visualsearch.people import FILE as PEOPLE_FILE
from visualsearch.ranking import BY_COSINE
from visualsearch.search import Hidden
from visualsearch.searching import Searching
from visualsearch.store import Catalog
from visualsearch.types import Encoder, Hit, Hits

if TYPE_CHECKING:
    from visualsearch.people import People, Shut
    from visualsearch.ranking import Ranker
    from visualsearch.recommend import BoardHit
    from visualsearch.search import SearchOptions


log = logging.getLogger("visualsearch.people")
LOST_SECONDS = 5.0
"""A record that did not answer is asked again after so long."""


class Recommending(Searching):
    """The part of `Index` that knows people."""

    def __init__(
        self, folder: Path, catalog: Catalog, encoder: Encoder | str | None, options: dict[str, Any]
    ) -> None:
        super().__init__(folder, catalog, encoder, options)
        self._guard = threading.RLock()
        self._people: People | None = None
        self._hidden: tuple[Shut, Hidden] | None = None
        self._shut: Shut | None = None
        self._again = 0.0
        self.people_address: str | None = None
        self.people_off = False

    @property
    def people(self) -> People:
        """Who saved and did what with these pins; see `visualsearch.people`. Opened, and made if new, at first use.

        It lies in `people.sqlite` beside the catalog, or where `people_address`, a PostgreSQL address set before, points to.
        Where `people_off` is set, nothing opens it: raises UsageError.
        """
        if self.people_off:
            raise UsageError(
                "the record of people is off",
                "`people_off` is set",
                "Open the index without it, or do not ask",
            )
        with self._guard:
            if self._people is None:
                from visualsearch.people import open_people
                from visualsearch.pinned import CatalogPins

                pins = CatalogPins(self.catalog)
                self._people = open_people(self.folder, self.people_address, pins=pins)
            return self._people

    @property
    def has_people(self) -> bool:
        """Whether there is a record of people to ask. Looking makes none."""
        if self.people_off:
            return False
        kept = self._people is not None or self.people_address is not None
        return kept or (self.folder / PEOPLE_FILE).exists()

    def related(
        self,
        pins: str | Sequence[str],
        k: int = 20,
        *,
        weights: Sequence[float] | None = None,
        seed: int = 0,
        diversity: float = 0.0,
        person: str | None = None,
    ) -> Hits:
        """Pins that people saved together with one pin, or with several; blended with what looks alike.

        Each hit has `why`, a true reason. `score` is the cosine; `signals` has what the hits are ordered by, `related`, and its
        parts, `walk` and `sight`. A pin that nobody saved is answered through its look-alikes, and without a record of people
        by sight alone; `plan` says which. Saves count within a second; those on secret boards, and of people whose consent is
        not on or who paused, do not. `weights` says how much each pin counts. The same `seed` walks the same way. For `person`,
        who asks, pins move by a few places where `visualsearch learn --ranker` found that to win.
        `diversity` (0..1) mixes in variety, as in `search`. Raises UnknownNameError, UsageError.
        """
        from visualsearch.recommend import related, related_for

        def found(most: int) -> Hits:
            return related(self, pins, most, weights=weights, seed=seed, diversity=diversity)

        return related_for(self, person, k, found)

    def saved_with(self, pin: str, k: int = 100) -> list[Hit]:
        """Up to k pins that people saved together with a pin, the closest first, each with its reason; [] without a record."""
        if not self.has_people:
            return []
        return [hit for hit in self.related(pin, k) if hit.signals.get("walk", 0.0) > 0]

    def ideas(
        self,
        board: str | None = None,
        k: int = 20,
        *,
        person: str | None = None,
        section: str | None = None,
        where: str | None = None,
        diversity: float = 0.0,
    ) -> Hits:
        """Ideas for a board, a section of it, or without a board for all that `person` saved.

        What people saved with its pins, as `visualsearch learn` learnt it, is blended with what looks like them; `signals` has
        the order, `idea`, and its parts, `together` and `sight`. Each hit has `why`. What is on the board never comes back, nor
        what `person`, who asks, hid. A secret board answers those alone who may see it.
        `diversity` (0..1) mixes in variety, as in `search`. Raises UnknownNameError, UsageError, FilterError.
        """
        from visualsearch.recommend import ideas

        return ideas(self, board, k, person=person, section=section, where=where, diversity=diversity)

    def boards_like(
        self, board: str | None = None, k: int = 20, *, person: str | None = None
    ) -> list[BoardHit]:
        """Public boards like one, or without a board those of other people with the taste of `person`; each with its reason.

        Only boards of people who allow that their saves count are looked at. Raises UnknownNameError, UsageError.
        """
        from visualsearch.recommend import boards_like

        return boards_like(self, board, k, person=person)

    def feed(
        self,
        person: str | None = None,
        k: int = 25,
        *,
        cursor: str | None = None,
        looked: Sequence[str] = (),
    ) -> Hits:
        """A page of pins for a person: their interests and follows, new pins, popular ones, and a few of anything.

        Each hit has `why`, a true reason. `cursor`, that of the page before, gives the next page; it names no person, and twenty
        pages repeat nothing. Saves, hides and consent count from the next page on. Pins of a sensitive topic never come (see
        `visualsearch.recommend.sensitive`). Somebody unknown, or whose consent is off, gets the feed that everybody gets. Or one
        by `looked`: ids of pins that they looked at in this session, the newest first, which are not kept. Raises UsageError.
        """
        from visualsearch.recommend import feed

        return feed(self, person, k, cursor=cursor, looked=looked)

    def shut(self) -> Shut:
        """What verdicts keep from whom now. While the record does not answer, what was last known."""
        from visualsearch.people import NOTHING

        with self._guard:
            if time.monotonic() < self._again:
                return self._shut or NOTHING
        try:
            found = self.people.shut() if self.has_people else NOTHING
        except VisualSearchError as error:
            log.warning("verdicts are those of a moment ago, because the record does not answer: %s", error)
            with self._guard:
                self._again = time.monotonic() + LOST_SECONDS
            return self._shut or NOTHING
        self._shut = found
        return found

    def _judged(self, person: str | None, ranker: Ranker) -> tuple[Hidden | None, Ranker]:
        if not self.has_people:
            return None, ranker
        shut = self.shut()
        if not shut:
            return None, ranker
        from visualsearch.ranking import Lowered

        chosen = Lowered(ranker, shut.lowered) if shut.lowered else ranker
        with self._guard:
            if self._hidden is None or self._hidden[0] is not shut:
                self._hidden = (shut, Hidden(shut.hidden))
            hidden = self._hidden[1]
        own = frozenset() if person is None else self.people.own_judged(person) & shut.hidden
        return (Hidden(shut.hidden - own) if own else hidden), chosen

    def _known(self, asked: SearchOptions, ranker: Ranker, run: Callable[[Ranker], Hits]) -> Hits:
        if asked.person is None or asked.personal == 0:
            return run(ranker)
        from visualsearch.recommend import search_for, taught_order

        person = asked.person
        # Who chose an order gets it.
        plain = asked.learnt is False or ranker is not BY_COSINE
        return search_for(
            self,
            person,
            ranker,
            run,
            asked.personal,
            lambda base: base if plain else taught_order(self, person, base),
        )

    def less(self, person: str, hit: Hit, name: str | None = None) -> None:
        """Less like this: hide a pin of a feed, and undo just the evidence by which it was shown.

        A saved pin of the evidence stays saved and counts for no interest, until it is saved again. A board or somebody followed
        brings no more pins to this feed. With a `name` of its own it can be taken back: `people.take_back(person, name)`.
        Raises ConsentError where nothing may be stored.
        """
        from visualsearch.recommend import less

        less(self, person, hit, name)
