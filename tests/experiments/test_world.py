"""In a simulated world the truth is known: a better ranker wins, equal ones do not, a harmful one is stopped by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from visualsearch.experiments import Action, Guardrail, Report, State, open_experiments
from visualsearch.people import open_people
from visualsearch.world import Pins, Tastes, World

from ..world.conftest import pins, pins_index, tastes

__all__ = ["pins", "pins_index", "tastes"]
PAGE = 10


def shown(world: World, persons: np.ndarray, kinds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(m, PAGE) of forty random pins for each visit: the best, the worst, or any."""
    some = np.stack([rng.choice(len(world.pins), 40, replace=False) for _ in persons])
    true = world.relevance(np.repeat(persons, 40), some.reshape(-1)).reshape(some.shape)
    sign = np.select([kinds == "best", kinds == "worst"], [-1, 1], 0)
    order = np.argsort(sign[:, None] * true, axis=1, kind="stable")
    return np.take_along_axis(some, order, 1)[:, :PAGE]


def story(folder: Path, pins: Pins, tastes: Tastes, treatment: str, control: str, days: int = 8) -> Report:
    """An experiment whose report is applied every day; its last report."""
    folder.mkdir()
    world = World.make(pins, tastes=tastes, people=300, seed=5, sessions_per_day=1.2, consent=(0.0, 0.0))
    rng = np.random.default_rng(0)
    with open_people(folder, now=lambda: world.clock) as people:
        found = open_experiments(people)
        rails = (Guardrail("saves_per_100", 0.1),)
        found.create("story", salt="s", people=300, days=2, metrics=("saves_per_100",), guardrails=rails)
        found.start("story", 0.5)
        for _ in range(days):
            visits = world.visits()
            names = [world.persons[person] for person in visits.person]
            arms = found.assign_many("story", names)
            world.advance(days=1)
            kinds = np.array([treatment if arms[name] == "treatment" else control for name in names])
            lists = shown(world, visits.person, kinds, rng)
            answered = world.respond_many(world.lists(visits.person, lists, world.clock - 1000))
            people.record(answered.events())
            report = found.report("story")
            if found.apply(report).state is State.STOPPED:
                break
        return found.report("story")


def test_a_better_ranker_wins_and_everybody_gets_in(tmp_path: Path, pins: Pins, tastes: Tastes) -> None:
    report = story(tmp_path / "a", pins, tastes, "best", "worst")
    assert report.lines[0].estimate.wins
    assert not report.alarm
    assert report.experiment.state is State.RUNNING
    assert report.experiment.ramp == 1.0


def test_equal_rankers_are_not_told_apart(tmp_path: Path, pins: Pins, tastes: Tastes) -> None:
    report = story(tmp_path / "a", pins, tastes, "any", "any", days=4)
    assert not report.lines[0].estimate.wins
    assert not report.lines[0].estimate.loses
    assert "We cannot tell yet" in report.sentences()[0]


def test_a_harmful_ranker_is_stopped_by_itself(tmp_path: Path, pins: Pins, tastes: Tastes) -> None:
    report = story(tmp_path / "a", pins, tastes, "worst", "best")
    assert report.experiment.state is State.STOPPED
    assert "saves_per_100 went from" in report.experiment.reason
    assert report.decision.action is Action.WAIT
