"""Which pins a writing connection changed, for who keeps pins elsewhere. Nothing of it is in the catalog's file but a count."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

IDENTITIES = "identities"
"""The key of `meta` that counts commits which added, removed or renamed pins or gave them another picture."""
MOST = 20_000
"""So many changes are listed."""
_STATEMENTS = (
    "CREATE TEMP TABLE followed (id TEXT NOT NULL, hash BLOB)",
    "CREATE TEMP TABLE followed_commits (one INTEGER)",
    "CREATE TEMP TRIGGER followed_added AFTER INSERT ON main.pins BEGIN"
    " INSERT INTO followed VALUES (new.id, new.hash); END",
    "CREATE TEMP TRIGGER followed_removed AFTER DELETE ON main.pins BEGIN"
    " INSERT INTO followed VALUES (old.id, old.hash); END",
    "CREATE TEMP TRIGGER followed_altered AFTER UPDATE OF id, hash ON main.pins"
    " WHEN old.id IS NOT new.id OR old.hash IS NOT new.hash BEGIN"
    " INSERT INTO followed VALUES (old.id, old.hash), (new.id, new.hash); END",
)


class Identities(NamedTuple):
    """The count of such commits before a connection's and after them, and (id, hash) of each pin before and after its change;
    `pins` is None where these are more than MOST.
    """

    before: int
    after: int
    pins: list[tuple[str, bytes | None]] | None


class Followed:
    """Keeps the changes of one connection, by triggers that exist in it alone."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        for statement in _STATEMENTS:
            db.execute(statement)

    def latest(self) -> int:
        """A number that grows with each change."""
        return int(self._db.execute("SELECT coalesce(max(rowid), 0) FROM temp.followed").fetchone()[0])

    def committing(self) -> None:
        """The transaction has changes."""
        self._db.execute("INSERT INTO temp.followed_commits VALUES (1)")

    def changes(self, after: int) -> Identities:
        """All so far; `after` is the count that `meta` has now."""
        count = int(self._db.execute("SELECT count(*) FROM temp.followed_commits").fetchone()[0])
        chosen = "SELECT DISTINCT id, hash FROM temp.followed LIMIT ?"
        found = self._db.execute(chosen, (MOST + 1,)).fetchall()
        return Identities(after - count, after, None if len(found) > MOST else found)
