"""What the tasks share: the encoder and its vectors, the rows of the table, and how scores become figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from visualsearch.encoders import BaseEncoder
from visualsearch.errors import UsageError
from visualsearch.evaluate import Flags, hit_rate, precision_at_k
from visualsearch.ranking import ADAPTED_DEPTH, Head
from visualsearch.types import Float32

from .data import Data, Labelled

T = TypeVar("T")


class State(StrEnum):
    """What became of a row."""

    MEASURED = "measured"
    NO_DATA = "no data"
    NO_TEXT = "no text tower"


@dataclass(frozen=True)
class Row:
    """One line of the table. `values` maps a metric to its figure: shares 0..1, pictures per second, or a ratio."""

    task: str
    what: str
    values: Mapping[str, float] = field(default_factory=dict)
    queries: int = 0
    gallery: int = 0
    note: str = ""
    state: State = State.MEASURED


class Bench:
    """An encoder, the data, and the vectors of the picture files that were embedded so far.

    Only vectors are kept, 4 * dim bytes a picture; pictures are decoded a few batches ahead. `limit` thins every
    set to that many items, evenly over its sorted list, so that each class keeps its share. `head` is a learnt map (`visualsearch
    adapt`): pictures are compared as a search of an adapted index compares them.
    """

    def __init__(
        self, encoder: BaseEncoder, data: Data, limit: int | None = None, head: Head | None = None
    ) -> None:
        if limit is not None and limit < 1:
            raise UsageError(
                f"the limit is {limit}", "it must be 1 or more", "Leave it out to measure on everything"
            )
        self.encoder, self.data, self.limit = encoder, data, limit
        self.head = head
        self._known: dict[Path, Float32] = {}

    def thin(self, items: Sequence[T]) -> list[T]:
        """At most `limit` of the items, evenly spaced, in their order."""
        if self.limit is None or len(items) <= self.limit:
            return list(items)
        return [items[i * len(items) // self.limit] for i in range(self.limit)]

    def pictures(self, paths: Sequence[Path]) -> Float32:
        """(n, d) unit vectors of picture files; each file is embedded once. Raises PictureError."""
        new = [path for path in dict.fromkeys(paths) if path not in self._known]
        if new:
            self._known.update(zip(new, self.encoder.embed_images(new), strict=True))
        return np.stack([self._known[path] for path in paths])

    def alike(self, queries: Float32, stored: Float32) -> Float32:
        """(q, d), (n, d) unit vectors of pictures -> (q, n) scores: cosines, or the likeness behind the learnt map."""
        scores = cosines(queries, stored)
        if self.head is None:
            return scores
        made = self.head.likeness(queries, stored, scores)
        if scores.shape[1] > ADAPTED_DEPTH:  # a search turns only the nearest around
            far = np.argpartition(-scores, ADAPTED_DEPTH, axis=1)[:, ADAPTED_DEPTH:]
            np.put_along_axis(made, far, np.take_along_axis(scores, far, 1) - 3, 1)
        return np.asarray(np.round(made, 6), np.float32)

    def words(self, names: Sequence[str], prompt: str = "{}") -> Float32:
        """(n, d) unit vectors of the names, each put into the prompt."""
        return self.encoder.embed_texts([prompt.format(name) for name in names])


@dataclass(frozen=True)
class Task:
    """A thing to measure: `run` gives its rows; `missing` names the data sets that are not there and are needed.

    `text` says that the encoder needs a text tower.
    """

    name: str
    measures: str
    run: Callable[[Bench], list[Row]]
    missing: Callable[[Data], tuple[str, ...]]
    text: bool = False

    @property
    def group(self) -> str:
        """The first word of the name: `--tasks emoji` asks for all tasks of that group."""
        return self.name.partition("-")[0]


def cosines(queries: Float32, stored: Float32) -> Float32:
    """(q, d), (n, d) unit -> (q, n), rounded to six digits: what differs by rounding alone is a tie."""
    found: Float32 = np.round(queries @ stored.T, 6)
    return found


def by_class(bench: Bench, asked: Sequence[Labelled], stored: Sequence[Labelled]) -> tuple[Float32, Flags]:
    """Cosines of asked to stored pictures, and which of them have the same label."""
    scores = bench.alike(bench.pictures(paths(asked)), bench.pictures(paths(stored)))
    relevant: Flags = np.array([item.label for item in asked])[:, None] == np.array(
        [item.label for item in stored]
    )
    return scores, relevant


def recalls(scores: Float32, relevant: Flags) -> dict[str, NDArray[np.float64]]:
    """For each query whether a relevant one is among the first 1 and 10."""
    return {f"R@{k}": hit_rate(scores, relevant, k) for k in (1, 10) if k <= scores.shape[1]}


def first(scores: Float32, relevant: Flags) -> NDArray[np.float64]:
    """For each query whether the first result is relevant."""
    return precision_at_k(scores, relevant, 1)


def paths(items: Sequence[Labelled]) -> list[Path]:
    """The files of labelled pictures."""
    return [item.path for item in items]
