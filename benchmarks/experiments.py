"""How many sessions tell two rankers apart: by interleaving, and by an A/B test. All people are simulated.

    python -m benchmarks.experiments --seeds 10

Both look after every step of sessions, with intervals that may be looked at always. The better ranker sorts by a less noisy
estimate of the true relevance. An A/B test that never tells counts as all sessions that there were: its figure is a lower bound.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

from visualsearch.experiments import Sample, compare, preference, team_draft
from visualsearch.types import Record
from visualsearch.world import Pins, World

K = 10
CANDIDATES = 40
STEP = 25


def ranked(world: World, people: Any, pins: Any, noise: float, rng: np.random.Generator) -> Any:
    """(m, c) candidates of each list in the order of a ranker that knows the relevance up to noise."""
    m, width = pins.shape
    true = world.relevance(np.repeat(people, width), pins.reshape(-1)).reshape(m, width)
    order = np.argsort(-(true + noise * rng.normal(size=(m, width))), axis=1)
    return np.take_along_axis(pins, order, 1)


def measured(world: World, sessions: int, noises: tuple[float, float], seed: int) -> dict[str, int]:
    """Sessions after which each method names the better ranker, at most `sessions`."""
    rng = np.random.default_rng(seed)
    people = rng.integers(0, len(world.persons), sessions).astype(np.int32)
    pins = np.stack([rng.choice(len(world.pins), CANDIDATES, replace=False) for _ in range(sessions)])
    lists = [ranked(world, people, pins, noise, rng) for noise in noises]
    times = world.clock + 1000 * np.arange(sessions)
    drafts = [team_draft(a.tolist(), b.tolist(), K, rng) for a, b in zip(*lists, strict=True)]
    mixed = np.array([draft.pins for draft in drafts], np.int32)
    found = world.respond_many(world.lists(people, mixed, times)).reactions
    hits = found.clicked | found.saved
    credits = [
        draft.credit(np.array(draft.pins)[hit].tolist()) for draft, hit in zip(drafts, hits, strict=True)
    ]
    treated = rng.random(sessions) < 0.5
    shown = np.where(treated[:, None], lists[1][:, :K], lists[0][:, :K]).astype(np.int32)
    seen = world.respond_many(world.lists(people, shown, times)).reactions
    value = (seen.clicked | seen.saved).sum(1).astype(np.float64)
    out = {"interleaving": sessions, "ab": sessions}
    for at in range(STEP, sessions + 1, STEP):
        if out["interleaving"] == sessions and preference(credits[:at]).winner == 1:
            out["interleaving"] = at
        if out["ab"] == sessions:
            sides = [Sample(value[:at][treated[:at] == side]) for side in (False, True)]
            if compare(sides[0], sides[1], share=at / sessions).wins:
                out["ab"] = at
    return out


def make_pins(size: int, seed: int) -> Pins:
    """Pins in clusters, without pictures."""
    import tempfile
    from pathlib import Path

    import visualsearch as vs
    from visualsearch.world import read_pins

    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(12, 512))
    records = []
    for number in range(size):
        vector = (centres[number % 12] + 0.45 * rng.normal(size=512)).astype(np.float32)
        name = f"pin/{number:05d}"
        vector /= np.linalg.norm(vector)
        records.append(Record(name, f"file:///{name}.jpg", bytes, named=True, vector=vector))
    with tempfile.TemporaryDirectory() as folder, vs.create(Path(folder) / "pins.index") as index:
        index.add(records)
        return read_pins(index)


def main() -> None:
    """Measure, and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--people", type=int, default=2_000)
    parser.add_argument("--noise", type=float, nargs=2, default=(0.35, 0.25))
    given = parser.parse_args()
    pins = make_pins(600, 3)
    runs = []
    for seed in range(given.seeds):
        world = World.make(pins, people=given.people, seed=seed)
        runs.append(measured(world, given.sessions, tuple(given.noise), seed))
    middle = {name: float(np.median([run[name] for run in runs])) for name in ("interleaving", "ab")}
    told = sum(run["ab"] < given.sessions for run in runs)
    ratio = middle["ab"] / middle["interleaving"]
    print(json.dumps({"simulated": True, "runs": runs, "median": middle, "ab_told": told, "ratio": ratio}))


if __name__ == "__main__":
    main()
