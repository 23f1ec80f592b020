"""Connections to the catalog are bounded by the readers of a moment, not by the threads that ever were."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import visualsearch as vs
from visualsearch.errors import IndexStateError, NotAnIndexError
from visualsearch.store.catalog import Catalog
from visualsearch.store.connections import KEPT

from .fakes import FakeEncoder, paint_many
from .serving import catalogue, png, service


def open_files() -> int:
    """Descriptors of this process."""
    found = 0
    for number in range(4096):
        with suppress(OSError):
            os.fstat(number)
            found += 1
    return found


def in_a_thread(work: Callable[[], object]) -> None:
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert failed == []


@pytest.fixture
def index(tmp_path: Path) -> vs.Index:
    made = vs.create(tmp_path / "x.index", FakeEncoder())
    paint_many(tmp_path / "photos", 12)
    made.add(tmp_path / "photos")
    return made


def test_threads_that_have_ended_leave_no_file_open(index: vs.Index) -> None:
    in_a_thread(lambda: index.search(text="red"))
    before = open_files()
    for _ in range(60):
        in_a_thread(lambda: index.search(text="red", where="id <> 'x'"))
    assert open_files() <= before


def test_putting_pins_in_a_loop_leaves_no_file_open(tmp_path: Path) -> None:
    made = service(catalogue(tmp_path, 6))
    pictures = [png("red", (40, 40 + n)) for n in range(24)]
    for data in pictures[:4]:
        made.put("one", data, {}, new=False)
    before = open_files()
    for data in pictures[4:]:
        made.put("one", data, {}, new=False)
    assert open_files() <= before + 2  # the log of the catalog comes and goes
    made.close()


def test_readers_at_once_have_a_connection_each_and_later_ones_need_no_more(index: vs.Index) -> None:
    start, together = open_files(), 3 * KEPT

    def crowd() -> int:
        inside, leave = threading.Barrier(together + 1), threading.Event()

        def read() -> None:
            with index.catalog.read() as reader:
                reader.count()
                inside.wait(60)
                leave.wait(60)

        threads = [threading.Thread(target=read) for _ in range(together)]
        for thread in threads:
            thread.start()
        inside.wait(60)
        most = open_files()
        leave.set()
        for thread in threads:
            thread.join()
        return most

    first = crowd()
    assert first >= start + together
    # SQLite keeps a closed file for the next connection while others hold its lock: the largest crowd bounds them.
    assert [crowd() <= first for _ in range(4)] == [True] * 4
    index.close()
    assert open_files() <= start


def test_a_nested_read_shares_the_view_and_outlives_a_generator_that_began_it(index: vs.Index) -> None:
    rows = index.rows(size=5)
    next(rows)
    with index.catalog.read() as reader:
        state = reader.state
        rows.close()  # the one that began the transaction leaves it first
        vs.open(index.folder, FakeEncoder()).remove(["001.png"])
        assert (reader.state, reader.count()) == (state, 12)
    assert len(index) == 11


def test_a_generator_that_is_ended_in_another_thread_gives_its_connection_back(index: vs.Index) -> None:
    rows = index.rows(size=5)
    next(rows)
    in_a_thread(rows.close)
    vs.open(index.folder, FakeEncoder()).remove(["001.png"])
    assert len(index) == 11


def test_an_index_that_was_closed_keeps_nothing_open(tmp_path: Path, index: vs.Index) -> None:
    index.close()
    before = open_files()
    for _ in range(5):
        other = vs.open(index.folder, FakeEncoder())
        other.search(text="red")
        other.close()
    assert open_files() <= before


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" + bytes(200), os.urandom(3000)])
def test_opening_what_is_no_catalog_keeps_nothing_open(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "bad.index"
    folder.mkdir()
    (folder / "catalog.sqlite").write_bytes(content)
    before = open_files()
    for _ in range(5):
        with pytest.raises(IndexStateError):
            Catalog.open(folder)
    assert open_files() <= before


def test_a_folder_that_was_moved_while_open_is_told_with_its_remedy(index: vs.Index, tmp_path: Path) -> None:
    index.folder.rename(tmp_path / "moved.index")
    again = vs.open(tmp_path / "moved.index", FakeEncoder())
    assert len(again.search(text="red", k=20)) == 12
    index.catalog.connections.close()
    with pytest.raises(NotAnIndexError, match=r"moved or deleted.*Open it again at its new place"):
        index.search(text="red")
