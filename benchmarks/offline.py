"""How often the intervals of off-policy estimates hold the truth, in a simulated world.

    python -m benchmarks.offline --logs 500

A log shows one of ten pins with a known chance, by a noisy guess of what the person likes. A new policy follows a better guess.
Its true worth is what it earns when it is really served, many times over. Each log gives an interval by each method.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

from benchmarks.experiments import make_pins
from visualsearch.errors import UsageError
from visualsearch.learn import Logged, value_of
from visualsearch.types import Float64
from visualsearch.world import World

CANDIDATES = 10
NOISE = {"log": 0.4, "new": 0.2}
SHARP = 2.0


def sessions(
    world: World, count: int, rng: np.random.Generator
) -> tuple[Any, Any, dict[str, Float64], Float64]:
    """(m,) people, (m, 10) pins, the chances of both policies, and the true relevance, each (m, 10)."""
    people = rng.integers(0, len(world.persons), count).astype(np.int32)
    pins = rng.integers(0, len(world.pins), (count, CANDIDATES))
    true = world.relevance(np.repeat(people, CANDIDATES), pins.reshape(-1)).reshape(pins.shape)
    chances = {}
    for name, noise in NOISE.items():
        guess = SHARP * (true + noise * rng.normal(size=true.shape))
        odds = np.exp(guess - guess.max(1, keepdims=True))
        chances[name] = odds / odds.sum(1, keepdims=True)
    return people, pins, chances, true.astype(np.float64)


def served(
    world: World, people: Any, pins: Any, chance: Float64, rng: np.random.Generator
) -> tuple[Any, Float64]:
    """(m,) which candidate was drawn, and whether it was clicked or saved."""
    drawn = (chance.cumsum(1) > rng.random((len(people), 1))).argmax(1)
    shown = np.take_along_axis(pins, drawn[:, None], 1).astype(np.int32)
    # The luck of a person with a pin at a time is fixed, so each session has a time of its own.
    times = world.clock - rng.integers(0, 10**9, len(people))
    found = world.respond_many(world.lists(people, shown, np.sort(times))).reactions
    return drawn, (found.clicked | found.saved)[:, 0].astype(np.float64)


def main() -> None:
    """Measure, and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=500)
    parser.add_argument("--sessions", type=int, default=6_000)
    parser.add_argument("--truth", type=int, default=400_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    world = World.make(make_pins(600, 3), people=2_000, seed=1)
    rng = np.random.default_rng(given.seed)
    found: dict[str, list[tuple[float, float]]] = {"ips": [], "snips": [], "dr": []}
    refused, earned, of_log = 0, [], []
    for _ in range(given.logs):
        # The world moves on as people act, so that the truth is asked for beside each log.
        people, pins, chances, _ = sessions(world, given.truth // given.logs, rng)
        earned.append(float(served(world, people, pins, chances["new"], rng)[1].mean()))
        people, pins, chances, true = sessions(world, given.sessions, rng)
        drawn, reward = served(world, people, pins, chances["log"], rng)
        of_log.append(float(reward.mean()))
        rows = np.arange(len(drawn))
        model = 0.05 + 0.3 * (true + 0.3 * rng.normal(size=true.shape))  # a model that is off
        logged = Logged(
            reward,
            chances["log"][rows, drawn],
            chances["new"][rows, drawn],
            guess=model[rows, drawn],
            expected=(chances["new"] * model).sum(1),
        )
        try:
            for method, intervals in found.items():
                value = value_of(logged, method)
                intervals.append((value.low, value.high))
        except UsageError:
            refused += 1
    truth = float(np.mean(earned))
    told = {}
    for method, intervals in found.items():
        low, high = np.array(intervals).reshape(-1, 2).T
        told[method] = {
            "coverage": float(((low <= truth) & (high >= truth)).mean()),
            "width": float((high - low).mean()),
        }
    said = {
        "truth": truth,
        "log": float(np.mean(of_log)),
        "logs": given.logs,
        "refused": refused,
        "methods": told,
    }
    print(json.dumps({"simulated": True, **said}))


if __name__ == "__main__":
    main()
