"""Promoted pins on a page: which campaigns fit, who wins the slots, what is said of them, and what is kept."""

from __future__ import annotations

import random
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from visualsearch.errors import LockedError, UnknownNameError, UnreachableError
from visualsearch.keywords import keywords_of
from visualsearch.people import Placement, Viewer
from visualsearch.search import SearchOptions
from visualsearch.types import WHOLE, Bool, Evidence, Float32, Float64, Hit, Hits, Int64, Reason

from .auction import auction
from .audience import taste_of
from .campaign import DAY_MS, Campaign
from .fitting import fitting
from .page import QUERY, Page, merged, of_pins, of_search
from .rates import Rates
from .rules import Rules, room
from .shelf import Shelf, shelf_of

if TYPE_CHECKING:
    from visualsearch.engine import Index

FRESH_MS = 1_000
"""What another process changed is seen after so long."""


LEFT_OUT = "promoted pins are left out: the record of people does not answer"
RATES_MS = 30_000
"""Predicted clicks are made anew after so long."""


@dataclass(frozen=True)
class _State:
    """What is known of the campaigns of a shelf for a moment, (c,) each.

    `left`: what may still be spent, `pace`: what may be spent by now, in minor units. `runs`: who is within their days.
    """

    shelf: Shelf
    left: Int64
    pace: Int64
    runs: Bool
    rates: Rates
    foretold: Mapping[str, Float64]
    liked: Float64
    looks: Float64


@dataclass(frozen=True)
class Won:
    """A slot that a campaign won with the pin in `row` of the shelf."""

    campaign: int
    row: int
    slot: int
    price: int
    predicted: float
    fresh: bool

    def placement(self, shelf: Shelf, surface: str, person: int | None, now: int) -> Placement:
        """What is kept of it."""
        campaign, pin = shelf.campaigns[self.campaign], shelf.pins[self.row].id
        name = secrets.token_hex(16)
        return Placement(
            name, campaign.id, person, pin, surface, self.slot, campaign.pay, self.price, self.predicted,
            self.fresh, now,
        )  # fmt: skip

    def hit(self, shelf: Shelf, page: Page, score: float, matched: int, placement: str) -> Hit:
        """How it is shown."""
        campaign, pin, name = shelf.campaigns[self.campaign], shelf.pins[self.row], page.names[matched]
        looked = "what was searched for" if name == QUERY else f"the pin {name}"
        said = f"Promoted by {campaign.advertiser} (campaign {campaign.id}): it looks like {looked}"
        looks = () if name == QUERY else (Evidence("pin", name, score),)
        evidence = (Evidence("campaign", campaign.id, 1.0), *looks)
        reason = Reason("promoted", said, evidence)
        return Hit(
            pin.id, pin.uri, score, WHOLE, pin.attributes, why=reason, promoted=campaign.id, placement=placement
        )  # fmt: skip


class Promotions:
    """The promoted pins of an index. Safe to share between threads.

    >>> promotions = open_promotions(index)                                     # doctest: +SKIP
    >>> promotions.search(text="red dress", person="ada")[2].promoted           # doctest: +SKIP
    """

    def __init__(self, index: Index, rules: Rules | None = None, *, seed: int | None = None) -> None:
        self.index, self.rules = index, rules or Rules()
        self._guard = threading.RLock()
        self._random = random.Random(seed)
        self._read_at: int | None = None
        self._rated_at: int | None = None
        self._mark: tuple[int, int] | None = None
        self._spent_mark: tuple[int, int] | None = None
        self._shelf: Shelf | None = None
        self._state: _State | None = None
        self._rates = Rates()
        self._spent: dict[str, int] = {}
        self._today: dict[str, int] = {}
        self._waiting: list[tuple[Future[Any], list[Placement]]] = []

    # -- pages -----------------------------------------------------------------------------------------------------
    @keywords_of(SearchOptions)
    def search(self, asked: SearchOptions) -> Hits:
        """`Index.search` with promoted pins. `k` counts the others; where nothing is promoted the answer is the same."""
        return self.beside_search(asked, self.index.asked(asked))

    def beside_search(self, asked: SearchOptions, hits: Hits) -> Hits:
        """The hits of a search with promoted pins among them. `asked.person` is who asks."""
        return self._beside(hits, asked.person, lambda: of_search(self.index, asked, hits))

    def related(
        self, pins: str | Sequence[str], k: int = 20, *, person: str | None = None, **options: Any
    ) -> Hits:
        """`Index.related` with promoted pins."""
        return self.beside_related(pins, self.index.related(pins, k, **options), person)

    def beside_related(self, pins: str | Sequence[str], hits: Hits, person: str | None = None) -> Hits:
        """Related pins with promoted ones among them."""
        names = [pins] if isinstance(pins, str) else list(pins)
        return self._beside(hits, person, lambda: of_pins(self.index, "related", hits, names))

    def feed(self, person: str | None = None, k: int = 25, *, cursor: str | None = None) -> Hits:
        """`Index.feed` with promoted pins."""
        return self.beside_feed(self.index.feed(person, k, cursor=cursor), person)

    def beside_feed(self, hits: Hits, person: str | None = None) -> Hits:
        """A page of a feed with promoted pins among its own."""
        return self._beside(hits, person, lambda: of_pins(self.index, "feed", hits, hits.ids))

    def _beside(self, hits: Hits, person: str | None, page: Callable[[], Page | None]) -> Hits:
        """The hits with promoted pins, where a campaign runs. A record that does not answer costs these alone."""
        try:
            about = page() if self.index.has_people and self._current() is not None else None
            return hits if about is None else self.placed(about, person)
        except (UnreachableError, LockedError):
            return replace(hits, notes=(*hits.notes, LEFT_OUT))

    # -- state -----------------------------------------------------------------------------------------------------
    def refresh(self) -> None:
        """See at once what changed: campaigns, charges, pins, clicks."""
        with self._guard:
            self._read_at = self._rated_at = None

    def flush(self) -> None:
        """Wait until all that was shown is on disk. Raises StorageError where it could not be written."""
        with self._guard:
            waiting, self._waiting = self._waiting, []
        for future, _ in waiting:
            future.result()

    def _current(self) -> _State | None:
        now = self.index.people.now()
        with self._guard:
            if self._read_at is None or not 0 <= now - self._read_at < FRESH_MS:
                self._state = self._read(now)
                self._read_at = now
            return self._state

    def _read(self, now: int) -> _State | None:
        people = self.index.people
        changed, charged = people.campaigns_mark()
        with self.index.catalog.read() as reader:
            mark = (changed, reader.state)
        if self._mark != mark:
            running = [Campaign.from_row(row) for row in people.campaign_rows() if row["state"] == "running"]
            held = [each for each in running if each.end is None or each.end > now]
            self._shelf = shelf_of(self.index, held, self.rules.category) if held else None
            self._mark, self._spent_mark, self._rated_at = mark, None, None
        shelf = self._shelf
        if shelf is None:
            return None
        day = now // DAY_MS
        if self._spent_mark != (charged, day):
            self._spent, self._today = people.spending(), people.spent_on(_day(now))
            self._spent_mark = (charged, day)
        if self._rated_at is None or not 0 <= now - self._rated_at < RATES_MS:
            self._rates, self._rated_at = Rates(people.tally_rows()), now
        return self._known(shelf, now)

    def _known(self, shelf: Shelf, now: int) -> _State:
        passed = min(1.0, (now % DAY_MS) / DAY_MS + self.rules.ahead)
        left, pace = [], []
        for campaign in shelf.campaigns:
            spent, today = self._spent.get(campaign.id, 0), self._today.get(campaign.id, 0)
            day = campaign.day_budget(now, max(0, spent - today))
            left.append(min(campaign.budget - spent, day - today))
            # One event must be possible at any time, or a small budget would wait for the evening.
            pace.append(max(passed * day, min(day, campaign.bid)) - today)
        names = [campaign.id for campaign in shelf.campaigns]
        rates = self._rates
        return _State(
            shelf,
            np.array(left, np.int64),
            np.array(pace).astype(np.int64),
            np.array([campaign.runs(now) for campaign in shelf.campaigns], bool),
            rates,
            {surface: rates.of(names, surface) for surface in self.rules.surfaces},
            rates.liked(names),
            rates.looks(names),
        )

    # -- one page --------------------------------------------------------------------------------------------------
    def placed(self, page: Page, person: str | None = None) -> Hits:
        """A page with its promoted pins; what is shown is kept, with its price."""
        surface = self.rules.surfaces.get(page.surface)
        slots = () if surface is None else room(surface, len(page.hits))
        state = self._current()
        if state is None or surface is None or not slots:
            return page.hits
        fits, values, matched = fitting(self.index, state.shelf, page, surface)
        if not fits.any():
            return page.hits
        with self._guard:  # who is shown two pages at once must not be shown more than the cap
            now = self.index.people.now()
            viewer = self._viewer(person, now)
            fits &= self._may(state, person, viewer)
            won = self._won(state, page, fits, values, len(slots))
            if not won:
                return page.hits
            number = None if viewer is None else viewer.number
            shown = [each.placement(state.shelf, page.surface, number, now) for each in won]
            self._waiting.append((self.index.people.place(shown), shown))
        hits = [
            each.hit(state.shelf, page, float(values[each.row]), int(matched[each.row]), kept.id)
            for each, kept in zip(won, shown, strict=True)
        ]
        return replace(page.hits, items=merged(page.hits.items, hits, slots))

    def _viewer(self, person: str | None, now: int) -> Viewer | None:
        """Who looks, with what was shown to them today, what is on its way to the disk included."""
        self._waiting = [pair for pair in self._waiting if not pair[0].done()]
        if person is None:
            return None
        coming = [each for _, shown in self._waiting for each in shown]
        return self.index.people.viewer(person, now - now % DAY_MS, coming)

    def _may(self, state: _State, person: str | None, viewer: Viewer | None) -> Bool:
        """(c,) which campaigns run, have money for now, and may meet this person."""
        shelf = state.shelf
        may: Bool = state.runs & (state.left >= shelf.bids) & (state.pace >= shelf.bids)
        if person is not None:
            unwanted = self.index.people.unwanted_by(person) if viewer is None else viewer.unwanted
            for advertiser in unwanted & shelf.by_advertiser.keys():
                may[shelf.by_advertiser[advertiser]] = False
        for name, count in viewer.shown.items() if viewer is not None else ():
            at = shelf.position.get(name)
            if at is not None and count >= shelf.campaigns[at].cap:
                may[at] = False
        if shelf.with_audience:
            taste = None if person is None else taste_of(self.index, person)
            for at in shelf.with_audience:
                may[at] &= taste is not None and taste.within(shelf.campaigns[at])
        return may

    def _won(self, state: _State, page: Page, fits: Bool, values: Float32, slots: int) -> list[Won]:
        chosen = np.flatnonzero(fits)
        if not len(chosen):
            return []
        shelf, rules = state.shelf, self.rules
        best, rows = shelf.best(values).astype(np.float64), shelf.best_rows(values)
        quality = np.clip(best / max(float(best[chosen].max()), 1e-6), 0.1, 1.0) * state.liked
        rates, seen = state.foretold[page.surface], state.rates.seen(page.surface, slots)
        worth = shelf.bids * rates * quality
        # One slot for a pin and for an advertiser: nobody bids against themselves.
        for codes in (shelf.pin_codes[rows], shelf.advertiser_codes):
            chosen = chosen[np.argsort(-worth[chosen], kind="stable")]
            chosen = np.sort(chosen[np.unique(codes[chosen], return_index=True)[1]])
        outcome = auction(
            shelf.bids[chosen], rates[chosen], quality[chosen], seen, rules.reserve, rules.pricing
        )
        order, prices = list(outcome.order), list(outcome.price)
        new = self._new(state.looks[chosen], order, slots)
        if new is not None:
            # It did not win the slot, so no price follows from the bids: it pays the least.
            order[-1], prices[-1] = new, min(rules.reserve, int(shelf.bids[chosen[new]]))
        made = []
        for slot, (at, price) in enumerate(zip(chosen[order].tolist(), prices, strict=True)):
            fresh = new is not None and slot == len(order) - 1
            made.append(Won(at, int(rows[at]), slot, int(price), float(rates[at] * seen[slot]), fresh))
        return made

    def _new(self, looks: Float64, order: Sequence[int], slots: int) -> int | None:
        """Now and then, a campaign for the last slot that few have seen; None else."""
        if len(order) < slots or self._random.random() >= self.rules.explore:
            return None
        new = [at for at in np.flatnonzero(looks < self.rules.fresh).tolist() if at not in order]
        return self._random.choice(new) if new else None

    # -- campaigns -------------------------------------------------------------------------------------------------
    def campaigns(self) -> list[Campaign]:
        """All campaigns, oldest first."""
        if not self.index.has_people:
            return []
        return [Campaign.from_row(row) for row in self.index.people.campaign_rows()]

    def get(self, name: str) -> Campaign:
        """A campaign. Raises UnknownNameError."""
        known = {campaign.id: campaign for campaign in self.campaigns()}
        if name not in known:
            raise UnknownNameError("campaign", name[:80], known)
        return known[name]


def _day(at: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d")
