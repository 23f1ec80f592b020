"""A person's events in sessions."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from .model import SESSION_MS
from .store import Store, among, run_many

_KEPT = "ON CONFLICT (person, label) DO UPDATE SET started = excluded.started, last = excluded.last"
_SESSIONS = "SELECT person, label, started, last FROM sessions WHERE person"


class Sessions:
    """Cuts a person's events into sessions: 30 minutes without one end a session. For one transaction."""

    def __init__(self, db: Connection, store: Store, persons: Iterable[int]) -> None:
        self._db, self._store = db, store
        self._open: dict[tuple[int, str], tuple[int, int]] = {}
        for person, label, started, last in among(db, _SESSIONS, list(persons)):
            self._open[person, label] = (started, last)
        self._changed: set[tuple[int, str]] = set()

    def of(self, person: int, label: str, at: int) -> str:
        """The session of an event: the client's label, if any, and when the session began."""
        key = (person, label)
        started, last = self._open.get(key, (at, at))
        if at > last + SESSION_MS:
            started = last = at
        elif at < started - SESSION_MS:
            return f"{label}@{at}"  # late, from a session that has ended since
        self._open[key] = (started, max(last, at))
        self._changed.add(key)
        return f"{label}@{started}"

    def keep(self) -> None:
        """Write what changed."""
        rows = [(*key, *self._open[key]) for key in sorted(self._changed)]
        run_many(self._db, "INSERT INTO sessions (person, label, started, last)", rows, _KEPT)
