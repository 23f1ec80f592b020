"""Campaigns, placements and the ledger, on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from visualsearch.errors import UnknownNameError, UsageError
from visualsearch.people import Event, People, Placement

from .conftest import Clock

PIN, OTHER = "pin-1", "pin-2"


def campaign(name: str = "c", **changes: Any) -> dict[str, Any]:
    return {
        "campaign": name, "advertiser": "Ada", "state": "running", "currency": "EUR", "budget": 100, "daily": None,
        "spent": 0, "plan": {"pins": [PIN]}, "created": 1, "stopped": None, "reason": "", **changes,
    }  # fmt: skip


def shown(people: People, name: str, person: int | None = None, **changes: Any) -> Placement:
    values: dict[str, Any] = {
        "id": name, "campaign": "c", "person": person, "pin": PIN, "surface": "search", "slot": 0, "pay": "click",
        "price": 30, "predicted": 0.02, "fresh": False, "at": people.now(),
    }  # fmt: skip
    made = Placement(**{**values, **changes})
    people.place([made]).result()
    return made


def click(people: People, name: str, who: str = "ada", **more: Any) -> None:
    (verdict,) = people.record(
        [Event("click", who, more.pop("pin", PIN), variant=f"promoted:{name}", **more)]
    )
    assert verdict.status == "accepted", verdict


def test_what_is_stored_is_billed_once_within_the_budget(people: People, clock: Clock) -> None:
    people.change_campaigns(lambda _: [campaign(), campaign("d", daily=40)])
    for n in range(5):
        shown(people, f"p{n}")
    for n in range(5):
        click(people, f"p{n}", event_id=f"e{n}")
    click(people, "p0", event_id="e0-again")
    click(people, "p1", pin=OTHER)
    click(people, "unknown")
    entries = [(e["kind"], e["amount"]) for e in people.ledger()]
    assert entries == [
        ("charge", 30), ("charge", 30), ("charge", 30), ("over", 10), ("over", 0), ("invalid", 0), ("invalid", 0),
    ]  # fmt: skip
    assert people.spending() == {"c": 100, "d": 0}
    assert people.refund(["e0", "e0", "none"], "a bot") == 1
    assert people.refund(["e0"], "a bot") == 0
    assert (people.spending()["c"], people.spent_on("2025-12-29")["c"]) == (70, 70)
    assert people.rebuild_ledger().wrong == {}
    shown(people, "q0", campaign="d")
    shown(people, "q1", campaign="d")
    click(people, "q0")
    click(people, "q1")
    assert [(e["kind"], e["amount"]) for e in people.ledger("d")] == [("charge", 30), ("over", 10)]
    clock.pass_(days=1)
    shown(people, "q2", campaign="d")
    click(people, "q2")
    assert people.spent_on("2025-12-30") == {"d": 30}
    (row,) = [row for row in people.tally_rows() if row["campaign"] == "c"]
    assert (row["shown"], row["acted"], round(row["predicted"], 4)) == (5, 5, 0.1)


def test_a_save_is_billed_where_the_campaign_pays_for_saves(people: People) -> None:
    people.change_campaigns(lambda _: [campaign()])
    shown(people, "p0", pay="save")
    click(people, "p0")
    assert people.ledger() == []
    people.save("ada", PIN, board="Kitchen", variant="promoted:p0")
    assert [(e["kind"], e["amount"]) for e in people.ledger()] == [("charge", 30)]


def test_a_change_that_fails_leaves_the_campaigns(people: People) -> None:
    people.change_campaigns(lambda _: [campaign()])

    def refused(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        raise UsageError("no")

    with pytest.raises(UsageError):
        people.change_campaigns(refused)
    assert people.campaign_rows() == [campaign()]
    before = people.campaigns_mark()
    people.change_campaigns(lambda rows: [{**rows[0], "budget": 7}])
    assert people.campaigns_mark()[0] == before[0] + 1
    assert people.campaign_rows()[0]["budget"] == 7


def test_what_was_shown_to_a_person_is_theirs_and_goes_with_them(people: People) -> None:
    people.change_campaigns(lambda _: [campaign()])
    people.save("ada", PIN, board="Kitchen")
    viewer = people.viewer("ada", 0)
    assert viewer is not None
    coming = [Placement("late", "c", viewer.number, PIN, "search", 0, "click", 1, 0.1, False, people.now())]
    shown(people, "p0", viewer.number)
    found = people.viewer("ada", 0, coming)
    assert found is not None
    assert found.shown == {"c": 2}
    people.hide_advertiser("ada", "Ada")
    people.hide_advertiser("ada", "Bob")
    people.hide_advertiser("ada", "Bob", hidden=False)
    assert people.unwanted_by("ada") == {"Ada"}
    assert people.converted("p0", "order", 9.5, "EUR") == (True, people.pseudonym("ada"))
    assert people.converted("p0", "order", 9.5, "EUR")[0] is False
    assert [(r["count"], r["value"]) for r in people.conversion_rows()] == [(1, 9.5)]
    with pytest.raises(UnknownNameError):
        people.converted("none", "order", 1.0, "EUR")
    people.record([Event("click", "visitor", PIN)])
    shown(people, "p1", people.viewer("visitor", 0).number)  # type: ignore[union-attr]
    people.hide_advertiser("visitor", "Ada")
    people.hide_advertiser("visitor", "Cy")
    people.claim("visitor", "ada")
    after = people.viewer("ada", 0)
    assert after is not None
    assert (after.shown, after.unwanted) == ({"c": 2}, {"Ada", "Cy"})
    people.consent("ada", clicks=False)
    assert people.viewer("ada", 0) is None
    people.forget("ada")
    assert people.placement("p0") is None
    assert people.tally_rows()[0]["shown"] == 2
