"""Pins are neither lost nor taken for others: ids from two places, incomplete reads, removed pins."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import visualsearch as vs
from visualsearch.adapters.clip_retrieval import write_embeddings
from visualsearch.errors import UnknownNameError
from visualsearch.indexing.identity import PinSet
from visualsearch.sources import open_source
from visualsearch.store.schema import LAYOUT

from .fakes import FakeEncoder, paint, paint_many


def shard(path: Path, seeds: dict[str, int]) -> Path:
    """A tar of pictures, key -> seed."""
    with tarfile.open(path, "w") as tar:
        for key, seed in seeds.items():
            data = paint(path.parent / "drawn" / f"{seed}.png", seed).read_bytes()
            info = tarfile.TarInfo(f"{key}.png")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def listing(path: Path, rows: list[tuple[str, str]], **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"id": i, "image": image, **more}) + "\n" for i, image in rows))
    return path


def counts(report: vs.IndexReport) -> dict[str, int]:
    names = ("added", "updated", "moved", "unchanged", "removed", "failed", "kept", "excluded")
    return {name: getattr(report, name) for name in names if getattr(report, name)}


# --- one id from two places


@pytest.mark.parametrize("names", ["{00000..00001}.tar", "{00001,00000}.tar", "*.tar"])
@pytest.mark.parametrize("through_embeddings", [False, True])
def test_shards_with_the_same_keys_give_a_pin_to_each_picture(
    tmp_path: Path, encoder: FakeEncoder, names: str, through_embeddings: bool
) -> None:
    for number in range(2):
        shard(tmp_path / f"{number:05d}.tar", {f"{key:04d}": 10 * number + key for key in range(5)})
    index = vs.create(tmp_path / "x.index", encoder)
    source: Any = str(tmp_path / names)
    if through_embeddings:
        write_embeddings(open_source(source), tmp_path / "emb", encoder)
        source = tmp_path / "emb"
    assert counts(index.add(source)) == {"added": 10}
    assert counts(index.add(source)) == {"unchanged": 10}
    ids = [row.id for rows in index.rows() for row in rows]
    assert sorted(ids) == sorted(f"{n:05d}/{k:04d}" for n in range(2) for k in range(5))
    if through_embeddings:
        again = write_embeddings(open_source(str(tmp_path / names)), tmp_path / "emb", encoder)
        assert (again.unchanged, again.embedded) == (10, 0)
        assert counts(index.add(source)) == {"unchanged": 10}


def test_equal_pictures_in_two_shards_do_not_take_each_others_pin(
    tmp_path: Path, encoder: FakeEncoder
) -> None:
    shard(tmp_path / "a.tar", {"x": 1})
    shard(tmp_path / "b.tar", {"y": 1})
    index = vs.create(tmp_path / "x.index", encoder)
    assert counts(index.add(tmp_path / "a.tar")) == {"added": 1}
    assert counts(index.add(tmp_path / "b.tar")) == {"added": 1}
    assert counts(index.add(tmp_path / "a.tar")) == {"unchanged": 1}
    assert encoder.encoded == 1


def test_a_renamed_shard_keeps_its_pins(tmp_path: Path, encoder: FakeEncoder) -> None:
    shard(tmp_path / "a.tar", {"x": 1, "y": 2})
    index = vs.create(tmp_path / "x.index", encoder)
    index.add(tmp_path / "a.tar")
    (tmp_path / "a.tar").rename(tmp_path / "b.tar")
    assert counts(index.add(tmp_path / "b.tar")) == {"moved": 2}
    assert encoder.encoded == 2
    assert {row.id: Path(row.uri).name for rows in index.rows() for row in rows} == {
        "x": "b.tar::x.png",
        "y": "b.tar::y.png",
    }


def test_an_id_of_another_manifest_is_a_failure_that_names_both_places(
    tmp_path: Path, encoder: FakeEncoder
) -> None:
    paint_many(tmp_path, 4)
    first = listing(tmp_path / "a.jsonl", [("1", "000.png"), ("2", "001.png")])
    second = listing(tmp_path / "b.jsonl", [("1", "002.png"), ("3", "003.png")])
    index = vs.create(tmp_path / "x.index", encoder)
    index.add(first)
    report = index.add(second)
    assert counts(report) == {"added": 1, "failed": 1}
    (failure,) = report.failures
    assert failure.id == "1"
    assert all(str(place) in failure.reason for place in (first, second, tmp_path / "000.png"))
    assert "--replace" in failure.remedy
    encoded = encoder.encoded
    assert counts(index.add(first)) == {"unchanged": 2}
    assert counts(index.add(second)) == {"unchanged": 1, "failed": 1}
    assert encoder.encoded == encoded  # a collision is told without embedding anything
    assert index.search(like="1", include_seeds=True, k=1)[0].uri == str(tmp_path / "000.png")
    assert counts(index.add(second, replace=True)) == {"unchanged": 1, "updated": 1}
    assert index.search(like="1", include_seeds=True, k=1)[0].uri == str(tmp_path / "002.png")
    assert counts(index.add(second)) == {"unchanged": 2}
    assert counts(index.add([first, second], replace=True)) == {"unchanged": 3, "failed": 1}


def test_one_id_twice_in_a_list_of_manifests_is_a_failure(tmp_path: Path, encoder: FakeEncoder) -> None:
    paint_many(tmp_path, 2)
    both = [
        listing(tmp_path / "a.jsonl", [("1", "000.png")]),
        listing(tmp_path / "b.jsonl", [("1", "001.png")]),
    ]
    index = vs.create(tmp_path / "x.index", encoder)
    assert counts(index.add(both)) == {"added": 1, "failed": 1}
    assert counts(index.add(both)) == {"unchanged": 1, "failed": 1}


def test_two_manifests_of_one_command_that_describe_a_picture_differently_do_not_take_turns(
    run: Any, tmp_path: Path
) -> None:
    paint_many(tmp_path, 1)
    a = listing(tmp_path / "a.jsonl", [("1", "000.png")], price=1)
    b = listing(tmp_path / "b.jsonl", [("1", "000.png")], price=2)
    for added in (1, 0):
        done = run("index", a, b, "--to", tmp_path / "x.index", "--json")
        first, second = done.json["sources"]
        assert (first["added"], first["unchanged"], first["updated"]) == (added, 1 - added, 0)
        assert (second["updated"], second["failed"]) == (0, 1)
    assert run("index", b, "--to", tmp_path / "x.index", "--json").json["sources"][0]["updated"] == 1


def test_an_id_that_a_folder_gave_is_not_taken_by_a_manifest(
    index: vs.Index, photos: Path, tmp_path: Path
) -> None:
    paint(tmp_path / "other.png", 700)
    report = index.add(listing(tmp_path / "m.jsonl", [("003.png", str(tmp_path / "other.png"))]))
    assert counts(report) == {"failed": 1}
    assert index.search(like="003.png", include_seeds=True, k=1)[0].uri == str(photos / "003.png")


def test_a_manifest_that_moved_with_its_pictures_keeps_its_pins(tmp_path: Path, encoder: FakeEncoder) -> None:
    paint_many(tmp_path / "old", 3)
    rows = [(str(i), f"{i:03d}.png") for i in range(3)]
    index = vs.create(tmp_path / "x.index", encoder)
    index.add(listing(tmp_path / "old" / "m.jsonl", rows))
    (tmp_path / "old").rename(tmp_path / "new")
    assert counts(index.add(tmp_path / "new" / "m.jsonl", prune=True)) == {"moved": 3}
    assert counts(index.add(tmp_path / "new" / "m.jsonl")) == {"unchanged": 3}
    assert encoder.encoded == 3
    # the pins are the new manifest's now: what it no longer lists can be pruned
    assert counts(index.add(listing(tmp_path / "new" / "m.jsonl", rows[:2]), prune=True)) == {
        "unchanged": 2,
        "removed": 1,
    }


def test_a_renamed_manifest_takes_its_pins_over(tmp_path: Path, encoder: FakeEncoder) -> None:
    paint_many(tmp_path, 3)
    rows = [(str(i), f"{i:03d}.png") for i in range(3)]
    index = vs.create(tmp_path / "x.index", encoder)
    index.add(listing(tmp_path / "a.jsonl", rows))
    (tmp_path / "a.jsonl").rename(tmp_path / "b.jsonl")
    assert counts(index.add(tmp_path / "b.jsonl")) == {"unchanged": 3}
    listing(tmp_path / "b.jsonl", rows[1:])
    assert counts(index.add(tmp_path / "b.jsonl", prune=True)) == {"unchanged": 2, "removed": 1}


def test_a_new_picture_under_a_gone_picture_s_id_is_told_not_taken(
    tmp_path: Path, encoder: FakeEncoder
) -> None:
    paint_many(tmp_path, 2)
    index = vs.create(tmp_path / "x.index", encoder)
    index.add(listing(tmp_path / "a.jsonl", [("1", "000.png")]))
    (tmp_path / "a.jsonl").unlink()
    (tmp_path / "000.png").unlink()
    report = index.add(listing(tmp_path / "b.jsonl", [("1", "001.png")]))
    assert counts(report) == {"failed": 1}
    index.remove(["1"])
    assert counts(index.add(tmp_path / "b.jsonl")) == {"added": 1}  # another picture than the removed one


def test_a_manifest_may_give_its_own_id_another_picture(tmp_path: Path, encoder: FakeEncoder) -> None:
    paint_many(tmp_path, 2)
    index = vs.create(tmp_path / "x.index", encoder)
    index.add(listing(tmp_path / "a.jsonl", [("1", "000.png")]))
    assert counts(index.add(listing(tmp_path / "a.jsonl", [("1", "001.png")]))) == {"updated": 1}


def test_foreign_embeddings_with_equal_keys_are_told(tmp_path: Path, encoder: FakeEncoder) -> None:
    for number in range(2):
        (tmp_path / "emb" / "img_emb").mkdir(parents=True, exist_ok=True)
        (tmp_path / "emb" / "metadata").mkdir(exist_ok=True)
        matrix = np.random.default_rng(number).normal(size=(5, 49)).astype(np.float16)
        np.save(tmp_path / "emb" / "img_emb" / f"img_emb_{number:04d}.npy", matrix)
        table = pa.table({"image_path": [f"{key:09d}" for key in range(5)]})
        pq.write_table(table, tmp_path / "emb" / "metadata" / f"metadata_{number:04d}.parquet")
    index = vs.create(tmp_path / "x.index", encoder)
    assert counts(index.add(tmp_path / "emb", made_by="fake")) == {"added": 5, "failed": 5}
    assert counts(index.add(tmp_path / "emb", made_by="fake")) == {"unchanged": 5, "failed": 5}


def test_pictures_and_their_embeddings_share_pins(tmp_path: Path, photos: Path, encoder: FakeEncoder) -> None:
    write_embeddings(open_source(photos), tmp_path / "emb", encoder)
    index = vs.create(tmp_path / "x.index", encoder)
    index.add(photos)
    assert counts(index.add(tmp_path / "emb")) == {"unchanged": 40}
    assert counts(index.add(photos)) == {"unchanged": 40}
    assert counts(index.add(tmp_path / "emb")) == {"unchanged": 40}
    assert encoder.encoded == 80


def test_a_set_of_pin_numbers_grows_as_it_must() -> None:
    chosen = PinSet()
    for number in (1, 9, 100_000):
        chosen.add(number)
    assert [n for n in range(200_000) if n in chosen] == [1, 9, 100_000]


# --- an incomplete read is no deletion


def test_prune_after_a_damaged_parquet_removes_nothing(tmp_path: Path, encoder: FakeEncoder) -> None:
    paint_many(tmp_path, 20)
    path = tmp_path / "m.parquet"
    table = pa.table({"id": [str(i) for i in range(20)], "image": [f"{i:03d}.png" for i in range(20)]})
    pq.write_table(table, path, row_group_size=5, compression="snappy")
    index = vs.create(tmp_path / "x.index", encoder)
    assert counts(index.add(path)) == {"added": 20}
    group = pq.ParquetFile(path).metadata.row_group(2).column(0)
    data = bytearray(path.read_bytes())
    start = group.dictionary_page_offset or group.data_page_offset
    data[start : start + 20] = b"\xff" * 20
    path.write_bytes(data)
    report = index.add(path, prune=True)
    assert (report.removed, report.incomplete, len(index)) == (0, True, 20)
    assert report.kept + report.unchanged == 20
    assert report.failed >= 1


def test_prune_keeps_what_a_cut_or_absent_shard_held_and_removes_what_is_gone(
    tmp_path: Path, encoder: FakeEncoder
) -> None:
    for number, name in enumerate(("a", "b", "c")):
        shard(tmp_path / f"{name}.tar", {f"{name}{key}": 10 * number + key for key in range(4)})
    index = vs.create(tmp_path / "x.index", encoder)
    pattern = str(tmp_path / "{a,b,c}.tar")
    assert counts(index.add(pattern)) == {"added": 12}
    data = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(data[: len(data) // 4])
    (tmp_path / "b.tar").unlink()
    shard(tmp_path / "c.tar", {f"c{key}": 20 + key for key in range(3)})  # c3 is gone indeed
    report = index.add(pattern, prune=True)
    assert (report.removed, report.incomplete, len(index)) == (1, True, 11)
    assert "c3" not in index
    assert report.kept >= 4


@pytest.mark.parametrize(
    "damaged",
    ["id,image\n1,000.png\n2,001.png,extra\n", "id,image\n1,000.png\n,001.png\n"],
    ids=["a cell too many", "no id"],
)
def test_prune_after_a_damaged_csv_row_removes_nothing(
    tmp_path: Path, encoder: FakeEncoder, damaged: str
) -> None:
    paint_many(tmp_path, 2)
    path = tmp_path / "m.csv"
    path.write_text("id,image\n1,000.png\n2,001.png\n")
    index = vs.create(tmp_path / "x.index", encoder)
    index.add(path)
    path.write_text(damaged)
    report = index.add(path, prune=True)
    assert (report.removed, report.kept, report.incomplete, len(index)) == (0, 1, True, 2)
    path.write_text("id,image\n1,000.png\n")
    assert (index.add(path, prune=True).removed, len(index)) == (1, 1)


def test_prune_keeps_the_pin_of_a_row_that_lost_its_picture(tmp_path: Path, encoder: FakeEncoder) -> None:
    paint_many(tmp_path, 2)
    path = tmp_path / "m.csv"
    path.write_text("id,image\n1,000.png\n2,001.png\n")
    index = vs.create(tmp_path / "x.index", encoder)
    index.add(path)
    path.write_text("id,image\n2,\n")
    report = index.add(path, prune=True)
    assert (report.removed, report.failed, report.incomplete) == (1, 1, False)
    assert "2" in index


def test_prune_keeps_what_lies_behind_a_link_that_leads_nowhere_now(
    tmp_path: Path, encoder: FakeEncoder
) -> None:
    paint_many(tmp_path / "share", 2)
    paint_many(tmp_path / "in", 2, start=10)
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "share")
    index = vs.create(tmp_path / "x.index", encoder)
    assert counts(index.add(tmp_path / "in")) == {"added": 4}
    (tmp_path / "share").rename(tmp_path / "unmounted")
    (tmp_path / "in" / "010.png").unlink()
    report = index.add(tmp_path / "in", prune=True)
    assert counts(report) == {"unchanged": 1, "removed": 1, "failed": 1, "kept": 2}


def test_the_command_says_that_pruning_was_left_out(run: Any, tmp_path: Path) -> None:
    paint_many(tmp_path, 2)
    path = tmp_path / "m.csv"
    path.write_text("id,image\n1,000.png\n2,001.png\n")
    run("index", path, "--to", tmp_path / "x.index")
    path.write_text("id,image\n1,000.png\n2,001.png,extra\n")
    told = run("index", path, "--to", tmp_path / "x.index", "--prune")
    assert "not pruned: 1 that were not seen" in told.err
    values = run("index", path, "--to", tmp_path / "x.index", "--prune", "--json").json["sources"][0]
    assert (values["removed"], values["kept"], values["incomplete"]) == (0, 1, True)


# --- removed pins stay out


def test_a_removed_pin_stays_out_until_it_is_included(index: vs.Index, photos: Path) -> None:
    assert index.remove(["003.png", "004.png", "no"]) == ["no"]
    assert counts(index.add(photos)) == {"unchanged": 38, "excluded": 2}
    assert index.info()["excluded"] == 2
    assert [(e.id, e.uri, e.source) for e in index.excluded()] == [
        (f"00{n}.png", str(photos / f"00{n}.png"), str(photos)) for n in (3, 4)
    ]
    assert counts(index.add(photos, include=["003.png"])) == {"unchanged": 38, "added": 1, "excluded": 1}
    assert counts(index.add(photos)) == {"unchanged": 39, "excluded": 1}
    assert index.info()["excluded"] == 1
    with pytest.raises(UnknownNameError, match=r"004\.png"):
        index.add(photos, include=["005.png"])
    assert index.include(["004.png", "005.png"]) == ["005.png"]
    assert counts(index.add(photos)) == {"unchanged": 39, "added": 1}


def test_a_removed_picture_stays_out_under_another_name_but_its_copies_do_not(
    index: vs.Index, photos: Path
) -> None:
    shutil.copy(photos / "003.png", photos / "copy.png")
    index.add(photos)
    index.remove(["003.png"])
    (photos / "003.png").rename(photos / "renamed.png")
    assert counts(index.add(photos)) == {"unchanged": 40, "excluded": 1}
    assert "copy.png" in index
    assert "renamed.png" not in index


def test_a_removed_row_of_a_manifest_stays_out(tmp_path: Path, encoder: FakeEncoder) -> None:
    paint_many(tmp_path, 3)
    path = listing(tmp_path / "m.jsonl", [("1", "000.png"), ("2", "001.png")])
    index = vs.create(tmp_path / "x.index", encoder)
    index.add(path)
    index.remove(["1"])
    assert counts(index.add(path)) == {"unchanged": 1, "excluded": 1}
    listing(path, [("1", "002.png"), ("2", "001.png")])  # the product has another picture now
    assert counts(index.add(path, prune=True)) == {"unchanged": 1, "excluded": 1}


def test_what_a_program_hands_over_again_comes_back(index: vs.Index, photos: Path) -> None:
    given = [{"id": "mine", "image": (photos / "000.png").read_bytes()}]
    assert index.add(given).added == 1
    index.remove(["mine"])
    assert index.add(given).added == 1


def test_an_index_whose_pins_were_removed_keeps_its_layout(index: vs.Index, photos: Path) -> None:
    index.remove(["003.png"])
    index.compact()
    assert index.verify() == []
    with sqlite3.connect(index.folder / "catalog.sqlite") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (LAYOUT,)
    assert vs.open(index.folder, FakeEncoder()).info()["excluded"] == 1


def test_the_commands_tell_of_removed_pins(run: Any, tmp_path: Path) -> None:
    paint_many(tmp_path / "photos", 3)
    to = tmp_path / "x.index"
    run("index", tmp_path / "photos", "--to", to)
    assert run("remove", to, "001.png").code == 0
    told = run("index", tmp_path / "photos", "--to", to)
    assert "left out because they were removed: 1" in told.err
    assert run("info", to, "--json").json["excluded"] == 1
    assert run("info", to, "--excluded").out == f"001.png\t{tmp_path / 'photos' / '001.png'}\n"
    assert run("index", tmp_path / "photos", "--to", to, "--include", "nothing").code == 2
    back = run("index", tmp_path / "photos", "--to", to, "--include", "001.png", "--json")
    assert (back.json["pins"], back.json["sources"][0]["added"]) == (3, 1)
