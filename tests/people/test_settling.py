"""Verdicts reach the ledger: nothing is billed for who is under one, and what was billed goes back and comes again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from visualsearch.people import Level, People
from visualsearch.people.billing import VERDICT
from visualsearch.people.rulings import Ruling

from .conftest import Clock, Opener
from .test_promoted import PIN, campaign, click, shown


def entries(people: People) -> list[tuple[str, int]]:
    return [(entry["kind"], entry["amount"]) for entry in people.ledger()]


def ruled(people: People, *names: str, level: Level = Level.HOLD) -> int:
    numbers = people.numbers_of(names).tolist()
    return people.rule([Ruling("clicks", "a ring", level, 0.99, people=numbers)])[0]


def undone(people: People, number: int) -> None:
    people.change_ruling(number, Level.NOTHING, state="undone", by="person")


def started(people: People, placements: int, **changes: Any) -> None:
    people.change_campaigns(lambda _: [campaign(**changes)])
    for n in range(placements):
        shown(people, f"p{n}")


def test_a_verdict_gives_back_what_was_billed_and_undo_bills_it_again(people: People) -> None:
    started(people, 3)
    for n, who in enumerate(("ring-1", "ring-2", "ada")):
        click(people, f"p{n}", who)
    before = people.tally_rows()
    number = ruled(people, "ring-1", "ring-2")
    assert entries(people) == [("charge", 30)] * 3 + [("credit", -30)] * 2
    assert people.ledger()[-1]["reason"] == VERDICT
    assert (people.spending()["c"], people.spent_on("2025-12-29")["c"]) == (30, 30)
    assert [row["acted"] for row in people.tally_rows()] == [1]
    first = [dict(row) for row in people.ledger()]
    people.change_ruling(number, Level.HIDE, state="decided", by="person", spam=True)
    assert people.settle_charges() == (0, 0)
    assert people.ledger() == first  # nothing is done twice, and no entry is changed
    undone(people, number)
    assert people.ledger()[: len(first)] == first
    assert entries(people)[len(first) :] == [("debit", 30)] * 2
    assert people.spending()["c"] == 90
    assert people.tally_rows() == before
    assert people.rebuild_ledger().wrong == {}
    people.change_ruling(number, Level.HIDE, state="decided", by="person")
    undone(people, number)
    assert people.spending()["c"] == 90
    assert people.settle_charges() == (0, 0)


def test_what_comes_under_a_verdict_is_not_billed_until_it_ends(people: People) -> None:
    started(people, 2)
    click(people, "p0", "bot")
    number = ruled(people, "bot")
    click(people, "p1", "bot")
    assert entries(people) == [("charge", 30), ("credit", -30), ("invalid", 0)]
    assert people.ledger()[-1]["reason"] == VERDICT
    undone(people, number)
    assert entries(people)[3:] == [("debit", 30), ("debit", 30)]
    lower = ruled(people, "bot", level=Level.LOWER)
    assert people.spending()["c"] == 60
    assert people.drop_rulings() == 2
    assert (lower, people.spending()["c"]) == (2, 60)


def test_a_placement_is_paid_for_by_the_next_who_is_valid(people: People) -> None:
    started(people, 2)
    click(people, "p0", "bot")
    click(people, "p0", "ada")
    assert entries(people) == [("charge", 30), ("invalid", 0)]
    number = ruled(people, "bot")
    assert entries(people)[2:] == []  # ada acted on it too: it stays paid for, once
    click(people, "p1", "bot")
    click(people, "p1", "bob")
    assert entries(people)[2:] == [("invalid", 0), ("charge", 30)]
    undone(people, number)
    assert (people.spending()["c"], len(entries(people))) == (60, 4)


def test_a_budget_that_others_used_meanwhile_is_not_overrun(people: People) -> None:
    started(people, 5, budget=100)
    for n, who in enumerate(("bot", "ada", "bob", "cy")):
        click(people, f"p{n}", who)
    number = ruled(people, "bot")
    assert people.spending()["c"] == 70
    click(people, "p4", "dan")
    undone(people, number)
    assert entries(people)[3:] == [("over", 10), ("credit", -30), ("charge", 30), ("debit", 0)]
    assert people.spending()["c"] == 100
    again = ruled(people, "bot", "ada", "bob", "cy", "dan")
    assert people.spending()["c"] == 0
    undone(people, again)
    assert people.spending()["c"] == 100
    assert people.rebuild_ledger().wrong == {}


def test_money_that_was_refunded_by_hand_is_neither_given_back_twice_nor_taken_again(people: People) -> None:
    started(people, 2)
    click(people, "p0", "bot", event_id="e0")
    click(people, "p1", "bot", event_id="e1")
    assert people.refund(["e0"], "a bot") == 1
    number = ruled(people, "bot")
    assert people.refund(["e1"], "a bot") == 0  # a verdict had done so
    undone(people, number)
    assert people.spending()["c"] == 0
    assert people.settle_charges() == (0, 0)


def test_what_people_under_a_verdict_saw_and_hid_foretells_nothing(people: People) -> None:
    people.change_campaigns(lambda _: [campaign()])
    for who in ("bot", "ada"):
        people.save(who, PIN, board="Kitchen")
        number = people.viewer(who, 0).number  # type: ignore[union-attr]
        shown(people, f"of {who}", number, fresh=True)
        people.record([_hide(who)])
    (before,) = people.tally_rows()
    assert (before["shown"], before["hidden"], before["fresh"]) == (2, 2, 2)
    ruling = ruled(people, "bot")
    (row,) = people.tally_rows()
    assert (row["shown"], row["hidden"], row["fresh"], row["predicted"]) == (1, 1, 1, 0.02)
    undone(people, ruling)
    assert people.tally_rows() == [before]


def _hide(who: str) -> Any:
    from visualsearch.people import Event

    return Event("hide", who, PIN, variant=f"promoted:of {who}")


def test_a_claimed_visitor_takes_the_persons_verdict_and_who_is_forgotten_leaves_the_ledger(
    people: People,
) -> None:
    started(people, 2)
    click(people, "p0", "visitor")
    click(people, "p1", "bot")
    ruled(people, "bot")
    people.claim("visitor", "bot")
    assert entries(people) == [("charge", 30), ("charge", 30), ("credit", -30), ("credit", -30)]
    assert len(people.export("bot")["acts"]) == 2
    people.forget("bot")
    assert people.settle_charges() == (0, 0)
    assert (len(entries(people)), people.spending()["c"]) == (4, 0)


def test_a_record_of_before_learns_who_was_billed_for(opened: Opener) -> None:
    from alembic.command import downgrade
    from alembic.config import Config

    from visualsearch.people import store as stores

    people = opened()
    started(people, 1)
    people.save("bot", PIN, board="Kitchen")
    shown(people, "own", people.viewer("bot", 0).number)  # type: ignore[union-attr]
    click(people, "own", "bot")
    click(people, "p0", "bot")
    click(people, "p0", "ada")
    with people.store.read() as db:
        kept = sorted(tuple(row) for row in db.exec_driver_sql("SELECT * FROM acts"))
    config = Config()
    config.set_main_option("script_location", str(Path(stores.__file__).parent / "migrations"))
    with people.store._writing.begin() as db:
        config.attributes["connection"] = db
        downgrade(config, "0009")
    again = opened()
    with again.store.read() as db:
        assert sorted(tuple(row) for row in db.exec_driver_sql("SELECT * FROM acts")) == kept
    assert len(kept) == 3
    ruled(again, "bot")
    assert again.spending()["c"] == 30  # ada clicked p0 too


def test_imported_events_of_promoted_pins_are_billed_as_live_ones_are(
    people: People, clock: Clock, tmp_path: Path
) -> None:
    started(people, 3)
    ruled_at = clock.at
    click(people, "p2", "bot")
    ruled(people, "bot")
    rows = [
        f"ada,click,{PIN},{clock.at + 1000},e1,promoted:p0",
        f"bob,click,{PIN},{clock.at + 2000},e2,promoted:p0",
        f"bot,click,{PIN},{clock.at + 3000},e3,promoted:p1",
        f"ada,click,{PIN},{clock.at + 4000},e4,",
        f"ada,click,pin-2,{clock.at + 5000},e5,promoted:p1",
    ]
    file = tmp_path / "events.csv"
    file.write_text("\n".join(["person,kind,pin,at,event_id,variant", *rows]) + "\n")
    clock.pass_(days=3)  # the day is closed: its events never are rows of the database
    assert people.import_file(file, "events").accepted == 5
    wanted = [("charge", 30), ("credit", -30), ("charge", 30), ("invalid", 0), ("invalid", 0), ("invalid", 0)]
    assert entries(people) == wanted
    assert [entry["day"] for entry in people.ledger()[2:]] == ["2025-12-29"] * 4
    again = tmp_path / "again.csv"
    again.write_text(file.read_text() + f"ada,click,{PIN},{ruled_at + 6000},e6,promoted:p1\n")
    assert people.import_file(again, "events").duplicates == 5
    assert entries(people)[6:] == [("charge", 30)]
    assert people.rebuild_ledger().wrong == {}
