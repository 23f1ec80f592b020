"""Searching: exactness, filters inside the search, mixes, pages, snapshots and what an index refuses."""

from __future__ import annotations

import dataclasses
import io
import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import visualsearch as vs
from visualsearch import upkeep
from visualsearch.errors import (
    EncoderError,
    EncoderMismatchError,
    FilterError,
    LockedError,
    NotAnIndexError,
    UnknownNameError,
    UsageError,
    VersionError,
)
from visualsearch.nearest import ann
from visualsearch.search import planner
from visualsearch.search import query as query_path
from visualsearch.types import Part, Record

from .fakes import FakeEncoder, paint

DEAR_SCANS = planner.Costs(start=1e9)
"""With these costs the approximate index is asked even where few rows are left."""


class Given:
    """A source of finished vectors with attributes."""

    kind, uri = "embeddings", "given"

    def __init__(self, matrix: np.ndarray, start: int = 0) -> None:
        self.matrix, self.start = matrix, start

    def count(self) -> int:
        return len(self.matrix)

    def __iter__(self) -> Any:
        for i, row in enumerate(self.matrix, self.start):
            yield Record(f"v{i}", f"v{i}", bytes, {"n": i, "even": i % 2 == 0}, True, "1", row)


def unit(matrix: np.ndarray) -> np.ndarray:
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


def clustered(rows: int, dim: int = 49, seed: int = 0) -> np.ndarray:
    """Vectors around many centres: neither noise nor copies."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(8, rows // 50), dim))
    return unit(centres[rng.integers(len(centres), size=rows)] + 0.6 * rng.normal(size=(rows, dim)))


def add_given(
    index: vs.Index, matrix: np.ndarray, monkeypatch: pytest.MonkeyPatch, start: int = 0, **options: Any
) -> None:
    monkeypatch.setattr(
        "visualsearch.adapters.clip_retrieval.open_embeddings", lambda source, spec, named: source
    )
    index.add(Given(matrix, start), **options)


def exact(matrix: np.ndarray, query: np.ndarray, k: int) -> list[str]:
    stored = matrix.astype(np.float16).astype(np.float32)
    scores = stored @ query / np.linalg.norm(stored, axis=1)
    return [f"v{i}" for i in np.argsort(-scores, kind="stable")[:k]]


def test_every_kind_of_picture_finds_itself_with_score_one(index: vs.Index, photos: Path) -> None:
    path = photos / "007.png"
    picture = Image.open(path)
    for image in (path, str(path), path.read_bytes(), picture, np.asarray(picture.convert("RGB"))):
        hit = index.search(image=image, k=1)[0]
        assert hit.id == "007.png"
        assert hit.score == pytest.approx(1.0, abs=1e-3)
        assert hit.box == (0, 0, 1, 1)
        assert hit.uri == str(path)


def test_scores_are_true_cosines_in_descending_order(
    index: vs.Index, photos: Path, encoder: FakeEncoder
) -> None:
    hits = index.search(image=photos / "007.png", k=40)
    query = encoder.encode_images(encoder.preprocess(Image.open(photos / "007.png").convert("RGB"))[None])[0]
    stored = index.vectors(hits.ids)
    cosines = stored @ query / np.linalg.norm(stored, axis=1)
    np.testing.assert_allclose(hits.scores, cosines, atol=1e-6)
    assert list(hits.scores) == sorted(hits.scores, reverse=True)
    assert len(hits) == hits.total == 40


def test_a_crop_finds_what_is_in_it(index: vs.Index, photos: Path, tmp_path: Path) -> None:
    scene = Image.new("RGB", (640, 480))
    scene.paste(Image.open(photos / "011.png"), (300, 200))
    scene.save(tmp_path / "scene.png")
    box = (300 / 640, 200 / 480, 364 / 640, 248 / 480)
    assert index.search(image=tmp_path / "scene.png", crop=box, k=1).ids == ["011.png"]
    assert index.search(image=tmp_path / "scene.png", crop=(300, 200, 364, 248), k=1).ids == ["011.png"]


@pytest.mark.parametrize(
    "crop", [(0.5, 0.5, 0.5, 0.9), (0.9, 0, 0.1, 1), (0, 0, 5000, 10), (float("nan"), 0, 1, 1), (-1, 0, 1, 1)]
)
def test_a_crop_that_is_empty_or_outside_is_refused(index: vs.Index, photos: Path, crop: Any) -> None:
    with pytest.raises(UsageError):
        index.search(image=photos / "001.png", crop=crop)


def test_words_stored_pins_and_mixes(index: vs.Index, photos: Path) -> None:
    for color in ("red", "green", "blue"):
        paint(photos / f"{color}.png", color)
    index.add(photos)
    assert index.search(text="green", k=1).ids == ["green.png"]
    assert index.search(like="red.png", include_seeds=True, k=1).ids == ["red.png"]
    assert "red.png" not in index.search(like="red.png", k=43).ids
    mixed = index.search(text=["red", "blue"], k=2)
    assert set(mixed.ids) == {"red.png", "blue.png"}
    away = index.search(text="red", unlike="red.png", k=43)
    assert away.ids != index.search(text="red", k=43).ids
    half = index.search(parts=[Part(0.7, text="red"), Part(0.3, text="green")], k=43)
    assert half.ids.index("red.png") < half.ids.index("green.png")
    flipped = index.search(text=["red", "green"], weights={"text": -1}, k=43)
    assert flipped.ids[-1] in ("red.png", "green.png")


def test_a_query_of_one_part_is_that_part(index: vs.Index, encoder: FakeEncoder) -> None:
    red, _ = encoder.encode_texts(["red", "green"])
    for weight in (1.0, 0.7):
        scaled = np.float32(weight) * red
        want = scaled / np.float32(np.linalg.norm(scaled))
        np.testing.assert_array_equal(index.vector(vs.Query((Part(weight, text="red"),))), want)
    two = vs.Query((Part(text="red"), Part(0.0, text="green")))
    np.testing.assert_array_equal(index.vector(two), index.vector(vs.Query((Part(text="red"),))))


def test_a_mixed_query_is_the_sum_of_parts_of_equal_spread(index: vs.Index, encoder: FakeEncoder) -> None:
    parts = encoder.encode_texts(["red", "green"])
    rows = index.vectors([row.id for page in index.rows() for row in page])
    scaled = parts / (rows @ parts.T).std(0)[:, None]
    wanted = 0.7 * scaled[0] + 0.2 * scaled[1]
    got = index.vector(vs.Query((Part(0.7, text="red"), Part(0.2, text="green"))))
    np.testing.assert_allclose(got, wanted / np.linalg.norm(wanted), atol=1e-5)


def test_impossible_queries_say_why(index: vs.Index, photos: Path) -> None:
    with pytest.raises(UsageError, match="nothing to search for"):
        index.search()
    with pytest.raises(UsageError, match="cancel out"):
        index.search(text="red", not_text="red", weights={"not_text": 1})
    with pytest.raises(UsageError, match="crop without a picture"):
        index.search(text="red", crop=(0, 0, 1, 1))
    with pytest.raises(UsageError, match="k is 0"):
        index.search(text="red", k=0)
    with pytest.raises(UnknownNameError, match="007"):
        index.search(like="007.pn")
    with pytest.raises(UnknownNameError, match="image"):
        index.search(text="red", weights={"imag": 1})
    with pytest.raises(vs.VisualSearchError, match=r"missing\.jpg"):
        index.search(image=photos / "missing.jpg")


def test_pages_follow_one_another_without_gap_or_overlap(index: vs.Index) -> None:
    whole = index.search(text="red", k=40).ids
    pages = [index.search(text="red", k=7, offset=at).ids for at in range(0, 40, 7)]
    assert [i for page in pages for i in page] == whole
    assert index.search(text="red", offset=40).ids == []


def test_a_minimum_score_cuts_the_tail(index: vs.Index) -> None:
    whole = index.search(text="red", k=40)
    edge = whole[9].score
    assert index.search(text="red", k=40, min_score=edge).ids == whole.ids[:10]
    assert index.search(text="red", min_score=1.0).ids == []


def test_an_empty_index_finds_nothing_and_says_so(tmp_path: Path, encoder: FakeEncoder) -> None:
    index = vs.create(tmp_path / "x.index", encoder)
    hits = index.search(text="red")
    assert (len(hits), hits.total) == (0, 0)
    assert index.info()["recall"] is None
    assert index.verify() == []
    index.compact()
    assert len(index) == 0


@pytest.mark.parametrize("preset", ["exact", "hnsw", "ivf-rabitq", "ivf-rabitq-compact"])
def test_every_preset_finds_the_neighbours_with_true_cosines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preset: str
) -> None:
    dim = 64
    encoder = FakeEncoder(dim=dim)
    matrix = clustered(4000, dim)
    monkeypatch.setattr(planner, "COSTS", DEAR_SCANS)
    monkeypatch.setattr(upkeep, "FRESH_ROWS", 100)
    index = vs.create(tmp_path / "x.index", encoder, preset=preset)
    add_given(index, matrix, monkeypatch)
    queries = unit(matrix[::400] + 0.2 * np.random.default_rng(1).normal(size=(10, dim)) / np.sqrt(dim))
    found = 0
    for query in queries:
        hits = _by_vector(index, query, 10)
        found += len(set(hits.ids) & set(exact(matrix, query, 10)))
        stored = index.vectors(hits.ids)
        np.testing.assert_allclose(hits.scores, stored @ query / np.linalg.norm(stored, axis=1), atol=1e-5)
    assert found / 100 >= (1.0 if preset == "exact" else 0.9)
    info = index.info()
    assert info["preset"] == preset
    assert info["recall"] >= 0.9
    assert index.verify() == []


def _by_vector(index: vs.Index, query: np.ndarray, k: int, where: str | None = None) -> vs.Hits:
    with index._open() as (reader, snapshot):
        return query_path.find(reader, snapshot, query, vs.Query((), k, where=where), set())


@pytest.mark.parametrize("preset", ["exact", "hnsw", "ivf-rabitq"])
def test_a_filter_that_leaves_enough_pins_gives_k_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: FakeEncoder, preset: str
) -> None:
    matrix = clustered(3000)
    monkeypatch.setattr(planner, "COSTS", DEAR_SCANS)
    monkeypatch.setattr(upkeep, "FRESH_ROWS", 50)
    index = vs.create(tmp_path / "x.index", encoder, preset=preset)
    add_given(index, matrix, monkeypatch)
    query = matrix[17]
    for where, keep in (
        ("n < 10", range(10)),
        ("n >= 2900", range(2900, 3000)),
        ("even", range(0, 3000, 2)),
        ("n < 1500 or not even", [i for i in range(3000) if i < 1500 or i % 2]),
    ):
        hits = _by_vector(index, query, 10, where)
        want = [f"v{i}" for i in sorted(keep, key=lambda i: -float(matrix[i] @ query))[:10]]
        assert len(hits) == 10, where
        assert hits.total == len(list(keep))
        assert all(int(h.id[1:]) in set(keep) for h in hits)
        assert len(set(hits.ids) & set(want)) >= 9, where
    assert len(_by_vector(index, query, 10, "n < 3")) == 3
    assert len(_by_vector(index, query, 10, "n < 0")) == 0


def test_fresh_rows_are_found_exactly_beside_the_approximate_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: FakeEncoder
) -> None:
    monkeypatch.setattr(planner, "COSTS", DEAR_SCANS)
    monkeypatch.setattr(upkeep, "FRESH_ROWS", 50)
    index = vs.create(tmp_path / "x.index", encoder, preset="hnsw")
    old, new = clustered(2000), clustered(40, seed=5)
    add_given(index, old, monkeypatch)
    built = index.info()["factory"]
    add_given(index, new, monkeypatch, start=2000)
    info = index.info()
    assert (info["fresh_rows"], info["factory"]) == (40, built)
    for i in range(40):
        assert _by_vector(index, new[i], 1).ids == [f"v{2000 + i}"]
    index.compact()
    assert index.info()["fresh_rows"] == 0
    assert _by_vector(index, new[3], 1).ids == ["v2003"]


def test_many_fresh_rows_are_taken_into_the_approximate_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: FakeEncoder
) -> None:
    monkeypatch.setattr(planner, "COSTS", DEAR_SCANS)
    monkeypatch.setattr(upkeep, "FRESH_ROWS", 50)
    index = vs.create(tmp_path / "x.index", encoder, preset="hnsw")
    add_given(index, clustered(1000), monkeypatch)
    built = []
    monkeypatch.setattr(ann, "build", lambda *a, **k: built.append(1))
    more = clustered(500, seed=9)
    add_given(index, more, monkeypatch, start=1000)
    assert index.info()["fresh_rows"] == 0
    assert built == []  # grown, not built anew
    assert _by_vector(index, more[3], 1).ids == ["v1003"]


@pytest.mark.parametrize("preset", ["exact", "hnsw"])
def test_removed_pins_are_gone_at_once_and_compact_frees_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: FakeEncoder, preset: str
) -> None:
    monkeypatch.setattr(planner, "COSTS", DEAR_SCANS)
    monkeypatch.setattr(upkeep, "FRESH_ROWS", 50)
    matrix = clustered(1000)
    index = vs.create(tmp_path / "x.index", encoder, preset=preset)
    add_given(index, matrix, monkeypatch)
    gone = [f"v{i}" for i in range(0, 1000, 3)]
    assert index.remove([*gone, "nobody"]) == ["nobody"]
    assert len(index) == 666
    left = np.array([i for i in range(1000) if i % 3])
    for i in (0, 3, 10):
        hits = _by_vector(index, matrix[i], 20)
        assert len(hits) == 20
        assert not set(hits.ids) & set(gone)
    before = {i: index.vectors([f"v{i}"])[0] for i in (1, 500, 998)}
    index.compact()
    assert index.verify() == []
    info = index.info()
    assert (info["rows"], info["dead_rows"], info["vector_bytes"]) == (666, 0, 666 * 49 * 2)
    for i, vector in before.items():
        np.testing.assert_array_equal(index.vectors([f"v{i}"])[0], vector)
        assert _by_vector(index, vector, 1).ids == [f"v{i}"]
    want = [f"v{left[j]}" for j in np.argsort(-(matrix[left] @ matrix[4]), kind="stable")[:5]]
    assert _by_vector(index, matrix[4], 5).ids == want
    # Rows are never reused: what is added after a compaction gets new ones.
    add_given(index, clustered(30, seed=3), monkeypatch, start=5000)
    assert index.remove(["v5000"]) == []
    assert index.verify() == []


def test_small_segments_are_merged_as_an_index_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: FakeEncoder
) -> None:
    index = vs.create(tmp_path / "x.index", encoder)
    matrix = clustered(400)
    add_given(index, matrix, monkeypatch, batch=10, commit_rows=10)
    assert index.info()["segments"] == 1
    assert len(list((tmp_path / "x.index" / "vectors").iterdir())) == 1
    np.testing.assert_allclose(index.vectors(["v399"])[0], matrix[399], atol=1e-3)
    assert index.verify() == []


def test_pins_with_regions_are_grouped_and_keep_the_best_box(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: FakeEncoder, photos: Path
) -> None:
    from visualsearch.indexing import Indexer, Settings
    from visualsearch.sources import open_source

    scene = Image.new("RGB", (640, 480), (9, 9, 9))
    scene.paste(Image.open(photos / "011.png").resize((320, 240)), (320, 240))
    (tmp_path / "scenes").mkdir()
    scene.save(tmp_path / "scenes" / "scene.png")
    index = vs.create(tmp_path / "x.index", encoder)
    box = vs.Box(0.5, 0.5, 1.0, 1.0)
    with index._writing() as writer:
        run = Indexer(index.folder, index.catalog, writer, encoder, Settings(), propose=lambda picture: [box])
        source = open_source(tmp_path / "scenes")
        run.run(source, source.uri, source.kind)
    assert (len(index), index.info()["rows"], index.info()["regions"]) == (1, 2, 1)
    hits = index.search(image=photos / "011.png")
    assert [(h.id, h.box) for h in hits] == [("scene.png", box)]
    whole = index.vector(vs.Query((Part(image=photos / "011.png"),))) @ index.vectors(["scene.png"])[0]
    assert hits[0].score > float(whole) + 0.2
    assert index.verify() == []


def test_another_encoder_is_refused_with_the_command_that_fixes_it(index: vs.Index) -> None:
    with pytest.raises(EncoderMismatchError, match=r"visualsearch index .* --model other"):
        vs.open(index.folder, FakeEncoder("other"))


def test_opening_what_is_no_index_says_what_it_is(tmp_path: Path, index: vs.Index) -> None:
    with pytest.raises(NotAnIndexError, match="does not exist"):
        vs.open(tmp_path / "nothing")
    (tmp_path / "plain").mkdir()
    with pytest.raises(NotAnIndexError, match=r"has no catalog\.sqlite"):
        vs.open(tmp_path / "plain")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    sqlite3.connect(foreign / "catalog.sqlite").execute("CREATE TABLE meta (key, value)").connection.commit()
    with pytest.raises(NotAnIndexError):
        vs.open(foreign)
    (foreign / "catalog.sqlite").write_bytes(b"this is not a database, it is a text file" * 100)
    with pytest.raises(NotAnIndexError, match="damaged or not a catalog"):
        vs.open(foreign)
    index.close()
    db = sqlite3.connect(index.folder / "catalog.sqlite")
    db.execute("PRAGMA user_version = 99")
    db.commit()
    db.close()
    with pytest.raises(VersionError, match="pip install --upgrade visualsearch"):
        vs.open(index.folder)


def test_create_refuses_a_folder_that_holds_something(
    index: vs.Index, photos: Path, encoder: FakeEncoder
) -> None:
    with pytest.raises(UsageError, match="is an index already"):
        vs.create(index.folder, encoder)
    with pytest.raises(UsageError, match="not empty"):
        vs.create(photos, encoder)
    with pytest.raises(UnknownNameError, match="hnsw"):
        vs.create(photos.parent / "y.index", encoder, preset="hnws")


def test_damage_is_found_and_named(index: vs.Index) -> None:
    file = next((index.folder / "vectors").iterdir())
    data = np.load(file)
    data[3] = 0
    np.save(file, data)
    again = vs.open(index.folder, FakeEncoder())
    assert [p.what for p in again.verify()] == ["1 stored vectors are not of unit length"]
    file.write_bytes(file.read_bytes()[:200])
    assert "damaged" in vs.open(index.folder, FakeEncoder()).verify()[0].what
    with pytest.raises(NotAnIndexError, match="damaged"):
        vs.open(index.folder, FakeEncoder()).search(text="red")
    file.unlink()
    assert "missing" in vs.open(index.folder, FakeEncoder()).verify()[0].what
    with pytest.raises(NotAnIndexError, match="missing"):
        vs.open(index.folder, FakeEncoder()).search(text="red")


def test_a_second_writer_is_refused_and_told_who_writes(index: vs.Index, photos: Path) -> None:
    other = vs.open(index.folder, FakeEncoder())
    with index._writing(), pytest.raises(LockedError, match=r"process \d+ on"):
        other.remove(["001.png"])
    assert other.remove(["001.png"]) == []
    assert len(index) == 39


def test_a_reader_follows_the_writer_without_being_reopened(index: vs.Index, photos: Path) -> None:
    reader = vs.open(index.folder, FakeEncoder())
    assert len(reader.search(text="red", k=100)) == 40
    paint(photos / "red.png", "red")
    index.add(photos)
    assert reader.search(text="red", k=1).ids == ["red.png"]
    index.remove(["red.png"])
    assert reader.search(text="red", k=1).ids != ["red.png"]


def test_filters_name_the_attributes_that_exist(index: vs.Index, photos: Path) -> None:
    listing = photos / "list.jsonl"
    listing.write_text(
        json.dumps({"id": "a", "image": "001.png", "price": 3, "tags": ["x", "y"], "none": None})
    )
    index.add(listing)
    assert index.search(text="red", where="tags contains 'y' and price between 1 and 5").ids == ["a"]
    with pytest.raises(FilterError, match="Known: price"):
        index.search(text="red", where="prise < 4")


def test_attributes_come_back_as_they_were(index: vs.Index, photos: Path) -> None:
    values = {
        "price": 3.5,
        "title": "naïve <b>'quoted'</b> 日本",
        "sold": False,
        "tags": ["a", 1],
        "none": None,
    }
    (photos / "l.jsonl").write_text(json.dumps({"id": "a", "image": "001.png", **values}))
    index.add(photos / "l.jsonl")
    assert index.search(like="a", include_seeds=True, k=1)[0].attributes == values


def test_a_picture_in_memory_needs_no_file(index: vs.Index) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (50, 50), (255, 0, 0)).save(buffer, "JPEG")
    assert len(index.search(image=buffer.getvalue())) == 10


def test_info_is_plain_json(index: vs.Index) -> None:
    info = json.loads(json.dumps(index.info()))
    assert (info["pins"], info["rows"], info["encoder"], info["recall"]) == (40, 40, "fake", 1.0)
    assert info["disk_bytes"] > info["vector_bytes"] == 40 * 49 * 2


@pytest.mark.parametrize("name", ["hf-hub:stranger/model", "ViT-B-32/laion2b_s34b_b79k", "RN50/openai"])
def test_the_model_name_in_an_index_starts_no_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    pytest.importorskip("open_clip", reason="the extra 'clip' is not installed")
    import visualsearch.encoders.openclip as module

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("a download began")

    monkeypatch.setattr(module, "load", never)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
    vs.create(tmp_path / "foreign.index", dataclasses.replace(FakeEncoder().spec, name=name)).close()
    index = vs.open(tmp_path / "foreign.index")
    with pytest.raises(EncoderError, match="are not on this machine") as caught:
        _ = index.encoder
    assert f'--model "{name}"' in str(caught.value)
    with pytest.raises(AssertionError, match="a download began"):
        _ = vs.open(tmp_path / "foreign.index", name).encoder
