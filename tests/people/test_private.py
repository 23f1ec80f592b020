"""What is written about people is for its owner's eyes, whatever the umask says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from visualsearch.people import Event, People, open_people

from .conftest import NOON, Clock, FakePins


@pytest.fixture
def _generous() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    """Permissions of everything below a folder that has bytes of people in it; the other files are locks."""
    return {
        str(each.relative_to(folder)): each.stat().st_mode & 0o777
        for each in folder.rglob("*")
        if each.is_dir() or not each.name.startswith(("people.lock", "people.turn", "people.leading"))
    }


@pytest.mark.usefixtures("_generous")
def test_database_log_and_closed_days_are_readable_by_their_owner_alone(
    tmp_path: Path, clock: Clock, pins: FakePins
) -> None:
    with open_people(tmp_path, pins=pins, now=clock) as people:
        people.record([Event("click", "ada", "pin-1", at=NOON, event_id="e")])
        clock.pass_(days=2)
        assert people.roll() == 1
        people.save("ada", "pin-1", board="Kitchen")
        assert modes(tmp_path) == {
            "people.sqlite": 0o600,
            "people.sqlite-wal": 0o600,
            "people.sqlite-shm": 0o600,
            "events": 0o700,
            "events/2025-12-29": 0o700,
            "events/2025-12-29/0001.parquet": 0o600,
            "events/2025-12-29/0001.ids": 0o600,
        }


@pytest.mark.usefixtures("_generous")
def test_an_export_that_forgetting_writes_anew_stays_readable_by_whoever_could(
    lite: People, tmp_path: Path
) -> None:
    lite.save("ada", "pin-1", board="Kitchen")
    lite.save("bob", "pin-1", board="Hall")
    lite.export_all(tmp_path / "out")
    saves = tmp_path / "out" / "saves.parquet"
    saves.chmod(0o640)
    lite.forget("ada")
    assert saves.stat().st_mode & 0o777 == 0o640
