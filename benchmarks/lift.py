"""What the learnt order of a feed adds: the same later visits of a simulated world, served by the plain and by the learnt feed.

    python -m benchmarks.lift --seeds 10

For each seed a world's people act for some days, and a ranker is learnt from their events, or refused. Then the visits of the
next day are served twice. The luck of a person with a pin at a time is the same for both, so that small differences show. The
interval draws whole people. Saves are counted for each 100 slots that were looked at.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import visualsearch as vs
from visualsearch.learn import teach
from visualsearch.recommend import feed, write_learnt
from visualsearch.types import Record
from visualsearch.world import World, WorldSettings, simulate

K = 12
SURFACES = ("feed", "search", "related", "board")
DRAWS = 2_000


def records(each: int, kinds: int, dim: int = 512) -> list[Record]:
    """Pins in clusters, without pictures."""
    rng = np.random.default_rng(3)
    found = []
    for kind in range(kinds):
        centre = rng.normal(size=dim)
        for number in range(each):
            vector = (centre + 0.45 * rng.normal(size=dim)).astype(np.float32)
            name = f"pin/{kind:02d}/{number:03d}"
            vector /= np.linalg.norm(vector)
            found.append(Record(name, f"file:///{name}.jpg", bytes, named=True, vector=vector))
    return found


def measured(folder: Path, seed: int, given: Any) -> dict[str, Any]:
    """One world: saves per 100 impressions of both feeds, and the lift with a 95 % interval."""
    with vs.create(folder / "pins.index") as index:
        index.add(records(given.each, 12))
        chosen = WorldSettings(
            people=given.people, days=given.days, seed=seed, sessions_per_day=1.5, consent=(0.0, 0.0)
        )
        simulate(index, chosen)
        lesson = teach(index, seed=seed)
        if lesson.taught is None:
            return {"seed": seed, "refused": lesson.why}
        write_learnt(index.folder, [lesson.taught.part("", {})], watermark=0, seed=seed)
        world = World.of(index)
        index.people.now = lambda: world.clock
        visits = world.visits()
        which = np.flatnonzero(visits.surface == SURFACES.index("feed"))[: given.visits]
        place = {name: at for at, name in enumerate(world.pins)}
        saves, looks = {}, {}
        for learnt in (False, True):
            again = World.of(index)
            lists = np.full((len(which), K), -1, np.int32)
            for row, at in enumerate(which.tolist()):
                hits = feed(index, world.persons[int(visits.person[at])], K, learnt=learnt)
                lists[row, : len(hits)] = [place[name] for name in hits.ids]
            seen = again.respond_many(again.lists(visits.person[which], lists, visits.at[which])).reactions
            saves[learnt] = seen.saved.sum(1).astype(np.float64)
            looks[learnt] = seen.examined.sum(1).astype(np.float64)
    return {"seed": seed, "visits": len(which), **judged(visits.person[which], saves, looks, seed)}


def judged(person: Any, saves: Any, looks: Any, seed: int) -> dict[str, float]:
    """Both figures, the lift, and its interval over draws of whole people."""
    who = np.unique(person, return_inverse=True)[1].reshape(-1)
    sums = [np.bincount(who, each[learnt]) for each in (saves, looks) for learnt in (False, True)]
    drawn = np.random.default_rng(seed).integers(0, who.max() + 1, (DRAWS, who.max() + 1))
    plain_saves, learnt_saves, plain_looks, learnt_looks = (each[drawn].sum(1) for each in sums)
    lifts = (learnt_saves / learnt_looks) / np.maximum(plain_saves / plain_looks, 1e-9) - 1
    plain, learnt = (100 * sums[at].sum() / sums[at + 2].sum() for at in (0, 1))
    low, high = np.quantile(lifts, (0.025, 0.975))
    return {
        "plain": plain,
        "learnt": learnt,
        "lift": learnt / plain - 1,
        "low": float(low),
        "high": float(high),
    }


def main() -> None:
    """Measure, and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--days", type=int, default=8)
    parser.add_argument("--each", type=int, default=50)
    parser.add_argument("--visits", type=int, default=400)
    given = parser.parse_args()
    runs = []
    for seed in range(given.first, given.first + given.seeds):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(measured(Path(folder), seed, given))
            print(json.dumps(runs[-1]), flush=True)
    lifts = [run["lift"] for run in runs if "lift" in run]
    wins = sum(run.get("low", -1) > 0 for run in runs)
    print(
        json.dumps(
            {
                "simulated": True,
                "mean_lift": float(np.mean(lifts)) if lifts else None,
                "wins": wins,
                "runs": len(runs),
            }
        )
    )


if __name__ == "__main__":
    main()
