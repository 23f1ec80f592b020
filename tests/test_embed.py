"""`embed` keeps a folder of embeddings true to its source, whatever interrupts it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import visualsearch as vs
from visualsearch.adapters import _shards
from visualsearch.adapters.clip_retrieval import unfinished, write_embeddings
from visualsearch.errors import EncoderMismatchError, LockedError, SourceError
from visualsearch.sources import open_source
from visualsearch.store.lock import writing

from .fakes import FakeEncoder, paint, paint_many


def files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.suffix in (".npy", ".parquet"))


def rows(folder: Path) -> dict[str, np.ndarray]:
    """Id -> vector, straight from the files; fails when an id is there twice."""
    found: dict[str, np.ndarray] = {}
    for matrix in sorted((folder / "img_emb").glob("*.npy")):
        table = pq.read_table(folder / "metadata" / f"{matrix.stem.replace('img_emb', 'metadata')}.parquet")
        for name, vector in zip(table["id"].to_pylist(), np.load(matrix), strict=True):
            assert name not in found
            found[name] = vector
    return found


def embed(source: Any, to: Path, encoder: FakeEncoder | None = None, **options: Any) -> vs.IndexReport:
    return write_embeddings(open_source(source), to, encoder or FakeEncoder(), **options)


def counts(report: vs.IndexReport) -> dict[str, int]:
    names = ("added", "updated", "unchanged", "removed", "failed", "kept", "gone", "embedded")
    return {name: getattr(report, name) for name in names if getattr(report, name)}


def test_changed_and_deleted_pictures_are_seen(tmp_path: Path, encoder: FakeEncoder) -> None:
    photos, to = tmp_path / "photos", tmp_path / "emb"
    paint_many(photos, 4)
    assert counts(embed(photos, to, shard_rows=2, batch=1)) == {"added": 4, "embedded": 4}
    index = vs.create(tmp_path / "x.index", encoder)
    index.add(to)
    assert index.add(to).unchanged == 4
    assert counts(embed(photos, to)) == {"unchanged": 4}
    before = rows(to)
    paint(photos / "001.png", "red")
    (photos / "003.png").unlink()
    assert counts(embed(photos, to)) == {"updated": 1, "unchanged": 2, "gone": 1, "embedded": 1}
    assert sorted(rows(to)) == ["000.png", "001.png", "002.png", "003.png"]
    assert counts(embed(photos, to, prune=True)) == {"unchanged": 3, "removed": 1}
    after = rows(to)
    assert sorted(after) == ["000.png", "001.png", "002.png"]
    np.testing.assert_array_equal(after["000.png"], before["000.png"])
    assert not np.array_equal(after["001.png"], before["001.png"])
    report = index.add(to, prune=True)
    assert (report.updated, report.unchanged, report.removed) == (1, 2, 1)
    assert index.search(text="red", k=1)[0].id == "001.png"
    assert index.add(to, prune=True).unchanged == 3


def test_touched_pictures_and_changed_attributes_are_not_embedded_again(tmp_path: Path) -> None:
    paint_many(tmp_path, 3)
    to, path = tmp_path / "emb", tmp_path / "m.jsonl"

    def write(price: int) -> None:
        path.write_text(
            "".join(
                json.dumps({"id": f"p{i}", "image": f"{i:03d}.png", "price": price * i}) + "\n"
                for i in range(3)
            )
        )

    write(1)
    embed(path, to)
    before = rows(to)
    os.utime(tmp_path / "001.png", ns=(1, 1))
    assert counts(embed(path, to)) == {"unchanged": 3}
    write(10)
    assert counts(embed(path, to)) == {"updated": 2, "unchanged": 1}
    assert counts(embed(path, to)) == {"unchanged": 3}
    after = rows(to)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    index = vs.create(tmp_path / "x.index", FakeEncoder())
    index.add(to)
    assert index.search(like="p0", where="price = 20").ids == ["p2"]


def test_check_content_finds_a_change_that_left_size_and_time_alone(tmp_path: Path) -> None:
    photos, to = tmp_path / "photos", tmp_path / "emb"
    a, b = paint(photos / "a.png", 1), paint(tmp_path / "b.png", 2)
    a.write_bytes(a.read_bytes().ljust(2000, b"\0"))
    embed(photos, to)
    info = a.stat()
    a.write_bytes(b.read_bytes().ljust(2000, b"\0"))
    os.utime(a, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert counts(embed(photos, to)) == {"unchanged": 1}
    assert counts(embed(photos, to, check_content=True)) == {"updated": 1, "embedded": 1}
    assert counts(embed(photos, to, check_content=True)) == {"unchanged": 1}


def test_a_changed_picture_that_cannot_be_read_keeps_its_embedding(tmp_path: Path) -> None:
    paint_many(tmp_path / "photos", 2)
    embed(tmp_path / "photos", tmp_path / "emb")
    (tmp_path / "photos" / "001.png").write_bytes(b"")
    report = embed(tmp_path / "photos", tmp_path / "emb", prune=True)
    assert counts(report) == {"unchanged": 1, "failed": 1}
    assert sorted(rows(tmp_path / "emb")) == ["000.png", "001.png"]


def test_prune_keeps_other_sources_and_what_could_not_be_listed(tmp_path: Path) -> None:
    to = tmp_path / "emb"
    paint_many(tmp_path / "a", 2)
    paint_many(tmp_path / "b", 2, start=10)
    paint_many(tmp_path / "b" / "share", 2, start=20)
    embed(tmp_path / "a", to)
    embed(tmp_path / "b", to)
    shutil.rmtree(tmp_path / "a")
    (tmp_path / "b" / "010.png").unlink()
    shutil.rmtree(tmp_path / "b" / "share")
    (tmp_path / "b" / "share").symlink_to("nowhere")
    report = embed(tmp_path / "b", to, prune=True)
    assert counts(report) == {"unchanged": 1, "removed": 1, "failed": 1, "kept": 2}
    assert sorted(rows(to)) == ["000.png", "001.png", "011.png", "share/020.png", "share/021.png"]


def test_an_interrupted_run_keeps_all_it_embedded(tmp_path: Path, photos: Path) -> None:
    to = tmp_path / "emb"
    with pytest.raises(KeyboardInterrupt):
        embed(photos, to, FakeEncoder(fail_after=20), batch=8)
    assert len(rows(to)) == 16
    assert files(to) == ["img_emb_0000.npy", "metadata_0000.parquet"]
    encoder = FakeEncoder()
    assert counts(embed(photos, to, encoder)) == {"added": 24, "unchanged": 16, "embedded": 24}
    assert len(rows(to)) == 40


def test_a_killed_run_leaves_parts_from_which_the_next_goes_on(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A kill is a failure that nothing gets to handle."""
    to = tmp_path / "emb"

    class Killed(BaseException):
        pass

    def killed(self: FakeEncoder, pixels: Any) -> Any:
        if self.encoded >= 24:
            raise Killed
        return real(self, pixels)

    real = FakeEncoder.encode_images
    with monkeypatch.context() as patch:
        patch.setattr(FakeEncoder, "encode_images", killed)
        with pytest.raises(Killed):
            embed(photos, to, batch=8, flush_seconds=0)
    assert [name for name in files(to) if name.endswith(".npy")] == [
        f"img_emb_0000_000{part}.npy" for part in range(3)
    ]
    assert unfinished(to) == 24
    index = vs.create(tmp_path / "x.index", FakeEncoder())
    assert index.add(to).added == 24  # what is there can be used at once
    encoder = FakeEncoder()
    assert counts(embed(photos, to, encoder)) == {"added": 16, "unchanged": 24, "embedded": 16}
    assert files(to) == [
        "img_emb_0000.npy",
        "img_emb_0001.npy",
        "metadata_0000.parquet",
        "metadata_0001.parquet",
    ]
    assert len(rows(to)) == 40
    assert index.add(to).added == 16


def test_parts_become_shards_of_the_size_asked_for(tmp_path: Path, photos: Path) -> None:
    to = tmp_path / "emb"
    embed(photos, to, batch=4, shard_rows=16, flush_seconds=0)
    assert [len(np.load(p)) for p in sorted((to / "img_emb").glob("*.npy"))] == [16, 16, 8]


@pytest.mark.parametrize("survivor", ["part and whole", "old and new row"])
def test_what_a_kill_left_twice_is_read_once(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, survivor: str
) -> None:
    to = tmp_path / "emb"
    embed(photos, to)
    if survivor == "part and whole":
        for kind, suffix in (("img_emb", "npy"), ("metadata", "parquet")):
            shutil.copy(to / kind / f"{kind}_0000.{suffix}", to / kind / f"{kind}_0000_0000.{suffix}")
    else:
        paint(photos / "003.png", "red")
        with monkeypatch.context() as patch:
            patch.setattr("visualsearch.adapters.clip_retrieval.drop", lambda *_: None)
            assert embed(photos, to).updated == 1
    index = vs.create(tmp_path / "x.index", FakeEncoder())
    assert index.add(to).added == 40
    assert index.add(to).unchanged == 40
    if survivor == "old and new row":
        assert index.search(text="red", k=1)[0].id == "003.png"
    assert counts(embed(photos, to)) == {"unchanged": 40}
    assert len(rows(to)) == 40


def test_attributes_that_change_their_type_between_parts_survive(tmp_path: Path) -> None:
    paint_many(tmp_path, 2)
    path = tmp_path / "m.jsonl"
    path.write_text('{"id": "a", "image": "000.png", "x": 1}\n{"id": "b", "image": "001.png", "x": "two"}\n')
    (tmp_path / "emb").mkdir()
    shard = _shards.Growing(tmp_path / "emb", 0)
    for record, vector in zip(open_source(path), np.eye(2, 49, dtype=np.float32), strict=True):
        shard.add(record, None, "here", vector)  # type: ignore[arg-type]
        shard.flush()
    assert _shards.recover(tmp_path / "emb") == 2
    table = pq.read_table(tmp_path / "emb" / "metadata" / "metadata_0000.parquet")
    assert table["x"].to_pylist() == ["1", "two"]


def test_one_picture_of_a_list_twice_is_embedded_once(tmp_path: Path) -> None:
    paint_many(tmp_path / "f", 2)
    both = [str(tmp_path / "f"), str(tmp_path / "f" / "*.png")]
    assert counts(embed(both, tmp_path / "emb")) == {"added": 2, "unchanged": 2, "embedded": 2}
    assert counts(embed(both, tmp_path / "emb")) == {"unchanged": 4}


def test_an_id_of_another_source_is_a_failure(tmp_path: Path) -> None:
    paint_many(tmp_path, 3)
    for name, image in (("a", "000.png"), ("b", "001.png")):
        (tmp_path / f"{name}.csv").write_text(f"id,image\n1,{image}\n")
    embed(tmp_path / "a.csv", tmp_path / "emb")
    report = embed(tmp_path / "b.csv", tmp_path / "emb")
    assert counts(report) == {"failed": 1}
    assert str(tmp_path / "000.png") in report.failures[0].reason
    assert counts(embed(tmp_path / "a.csv", tmp_path / "emb")) == {"unchanged": 1}
    fresh = tmp_path / "fresh"
    assert counts(embed([str(tmp_path / "a.csv"), str(tmp_path / "b.csv")], fresh)) == {
        "added": 1,
        "failed": 1,
        "embedded": 1,
    }


def test_embeddings_of_an_older_release_are_kept(tmp_path: Path) -> None:
    paint_many(tmp_path / "photos", 3)
    embed(tmp_path / "photos", tmp_path / "emb")
    path = tmp_path / "emb" / "metadata" / "metadata_0000.parquet"
    table = pq.read_table(path)
    pq.write_table(table.select(["image_path", "id"]), path)
    assert counts(embed(tmp_path / "photos", tmp_path / "emb", prune=True)) == {"unchanged": 3}
    assert counts(embed(tmp_path / "photos", tmp_path / "emb", check_content=True)) == {
        "updated": 3,
        "embedded": 3,
    }


def test_the_encoder_s_file_appears_complete_or_not_at_all(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = tmp_path / "emb"

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(vs.VisualSearchError, match="disk is full"):
            embed(photos, to)
    assert not (to / "encoder.json").exists()
    (to / "encoder.json").write_text('{"name": "fa')
    with pytest.raises(SourceError, match="damaged"):
        embed(photos, to)


def test_two_runs_at_a_time_are_refused(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "emb").mkdir()
    with writing(tmp_path / "emb"), pytest.raises(LockedError):
        embed(photos, tmp_path / "emb")


# --- vectors of a model that nobody named


def foreign(folder: Path, dim: int = 49) -> Path:
    (folder / "img_emb").mkdir(parents=True)
    (folder / "metadata").mkdir()
    matrix = np.random.default_rng(0).normal(size=(3, dim)).astype(np.float16)
    np.save(folder / "img_emb" / "img_emb_0.npy", matrix)
    table = pa.table({"image_path": ["a.jpg", "b.jpg", "c.jpg"]})
    pq.write_table(table, folder / "metadata" / "metadata_0.parquet")
    return folder


def test_vectors_of_an_unnamed_model_are_refused(tmp_path: Path, encoder: FakeEncoder) -> None:
    source = foreign(tmp_path / "emb")
    index = vs.create(tmp_path / "x.index", encoder)
    with pytest.raises(SourceError, match=r"does not say which model.*--model"):
        index.add(source)
    assert len(index) == 0
    assert index.add(source, made_by="fake").added == 3
    with pytest.raises((EncoderMismatchError, vs.VisualSearchError)):
        index.add(source, made_by="ViT-B-33")
    (source / "encoder.json").write_text(FakeEncoder("other").spec.to_json())
    with pytest.raises(EncoderMismatchError):
        index.add(source, made_by="fake")


def test_the_command_asks_for_the_model_before_it_writes(run: Any, tmp_path: Path) -> None:
    dim = vs.load_encoder("bundled").spec.dim
    source = foreign(tmp_path / "emb", dim)
    refused = run("index", source, "--to", tmp_path / "x.index")
    assert refused.code == 2
    assert "--model NAME" in refused.err
    assert not (tmp_path / "x.index").exists()
    assert run("index", source, "--to", tmp_path / "x.index", "--model", "bundled").code == 0
    assert run("index", source, "--to", tmp_path / "x.index").code == 2


def test_the_command_tells_what_changed_and_what_is_gone(run: Any, tmp_path: Path) -> None:
    paint_many(tmp_path / "photos", 3)
    run("embed", tmp_path / "photos", "--to", tmp_path / "emb")
    paint(tmp_path / "photos" / "000.png", 50)
    (tmp_path / "photos" / "001.png").unlink()
    told = run("embed", tmp_path / "photos", "--to", tmp_path / "emb")
    assert "0 embedded, 1 updated, 1 there already, 0 removed, 0 failed" in told.err
    assert "gone from the source: 1; --prune drops their embeddings" in told.err
    pruned = run("embed", tmp_path / "photos", "--to", tmp_path / "emb", "--prune", "--json").json
    assert (pruned["removed"], pruned["unchanged"], pruned["gone"]) == (1, 2, 0)
