"""How much spam is found at a precision that people can live with: the figures of `visualsearch bench trust`."""

from __future__ import annotations

import csv
import gzip
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visualsearch.errors import SourceError, UsageError
from visualsearch.evaluate import average_precision

from .accounts import AccountModel
from .propagation import spread_labels
from .texts import TextModel

LABELS = ("spam", "fake", "label", "sybil")
ROUND = 20
"""Questions per round of the queue: the model learns between rounds."""


@dataclass(frozen=True)
class Table:
    """A labelled CSV file. `columns` name -> its cells in the file's order; `label` (n,) bool."""

    columns: Mapping[str, list[str]]
    label: NDArray[np.bool_]

    def numbers(self, names: list[str]) -> NDArray[np.float64]:
        """(n, names) float64. Raises UsageError for a cell that is no number, naming column and line."""
        out = np.empty((len(self.label), len(names)))
        for place, name in enumerate(names):
            for row, cell in enumerate(self.columns[name]):
                try:
                    out[row, place] = float(cell)
                except ValueError as error:
                    raise UsageError(
                        f"line {row + 2}, column {name!r}: {cell[:40]!r} cannot be used",
                        "it is no number",
                        "Mend the cell, or drop the line",
                    ) from error
        return out


def read_table(path: Path) -> Table:
    """A CSV file (`.gz` too) with a header and a column `spam`, `fake`, `label` or `sybil` of 0 and 1.

    Raises SourceError for a file that cannot be read, UsageError for one without labels.
    """
    try:
        with (gzip.open if path.suffix == ".gz" else open)(
            path, "rt", encoding="utf-8-sig", newline=""
        ) as file:
            rows = list(csv.DictReader(file))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(
            f"cannot read {path}", str(error) or type(error).__name__, "Check the file"
        ) from error
    names = [name for name in (rows[0] if rows else {}) if name]
    label = next((name for name in LABELS if name in names), None)
    if label is None:
        raise UsageError(
            f"{path} has no labels",
            f"its columns are {', '.join(names) or 'none'}",
            f"Name one of them {LABELS[0]}",
        )
    for line, row in enumerate(rows, 2):
        if row[label] not in ("0", "1") or None in row.values() or None in row:
            raise UsageError(
                f"{path}, line {line} cannot be used",
                f"it has too few or too many cells, or its {label} is not 0 or 1",
                "Mend the line, or drop it",
            )
    columns = {name: [row[name] for row in rows] for name in names if name != label}
    return Table(columns, np.array([row[label] == "1" for row in rows]))


def recall_at_precision(scores: NDArray[np.float64], spam: NDArray[np.bool_], precision: float) -> float:
    """The largest share of the spam that a threshold finds while at least `precision` of what it finds is spam; 0 if none does.

    `scores` (n,) higher for spam; equal scores fall together.
    """
    order = np.argsort(-scores, kind="stable")
    sorted_scores, hits = scores[order], spam[order].cumsum()
    ends = np.append(sorted_scores[1:] != sorted_scores[:-1], True)
    good = ends & (hits / np.arange(1, len(hits) + 1) >= precision)
    return float(hits[good].max() / max(int(spam.sum()), 1)) if good.any() else 0.0


def measure_accounts(train: Table, test: Table) -> dict[str, Any]:
    """Learn from `train`, judge `test`. Columns of numbers that both have are used."""
    started = time.monotonic()
    names = [name for name in train.columns if name in test.columns]
    if not names:
        raise UsageError(
            "accounts cannot be compared", "the two files share no column", "Give files of one kind"
        )
    model = AccountModel.fit(train.numbers(names), train.label)
    scores = model.scores(test.numbers(names))
    return {
        **_figures(scores, test.label),
        "method": "extra trees",
        "seconds": round(time.monotonic() - started, 2),
    }


def measure_texts(train: Table, test: Table, ask: int = 0, seed: int = 0) -> dict[str, Any]:
    """Learn from `train`, judge `test`.

    With `ask`, the review queue first asks for the labels of so many texts of `test`, as it would ask the owner; these are learnt
    from, and left out of what is judged.
    """
    started = time.monotonic()
    texts = [_text(table) for table in (train, test)]
    model = TextModel.fit(texts[0], train.label)
    rng, asked = np.random.default_rng(seed), np.zeros(0, np.int64)
    while len(asked) < min(ask, len(texts[1])):
        rest = np.setdiff1d(np.arange(len(texts[1])), asked)
        chosen = model.questions([texts[1][i] for i in rest], min(ROUND, ask - len(asked)), rng)
        asked = np.concatenate([asked, rest[chosen]])
        own = [texts[1][i] for i in asked]
        model = TextModel.fit(texts[0], train.label, own=own, own_spam=test.label[asked])
    rest = np.setdiff1d(np.arange(len(texts[1])), asked)
    scores, spam = model.scores([texts[1][i] for i in rest]), test.label[rest]
    found = scores > 0
    right = int((found & spam).sum())
    f1 = 2 * right / max(int(found.sum()) + int(spam.sum()), 1)
    extra = {"f1": f1, "asked": len(asked), "method": "character n-grams, linear"}
    return {**_figures(scores, spam), **extra, "seconds": round(time.monotonic() - started, 2)}


def measure_graph(edges: Path, labels: Path, wrong: float = 0.0, seed: int = 0) -> dict[str, Any]:
    """Spread the labels whose `split` is train over the graph, judge those of the others. `wrong` (0..0.49) are turned around."""
    started = time.monotonic()
    pairs, people = _numbers(edges), read_table(labels)
    for name in ("person", "split"):
        if name not in people.columns:
            raise UsageError(f"{labels} cannot be used", f"it has no column {name}", f"Add the column {name}")
    who = people.numbers(["person"])[:, 0].astype(np.int64)
    train = np.array([cell == "train" for cell in people.columns["split"]])
    told = people.label[train] ^ (np.random.default_rng(seed).random(int(train.sum())) < wrong)
    count = int(max(pairs.max(initial=-1), who.max(initial=-1))) + 1
    scores = spread_labels(pairs, count, who[train], told)[who[~train]]
    extra = {"auc": area(scores, people.label[~train]), "wrong": wrong, "method": "label spreading"}
    return {
        **_figures(scores, people.label[~train]),
        **extra,
        "seconds": round(time.monotonic() - started, 2),
    }


def area(scores: NDArray[np.float64], spam: NDArray[np.bool_]) -> float:
    """The chance that a spam item scores higher than an honest one, ties counting half: the area under the ROC curve."""
    from scipy.stats import rankdata

    few, many = int(spam.sum()), int((~spam).sum())
    if not few or not many:
        return 0.5
    return float((rankdata(scores)[spam].sum() - few * (few + 1) / 2) / (few * many))


def _numbers(path: Path) -> NDArray[np.int64]:
    """(m, 2) int64 of a CSV file with a header and two columns of numbers."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8-sig") as file:
            return np.loadtxt(file, np.int64, delimiter=",", skiprows=1, ndmin=2, usecols=(0, 1))
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise SourceError(
            f"cannot read {path}", str(error), "Give a CSV file with two columns of numbers"
        ) from error


def _text(table: Table) -> list[str]:
    if "text" not in table.columns:
        raise UsageError(
            "texts cannot be read", f"columns are {', '.join(table.columns)}", "Name the column text"
        )
    return table.columns["text"]


def _figures(scores: NDArray[np.float64], spam: NDArray[np.bool_]) -> dict[str, Any]:
    return {
        "recall@precision0.95": recall_at_precision(scores, spam, 0.95),
        "recall@precision0.99": recall_at_precision(scores, spam, 0.99),
        "average_precision": float(average_precision(scores[None], spam[None])[0]) if spam.any() else 0.0,
        "spam": int(spam.sum()),
        "judged": len(spam),
    }
