"""Approximate indexes: fewer dimensions, queries from elsewhere, and the settings FAISS is imported with."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from visualsearch.nearest import ann, recipes, training
from visualsearch.store.vectors import Segment, Vectors, write_segment
from visualsearch.types import Float32

DIM = 128


def low_dimensional(rows: int, inside: int = 30, seed: int = 3) -> Float32:
    """Unit vectors of which all but a little lies in the first `inside` dimensions, clustered."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(40, DIM))
    made = centres[random.integers(40, size=rows)] + 0.5 * random.normal(size=(rows, DIM))
    made[:, inside:] *= 0.05
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def stored(folder: Path, matrix: Float32) -> Vectors:
    file = write_segment(folder, 0, matrix)
    return Vectors(folder, [Segment(0, file, 0, len(matrix), np.arange(len(matrix), dtype=np.int64))], DIM)


def test_the_axes_keep_the_share_of_the_length_that_was_asked_for() -> None:
    matrix = low_dimensional(2000)
    axes = training.principal_axes((matrix.T @ matrix).astype(np.float64), 0.95)
    assert axes is not None
    assert axes.shape == (32, DIM)
    np.testing.assert_allclose(axes @ axes.T, np.eye(32), atol=1e-5)
    kept = ((matrix @ axes.T) ** 2).sum(1)
    assert kept.mean() >= 0.95


def test_rows_that_fill_every_dimension_are_not_reduced() -> None:
    matrix = np.random.default_rng(1).normal(size=(2000, DIM)).astype(np.float32)
    assert training.principal_axes((matrix.T @ matrix).astype(np.float64), 0.95) is None


@pytest.mark.parametrize("name", ["hnsw", "ivf-rabitq", "ivf-rabitq-compact"])
def test_a_reduced_index_finds_the_neighbours_and_survives_the_disk(tmp_path: Path, name: str) -> None:
    matrix = low_dimensional(3000)
    vectors = stored(tmp_path, matrix)
    recipe = recipes.preset(name)
    index, factory = ann.build(recipe, vectors)
    assert factory.startswith("Axes32,")
    file, size = ann.save(index, tmp_path, 1)
    again = ann.load(tmp_path / file)
    assert size / len(matrix) < DIM * 4 / 2
    halves = vectors.gather(np.arange(100))
    hits = 0
    for query in halves:
        truth = set(np.argsort(-(vectors.gather(np.arange(3000)) @ query), kind="stable")[:10].tolist())
        found = ann.search(again, query, 10 * recipe.candidates, recipe.search)
        np.testing.assert_array_equal(found, ann.search(index, query, 10 * recipe.candidates, recipe.search))
        hits += len(truth & set(found.tolist()))
    assert hits / 1000 >= 0.9


def test_a_reduced_index_keeps_to_the_allowed_positions(tmp_path: Path) -> None:
    vectors = stored(tmp_path, low_dimensional(2000))
    index, _ = ann.build(recipes.preset("hnsw"), vectors)
    allowed = np.zeros(2000, dtype=bool)
    allowed[::7] = True
    found = ann.search(index, vectors.gather(np.array([5]))[0], 20, {"efSearch": 400}, allowed)
    assert len(found) > 0
    assert (found % 7 == 0).all()


def test_a_query_outside_the_axes_is_foreign_and_a_row_is_not(tmp_path: Path) -> None:
    matrix = low_dimensional(2000)
    index, _ = ann.build(recipes.preset("hnsw"), stored(tmp_path, matrix))
    elsewhere = np.zeros(DIM, np.float32)
    elsewhere[-20:] = 20**-0.5
    params = recipes.preset("hnsw").search
    assert ann.search(index, elsewhere, 5, params) is None
    assert all(ann.search(index, row, 5, params) is not None for row in matrix[:200])
    assert ann.search(index, elsewhere, 5, {}) is not None  # an index from before the setting was known


def test_nothing_is_foreign_to_an_index_of_all_dimensions(tmp_path: Path) -> None:
    full = np.random.default_rng(1).normal(size=(500, DIM))
    full /= np.linalg.norm(full, axis=1, keepdims=True)
    index, factory = ann.build(recipes.preset("hnsw"), stored(tmp_path, full.astype(np.float32)))
    assert factory == recipes.preset("hnsw").factory
    assert ann.search(index, full[0].astype(np.float32), 5, {"foreign_below": 0.9}) is not None


@pytest.mark.parametrize("given", [None, "HASWELL"])
def test_importing_faiss_leaves_the_environment_as_it_was(given: str | None) -> None:
    code = "import os; from visualsearch.nearest import ann; ann.library(); print(os.environ.get('OPENBLAS_CORETYPE'))"
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
    if given is not None:
        environment["OPENBLAS_CORETYPE"] = given
    shown = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == str(given)


def test_lists_are_a_power_of_two_that_the_rows_can_fill() -> None:
    recipe = recipes.preset("ivf-rabitq")
    assert [recipes.lists_for(recipe, rows) for rows in (100, 10_000, 1_000_000, 10_000_000)] == [
        2,
        256,
        4096,
        16384,
    ]


def test_every_size_has_its_recipe_and_the_sizes_meet() -> None:
    found = list(recipes.presets().values())
    assert [r.name for r in found] == ["exact", "hnsw", "ivf-rabitq", "ivf-rabitq-compact"]
    for smaller, larger in pairwise(found):
        assert smaller.to_rows == larger.from_rows
    assert recipes.choose(1_000_000).name == "hnsw"
    assert recipes.choose(10_000_000).name == "ivf-rabitq"
    assert recipes.choose(100_000_000).name == "ivf-rabitq-compact"


def test_threads_that_need_the_library_first_at_once_all_get_it() -> None:
    code = (
        "import os; from concurrent.futures import ThreadPoolExecutor; from threading import Barrier\n"
        "from visualsearch.nearest import ann\n"
        "barrier = Barrier(8)\n"
        "def get(_): barrier.wait(); return ann.library()\n"
        "with ThreadPoolExecutor(8) as pool: found = set(pool.map(get, range(8)))\n"
        "print(len(found), os.environ.get('OPENBLAS_CORETYPE'))"
    )
    env = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env, timeout=60
    )
    assert done.stdout.split() == ["1", "None"]
