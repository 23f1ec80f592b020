"""Who saved what as one sparse matrix: read from a table, cut for validation, measured by recall and NDCG."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from visualsearch.errors import SourceError, UsageError
from visualsearch.types import Float32, Float64, Int64

Matrix = Any
"""A scipy CSR matrix of float32."""
BATCH = 1024
"""Persons that are scored at once."""


@dataclass(frozen=True)
class Saves:
    """`matrix` (persons, pins) is 1 where the person saved the pin. `persons` and `pins` name its rows and columns."""

    matrix: Matrix
    persons: Sequence[str]
    pins: Sequence[str]


def matrix_of(rows: NDArray[Any], columns: NDArray[Any], shape: tuple[int, int]) -> Matrix:
    """A matrix of ones from positions; what stands twice counts once."""
    made = sparse.csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=shape)
    made.sum_duplicates()
    made.data[:] = 1.0
    return made


def positions(names: Sequence[str], known: Mapping[str, int]) -> Int64:
    """The position of each name, -1 for an unknown one."""
    return np.fromiter((known.get(name, -1) for name in names), dtype=np.int64, count=len(names))


# -- tables --------------------------------------------------------------------------------------------------------
PAIRS = (("person", "board"), ("pin",))
FOLLOWS = (("person",), ("follows",))


def read_pairs(
    path: Path, wanted: Sequence[Sequence[str]], say: Callable[[str], None]
) -> tuple[list[str], list[str]]:
    """Two columns of a CSV (.gz too) or Parquet file as texts; each is named by the first of its names that the file has.

    Rows with an empty cell or another number of cells are left out and counted. Raises SourceError, UsageError.
    """
    import pyarrow as pa

    if not path.is_file():
        raise SourceError(f"cannot read {path}", "there is no such file", "Check the path")
    reader = _parquet if path.suffix.lower() in (".parquet", ".pq") else _csv
    try:
        table, bad = reader(path)
    except (pa.ArrowException, OSError, EOFError, ValueError) as error:
        why = "it is empty" if not path.stat().st_size else str(error).strip().splitlines()[0]
        raise SourceError(f"cannot read {path}", why, "The file may be cut short: fetch it again") from error
    names = [next((n for n in choice if n in table.column_names), None) for choice in wanted]
    for name, choice in zip(names, wanted, strict=True):
        if name is None:
            raise UsageError(
                f"cannot use {path}",
                f"it has no column `{'` or `'.join(choice)}`; it has {', '.join(table.column_names[:10]) or 'none'}",
                f"Its first line must name the columns: {','.join(choice[0] for choice in wanted)}",
            )
    pair = table.select([str(name) for name in names])
    pair = pair.cast(pa.schema([(name, pa.string()) for name in pair.column_names]))
    full = pair.drop_null()
    lost = len(pair) - len(full) + bad
    if lost:
        say(
            f"{path.name}: {lost:,} rows without a value in one of the two columns, or of another width, are left out"
        )
    if not len(full):
        raise UsageError(f"cannot use {path}", "it has no rows", "Give a file with at least one row")
    return full.column(0).to_pylist(), full.column(1).to_pylist()


def _csv(path: Path) -> tuple[Any, int]:
    from pyarrow import csv

    bad = []

    def skip(row: Any) -> str:
        bad.append(row.number)
        return "skip"

    with path.open("rb") as raw:
        names = _header(path)
        table = csv.read_csv(
            _unpacked(path, raw),
            read_options=csv.ReadOptions(use_threads=False),
            parse_options=csv.ParseOptions(invalid_row_handler=skip, newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, "string"),
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
                null_values=[""],
            ),
        )
    return table.rename_columns([name.strip().lower() for name in table.column_names]), len(bad)


def _header(path: Path) -> list[str]:
    """The names in the first line, so that every column is read as text: ids keep their leading zeros."""
    import csv
    import gzip

    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        return next(csv.reader(file), [])


def _unpacked(path: Path, raw: Any) -> Any:
    import gzip

    return gzip.GzipFile(fileobj=raw) if path.suffix.lower() == ".gz" else raw


def _parquet(path: Path) -> tuple[Any, int]:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    return table.rename_columns([name.strip().lower() for name in table.column_names]), 0


def read_saves(path: Path, say: Callable[[str], None]) -> Saves:
    """A training table. Raises SourceError, UsageError where fewer than two persons or two pins are in it."""
    rows, columns = read_pairs(path, PAIRS, say)
    persons = {name: at for at, name in enumerate(dict.fromkeys(rows))}
    pins = {name: at for at, name in enumerate(dict.fromkeys(columns))}
    matrix = matrix_of(positions(rows, persons), positions(columns, pins), (len(persons), len(pins)))
    if matrix.nnz < len(rows):
        say(f"{path.name}: {len(rows) - matrix.nnz:,} rows stand twice and count once")
    for count, what in ((len(persons), "person"), (len(pins), "pin")):
        if count < 2:
            raise UsageError(
                f"cannot learn from {path}",
                f"it has one {what} only, and nothing to compare with",
                f"Give saves of at least two {what}s",
            )
    return Saves(matrix, tuple(persons), tuple(pins))


# -- validation ----------------------------------------------------------------------------------------------------
def cut(matrix: Matrix, share: float, seed: int) -> tuple[Matrix, Matrix]:
    """Set aside a share of each person's saves, at least one of two or more: what is learnt from, and what is kept aside."""
    counts = np.diff(matrix.indptr)
    rows = np.repeat(np.arange(matrix.shape[0]), counts)
    luck = np.random.default_rng(seed).random(matrix.nnz)
    order = np.lexsort((luck, rows))
    rank = np.empty(matrix.nnz, dtype=np.int64)
    rank[order] = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1].astype(np.int64), counts)
    aside = np.where(counts >= 2, np.maximum(1, np.round(counts * share)), 0)
    kept = rank >= np.repeat(aside, counts)
    mine, other = (matrix_of(rows[m], matrix.indices[m], matrix.shape) for m in (kept, ~kept))
    return mine, other


def matrix_batches(persons: Int64, size: int = BATCH) -> Iterator[Int64]:
    """The persons in parts."""
    for at in range(0, len(persons), size):
        yield persons[at : at + size]


def forbid(scores: Float32, seen: Matrix) -> None:
    """Give what a person has saved the score -inf, in place."""
    rows = np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr))
    scores[rows, seen.indices] = -np.inf


def best(scores: Float32, k: int) -> Int64:
    """The k best columns of each row, best first; of equals, the one that stands first. (n, k) positions."""
    k = min(k, scores.shape[1])
    chosen = np.argpartition(-scores, k - 1, axis=1)[:, :k] if k < scores.shape[1] else _all(scores)
    chosen.sort(axis=1)
    order = np.argsort(-np.take_along_axis(scores, chosen, axis=1), axis=1, kind="stable")
    ordered: Int64 = np.take_along_axis(chosen, order, axis=1)
    return ordered


def _all(scores: Float32) -> Int64:
    return np.tile(np.arange(scores.shape[1]), (scores.shape[0], 1))


# -- figures -------------------------------------------------------------------------------------------------------
FIGURES = ("recall@10", "recall@20", "ndcg@10")


def figures(lists: Int64, wanted: Matrix, sizes: Int64 | None = None) -> Float64:
    """recall@10, recall@20 and NDCG@10 of each person, (n, 3).

    Recall@k is the number of the person's test pins among the k first, divided by the number of their test pins, as in the
    evaluation of LightGCN (arXiv 2002.02126): not by min(k, test pins). NDCG's ideal list is of min(10, test pins) hits.
    `lists` (n, 20) are positions, -1 for none. `sizes` (n,) are the numbers of test pins where some of them have no column.
    """
    counts = np.diff(wanted.indptr) if sizes is None else sizes
    keys = np.repeat(np.arange(wanted.shape[0]), np.diff(wanted.indptr)) * wanted.shape[1] + wanted.indices
    asked = np.arange(len(lists))[:, None] * wanted.shape[1] + lists
    hits = np.isin(asked, keys) & (lists >= 0)
    hits = np.pad(hits, ((0, 0), (0, max(0, 20 - hits.shape[1]))))[:, :20]
    worth = 1 / np.log2(np.arange(2, 12))
    ideal = np.concatenate([[np.inf], np.cumsum(worth)])[np.minimum(counts, 10)]
    some = np.maximum(counts, 1)
    columns = [hits[:, :10].sum(1) / some, hits.sum(1) / some, hits[:, :10] @ worth / ideal]
    stacked: Float64 = np.stack(columns, axis=1)
    return stacked


def interval(differences: Float64, seed: int = 0, repeats: int = 2000) -> tuple[float, float]:
    """The 95 % bootstrap interval of a mean over persons; of paired differences, the interval of the gain."""
    rng = np.random.default_rng(seed)
    n = len(differences)
    means = [differences[rng.integers(0, n, n)].mean() for _ in range(repeats)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
