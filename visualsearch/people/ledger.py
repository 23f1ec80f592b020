"""The privacy budget: what was told about people, what it cost, and what may still be told.

A release costs rho in the sense of zero-concentrated differential privacy (Bun and Steinke 2016, arXiv 1605.02065), in which
costs add up. An answer is on disk, with its cost, before anybody is told it. A mark outside the record knows the cost too: an
older record that takes its place does not bring an older ledger back.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from visualsearch import copies
from visualsearch.errors import BudgetError, UsageError

from .persons import Base
from .schema import budgets, releases, spendings
from .spent import Mark

EPSILON, DELTA = 9.0, 1e-8
"""The usual most that is spent of a data set: room for a month of days and weeks, by three fields. `DELTA` is far below one in
the number of people.
"""
CLOSED = "*"
"""The data set whose entry closes the ledger of a restored record: every data set up to that month counts as spent."""
MONTH = re.compile(r"\d{4}-\d\d$")
MOST_EPSILON = 10.0
"""Nobody may set a budget above it, or ask for a release that costs more: noise would protect nobody."""


@dataclass(frozen=True)
class Budget:
    """How much of a data set's epsilon is spent, of what most, at which delta, and by how many releases.

    `closed` is the day (2026-11-28) on which the record was restored from a backup, where that leaves nothing to spend.
    """

    data_set: str
    spent: float
    limit: float
    delta: float
    releases: int
    closed: str | None = None

    @property
    def left(self) -> float:
        """What is left of epsilon; never below 0."""
        return max(0.0, self.limit - self.spent)


def epsilon_of(rho: float, delta: float) -> float:
    """The epsilon at `delta` of costs that sum to `rho` (Bun and Steinke 2016, proposition 1.3)."""
    return 0.0 if rho <= 0 else rho + 2 * math.sqrt(rho * math.log(1 / delta))


def rho_of(epsilon: float, delta: float) -> float:
    """The rho whose epsilon at `delta` is that. Raises UsageError unless 0 < epsilon <= 10 and 0 < delta <= 1e-5."""
    if not (isinstance(epsilon, (int, float)) and 0 < epsilon <= MOST_EPSILON):
        raise UsageError(
            f"cannot release figures at epsilon {epsilon}",
            "at 0 nothing can be told, and above 10 the noise protects nobody",
            "Choose an epsilon between 0.01 and 10; 1 is usual",
        )
    if not 0 < delta <= 1e-5:
        raise UsageError(
            f"cannot release figures at delta {delta}",
            "it must be above 0 and far below one in the number of people",
            "Choose 1e-8",
        )
    log = math.log(1 / delta)
    return (math.sqrt(log + epsilon) - math.sqrt(log)) ** 2


class Ledger(Base):
    """Keeps releases and budgets. Processes that share the record share the ledger."""

    def released(self, question: Mapping[str, Any]) -> Any | None:
        """The answer that was told to this question before, or None. It costs nothing."""
        with self.store.read() as db:
            return _told(db, _name(question))

    def release(
        self,
        question: Mapping[str, Any],
        data_sets: Collection[str],
        epsilon: float,
        make: Callable[[float], Any],
        delta: float = DELTA,
    ) -> Any:
        """The answer to a question: the one that was told before, or a new one, charged to each of the data sets.

        `make(rho)` gives a new answer, plain values, whose noise costs at most rho. It is told to nobody before the charge is on
        disk; where another process answered meanwhile, that answer is told. Raises BudgetError where a budget is spent, before
        `make` is called; UsageError for an epsilon out of bounds.
        """
        rho, name = rho_of(epsilon, delta), _name(question)
        names, mark = sorted(data_sets), Mark(self.store.folder)
        with self.store.read() as db:
            told = _told(db, name)
            if told is not None:
                return told
            _check(db, names, rho, mark.of(names))
        self._no_backup()
        answer = json.dumps(make(rho), allow_nan=False)

        def work(db: Connection) -> str:
            if not self.store.sqlite:
                db.exec_driver_sql('LOCK TABLE "spendings" IN SHARE ROW EXCLUSIVE MODE')
            held = db.execute(select(releases.c.answer).where(releases.c.release == name)).scalar()
            if held is not None:
                return str(held)
            marks = mark.of(names)
            spent = _check(db, names, rho, marks)
            at = self.now()
            row = (name, _text(question), epsilon, delta, rho, answer, at)
            self.store.insert(db, releases, [row])
            self.store.insert(db, spendings, [(data_set, name, rho, at) for data_set in names])
            # Before the commit: who is killed in between has paid for an answer that nobody was told, never the other way round.
            mark.rise({each: held + rho for each, held in spent.items()})
            return answer

        return json.loads(self.store.write(work))

    def _no_backup(self) -> None:
        """Raise BudgetError in a backup: what it tells, the index that it is of would never know."""
        if (self.store.folder / copies.MANIFEST).exists():
            raise BudgetError(
                f"nothing new is told from {self.store.folder}",
                "it is a backup, and what it told would be in no ledger but its own",
                "Ask the index itself, or restore the backup first",
            )

    def budget(self, data_set: str) -> Budget:
        """What is spent of a data set, and what may be."""
        marks = Mark(self.store.folder).of([data_set])
        with self.store.read() as db:
            return _budget(db, data_set, marks)

    def budgets(self) -> list[Budget]:
        """Of every data set that was charged or has a bound of its own, by name."""
        marks = Mark(self.store.folder).of()
        with self.store.read() as db:
            names = set(db.execute(select(spendings.c.data_set).distinct()).scalars())
            names |= set(db.execute(select(budgets.c.data_set)).scalars()) | set(marks)
            return [_budget(db, name, marks) for name in sorted(names) if not name.startswith(CLOSED)]

    def reopen_ledger(self) -> bool:
        """Open a ledger that was closed because its record was restored, on your word that nothing was told since the backup.

        Whether it was closed. What the record and the mark beside it know of stays spent.
        """
        opened = update(spendings).where(spendings.c.data_set == CLOSED).values(data_set=f"{CLOSED} opened")
        return bool(self.store.write(lambda db: db.execute(opened).rowcount))

    def set_budget(self, data_set: str, epsilon: float, delta: float = DELTA) -> Budget:
        """Choose the most that may be spent of a data set. What is spent stays spent. Raises UsageError."""
        rho_of(epsilon, delta)
        values = {"data_set": data_set, "epsilon": epsilon, "delta": delta, "at": self.now()}
        self.store.write(lambda db: self.store.upsert(db, budgets, values))
        return self.budget(data_set)


def spent_of(db: Connection, data_sets: Collection[str] | None = None) -> dict[str, float]:
    """Data set -> rho, by the record alone, of those that are named; None: of all that were charged."""
    chosen = select(spendings.c.data_set, func.sum(spendings.c.rho)).group_by(spendings.c.data_set)
    if data_sets is not None:
        chosen = chosen.where(spendings.c.data_set.in_(list(data_sets)))
    found = {str(name): float(rho) for name, rho in db.execute(chosen) if not name.startswith(CLOSED)}
    return {**dict.fromkeys(data_sets or (), 0.0), **found}


def _budget(db: Connection, data_set: str, marks: Mapping[str, float]) -> Budget:
    count = db.execute(select(func.count()).where(spendings.c.data_set == data_set)).scalar_one()
    rho = max(spent_of(db, [data_set])[data_set], marks.get(data_set, 0.0))
    limit, delta = _bound(db, data_set)
    spent, closed = epsilon_of(rho, delta), _closed(db, data_set)
    return Budget(data_set, max(spent, limit) if closed else spent, limit, delta, int(count), closed)


def _bound(db: Connection, data_set: str) -> tuple[float, float]:
    """The most epsilon of a data set, and its delta."""
    own = db.execute(select(budgets.c.epsilon, budgets.c.delta).where(budgets.c.data_set == data_set)).first()
    return (EPSILON, DELTA) if own is None else (float(own.epsilon), float(own.delta))


def _closed(db: Connection, data_set: str) -> str | None:
    """The day on which the record was restored, where that closed the data set: months that came after are open."""
    at = db.execute(select(func.max(spendings.c.at)).where(spendings.c.data_set == CLOSED)).scalar()
    if at is None:
        return None
    day = datetime.fromtimestamp(at / 1000, UTC).date().isoformat()
    month = MONTH.search(data_set)
    return None if month is not None and month.group() > day[:7] else day


def _check(
    db: Connection, names: Collection[str], rho: float, marks: Mapping[str, float]
) -> dict[str, float]:
    """What is spent of each data set, as rho. Raises BudgetError where a budget does not allow another cost of rho."""
    spent = {name: max(held, marks.get(name, 0.0)) for name, held in spent_of(db, names).items()}
    for data_set, held in spent.items():
        day, (limit, delta) = _closed(db, data_set), _bound(db, data_set)
        if day is not None:
            raise BudgetError(
                f"the privacy budget of {data_set} is closed",
                f"its record was restored from a backup on {day}, and what was told since that backup is not known",
                "Bring the ledger of the index as it was: visualsearch insight budget DIR --from INDEX. Later months are open",
            )
        after = epsilon_of(held + rho, delta)
        if after > limit * (1 + 1e-12):
            raise BudgetError(
                f"the privacy budget of {data_set} is spent",
                f"this would bring its epsilon from {epsilon_of(held, delta):.2f} to {after:.2f}, and {limit:g} is the most",
                "Ask what was asked before, which costs nothing, or ask about another month",
            )
    return spent


def _told(db: Connection, name: str) -> Any | None:
    held = db.execute(select(releases.c.answer).where(releases.c.release == name)).scalar()
    return None if held is None else json.loads(held)


def _text(question: Mapping[str, Any]) -> str:
    return json.dumps(dict(question), sort_keys=True, ensure_ascii=False, allow_nan=False)


def _name(question: Mapping[str, Any]) -> str:
    return hashlib.sha256(_text(question).encode()).hexdigest()
