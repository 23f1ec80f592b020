"""In a simulated world the truth is known: a better ranker wins, equal ones do not, a harmful one is stopped by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from visualsearch.experiments import Action, Guardrail, Report, State, open_experiments
from visualsearch.people import open_people
from visualsearch.world import Pins, Tastes, World

from ..world.conftest import pins, pins_index, tastes

__all__ = ["pins", "pins_index", "tastes"]
PAGE = 8


def shown(world: World, person: int, kind: str, rng: np.random.Generator) -> list[int]:
    """Eight of forty pins: the best, the worst, or any."""
    some = rng.choice(len(world.pins), 40, replace=False)
    if kind == "any":
        return [int(pin) for pin in some[:PAGE]]
    order = np.argsort(-world.relevance([person] * len(some), some))
    return [int(pin) for pin in some[order if kind == "best" else order[::-1]][:PAGE]]


def story(folder: Path, pins: Pins, tastes: Tastes, treatment: str, control: str, days: int = 4) -> Report:
    """An experiment whose report is applied every day; its last report."""
    folder.mkdir()
    world = World.make(pins, tastes=tastes, people=160, seed=5, sessions_per_day=1.0, consent=(0.0, 0.0))
    rng = np.random.default_rng(0)
    with open_people(folder, now=lambda: world.clock) as people:
        found = open_experiments(people)
        rails = (Guardrail("saves_per_100", 0.1),)
        found.create("story", salt="s", people=160, days=2, metrics=("saves_per_100",), guardrails=rails)
        found.start("story", 0.5)
        for _ in range(days):
            visits = world.visits()
            names = [world.persons[person] for person in visits.person]
            arms = found.assign_many("story", names)
            world.advance(days=1)
            lists = [
                shown(world, int(who), treatment if arms[name] == "treatment" else control, rng)
                for who, name in zip(visits.person, names, strict=True)
            ]
            answered = world.respond_many(world.lists(visits.person, np.array(lists), world.clock - 1000))
            people.record(answered.events())
            people.roll()
            report = found.report("story")
            if found.apply(report).state is State.STOPPED:
                break
        return found.report("story")


def test_a_better_ranker_wins_and_everybody_gets_in(tmp_path: Path, pins: Pins, tastes: Tastes) -> None:
    report = story(tmp_path / "a", pins, tastes, "best", "any")
    assert report.lines[0].estimate.wins
    assert not report.alarm
    assert report.experiment.state is State.RUNNING
    assert report.experiment.ramp == 1.0


def test_equal_rankers_are_not_told_apart(tmp_path: Path, pins: Pins, tastes: Tastes) -> None:
    report = story(tmp_path / "a", pins, tastes, "any", "any")
    assert not report.lines[0].estimate.wins
    assert not report.lines[0].estimate.loses
    assert "We cannot tell yet" in report.sentences()[0]


@pytest.mark.parametrize("control", ["best"])
def test_a_harmful_ranker_is_stopped_by_itself(
    tmp_path: Path, pins: Pins, tastes: Tastes, control: str
) -> None:
    report = story(tmp_path / "a", pins, tastes, "worst", control)
    assert report.experiment.state is State.STOPPED
    assert "saves_per_100 went from" in report.experiment.reason
    assert report.decision.action is Action.WAIT
