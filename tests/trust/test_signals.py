"""What tells spam from honest zeal: copies, words, sites, rings, clicks, reports by standing, pictures of text."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from visualsearch.people import Event, Level
from visualsearch.trust import Finding, Sign, Trust, looks_like, shortened, site_of, text_like
from visualsearch.trust.bursts import pictures_of
from visualsearch.trust.words import lures, repeated

from .conftest import attacked, record, saved, unit

WORDS = ("oak", "linen", "glazed", "striped", "woven", "painted", "tall", "round", "antique", "silver")
THINGS = ("lamp", "chair", "mirror", "blanket", "teapot", "shelf", "basket", "candle", "pillow", "clock")


def shop(
    trust: Trust, name: str, site: str, products: int = 20, colours: int = 3, said: str = ""
) -> list[str]:
    """A catalogue of products in a few colours, put up at once by a new account for a new site."""
    rng = np.random.default_rng(len(name) + products)
    made, rows = [], []
    for product in range(products):
        base = unit(rng)
        for colour in ("black", "white", "green")[:colours]:
            pin = f"{name}/{product}-{colour}"
            title = f"{WORDS[product % 10]} {THINGS[(product * 3) % 10]} {WORDS[(product * 7 + 1) % 10]}, {colour}{said}"
            made.append(record(pin, unit(rng, base, 0.98), title, f"https://{site}/{product}/{colour}"))
            rows.append((name, pin, "Catalogue", site))
    trust.index.add(made)
    saved(trust.index, rows)
    return [pin for _, pin, _, _ in rows]


def test_shops_and_planners_are_left_alone(peaceful: Trust) -> None:
    index = peaceful.index
    pins = shop(peaceful, "keeper", "honest-lamps.example")
    pins += shop(peaceful, "seller", "new-lamps.example", said=". Free shipping from 50 euro")
    saved(index, [("planner", f"pin-{n}", "Wedding", "") for n in range(60)])
    peaceful.scan()
    assert index.people.shut_people() == set()
    assert not index.people.shut().hidden & set(pins)
    assert not index.people.shut().lowered


def test_an_attacker_who_saves_real_pins_first_is_found_all_the_same(peaceful: Trust) -> None:
    index = peaceful.index
    day = 86_400_000
    people = index.people
    held = people.pins.find([f"pin-{n}" for n in range(100)])
    for n in range(100):
        for who in range(3):
            site, at = f"site-{n % 9}.example", people.now() - (n + 5) * day // 2
            work = people.saving(
                f"spammer-{who}", held[f"pin-{n}"], board="Nice", site=site, at=at, record=False
            )
            people.store.writer.submit(work)
    peaceful.scan()
    names = attacked(index, np.random.default_rng(1))
    peaceful.scan()
    assert index.people.shut().hidden == frozenset(names)  # and none of the real pins that they saved


def test_an_attack_of_many_accounts_and_sites_is_found_by_its_picture(peaceful: Trust) -> None:
    index = peaceful.index
    rng = np.random.default_rng(2)
    picture = unit(rng)
    names = [f"wave-{n}" for n in range(40)]
    index.add(
        [
            record(n, unit(rng, picture, 0.99), "You won big cash, click here", f"https://s{n}.example/")
            for n in names
        ]
    )
    saved(index, [(f"wave-{n % 8}", name, "Wins", f"s{name}.example") for n, name in enumerate(names)])
    peaceful.scan()
    assert index.people.shut().hidden == frozenset(names)


def test_a_ring_is_found_and_the_pins_that_it_saved_stay(peaceful: Trust) -> None:
    index = peaceful.index
    before = index.people.save_counts(["pin-3"])["pin-3"]
    ring = [(f"ring-{who}", f"pin-{n}", "Ours", "cheap.example") for n in range(12) for who in range(9)]
    saved(index, ring)
    peaceful.scan()
    [case] = peaceful.queue()
    assert (case.kind, len(case.people), case.pins) == ("ring", 9, ())
    assert case.action >= Level.HOLD
    assert index.people.save_counts(["pin-3"])["pin-3"] == before
    assert index.people.shut().hidden == frozenset()
    peaceful.undo(case.number)
    assert index.people.save_counts(["pin-3"])["pin-3"] == before + 9


def test_a_click_ring_is_found_by_its_clicks(peaceful: Trust) -> None:
    people = peaceful.index.people
    events = [
        Event("visit", f"clicker-{who}", f"pin-{n}", surface="feed", dwell_ms=400)
        for n in range(12)
        for who in range(6)
        for _ in range(3)
    ]
    people.record(events)
    peaceful.scan()
    [case] = peaceful.queue()
    assert (case.kind, len(case.people), case.action) == ("clicks", 6, Level.HOLD)


def test_a_competitor_who_reports_en_masse_brings_nothing_about(peaceful: Trust) -> None:
    index = peaceful.index
    pins = shop(peaceful, "keeper", "honest-lamps.example")
    rivals = [Event("report", f"rival-{who}", pin) for who in range(60) for pin in pins[:3]]
    assert {str(verdict.status) for verdict in index.people.record(rivals)} == {"accepted"}
    peaceful.scan()
    assert [case.kind for case in peaceful.queue() if case.kind == "reports"] == []
    assert index.people.shut().hidden == frozenset()


def test_reports_of_people_in_good_standing_bring_a_site_before_a_person_and_do_nothing_else(
    peaceful: Trust,
) -> None:
    index = peaceful.index
    people = index.people
    pins = shop(peaceful, "keeper", "honest-lamps.example")
    peaceful.scan()
    old, day = people.now() - 60 * 86_400_000, 86_400_000
    held = people.pins.find([f"pin-{n}" for n in range(12)])
    for who in range(5):
        for n in range(12):
            people.store.writer.submit(
                people.saving(f"old-{who}", held[f"pin-{n}"], board="Mine", at=old + n * day, record=False)
            ).result()
        # At different times, and not only about this site.
        moments = [people.now() - (5 * who + 2) * 3_600_000, people.now() - (5 * who + 3) * 3_600_000]
        people.record(
            [
                Event("report", f"old-{who}", pins[0], moments[0]),
                Event("report", f"old-{who}", pins[4], moments[1]),
            ]
        )
    peaceful.scan()
    [case] = [case for case in peaceful.queue() if case.kind == "reports"]
    assert (case.sites, case.action) == (("honest-lamps.example",), Level.NOTHING)
    assert index.people.shut().hidden == frozenset()


def test_what_a_person_decided_teaches_the_next_scan(peaceful: Trust) -> None:
    pytest.importorskip("sklearn", reason="the extra 'learn' is not installed")
    index = peaceful.index
    names = attacked(index, np.random.default_rng(1))
    peaceful.scan()
    [case] = peaceful.queue(ask=True)
    peaceful.decide(case.number, "hide")
    notes = peaceful.scan(learn=True).notes
    assert any("are not" in note for note in notes)  # only spam was labelled so far
    shop(peaceful, "keeper", "honest-lamps.example")
    peaceful.scan()
    for each in peaceful.queue():
        peaceful.decide(each.number, "fine")
    assert index.people.shut().hidden == frozenset(names)


def test_evidence_adds_up_and_a_good_past_takes_away_little() -> None:
    strong = [Sign("copies", 20, 4.0, ""), Sign("speed", 90, 1.5, ""), Sign("lures", 1, 2.0, "")]
    assert Finding("burst", "", strong).action is Level.HIDE
    praised = [*strong, *(Sign("long there", 9, -1.0, "") for _ in range(10))]
    assert Finding("burst", "", praised).score == pytest.approx(1 / (1 + np.exp(-1.5)))
    assert Finding("burst", "", strong[:1]).score == pytest.approx(0.5)
    assert Finding("reports", "", strong, most=Level.NOTHING).action is Level.NOTHING


def test_a_site_has_one_name_whatever_leads_to_it() -> None:
    assert site_of("https://www.Shop.Example.co.uk/a?b=1") == "example.co.uk"
    assert site_of("deals.example.com:8080") == "example.com"
    assert site_of("https://t.example/out?url=https%3A%2F%2Fbad.example%2Fx") == "bad.example"
    assert site_of("https://bit.ly/abc", {"https://bit.ly/abc": "https://bad.example/"}.get) == "bad.example"
    assert site_of("https://a.example/?url=https://a.example/?url=x://") == "a.example"
    assert site_of("http://[broken") == ""
    assert site_of("") == site_of(None) == ""
    assert shortened("https://bit.ly/abc")


@pytest.mark.parametrize(
    ("site", "known"),
    [("paypa1.com", "paypal.com"), ("xn--pypal-4ve.com", "paypal.com"), ("paypal-login.com", "paypal.com"),
     ("wayfiar.com", "wayfair.com"), ("vvayfair.com", "wayfair.com")],
)  # fmt: skip
def test_a_name_made_to_look_like_another_is_told(site: str, known: str) -> None:
    assert looks_like(site, {"paypal.com": 1, "wayfair.com": 1}) == known


@pytest.mark.parametrize("site", ["paypal.com", "paypal.de", "paper.com", "lamps.example", "fairway.com"])
def test_other_names_are_let_be(site: str) -> None:
    assert looks_like(site, {"paypal.com": 1, "wayfair.com": 1}) is None


def test_texts_that_repeat_are_told_from_texts_of_one_trade() -> None:
    spam = [f"You will not believe these prices {n}!" for n in range(20)]
    trade = [f"{one} {other} of good make" for one in WORDS for other in THINGS]
    group, size = repeated([*spam, *trade, "hi"])
    assert (len(set(group[:20].tolist())), size[:20].tolist()) == (1, [20] * 20)
    assert size[20:-1].max() <= 6
    assert (group[-1], size[-1]) == (-1, 0)
    assert lures("Best price now, click here") >= 2
    assert not any(lures(text) for text in trade)


def test_pictures_of_one_look_are_counted_once() -> None:
    rng = np.random.default_rng(0)
    first, second = unit(rng), unit(rng)
    vectors = np.stack([unit(rng, (first, second)[n % 2], 0.99) for n in range(600)])
    assert sorted(np.bincount(pictures_of(vectors)).tolist()) == [300, 300]
    assert len(set(pictures_of(np.stack([unit(rng) for _ in range(300)])).tolist())) == 300


def test_a_picture_of_nothing_but_text_is_told_from_others() -> None:
    page = Image.new("L", (256, 200), 255)
    draw = ImageDraw.Draw(page)
    for line in range(6):
        draw.text((8, 10 + 30 * line), "Lose ten kilos in a week. Click below now", fill=0)
    assert text_like(np.asarray(page))
    rng = np.random.default_rng(0)
    photo = np.kron(rng.integers(0, 255, (12, 16)), np.ones((16, 16))).astype(np.uint8)
    product = Image.new("L", (256, 200), 250)
    ImageDraw.Draw(product).ellipse((70, 40, 190, 170), fill=90)
    assert not text_like(photo)
    assert not text_like(np.asarray(product))
    assert not text_like(np.full((200, 200), 255, np.uint8))


def test_a_click_ring_costs_an_advertiser_nothing_and_undo_bills_its_clicks_again(peaceful: Trust) -> None:
    from visualsearch.people import Placement

    people = peaceful.index.people
    people.change_campaigns(
        lambda _: [
            {
                "campaign": "lamps", "advertiser": "Ada", "state": "running", "currency": "EUR", "budget": 1000,
                "daily": None, "spent": 0, "plan": {}, "created": 1, "stopped": None, "reason": "",
            }
        ]
    )  # fmt: skip
    clicks = [("honest", 0), *((f"clicker-{who}", n) for n in range(12) for who in range(6))]
    shown = [
        Placement(f"{who} {n}", "lamps", None, f"pin-{n}", "search", 0, "click", 3, 0.1, False, people.now())
        for who, n in clicks
    ]
    people.place(shown).result()
    people.record(
        [Event("click", who, f"pin-{n}", dwell_ms=400, variant=f"promoted:{who} {n}") for who, n in clicks]
    )
    assert people.spending() == {"lamps": 219}
    report = peaceful.scan()
    assert (report.credited, report.charged, people.spending()) == (72, 0, {"lamps": 3})
    assert (peaceful.scan().credited, people.spending()) == (0, {"lamps": 3})
    [case] = peaceful.queue()
    peaceful.undo(case.number)
    assert people.spending() == {"lamps": 219}
    assert people.rebuild_ledger().wrong == {}
    assert (peaceful.scan().credited, people.spending()) == (0, {"lamps": 219})


def test_a_shop_with_a_sale_on_one_kind_of_thing_is_never_held_by_rules_alone(peaceful: Trust) -> None:
    index = peaceful.index
    rng = np.random.default_rng(8)
    case = unit(rng)  # every product looks much like every other, as phone cases do
    names = [f"cases/{n}" for n in range(120)]
    index.add(
        [
            record(
                name, unit(rng, case, 0.975), "Phone case. Sale: 30% off now!", f"https://cases.example/{n}"
            )
            for n, name in enumerate(names)
        ]
    )
    saved(index, [("keeper", name, "Catalogue", "cases.example") for name in names])
    sale = shop(peaceful, "seller", "lamps.example", products=40, said=". Sale: 30% off now!")
    peaceful.scan(read_pictures=False)
    assert index.people.shut().hidden.isdisjoint([*names, *sale])
    assert index.people.shut_people() == set()
