"""Tables in and out: every format, bad rows by line, resumed where it stopped."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visualsearch.errors import SourceError, UnknownNameError, UsageError
from visualsearch.people import Event, People, tables

from .conftest import NOON, Clock

DAY = 86_400_000
ROWS = [
    {
        "user": f"p{n % 4}",
        "event": "click",
        "item": f"pin-{n % 30}",
        "ts": NOON - 3 * DAY + n * 60_000,
        "slot": n,
    }
    for n in range(50)
]


def as_csv(path: Path) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ROWS[0])
        writer.writeheader()
        writer.writerows(ROWS)
    return path


def as_jsonl(path: Path) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n", encoding="utf-8")
    return path


def as_parquet(path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    return path


def as_gz(path: Path) -> Path:
    plain = as_csv(path.with_suffix(""))
    path.write_bytes(gzip.compress(plain.read_bytes()))
    return path


@pytest.mark.parametrize(
    ("name", "write"),
    [("e.csv", as_csv), ("e.jsonl", as_jsonl), ("e.parquet", as_parquet), ("e.csv.gz", as_gz)],
)
def test_events_of_every_format_are_the_same(
    people: People, tmp_path: Path, name: str, write: Callable[[Path], Path]
) -> None:
    report = people.import_file(write(tmp_path / name))
    assert (report.what, report.rows, report.accepted, report.failed) == ("events", 50, 50, 0)
    assert people.part_rows() == {"2025-12-26": 50}
    newest = people.events_of("p1")[0]
    assert (newest["at"], newest["pin"], newest["slot"]) == (NOON - 3 * DAY + 49 * 60_000, 19, 49)
    assert len({row["session"] for row in people.events_of("p1")}) == 1
    again = people.import_file(tmp_path / name)
    assert (again.accepted, again.skipped) == (0, 50)
    assert sum(people.part_rows().values()) == 50
    assert people.verify() == []


def test_open_days_go_into_the_database_and_record_knows_them(people: People, tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text(
        json.dumps({"person": "ada", "kind": "click", "pin": "pin-1", "at": NOON, "event_id": "x"})
    )
    assert people.import_file(path).accepted == 1
    assert people.part_rows() == {}
    assert people.record([Event("click", "ada", "pin-1", at=NOON, event_id="x")])[0].status == "duplicate"


def test_given_ids_are_stored_once_across_files_and_days(people: People, tmp_path: Path) -> None:
    rows = [
        {"person": "ada", "kind": "click", "pin": "pin-1", "at": NOON - n * DAY, "event_id": f"e{n}"}
        for n in range(5)
    ]
    for name, chosen in (("a", rows[:3] + rows[:1]), ("b", rows)):
        pq.write_table(pa.Table.from_pylist(chosen), tmp_path / f"{name}.parquet")
    first = people.import_file(tmp_path / "a.parquet")
    assert (first.accepted, first.duplicates) == (3, 1)
    second = people.import_file(tmp_path / "b.parquet")
    assert (second.accepted, second.duplicates) == (2, 3)
    assert len(people.events_of("ada")) == 5


BAD = """person,kind,pin,at,slot,propensity
ada,click,pin-1,2025-12-20T10:00:00Z,1,0.5
ada,wink,pin-1,2025-12-20T10:00:00Z,1,0.5
ada,click,,2025-12-20T10:00:00Z,1,0.5
,click,pin-1,2025-12-20T10:00:00Z,1,0.5
ada,click,pin-1,soon,1,0.5
ada,click,pin-1,2035-01-01,1,0.5
ada,click,pin-1,2025-12-20T10:00:00Z,x,0.5
ada,click,pin-1,2025-12-20T10:00:00Z,-1,0.5
ada,click,pin-1,2025-12-20T10:00:00Z,1,7
ada,click,pin-1
"ada
",click,pin-1,2025-12-20 10:00,1,
ada,click,pin-1,2025-12-20 10:00+01:00,1,
"""


def test_bad_rows_are_listed_with_line_and_reason(people: People, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_bytes(BAD.encode() + b"ad\xffa,click,pin-1,1766225000,1,\n")
    report = people.import_file(tmp_path / "bad.csv")
    bad = {row.line: row.reason for row in report.bad}
    wanted = {
        3: "kind", 4: "pin", 5: "person", 6: "time", 7: "future", 8: "number", 9: "whole", 10: "propensity",
        11: "cells", 12: "person", 15: "UTF-8",
    }  # fmt: skip
    assert bad.keys() == wanted.keys()
    assert [line for line, word in wanted.items() if word not in bad[line]] == []
    assert (report.accepted, report.failed) == (2, 11)


@pytest.mark.parametrize(
    "value",
    ["1766225000", "1766225000000", "1766225000000000", "2025-12-20T10:03:20", "2025-12-20T11:03:20+01:00"],
)
def test_the_usual_forms_of_a_date(lite: People, tmp_path: Path, value: str) -> None:
    (tmp_path / "e.csv").write_text(f"person,kind,pin,at\nada,click,pin-1,{value}\n")
    lite.import_file(tmp_path / "e.csv")
    assert lite.events_of("ada")[0]["at"] == 1_766_225_000_000


def test_a_form_of_ones_own_and_constants(lite: People, tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("who,what,when\nada,pin-1,20.12.2025 10:03\n")
    report = lite.import_file(
        tmp_path / "e.csv",
        "events",
        columns={"person": "who", "pin": "what", "at": "when"},
        constants={"kind": "save"},
        dates="%d.%m.%Y %H:%M",
    )
    assert report.accepted == 1
    assert lite.events_of("ada")[0]["kind"] == "save"
    with pytest.raises(UnknownNameError, match="column"):
        lite.import_file(tmp_path / "e.csv", "events", columns={"person": "nobody"})
    with pytest.raises(UsageError, match="kind"):
        lite.import_file(tmp_path / "e.csv", "events", columns={"person": "who", "at": "when"})
    with pytest.raises(UsageError, match="cannot tell"):
        lite.import_file(tmp_path / "e.csv")


def test_what_stopped_goes_on_where_it_was(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "TEXT_BATCH", 20)
    path = as_csv(tmp_path / "e.csv")

    class StopError(Exception):
        pass

    def stop(report: object) -> None:
        raise StopError

    with pytest.raises(StopError):
        people.import_file(path, progress=stop)
    assert sum(people.part_rows().values()) == 20
    report = people.import_file(path)
    assert (report.skipped, report.accepted) == (20, 30)
    assert sum(people.part_rows().values()) == 50


def test_consent_counts_for_imports_too(people: People, tmp_path: Path) -> None:
    people.consent("p0", "off")
    people.consent("p1", clicks=False)
    people.consent("p2", sites=False)
    table = pa.Table.from_pylist([{**row, "site": "s.example"} for row in ROWS])
    pq.write_table(table, tmp_path / "e.parquet")
    report = people.import_file(tmp_path / "e.parquet")
    assert (report.accepted, report.refused) == (24, 26)
    assert people.events_of("p0") == people.events_of("p1") == []
    assert {row["site"] for row in people.events_of("p2")} == {None}
    assert {row["site"] for row in people.events_of("p3")} == {"s.example"}


def test_unknown_pins_are_kept_and_counted(people: People, tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("person,kind,pin,at\nada,click,elsewhere,1766225000\n")
    assert people.import_file(tmp_path / "e.csv").unknown_pins == 1
    row = people.events_of("ada")[0]
    assert (row["pin"], row["pin_id"]) == (None, "elsewhere")


def test_saves_boards_follows_and_people(people: People, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text('person,locale,interests\nada,en,"oak,tiles"\nbob,de,\n,x,y\n')
    (tmp_path / "boards.csv").write_text(
        "person,title,secret,kind\nada,Kitchen,true,interest\nada,Kitchen,,interest\n"
    )
    (tmp_path / "saves.jsonl").write_text(
        "".join(
            json.dumps(
                {"person": "ada", "pin": f"pin-{n}", "board": "Kitchen", "at": "2020-01-02", "note": "n"}
            )
            + "\n"
            for n in range(30)
        )
        + json.dumps({"person": "ada", "pin": "elsewhere", "board": "Kitchen"})
    )
    (tmp_path / "follows.csv").write_text(
        "person,kind,target\nbob,person,ada\nbob,person,nobody\nbob,topic,oak\n"
    )
    reports = {
        name: people.import_file(tmp_path / f"{name}.{suffix}", name)
        for name, suffix in (("people", "csv"), ("boards", "csv"), ("saves", "jsonl"), ("follows", "csv"))
    }
    assert {name: (r.accepted, r.failed) for name, r in reports.items()} == {
        "people": (2, 1), "boards": (1, 1), "saves": (31, 0), "follows": (2, 1),
    }  # fmt: skip
    assert reports["saves"].unknown_pins == 1
    board = people.board("Kitchen", viewer="ada")
    assert (board.secret, board.saves) == (True, 31)
    saved = people.pins_of("Kitchen", viewer="ada")
    assert (saved[-1].pin, saved[-1].at, saved[-1].note) == ("pin-0", 1_577_923_200_000, "n")
    assert people.person("ada").profile["interests"] == ["oak", "tiles"]
    assert people.events_of("ada") == []


def test_files_that_cannot_be_read_are_named(lite: People, tmp_path: Path) -> None:
    path = as_parquet(tmp_path / "e.parquet")
    path.write_bytes(path.read_bytes()[:-40])
    for name, error in (("e.parquet", SourceError), ("none.csv", SourceError), ("e.xls", UnknownNameError)):
        with pytest.raises(error):
            lite.import_file(tmp_path / name)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(UsageError, match="cannot tell"):
        lite.import_file(tmp_path / "empty.csv")


def test_an_export_of_everything_is_parquet(people: People, tmp_path: Path, clock: Clock) -> None:
    people.import_file(as_csv(tmp_path / "e.csv"))
    people.save("ada", "pin-1", board="K")
    counts = people.export_all(tmp_path / "out")
    assert (counts["events"], counts["saves"], counts["people"]) == (51, 1, 5)
    table = pq.read_table(tmp_path / "out" / "events", partitioning=None)
    assert len(table) == 51
    assert table.schema.field("at").type == pa.timestamp("ms", "UTC")
    names = pq.read_table(tmp_path / "out" / "people.parquet").to_pylist()
    assert {row["key"] for row in names} == {"ada", "p0", "p1", "p2", "p3"}


@pytest.mark.parametrize("older", [False, True])
def test_an_export_deletes_what_the_one_before_it_wrote_and_nothing_else(
    people: People, tmp_path: Path, older: bool
) -> None:
    out = tmp_path / "out"
    people.import_file(as_csv(tmp_path / "e.csv"))
    before = people.export_all(out)["events"]
    if older:  # before there was a list
        (out / "files.txt").unlink()
    mine = out / "events" / "notes.parquet"
    mine.write_bytes(b"somebody else's")
    (out / "mine.parquet").write_bytes(b"somebody else's")
    (out / "events" / "2001-01-01").mkdir()
    strange = out / "events" / "2001-01-01" / "all.parquet"
    strange.write_bytes(b"somebody else's")
    people.expire(0)
    people.record([Event("search", "ada")])
    after = people.export_all(out)["events"]
    assert (before, after) == (50, 1)
    kept = [len(pq.read_table(path, partitioning=None)) for path in (out / "events").glob("*/[0-9]*.parquet")]
    assert sum(kept) == after
    left = sorted(p.relative_to(out).as_posix() for p in (out / "events").rglob("*.parquet"))
    named = (out / "files.txt").read_text().splitlines()
    assert set(left) == {name for name in named if "/" in name} | {
        "events/notes.parquet", "events/2001-01-01/all.parquet",
    }  # fmt: skip
    assert (out / "mine.parquet").exists()


def test_what_was_imported_is_forgotten_with_proof(people: People, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    people_, n = [f"person-{k:04d}" for k in range(50)], 4000
    table = pa.table(
        {
            "person": rng.choice(people_, n),
            "kind": rng.choice(["click", "save", "impression"], n),
            "pin": rng.choice([f"pin-{k}" for k in range(30)], n),
            "at": NOON - rng.integers(DAY, 9 * DAY, n),
        }
    )
    pq.write_table(table, tmp_path / "e.parquet")
    people.import_file(tmp_path / "e.parquet")
    mine = int(np.sum(np.asarray(table["person"]) == "person-0007"))
    assert len(people.events_of("person-0007", 10_000)) == mine
    assert people.forget("person-0007").removed["events"] == mine
    assert sum(people.part_rows().values()) == n - mine
    assert people.verify() == []
    assert not any(b"person-0007" in p.read_bytes() for p in people.store.folder.rglob("*") if p.is_file())


def test_many_saves_make_boards_once_and_heed_what_people_allow(people: People, tmp_path: Path) -> None:
    people.consent("shut", "off")
    people.save("ada", "pin-1", board="kitchen")
    rows = [
        ("ada", "pin-1", "Kitchen"), ("ada", "pin-2", "Kitchen"), ("ada", "pin-2", "KITCHEN"), ("bob", "pin-2", "Kitchen"),
        ("shut", "pin-2", "Kitchen"), ("p" + "a" * 13, "pin-2", "Kitchen"), ("bob", "pin-3", "x" * 300), ("\x07", "pin-3", "K"),
    ]  # fmt: skip
    pq.write_table(
        pa.table({name: [row[at] for row in rows] for at, name in enumerate(("person", "pin", "board"))}),
        tmp_path / "saves.parquet",
    )
    report = people.import_file(tmp_path / "saves.parquet")
    assert (report.what, report.accepted, report.failed) == ("saves", 4, 4)
    assert [(b.title, b.saves) for b in people.boards("ada", viewer="ada")] == [("kitchen", 2)]
    assert [(b.title, b.saves) for b in people.boards("bob", viewer="bob")] == [("Kitchen", 1)]
    assert [save.number for save in people.pins_of("Kitchen", viewer="ada")] == [2, 1]
    reasons = {row.line: row.reason for row in report.bad}
    assert "consent" in reasons[5]
    assert "pseudonym" in reasons[6]
    assert "too long" in reasons[7]
    assert "key" in reasons[8]
