"""From a burst to a verdict and back: what is hidden, from whom, and that undoing it leaves all as it was."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.errors import ConflictError, UnknownNameError, UsageError
from visualsearch.people import Level
from visualsearch.recommend import BUILDERS, graph, learn
from visualsearch.trust import Limits, Trust

from ..fakes import FakeEncoder
from .conftest import BAD, COPIES, SPAMMERS, attacked, record, unit


def state(index: vs.Index) -> tuple[object, ...]:
    """Everything that a verdict could have changed: saves, counts, what may be learnt, and every row beside the verdicts."""
    people = index.people
    pins = [f"pin-{n}" for n in range(120)] + [f"spam-{n}" for n in range(COPIES)]
    boards = people.boards("spammer-0", viewer="spammer-0")
    return (
        people.save_counts(pins),
        people.material().fingerprint,
        [save.pin for board in boards for save in people.pins_of(board.id, k=1000)],
        people.popular(500),
        [hit.id for hit in index.nearest(index.vectors(["spam-0"]), k=50)[0]],
    )


def test_a_bulk_attack_is_hidden_and_nothing_else_and_undone_exactly(judged: Trust) -> None:
    index = judged.index
    before = state(index)
    report = judged.scan()
    assert len(report.made) == 1
    [case] = judged.queue()
    assert (case.kind, case.action, case.state) == ("burst", Level.HIDE, "waiting")
    assert set(case.pins) == {f"spam-{n}" for n in range(COPIES)}
    assert len(case.people) == SPAMMERS
    assert case.sites == (BAD,)
    assert {"copies", "repeated words"} <= {each["signal"] for each in case.evidence}
    shown = index.nearest(index.vectors(["spam-0"]), k=200)[0]
    assert {hit.id for hit in shown} == {f"pin-{n}" for n in range(120)}
    assert shown.total == 120
    assert index.people.save_counts(["spam-0"]) == {"spam-0": 0}
    assert "spam-0" not in index.people.popular(500)
    assert judged.scan().made == []
    undone = judged.undo(case.number)
    assert undone.state == "undone"
    assert state(index) == before
    with pytest.raises(ConflictError, match="undone already"):
        judged.undo(case.number)
    assert judged.scan(everything=True).made == []  # a person's word stands
    assert state(index) == before


def test_the_author_still_sees_what_is_hidden_and_nobody_what_is_removed(judged: Trust) -> None:
    index = judged.index
    judged.scan()
    [case] = judged.queue()
    [board] = index.people.boards("spammer-0", viewer="spammer-0")
    assert len(index.people.pins_of(board.id, viewer="spammer-0", k=100)) == COPIES // SPAMMERS
    found = index.search(like="pin-0", k=200, person="spammer-0")
    assert {hit.id for hit in found} > {"spam-0"}
    with pytest.raises(UnknownNameError):
        index.people.board(board.id, viewer="person-1")
    judged.decide(case.number, "remove")
    assert index.people.pins_of(board.id, viewer="spammer-0", k=100) == []
    assert not {hit.id for hit in index.search(like="pin-0", k=200, person="spammer-0")} & set(case.pins)


def test_what_judged_accounts_and_sites_put_up_later_follows_at_the_next_scan(judged: Trust) -> None:
    index = judged.index
    judged.scan()
    rng = np.random.default_rng(5)
    index.add([record("late", unit(rng), "Nice lamp", f"https://shop.{BAD}/late")])
    index.people.save("somebody-new", "late", board="Mine")
    assert judged.scan().followed == 1
    assert "late" in index.people.shut().hidden


def test_pins_in_doubt_are_found_behind_all_others(judged: Trust) -> None:
    index = judged.index
    judged.scan()
    [case] = judged.queue()
    judged.decide(case.number, "lower")
    hits = index.search(like="spam-0", k=170)
    assert [hit.id.startswith("spam") for hit in hits] == [False] * 120 + [True] * 50
    assert judged.decide(case.number, "fine").spam is False
    assert index.search(like="spam-0", k=1)[0].id.startswith("spam")


@pytest.mark.parametrize("judged", ["sqlite"], indirect=True)
def test_learnt_things_ignore_judged_accounts_and_are_the_same_again_after_undo(
    judged: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "FRESH_SECONDS", -1.0)  # a walk looks for changes every time
    index = judged.index

    def learnt() -> dict[str, str]:
        learn(index, BUILDERS)
        folder = max(p for p in (index.folder / "learnt").iterdir() if p.is_dir())
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("*.npy")}

    before = learnt()
    related = [hit.id for hit in index.related("spam-0", 20)]
    judged.scan()
    [case] = judged.queue()
    assert learnt() != before
    assert not {hit.id for hit in index.related("pin-0", 100)} & set(case.pins)
    assert not {hit.id for hit in index.feed("person-1", 100)} & set(case.pins)
    judged.undo(case.number)
    again = [hit.id for hit in index.related("spam-0", 20)]
    assert set(again) == set(related)  # the graph has its saves back, though it was learnt without them
    assert learnt() == before


def test_an_appeal_comes_first_and_is_only_taken_from_whom_the_verdict_is_about(judged: Trust) -> None:
    judged.scan()
    [case] = judged.queue()
    with pytest.raises(UnknownNameError):
        judged.appeal(case.number, "person-1", "it was me")
    with pytest.raises(UsageError, match="empty"):
        judged.appeal(case.number, "spammer-0", "  ")
    judged.decide(case.number, "hide")
    assert judged.queue() == []
    judged.appeal(case.number, "spammer-0", "these are my own lamps")
    assert judged.queue()[0].appeal == "these are my own lamps"
    assert [each.number for each in judged.about("spammer-0")] == [case.number]


def test_without_a_persons_word_no_more_accounts_are_hidden_a_day_than_allowed(judged: Trust) -> None:
    report = Trust(judged.index, Limits(hidden_accounts=2)).scan()
    [case] = judged.queue()
    assert (report.acting, case.action, case.score > 0.95) == (0, Level.NOTHING, True)


def test_a_hold_ends_by_itself_where_nobody_confirms_it(judged: Trust) -> None:
    index = judged.index
    judged.scan()
    [case] = judged.queue()
    people = index.people
    people.change_ruling(case.number, Level.NOTHING, state="waiting", by="rules")
    from dataclasses import replace

    people.extend_ruling(case.number, replace(case, action=Level.HOLD, until=people.now() + 1000))
    assert len(people.shut().hidden) == COPIES
    later = people.now() + 2000
    people.now = lambda: later
    assert judged.scan().ended == 1
    assert people.shut().hidden == frozenset()


@pytest.mark.parametrize("judged", ["sqlite"], indirect=True)
def test_a_record_that_does_not_answer_leaves_the_search_with_what_was_known(
    judged: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    from visualsearch.errors import UnreachableError

    index = judged.index
    judged.scan()
    assert len(index.search(like="pin-0", k=200)) == 119

    def away() -> None:
        raise UnreachableError("cannot reach it", "it is away", "Wait")

    monkeypatch.setattr(index.people, "shut", away)
    assert len(index.search(like="pin-0", k=200)) == 119


def test_forgetting_an_account_leaves_the_verdict_without_it(judged: Trust) -> None:
    judged.scan()
    [case] = judged.queue()
    judged.index.people.forget("spammer-0")
    assert len(judged.case(case.number).people) == SPAMMERS - 1


def test_a_verdict_on_something_gone_says_so(judged: Trust) -> None:
    with pytest.raises(UnknownNameError, match="99"):
        judged.decide(99, "hide")
    with pytest.raises(UnknownNameError, match="maybe"):
        judged.decide(1, "maybe")
    judged.scan()
    [case] = judged.queue()
    judged.index.remove(case.pins[:10])
    assert judged.decide(case.number, "hide").spam
    assert len(judged.index.search(like="pin-0", k=200)) == 119
    assert judged.undo(case.number).state == "undone"


@pytest.mark.parametrize("judged", ["sqlite"], indirect=True)
def test_the_command_finds_shows_decides_and_undoes(judged: Trust, run: object) -> None:
    folder: Path = judged.index.folder
    judged.index.close()
    shown = run("trust", "scan", folder, "--json")  # type: ignore[operator]
    assert (shown.code, shown.json["made"], shown.json["waiting"]) == (0, [1], 1)
    listed = run("trust", "review", folder, "--json")  # type: ignore[operator]
    [case] = listed.json["cases"]
    assert (case["verdict"], case["action"], len(case["pins"])) == (1, "hide", COPIES)
    assert "show 4 pictures over and over" in run("trust", "review", folder).out  # type: ignore[operator]
    assert run("trust", "review", folder, "--case", 1).code == 2  # type: ignore[operator]
    decided = run("trust", "review", folder, "--case", 1, "--verdict", "hide", "--json")  # type: ignore[operator]
    assert (decided.json["cases"][0]["state"], decided.json["cases"][0]["spam"]) == ("decided", True)
    assert "undone" in run("trust", "undo", folder, 1).err  # type: ignore[operator]
    assert run("trust", "undo", folder, 1).code == 2  # type: ignore[operator]
    with vs.open(folder, FakeEncoder()) as index:
        assert index.people.shut().hidden == frozenset()


def test_later_attackers_are_found_while_honest_people_go_on(peaceful: Trust) -> None:
    assert peaceful.scan().made == []
    names = attacked(peaceful.index, np.random.default_rng(3))
    assert len(peaceful.scan().made) == 1
    assert peaceful.index.people.shut().hidden == frozenset(names)
