"""What a person's verdicts teach: a model of texts and one of accounts, each one more sign beside the rules.

They are learnt anew from the verdicts in the record whenever they are wanted, so that nothing of them outlives what it was learnt
from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from visualsearch.errors import UsageError
from visualsearch.people import Account

from .accounts import AccountModel
from .findings import Sign
from .gather import Material, facts_of
from .texts import TextModel

if TYPE_CHECKING:
    from visualsearch.engine import Index

EACH = 50
"""Texts of one verdict that are learnt from: a large cluster must not drown the others."""
STRONGEST = 2.5


@dataclass(frozen=True)
class TextSign:
    """A model of texts as a sign of a burst."""

    model: TextModel

    def signs(self, material: Material, rows: NDArray[np.int64], persons: Sequence[int]) -> list[Sign]:
        """What the texts of these puts say."""
        texts = [text for at in rows.tolist() if len((text := material.text[at]).strip()) >= 3]
        if len(texts) < 5:
            return []
        part = float((self.model.scores(texts[:500]) > 0).mean())
        weight = STRONGEST * (2 * part - 1) * min(1.0, 2 * len(texts) / len(rows))
        return [
            Sign(
                "learnt: texts", part, weight, f"{part:.0%} of the texts are like those that you called spam"
            )
        ]


@dataclass(frozen=True)
class AccountSign:
    """A model of accounts as a sign of a burst."""

    model: AccountModel
    now: int

    def signs(self, material: Material, rows: NDArray[np.int64], persons: Sequence[int]) -> list[Sign]:
        """What the accounts' counts say."""
        numbers = counts_of([material.account(person) for person in persons], self.now)
        part = float(np.clip(self.model.scores(numbers).mean(), 0.05, 0.95))
        weight = float(np.clip(log(part / (1 - part)), -STRONGEST, STRONGEST))
        return [
            Sign(
                "learnt: accounts",
                part,
                weight,
                f"the accounts are {part:.0%} like those that you called spam",
            )
        ]


def counts_of(accounts: Sequence[Account], now: int) -> NDArray[np.float64]:
    """(n, columns) of plain counts, as `AccountModel` reads them."""
    return np.array(
        [
            [
                max(0.0, (now - a.first) / 3_600_000),
                a.saves,
                a.pins,
                a.sites,
                a.noted,
                a.boards,
                a.follows,
                a.saves / max(1.0, (now - a.first) / 86_400_000),
                a.sites / max(1, a.saves),
            ]
            for a in accounts
        ],
        np.float64,
    ).reshape(len(accounts), 9)


def learnt_signs(index: Index, now: int) -> tuple[list[Any], list[str]]:
    """The models that the verdicts in the record are enough for, and sentences about what is missing for the others."""
    labelled = index.people.labelled()
    models: list[Any] = []
    notes: list[str] = []
    texts, spam = _texts(index, labelled)
    try:
        models.append(TextSign(TextModel.fit(texts, np.array(spam, bool))))
    except UsageError as error:
        notes.append(f"texts: {error.why}")
    numbers = {person: said for _, said, _, people in labelled for person in people}
    held = index.people.accounts(list(numbers))
    known = [person for person in numbers if person in held]
    try:
        table = counts_of([held[person] for person in known], now)
        fitted = (
            AccountModel.fit(table, np.array([numbers[person] for person in known], bool)) if known else None
        )
        if fitted is None:
            notes.append("accounts: nobody was judged by a person yet")
        else:
            models.append(AccountSign(fitted, now))
    except UsageError as error:
        notes.append(f"accounts: {error.why}")
    return models, notes


def _texts(
    index: Index, labelled: Sequence[tuple[int, bool, list[str], list[int]]]
) -> tuple[list[str], list[bool]]:
    texts: list[str] = []
    spam: list[bool] = []
    for _, said, pins, people in labelled:
        facts = facts_of(index, pins[:EACH])
        words = [fact.words for fact in facts.values() if fact.words.strip()]
        words += index.people.notes_of(people, EACH)
        texts += words
        spam += [said] * len(words)
    return texts, spam
