"""Whatever is learnt or counted from deeds leaves out those of people under a verdict, and has them back after undo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.experiments import open_experiments
from visualsearch.insight.shop import deeds_of, pages_of
from visualsearch.learn.feed import ranker_builder
from visualsearch.learn.shown import shown_of
from visualsearch.learn.together import by_clicks
from visualsearch.people import Event, Level, Ruling
from visualsearch.trust import Trust

from ..fakes import FakeEncoder
from .conftest import honest, saved

DAY_MS = 86_400_000
BAD = [f"bad-{n}" for n in range(4)]
END = 4_000_000_000_000


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[vs.Index]:
    """Honest people and four accounts that are not, with events of a closed day and of an open one."""
    with vs.create(tmp_path_factory.mktemp("learnt") / "pins.index", FakeEncoder()) as made:
        honest(made, np.random.default_rng(0))
        people = made.people
        saved(made, [(who, f"pin-{n}", "Mine", "https://cheap.example/") for n, who in enumerate(BAD)])
        now = people.now()
        for at in (now - 3 * DAY_MS, now):
            people.record([event for who in (*BAD, "person-1", "person-2") for event in seen(who, at)])
        people.roll()
        experiments = open_experiments(people)
        experiments.create("colour", arms=["blue", "red"])
        experiments.start("colour", 1.0)
        experiments.assign_many("colour", [*BAD, "person-1"])
        assert people.part_files()
        yield made


def seen(who: str, at: int) -> list[Event]:
    """A list of two pins, and a click and a visit on them."""
    told: dict[str, Any] = {"answer": f"{who}@{at}", "surface": "feed", "at": at}
    pins = ("pin-7", "pin-8") if who in BAD else ("pin-8", "pin-9")
    return [
        *(Event("impression", who, pin, slot=slot, **told) for slot, pin in enumerate(pins)),
        *(Event("click", who, pin, slot=slot, **told) for slot, pin in enumerate(pins)),
        Event("visit", who, pins[0], site="stolen.example" if who in BAD else None, **told),
    ]


def events_of_all(index: vs.Index) -> Any:
    found = index.people.event_columns(0, END)
    return sorted(zip(found.person.tolist(), found.at.tolist(), found.codes["pin_id"].tolist(), strict=True))


def impressions(index: vs.Index) -> Any:
    return len(shown_of(index.people.event_columns(0, END)))


def clicked_together(index: vs.Index) -> Any:
    found = by_clicks(index)
    return len(found.vectors), sorted(found.group.tolist())


def ranker(index: vs.Index) -> Any:
    return ranker_builder(index.people).version


def popular(index: vs.Index) -> Any:
    return index.people.popular(500)


def graph(index: vs.Index) -> Any:
    return index.people.material().fingerprint


def saves(index: vs.Index) -> Any:
    return index.people.save_columns(0, END).save.tolist()


def people_who_count(index: vs.Index) -> Any:
    return index.people.counted().person.tolist()


def a_shops_pins(index: vs.Index) -> Any:
    return pages_of(index, "stolen.example").numbers.tolist()


def a_shops_deeds(index: vs.Index) -> Any:
    found = deeds_of(index.people, index.people.counted(), np.arange(20), 0, END)
    return len(found)


def exposed(index: vs.Index) -> Any:
    return index.people.exposures(open_experiments(index.people).get("colour").id).person.tolist()


CONSUMERS = [
    events_of_all, impressions, clicked_together, ranker, popular, graph, saves, people_who_count, a_shops_pins,
    a_shops_deeds, exposed,
]  # fmt: skip


@pytest.mark.parametrize("consumer", CONSUMERS, ids=lambda each: each.__name__)
def test_judged_deeds_are_left_out_and_come_back(
    index: vs.Index, consumer: Callable[[vs.Index], Any]
) -> None:
    people, trust = index.people, Trust(index)
    before = consumer(index)
    numbers = people.numbers_of(BAD).tolist()
    [number] = people.rule([Ruling("ring", "a ring", Level.HOLD, 0.99, people=numbers)])
    judged = consumer(index)
    trust.undo(number)
    assert judged != before
    assert consumer(index) == before
    people.rule([Ruling("ring", "a ring", Level.LOWER, 0.99, people=numbers)])
    assert consumer(index) == before  # what is only ranked lower still counts


def test_what_is_left_out_is_what_the_judged_did_and_nothing_else(index: vs.Index) -> None:
    people = index.people
    numbers = people.numbers_of(BAD).tolist()
    wanted = [row for row in events_of_all(index) if row[0] not in numbers]
    assert len(wanted) < len(events_of_all(index))
    [number] = people.rule([Ruling("ring", "a ring", Level.HIDE, 0.99, people=numbers)])
    left = people.event_columns(0, END)
    assert len(left) == len(wanted)
    assert set(left.person.tolist()).isdisjoint(numbers)
    assert impressions(index) == 8
    assert a_shops_pins(index) == []
    Trust(index).undo(number)
