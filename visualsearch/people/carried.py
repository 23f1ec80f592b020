"""The ledger of a restored record: brought up to what was told since the backup, or closed where nobody knows that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, select

from visualsearch.errors import UsageError

from .ledger import CLOSED, spent_of
from .model import FILE
from .schema import budgets, releases, spendings
from .spent import Mark
from .store import Store, now_ms


def carry_ledger(living: Path, into: Path) -> int:
    """Bring the ledger of the record beside the index `into` up to that of the index `living`; how many releases were new.

    What is spent of a data set is then the most that either knows of. A ledger that was closed is open again, unless the living
    one is closed too. Raises UsageError where `living` has no record.
    """
    if not (into / FILE).exists():
        return 0
    if not (living / FILE).exists():
        raise UsageError(
            f"cannot tell what was told since, from {living}",
            f"it has no {FILE}",
            "Name the index as it was when the last figures were told",
        )
    source, target = Store(living), Store(into)
    try:
        with source.read() as db:
            told = [tuple(row) for row in db.execute(select(releases))]
            spent = [tuple(row) for row in db.execute(select(spendings))]
            bounds = [dict(row._mapping) for row in db.execute(select(budgets))]
        count: int = target.write(lambda db: _joined(db, target, told, spent, bounds))
        with target.read() as db:
            sums = spent_of(db)
        Mark(into).rise(sums)
        Mark(into).rise(Mark(living).of())
    finally:
        source.close()
        target.close()
    return count


def close_ledger(folder: Path) -> None:
    """Count every data set up to this month as spent: what was told since a backup is not known. Without a record, nothing."""
    if not (folder / FILE).exists():
        return
    target = Store(folder)
    try:
        at = now_ms()
        target.write(lambda db: target.insert(db, spendings, [(CLOSED, f"restored {at}", 0.0, at)]))
    finally:
        target.close()


def _joined(db: Connection, store: Store, told: list[Any], spent: list[Any], bounds: list[Any]) -> int:
    known = {row[0]: row[1] for row in db.execute(select(releases.c.release, releases.c.answer))}
    names = [column.name for column in releases.columns]
    release, answer = names.index("release"), names.index("answer")
    twice = {row[release] for row in told if known.get(row[release], row[answer]) != row[answer]}
    db.execute(delete(spendings).where(spendings.c.data_set == CLOSED))
    new = store.insert_new(db, releases, told)
    # Two answers to one question were told: each has its cost.
    rows = [(s[0], f"{s[1]} elsewhere" if s[1] in twice else s[1], *s[2:]) for s in spent]
    store.insert(db, spendings, rows)
    for row in bounds:
        store.upsert(db, budgets, row)
    return new
