"""What is learnt is written whole, read by memory map, told from damage, and the same bytes for the same input."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from visualsearch.errors import LockedError, StorageError, UsageError, VersionError
from visualsearch.recommend import Part, open_learnt, text_list, texts_arrays, write_learnt
from visualsearch.recommend.learnt import current


def part(name: str = "items", scale: int = 1) -> Part:
    arrays = {"weights": np.arange(6, dtype=np.float32).reshape(2, 3) * scale, "pins": np.arange(2)}
    return Part(name, f"{name}-{scale}", arrays, {"method": "ease", "l2": 500.0})


def test_what_is_written_is_read_and_mapped(tmp_path: Path) -> None:
    write_learnt(tmp_path, [part()], watermark=17, seed=3)
    learnt = open_learnt(tmp_path)
    assert learnt is not None
    assert (learnt.number, learnt.watermark, learnt.seed, learnt.names) == (1, 17, 3, ["items"])
    read = learnt.part("items")
    assert read is not None
    assert read.values == {"method": "ease", "l2": 500.0}
    assert isinstance(read.arrays["weights"], np.memmap)
    assert np.array_equal(read.arrays["weights"], part().arrays["weights"])
    assert learnt.part("graph") is None
    assert learnt.verify() == []


def test_empty_arrays_are_kept(tmp_path: Path) -> None:
    write_learnt(tmp_path, [Part("graph", "", {"none": np.zeros((0, 2), np.int32)})], watermark=0, seed=0)
    learnt = open_learnt(tmp_path)
    assert learnt is not None
    read = learnt.part("graph")
    assert read is not None
    assert read.arrays["none"].shape == (0, 2)


def test_nothing_learnt_is_none(tmp_path: Path) -> None:
    assert open_learnt(tmp_path) is None
    (tmp_path / "learnt").mkdir()
    assert open_learnt(tmp_path) is None


def test_a_new_generation_takes_over_and_readers_keep_the_old_one(tmp_path: Path) -> None:
    write_learnt(tmp_path, [part()], watermark=1, seed=0)
    old = open_learnt(tmp_path)
    assert old is not None
    held = old.part("items")
    for scale in (2, 3, 4):
        write_learnt(tmp_path, [part(scale=scale)], watermark=scale, seed=0)
    new = open_learnt(tmp_path)
    assert new is not None
    assert held is not None
    assert new.number == 4
    assert held.arrays["weights"][1, 2] == 5.0
    assert sorted(p.name for p in (tmp_path / "learnt").iterdir() if p.is_dir()) == ["000003", "000004"]


def test_a_part_that_is_still_valid_is_carried_over(tmp_path: Path) -> None:
    write_learnt(tmp_path, [part(), part("graph")], watermark=1, seed=0)
    write_learnt(tmp_path, [part("graph", 2)], watermark=2, seed=0, keep=["items", "unknown"])
    learnt = open_learnt(tmp_path)
    assert learnt is not None
    assert learnt.names == ["graph", "items"]
    assert (learnt.inputs("graph"), learnt.inputs("items"), learnt.inputs("none")) == (
        "graph-2",
        "items-1",
        None,
    )
    assert learnt.verify() == []


def test_the_same_parts_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_learnt(tmp_path / name, [part(), part("graph")], watermark=9, seed=0)
    files = [
        sorted((p.name, p.read_bytes()) for p in (tmp_path / n / "learnt" / "000001").iterdir()) for n in "ab"
    ]
    assert files[0] == files[1]


def test_a_run_killed_before_the_swap_leaves_the_old_state(tmp_path: Path) -> None:
    write_learnt(tmp_path, [part()], watermark=1, seed=0)
    left = tmp_path / "learnt" / ".000002.tmp"
    left.mkdir()
    (left / "items.weights.npy").write_bytes(b"half")
    complete = tmp_path / "learnt" / "000002"  # written, but the pointer was not moved
    complete.mkdir()
    assert current(tmp_path) == 1
    write_learnt(tmp_path, [part(scale=2)], watermark=2, seed=0)
    assert current(tmp_path) == 3
    assert not left.exists()


@pytest.mark.parametrize("harm", ["short", "missing", "other", "garbage"])
def test_a_damaged_array_is_told_with_its_remedy(tmp_path: Path, harm: str) -> None:
    write_learnt(tmp_path, [part()], watermark=1, seed=0)
    path = tmp_path / "learnt" / "000001" / "items.weights.npy"
    if harm == "short":
        os.truncate(path, path.stat().st_size - 4)
    elif harm == "missing":
        path.unlink()
    elif harm == "other":
        np.save(path, np.zeros(7))
    else:
        path.write_bytes(b"\x00" * 300)
    learnt = open_learnt(tmp_path)
    assert learnt is not None
    with pytest.raises(StorageError, match="visualsearch learn"):
        learnt.part("items")
    assert len(learnt.verify()) == 1


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", json.dumps({"format": 1, "watermark": 1, "seed": 0, "parts": {"x/y": {}}})]
)
def test_a_damaged_manifest_is_told(tmp_path: Path, text: str) -> None:
    write_learnt(tmp_path, [part()], watermark=1, seed=0)
    (tmp_path / "learnt" / "000001" / "manifest.json").write_text(text)
    with pytest.raises(StorageError, match=r"manifest\.json"):
        open_learnt(tmp_path)


def test_a_newer_format_asks_for_an_update(tmp_path: Path) -> None:
    write_learnt(tmp_path, [part()], watermark=1, seed=0)
    path = tmp_path / "learnt" / "000001" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))
    with pytest.raises(VersionError, match="Update"):
        open_learnt(tmp_path)


@pytest.mark.parametrize("text", ["../../etc", "000009", "", "7", "\xff"])
def test_a_pointer_to_nothing_or_outside_is_told(tmp_path: Path, text: str) -> None:
    write_learnt(tmp_path, [part()], watermark=1, seed=0)
    (tmp_path / "learnt" / "current").write_text(text, encoding="latin-1")
    with pytest.raises(StorageError, match="visualsearch learn"):
        open_learnt(tmp_path)


def test_two_processes_do_not_learn_at_once(tmp_path: Path) -> None:
    from filelock import FileLock

    (tmp_path / "learnt").mkdir()
    with FileLock(tmp_path / "learnt" / "learn.lock"), pytest.raises(LockedError, match="learning"):
        write_learnt(tmp_path, [part()], watermark=1, seed=0)


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "else").mkdir()
    (tmp_path / "learnt").symlink_to(tmp_path / "else")
    with pytest.raises(StorageError, match="link"):
        write_learnt(tmp_path, [part()], watermark=1, seed=0)
    assert list((tmp_path / "else").iterdir()) == []


def test_objects_and_odd_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="texts_arrays"):
        write_learnt(tmp_path, [Part("a", "", {"ids": np.array(["x"])})], watermark=1, seed=0)
    with pytest.raises(UsageError, match="cannot name"):
        write_learnt(tmp_path, [Part("../a", "", {})], watermark=1, seed=0)


def test_texts_are_packed_without_pickle() -> None:
    texts = ["", "stool", "Gläser", "日本", ""]
    assert text_list(*texts_arrays(texts)) == texts
    assert text_list(*texts_arrays([])) == []
