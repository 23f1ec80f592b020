"""An experiment from its plan to its end, in a record of people on SQLite and PostgreSQL."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from visualsearch.errors import ConflictError, UnknownNameError, UsageError
from visualsearch.experiments import Action, Arm, Experiments, Guardrail, State, credited, open_experiments
from visualsearch.people import Event, Level, People, Ruling, ServedList, new_list

from ..people.conftest import Clock

DAY = 86_400_000


def running(people: People, name: str = "warm", **plan: object) -> Experiments:
    found = open_experiments(people)
    found.create(name, salt=name, **{"people": 200, "days": 4.0, **plan})  # type: ignore[arg-type]
    found.start(name, 1.0)
    return found


def crowd(size: int) -> list[str]:
    return [f"person-{number}" for number in range(size)]


def live(people: People, clock: Clock, arms: dict[str, str | None], days: int, seed: int = 0) -> None:
    """People see ten pins a day; those of the treatment save more of them."""
    rng = np.random.default_rng(seed)
    for _ in range(days):
        clock.pass_(hours=24)
        events = []
        for person, arm in arms.items():
            events += [Event("impression", person, f"pin-{n}", event_id=None) for n in range(10)]
            saved = rng.binomial(10, 0.4 if arm == "treatment" else 0.1)
            events += [Event("save", person, f"pin-{n}") for n in range(saved)]
        people.record(events)
        people.roll()


def test_an_experiment_runs_from_its_plan_to_its_end(people: People, clock: Clock) -> None:
    found = running(people, metrics=("saves_per_100", "saves", "sessions"), guardrails=())
    arms = found.assign_many("warm", crowd(120))
    assert Counter(arms.values()).keys() == {"control", "treatment"}
    assert found.assign("warm", "person-3") == arms["person-3"]
    live(people, clock, arms, 3)
    report = found.report("warm")
    assert sum(report.units.values()) == 120
    line = report.lines[0]
    assert line.estimate.wins
    assert line.estimate.control == pytest.approx(10, abs=6)
    assert line.estimate.treatment == pytest.approx(40, abs=8)
    assert line.sentence().startswith("treatment has more saves per 100 impressions, which is better")
    assert [each.label for each in report.views if each.metric == "saves"] == ["day 1"]
    assert len(report.days) == 4
    assert report.decision.action is Action.WAIT
    json.dumps(report.to_dict(), allow_nan=False)
    found.stop("warm", "it won")
    assert found.assign("warm", "somebody new") is None
    ended = found.report("warm")
    assert ended.lines[0].estimate == line.estimate
    assert "it won" in ended.decision.reason


def test_a_plan_under_way_is_changed_by_a_new_version_with_a_reason_only(people: People) -> None:
    found = running(people)
    with pytest.raises(ConflictError, match="is not changed"):
        found.create("warm", people=10)
    made = found.create("warm", people=10, reason="more people than planned")
    assert (made.version, made.state) == (2, State.DRAFT)
    old = found.get("warm", 1)
    assert (old.state, old.reason) == (State.STOPPED, "a new version: more people than planned")
    assert old.salt != made.salt
    assert found.create("warm", people=20).plan.people == 20  # a draft has met nobody
    assert found.get("warm").version == 2
    with pytest.raises(UnknownNameError):
        found.get("cold")
    with pytest.raises(ConflictError, match="does not ramp"):
        found.ramp("warm")


def test_nobody_is_in_two_experiments_of_a_group(people: People) -> None:
    found = running(people, "one", group="feed", share=0.5)
    found.create("two", group="feed", share=0.5)
    found.start("two", 1.0)
    with pytest.raises(UsageError, match="no room"):
        found.create("three", group="feed", share=0.5)
    one, two = found.assign_many("one", crowd(60)), found.assign_many("two", crowd(60))
    assert all((one[each] is None) != (two[each] is None) for each in crowd(60))
    found.stop("one", "done")
    found.create("three", group="feed", share=0.5)


def test_who_allows_nothing_is_outside_and_who_is_forgotten_leaves(people: People) -> None:
    found = running(people)
    people.consent("ada", "off")
    people.consent("bob", clicks=False)
    assert found.assign("warm", "ada") is None
    assert found.assign("warm", "bob") is None
    assert found.assign("warm", "eve") is not None
    number = found.get("warm").id
    assert len(people.exposures(number)) == 1
    assert len(people.export("eve")["exposures"]) == 1
    assert people.forget("eve").removed["exposures"] == 1
    assert len(people.exposures(number)) == 0


def test_a_ramp_grows_and_keeps_arms(people: People, clock: Clock) -> None:
    found = running(people, "slow")
    found.create("step", salt="s")
    found.start("step", 0.3)
    before = found.assign_many("step", crowd(60))
    found.ramp("step", 0.8, "all is well")
    after = found.assign_many("step", crowd(60))
    inside = {each for each, arm in before.items() if arm}
    assert inside < {each for each, arm in after.items() if arm}
    assert all(before[each] == after[each] for each in inside)
    with pytest.raises(UsageError, match="whoever is in stays in"):
        found.ramp("step", 0.1)


def test_a_broken_guardrail_stops_and_a_whole_one_ramps(people: People, clock: Clock) -> None:
    found = open_experiments(people)
    rails = (Guardrail("latency_ms", 0.1, False),)
    found.create("slow", people=100, days=1, guardrails=rails, metrics=("saves",))
    found.start("slow", 0.5)
    found.assign_many("slow", crowd(200))
    clock.pass_(hours=25)
    rng = np.random.default_rng(0)
    quick = rng.normal(100, 10, 100).tolist()
    unknown = found.report("slow")
    assert unknown.decision.action is Action.WAIT
    assert "latency_ms" in unknown.decision.reason
    good = found.report("slow", numbers={"latency_ms": {"control": quick, "treatment": quick}})
    assert good.decision.action is Action.RAMP
    late = [value * 1.5 for value in quick]
    bad = found.report("slow", numbers={"latency_ms": {"control": quick, "treatment": late}})
    assert bad.decision.action is Action.STOP
    assert found.apply(good).ramp == 1.0
    assert found.apply(bad).state is State.RUNNING  # it is of an older ramp
    bad = found.report("slow", numbers={"latency_ms": {"control": quick, "treatment": late}})
    assert found.apply(bad).state is State.STOPPED


def test_an_empty_arm_and_a_lost_one_are_told(lite: People, clock: Clock) -> None:
    found = running(lite)
    assert "We cannot tell yet" in found.report("warm").sentences()[0]
    for person in crowd(60):
        work = lite.exposing(found.get("warm").id, person, "", lambda _: "control")
        lite.store.write(work)
    report = found.report("warm")
    assert report.alarm
    assert report.decision.action is Action.STOP
    assert "Trust no figure" in report.sentences()[0]
    assert any("Nobody is in treatment" in note for note in report.notes)


def test_bots_are_left_out(lite: People, clock: Clock) -> None:
    found = running(lite)
    arms = found.assign_many("warm", crowd(20))
    bot = lite.pseudonym("person-7")
    report = open_experiments(lite, is_bot=lambda name: name == bot).report("warm")
    assert report.left_out == 1
    assert sum(report.units.values()) == sum(arm is not None for arm in arms.values()) - 1


def test_sessions_are_assigned_by_their_label(lite: People, clock: Clock) -> None:
    found = running(lite, unit="session", metrics=("saves",), guardrails=())
    with pytest.raises(UsageError, match="no session was named"):
        found.assign("warm", "ada")
    arms = {f"s{n}": found.assign("warm", "ada", f"s{n}") for n in range(40)}
    clock.pass_(seconds=5)
    lite.record([Event("save", "ada", "pin-1", session="s3"), Event("save", "ada", "pin-2", session="other")])
    line = found.report("warm").lines[0]
    figure = line.estimate.treatment if arms["s3"] == "treatment" else line.estimate.control
    assert figure * Counter(arms.values())[arms["s3"]] == pytest.approx(1)


def test_a_subgroup_and_what_was_before_count(lite: People, clock: Clock) -> None:
    for person in crowd(160):
        lite.declare(person, region="north" if int(person[7:]) % 2 else "south")
    live(lite, clock, dict.fromkeys(crowd(160)), 2)
    clock.pass_(minutes=5)
    found = running(lite, metrics=("saves",), guardrails=(), subgroups=("region",))
    live(lite, clock, found.assign_many("warm", crowd(160)), 2)
    report = found.report("warm")
    assert [line.label for line in report.subgroups] == ["region north", "region south"]
    assert all(line.stands for line in report.subgroups)
    assert report.lines[0].estimate.variance_kept <= 1
    assert report.lines[0].estimate.control == pytest.approx(2, abs=0.6)  # nothing from before is in it


def test_purchases_in_two_currencies_are_not_added(lite: People, clock: Clock) -> None:
    found = running(lite, metrics=("saves", "revenue"))
    found.assign_many("warm", ["a", "b"])
    clock.pass_(seconds=9)
    paid = [
        Event("purchase", who, "pin-1", value=2.0, currency=coin)
        for who, coin in (("a", "EUR"), ("b", "USD"))
    ]
    lite.record(paid)
    report = found.report("warm")
    assert "revenue" not in {line.metric for line in report.lines}
    assert any("EUR, USD" in note for note in report.notes)


def test_interleaved_sessions_name_the_better_ranker(lite: People, clock: Clock) -> None:
    found = open_experiments(lite)
    events = []
    for number in range(80):
        events += [
            Event("impression", f"p{number}", f"pin-{team}", variant=credited("mix", team)) for team in (0, 1)
        ]
        events += [Event("click", f"p{number}", "pin-1", variant=credited("mix", 1))]
    events.append(Event("click", "p1", "pin-0", variant=credited("other", 0)))
    lite.record(events)
    said = found.interleaving("mix")
    assert (said.sessions, said.decided, said.winner) == (80, 80, 1)
    assert found.interleaving("nothing").sessions == 0
    lite.record([Event("click", "p1", "pin-0", variant="interleave:mix:7")])
    with pytest.raises(UsageError, match="end with 0 or 1"):
        found.interleaving("mix")


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ({"metrics": ()}, "needs a metric"),
        ({"metrics": ("smiles",)}, "unknown metric"),
        ({"subgroups": ("shoe size",)}, "unknown field"),
        ({"people": 0}, "0 people"),
        ({"share": 0.5}, "Name the group"),
        ({"arms": ("only",)}, "at least two arms"),
        ({"steps": (0.0,)}, "the ramp cannot be kept"),
    ],
)
def test_a_wrong_plan_says_what_is_wrong(lite: People, plan: dict[str, object], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        open_experiments(lite).create("x", **plan)
    with pytest.raises(UsageError, match="cannot name"):
        open_experiments(lite).create("a:b")


def test_what_a_server_measures_is_judged_after_a_day_14_and_28_days(lite: People, clock: Clock) -> None:
    rails = (Guardrail("diversity", 0.1), Guardrail("latency_ms", 0.5, False))
    arms = (Arm("control"), Arm("treatment", sets={"diversity": 0.1}))
    found = running(
        lite,
        metrics=("saves", "lists"),
        guardrails=rails,
        surfaces=("feed",),
        arms=arms,
        days=30.0,
    )
    held = found.assign_many("warm", crowd(100))
    begun = clock.at
    for day in (0, 1, 8, 12, 20, 27):
        clock.at = begun + day * DAY + DAY // 2
        for number, (person, arm) in enumerate(held.items()):
            low = day > 1 and arm == "treatment"  # variety falls after some days only
            rng = np.random.default_rng([day, number])
            seen = (0.2 if low else 0.5) + rng.normal() / 50
            made = ServedList(new_list(), person, "feed", ms=20.0 + rng.normal(), diversity=seen)
            waiting = lite.remember_list(made)
        waiting.result()
        if day == 1:
            early = found.report("warm")
    clock.at = begun + 29 * DAY
    assert early.decision.action is not Action.STOP
    report = found.report("warm")
    views = {line.label: line.estimate for line in report.views if line.metric == "diversity"}
    assert list(views) == ["day 1", "day 14", "day 28"]
    assert not views["day 1"].loses
    assert views["day 14"].loses
    assert views["day 28"].treatment < views["day 14"].treatment
    assert report.decision.action is Action.STOP
    assert "diversity went from" in report.decision.reason
    bad = lite.pseudonym("person-1")
    assert open_experiments(lite, is_bot=lambda name: name == bad).report("warm").left_out == 1


def test_verdicts_leave_people_out_of_a_report(lite: People) -> None:
    found = running(lite)
    arms = found.assign_many("warm", crowd(20))
    inside = [person for person, arm in arms.items() if arm]
    number = int(lite.exposures(found.get("warm").id).person[0])
    lite.rule([Ruling("clicks", "a bot", Level.HOLD, 1.0, people=(number,), state="decided")])
    report = found.report("warm")
    assert sum(report.units.values()) == len(inside) - 1
