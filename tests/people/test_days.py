"""Closed days become Parquet, and are read, checked, expired and rewritten there."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from filelock import FileLock, Timeout

from visualsearch.people import Event, People, ids, merging
from visualsearch.people import days as module
from visualsearch.people import parts as disk

from .conftest import NOON, Clock

CLICK = Event("click", "ada", "pin-1", at=NOON, event_id="e", surface="feed", slot=1)


def fill(people: People, clock: Clock) -> None:
    """Ten persons' events on three days; the third is not over."""
    for day in range(3):
        people.record(
            [replace(CLICK, person=f"p{n}", at=clock() - n, event_id=f"{day}-{n}") for n in range(10)]
        )
        clock.pass_(days=1)
    clock.pass_(days=-1)


def test_closed_days_roll_and_read_the_same(people: People, clock: Clock) -> None:
    fill(people, clock)
    before = [people.events_of(f"p{n}") for n in range(10)]
    assert people.roll() == 20
    assert people.roll() == 0
    assert people.part_rows() == {"2025-12-29": 10, "2025-12-30": 10}
    assert (people.store.folder / "events" / "2025-12-29" / "0001.parquet").is_file()
    assert [people.events_of(f"p{n}") for n in range(10)] == before
    assert people.events_of("p3", k=2) == before[3][:2]
    assert people.verify() == []


def test_an_event_of_a_closed_day_is_still_stored_once(people: People, clock: Clock) -> None:
    people.record([CLICK])
    clock.pass_(days=2)
    people.roll()
    verdicts = people.record([CLICK, replace(CLICK, slot=2), replace(CLICK, event_id="late", at=NOON + 5)])
    assert [v.status.value for v in verdicts] == ["duplicate", "refused", "accepted"]
    assert people.roll() == 1
    assert people.part_rows() == {"2025-12-29": 2}
    assert len(people.part_files()) == 2


def test_a_day_is_open_until_an_hour_after_midnight(people: People, clock: Clock) -> None:
    people.record([CLICK])
    clock.pass_(hours=12.5)
    assert people.roll() == 0
    clock.pass_(hours=1)
    assert people.roll() == 1


def test_large_days_are_several_parts_with_ranges_of_persons(
    people: People, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART_ROWS", 4)
    fill(people, clock)
    people.roll()
    day = [part for part in people.part_files() if part.day == "2025-12-29"]
    assert sorted(part.rows for part in day) == [2, 4, 4]
    ranges = sorted((part.lowest, part.highest) for part in day)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(ranges))


def test_old_days_expire(people: People, clock: Clock) -> None:
    fill(people, clock)
    people.roll()
    assert people.expire(1) == 10
    assert list(people.part_rows()) == ["2025-12-30"]
    assert not (people.store.folder / "events" / "2025-12-29").exists()
    clock.pass_(days=5)
    assert people.expire(1) == 20
    assert people.events_of("p1") == []


class _Stopped(BaseException):
    """Stands for a process that dies at an instant."""


@pytest.mark.parametrize("instant", ["before the rename", "before the transaction", "after the transaction"])
def test_a_roll_that_stops_anywhere_loses_and_doubles_nothing(
    people: People, clock: Clock, monkeypatch: pytest.MonkeyPatch, instant: str
) -> None:
    fill(people, clock)
    wanted = [people.events_of(f"p{n}") for n in range(10)]

    def stop(*_: object, **__: object) -> None:
        raise _Stopped

    real = people.store.write

    def after(work: object) -> None:
        real(work)
        raise _Stopped

    if instant == "before the rename":
        monkeypatch.setattr(disk, "_named", stop)
    elif instant == "before the transaction":
        monkeypatch.setattr(people.store, "write", stop)
    else:
        monkeypatch.setattr(people.store, "write", after)
    with pytest.raises(_Stopped):
        people.roll()
    monkeypatch.undo()
    assert [people.events_of(f"p{n}") for n in range(10)] == wanted
    people.roll()
    assert [people.events_of(f"p{n}") for n in range(10)] == wanted
    assert sum(people.part_rows().values()) == 20
    assert people.verify() == []


def test_rows_that_vanish_while_a_part_is_written_are_in_no_part(
    lite: People, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from visualsearch.people.privacy import erase

    fill(lite, clock)
    number = next(iter(_numbers(lite, "p3")))
    real, done = disk.write_part, []

    def racing(*args: object) -> object:
        made = real(*args)  # type: ignore[arg-type]
        if not done:
            done.append(lite.store.write(lambda db: erase(db, number)))
        return made

    monkeypatch.setattr(disk, "write_part", racing)
    assert lite.roll() == 18
    assert lite.verify() == []


def _numbers(people: People, name: str) -> set[int]:
    from visualsearch.people.persons import find

    with people.store.read() as db:
        return {known.number for known in find(db, [name]).values()}


def test_damage_is_found(lite: People, clock: Clock) -> None:
    fill(lite, clock)
    lite.roll()
    first, second = (lite.store.folder / part.file for part in lite.part_files())
    first.write_bytes(first.read_bytes()[:100])
    second.unlink()
    stray: Path = lite.store.folder / "events" / "2025-12-29" / "0099.parquet"
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"")
    flaws = {flaw.where: flaw.what for flaw in lite.verify()}
    assert len(flaws) == 3
    assert "cannot be read" in flaws[first.relative_to(lite.store.folder).as_posix()]
    assert "no transaction" in flaws["events/2025-12-29/0099.parquet"]


def test_small_parts_of_late_events_are_merged(people: People, clock: Clock) -> None:
    clock.pass_(days=3)
    for number in range(3 * merging.MANY_RUNS):
        people.record([replace(CLICK, event_id=f"late-{number}", person=f"p{number % 3}")])
        people.roll()
        for name in ("p0", "p1", "p2")[: number + 1]:
            held = people.part_files(*_numbers(people, name))
            assert len(held) < merging.MANY_RUNS
    assert people.part_rows() == {"2025-12-29": 3 * merging.MANY_RUNS}
    assert people.record([replace(CLICK, event_id="late-1", person="p1")])[0].status == "duplicate"
    assert people.verify() == []


def test_days_of_a_month_are_merged_by_person_and_read_the_same(
    people: People, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "PART_ROWS", 20)
    monkeypatch.setattr(disk, "GROUP_ROWS", 4)
    for day in range(8):  # from December into January
        people.record(
            [replace(CLICK, person=f"p{n % 10}", at=clock() - n, event_id=f"{day}-{n}") for n in range(30)]
        )
        clock.pass_(days=1)
    wanted = [people.events_of(f"p{n}", k=1000) for n in range(10)]
    clock.pass_(hours=2)
    assert people.roll() == 240
    assert [people.events_of(f"p{n}", k=1000) for n in range(10)] == wanted
    assert [people.events_of(f"p{n}", k=5) for n in range(10)] == [rows[:5] for rows in wanted]
    months = {part.month for part in people.part_files() if part.day != part.until}
    assert months == {"2026-01"}
    assert max(part.rows for part in people.part_files() if part.month == "2026-01") < 60
    assert sum(people.part_rows().values()) == 240
    assert len(people.part_rows()) == 8
    assert people.record([replace(CLICK, person="p3", at=NOON - 3, event_id="0-3")])[0].status == "duplicate"
    other = replace(CLICK, person="p4", at=NOON + 5 * 86_400_000 - 3, event_id="5-3")
    assert people.record([other])[0].status == "refused"
    assert people.verify() == []
    assert people.forget("p3").removed["events"] == 24
    assert [people.events_of(f"p{n}", k=1000) for n in (2, 4)] == [wanted[2], wanted[4]]
    assert people.verify() == []
    assert people.expire(4) == 27 * 4
    assert len(people.part_rows()) == 4


def test_a_part_without_its_file_of_ids_is_searched_itself(lite: People, clock: Clock) -> None:
    lite.record([CLICK])
    clock.pass_(days=2)
    lite.roll()
    part = lite.store.folder / lite.part_files()[0].file
    held = ids.beside(part).read_bytes()
    ids.beside(part).unlink()
    assert lite.record([CLICK])[0].status == "duplicate"
    assert lite.verify() == []
    ids.beside(part).write_bytes(held[::-1])
    assert "ids" in lite.verify()[0].what


def test_hashes_of_ids_stay_the_same_in_every_release() -> None:
    names = pa.array(["", "a", "b", "ab", "ba", "e1-2", "e1-3", "\u00e9\u4e16"])
    found = ids.hashes(names)
    assert len(set(found.tolist())) == len(names)
    assert found[1] == 98 * 0xE220A8397B1DCDAF % 2**64
    assert ids.hashes(names.slice(3, 2)).tolist() == found[3:5].tolist()
    assert ids.hashes(names.slice(0, 0)).tolist() == []


def test_who_waits_for_the_lock_gets_it_before_who_comes_again(tmp_path: Path) -> None:
    waits, got = threading.Event(), threading.Event()

    def once() -> None:
        waits.set()
        with disk.upkeep(tmp_path):
            got.set()

    thread = threading.Thread(target=once)
    rounds = 0
    with disk.upkeep(tmp_path):
        thread.start()
        waits.wait()
        while not _held(tmp_path / disk.TURN):
            pass
    while not got.is_set():
        with disk.upkeep(tmp_path):
            rounds += 1
    thread.join()
    assert rounds <= 1


def _held(path: Path) -> bool:
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
