"""`vs.embed` hands vectors on lazily, in order, in bounded memory; a bad picture costs itself only."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import visualsearch as vs

from .fakes import FakeEncoder, paint, paint_many


def embed(source: Any, **options: Any) -> list[vs.EmbeddedBatch]:
    return list(vs.embed(source, encoder=options.pop("encoder", None) or FakeEncoder(), **options))


def direct(paths: list[Path], encoder: FakeEncoder) -> np.ndarray:
    from visualsearch.images import load

    return encoder.encode_images(np.stack([encoder.preprocess(load(path)) for path in paths]))


def test_batches_hold_the_sources_pictures_in_order_with_their_own_vectors(
    photos: Path, encoder: FakeEncoder
) -> None:
    batches = embed(photos, batch=16, workers=3)
    assert [len(batch) for batch in batches] == [16, 16, 8]
    ids = [name for batch in batches for name in batch.ids]
    assert ids == [f"{n:03d}.png" for n in range(40)]
    assert [uri for batch in batches for uri in batch.uris] == [str(photos / name) for name in ids]
    vectors = np.concatenate([batch.vectors for batch in batches])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, direct([photos / name for name in ids], encoder), atol=1e-6)


def test_a_bad_picture_is_a_failure_of_its_own_batch(photos: Path) -> None:
    (photos / "017.png").write_bytes(b"no picture at all")
    first, second, third = embed(photos, batch=16)
    assert (len(first), len(second), len(third)) == (16, 15, 8)
    assert [failure.id for failure in second.failures] == ["017.png"]
    assert first.failures == third.failures == ()
    assert "017.png" not in second.ids


def test_a_batch_without_any_vector_has_no_rows(tmp_path: Path) -> None:
    paint_many(tmp_path, 2)
    for path in tmp_path.iterdir():
        path.write_bytes(b"broken")
    (only,) = embed(tmp_path)
    assert only.vectors.shape == (0, 49)
    assert len(only.failures) == 2
    assert only.to_arrow().num_rows == 0


def test_a_model_that_gives_no_number_for_a_picture_fails_that_picture(photos: Path) -> None:
    class Odd(FakeEncoder):
        def encode_images(self, pixels: Any) -> Any:
            out = super().encode_images(pixels)
            out[1] = np.nan
            return out

    (only,) = embed(photos, encoder=Odd())
    assert [failure.id for failure in only.failures] == ["001.png"]
    assert np.isfinite(only.vectors).all()


def test_files_that_are_no_pictures_are_counted(photos: Path) -> None:
    (photos / "notes.txt").write_text("hello")
    assert sum(sum(batch.passed_over.values()) for batch in embed(photos, batch=7)) == 1


def test_attributes_of_a_manifest_come_along(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", 1)
    (tmp_path / "shop.csv").write_text("sku,photo,colour\n17,a.png,red\n")
    (only,) = embed(tmp_path / "shop.csv", columns=vs.Columns(id="sku", image="photo"))
    assert only.ids == ["17"]
    assert only.attributes == [{"colour": "red"}]


@pytest.mark.parametrize("kind", ["list", "iterator", "dicts", "arrow", "pandas", "source"])
def test_what_open_source_takes_is_taken(kind: str, photos: Path) -> None:
    pd = pytest.importorskip("pandas")
    paths = [str(path) for path in sorted(photos.iterdir())[:5]]
    rows = [{"id": str(n), "image": path} for n, path in enumerate(paths)]
    source = {
        "list": paths,
        "iterator": iter(paths),
        "dicts": rows,
        "arrow": pa.Table.from_pylist(rows),
        "pandas": pd.DataFrame(rows),
        "source": vs.open_source(paths),
    }[kind]
    assert sum(map(len, embed(source))) == 5


def test_finished_vectors_are_kept_and_bad_ones_fail() -> None:
    good, bad = np.eye(49, dtype=np.float32)[3], np.ones(7, np.float32)
    source = [vs.Record(name, name, bytes, vector=vector) for name, vector in (("a", good), ("b", bad))]
    (only,) = embed(source)
    np.testing.assert_array_equal(only.vectors, good[None])
    assert [failure.id for failure in only.failures] == ["b"]


def test_reading_is_lazy_bounded_and_ends_with_the_loop(photos: Path) -> None:
    asked = 0

    def endless() -> Iterator[str]:
        nonlocal asked
        while True:
            asked += 1
            yield str(photos / f"{asked % 40:03d}.png")

    def unseen() -> Iterator[dict[str, str]]:
        for path in endless():
            yield {"id": str(asked), "image": path}

    batches = vs.embed(unseen(), encoder=FakeEncoder(), batch=8, workers=2)
    assert asked == 0
    for number in range(1, 4):
        assert len(next(batches)) == 8
        assert asked <= 8 * number + 2 * 8 + 2 * 2
    batches.close()  # type: ignore[attr-defined]
    assert not [t for t in threading.enumerate() if t.name.startswith("visualsearch")]


def test_wrong_calls_are_refused_before_anything_is_read(tmp_path: Path, photos: Path) -> None:
    with pytest.raises(vs.UsageError, match="batch is 0"):
        vs.embed(photos, encoder=FakeEncoder(), batch=0)
    with pytest.raises(vs.SourceError, match="no such file"):
        vs.embed(tmp_path / "nowhere", encoder=FakeEncoder())
    with pytest.raises(vs.UsageError, match="unknown"):
        vs.embed(photos, encoder="no-such-model")


def test_one_parquet_file_takes_all_batches_and_gives_an_index(tmp_path: Path, photos: Path) -> None:
    file = tmp_path / "photos.parquet"
    batches = vs.embed(photos, encoder=FakeEncoder(), batch=16)
    first = next(batches).to_arrow()
    with pq.ParquetWriter(file, first.schema) as out:
        out.write_table(first)
        for batch in batches:
            out.write_table(batch.to_arrow())
    index = vs.create(tmp_path / "x.index", FakeEncoder())
    read = (vs.EmbeddedBatch.from_arrow(part) for part in pq.ParquetFile(file).iter_batches(7))
    report = index.add(record for batch in read for record in batch.records(index.spec))
    assert (report.added, report.failed, report.embedded) == (40, 0, 0)
    assert index.search(image=photos / "007.png", k=1)[0].id == "007.png"
    assert index.search(image=photos / "007.png", k=1)[0].score == pytest.approx(1, abs=1e-3)


def test_a_batch_becomes_tables_of_arrow_and_pandas_and_comes_back(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    paint(tmp_path / "a.png", 1)
    (tmp_path / "list.csv").write_text("id,image,title\nx,a.png,Stehlampe „Öse“\n", encoding="utf-8")
    (batch,) = embed(tmp_path / "list.csv")
    table = batch.to_arrow()
    assert table.schema.field("vector").type == pa.list_(pa.float32(), 49)
    frame = batch.to_pandas()
    assert list(frame.columns) == ["id", "uri", "vector", "attributes"]
    np.testing.assert_array_equal(frame["vector"][0], batch.vectors[0])
    again = vs.EmbeddedBatch.from_arrow(pa.concat_tables([table, table]).slice(1))
    assert (again.ids, again.uris, again.attributes) == (batch.ids, batch.uris, batch.attributes)
    np.testing.assert_array_equal(again.vectors, batch.vectors)
    assert again.spec == batch.spec


def test_vectors_of_another_model_are_refused(photos: Path) -> None:
    batch = embed(photos)[0]
    with pytest.raises(vs.EncoderMismatchError, match="'fake' made them"):
        batch.records(FakeEncoder("another").spec)
    with pytest.raises(vs.UsageError, match="which model"):
        vs.EmbeddedBatch.from_arrow(batch.to_arrow().replace_schema_metadata(None))


def test_a_torch_data_loader_takes_the_batches(photos: Path) -> None:
    torch = pytest.importorskip("torch")

    class Vectors(torch.utils.data.IterableDataset):  # type: ignore[misc, name-defined]
        def __iter__(self) -> Iterator[Any]:
            for batch in vs.embed(photos, encoder=FakeEncoder(), batch=16):
                yield batch.ids, torch.from_numpy(batch.vectors)

    loader = torch.utils.data.DataLoader(Vectors(), batch_size=None)
    for _ in range(2):  # each epoch reads the source again
        got = list(loader)
        assert [tuple(vectors.shape) for _, vectors in got] == [(16, 49), (16, 49), (8, 49)]
        assert got[0][0][0] == "000.png"


def test_a_pin_tells_what_the_index_knows_of_it(index: vs.Index, photos: Path) -> None:
    import hashlib

    pin = index.pin("003.png")
    assert (pin.id, pin.uri, pin.named, pin.boxes) == ("003.png", str(photos / "003.png"), False, ())
    assert pin.hash == hashlib.sha256((photos / "003.png").read_bytes()).hexdigest()
    index.update("003.png", {"price": 5})
    assert index.pin("003.png").attributes == {"price": 5}
    assert index.pin("003.png").number == pin.number
    with pytest.raises(vs.UnknownNameError):
        index.pin("nobody")


def test_the_names_that_are_imported_later_are_the_real_ones() -> None:
    from visualsearch import indexing

    assert (vs.Settings, vs.Progress) == (indexing.Settings, indexing.Progress)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        vs.Nothing  # noqa: B018
