"""Index and search parameters chosen on the user's own vectors: the fastest that reach a recall within a memory.

Queries are stored vectors, each left out of its own answer. The truth is the exact scan. Every recipe is built on all rows,
or on a sample of a large collection. Every setting of a small grid is timed and compared. The settings that no other beats in
recall, time and memory together are the Pareto front.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from visualsearch import compiled
from visualsearch.store import Generation, Segment, Vectors, write_segment

from . import ann, recipes
from .exact import scan
from .heldout import HeldOut, held_out
from .rows import Rows

KNOBS: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "IVF": {"nprobe": (1, 2, 4, 8, 16, 32, 64, 128, 256), "candidates": (4, 8, 16, 32)},
    "HNSW": {"efSearch": (16, 24, 32, 48, 64, 96, 128, 192, 256, 512), "candidates": (2, 4, 5, 8, 16)},
}
"""For each kind of index, by the mark in its factory string, first match first, the values that are tried."""

EXACT = "exact"
"""The name of the recipe that builds nothing."""

FAST_ENOUGH = 0.2
"""Milliseconds of an exact scan below which no graph is worth building, keeping and bringing up to date."""

SAMPLE_ROWS = 100_000
"""Recipes are compared on at most this many rows. The one chosen is built and measured again on all."""


@dataclass(frozen=True)
class Wish:
    """What a search should reach: recall@k (0..1), median milliseconds of a query, bytes of the index in memory."""

    recall: float = 0.95
    milliseconds: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Trial:
    """A setting of a recipe and what it gave.

    recall@k (0..1), median and 99th percentile of a query's milliseconds with rescoring, bytes of the index a row, measured
    over `rows` rows: fewer than the index has are a sample. `best` marks the Pareto front of the trials it stands among, so
    it does not tell trials apart.
    """

    preset: str
    search: Mapping[str, float]
    recall: float
    milliseconds: float
    p99: float = 0.0
    bytes_per_row: float = 0.0
    rows: int = 0
    best: bool = field(default=False, compare=False)

    @property
    def exact(self) -> bool:
        """Whether this is the exact scan, which needs nothing built."""
        return self.bytes_per_row == 0 and not self.search


def survey(
    snapshot: Rows,
    recipes: Sequence[recipes.Preset],
    k: int,
    samples: int,
    *,
    seconds: float = float("inf"),
    say: Callable[[str], None] = lambda _: None,
    seed: int = 1,
) -> list[Trial]:
    """Trials of every recipe, fastest first, the Pareto front marked.

    The exact scan takes part whether it is among the recipes or not, timed on all rows. The others are built on at most
    SAMPLE_ROWS live rows. Once `seconds` have passed no further recipe is begun; `say` is told what is done and what was left
    out.
    """
    compiled.accelerate()  # graphs are timed as a process that searches much walks them
    start = time.monotonic()
    trials: list[Trial] = []
    with TemporaryDirectory(prefix="visualsearch-tune-") as scratch:
        part = _part(snapshot, Path(scratch), seed)
        few = held_out(part, k, samples, seed)
        trials.append(_exact_trial(snapshot, k, few))
        say(f"{trials[0].preset}: {trials[0].milliseconds:.2f} ms a query, with nothing built")
        for number, recipe in enumerate(r for r in recipes if not r.exact):
            if time.monotonic() - start > seconds:
                say(f"{recipe.name}: left out, the time is over")
                continue
            of = "all" if len(part.vectors) == snapshot.live else f"a sample of {len(part.vectors):,}"
            say(f"{recipe.name}: building on {of} rows")
            trials += _tried(_built(part, recipe, Path(scratch), number), few)
    return front(trials)


def trials_of(snapshot: Rows, k: int, samples: int, seed: int = 1) -> list[Trial]:
    """Trials of the approximate index that a snapshot has, over all its rows; [] when it has none."""
    if snapshot.generation is None:
        return []
    return front(_tried(snapshot, held_out(snapshot, k, samples, seed)))


def pick(trials: Sequence[Trial], wish: Wish, rows: int) -> Trial:
    """The fastest trial that fulfils the wish for an index of that many rows; the exact scan where it is fast enough.

    Where none does: the one of the highest recall among those that fit into the memory, or among all when none fits.
    """
    fitting = [t for t in trials if wish.memory is None or t.bytes_per_row * rows <= wish.memory]
    reaching = [t for t in fitting if fulfils(t, wish, rows)]
    if reaching:
        scan = min((t for t in reaching if t.exact), key=lambda t: t.milliseconds, default=None)
        fastest = min(reaching, key=lambda t: t.milliseconds)
        return scan if scan and scan.milliseconds <= max(FAST_ENOUGH, fastest.milliseconds) else fastest
    return max(fitting or trials, key=lambda t: (t.recall, -t.milliseconds))


def fulfils(trial: Trial, wish: Wish, rows: int) -> bool:
    """Whether a trial reaches all that is wished for in an index of that many rows."""
    return (
        trial.recall >= wish.recall
        and (wish.milliseconds is None or trial.milliseconds <= wish.milliseconds)
        and (wish.memory is None or trial.bytes_per_row * rows <= wish.memory)
    )


def front(trials: Iterable[Trial]) -> list[Trial]:
    """Fastest first, with the trials marked that no other beats in recall, time and memory together."""
    ordered = sorted(trials, key=lambda t: (t.milliseconds, -t.recall, t.bytes_per_row))
    marked: list[Trial] = []
    for trial in ordered:
        beaten = any(
            o.best and o.recall >= trial.recall and o.bytes_per_row <= trial.bytes_per_row for o in marked
        )
        marked.append(replace(trial, best=not beaten))
    return marked


# -- parts --------------------------------------------------------------------------------------------------------
def _part(snapshot: Rows, scratch: Path, seed: int) -> Rows:
    """A snapshot over the live rows, or over a sample of them, in a folder of its own."""
    live = np.flatnonzero(snapshot.alive)
    if len(live) > SAMPLE_ROWS:
        live = np.sort(np.random.default_rng(seed).choice(live, SAMPLE_ROWS, replace=False))
    elif len(live) == len(snapshot.vectors):
        return replace(snapshot, generation=None, ann=None)
    file = write_segment(scratch, 0, snapshot.vectors.gather(live))
    segment = Segment(0, file, 0, len(live), np.arange(len(live), dtype=np.int64))
    vectors = Vectors(scratch, [segment], snapshot.vectors.dim)
    everyone = np.ones(len(live), dtype=bool)
    return replace(snapshot, vectors=vectors, alive=everyone, generation=None, ann=None, live=len(live))


def _built(part: Rows, recipe: recipes.Preset, scratch: Path, number: int) -> Rows:
    index, factory = ann.build(recipe, part.vectors)
    file, size = ann.save(index, scratch, number)
    made = Generation(number, file, recipe.name, factory, recipe.parameters, len(part.vectors), size)
    return replace(part, generation=made, ann=index)


def _exact_trial(snapshot: Rows, k: int, few: HeldOut) -> Trial:
    """Exact search over all rows needs nothing built, so it is not estimated from a sample."""
    allowed = None if snapshot.live == len(snapshot.vectors) else snapshot.alive
    spent = []
    for query in few.queries[:50]:
        start = time.perf_counter()
        scan(snapshot.vectors, query, k + 1, allowed=allowed)
        spent.append(time.perf_counter() - start)
    return Trial(EXACT, {}, 1.0, *_times(spent), 0.0, snapshot.live)


def _tried(snapshot: Rows, few: HeldOut) -> Iterator[Trial]:
    """A trial for each setting of the grid of the snapshot's kind of index."""
    generation = snapshot.generation
    if generation is None:
        return
    knobs = KNOBS[next(mark for mark in KNOBS if mark in generation.factory)]
    for values in product(*knobs.values()):
        search = {**generation.search, **dict(zip(knobs, values, strict=True))}
        at = replace(snapshot, generation=replace(generation, search=search))
        found, spent = 0, []
        for number in range(len(few.own)):
            start = time.perf_counter()
            found += few.found(at, number)
            spent.append(time.perf_counter() - start)
        size = generation.bytes / max(1, generation.covers)
        yield Trial(generation.preset, search, few.share(found), *_times(spent), size, snapshot.live)


def _times(seconds: Sequence[float]) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds."""
    return 1000 * float(np.median(seconds)), 1000 * float(np.percentile(seconds, 99))
