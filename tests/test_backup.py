"""Backups: one state of a living index, whole or not at all, and nobody who was forgotten comes back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import visualsearch as vs
from visualsearch import backup as backups
from visualsearch import copies
from visualsearch.errors import IndexStateError, LockedError, NotAnIndexError, UsageError, VersionError
from visualsearch.people import open_people

from .fakes import FakeEncoder, paint

DAY = 86_400_000


@pytest.fixture
def living(index: vs.Index) -> vs.Index:
    """An index whose people saved something, with a closed day of events."""
    names = sorted(
        hit.id for hit in index.search(image=next(Path(index.folder.parent / "photos").iterdir()), k=40)
    )
    for person in ("ada", "bob"):
        index.people.consent(person, "on")
        index.people.save(person, names[0], board="Kitchen")
    at = index.people.now() - 3 * DAY
    index.people.record(
        [vs.Event("click", person=p, pin=names[1], at=at, event_id=f"{p}-1") for p in ("ada", "bob")]
    )
    assert index.people.roll() == 2
    return index


def test_a_backup_is_an_index_that_answers_the_same(
    living: vs.Index, tmp_path: Path, encoder: FakeEncoder
) -> None:
    query = next((tmp_path / "photos").iterdir())
    before = [(hit.id, hit.score) for hit in living.search(image=query, k=10)]
    made = vs.back_up(living.folder, tmp_path / "monday.backup")
    assert (made.pins, made.people) == (40, 2)
    assert backups.check(made.place) == []
    restored = vs.restore(made.place, tmp_path / "again.index")
    assert (
        restored.bytes
        == sum(p.stat().st_size for p in made.place.rglob("*") if p.is_file())
        - (made.place / copies.MANIFEST).stat().st_size
    )
    with vs.open(restored.place, encoder) as again:
        assert [(hit.id, hit.score) for hit in again.search(image=query, k=10)] == before
        assert again.verify() == []
        assert again.people.verify() == []
        assert again.people.export("ada") == living.people.export("ada")
        assert [e["event_id"] for e in again.people.export("bob")["events"] if e["kind"] == "click"] == [
            "bob-1"
        ]
        again.add(paint(tmp_path / "new" / "one.png", 999).parent)
        assert again.info()["pins"] == 41


def test_it_is_one_state_while_pins_come_and_go(
    index: vs.Index, tmp_path: Path, encoder: FakeEncoder
) -> None:
    """Compactions replace every file while copies are made: each copy is whole."""
    stop = threading.Event()
    failed: list[BaseException] = []

    def change() -> None:
        try:
            with vs.open(index.folder, encoder) as mine:
                for number in range(1000):
                    if stop.is_set():
                        return
                    mine.add(paint(tmp_path / f"more{number}" / f"{number}.png", 5000 + number).parent)
                    mine.compact()
        except BaseException as error:
            failed.append(error)

    writer = threading.Thread(target=change)
    writer.start()
    made = []
    try:
        for number in range(5):
            with suppress(LockedError):  # the writer was at it at every try
                made.append(vs.back_up(index.folder, tmp_path / f"{number}.backup").place)
    finally:
        stop.set()
        writer.join()
    assert not failed
    assert made
    for place in made:
        assert backups.check(place) == []
        with vs.open(place, encoder) as copy:
            assert copy.verify() == []


def test_a_file_replaced_meanwhile_gives_a_newer_state(
    index: vs.Index, tmp_path: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = copies.copied_database, [index]

    def copied(source: Path, target: Path) -> None:
        real(source, target)
        if left:
            left.pop().compact()

    monkeypatch.setattr(copies, "copied_database", copied)
    made = vs.back_up(index.folder, tmp_path / "b")
    assert made.state == vs.back_up(index.folder, tmp_path / "c").state
    with vs.open(made.place, encoder) as copy:
        assert copy.verify() == []


def test_who_is_forgotten_later_leaves_the_backup_too(living: vs.Index, tmp_path: Path) -> None:
    made = vs.back_up(living.folder, tmp_path / "b")
    living.people.forget("ada")
    assert backups.check(made.place) == []
    assert b"ada-1" not in b"".join(p.read_bytes() for p in made.place.rglob("*") if p.is_file())
    again = vs.restore(made.place, tmp_path / "again")
    with open_people(again.place) as people:
        assert people.export("bob")["events"]
        with pytest.raises(UsageError):
            people.export("ada")


def test_a_backup_that_was_moved_is_cleaned_when_it_is_restored(living: vs.Index, tmp_path: Path) -> None:
    made = vs.back_up(living.folder, tmp_path / "b")
    shutil.move(made.place, tmp_path / "elsewhere")
    living.people.forget("ada")
    again = vs.restore(tmp_path / "elsewhere", tmp_path / "again", after=living.folder)
    with open_people(again.place) as people:
        assert people.export("bob")["saves"]
        with pytest.raises(UsageError):
            people.export("ada")
    with pytest.raises(UsageError, match="who was forgotten"):
        vs.restore(tmp_path / "elsewhere", tmp_path / "third", after=tmp_path / "photos")
    assert not (tmp_path / "third").exists()


def test_who_is_forgotten_while_it_is_made_is_not_in_it(
    living: vs.Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = copies.copied_database

    def copied(source: Path, target: Path) -> None:
        real(source, target)
        if source.name == "catalog.sqlite":
            living.people.forget("ada")

    monkeypatch.setattr(copies, "copied_database", copied)
    made = vs.back_up(living.folder, tmp_path / "b")
    assert backups.check(made.place) == []
    with open_people(made.place) as people, pytest.raises(UsageError):
        people.export("ada")


@pytest.mark.parametrize("damage", ["changed", "cut", "missing"])
def test_damage_is_named_and_nothing_is_restored(
    living: vs.Index, tmp_path: Path, damage: str, run: Callable[..., Any]
) -> None:
    place = vs.back_up(living.folder, tmp_path / "b").place
    hurt = next((place / "vectors").iterdir())
    content = bytearray(hurt.read_bytes())
    content[-1] ^= 1
    if damage == "missing":
        hurt.unlink()
    else:
        hurt.write_bytes(bytes(content if damage == "changed" else content[:-5]))
    assert [line.partition(":")[0] for line in backups.check(place)] == [f"vectors/{hurt.name}"]
    with pytest.raises(IndexStateError, match=hurt.name):
        vs.restore(place, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert not list(tmp_path.glob(".again*"))
    assert run("backup", place, "--check", "--json").code == 1


def test_bad_places(index: vs.Index, tmp_path: Path, run: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="there already"):
        vs.back_up(index.folder, tmp_path / "photos")
    with pytest.raises(UsageError, match="inside"):
        vs.back_up(index.folder, index.folder / "b")
    with pytest.raises(NotAnIndexError):
        vs.back_up(tmp_path / "photos", tmp_path / "b")
    with pytest.raises(NotAnIndexError, match="not a backup"):
        vs.restore(index.folder, tmp_path / "x")
    assert run("backup", index.folder).code == 2
    assert run("backup", index.folder, "--to", tmp_path / "b", "--check").code == 2


def test_a_manifest_may_name_no_file_outside(index: vs.Index, tmp_path: Path) -> None:
    place = vs.back_up(index.folder, tmp_path / "b").place
    manifest = copies.read_manifest(place)
    (tmp_path / "secret.txt").write_text("x")
    manifest["files"]["../secret.txt"] = [1, "0" * 64]
    copies.write_manifest(place, manifest)
    with pytest.raises(IndexStateError, match="outside"):
        vs.restore(place, tmp_path / "again")
    copies.write_manifest(place, {**manifest, "format": 2})
    with pytest.raises(VersionError):
        vs.restore(place, tmp_path / "again")
    (place / copies.MANIFEST).write_text("[]")
    with pytest.raises(NotAnIndexError, match="cannot read"):
        vs.restore(place, tmp_path / "again")


def test_kept_pictures_keys_and_what_was_learnt_come_along(
    living: vs.Index, tmp_path: Path, encoder: FakeEncoder
) -> None:
    (living.folder / "keys.json").write_text("{}")
    (living.folder / "keys.json").chmod(0o600)
    (living.folder / "learnt" / "000001").mkdir(parents=True)
    (living.folder / "learnt" / "000001" / "manifest.json").write_text("{}")
    picture = living.folder / "pictures" / f"{'a' * 64}.png"
    paint(picture, 7)
    (living.folder / "pictures" / ".half.tmp").write_bytes(b"x")
    made = vs.back_up(living.folder, tmp_path / "b")
    again = vs.restore(made.place, tmp_path / "again").place
    assert (again / "pictures" / picture.name).read_bytes() == picture.read_bytes()
    assert (again / "keys.json").stat().st_mode & 0o777 == 0o600
    assert (again / "people.sqlite").stat().st_mode & 0o777 == 0o600
    assert (again / "learnt" / "000001" / "manifest.json").read_text() == "{}"
    assert not (again / "pictures" / ".half.tmp").exists()
    assert not [p.name for p in again.rglob("*") if p.name.endswith((".lock", "-wal", "-shm"))]


def test_what_a_killed_backup_left_goes_with_the_next(index: vs.Index, tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left, alive = (tmp_path / f".b.{pid}.00.tmp" for pid in (gone.pid, os.getpid()))
    for place in (left, alive):
        place.mkdir()
    vs.back_up(index.folder, tmp_path / "b")
    assert not left.exists()
    assert alive.exists()


def test_the_commands(living: vs.Index, tmp_path: Path, run: Callable[..., Any]) -> None:
    made = run("backup", living.folder, "--to", tmp_path / "b", "--json")
    assert made.code == 0
    assert json.loads(made.out)["pins"] == 40
    assert run("backup", tmp_path / "b", "--check").code == 0
    back = run("restore", tmp_path / "b", "--to", tmp_path / "again", "--after", living.folder)
    assert back.code == 0
    assert "40 pins and 2 people" in back.err
    assert run("info", tmp_path / "again").code == 0
