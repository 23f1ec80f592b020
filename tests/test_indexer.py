"""The indexer: incremental by content, resumable, one bad picture never costs its batch."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.errors import SourceError, StorageError
from visualsearch.indexing import Indexer, Progress
from visualsearch.indexing.pipeline import look_ahead
from visualsearch.store import vectors

from .fakes import FakeEncoder, paint, paint_many


def test_a_second_run_over_an_unchanged_folder_embeds_nothing(
    index: vs.Index, photos: Path, encoder: FakeEncoder
) -> None:
    before = encoder.encoded
    report = index.add(photos)
    assert (report.seen, report.unchanged, report.added, report.embedded) == (40, 40, 0, 0)
    assert encoder.encoded == before == 40
    assert report.stages.get("read") is None  # not even read


def test_check_content_reads_but_does_not_embed(index: vs.Index, photos: Path, encoder: FakeEncoder) -> None:
    report = index.add(photos, check_content=True)
    assert (report.unchanged, report.embedded, encoder.encoded) == (40, 0, 40)
    assert report.stages["read"] > 0


def test_a_touched_file_of_the_same_content_is_not_embedded(
    index: vs.Index, photos: Path, encoder: FakeEncoder
) -> None:
    os.utime(photos / "003.png", ns=(1, 1))
    report = index.add(photos)
    assert (report.unchanged, report.updated, encoder.encoded) == (40, 0, 40)


def test_a_renamed_file_keeps_its_pin_and_is_not_embedded(
    index: vs.Index, photos: Path, encoder: FakeEncoder
) -> None:
    (photos / "003.png").rename(photos / "moved.png")
    report = index.add(photos)
    assert (report.moved, report.added, encoder.encoded, len(index)) == (1, 0, 40, 40)
    assert "moved.png" in index
    assert "003.png" not in index
    assert index.search(like="moved.png", include_seeds=True, k=1)[0].uri == str(photos / "moved.png")


def test_a_moved_folder_is_not_embedded_again(index: vs.Index, photos: Path, encoder: FakeEncoder) -> None:
    there = photos.with_name("elsewhere")
    photos.rename(there)
    report = index.add(there)
    assert (report.moved, encoder.encoded, len(index)) == (40, 40, 40)
    assert index.search(like="001.png", include_seeds=True, k=1)[0].uri == str(there / "001.png")
    shutil.rmtree(there)


def test_a_copied_file_becomes_a_pin_of_its_own_without_embedding(
    index: vs.Index, photos: Path, encoder: FakeEncoder
) -> None:
    shutil.copy(photos / "003.png", photos / "copy.png")
    report = index.add(photos)
    assert (report.added, report.embedded, encoder.encoded, len(index)) == (1, 0, 40, 41)
    hit = index.search(like="003.png", k=1)[0]
    assert hit.id == "copy.png"
    assert hit.score == pytest.approx(1.0, abs=1e-3)


def test_a_changed_file_replaces_its_rows(index: vs.Index, photos: Path) -> None:
    paint(photos / "003.png", "red")
    report = index.add(photos)
    assert (report.updated, report.embedded, len(index)) == (1, 1, 40)
    assert index.search(text="red", k=1)[0].id == "003.png"
    info = index.info()
    assert (info["rows"], info["dead_rows"]) == (40, 1)
    assert index.verify() == []


def test_two_files_that_swap_their_contents_swap_their_vectors(
    index: vs.Index, photos: Path, encoder: FakeEncoder
) -> None:
    first, second = index.vectors(["001.png", "002.png"])
    (photos / "001.png").rename(photos / "x")
    (photos / "002.png").rename(photos / "001.png")
    (photos / "x").rename(photos / "002.png")
    index.add(photos)
    np.testing.assert_array_equal(index.vectors(["002.png", "001.png"]), [first, second])
    assert encoder.encoded == 40


def test_prune_removes_what_is_gone_and_only_from_this_source(
    index: vs.Index, photos: Path, tmp_path: Path
) -> None:
    paint_many(tmp_path / "other", 3, start=100)
    index.add(tmp_path / "other")
    (photos / "003.png").unlink()
    assert index.add(photos).removed == 0
    assert len(index) == 43
    report = index.add(photos, prune=True)
    assert (report.removed, len(index)) == (1, 42)
    assert "003.png" not in index
    assert index.verify() == []


def test_prune_keeps_a_picture_that_cannot_be_read_just_now(index: vs.Index, photos: Path) -> None:
    (photos / "003.png").write_bytes(b"")
    report = index.add(photos, prune=True)
    assert (report.failed, report.removed, len(index)) == (1, 0, 40)


def test_bad_pictures_are_listed_with_reasons_and_nothing_else_is_lost(index: vs.Index, photos: Path) -> None:
    (photos / "empty.jpg").write_bytes(b"")
    (photos / "text.jpg").write_text("not a picture")
    (photos / "cut.png").write_bytes((photos / "001.png").read_bytes()[:60])
    paint(photos / "good.png", 999)
    report = index.add(photos)
    assert (report.failed, report.added) == (3, 1)
    reasons = {Path(f.uri).name: f.reason for f in index.failures()}
    assert set(reasons) == {"empty.jpg", "text.jpg", "cut.png"}
    assert "empty" in reasons["empty.jpg"]
    assert "text" in reasons["text.jpg"]
    for f in report.failures:
        assert f.reason
        assert f.remedy


def test_a_repaired_picture_leaves_the_list_of_failures(index: vs.Index, photos: Path) -> None:
    (photos / "late.png").write_bytes(b"")
    index.add(photos)
    paint(photos / "late.png", 500)
    assert index.add(photos).added == 1
    assert index.failures() == []


def test_a_crash_inside_a_decoder_costs_one_picture_only(
    index: vs.Index, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint_many(photos, 3, start=60)
    real = FakeEncoder.preprocess

    def odd(self: FakeEncoder, picture: Any) -> Any:
        if picture.getpixel((0, 0)) == bad:
            raise MemoryError("too large")
        return real(self, picture)

    from PIL import Image

    bad = Image.open(photos / "061.png").getpixel((0, 0))
    monkeypatch.setattr(FakeEncoder, "preprocess", odd)
    report = index.add(photos)
    assert (report.added, report.failed) == (2, 1)
    assert "MemoryError" in report.failures[0].reason


def test_equal_names_in_two_folders_get_ids_of_their_own(tmp_path: Path, encoder: FakeEncoder) -> None:
    paint(tmp_path / "a" / "1.png", 1)
    paint(tmp_path / "b" / "1.png", 2)
    index = vs.create(tmp_path / "x.index", encoder)
    index.add(tmp_path / "a")
    index.add(tmp_path / "b")
    assert len(index) == 2
    assert {h.id for h in index.search(image=tmp_path / "a" / "1.png")} == {"1.png", "b/1.png"}
    assert index.add(tmp_path / "b").unchanged == 1


def manifest(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def test_a_manifest_names_and_describes_what_its_folder_already_indexed(
    index: vs.Index, photos: Path, encoder: FakeEncoder
) -> None:
    listing = manifest(
        photos / "list.jsonl", [{"id": f"p{i}", "image": f"{i:03d}.png", "price": i} for i in range(40)]
    )
    report = index.add(listing)
    assert (report.updated, report.embedded, len(index), encoder.encoded) == (40, 0, 40, 40)
    assert sorted(index.search(like="p3", where="price < 2", k=5).ids) == ["p0", "p1"]
    assert index.add(photos).added == 0  # the folder again: the names stay
    assert "p3" in index
    assert len(index) == 40


def test_changed_attributes_are_updated_without_embedding(
    index: vs.Index, photos: Path, encoder: FakeEncoder
) -> None:
    rows = [{"id": f"p{i}", "image": f"{i:03d}.png", "price": i} for i in range(40)]
    index.add(manifest(photos / "list.jsonl", rows))
    rows[5]["price"] = 1000
    report = index.add(manifest(photos / "list.jsonl", rows))
    assert (report.updated, report.unchanged, encoder.encoded) == (1, 39, 40)
    assert index.search(text="red", where="price = 1000").ids == ["p5"]


def test_one_picture_under_two_names_is_two_pins(tmp_path: Path, encoder: FakeEncoder) -> None:
    paint(tmp_path / "a.png", 1)
    index = vs.create(tmp_path / "x.index", encoder)
    report = index.add(
        manifest(tmp_path / "m.jsonl", [{"id": "one", "image": "a.png"}, {"id": "two", "image": "a.png"}])
    )
    assert (report.added, len(index)) == (2, 2)
    assert sorted(index.search(image=tmp_path / "a.png").ids) == ["one", "two"]


def test_ctrl_c_keeps_what_was_embedded_and_the_next_run_goes_on(tmp_path: Path, photos: Path) -> None:
    index = vs.create(tmp_path / "x.index", FakeEncoder(fail_after=20))
    with pytest.raises(KeyboardInterrupt):
        index.add(photos, batch=8, commit_rows=8)
    kept = len(index)
    assert kept == 16
    index.close()
    encoder = FakeEncoder()
    again = vs.open(tmp_path / "x.index", encoder)
    report = again.add(photos)
    assert (report.unchanged, report.added, encoder.encoded) == (16, 24, 24)
    assert again.verify() == []


def test_a_full_disk_is_one_clear_error_and_loses_nothing_committed(
    tmp_path: Path, photos: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = vs.create(tmp_path / "x.index", encoder)
    real, calls = vectors._write, []

    def full(file: Any, array: Any) -> None:
        calls.append(1)
        if len(calls) > 2:
            raise OSError(28, "No space left on device")
        real(file, array)

    monkeypatch.setattr(vectors, "_write", full)
    with pytest.raises(StorageError, match="the disk is full"):
        index.add(photos, batch=8, commit_rows=8)
    assert len(index) == 16
    assert index.verify() == []
    monkeypatch.setattr(vectors, "_write", real)
    assert index.add(photos).added == 24
    assert index.verify() == []
    assert not list((tmp_path / "x.index" / "vectors").glob("*.tmp"))


def test_progress_tells_counts_and_stages(tmp_path: Path, photos: Path, encoder: FakeEncoder) -> None:
    told: list[Progress] = []
    index = vs.create(tmp_path / "x.index", encoder)
    report = index.add(photos, batch=10, progress=told.append)
    assert told[-1].committed == 40
    assert [p.seen for p in told] == sorted(p.seen for p in told)
    assert set(report.stages) == {"read", "decode", "embed", "commit"}
    assert report.bottleneck in report.stages


def test_an_empty_or_missing_source_is_refused(index: vs.Index, tmp_path: Path) -> None:
    (tmp_path / "void").mkdir()
    for bad in (tmp_path / "void", tmp_path / "missing"):
        with pytest.raises(SourceError):
            index.add(bad)
    assert len(index) == 40


def test_look_ahead_keeps_order_and_holds_no_more_than_its_window() -> None:
    drawn: list[int] = []

    def numbers() -> Any:
        for i in range(100):
            drawn.append(i)
            yield i

    results = look_ahead(numbers(), lambda x: x * x, workers=4, window=6)
    for want in range(100):
        assert next(results) == want * want
        assert len(drawn) <= want + 7
    assert next(results, None) is None


def test_squares_are_let_go_when_they_are_embedded(
    tmp_path: Path, photos: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, gone = Indexer._commit, []

    def watched(self: Indexer, done: Any) -> None:
        gone.extend(entry.item.pixels is None for entry in done)
        commit(self, done)

    monkeypatch.setattr(Indexer, "_commit", watched)
    report = vs.create(tmp_path / "new.index", encoder).add(photos)
    assert report.embedded == 40
    assert gone == [True] * 40
