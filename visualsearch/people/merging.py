"""Few parts of many: a month's parts that were written at different times become one run, sorted by person."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from . import parts as disk
from .lookup import between, foot
from .parts import Part, filled

PART_ROWS = 131_072
"""Rows of a part: forgetting one person rewrites the parts that hold theirs."""
MANY_RUNS = 4
"""So many runs of one size become one. A look-up reads a row group of each run of a month."""
STEP = 16
"""Runs whose rows differ by less than this factor are of one size."""


def due(parts: Sequence[Part]) -> list[Part]:
    """The parts of a month to merge now: where runs of one size lie over one another, they and all smaller ones."""
    sizes = sorted({_size(part) for part in parts}, reverse=True)
    for size in sizes:
        if _depth([part for part in parts if _size(part) == size]) >= MANY_RUNS:
            return [part for part in parts if _size(part) <= size]
    return []


def _size(part: Part) -> int:
    return int(math.log(max(part.run, 1), STEP))


def _depth(parts: Sequence[Part]) -> int:
    """How many parts a person's events may lie in, at most."""
    edges = sorted([(part.lowest, 0) for part in parts] + [(part.highest, 1) for part in parts])
    depth = deepest = 0
    for _, ends in edges:
        depth += -1 if ends else 1
        deepest = max(deepest, depth)
    return deepest


def merged(folder: Path, parts: Sequence[Part]) -> list[Part]:
    """Write the rows of some parts of one month anew, sorted by person and time, in parts of PART_ROWS rows or a little more.

    The old files stay. What was written is deleted again when something fails.
    """
    rows = sum(part.rows for part in parts)
    made: list[Part] = []

    def work(span: tuple[int, int]) -> None:
        table = _rows(folder, parts, *span)
        if len(table):
            made.append(disk.write_part(folder, table, rows))

    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(work, _spans(folder, parts)))
    except BaseException:
        for part in made:
            disk.remove(folder, part.file)
        raise
    return made


def _spans(folder: Path, parts: Sequence[Part]) -> Iterator[tuple[int, int]]:
    """Ranges of pseudonyms, both ends included, of about PART_ROWS rows each; together they are all."""
    feet = [foot(folder / part.file) for part in parts]
    highest = np.concatenate([each.highest for each in feet])
    counts = [[f.metadata.row_group(n).num_rows for n in range(f.metadata.num_row_groups)] for f in feet]
    order = np.argsort(highest)
    total = np.cumsum(np.concatenate([np.asarray(c, np.int64) for c in counts])[order])
    start, before = min(part.lowest for part in parts), 0
    for at, end in enumerate(highest[order].tolist()):
        if (int(total[at]) - before >= PART_ROWS or at == len(order) - 1) and end >= start:
            yield start, end
            start, before = end + 1, int(total[at])


def _rows(folder: Path, parts: Sequence[Part], lowest: int, highest: int) -> Any:
    import pyarrow as pa

    tables = [
        filled(between(folder / part.file, lowest, highest))
        for part in parts
        if part.lowest <= highest and part.highest >= lowest
    ]
    table = pa.concat_tables(tables)
    return table.sort_by([("person", "ascending"), ("at", "ascending")]).combine_chunks()
