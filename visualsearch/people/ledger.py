"""The privacy budget: what was told about people, what it cost, and what may still be told.

A release costs rho in the sense of zero-concentrated differential privacy (Bun and Steinke 2016, arXiv 1605.02065), in which
costs add up. An answer is on disk, with its cost, before anybody is told it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from visualsearch.errors import BudgetError, UsageError

from .persons import Base
from .schema import budgets, releases, spendings

EPSILON, DELTA = 9.0, 1e-8
"""The usual most that is spent of a data set: room for a month of days and weeks, by three fields. `DELTA` is far below one in
the number of people.
"""
MOST_EPSILON = 10.0
"""Nobody may set a budget above it, or ask for a release that costs more: noise would protect nobody."""


@dataclass(frozen=True)
class Budget:
    """How much of a data set's epsilon is spent, of what most, at which delta, and by how many releases."""

    data_set: str
    spent: float
    limit: float
    delta: float
    releases: int

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
        with self.store.read() as db:
            told = _told(db, name)
            if told is not None:
                return told
            for data_set in data_sets:
                _check(db, data_set, rho)
        answer = json.dumps(make(rho), allow_nan=False)

        def work(db: Connection) -> str:
            if not self.store.sqlite:
                db.exec_driver_sql('LOCK TABLE "spendings" IN SHARE ROW EXCLUSIVE MODE')
            held = db.execute(select(releases.c.answer).where(releases.c.release == name)).scalar()
            if held is not None:
                return str(held)
            for data_set in sorted(data_sets):
                _check(db, data_set, rho)
            at = self.now()
            row = (name, _text(question), epsilon, delta, rho, answer, at)
            self.store.insert(db, releases, [row])
            self.store.insert(db, spendings, [(data_set, name, rho, at) for data_set in sorted(data_sets)])
            return answer

        return json.loads(self.store.write(work))

    def budget(self, data_set: str) -> Budget:
        """What is spent of a data set, and what may be."""
        with self.store.read() as db:
            return _budget(db, data_set)

    def budgets(self) -> list[Budget]:
        """Of every data set that was charged or has a bound of its own, by name."""
        with self.store.read() as db:
            names = set(db.execute(select(spendings.c.data_set).distinct()).scalars())
            names |= set(db.execute(select(budgets.c.data_set)).scalars())
            return [_budget(db, name) for name in sorted(names)]

    def set_budget(self, data_set: str, epsilon: float, delta: float = DELTA) -> Budget:
        """Choose the most that may be spent of a data set. What is spent stays spent. Raises UsageError."""
        rho_of(epsilon, delta)
        values = {"data_set": data_set, "epsilon": epsilon, "delta": delta, "at": self.now()}
        self.store.write(lambda db: self.store.upsert(db, budgets, values))
        return self.budget(data_set)


def _budget(db: Connection, data_set: str) -> Budget:
    chosen = select(func.coalesce(func.sum(spendings.c.rho), 0.0), func.count())
    rho, count = db.execute(chosen.where(spendings.c.data_set == data_set)).one()
    own = db.execute(select(budgets.c.epsilon, budgets.c.delta).where(budgets.c.data_set == data_set)).first()
    limit, delta = (EPSILON, DELTA) if own is None else (own.epsilon, own.delta)
    return Budget(data_set, epsilon_of(float(rho), delta), limit, delta, int(count))


def _check(db: Connection, data_set: str, rho: float) -> None:
    """Raises BudgetError where the budget does not allow another cost of rho."""
    held = _budget(db, data_set)
    total = rho_of(held.spent, held.delta) + rho if held.spent else rho
    after = epsilon_of(total, held.delta)
    if after > held.limit * (1 + 1e-12):
        raise BudgetError(
            f"the privacy budget of {data_set} is spent",
            f"this would bring its epsilon from {held.spent:.2f} to {after:.2f}, and {held.limit:g} is the most",
            "Ask what was asked before, which costs nothing, or ask about another month",
        )


def _told(db: Connection, name: str) -> Any | None:
    held = db.execute(select(releases.c.answer).where(releases.c.release == name)).scalar()
    return None if held is None else json.loads(held)


def _text(question: Mapping[str, Any]) -> str:
    return json.dumps(dict(question), sort_keys=True, ensure_ascii=False, allow_nan=False)


def _name(question: Mapping[str, Any]) -> str:
    return hashlib.sha256(_text(question).encode()).hexdigest()
