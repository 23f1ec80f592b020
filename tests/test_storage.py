"""Disks and folders: every error has its own remedy, links lead nowhere, and a moved index goes on."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

import visualsearch as vs
from visualsearch import storage
from visualsearch.errors import NotAnIndexError, StorageError, VisualSearchError
from visualsearch.sources import read
from visualsearch.storage import reading_error, storage_error
from visualsearch.store import vectors

from .fakes import FakeEncoder, paint, paint_many
from .serving import catalogue, png, service


@pytest.fixture
def index(tmp_path: Path) -> vs.Index:
    made = vs.create(tmp_path / "x.index", FakeEncoder())
    paint_many(tmp_path / "photos", 12)
    made.add(tmp_path / "photos")
    return made


# -- remedies -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("number", "why", "remedy"),
    [
        (errno.ENOSPC, "the disk is full", "Free some space"),
        (errno.EDQUOT, "your quota", "Delete files of yours"),
        (errno.EROFS, "mounted read-only", "Mount it for writing"),
        (errno.EACCES, "Permission denied", "Make the folder writable"),
        (errno.EPERM, "not permitted", "Make the folder writable"),
        (errno.EMFILE, "too many files open", "ulimit -n"),
        (errno.ENFILE, "too many files open", "Close other programs"),
        (errno.ENAMETOOLONG, "name is too long", "shorter name"),
        (errno.EIO, "the disk reports a fault", "another one"),
    ],
)
def test_each_error_of_the_system_has_its_own_remedy(
    index: vs.Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, why: str, remedy: str
) -> None:
    def fail(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(vectors.os, "fsync", fail)
    paint(tmp_path / "photos" / "new.png", 99)
    with pytest.raises(StorageError) as caught:
        index.add(tmp_path / "photos")
    assert why in caught.value.why
    assert remedy in caught.value.remedy
    assert ("writable" in caught.value.remedy) == (number in (errno.EACCES, errno.EPERM))


class Small:
    """A file on a disk with little room, which tells so as the system does."""

    def __init__(self, room: int) -> None:
        self.room, self.data = room, b""

    def write(self, data: bytes) -> int:
        if len(data) > self.room - len(self.data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.data += bytes(data)
        return len(data)


@pytest.mark.parametrize("shape", [(5, 7), (0, 7), (1, 1)])
def test_an_array_is_written_as_numpy_writes_it_and_a_full_disk_is_told_by_its_number(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    array = np.random.default_rng(0).normal(size=shape).astype(np.float16)
    np.save(tmp_path / "numpy.npy", array)
    vectors.write_whole(tmp_path, "ours.npy", array)
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()
    with pytest.raises(OSError, match="No space") as caught:
        vectors._write(Small(100), array)  # type: ignore[arg-type]
    assert caught.value.errno == errno.ENOSPC


def test_an_error_without_a_number_is_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = OSError("FAISS could not write")
    assert storage_error(tmp_path / "x", said).why == "FAISS could not write"
    monkeypatch.setattr(storage, "probe", lambda folder: OSError(errno.ENOSPC, "full"))
    assert storage_error(tmp_path / "x", said).why == "the disk is full"
    assert reading_error(tmp_path / "x", PermissionError(13, "denied")).remedy.startswith(
        "Make the file readable"
    )


@pytest.mark.parametrize(
    ("said", "probed", "why"),
    [
        ("database or disk is full", errno.ENOSPC, "the disk is full"),
        ("database or disk is full", errno.EDQUOT, "your quota on this disk is used up"),
        ("database or disk is full", None, "the disk is full"),
        ("attempt to write a readonly database", errno.EROFS, "the disk is mounted read-only"),
        ("disk I/O error", errno.ENOSPC, "the disk is full"),
        ("unable to open database file", errno.EMFILE, "this process has too many files open"),
    ],
)
def test_what_sqlite_says_is_explained_by_the_system(
    index: vs.Index, monkeypatch: pytest.MonkeyPatch, said: str, probed: int | None, why: str
) -> None:
    codes = {"full": sqlite3.SQLITE_FULL, "readonly": sqlite3.SQLITE_READONLY, "I/O": sqlite3.SQLITE_IOERR}
    error = sqlite3.OperationalError(said)
    error.sqlite_errorcode = next((c for mark, c in codes.items() if mark in said), sqlite3.SQLITE_CANTOPEN)
    found = None if probed is None else OSError(probed, os.strerror(probed))
    monkeypatch.setattr("visualsearch.store.connections.probe", lambda folder: found)
    with pytest.raises(StorageError) as caught, index._writing() as writer, writer.commit():
        raise error
    assert caught.value.why == why


# -- damage -------------------------------------------------------------------------------------------------------
def header_damages() -> list[bytes]:
    whole = b"\x93NUMPY\x01\x00v\x00{'descr': '<f2', 'fortran_order': False, 'shape': (12, 49), }"
    random = np.random.default_rng(0)
    made = [
        whole.replace(old, new)
        for old, new in ((b"{", b"("), (b"(12", b"((("), (b"<f2", b"|O8"), (b"12", b"9" * 2))
    ]
    made += [whole.replace(b"False", b"True "), whole.replace(b"\x01\x00v", b"\x07\x00v"), b"\0" * 64]
    for _ in range(40):
        spoilt = bytearray(whole)
        for at in random.integers(0, len(whole), 3):
            spoilt[at] = int(random.integers(256))
        made.append(bytes(spoilt))
    return made


def test_a_damaged_header_of_a_vector_file_is_told_with_file_and_remedy(index: vs.Index) -> None:
    (file,) = (index.folder / "vectors").iterdir()
    whole = file.read_bytes()
    told: list[NotAnIndexError] = []
    for damage in header_damages():
        file.write_bytes(damage + whole[len(damage) :])
        again = vs.open(index.folder, FakeEncoder())
        before = len(told)
        try:
            again.search(text="red")
        except NotAnIndexError as error:  # a changed blank is no damage
            told.append(error)
        assert [str(file) in problem.what for problem in again.verify()] == [True] * (len(told) - before)
        again.close()
    assert len(told) >= 40
    assert {str(file) in error.what for error in told} == {True}
    assert {"the vector file is damaged" in error.why for error in told} == {True}
    assert {"build the index again" in error.remedy for error in told} == {True}
    file.write_bytes(whole)
    assert vs.open(index.folder, FakeEncoder()).verify() == []


def test_too_many_open_files_are_not_taken_for_damage(
    index: vs.Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(vectors.np, "load", fail)
    with pytest.raises(StorageError, match="too many files open"):
        vs.open(index.folder, FakeEncoder()).search(text="red")


# -- links --------------------------------------------------------------------------------------------------------
PARTS = ("vectors", "ann", "pictures", "catalog.sqlite", "catalog.sqlite-wal", "writer.lock", "writer.json")


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_an_index_that_is_a_link_is_refused_before_anything_is_touched(
    index: vs.Index, tmp_path: Path, part: str
) -> None:
    outside = tmp_path / "outside"
    inside = index.folder / part
    if inside.exists():
        shutil.move(inside, outside)
    elif part in ("ann", "pictures"):
        outside.mkdir()
    else:
        outside.write_bytes(b"precious")
    if outside.is_dir():
        (outside / "000777.npy").write_bytes(b"precious")
    before = {p: p.read_bytes() for p in [outside, *outside.rglob("*")] if p.is_file()}
    inside.symlink_to(outside)
    with pytest.raises(NotAnIndexError, match=f"its {part} is a link to {outside}"):
        vs.open(index.folder, FakeEncoder())
    for change in (
        lambda: index.remove(["001.png"]),
        index.compact,
        lambda: index.update("001.png", {"a": 1}),
    ):
        with pytest.raises(NotAnIndexError, match="is a link"):
            change()
    assert {p: p.read_bytes() for p in [outside, *outside.rglob("*")] if p.is_file()} == before


def test_a_vector_file_that_is_a_link_is_refused(index: vs.Index, tmp_path: Path) -> None:
    (file,) = (index.folder / "vectors").iterdir()
    shutil.move(file, tmp_path / "elsewhere.npy")
    file.symlink_to(tmp_path / "elsewhere.npy")
    again = vs.open(index.folder, FakeEncoder())
    with pytest.raises(NotAnIndexError, match="is a link to"):
        again.search(text="red")
    assert "is a link to" in again.verify()[0].what


@pytest.mark.parametrize(
    "name", ["../secret.npy", "/etc/passwd", "vectors/../../secret.npy", "vectors/x.npy"]
)
def test_a_catalog_that_names_a_file_elsewhere_is_refused(index: vs.Index, tmp_path: Path, name: str) -> None:
    np.save(tmp_path / "secret.npy", np.zeros((12, 49), np.float16))
    with index._writing() as writer, writer.commit():
        writer.db.execute("UPDATE segments SET file = ?", (name,))
    with pytest.raises(NotAnIndexError, match="which no index has"):
        vs.open(index.folder, FakeEncoder()).search(text="red")
    assert (tmp_path / "secret.npy").exists()


def test_a_file_that_no_index_wrote_is_not_swept_away(index: vs.Index) -> None:
    notes = index.folder / "vectors" / "notes.txt"
    notes.write_text("mine")
    leftovers = [index.folder / "vectors" / name for name in ("000999.npy", ".000998.npy.123.tmp")]
    for path in leftovers:
        path.write_bytes(b"x")
    index.remove(["001.png"])
    assert notes.read_text() == "mine"
    assert not any(path.exists() for path in leftovers)


def test_an_index_that_is_itself_reached_through_a_link_works(index: vs.Index, tmp_path: Path) -> None:
    link = tmp_path / "link.index"
    link.symlink_to(index.folder)
    with vs.open(link, FakeEncoder()) as linked:
        paint(tmp_path / "photos" / "new.png", 99)
        assert linked.add(tmp_path / "photos").added == 1
        linked.update("new.png", {"a": 1})
        linked.compact()
        assert linked.verify() == []
    assert index.search(text="red", where="a = 1").ids == ["new.png"]


# -- a moved folder -----------------------------------------------------------------------------------------------
def test_pictures_that_an_index_keeps_move_with_it(tmp_path: Path) -> None:
    folder = catalogue(tmp_path / "first", 6)
    made = service(folder)
    made.put("mine", png("red", (40, 30)), {"price": 1}, new=True)
    made.close()
    moved = tmp_path / "second" / "pins.index"
    moved.parent.mkdir()
    shutil.move(folder, moved)
    made = service(moved)
    assert made.pin_file(made.pin("mine")) == png("red", (40, 30))
    index = made.index
    assert index.uris(["mine"])["mine"].startswith(str(moved / "pictures"))
    hits = index.search(like="mine", include_seeds=True, k=2)  # the other one looks the same
    assert [read(hit.uri) for hit in hits if hit.id == "mine"] == [png("red", (40, 30))]
    assert index.verify() == []
    # replaced and removed at its new place, its picture goes too
    made.put("mine", png("blue", (40, 30)), {}, new=False)
    assert [p.name for p in (moved / "pictures").iterdir()] == [Path(index.uris(["mine"])["mine"]).name]
    made.remove("mine")
    assert list((moved / "pictures").iterdir()) == []
    made.close()


def test_the_absolute_places_of_an_older_release_are_found_at_the_new_place(tmp_path: Path) -> None:
    folder = catalogue(tmp_path, 6)
    made = service(folder)
    made.put("mine", png("red"), {}, new=True)
    here = made.pin("mine").uri
    with made.index._writing() as writer, writer.commit():
        writer.db.execute("UPDATE pins SET uri = ? WHERE id = 'mine'", (here,))
    made.close()
    moved = tmp_path / "moved.index"
    folder.rename(moved)
    made = service(moved)
    assert made.pin("mine").uri == str(moved / "pictures" / Path(here).name)
    assert made.pin_file(made.pin("mine")) == png("red")
    made.close()


def test_a_picture_elsewhere_keeps_its_place(tmp_path: Path) -> None:
    paint(tmp_path / "pictures" / "red.png", "red")
    index = vs.create(tmp_path / "x.index", FakeEncoder())
    index.add(tmp_path / "pictures")
    assert index.uris(["red.png"]) == {"red.png": str(tmp_path / "pictures" / "red.png")}
    assert index.add(tmp_path / "pictures").unchanged == 1


def test_an_index_in_a_place_with_odd_signs_opens(tmp_path: Path) -> None:
    folder = tmp_path / "100% ü?#&.index"
    paint_many(tmp_path / "photos", 3)
    index = vs.create(folder, FakeEncoder())
    assert index.add(tmp_path / "photos").added == 3
    index.compact()
    try:
        assert len(vs.open(folder, FakeEncoder()).search(text="red")) == 3
    except VisualSearchError as error:  # pragma: no cover
        pytest.fail(str(error))
