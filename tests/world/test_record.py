"""A world in the record and in files: both hold the same, it can be stopped and taken out, and real people stay."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import visualsearch as vs
from visualsearch.errors import UnknownNameError, UsageError
from visualsearch.people import ConsentLevel, People, open_people
from visualsearch.world import NOTICE, WorldSettings, read_manifest, remove_world, simulate

from .conftest import cluster_records, make_index

SMALL = WorldSettings(people=40, days=2, seed=7, sessions_per_day=1.0, saves_per_person=4)


@pytest.fixture
def index(tmp_path: Path) -> vs.Index:
    return make_index(tmp_path / "pins.index", cluster_records(each=20))


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def content(people: People, keys: list[str]) -> dict[str, Any]:
    """What the record holds of people, in words that do not depend on pseudonyms and numbers. Repins are counted apart."""
    found = {}
    names = {people.person(key).pseudonym: key for key in keys}
    for key in keys:
        held = people.export(key)
        titles = {row["board"]: row["title"] for row in held["boards"]}
        found[key] = {
            "profile": people.person(key).profile,
            "boards": sorted(
                (row["title"], row["kind"], row["ends"], row["secret"]) for row in held["boards"]
            ),
            "saves": sorted(
                (titles[row["board"]], row["pin_id"], row["at"], row["note"], row["site"] or "")
                for row in held["saves"]
            ),
            "follows": sorted((kind, names.get(target, target)) for kind, target in people.follows(key)),
            "events": sorted(
                tuple(
                    str(row[name])
                    for name in ("event_id", "at", "kind", "pin_id", "slot", "session", "value")
                )
                for row in held["events"]
                if row["kind"] != "follow"
            ),
        }
    return found


def seen(folder: Path) -> list[str]:
    """Those whose deeds are kept."""
    rows = pq.read_table(folder / "world.truth" / "persons.parquet").to_pylist()
    return [row["person"] for row in rows if row["consent"] == "on"]


def test_the_same_seed_writes_the_same_bytes(index: vs.Index, tmp_path: Path) -> None:
    for name in ("one", "two"):
        simulate(index, SMALL, to=tmp_path / name)
    other = WorldSettings(**{**SMALL.to_dict(), "seed": 8, "consent": SMALL.consent})
    simulate(index, other, to=tmp_path / "three")
    first = digests(tmp_path / "one")
    assert first == digests(tmp_path / "two")
    assert len(first) > 15
    assert first["saves.parquet"] != digests(tmp_path / "three")["saves.parquet"]


def test_files_and_record_hold_the_same(index: vs.Index, tmp_path: Path) -> None:
    report = simulate(index, SMALL)
    simulate(index, SMALL, to=tmp_path / "files")
    manifest = read_manifest(tmp_path / "files")
    assert manifest is not None
    keys = seen(index.folder)
    with (
        make_index(tmp_path / "other.index", cluster_records(each=20)) as other,
        open_people(index.folder) as written,
    ):
        for name in manifest["tables"]:
            imported = other.people.import_file(tmp_path / "files" / name)
            assert (imported.failed, imported.unknown_pins) == (0, 0), name
        mine, theirs = content(written, keys), content(other.people, keys)
        assert mine == theirs
        assert report.stored["saves"] == sum(len(each["saves"]) for each in mine.values()) > 100
        assert report.stored["events"] == sum(len(each["events"]) for each in mine.values()) > 300
        assert report.stored["refused"] == 0
        assert not written.verify()


def test_the_record_knows_whom_a_pin_was_taken_from(index: vs.Index) -> None:
    simulate(index, SMALL)
    with open_people(index.folder) as people:
        taken = [row for key in seen(index.folder) for row in people.export(key)["saves"] if row["repin_of"]]
        assert len(taken) > 5
        chain = people.chain(taken[-1]["save"], viewer=taken[-1]["person"])
        assert {each.pin for each in chain} == {taken[-1]["pin_id"]}


def test_nothing_is_kept_of_people_whose_consent_is_off_or_for_the_session(index: vs.Index) -> None:
    settings = WorldSettings(
        people=40, days=2, seed=3, sessions_per_day=1, saves_per_person=4, consent=(0.3, 0.3)
    )
    report = simulate(index, settings)
    assert report.counts["kept out by consent"] > 100
    rows = pq.read_table(index.folder / "world.truth" / "persons.parquet").to_pylist()
    with open_people(index.folder) as people:
        for row in rows:
            held = people.export(row["person"])
            assert people.consent(row["person"]).level == ConsentLevel(row["consent"])
            if row["consent"] != "on":
                assert not held["saves"] + held["events"] + held["boards"] + held["follows"]


def test_the_truth_says_what_it_is(index: vs.Index, tmp_path: Path) -> None:
    simulate(index, SMALL, to=tmp_path / "files")
    truth = tmp_path / "files" / "world.truth"
    manifest = json.loads((truth / "manifest.json").read_text())
    assert manifest["simulated"] is True
    assert manifest["notice"] == NOTICE
    assert manifest["settings"]["seed"] == 7
    assert manifest["files"] == {
        name: value for name, value in digests(truth).items() if name != "manifest.json"
    }
    assert {row["interest"] for row in pq.read_table(truth / "interests.parquet").to_pylist()} <= set(
        range(6)
    )
    examined = json.loads((truth / "examination.json").read_text())
    assert examined[0] == {"surface": "feed", "row": 0, "column": 0, "examined": 0.95}
    bought = pq.read_table(truth / "purchases.parquet").to_pylist()
    events = pq.read_table(tmp_path / "files" / "events").to_pylist()
    kept = set(seen(tmp_path / "files"))
    ids = {row["event_id"] for row in events if row["kind"] == "purchase"}
    assert ids == {row["event_id"] for row in bought if row["person"] in kept}


def test_a_run_that_was_stopped_goes_on(index: vs.Index, tmp_path: Path) -> None:
    told = []

    def stop(text: str) -> None:
        told.append(text)
        if len(told) > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(index, SMALL, say=stop)
    manifest = read_manifest(index.folder)
    assert manifest is not None
    assert manifest["state"] == "writing"
    with pytest.raises(UsageError, match="begun there and interrupted"):
        simulate(index, WorldSettings(people=41, days=2, seed=7))
    simulate(index, SMALL)
    with make_index(tmp_path / "other.index", cluster_records(each=20)) as other:
        simulate(other, SMALL)
        keys = seen(other.folder)
        with open_people(index.folder) as again, open_people(other.folder) as whole:
            assert content(again, keys) == content(whole, keys)


def test_a_run_that_was_stopped_can_be_taken_out_and_made_again(index: vs.Index) -> None:
    def stop(text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(index, SMALL, say=stop)
    remove_world(index)
    with open_people(index.folder) as people:
        assert people.count() == 0
    assert simulate(index, SMALL).stored["events"] > 300


def test_removing_takes_out_all_that_is_simulated_and_nothing_else(index: vs.Index) -> None:
    people = index.people
    real = people.save("ada", "shop/shoes/001.jpg", board="Shoes")
    people.record([vs.Event("click", person="ada", pin="shop/shoes/002.jpg", event_id="mine")])
    with pytest.raises(UsageError, match="1 people who are not simulated"):
        simulate(index, SMALL)
    assert people.count() == 1
    simulate(index, SMALL, into_real=True)
    theirs = next(
        save
        for key in seen(index.folder)
        for board in people.boards(key)
        for save in people.pins_of(board.id)
    )
    mine = people.save("ada", theirs.pin, board="Taken", repin_of=theirs.id)
    people.follow("ada", "person", seen(index.folder)[0])
    removed = remove_world(index)
    assert removed["people"] == 40
    assert removed["saves"] > 100
    assert people.count() == 1
    assert {save.id for board in people.boards("ada") for save in people.pins_of(board.id)} == {
        real.id,
        mine.id,
    }
    assert people.follows("ada") == []
    assert "mine" in {row["event_id"] for row in people.events_of("ada")}
    assert not (index.folder / "world.truth").exists()
    assert people.verify() == []
    with pytest.raises(UsageError, match="no simulated world"):
        remove_world(index)
    simulate(index, SMALL, into_real=True)  # the same files are not passed over


def test_a_second_world_is_refused(index: vs.Index) -> None:
    simulate(index, SMALL)
    with pytest.raises(UsageError, match="holds a simulated world already"):
        simulate(index, SMALL)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"people": 0}, "people 0"),
        ({"people": 5, "days": 0}, "days 0"),
        ({"people": 5, "seed": -1}, "seed -1"),
        ({"people": 5, "start": "yesterday"}, "Write the first day as"),
        ({"people": 5, "consent": (0.9, 0.9)}, "at most 1 together"),
        ({"people": 5, "saves_per_person": float("nan")}, "saves_per_person nan"),
        ({"people": 5, "start": "0001-01-01"}, "start"),
    ],
)
def test_settings_that_make_no_world_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        WorldSettings(**changes)


def test_few_pins_and_days_to_come_are_refused(tmp_path: Path, index: vs.Index) -> None:
    with (
        make_index(tmp_path / "small.index", cluster_records(each=3, kinds=3)) as small,
        pytest.raises(UsageError, match="it has 9 pins"),
    ):
        simulate(small, SMALL, to=tmp_path / "files")
    with pytest.raises(UsageError, match="is not over yet"):
        simulate(index, WorldSettings(people=5, days=3, start="2100-01-01"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="no empty folder"):
        simulate(index, SMALL, to=tmp_path / "full")


@pytest.mark.parametrize("kinds", [1, 2])
def test_the_smallest_worlds_run(tmp_path: Path, kinds: int) -> None:
    with make_index(tmp_path / "pins.index", cluster_records(each=10, kinds=kinds)) as tiny:
        report = simulate(
            tiny, WorldSettings(people=1, days=1, sessions_per_day=5, fresh=1.0), to=tmp_path / "files"
        )
    assert report.counts["impression"] >= 0
    assert (tmp_path / "files" / "saves.parquet").exists()


def test_identical_pins_run(tmp_path: Path) -> None:
    records = cluster_records(each=12, kinds=1)
    same = [vs.Record(r.id, r.uri, bytes, named=True, vector=records[0].vector) for r in records]
    with make_index(tmp_path / "pins.index", same) as flat:
        assert (
            simulate(flat, WorldSettings(people=30, days=2, sessions_per_day=1), to=tmp_path / "files").people
            == 30
        )


# -- command line ------------------------------------------------------------------------------------------------------
def test_the_command_simulates_says_so_and_removes(
    index: vs.Index, run: Callable[..., Any], tmp_path: Path
) -> None:
    done = run("world", index.folder, "--people", 40, "--days", 2, "--seed", 3, "--json")
    assert done.code == 0
    assert done.json["simulated"] is True
    assert done.json["notice"] == NOTICE
    assert run("info", index.folder, "--json").json["simulated"] == NOTICE
    assert NOTICE in run("info", index.folder).out
    shown = run("people", "show", index.folder, "sim-3-000001")
    assert "sim-3-000001" in shown.out
    again = run("world", index.folder, "--people", 40)
    assert again.code == 2
    assert "--remove" in again.err
    removed = run("world", index.folder, "--remove")
    assert removed.code == 0
    assert "40 people" in removed.err
    assert "simulated" not in run("info", index.folder, "--json").json
    files = run("world", index.folder, "--people", 40, "--days", 2, "--to", tmp_path / "files")
    assert NOTICE in files.err
    assert files.out.strip() == str(tmp_path / "files")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "--people is missing"),
        (["--people", 0], "people 0"),
        (["--people", 5, "--seed", "-1"], "seed -1"),
        (["--remove"], "no simulated world"),
        (["--remove", "--people", 5], "stands alone"),
    ],
)
def test_the_command_refuses_what_it_cannot_do(
    index: vs.Index, run: Callable[..., Any], words: list[Any], told: str
) -> None:
    done = run("world", index.folder, *words)
    assert done.code == 2
    assert told in done.err


def test_unknown_names_are_told(index: vs.Index) -> None:
    world = vs.world.World.make(index, people=5)
    for person, pins in (
        ("ada", ["shop/shoes/001.jpg"]),
        ("sim-0-000009", []),
        ("sim-0-000001", ["nothing"]),
    ):
        with pytest.raises(UnknownNameError):
            world.respond(person, pins)
