"""The record of people behind one server: opened when it is needed, kept in order in the background."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from cachetools import TTLCache

from visualsearch.errors import LockedError, UnknownNameError, VisualSearchError
from visualsearch.people import FILE, ConsentLevel, People

from ..limits import Rates
from ..problems import Kind, RefusedError
from ..service import Service
from ..stores import Store
from ..work import Pool
from .signing import Signer

log = logging.getLogger("visualsearch.server")
T = TypeVar("T")

OFF = "off"
REMEMBERED = 10_000
CONSENT_SECONDS = 30.0
"""What a person allows is looked up anew after so long, for the ids of answers only; what is stored is checked each time."""
SESSION_SECONDS = 1800.0
LOST_SECONDS = 5.0


class Record:
    """One record and what serves it: threads, signatures, rates."""

    def __init__(self, service: Service, signer: Signer | None = None) -> None:
        settings = service.settings
        self.service, self.settings = service, settings
        self.enabled = settings.people != OFF
        service.index.people_address = settings.people if self.enabled else None
        service.index.people_off = not self.enabled
        self.signer = signer or Signer(service.index.folder)
        self.pool = Pool("people", 16, 1024)
        self.upkeep_pool = Pool("people upkeep", 1, 2)
        self.insight_pool = Pool("insight", 1, 8)
        self.rates = Rates(settings.event_rate, max(2000, round(10 * settings.event_rate)))
        self.own_rates = Rates(100 * settings.event_rate, max(10_000, round(400 * settings.event_rate)))
        self._levels: TTLCache[str, ConsentLevel] = TTLCache(REMEMBERED, CONSENT_SECONDS)
        self._guests: Store[str, str] = Store(REMEMBERED, lambda _: 1, SESSION_SECONDS)
        self._guard = threading.Lock()
        self._lost = -math.inf
        self._reconciled: int | None = None
        self._stopping = threading.Event()

    def open(self) -> People:
        """The record. Raises RefusedError where the server keeps none; what the record raises where it cannot be reached."""
        if not self.enabled:
            raise RefusedError(
                Kind.NOT_FOUND,
                "this server keeps no record of people",
                "it was started with --people off",
                "",
            )
        return self.service.index.people

    @property
    def exists(self) -> bool:
        """Whether there is a record already: asking must not make one."""
        if not self.enabled:
            return False
        return self.settings.people is not None or (self.service.index.folder / FILE).exists()

    def holder(self, digest: str) -> str | None:
        """The pseudonym of the person whose token has that SHA-256."""
        return self.open().token_holder(digest) if self.exists else None

    # -- what a person allows --------------------------------------------------------------------------------------
    def remembered(self, name: str) -> ConsentLevel | None:
        """How much somebody lets be kept, as it was a moment ago; None where that is not known."""
        with self._guard:
            return self._levels.get(name)

    def level(self, person: str, name: str) -> ConsentLevel:
        """How much a person lets be kept, ON of one who is new; remembered for a moment under a name for them."""
        known = ConsentLevel.ON
        if self.exists:
            with suppress(UnknownNameError):
                known = self.open().consent(person).level
        with self._guard:
            self._levels[name] = known
        return known

    @property
    def reachable(self) -> bool:
        """Whether the record is worth asking for what can do without: it is not, a moment after it did not answer."""
        return time.monotonic() >= self._lost + LOST_SECONDS

    def lost(self) -> None:
        """The record did not answer."""
        self._lost = time.monotonic()

    def changed(self) -> None:
        """Somebody chose anew: by what name their requests come is not known, so everybody is asked for again."""
        with self._guard:
            self._levels.clear()

    def forgotten(self, person: str) -> None:
        """Nothing of a person is remembered here either."""
        self.changed()
        self._guests.drop(person)
        self.service.live.experiments.forgotten(person)

    def storing(self, person: str, limited: bool) -> People:
        """The record for what a person does; `limited`: it may be kept for the session at most.

        Of somebody who is new, nothing is then kept for longer. Of others, what they put on boards stays, and no event of it.
        """
        people = self.open()
        if limited and people.for_session(person) is ConsentLevel.ON:
            return people.unrecorded()
        return people

    def session_of(self, person: str) -> str:
        """Whose events those of a person are whose request must not be kept for longer than the session."""
        people = self.open()
        if people.for_session(person) is not ConsentLevel.ON:
            return person
        with self._guard:
            guest = self._guests.get(person)
            if guest is None:
                guest = people.guest()
                self._guests.put(person, guest)
            return guest

    def new_answer(self) -> str:
        """The id of a served list: it says nothing of anybody."""
        return "a" + secrets.token_hex(8)

    # -- upkeep ----------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Keep the record in order until cancelled."""
        while self.enabled:
            await asyncio.sleep(self.settings.upkeep_seconds)  # who has just started has visitors to serve
            try:
                await self.upkeep_pool.run(self.upkeep)
            except RefusedError:
                log.warning("the people's upkeep still runs since the last time")
            except VisualSearchError as error:
                log.error(
                    "the people's upkeep failed, and is tried again: %s: %s", type(error).__name__, error
                )
            except Exception as error:
                # Its text may name somebody.
                log.error("the people's upkeep failed, and is tried again: %s", type(error).__name__)

    def upkeep(self) -> bool:
        """One round, unless another server of this record is at it: whether it was done."""
        self.signer.rotate()
        if not self.exists:
            return False
        people = self.open()
        with people.store.leading() as leads:
            if not leads:
                return False
            days = self.settings.event_days
            self._step("sessions", people.end_sessions)
            self._step("published", people.publish_due)
            self._step("rolled", people.roll)
            if days is not None:
                self._step("expired", lambda: people.expire(days))
            self._step("pins", self._reconcile)
        return True

    def _step(self, name: str, work: Callable[[], int]) -> None:
        if self._stopping.is_set():
            return
        with suppress(LockedError), self.service.metrics.stage(f"people {name}"):  # the next round does it
            self.service.metrics.people_upkeep.labels(name).inc(work())

    def _reconcile(self) -> int:
        """Saves follow the pins, also where another process changed the index."""
        state = self.service.state
        if state == self._reconciled:
            return 0
        found = self.open().reconcile()
        self._reconciled = state
        return sum(found.values())

    def measure(self) -> None:
        """Bring the gauges up to date."""
        self.service.metrics.pending.labels(self.pool.name).set(self.pool.pending)

    def close(self) -> None:
        """Finish what runs."""
        self._stopping.set()
        self.upkeep_pool.close()
        self.insight_pool.close()
        self.pool.close()
