"""Lists that were served with something to remember: which arm, which ranker picked which pin, with what chance."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, delete, select

from .events import REMEMBERED, refusal
from .model import pseudonym_text
from .persons import Base, find
from .schema_lists import lists

DAY_MS = 86_400_000
KEPT_DAYS = 60
"""Lists are forgotten after so long. Events that name them are taken for 30 days."""
Mark = tuple[str | None, float | None]


@dataclass(frozen=True)
class ServedList:
    """A list as it is remembered. `marks`: pin id -> (variant of its events, the chance with which it stood there).

    An event that names the list's `answer` and the pin takes its mark, and else `variant`. `traded`: whether a drawn pair of
    neighbours traded places, None where none was drawn. `diversity` is the mean of 1 - cosine over the list's pairs.
    """

    answer: str
    person: str
    surface: str
    variant: str = ""
    session: str = ""
    ms: float = 0.0
    failed: bool = False
    diversity: float | None = None
    traded: bool | None = None
    marks: Mapping[str, Mark] = field(default_factory=dict)
    at: int = 0


def new_list() -> str:
    """The id of a list that will be remembered. It says nothing of anybody."""
    return REMEMBERED + secrets.token_hex(8)


class Lists(Base):
    """Remembers lists, and gives them back."""

    def remember_list(self, made: ServedList) -> Future[bool]:
        """Keep a list, without waiting for the disk. The future says whether it was kept.

        It is not where the person is unknown, or does not let impressions be kept.
        """
        marks = json.dumps({pin: list(mark) for pin, mark in made.marks.items()}, ensure_ascii=False)
        at = self.now()

        def work(db: Connection) -> bool:
            known = find(db, [made.person]).get(made.person)
            if known is None or refusal(known, "impression"):
                return False
            row = (
                made.answer,
                known.number,
                at,
                made.session,
                made.surface,
                made.variant,
                made.ms,
                made.failed,
                made.diversity,
                made.traded,
                marks,
            )
            self.store.insert(db, lists, [row])
            return True

        kept: Future[bool] = self.store.writer.submit(work)
        return kept

    def served_lists(self, since: int = 0, surface: str = "") -> list[ServedList]:
        """The lists from a time (ms) on, oldest first; `person` is a pseudonym."""
        chosen = select(lists).where(lists.c.at >= since).order_by(lists.c.at, lists.c.answer)
        if surface:
            chosen = chosen.where(lists.c.surface == surface)
        with self.store.read() as db:
            rows = [dict(row._mapping) for row in db.execute(chosen)]
        return [_read(row) for row in rows]

    def expire_lists(self, days: float = KEPT_DAYS) -> int:
        """Forget the lists that are older; how many."""
        old = delete(lists).where(lists.c.at < self.now() - round(days * DAY_MS))
        count: int = self.store.write(lambda db: db.execute(old).rowcount)
        return count


def _read(row: dict[str, Any]) -> ServedList:
    marks = {pin: (mark[0], mark[1]) for pin, mark in json.loads(row.pop("marks")).items()}
    return ServedList(**{**row, "person": pseudonym_text(row["person"])}, marks=marks)


COSTS = ("served", "served_ms", "served_failed", "served_diversity")
"""Kinds of rows that stand for a list in `list_rows`."""


def list_rows(
    db: Connection, since: int, until: int, persons: Iterable[int] | None
) -> Sequence[tuple[int, int, str, str, float]]:
    """Lists as rows of person, time, session, kind and value, one for each of COSTS that is known."""
    columns = [lists.c[name] for name in ("person", "at", "session", "ms", "failed", "diversity")]
    chosen = select(*columns).where(lists.c.at >= since, lists.c.at < until)
    wanted = None if persons is None else set(persons)
    rows: list[tuple[int, int, str, str, float]] = []
    for person, at, session, ms, failed, diversity in db.execute(chosen):
        if wanted is not None and person not in wanted:
            continue
        values = (1.0, ms, float(failed), diversity)
        rows += [
            (person, at, f"{session}@", kind, float(value))
            for kind, value in zip(COSTS, values, strict=True)
            if value is not None
        ]
    return rows
