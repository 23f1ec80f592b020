"""Keeping an index in order: leftovers are swept, small segments merged, dead rows dropped, approximate indexes built and tuned.

Every change is one commit; readers go on with the state they have.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from visualsearch import nearest
from visualsearch.errors import UsageError
from visualsearch.nearest import Preset, Rows, Trial, Wish, front, measured_recall, pick, survey, trials_of
from visualsearch.storage import check_links, is_leftover, stored_file
from visualsearch.store import Generation, Reader, Segment, Vectors, Writer, alive_rows, write_segment
from visualsearch.types import Int64

MERGE_SEGMENTS = 16
MERGE_ROWS = 262_144
FRESH_ROWS = 20_000
"""Rows beside the approximate index that every query scans before they are taken in: about a millisecond."""


class Upkeep:
    """The upkeep of one index. The caller of every method holds the writer lock."""

    def __init__(self, folder: Path, dim: int) -> None:
        self.folder, self.dim = folder, dim

    def compact(self, writer: Writer) -> None:
        """Drop dead rows, merge segments, mend attributes and build the approximate index anew, all in one commit."""
        old = writer.segments()
        vectors = Vectors(self.folder, old, self.dim)
        alive = alive_rows(vectors, writer.dead())
        keep = np.flatnonzero(alive)
        segments = []
        number = int(writer.meta("next_file"))
        for at in range(0, len(keep), MERGE_ROWS):
            part = keep[at : at + MERGE_ROWS]
            segments.append(_copied(self.folder, number, vectors, part))
            number += 1
        compacted = Vectors(self.folder, segments, self.dim)
        recipe = self._recipe(writer, len(compacted))
        generation = None
        if len(compacted) and not recipe.exact:
            generation, _ = self._built(compacted, number, recipe, _tuned(writer))
        with writer.commit():
            writer.set_meta("next_file", number + 1)
            writer.drop_segments(s.number for s in old)
            for segment in segments:
                writer.add_segment(segment)
            writer.forget_dead()
            writer.set_generation(generation)
            writer.mend()
        self.sweep(writer)
        writer.shrink()

    def sweep(self, writer: Writer) -> None:
        """Delete files that no state names: leftovers of a killed writer, and what a commit replaced."""
        check_links(self.folder)
        used = writer.files()
        for folder in ("vectors", nearest.FOLDER):
            for path in (self.folder / folder).glob("*"):
                if f"{folder}/{path.name}" not in used and is_leftover(path):
                    with suppress(OSError):
                        path.unlink()

    def _recipe(self, reader: Reader, rows: int) -> Preset:
        chosen = reader.meta("preset", "auto")
        return nearest.choose(rows) if chosen == "auto" else nearest.preset(chosen)

    def maintain(self, writer: Writer) -> None:
        """After a run: merge small segments, and bring the approximate index up to date when enough rows are fresh."""
        self._merge(writer)
        vectors = Vectors(self.folder, writer.segments(), self.dim)
        recipe = self._recipe(writer, len(vectors))
        now = writer.generation()
        if recipe.exact:
            if now is not None:
                with writer.commit():
                    writer.set_generation(None)
                self.sweep(writer)
            return
        fresh = len(vectors) - (now.covers if now else 0)
        same = now is not None and now.preset == recipe.name
        if not len(vectors) or (same and fresh < max(FRESH_ROWS, len(vectors) // 10)):
            return
        number = int(writer.meta("next_file"))
        # A trained index takes more rows well until the collection has grown several times over.
        grown = now if same and now is not None and 3 * now.covers >= len(vectors) else None
        generation, _ = self._built(vectors, number, recipe, _tuned(writer), grown)
        with writer.commit():
            writer.set_meta("next_file", number + 1)
            writer.set_generation(generation)
        self.sweep(writer)

    def _built(
        self,
        vectors: Vectors,
        number: int,
        recipe: Preset,
        tuned: Mapping[str, Any],
        grown: Generation | None = None,
    ) -> tuple[Generation, Any]:
        """A new generation over all of `vectors`, not yet named in the catalog, and its index."""
        if grown is not None:
            index, factory = nearest.load(stored_file(self.folder, grown.file)), grown.factory
            for _, block in vectors.blocks(start=grown.covers, size=65_536):
                index.add(block)
        else:
            index, factory = nearest.build(recipe, vectors)
        file, size = nearest.save(index, self.folder, number)
        search = recipe.parameters
        if tuned.get("preset") == recipe.name:
            search.update(tuned["search"])
        made = Generation(number, file, recipe.name, factory, search, len(vectors), size)
        rows = Rows(vectors, np.ones(len(vectors), bool), made, index, len(vectors))
        return replace(made, recall=measured_recall(rows)), index

    def _merge(self, writer: Writer) -> None:
        """Fold runs of small segments into larger ones, so that their number stays small as an index grows."""
        segments = writer.segments()
        small = [s for s in segments if s.count < MERGE_ROWS]
        tail = segments[len(segments) - len(small) :]
        if len(tail) < MERGE_SEGMENTS or tail != small:
            return
        vectors = Vectors(self.folder, segments, self.dim)
        start = int(vectors.starts[len(segments) - len(tail)])
        positions = np.arange(start, len(vectors), dtype=np.int64)
        number = int(writer.meta("next_file"))
        merged = []
        for at in range(0, len(positions), MERGE_ROWS):
            merged.append(_copied(self.folder, number, vectors, positions[at : at + MERGE_ROWS]))
            number += 1
        with writer.commit():
            writer.set_meta("next_file", number)
            writer.drop_segments(s.number for s in tail)
            for segment in merged:
                writer.add_segment(segment)
        self.sweep(writer)

    def tune(
        self,
        writer: Writer,
        rows: Rows,
        wish: Wish,
        preset: str | None,
        k: int,
        samples: int,
        seconds: float,
        say: Callable[[str], None],
    ) -> tuple[Trial, list[Trial]]:
        """Choose and keep the recipe and search parameters that fulfil a wish: see `Index.tune`."""
        if not rows.live:
            raise UsageError("there is nothing to tune", "the index is empty", "Index some pictures first")
        recipes = [nearest.preset(preset)] if preset else list(nearest.presets().values())
        compared = survey(rows, recipes, k, samples, seconds=seconds, say=say)
        # A recipe that was named is tuned; the exact scan is then shown for comparison only.
        allowed = [t for t in compared if t.preset == preset] if preset else compared
        first = pick(allowed or compared, wish, rows.live)
        recipe = nearest.preset(first.preset)
        if recipe.exact:
            self._adopt(writer, recipe, None, {})
            return first, compared
        generation, index = self._generation_of(recipe, rows, writer, say)
        final = trials_of(replace(rows, generation=generation, ann=index), k, samples)
        chosen = pick(final, wish, rows.live)
        kept = replace(generation, search=dict(chosen.search), recall=chosen.recall)
        self._adopt(writer, recipe, kept, dict(chosen.search))
        # What was measured over all rows replaces what the sample said of the same recipe.
        return chosen, front([*(t for t in compared if t.preset != recipe.name), *final])

    def _generation_of(
        self, recipe: Preset, rows: Rows, writer: Writer, say: Callable[[str], None]
    ) -> tuple[Generation, Any]:
        """A generation of that recipe and its index: the rows's own where it is one, else a new one, not yet named."""
        if rows.generation is not None and rows.generation.preset == recipe.name:
            return rows.generation, rows.ann
        say(f"{recipe.name}: building on all {len(rows.vectors):,} rows")
        return self._built(rows.vectors, int(writer.meta("next_file")), recipe, {})

    def _adopt(
        self, writer: Writer, recipe: Preset, generation: Generation | None, search: Mapping[str, Any]
    ) -> None:
        """Make a recipe, its generation and its search parameters those of the index, in one commit.

        A recipe that the size alone would not choose is remembered, or the next run would undo the choice.
        """
        rows = sum(s.count for s in writer.segments())
        with writer.commit():
            if self._recipe(writer, rows).name != recipe.name:
                writer.set_meta("preset", recipe.name)
            writer.set_meta("tuned", json.dumps({"search": dict(search), "preset": recipe.name}))
            if generation is not None:
                writer.set_meta("next_file", max(int(writer.meta("next_file")), generation.number + 1))
            writer.set_generation(generation)
        self.sweep(writer)


def _tuned(reader: Reader) -> dict[str, Any]:
    """What `tune` chose, and for which preset; empty when it was never run."""
    found: dict[str, Any] = json.loads(reader.meta("tuned", "{}"))
    return found


def _copied(folder: Path, number: int, vectors: Vectors, positions: Int64) -> Segment:
    """A new segment file with the vectors of ascending positions."""
    rows = vectors.rows(positions)
    matrix = np.empty((len(positions), vectors.dim), np.float16)
    for at in range(0, len(positions), 8192):
        matrix[at : at + 8192] = vectors.gather(positions[at : at + 8192])
    file = write_segment(folder, number, matrix)
    dense = int(rows[-1]) - int(rows[0]) + 1 == len(rows)
    return Segment(number, file, int(rows[0]), len(rows), vectors.pins[positions], None if dense else rows)
