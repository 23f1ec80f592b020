"""Lists as they are served: the arm that made each is known, and who never agreed to anything sees none of it."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.errors import StorageError, UnknownNameError, UsageError
from visualsearch.experiments import Arm, Guardrail, State
from visualsearch.live import LiveSettings, costs_of, open_live
from visualsearch.people import Event
from visualsearch.types import Hits

from .conftest import begun, crowd

VARIED = (Arm("plain"), Arm("varied", sets={"diversity": 0.9, "popular": 0.0}))
MIXED = {"kind": "interleave", "arms": VARIED}


def said(hits: Hits) -> str:
    """All that an answer says, but how long it took."""
    return json.dumps(
        [
            [hit.to_dict() for hit in hits],
            hits.total,
            hits.plan,
            hits.cursor,
            hits.notes,
            hits.variant,
            hits.listed,
        ]
    )


def events_of(index: vs.Index, person: str, kind: str) -> list[dict[str, object]]:
    return [event for event in index.people.events_of(person) if event["kind"] == kind]


def test_each_arm_gets_its_list_and_its_events_say_so(pins: vs.Index) -> None:
    found = begun(pins, arms=VARIED)
    live = open_live(pins)
    served = {person: live.feed(person, 10) for person in crowd()[:16]}
    arms = Counter(hits.variant for hits in served.values())
    assert set(arms) == {"try:plain", "try:varied"}
    assert arms == {f"try:{arm}": count for arm, count in found.report("try").units.items()}
    for person, hits in served.items():
        plain = pins.feed(person, 10).ids
        assert (hits.ids == plain) == (hits.variant == "try:plain")
    hits = live.feed("person-1", 10)
    seen = {"answer": hits.answer, "slot": 2}
    live.flush()
    pins.people.record([Event("impression", "person-1", hits.ids[2], surface="feed", **seen)])  # type: ignore[arg-type]
    pins.people.save("person-1", hits.ids[2], board="Mine", surface="feed", **seen)  # type: ignore[arg-type]
    assert {event["variant"] for event in pins.people.events_of("person-1")} == {hits.variant, None}
    exposure = events_of(pins, "person-1", "exposure")
    assert [event["variant"] for event in exposure] == [hits.variant]  # once, though two lists were served


def test_who_did_not_agree_gets_what_everybody_gets_and_leaves_no_trace(pins: vs.Index) -> None:
    begun(pins, arms=VARIED)
    live = open_live(pins, LiveSettings(swaps=1.0, explore=0.5), seed=1)
    pins.people.consent("person-1", clicks=False)
    pins.people.pause("person-2")
    pins.people.consent("person-3", "off")
    for person in (None, "nobody", "visitor:x", "person-1", "person-2", "person-3"):
        assert said(live.feed(person, 10)) == said(pins.feed(person, 10))
        assert live.related("shop/shoes/001.jpg", person=person).variant is None
    assert pins.people.served_lists() == []
    assert live.feed("person-4", 10).variant is not None
    pins.people.consent("person-4", clicks=False)  # counts from the next list on
    assert said(live.feed("person-4", 10)) == said(pins.feed("person-4", 10))
    with pytest.raises(UnknownNameError):
        pins.people.person("nobody")


def test_somebody_of_whom_nothing_is_known_does_not_meet_it(pins: vs.Index) -> None:
    arms = (Arm("plain"), Arm("close", sets={"interest": 2.0, "diversity": 0.9}))
    found = begun(pins, arms=arms)
    pins.people.record([Event("search", "new")])
    live = open_live(pins)
    assert live.feed("new", 10).variant is None
    assert live.feed("person-1", 10).variant is not None
    assert sum(found.report("try").units.values()) == 1


def test_arms_that_cannot_differ_expose_nobody(pins: vs.Index) -> None:
    begun(pins, arms=("plain", "ranker"))  # nothing was learnt here
    assert open_live(pins).feed("person-1", 10).variant is None
    assert events_of(pins, "person-1", "exposure") == []


def test_an_arm_that_fails_costs_no_answer_and_is_stopped_while_it_serves(
    pins: vs.Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    from visualsearch.live import arms

    whole = arms.feed

    def broken(*given: object, **options: object) -> Hits:
        if "ranker" in options:
            raise StorageError("cannot read", "it is damaged", "")
        return whole(*given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(arms, "feed", broken)
    found = begun(pins, arms=VARIED, guardrails=(Guardrail("errors", 0.0, False),))
    live = open_live(pins)
    for person in crowd():
        hits = live.feed(person, 5)
        assert len(hits) == 5
        assert bool(hits.notes) == (hits.variant == "try:varied")
    live.flush()
    line = next(line for line in found.report("try").lines if line.metric == "errors")
    assert (line.estimate.control, line.estimate.treatment) == (0.0, 100.0)
    stopped = live.round()
    assert [each.name for each in stopped] == ["try"]
    assert "errors went from 0 to 100" in stopped[0].reason
    assert live.feed("person-1", 5).variant is None
    assert found.get("try").state is State.STOPPED


def test_a_draft_that_keeps_failing_is_stopped(pins: vs.Index, monkeypatch: pytest.MonkeyPatch) -> None:
    from visualsearch.live import arms

    def broken(*_: object, **__: object) -> Hits:
        raise StorageError("cannot read", "it is damaged", "")

    monkeypatch.setattr(arms, "feed", broken)
    found = begun(pins, **MIXED)
    live = open_live(pins)
    for person in crowd()[:9]:
        live.feed(person, 5)
    live.flush()
    assert live.round() == []
    live.feed("person-9", 5)
    live.flush()
    assert [each.reason for each in live.round()] == ["10 of 10 lists could not be drafted"]
    assert found.get("try").state is State.STOPPED


def test_somebody_who_was_forgotten_is_somebody_new(pins: vs.Index) -> None:
    begun(pins, arms=VARIED)
    live = open_live(pins)
    live.feed("person-1", 5)
    pins.people.forget("person-1")
    live.experiments.forgotten("person-1")
    for n in range(3):
        pins.people.save("person-1", f"shop/lamps/{n:03d}.jpg", board="Mine")
    assert live.feed("person-1", 5).variant is not None
    assert len(events_of(pins, "person-1", "exposure")) == 1


def test_a_request_that_is_at_fault_is_no_fault_of_the_arm(pins: vs.Index) -> None:
    begun(pins, arms=VARIED)
    live = open_live(pins)
    with pytest.raises(UsageError, match="k: 0"):
        live.feed("person-1", 0)
    assert pins.people.served_lists() == []


def test_the_report_has_what_the_server_measured(pins: vs.Index) -> None:
    found = begun(pins, arms=VARIED)
    live = open_live(pins)
    for person in crowd():
        live.feed(person, 10)
    live.flush()
    lines = {line.metric: line for line in found.report("try").lines}
    assert {"latency_ms", "errors", "diversity"} <= set(lines)
    assert lines["diversity"].estimate.treatment > lines["diversity"].estimate.control
    assert lines["latency_ms"].estimate.control > 0
    hits = live.feed("person-1", 10)
    live.flush()
    kept = next(each for each in pins.people.served_lists() if each.answer == hits.answer)
    vectors = pins.vectors(hits.ids)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = (vectors @ vectors.T)[np.triu_indices(10, 1)]
    assert kept.diversity == pytest.approx(1 - pairs.mean(), abs=1e-3)


def test_two_rankers_share_a_list_and_saves_name_the_better_one(pins: vs.Index) -> None:
    found = begun(pins, **MIXED)
    live = open_live(pins)
    first = live.feed("person-1", 10)
    assert first.variant == "interleave:try"
    second = live.feed("person-1", 10, cursor=first.cursor)
    assert not set(first.ids) & set(second.ids)
    live.flush()
    kept = {each.answer: each for each in pins.people.served_lists()}
    teams = Counter(variant for variant, _ in kept[first.answer].marks.values())
    assert set(teams) == {"interleave:try:0", "interleave:try:1"}
    assert sum(teams.values()) == 10
    for person in crowd()[:20]:
        hits = live.feed(person, 10)
        live.flush()
        marks = next(each for each in pins.people.served_lists() if each.answer == hits.answer).marks
        best = [pin for pin, mark in marks.items() if mark[0] == "interleave:try:1"]
        pins.people.record(
            [Event("impression", person, pin, answer=hits.answer, slot=n) for n, pin in enumerate(hits.ids)]
        )
        pins.people.save(person, best[0], board="Mine", answer=hits.answer, surface="feed")
    report = found.report("try")
    assert report.preference is not None
    assert (report.preference.decided, report.preference.winner) == (20, 1)
    assert "varied is preferred" in report.sentences()[-1]
    assert report.to_dict()["preference"]["winner"] == 1
    assert live.round() == []  # a person decides what to do with a preference
    assert found.apply(report).state is State.STOPPED


def test_a_draft_goes_on_over_the_pages_of_a_search(pins: vs.Index) -> None:
    arms = (Arm("plain"), Arm("strong", sets={"personal": 0.5}))
    begun(pins, surfaces=("search",), kind="interleave", arms=arms)
    live = open_live(pins)
    whole = live.search(like="shop/shoes/001.jpg", person="person-1", k=20)
    pages = [
        live.search(like="shop/shoes/001.jpg", person="person-1", k=5, offset=at).ids for at in (0, 5, 10, 15)
    ]
    assert whole.variant == "interleave:try"
    assert [name for page in pages for name in page] == whole.ids
    own = live.search(like="shop/shoes/001.jpg", person="person-1", k=5, diversity=0.5)
    assert own.variant is None  # who asks chose the order


def test_arms_of_searches_and_related_pins(pins: vs.Index) -> None:
    search = (Arm("plain"), Arm("strong", sets={"personal": 0.9}))
    begun(pins, "s", surfaces=("search",), arms=search)
    begun(pins, "r", surfaces=("related",), arms=(Arm("plain"), Arm("sight", sets={"walk": 0.0})))
    live = open_live(pins)
    variants = set()
    for person in crowd()[:20]:
        hits = live.search(like="shop/birds/001.jpg", person=person, k=8)
        plain = pins.search(like="shop/birds/001.jpg", person=person, k=8)
        strong = pins.search(like="shop/birds/001.jpg", person=person, k=8, personal=0.9)
        assert hits.ids == (strong if hits.variant == "s:strong" else plain).ids
        near = live.related("shop/shoes/001.jpg", 6, person=person)
        assert {"walk", "sight"} <= set(near[0].signals)
        if near.variant == "r:sight":
            assert [hit.rank_score for hit in near] == [hit.signals["sight"] for hit in near]
        variants |= {hits.variant, near.variant}
    assert variants == {"s:plain", "s:strong", "r:plain", "r:sight"}


def test_sessions_are_assigned_where_they_are_named(pins: vs.Index) -> None:
    begun(pins, arms=VARIED, unit="session")
    live = open_live(pins)
    assert live.feed("person-1", 5).variant is None
    assert {live.feed("person-1", 5, session=f"s{n}").variant for n in range(20)} == {
        "try:plain",
        "try:varied",
    }
    assert len(events_of(pins, "person-1", "exposure")) == 20


def test_of_two_experiments_the_one_that_was_started_first_acts(pins: vs.Index) -> None:
    begun(pins, "one", arms=VARIED)
    begun(pins, "two", arms=VARIED)
    assert str(open_live(pins).feed("person-1", 5).variant).startswith("one:")


def test_a_record_that_does_not_answer_costs_no_list(pins: vs.Index, monkeypatch: pytest.MonkeyPatch) -> None:
    from visualsearch.errors import UnreachableError
    from visualsearch.experiments import Experiments

    def gone(*_: object) -> None:
        raise UnreachableError("the record does not answer", "it is gone", "")

    begun(pins, arms=VARIED)
    live = open_live(pins)
    monkeypatch.setattr(Experiments, "serving", gone)
    hits = live.feed("person-1", 5)
    assert hits.ids == pins.feed("person-1", 5).ids
    assert "experiments are left out" in hits.notes[-1]
    assert not live.asks("feed")


# -- swaps and fresh pins ------------------------------------------------------------------------------------------
def test_swapped_neighbours_are_told_by_the_events_and_their_cost_is_known(pins: vs.Index) -> None:
    live = open_live(pins, LiveSettings(swaps=1.0), seed=3)
    for person in crowd()[:24]:
        plain = pins.feed(person, 8)
        hits = live.feed(person, 8)
        live.flush()
        kept = pins.people.served_lists()[-1]
        assert set(hits.ids) == set(plain.ids)
        assert hits.cursor == plain.cursor
        moved = [at for at in range(8) if hits.ids[at] != plain.ids[at]]
        assert (len(moved) == 2 and moved[1] == moved[0] + 1) if kept.traded else not moved
        assert [chance for _, chance in kept.marks.values()] == [0.5, 0.5]
        looks = [
            Event("impression", person, pin, answer=hits.answer, slot=at) for at, pin in enumerate(hits.ids)
        ]
        clicks = [] if kept.traded else [Event("click", person, hits.ids[0], answer=hits.answer, slot=0)]
        pins.people.record([*looks, *clicks])
        drawn = [event for event in events_of(pins, person, "impression") if event["propensity"] == 0.5]
        assert {event["pin_id"] for event in drawn} == set(kept.marks)
    found = costs_of(pins.people).swaps["feed"]
    assert found.traded + found.left == 24
    assert found.deeds == pytest.approx(1.0)
    assert found.lost == found.traded
    assert "A trade cost +1.000 deeds a list" in costs_of(pins.people).sentences()[0]


def test_nothing_is_swapped_or_tried_unless_it_is_switched_on(pins: vs.Index) -> None:
    assert said(open_live(pins).feed("person-1", 10)) == said(pins.feed("person-1", 10))
    assert costs_of(pins.people).sentences() == [
        "Nothing was swapped and no fresh pin was tried in these days."
    ]


def test_fresh_pins_are_tried_within_their_budget_and_their_cost_is_known(pins: vs.Index) -> None:
    with closing(sqlite3.connect(pins.folder / "catalog.sqlite")) as db:
        db.execute("UPDATE pins SET added = added - 40 * 86400")
        db.commit()
    rng = np.random.default_rng(9)
    new = [{"id": f"new-{n}", "image": rng.integers(0, 255, (32, 32, 3), np.uint8)} for n in range(4)]
    pins.add(new)
    live = open_live(pins, LiveSettings(explore=0.25, floor=5), seed=3)
    tried: Counter[str] = Counter()
    slots = 0
    for person in crowd()[:24]:
        plain = pins.feed(person, 10)
        hits = live.feed(person, 10)
        live.flush()
        slots += len(hits)
        assert hits.ids[0] == plain.ids[0]
        assert len(set(hits.ids)) == 10
        if hits.listed is None:
            assert hits.ids == plain.ids
            continue
        marks = pins.people.served_lists()[-1].marks
        assert all(variant == "explore" and 0 < float(chance or 0) <= 1 for variant, chance in marks.values())
        tried.update(list(marks))
        assert all(hit.why is not None for hit in hits)
        assert not set(hits.ids) & set(live.feed(person, 10, cursor=hits.cursor).ids)
        looks = [
            Event("impression", person, pin, answer=hits.answer, slot=at) for at, pin in enumerate(hits.ids)
        ]
        pins.people.record(looks)
    assert set(tried) <= {f"new-{n}" for n in range(4)}
    assert 0 < sum(tried.values()) / slots <= 0.3
    cost = costs_of(pins.people).explored
    assert cost is not None
    assert cost.looks == sum(tried.values())
    assert cost.saves > 0  # nobody saved what was tried


@pytest.mark.parametrize(
    ("sets", "reason"),
    [
        ({"smiles": 1.0}, "unknown setting of an arm"),
        ({"diversity": 2.0}, "a number from 0 to 1"),
        ({"diversity": "much"}, "a number from 0 to 1"),
        ({"ranker": "best"}, "learnt or plain"),
        ({"personal": 0.1}, "it counts on search alone"),
        ({}, "two of them set the same"),
    ],
)
def test_an_arm_that_cannot_be_served_is_refused(
    pins: vs.Index, sets: dict[str, float | str], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        begun(pins, arms=(Arm("control"), Arm("treatment", sets=sets)))
