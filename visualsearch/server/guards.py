"""Looks at the guardrails of the experiments that run on this server, and stops what breaks one."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress

from visualsearch.errors import LockedError, VisualSearchError

from .people.record import Record
from .problems import RefusedError
from .service import Service
from .work import Pool

log = logging.getLogger("visualsearch.server")


class Guards:
    """Stops an experiment whose guardrail broke: its people get the plain lists from the next one on."""

    def __init__(self, service: Service, record: Record) -> None:
        self.service, self.record = service, record
        self.pool = Pool("guardrails", 1, 2)

    async def run(self) -> None:
        """Go on until cancelled."""
        took = 0.0
        while self.record.enabled:
            # However large the record is, looking takes a twentieth of one core at most.
            await asyncio.sleep(max(self.service.settings.guard_seconds, 20 * took))
            started = time.monotonic()
            try:
                await self.pool.run(self.round)
            except RefusedError:
                log.warning("the guardrails are still looked at since the last time")
            except VisualSearchError as error:
                log.error(
                    "guardrails could not be judged, and are tried again: %s: %s", type(error).__name__, error
                )
            except Exception as error:
                # Its text may name somebody.
                log.error("guardrails could not be judged, and are tried again: %s", type(error).__name__)
            took = time.monotonic() - started

    def round(self) -> bool:
        """One look, unless another server of this record is at it: whether it was done."""
        if not self.record.exists:
            return False
        with self.record.open().store.leading() as leads:
            if not leads:
                return False
            with suppress(LockedError), self.service.metrics.stage("guardrails"):  # the next look does it
                for each in self.service.live.round():
                    log.warning("experiment %r was stopped: %s", each.name, each.reason)
        return True

    def close(self) -> None:
        """Finish what runs."""
        self.pool.close()
