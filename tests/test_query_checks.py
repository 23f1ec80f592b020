"""Vectors, weights, counts and scores that no query can have are told, wherever they come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.errors import EncoderError, UsageError
from visualsearch.search.query_checks import unit_rows
from visualsearch.types import Float32, Part, Query

from .fakes import FakeEncoder, paint_many
from .test_engine import Given, clustered

NAN, INF = float("nan"), float("inf")


@pytest.fixture
def index(tmp_path: Path) -> vs.Index:
    made = vs.create(tmp_path / "x.index", FakeEncoder())
    paint_many(tmp_path / "photos", 12)
    made.add(tmp_path / "photos")
    return made


@pytest.mark.parametrize("weight", [NAN, INF, -INF, 1e30, -1e30, 100.1, "1", None, True])
def test_a_weight_that_is_no_weight_is_refused(index: vs.Index, weight: Any) -> None:
    with pytest.raises(UsageError, match="weight of text"):
        index.search(text="red", weights={"text": weight})
    with pytest.raises(UsageError, match="weight of a part"):
        index.search(parts=[Part(weight, text="red")])


@pytest.mark.parametrize("weight", ["nan", "inf", "1e30", "-1e999"])
def test_the_command_line_refuses_it_as_wrong_usage(run: Any, index: vs.Index, weight: str) -> None:
    refused = run("search", index.folder, "--like", "001.png", "--weight", f"like={weight}")
    assert refused.code == 2
    assert "the weight of like cannot be used" in refused.err


@pytest.mark.parametrize("weight", [0.5, 100, -1, np.float32(2), np.int64(3)])
def test_numbers_of_every_kind_are_weights(index: vs.Index, weight: Any) -> None:
    hits = index.search(text="red", like="001.png", weights={"like": weight}, k=12)
    assert len(hits) == 11


@pytest.mark.parametrize(
    "asked",
    [
        {"k": 0},
        {"k": True},
        {"k": 2.5},
        {"k": "3"},
        {"k": None},
        {"offset": -1},
        {"offset": 0.5},
        {"offset": True},
        {"min_score": NAN},
        {"min_score": INF},
        {"min_score": "high"},
        {"min_score": True},
    ],
)
def test_counts_and_scores_that_cannot_be_asked_for_are_refused(
    index: vs.Index, asked: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="cannot search"):
        index.search(text="red", **asked)
    if "offset" not in asked:
        with pytest.raises(UsageError, match="cannot search"):
            index.nearest(clustered(1), **asked)


def test_counts_of_numpy_and_huge_ones_are_taken(index: vs.Index) -> None:
    assert len(index.search(text="red", k=np.int64(3), offset=np.int32(1))) == 3
    assert len(index.search(text="red", k=10**30)) == 12
    assert index.search(text="red", offset=10**30).ids == []
    assert len(index.nearest(clustered(1), k=10**30)[0]) == 12


@pytest.mark.parametrize("crop", [(NAN, 0, 1, 1), (0, 0, INF, 1), (0, 0, 1), (0, 0, 1, 1, 1), ("a", 0, 1, 1)])
def test_a_crop_that_is_none_is_refused(index: vs.Index, tmp_path: Path, crop: Sequence[Any]) -> None:
    with pytest.raises(UsageError, match="crop"):
        index.search(image=tmp_path / "photos" / "001.png", crop=crop)


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (np.full((1, 49), NAN), "number 0 is not finite"),
        (np.vstack([np.ones(49), np.full(49, INF)]), "number 1 is not finite"),
        (np.zeros((1, 49)), "number 0 is zero"),
        (np.ones((1, 50)), r"\(1, 50\), and the vectors of this index are of dimension 49"),
        (np.ones(49), r"\(49,\), and the vectors of this index are of dimension 49"),
        ([["a"] * 49], "no array of numbers"),
        (None, "dimension 49"),
    ],
)
def test_a_query_vector_that_is_none_is_refused_with_both_dimensions(
    index: vs.Index, vectors: Any, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        index.nearest(vectors)


def test_a_query_vector_of_another_length_is_scaled(index: vs.Index) -> None:
    (query,) = clustered(1)
    first, tenfold, tiny = index.nearest(np.stack([query, 10 * query, 1e-30 * query.astype(np.float64)]), k=5)
    assert first.ids == tenfold.ids == tiny.ids
    np.testing.assert_allclose(tenfold.scores, first.scores, atol=1e-6)
    assert max(abs(first.scores)) < 1


def test_a_vector_of_unit_length_stays_as_it_is() -> None:
    matrix = clustered(200)
    assert np.array_equal(unit_rows(matrix, 49), matrix)
    assert unit_rows(3 * matrix, 49) == pytest.approx(matrix, abs=1e-6)


def test_finished_vectors_that_cannot_be_used_cost_themselves_only(index: vs.Index) -> None:
    matrix = [*clustered(6).astype(np.float64)]
    matrix[1] = matrix[1] * NAN
    matrix[2] = matrix[2] * 0
    matrix[3] = matrix[3][:40]
    matrix[4] = matrix[4] * 10
    report = index.add(Given(matrix))  # type: ignore[arg-type]
    assert [(f.id, f.reason.split(": ")[1]) for f in report.failures] == [
        ("v1", "number 0 is not finite"),
        ("v2", "number 0 is zero"),
        ("v3", "their shape is (1, 40), and the vectors of this index are of dimension 49"),
    ]
    assert report.added == 3
    assert np.linalg.norm(index.vectors(["v0", "v4", "v5"]), axis=1) == pytest.approx(1, abs=1e-3)
    assert index.verify() == []


class Overflowing(FakeEncoder):
    """Gives infinity for every seventh picture, as float16 does where a layer overflows, and for words."""

    def encode_images(self, pixels: Any) -> Float32:
        out = super().encode_images(pixels)
        out[3::7] = INF
        return out

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        return np.full((len(texts), 49), NAN, np.float32)


def test_a_model_that_overflows_loses_these_pictures_and_says_so(tmp_path: Path) -> None:
    paint_many(tmp_path / "photos", 14)
    index = vs.create(tmp_path / "x.index", Overflowing())
    report = index.add(tmp_path / "photos", batch=14)
    assert (report.added, report.failed) == (12, 2)
    assert "not finite" in report.failures[0].reason
    assert index.verify() == []
    with pytest.raises(EncoderError, match="not finite for part 1"):
        index.run(Query((Part(text="red"),)))
