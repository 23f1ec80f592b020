"""Indexing and searching what a Python program holds already."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import visualsearch as vs
from visualsearch import images
from visualsearch.encoders import BaseEncoder
from visualsearch.errors import PictureError, SourceError, UsageError
from visualsearch.sources import open_source
from visualsearch.types import WHOLE, Failure, Hit, Hits, Record

from .fakes import FakeEncoder, paint


class Encoder(FakeEncoder, BaseEncoder):
    """The fake with what every encoder of the package has."""

    spec = None  # type: ignore[assignment]

    def _image_vectors(self, pixels: Any) -> Any:
        return FakeEncoder.encode_images(self, pixels)

    def _text_vectors(self, texts: list[str]) -> Any:
        return FakeEncoder.encode_texts(self, texts)


def mosaic(seed: int) -> Image.Image:
    cells = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((64, 48), Image.Resampling.NEAREST)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[vs.Index]:
    with vs.create(tmp_path / "i", Encoder()) as made:
        yield made


def ids(index: vs.Index) -> list[str]:
    return sorted(stored.id for rows in index.rows() for stored in rows)


def test_dictionaries_with_pictures_become_pins_with_attributes(index: vs.Index) -> None:
    report = index.add([{"id": 7, "image": mosaic(1), "price": np.float32(2.5), "tags": np.array([1, 2])}])
    assert (report.added, report.failed) == (1, 0)
    assert index.attributes_of("7") == {"price": 2.5, "tags": [1, 2]}
    assert index.search(image=mosaic(1))[0].id == "7"


@pytest.mark.parametrize(
    "make",
    [
        lambda: mosaic(3),
        lambda: np.asarray(mosaic(3)),
        lambda: [mosaic(3)],
        lambda: (mosaic(seed) for seed in [3]),
        lambda: iter([np.asarray(mosaic(3))]),
    ],
    ids=["picture", "array", "list", "generator", "iterator"],
)
def test_pictures_without_a_name_are_named_by_their_content(index: vs.Index, make: Any) -> None:
    assert index.add(make()).added == 1
    assert index.add(make()).unchanged == 1
    (name,) = ids(index)
    assert name.startswith("picture-")
    assert index.search(image=mosaic(3))[0].score == pytest.approx(1, abs=1e-3)


def test_a_generator_of_paths_is_read_lazily_and_one_bad_entry_costs_itself(
    index: vs.Index, tmp_path: Path
) -> None:
    good = paint(tmp_path / "a.png", 1)

    def paths() -> Iterator[Any]:
        yield good
        yield tmp_path / "absent.png"
        yield 17
        yield {"id": "x"}
        yield ""
        yield str(paint(tmp_path / "b.png", 2))

    report = index.add(paths())
    assert report.added == 2
    assert report.failed == 4
    reasons = " ".join(failure.reason for failure in report.failures)
    assert "entry 3 is a int" in reasons
    assert "entry 4 has no 'image'" in reasons


def test_an_id_given_twice_is_told(index: vs.Index) -> None:
    report = index.add([{"id": "a", "image": mosaic(1)}, {"id": "a", "image": mosaic(2)}])
    assert report.added == 1
    assert report.failures[0].reason == "entry 2 has the id of entry 1"


def test_records_are_taken_as_they_are(index: vs.Index) -> None:
    out = io.BytesIO()
    mosaic(5).save(out, "PNG")
    report = index.add([Record("r", "place", out.getvalue, {"n": 1}, named=True), Failure("u", "f", "why")])
    assert (report.added, report.failed) == (1, 1)
    assert index.attributes_of("r") == {"n": 1}


def test_arrow_and_pandas_tables_are_read_with_their_types(index: vs.Index, tmp_path: Path) -> None:
    import pandas as pd

    paths = [str(paint(tmp_path / f"{n}.png", n)) for n in range(4)]
    table = pa.table({"id": ["a", "b"], "image": paths[:2], "price": [1.5, None]})
    assert index.add(table).added == 2
    frame = pd.DataFrame({"id": [1, 2], "image": paths[2:], "price": [float("nan"), 3.0]})
    assert index.add(frame).added == 2
    assert ids(index) == ["1", "2", "a", "b"]
    assert [index.attributes_of(name)["price"] for name in ("a", "b", "1", "2")] == [1.5, None, None, 3.0]
    assert [hit.id for hit in index.search(image=paths[0], where="price > 1")] == ["a", "2"]


def test_a_pandas_table_of_pictures_is_read_row_by_row(index: vs.Index) -> None:
    import pandas as pd

    assert index.add(pd.DataFrame({"id": ["x"], "image": [mosaic(8)]})).added == 1


def test_a_table_without_the_columns_names_what_it_has() -> None:
    with pytest.raises(
        SourceError, match=r"lacks the column 'image'.*its columns are id, picture.*image_column="
    ):
        open_source(pa.table({"id": ["a"], "picture": ["b"]}))


@pytest.mark.parametrize("bad", [17, None, object()])
def test_what_holds_no_pictures_is_refused(bad: Any) -> None:
    with pytest.raises(SourceError, match="is not a source of pictures"):
        open_source(bad)


def test_what_python_handed_over_is_not_pruned(index: vs.Index) -> None:
    with pytest.raises(UsageError, match=r"index\.remove"):
        index.add([mosaic(1)], prune=True)


@pytest.mark.parametrize("form", ["channels first", "channels last", "floats", "grey"])
def test_tensors_are_pictures(form: str) -> None:
    torch = pytest.importorskip("torch")
    array = np.asarray(mosaic(1))
    tensor = {
        "channels first": torch.from_numpy(array.transpose(2, 0, 1).copy()),
        "channels last": torch.from_numpy(array.copy()),
        "floats": torch.from_numpy(array.transpose(2, 0, 1) / 255),
        "grey": torch.from_numpy(array[..., 0].copy()),
    }[form]
    expected = np.repeat(array[..., :1], 3, 2) if form == "grey" else array
    np.testing.assert_array_equal(np.asarray(images.load(tensor)), expected)


def test_a_normalised_tensor_is_refused_with_the_remedy() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(UsageError, match="normalised"):
        images.load(torch.full((3, 8, 8), -1.0))


def test_skipped_pictures_leave_nan_rows_where_they_stood(caplog: pytest.LogCaptureFixture) -> None:
    given = [mosaic(1), b"no picture", mosaic(2)]
    with pytest.raises(PictureError, match="picture number 1"):
        Encoder().embed_images(given)
    with caplog.at_level(logging.WARNING, "visualsearch.encoders"):
        vectors = Encoder().embed_images(given, batch_size=2, on_error="skip")
    assert np.isfinite(vectors).all(1).tolist() == [True, False, True]
    np.testing.assert_array_equal(vectors[[0, 2]], Encoder().embed_images([given[0], given[2]]))
    assert "picture number 1 is skipped" in caplog.text
    assert np.isnan(Encoder().embed_images([b"x"], on_error="skip")).all()


def test_many_pictures_are_searched_in_one_call(index: vs.Index) -> None:
    index.add([{"id": f"p{n}", "image": mosaic(n)} for n in range(9)])
    found = index.search_many([mosaic(4), b"no picture", mosaic(7)], k=2, on_error="skip")
    assert [hits.ids[:1] for hits in found] == [["p4"], [], ["p7"]]
    assert found[1].plan == "unreadable"
    assert found[0].ids == index.search(image=mosaic(4), k=2).ids
    with pytest.raises(PictureError):
        index.search_many([b"no picture"])


def test_hits_become_tables() -> None:
    hit = Hit("a", "u", 0.5, WHOLE, {"price": 1, "mixed": 1, "id": "other", "tags": ["x"]})
    other = replace(hit, id="b", attributes={"price": None, "mixed": "two"})
    table = Hits((hit, other), 2, "exact").to_arrow()
    assert table.to_pylist() == [
        {
            "id": "a",
            "score": 0.5,
            "uri": "u",
            "box": [0, 0, 1, 1],
            "price": 1,
            "attributes.mixed": "1",
            "attributes.id": '"other"',
            "tags": ["x"],
        },
        {
            "id": "b",
            "score": 0.5,
            "uri": "u",
            "box": [0, 0, 1, 1],
            "price": None,
            "attributes.mixed": '"two"',
            "attributes.id": None,
            "tags": None,
        },
    ]
    assert list(Hits((hit,), 1, "exact").to_pandas()["id"]) == ["a"]
    assert Hits((), 0, "empty").to_arrow().num_rows == 0
