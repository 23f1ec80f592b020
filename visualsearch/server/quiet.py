"""A log that strangers cannot fill: each line of code may speak so often, then a summary counts the rest."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

BURST = 20
SECONDS = 60.0
LONGEST = 4000
"""Characters of one message."""
_SUMMARY = "visualsearch_summary"

Site = tuple[str, int, str, int]
"""Logger, level, file and line: where a record comes from, whatever it says."""


@dataclass
class _Window:
    began: float
    passed: int = 0
    held: int = 0


class Quiet(logging.Filter):
    """Lets `burst` records of each place in the code pass every `seconds`, and tells how many more there were.

    As a context manager it watches the loggers of these names.
    """

    def __init__(
        self,
        *names: str,
        burst: int = BURST,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.names, self.burst, self.seconds, self.clock = names, burst, seconds, clock
        self._windows: dict[Site, _Window] = {}
        self._guard = threading.Lock()
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Quiet:
        for name in self.names:
            logging.getLogger(name).addFilter(self)
        return self

    def __exit__(self, *_: object) -> None:
        for name in self.names:
            logging.getLogger(name).removeFilter(self)
        with self._guard:
            if self._timer is not None:
                self._timer.cancel()
        self.flush(self.clock() + self.seconds)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record may be written."""
        if getattr(record, _SUMMARY, False):
            return True
        self.flush(self.clock())
        site = (record.name, record.levelno, record.pathname, record.lineno)
        with self._guard:
            window = self._windows.setdefault(site, _Window(self.clock()))
            if window.passed >= self.burst:
                window.held += 1
                self._wake()
                return False
            window.passed += 1
        text = record.getMessage()
        if len(text) > LONGEST:
            record.msg, record.args = f"{text[:LONGEST]} ...", ()
        return True

    def flush(self, now: float) -> None:
        """Tell what was held back in the windows that are over by `now`."""
        with self._guard:
            over = {site: one for site, one in self._windows.items() if now - one.began >= self.seconds}
            for site in over:
                del self._windows[site]
        for (name, level, path, line), window in over.items():
            if window.held:
                self._tell(name, level, path, line, window.held)

    def _tell(self, name: str, level: int, path: str, line: int, held: int) -> None:
        text = f"{held:,} more like this were not written in {self.seconds:g} s"
        logger = logging.getLogger(name)
        record = logger.makeRecord(name, level, path, line, text, (), None, extra={_SUMMARY: True})
        logger.handle(record)

    def _wake(self) -> None:
        """Flush when the window ends, though nothing more may be logged then. The guard is held."""
        if self._timer is None or not self._timer.is_alive():
            self._timer = threading.Timer(self.seconds, lambda: self.flush(self.clock()))
            self._timer.daemon = True
            self._timer.start()
