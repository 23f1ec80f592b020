"""People beside an index: `Index.people`, and what happens to saves when pins are indexed and removed."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import visualsearch as vs
from visualsearch.errors import UnknownNameError
from visualsearch.store import writing


def test_saves_name_the_pins_of_the_index(index: vs.Index) -> None:
    pin = next(index.rows())[0]
    save = index.people.save("ada", pin.id, board="Kitchen")
    assert (save.pin, save.number) == (pin.id, pin.pin)
    assert index.people.record([vs.Event("click", person="ada", pin=pin.id, slot=3)])[0].status == "accepted"
    with pytest.raises(UnknownNameError):
        index.people.save("ada", "nothing", board="Kitchen")
    assert (index.folder / "people.sqlite").exists()


def test_a_save_does_not_wait_for_an_indexing_run(index: vs.Index) -> None:
    pin = next(index.rows())[0].id
    with writing(index.folder):
        assert index.people.save("ada", pin, board="Kitchen").pin == pin


def test_a_removed_pin_keeps_its_saves_until_it_is_back(index: vs.Index, photos: Path) -> None:
    pin = next(index.rows())[0].id
    index.people.save("ada", pin, board="Kitchen")
    index.remove([pin])
    assert index.people.pins_of("Kitchen", viewer="ada") == []
    assert index.people.pins_of("Kitchen", viewer="ada", gone=True)[0].gone
    index.compact()
    index.add(photos, include=[pin])
    back = index.people.pins_of("Kitchen", viewer="ada")
    assert [save.pin for save in back] == [pin]
    assert pin in index


def test_an_index_without_people_has_no_file_of_them(index: vs.Index) -> None:
    index.remove([next(index.rows())[0].id])
    assert not (index.folder / "people.sqlite").exists()


def test_the_commands(run: Any, index: vs.Index, tmp_path: Path) -> None:
    pin = next(index.rows())[0].id
    index.close()
    folder = index.folder
    events = tmp_path / "events.csv"
    events.write_text(f"user,kind,pin,at\nada,click,{pin},2025-12-20\nada,wink,{pin},2025-12-20\n")
    done = run("people", "import", folder, events, "--column", "person=user", "--json")
    assert (done.code, done.json[0]["accepted"], done.json[0]["bad"][0]["line"]) == (1, 1, 3)
    saves = tmp_path / "saves.csv"
    saves.write_text(f"person,pin,board\nada,{pin},Kitchen\n")
    assert run("people", "import", folder, saves).code == 0
    shown = run("people", "show", folder, "ada")
    assert "Kitchen: 1 pins" in shown.out
    assert run("people", "show", folder, "ada", "--json").json["key"] == "ada"
    assert run("people", "pause", folder, "ada", "--json").json["paused"] is True
    assert run("people", "pause", folder, "ada", "--resume").code == 0
    assert len(run("people", "export", folder, "ada").json["saves"]) == 1
    assert run("people", "export", folder, "ada", "--to", tmp_path / "ada.json").code == 0
    assert json.loads((tmp_path / "ada.json").read_text())["person"][0]["key"] == "ada"
    assert run("people", "export", folder, "--to", tmp_path / "all").code == 0
    assert (tmp_path / "all" / "saves.parquet").exists()
    receipt = run("people", "forget", folder, "ada", "--json").json
    assert receipt["removed"]["saves"] == 1
    assert "no trace" in receipt["proof"]
    assert run("people", "show", folder, "ada").code == 2
    assert run("people", "import", folder, saves, "--column", "person").code == 2
    assert run("people", "export", folder).code == 2


def test_only_changed_pins_are_compared(
    index: vs.Index, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = names_of(index)
    for name in names:
        index.people.save("ada", name, board="Kitchen")
    index.remove([names[0]])  # the first time, all are compared
    asked: list[str] = []
    pins = index.people.pins
    find = pins.find
    monkeypatch.setattr(pins, "find", lambda ids: (asked.extend(ids), find(ids))[1])
    index.remove([names[1]])
    assert set(asked) == {names[1]}
    assert len(index.people.pins_of("Kitchen", viewer="ada")) == len(names) - 2
    asked.clear()
    index.add(photos, include=names[:2])
    assert set(asked) <= set(names[:2])
    assert len(index.people.pins_of("Kitchen", viewer="ada")) == len(names)


def test_changes_that_nobody_told_of_are_found_at_the_next_one(index: vs.Index) -> None:
    names = names_of(index)
    for name in names[:3]:
        index.people.save("ada", name, board="Kitchen")
    index.remove([names[3]])
    with (
        writing(index.folder),
        closing(index.catalog.writer()) as writer,
    ):  # a process that dies before it tells
        pin = writer.by_id(names[0])
        assert pin is not None
        with writer.commit():
            writer.delete_pins([pin.pin])
    index.remove([names[1]])
    assert [save.pin for save in index.people.pins_of("Kitchen", viewer="ada")] == [names[2]]


def test_forgetting_cleans_exports_and_learnt_arrays(index: vs.Index, tmp_path: Path) -> None:
    people, pin = index.people, next(index.rows())[0].id
    for who in ("ada-lovelace", "bob"):
        people.save(who, pin, board="Kitchen")
        people.comment(who, pin, "seen by @ada-lovelace")
    number = np.array([people_number(people, "ada-lovelace")])
    for folder in ("learnt/000001", "elsewhere"):
        (index.folder / folder).mkdir(parents=True)
        np.save(index.folder / folder / "persons.npy", number)
    people.track(index.folder / "elsewhere", "learnt")
    people.export_all(tmp_path / "out")
    people.export_all(tmp_path / "gone")
    shutil.rmtree(tmp_path / "gone")
    assert {place.name for place, _ in people.derived()} == {"learnt", "elsewhere", "out"}
    with pytest.raises(UnknownNameError, match="kind"):
        people.track(tmp_path, "photocopy")
    people.forget("ada-lovelace")
    assert not (index.folder / "learnt").exists()
    assert not (index.folder / "elsewhere").exists()
    held = [p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert held
    assert not any(b"ada-lovelace" in text for text in held)
    assert len(pq.read_table(tmp_path / "out" / "saves.parquet")) == 1
    assert len(pq.read_table(tmp_path / "out" / "events", partitioning=None)) == 1
    assert [place.name for place, _ in people.derived()] == ["out"]


def names_of(index: vs.Index) -> list[str]:
    with index.catalog.read() as reader:
        return [pin.id for pin in reader.each_pin()]


def people_number(people: vs.people.People, name: str) -> int:
    from visualsearch.people.model import pseudonym_number

    return pseudonym_number(people.person(name).pseudonym) or 0


def test_a_token_is_printed_once_and_ends(run: Any, index: vs.Index) -> None:
    index.close()
    made = run("people", "token", index.folder, "ada", "--days", "90")
    assert made.code == 0
    assert made.out.strip().startswith("vp_")
    assert made.out.strip() not in made.err
    assert made.out.strip().encode() not in (index.folder / "people.sqlite").read_bytes()
    ended = run("people", "token", index.folder, "ada", "--revoke")
    assert (ended.code, ended.out) == (0, "")
    assert "tokens ended: 1" in ended.err
