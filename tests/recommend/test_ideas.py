"""Ideas for a board: from what people saved, true in their reasons, and silent about what is secret, hidden or gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.errors import UnknownNameError, UsageError
from visualsearch.recommend import BUILDERS, learn, open_learnt
from visualsearch.recommend.items import items_from, items_of

from ..fakes import FakeEncoder
from .conftest import TOPIC, picture


def kitchen(index: vs.Index, k: int = 10, **options: Any) -> vs.Hits:
    return index.ideas("Kitchen", k, person="ada", **options)


def test_ideas_are_of_the_boards_topic_and_never_on_it(pins: vs.Index) -> None:
    hits = kitchen(pins)
    assert hits.plan == "saves-and-sight"
    assert len(hits) == 10
    assert {hit.id.split("-")[0] for hit in hits} <= {"kitchen", "cold"}
    assert not {f"kitchen-{n}" for n in range(4)} & set(hits.ids)
    order = [hit.signals["idea"] for hit in hits]
    assert order == sorted(order, reverse=True)


def test_every_idea_has_a_reason_that_can_be_computed_again(pins: vs.Index) -> None:
    learnt = open_learnt(pins.folder)
    assert learnt is not None
    items = items_from(learnt)
    assert items is not None
    mine = [save.pin for save in pins.people.pins_of("Kitchen", viewer="ada")]
    kinds = set()
    for hit in kitchen(pins, 30):
        assert hit.why is not None
        kinds.add(hit.why.kind)
        first = next(e for e in hit.why.evidence if e.id in mine)
        if hit.why.kind == "sight":
            vectors = pins.vectors([*mine, hit.id])
            cosines = vectors[:-1] @ vectors[-1]
            assert first.id == mine[int(cosines.argmax())]
            assert first.weight == pytest.approx(float(cosines.max()), abs=1e-3)
            continue
        learnt_pin = hit.id if hit.why.kind != "look-alike" else hit.why.evidence[0].id
        weights = np.array([items.weights[items.at[pin], items.at[learnt_pin]] for pin in mine])
        assert first.id == mine[int(weights.argmax())]
        assert first.weight == pytest.approx(weights.max() / weights.sum(), abs=1e-6)
        assert f'"{first.id.title()}" on "Kitchen"' in hit.why.sentence
        together = pins.people.saved_together([(first.id, learnt_pin)])
        assert bool(together) == ("together" in hit.why.sentence)
    assert kinds >= {"together", "look-alike"}


def test_a_pin_nobody_saved_comes_through_its_look_alike(pins: vs.Index) -> None:
    hits = {hit.id: hit for hit in kitchen(pins, 40)}
    for n in range(4, 8):  # kitchen-0 to kitchen-3 are on the board, and so are no candidates
        why = hits[f"cold-{n}"].why
        assert why is not None
        assert (why.kind, why.evidence[0].id) == ("look-alike", f"kitchen-{n}")


def test_the_kept_weights_and_figures_are_those_of_the_boards(pins: vs.Index) -> None:
    learnt = open_learnt(pins.folder)
    assert learnt is not None
    figures = learnt.values("items")["figures"]
    assert figures["ideas recall@20"] >= figures["ideas by sight alone"]
    assert figures["ideas recall@20"] > 0.5
    assert learnt.watermark == 30 * 8 + 4


def test_the_same_saves_and_seed_are_learnt_to_the_same_bytes(pins: vs.Index) -> None:
    first = open_learnt(pins.folder)
    learn(pins, BUILDERS, again=True)
    second = open_learnt(pins.folder)
    assert first is not None
    assert second is not None
    assert second.number == first.number + 1
    for path in sorted(first.folder.iterdir()):
        assert path.read_bytes() == (second.folder / path.name).read_bytes(), path.name


def test_what_did_not_change_is_not_built_again(pins: vs.Index) -> None:
    report = learn(pins, BUILDERS)
    assert {outcome.state for outcome in report.outcomes} == {"kept"}
    pins.people.save("ada", "kitchen-9", board="Kitchen")
    report = learn(pins, BUILDERS)
    assert {outcome.state for outcome in report.outcomes} == {"built"}


def test_a_damaged_part_is_built_again(pins: vs.Index) -> None:
    learnt = open_learnt(pins.folder)
    assert learnt is not None
    (learnt.folder / "items.weights.npy").write_bytes(b"")
    said: list[str] = []
    learn(pins, BUILDERS, say=said.append)
    assert any("damaged" in line for line in said)
    assert kitchen(pins).plan == "saves-and-sight"


def test_deleting_what_was_learnt_loses_nothing(pins: vs.Index) -> None:
    import shutil

    before = kitchen(pins).ids
    shutil.rmtree(pins.folder / "learnt")
    without = kitchen(pins)
    assert without.plan == "sight"
    assert "visualsearch learn" in without.notes[0]
    assert all(hit.why is not None and hit.why.kind == "sight" for hit in without)
    learn(pins, BUILDERS)
    assert kitchen(pins).ids == before


def test_what_the_person_hid_does_not_come_back(pins: vs.Index) -> None:
    first = kitchen(pins).ids[0]
    pins.people.record([vs.Event("hide", person="ada", pin=first)])
    assert first not in kitchen(pins, 40).ids
    pins.people.save("ada", first, board="Other")
    assert first in kitchen(pins, 40).ids, "saved since, so it is not hidden any more"


def test_a_removed_pin_is_not_served(pins: vs.Index) -> None:
    first, second = kitchen(pins).ids[:2]
    pins.remove([first])
    hits = kitchen(pins, 40)
    assert first not in hits.ids
    assert second in hits.ids
    assert all(e.id in pins for hit in hits for e in hit.why.evidence)  # type: ignore[union-attr]


def test_secret_boards_and_people_who_do_not_allow_it_teach_nothing(pins: vs.Index) -> None:
    people = pins.people
    for who in ("eve", "sam"):
        people.create_board(who, "Mixed", secret=who == "eve")
        for pin in ("kitchen-0", "garden-0", "garden-1"):
            people.save(who, pin, board="Mixed")
    people.consent("sam", "session")
    material = people.material()
    assert len(material) == 30 * 8 + 4
    assert not any(board.title == "Mixed" for board in (people.board(name) for name in material.boards))
    learn(pins, BUILDERS)
    items = items_of(pins)
    assert items is not None
    assert items.weights[items.at["kitchen-0"], items.at["garden-0"]] == 0.0
    assert people.saved_together([("kitchen-0", "garden-0")]) == set()


def test_a_secret_board_has_ideas_for_its_owner_alone(pins: vs.Index) -> None:
    board = pins.people.create_board("eve", "Gift", secret=True)
    pins.people.save("eve", "garden-2", board="Gift")
    assert pins.ideas("Gift", 5, person="eve").ids
    for asker in (None, "ada"):
        with pytest.raises(UnknownNameError):
            pins.ideas(board.id, 5, person=asker)


def test_a_section_and_all_of_a_person(pins: vs.Index) -> None:
    people = pins.people
    people.save("joe", "kitchen-1", board="House", section="Inside")
    for n in range(3):
        people.save("joe", f"garden-{n}", board="House", section="Outside")
    outside = pins.ideas("House", 8, person="joe", section="Outside")
    assert {hit.id.split("-")[0] for hit in outside if hit.signals["together"] > 0.3} == {"garden"}
    assert "garden-0" not in outside.ids
    everything = pins.ideas(None, 30, person="joe")
    assert {"kitchen", "garden"} <= {hit.id.split("-")[0] for hit in everything}
    with pytest.raises(UnknownNameError, match="section"):
        pins.ideas("House", 8, person="joe", section="Cellar")
    with pytest.raises(UsageError, match="neither"):
        pins.ideas()


def test_odd_boards(pins: vs.Index) -> None:
    people = pins.people
    people.create_board("joe", "Empty")
    empty = pins.ideas("Empty", 5, person="joe")
    assert (len(empty), empty.notes) == (0, ("the board has no pins of this index to go by",))
    people.save("joe", "garden-5", board="One")
    assert len(pins.ideas("One", 5, person="joe")) == 5
    for pin in [row.id for row in next(pins.rows())]:
        people.save("joe", pin, board="All")
    assert len(pins.ideas("All", 5, person="joe")) == 0
    people.save("joe", "cold-3", board="Cold")
    cold = pins.ideas("Cold", 5, person="joe")
    assert cold.plan == "sight"
    assert cold.ids[0] == "kitchen-3"
    with pytest.raises(UsageError, match="k: 0"):
        kitchen(pins, 0)


def test_a_filter_holds(pins: vs.Index) -> None:
    hits = kitchen(pins, 10, where="title = 'Kitchen-9'")
    assert hits.ids == ["kitchen-9"]


def test_boards_like_a_board_are_public_and_of_its_topic(pins: vs.Index) -> None:
    pins.people.create_board("eve", "Secret kitchen", secret=True)
    for n in range(4):
        pins.people.save("eve", f"kitchen-{n}", board="Secret kitchen")
    found = pins.boards_like("Kitchen", 10, person="ada")
    assert [hit.board.title.split()[0] for hit in found] == ["kitchen"] * 10
    scores = [hit.score for hit in found]
    assert scores == sorted(scores, reverse=True)
    for hit in found:
        held = {save.pin for save in pins.people.pins_of(hit.board.id)}
        assert {e.id for e in hit.why.evidence} <= held
    alike = pins.boards_like(None, 10, person="ada")
    assert all(hit.board.title != "Kitchen" for hit in alike)


def test_little_to_learn_from_is_said(tmp_path: Path) -> None:
    with vs.create(tmp_path / "a.index", FakeEncoder()) as index:
        index.add([{"id": f"p{n}", "image": picture(n)} for n in range(3)])
        assert index.people.material().watermark == 0
        report = learn(index, BUILDERS)
        assert (report.number, report.saves) == (None, 0)
        index.people.save("ada", "p0", board="One")
        report = learn(index, BUILDERS, only=["items"])
        assert [outcome.state for outcome in report.outcomes] == ["nothing"]
        assert index.ideas("One", 2, person="ada").plan == "sight"
        with pytest.raises(UnknownNameError, match="part"):
            learn(index, BUILDERS, only=["item"])


def test_the_commands(run: Any, pins: vs.Index, tmp_path: Path) -> None:
    board = pins.people.board("Kitchen", viewer="ada").id
    folder = pins.folder
    pins.close()
    report = run("learn", folder, "--json").json
    assert report["persons"] == 31
    assert {outcome["state"] for outcome in report["outcomes"]} == {"kept"}
    assert "items: built" in run("learn", folder, "--only", "items", "--again").out
    shown = run("ideas", folder, board, "-k", 3, "--json").json
    assert len(shown["hits"]) == 3
    assert shown["hits"][0]["why"]["evidence"]
    why = run("ideas", folder, "Kitchen", "--person", "ada", "--why", "-k", 2)
    assert (why.code, 'on "Kitchen"' in why.out) == (0, True)
    assert run("ideas", folder, "Kitchen").code == 2
    page = tmp_path / "ideas.html"
    assert run("ideas", folder, "--person", "ada", "--html", page).code == 0
    assert "Ideas for all that ada saved" in page.read_text()
    alike = run("ideas", folder, board, "--boards", "--json").json
    assert alike[0]["title"].startswith("kitchen")
    assert TOPIC == 20
