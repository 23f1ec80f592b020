"""A shop's report: true figures over groups, and none of a few people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.errors import UsageError
from visualsearch.insight import (
    credited,
    incremental,
    journeys,
    merchant_report,
    removal,
    with_utm,
    write_report,
)
from visualsearch.insight.attribution import last_touch, position_based, time_decay
from visualsearch.insight.merchants import MerchantReport
from visualsearch.insight.shop import Pages
from visualsearch.insight.telling import covered
from visualsearch.people import Consent
from visualsearch.quality.insight import measure_lift

from .conftest import DAY_MS, NOON, SHOP


@pytest.fixture(scope="module")
def told(shop_folder: Path) -> MerchantReport:
    from ..fakes import FakeEncoder

    with vs.open(shop_folder, FakeEncoder()) as index:
        index.people.now = lambda: NOON  # type: ignore[method-assign]
        out = [f"user-{number:04d}" for number in range(100)]
        return merchant_report(index, f"WWW.{SHOP}", weeks=8, held_out=out, utm=True)


def test_the_funnel_counts_what_was_done_with_the_shops_pins(told: MerchantReport, shop: vs.Index) -> None:
    numbers = np.array(
        [
            shop.pin(f"shop/{kind}/{n:03d}.jpg").number
            for kind in ("shoes", "lamps", "birds", "chairs", "cakes", "hats")
            for n in range(10)
        ]
    )
    tables = list(shop.people.event_tables(0, NOON, ("person", "kind"), kinds=("click",), pins=numbers))
    persons = np.concatenate([table.column("person").to_numpy() for table in tables])
    gone = shop.people.numbers_of(["user-0399", "user-0398"])
    kept = persons[~np.isin(persons, gone)]
    click = told.funnel[1]
    assert (click["times"], click["people"]) == (len(kept), len(np.unique(kept)))
    assert told.pins == 60
    assert (told.first_day, told.last_day) == ("2026-05-04", "2026-06-28")
    assert sum(row["click"] for row in told.weeks) == len(kept)


def test_money_stands_by_currency_with_refunds_and_models_that_sum_to_the_same(told: MerchantReport) -> None:
    euro, dollar = told.money
    assert (euro.currency, dollar.currency) == ("EUR", "USD")
    assert dollar.net is None  # one person is behind it
    assert euro.refunded is None  # so is one behind the refund
    assert euro.net is not None
    assert euro.sales is not None
    assert euro.net == euro.sales * 20.0 - 20.0
    totals = [sum(value or 0.0 for value in row.values()) for row in euro.models.values()]
    assert totals == pytest.approx([totals[0]] * 4)
    assert any("several currencies" in note for note in told.notes)
    assert euro.lift is not None
    assert (euro.lift.treated, euro.lift.held_out) == (298, 100)


def test_nothing_in_the_report_names_a_person_or_a_few(told: MerchantReport, shop: vs.Index) -> None:
    text = str(told.to_dict())
    assert "user-" not in text
    assert not any(shop.people.pseudonym(f"user-{n:04d}") in text for n in range(5))
    for rows in (told.boards, told.beside, told.wanted, told.wanted_looks, told.personas):
        assert all(row["people"] >= told.fewest for row in rows)
    assert told.boards == [{"word": "birds", "people": 10}, {"word": "like", "people": 10}]


def test_a_shop_with_three_pins_gets_little_and_is_told_so(shop: vs.Index) -> None:
    numbers = np.array([shop.pin(f"shop/hats/00{n}.jpg").number for n in range(3)])
    names = [f"shop/hats/00{n}.jpg" for n in range(3)]
    found = merchant_report(
        shop, "tiny.example", weeks=1, fewest=30, pages=Pages(numbers, names, [""] * 3, names)
    )
    assert found.funnel[1]["people"] is None
    assert "Only 3 pins" in found.notes[0]


def test_an_empty_time_is_empty_and_what_cannot_be_asked_is_refused(shop: vs.Index, tmp_path: Path) -> None:
    empty = merchant_report(shop, SHOP, weeks=4, until="2020-02-28")
    assert empty.money == []
    assert "Nobody did anything" in empty.notes[0]
    write_report(empty, tmp_path / "empty.html")
    for domain, options, why in (
        ("nowhere.example", {}, "no pins"),
        ("not a domain", {}, "no domain"),
        (SHOP, {"fewest": 1}, "groups of 1"),
        (SHOP, {"weeks": 0}, "0 weeks"),
    ):
        with pytest.raises(UsageError, match=why):
            merchant_report(shop, domain, **options)  # type: ignore[arg-type]


def test_a_single_missing_week_cannot_be_worked_out() -> None:
    assert covered([50, None, 30, 40]) == [50, None, None, 40]
    assert covered([50, None, None]) == [50, None, None]
    assert covered([50, 30]) == [50, 30]


def test_links_get_tags_and_keep_their_own() -> None:
    assert (
        with_utm("https://a.example/p?x=1#top", campaign="c")
        == "https://a.example/p?x=1&utm_source=visualsearch&utm_medium=pin&utm_campaign=c#top"
    )
    assert with_utm("https://a.example/?utm_source=mine").count("utm_source") == 1


def test_the_command_writes_a_page(shop: vs.Index, run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("person\nuser-0001\n")
    done = run(
        "insight",
        "merchant",
        shop.folder,
        SHOP,
        "--until",
        "2026-06-28",
        "--holdout",
        tmp_path / "out.csv",
        "--html",
        tmp_path / "s.html",
        "--json",
    )
    assert done.code == 0, done.err
    assert done.json["pins"] == 60
    assert "<script" not in (tmp_path / "s.html").read_text()
    assert Consent is not None


# -- attribution -----------------------------------------------------------------------------------------------------
def paths() -> tuple[Any, np.ndarray, np.ndarray]:
    """Person 0 touches channels 0, 1, 2 on days 1, 8, 15 and buys on day 16; person 1 touches 0 after buying."""
    person, at = np.array([0, 0, 0, 1]), np.array([1, 8, 15, 20]) * DAY_MS
    return (
        journeys(person, at, np.array([0, 1]), np.array([16, 19]) * DAY_MS),
        np.array([0, 1, 2, 0]),
        np.array([100.0, 7.0]),
    )


def test_models_share_by_what_they_assume() -> None:
    held, channel, value = paths()
    assert held.touch.tolist() == [0, 1, 2]
    assert last_touch(held).tolist() == [0, 0, 1]
    assert position_based(held) == pytest.approx([0.4, 0.2, 0.4])
    weights = np.exp2(-np.array([15, 8, 1]) / 7)
    assert time_decay(held) == pytest.approx(weights / weights.sum())
    assert credited(held, channel, 3, value)["position"] == pytest.approx([40, 20, 40])
    assert all(row.sum() == pytest.approx(100) for row in credited(held, channel, 3, value).values())


def test_a_touch_outside_the_window_or_at_the_same_moment() -> None:
    held = journeys(np.array([0, 0]), np.array([1, 50]) * DAY_MS, np.array([0]), np.array([50]) * DAY_MS)
    assert held.touch.tolist() == [1]  # 49 days ago is too long; the same moment counts as before


def test_removal_credits_the_channel_without_which_nothing_sells() -> None:
    person = np.repeat(np.arange(6), 2)
    channel = np.tile([0, 1], 6)
    sold = np.zeros(12, np.int64)
    sold[[1, 3, 5]] = 1  # three of six journeys 0 -> 1 sell
    assert removal(person, channel, 3, sold, 90.0) == pytest.approx([45, 45, 0])
    assert removal(person, channel, 3, np.zeros(12, np.int64), 90.0).tolist() == [0, 0, 0]


# -- lift ------------------------------------------------------------------------------------------------------------
def test_lift_is_the_difference_of_means_times_the_treated() -> None:
    found = incremental(np.tile([0.0, 30.0], 50), np.tile([0.0, 20.0], 25), last_touch=900.0)
    assert found.caused == pytest.approx(100 * 5.0)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 500 < found.high
    assert found.bias == pytest.approx(1.8)
    unsure = incremental(np.tile([0.0, 21.0], 50), np.tile([0.0, 20.0], 25), last_touch=900.0)
    assert unsure.bias is None  # it is not sure that anything was caused
    assert incremental(np.ones(3), np.ones(50)).caused is None


def test_what_differed_before_is_taken_out() -> None:
    rng = np.random.default_rng(2)
    before = rng.gamma(1, 20, 4000)
    after = before + rng.normal(0, 1, 4000) + np.where(np.arange(4000) < 3000, 5.0, 0.0)
    plain = incremental(after[:3000], after[3000:])
    finer = incremental(after[:3000], after[3000:], before[:3000], before[3000:])
    assert plain.low is not None
    assert finer.low is not None
    assert plain.high is not None
    assert finer.high is not None
    assert finer.high - finer.low < (plain.high - plain.low) / 5
    assert finer.low < 15_000 < finer.high


def test_worlds_with_a_known_effect_are_covered() -> None:
    found = measure_lift(worlds=6, seed=1)
    assert found["median_error"] < 0.1
    assert found["last_touch_over_true"] > 1.1


def test_a_shops_pins_are_found_however_their_host_is_written(tmp_path: Path) -> None:
    from dataclasses import replace

    from visualsearch.insight.shop import pages_of

    from ..fakes import FakeEncoder
    from ..world.conftest import cluster_records

    pages = [
        "HTTPS://WWW.Shop.Example/a",
        "https://b.shop.example/",
        "https://other.example/?from=shop.example",
    ]
    records = [
        replace(record, attributes={"url": page})
        for record, page in zip(cluster_records(each=3, kinds=1), pages, strict=True)
    ]
    with vs.create(tmp_path / "pins.index", FakeEncoder()) as index:
        index.add(records)
        assert pages_of(index, SHOP).ids == [records[0].id, records[1].id]
