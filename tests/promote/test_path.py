"""The whole path: a file of campaigns, promoted pins on a page, an event, a charge, a report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from visualsearch.errors import ConflictError, UnreachableError, UsageError
from visualsearch.people import Event, Level, Ruling
from visualsearch.promote import Promotions, from_values, import_campaigns, put, report, set_budget, stop

from .world import Clock, Target, campaign, made, opened, pins_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("promote"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def index(folder: Path, tmp_path: Path, clock: Clock) -> Iterator[Any]:
    import shutil

    copy = shutil.copytree(folder, tmp_path / "pins.index")
    with opened(copy, clock) as found:
        yield found


def promoted(hits: Any) -> list[Any]:
    return [hit for hit in hits if hit.promoted]


def act(index: Any, hit: Any, person: str = "ada", kind: str = "click", **more: Any) -> Any:
    event = Event(kind, person, hit.id, variant=f"promoted:{hit.placement}", **more)
    return index.people.record([event])[0]


def test_a_campaign_of_a_file_is_shown_labelled_billed_and_reported(index: Any, tmp_path: Path) -> None:
    file = tmp_path / "campaigns.csv"
    file.write_text(
        "id,advertiser,pins,bid,currency,budget\n"
        f"shoes,Ada's,{';'.join(pins_of('shoe'))},0.50,EUR,100\n"
        f"lamps,Bob's,{';'.join(pins_of('lamp'))},0.40,EUR,100\n"
    )
    done = import_campaigns(index, file)
    assert (done.new, done.changed, done.refused) == (("shoes", "lamps"), (), ())
    promotions = Promotions(index, seed=1)
    hits = promotions.search(like="shoe/00", k=10)
    paid = promoted(hits)
    assert [hit.promoted for hit in paid] == ["shoes"]  # a lamp does not look like a shoe
    assert hits[9] is paid[0]
    assert paid[0].why.sentence == "Promoted by Ada's (campaign shoes): it looks like the pin shoe/00"
    assert [(e.kind, e.id) for e in paid[0].why.evidence] == [("campaign", "shoes"), ("pin", "shoe/00")]
    organic = index.search(like="shoe/00", k=10).ids
    assert [hit.id for hit in hits if not hit.promoted] == organic
    assert act(index, paid[0]).status == "accepted"
    entries = index.people.ledger()
    assert [(e["campaign"], e["kind"], e["amount"]) for e in entries] == [
        ("shoes", "charge", 1)
    ]  # nobody else bid
    told = report(index)
    assert told["sound"] is True
    assert [(c["id"], c["shown"], c["acted"], c["spent"]) for c in told["campaigns"]] == [
        ("lamps", 0, 0, 0),
        ("shoes", 1, 1, 1),
    ]


def test_without_a_campaign_the_answer_is_the_very_same(index: Any) -> None:
    promotions = Promotions(index)
    hits = index.search(like="shoe/00", k=10)
    assert promotions.beside_search(_asked(like="shoe/00"), hits) is hits
    index.people.save("ada", "shoe/01", board="Shoes")
    related = index.related("shoe/01", 10)
    assert promotions.beside_related("shoe/01", related) is related
    put(index, campaign("lamps", "lamp"))
    promotions.refresh()
    assert promotions.beside_search(_asked(like="shoe/00"), hits) is hits  # no campaign fits


@pytest.mark.parametrize("level", [Level.LOWER, Level.HOLD, Level.HIDE])
def test_a_pin_under_a_verdict_is_not_promoted(index: Any, level: Level) -> None:
    put(index, campaign("shoes"))
    promotions = Promotions(index, seed=1)
    assert promoted(promotions.search(like="shoe/00", k=10))
    judged = pins_of("shoe")
    index.people.rule([Ruling("burst", "copies", level, 0.99, pins=judged[1:])])
    assert {hit.id for hit in promoted(promotions.search(like="shoe/00", k=10))} <= {judged[0]}
    index.people.rule([Ruling("burst", "copies", level, 0.99, pins=judged[:1])])
    assert not promoted(promotions.search(like="shoe/00", k=10))


def _asked(**values: Any) -> Any:
    from visualsearch.search import SearchOptions

    return SearchOptions(**values)


def test_promoted_pins_stand_beside_related_ones_and_in_feeds(index: Any) -> None:
    put(index, campaign("shoes"))
    put(index, campaign("mugs", "mug"))
    promotions = Promotions(index, seed=1)
    found = promotions.related("shoe/01", 12)
    assert [hit.promoted for hit in promoted(found)] == ["shoes"]
    assert found[11].promoted == "shoes"
    index.people.save("ada", "mug/01", board="Mugs")
    feed = promotions.feed("ada", 12)
    paid = promoted(feed)
    assert len(paid) == 1
    assert feed[-2] is paid[0]
    beside = next(e.id for e in paid[0].why.evidence if e.kind == "pin")
    assert beside in feed.ids  # it names the pin of the page that it looks like
    assert beside.partition("/")[0] == paid[0].id.partition("/")[0]


def test_words_meet_by_the_look_of_what_they_mean_and_by_themselves(index: Any) -> None:
    put(index, campaign("plain", "mug"))
    put(index, campaign("worded", pins=pins_of("mug", odd=True), target=Target(words=("espresso",)), bid=60))
    promotions = Promotions(index, seed=1)
    assert [hit.promoted for hit in promoted(promotions.search(text="a mug", k=10))] == ["plain"]
    both = promoted(promotions.search(text="an espresso mug", k=10))
    assert [hit.promoted for hit in both] == ["worded", "plain"]


def test_a_person_hides_an_advertiser_for_good(index: Any) -> None:
    put(index, campaign("shoes"))
    promotions = Promotions(index)
    assert promoted(promotions.search(like="shoe/00", k=10, person="ada"))
    index.people.hide_advertiser("ada", "Shop shoes")
    assert not promoted(promotions.search(like="shoe/00", k=10, person="ada"))
    assert promoted(promotions.search(like="shoe/00", k=10, person="bob"))
    index.people.consent("ada", clicks=False)
    assert not promoted(promotions.search(like="shoe/00", k=10, person="ada"))


def test_nobody_is_shown_a_campaign_more_often_than_its_cap(index: Any, clock: Clock) -> None:
    index.people.save("ada", "rug/01", board="Rugs")
    put(index, campaign("shoes", cap=2))
    promotions = Promotions(index)
    shown = [len(promoted(promotions.search(like="shoe/00", k=10, person="ada"))) for _ in range(4)]
    assert shown == [1, 1, 0, 0]
    clock.at += 24 * 3_600_000
    assert promoted(promotions.search(like="shoe/00", k=10, person="ada"))


def test_an_event_is_billed_once_to_whom_it_belongs_and_only_for_what_is_paid(
    index: Any, clock: Clock
) -> None:
    put(index, campaign("shoes"))
    promotions = Promotions(index)
    for person in ("ada", "bob"):
        index.people.save(person, "rug/01", board="Rugs")
    first, second, third = (
        promoted(promotions.search(like="shoe/00", k=10, person="ada"))[0] for _ in range(3)
    )
    assert act(index, first, event_id="e1").status == "accepted"
    assert act(index, first, event_id="e1").status == "duplicate"
    assert act(index, first, event_id="e2").status == "accepted"  # stored, and not billed again
    assert act(index, second, person="bob").status == "accepted"  # not shown to bob
    act(index, second, kind="visit", dwell_ms=40_000)  # the campaign pays for clicks
    clock.at += 25 * 3_600_000
    act(index, third)
    entries = index.people.ledger()
    assert [(e["kind"], e["amount"], e["reason"]) for e in entries] == [
        ("charge", 1, ""),
        ("invalid", 0, "the placement was paid for"),
        ("invalid", 0, "it is of another person"),
        ("invalid", 0, "it came too late"),
    ]


def test_invalid_clicks_are_not_billed_and_later_verdicts_give_the_money_back(index: Any) -> None:
    put(index, campaign("shoes"))
    promotions = Promotions(index)
    hits = [promoted(promotions.search(like="shoe/00", k=10))[0] for _ in range(3)]
    index.people.judged_by(lambda paid: "a bot" if paid.event_id == "bad" else "")
    act(index, hits[0], event_id="bad")
    act(index, hits[1], event_id="good")
    index.people.judged_by(None)
    act(index, hits[2], event_id="later")
    assert index.people.review_charges(lambda paid: "a ring" if paid.event_id == "later" else "") == 1
    assert index.people.refund(["later"], "again") == 0
    kinds = [(e["kind"], e["amount"]) for e in index.people.ledger()]
    assert kinds == [("invalid", 0), ("charge", 1), ("charge", 1), ("refund", -1)]
    assert report(index)["campaigns"][0]["spent"] == 1


def test_a_budget_is_never_overrun_also_when_it_is_cut_under_way(index: Any) -> None:
    put(index, campaign("shoes", pay="click", bid=50, budget=170))
    put(index, campaign("rival", pins=pins_of("shoe", odd=True), bid=30, budget=100_000))
    promotions = Promotions(index)
    shown = [promoted(promotions.search(like="shoe/00", k=10))[0] for _ in range(6)]
    promotions.flush()
    prices = {index.people.placement(hit.placement)["price"] for hit in shown}
    assert len(prices) == 1
    assert {hit.promoted for hit in shown} == {"shoes"}
    price = prices.pop()
    act(index, shown[0])
    set_budget(index, "shoes", f"{(2 * price - 5) / 100:.2f}")
    for hit in shown[1:]:
        act(index, hit)
    kinds = [(e["kind"], e["amount"]) for e in index.people.ledger("shoes")]
    assert kinds[:3] == [("charge", price), ("over", price - 5), ("over", 0)]
    assert report(index, ["shoes"])["campaigns"][0]["spent"] == 2 * price - 5
    promotions.refresh()
    assert promoted(promotions.search(like="shoe/00", k=10))[0].promoted == "rival"


def test_a_stopped_campaign_is_shown_no_more(index: Any) -> None:
    put(index, campaign("shoes"))
    promotions = Promotions(index)
    assert promoted(promotions.search(like="shoe/00", k=10))
    stop(index, "shoes", "sold out")
    promotions.refresh()
    assert not promoted(promotions.search(like="shoe/00", k=10))
    with pytest.raises(ConflictError, match="pays in EUR"):
        put(index, campaign("shoes", currency="USD"))


def test_the_ledger_is_added_up_anew(index: Any) -> None:
    put(index, campaign("shoes"))
    hit = promoted(Promotions(index).search(like="shoe/00", k=10))[0]
    act(index, hit)
    row = index.people.campaign_rows()[0]
    index.people.change_campaigns(lambda rows: [{**row, "spent": 77}])
    assert report(index)["sound"] is False
    assert index.people.rebuild_ledger().wrong == {"shoes": (77, 1)}
    assert report(index)["sound"] is True


def test_what_is_sold_out_or_sensitive_is_never_promoted(index: Any) -> None:
    put(index, campaign("sold", pins=("shoe/19",)))
    assert not promoted(Promotions(index).search(like="shoe/00", k=10))
    put(index, campaign("shoes"))
    assert not promoted(Promotions(index).search(text="a shoe after the divorce", k=10))
    assert promoted(Promotions(index).search(text="a shoe after the rain", k=10))
    with pytest.raises(UsageError, match="sensitive"):
        put(index, campaign("words", target=Target(words=("cancer",))))


def test_who_is_forgotten_leaves_no_placement(index: Any) -> None:
    index.people.save("ada", "rug/01", board="Rugs")
    put(index, campaign("shoes"))
    hit = promoted(Promotions(index).search(like="shoe/00", k=10, person="ada"))[0]
    act(index, hit)
    index.people.hide_advertiser("ada", "Shop shoes")
    assert index.people.export("ada")["placements"][0]["campaign"] == "shoes"
    index.people.forget("ada")
    assert index.people.placement(hit.placement) is None
    assert [e["amount"] for e in index.people.ledger()] == [1]  # the advertiser still pays


BAD = {
    "no pins": ({"pins": ""}, "it has no pins"),
    "unknown pin": ({"pins": "shoe/99"}, "no pin 'shoe/99'"),
    "two currencies": ({"budget": "10 USD"}, "amounts in EUR and USD"),
    "no currency": ({"currency": ""}, "no currency"),
    "a bid of zero": ({"bid": "0"}, "the bid is 0 EUR"),
    "a bid of 1e12": ({"bid": "1e12"}, "the bid is"),
    "a bid of less than a cent": ({"bid": "0.001"}, "2 decimals"),
    "a bid below zero": ({"bid": "-1"}, "the bid is -1 EUR"),
    "not a number": ({"bid": "lots"}, "no number"),
    "nan": ({"bid": "nan"}, "no number"),
    "a budget below the bid": ({"budget": "0.10"}, "does not pay for one bid"),
    "an end before the start": ({"start": "2026-02-01", "end": "2026-01-01"}, "ends before"),
    "a crop that is none": ({"crop": "0.5,0,0.2,1", "picture": "x.png"}, "no part of a picture"),
    "a column that is none": ({"colour": "red"}, "unknown column"),
    "one person": ({"audience": "shoe/01"}, "fewer than 20 people"),
    "no such board": ({"boards": "nope"}, "no public board"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_says_why_and_costs_no_other(index: Any, tmp_path: Path, name: str) -> None:
    changes, said = BAD[name]
    good = {
        "id": "good",
        "advertiser": "A",
        "pins": "shoe/10",
        "bid": "0.5",
        "currency": "EUR",
        "budget": "9",
    }
    file = tmp_path / "campaigns.jsonl"
    rows = [{**good, "id": "bad", **changes}, good]
    file.write_text("\n".join(json.dumps(row) for row in rows) + "\n{oops\n")
    done = import_campaigns(index, file)
    assert done.new == ("good",)
    assert [row.line for row in done.refused] == [1, 3]
    assert said in done.refused[0].reason
    assert done.refused[0].remedy


def test_amounts_are_exact_in_every_currency() -> None:
    base = {
        "id": "a",
        "advertiser": "A",
        "pins": "p",
        "bid": "19.99",
        "budget": "1,299.00",
        "currency": "eur",
    }
    found = from_values(base)
    assert (found.bid, found.budget, found.currency) == (1999, 129_900, "EUR")
    yen = from_values({**base, "bid": "120 JPY", "budget": "JPY 9000", "currency": ""})
    assert (yen.bid, yen.budget, yen.currency) == (120, 9000, "JPY")
    dinar = from_values({**base, "bid": "1.005", "budget": "10", "currency": "KWD"})
    assert dinar.bid == 1005


def test_a_record_that_does_not_answer_costs_the_promoted_pins_alone(
    index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(index, campaign("shoes"))
    promotions = Promotions(index)

    def lost(*_: object) -> None:
        raise UnreachableError("cannot reach a database", "it is gone")

    monkeypatch.setattr(index.people, "campaigns_mark", lost)
    hits = promotions.search(like="shoe/00", k=10)
    assert hits.ids == index.search(like="shoe/00", k=10).ids
    assert "does not answer" in hits.notes[-1]


def test_targets_narrow_what_a_campaign_meets(index: Any) -> None:
    saved = [(f"shoe-{n}", f"shoe/{n % 19:02d}") for n in range(110)]
    saved += [(f"{kind}-{n}", f"{kind}/{n % 19:02d}") for n in range(10) for kind in ("rug", "mug")]
    for person, pin in saved:
        index.people.save(person, pin, board="Board")
    lovers = tuple(f"shoe/{n:02d}" for n in range(10))
    board = index.people.boards("mug-1", viewer="mug-1")[0].id
    targets = {
        "audience": Target(audience=lovers),
        "attributes": Target(attributes={"category": ("shoe",)}),
        "wrong": Target(attributes={"category": ("lamp",)}),
        "like": Target(like=("shoe/03",)),
        "board": Target(boards=(board,)),
    }

    def met(name: str, person: str | None = None) -> bool:
        put(index, campaign(name, target=targets[name]))
        promotions = Promotions(index)
        found = promoted(promotions.search(like="shoe/00", k=10, person=person))
        stop(index, name)
        return [hit.promoted for hit in found] == [name]

    assert met("audience", "shoe-1")
    assert not met("audience", "rug-1")
    assert not met("audience")
    assert report(index, ["audience"])["campaigns"][0]["audience"] >= 100
    row = next(row for row in index.people.campaign_rows() if row["campaign"] == "audience")
    assert sorted(row["plan"]["taste"]) == ["centre", "least", "people"]  # a taste, and no list of people
    assert met("attributes")
    assert not met("wrong")
    assert met("like")
    assert not met("board")
    put(index, campaign("excluded", exclude=("marathon",)))
    promotions = Promotions(index)
    assert promoted(promotions.search(text="a shoe for walking", k=10))
    assert not promoted(promotions.search(text="a shoe for a marathon", k=10))
