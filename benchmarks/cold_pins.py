"""Pins that nobody saved: how well a board's ideas find them, in a simulated world over real pictures.

python benchmarks/cold_pins.py [--index DIR] [--people 300] [--days 3] [--seeds 3] [--smoke] [--to DIR]

The index (without DIR: the sample pins) is copied and stays as it is. A tenth of its pins become cold: all their saves are taken
out of the record. Of the other pins of each board a tenth are set aside too: they are warm, since other boards hold them. Then
the graph and the weights are learnt from what is left, and each board that lost pins is asked for ideas among all pins.
`recall` is the mean over boards of the lost pins among the first 10, divided by how many could be there. `popular` are the
pins of most boards; it is told the saves of cold pins too (`told`), since without them it finds none. `sight`: by looks alone.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import report
from feed import copied, samples_index

import visualsearch as vs
from visualsearch.recommend import BUILDERS, ideas, learn
from visualsearch.world import WorldSettings, simulate

TOP = 10
SMALLEST = 5
SHARE = 0.1
Lost = dict[str, dict[str, set[str]]]
"""Board -> `cold` and `warm` -> the pins that it lost."""


def world(source: Path, place: Path, people: int, days: int, seed: int) -> Path:
    """A copy of the index with a simulated record."""
    folder = copied(source, place)
    with vs.open(folder) as index:
        simulate(index, WorldSettings(people, days, seed, sessions_per_day=1.0))
    return folder


def taken_out(index: vs.Index, seed: int) -> tuple[Lost, Counter[str], set[str]]:
    """Take the saves out; what each board lost, and on how many boards each pin was before, and the cold pins."""
    material = index.people.material()
    pins = sorted(material.pins)
    rng = np.random.default_rng(seed)
    cold = set(rng.choice(pins, int(SHARE * len(pins)), replace=False).tolist())
    held: dict[str, list[str]] = {}
    for board, pin in zip(material.board.tolist(), material.pin.tolist(), strict=True):
        held.setdefault(material.boards[board], []).append(material.pins[pin])
    counts = Counter(pin for each in held.values() for pin in each)
    lost: Lost = {}
    for board, each in sorted(held.items()):
        gone = {pin for pin in each if pin in cold}
        warm = sorted(pin for pin in each if pin not in cold and counts[pin] > 1)
        some = {pin for pin in warm if rng.random() < SHARE}
        owner = index.people.board(board).owner
        for pin in gone | (some if len(each) >= SMALLEST else set()):
            index.people.unsave(owner, pin, board=board)
        if len(each) >= SMALLEST and len(each) > len(gone | some) + 1:
            lost[board] = {"cold": gone, "warm": some}
    return lost, counts, cold


def recall(found: Sequence[str], wanted: set[str]) -> float:
    """The share of the wanted ones among the first TOP, of how many could be there."""
    return len(wanted & set(found[:TOP])) / min(TOP, len(wanted))


def measured(source: Path, people: int, days: int, seed: int) -> dict[str, dict[str, float]]:
    """Recall of each kind of pin by each way, and how many boards it is the mean of."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = world(source, Path(scratch) / "world", people, days, seed)
        with vs.open(folder) as index:
            lost, counts, cold = taken_out(index, seed)
            learn(index, BUILDERS)
            ordered = [pin for pin, _ in counts.most_common()]
            values: dict[str, dict[str, list[float]]] = {
                way: {"cold": [], "warm": []} for way in ("ideas", "sight", "popular, told", "popular")
            }
            for board, gone in lost.items():
                if not (gone["cold"] or gone["warm"]):
                    continue
                own = {save.pin for save in index.people.pins_of(board, k=10_000)}
                told = [pin for pin in ordered if pin not in own][:TOP]
                found = {
                    "ideas": index.ideas(board, TOP).ids,
                    "sight": ideas(index, board, TOP, sight=1.0).ids,
                    "popular, told": told,
                    "popular": [pin for pin in ordered if pin not in own and pin not in cold][:TOP],
                }
                for way, ids in found.items():
                    for kind, wanted in gone.items():
                        if wanted:
                            values[way][kind].append(recall(ids, wanted))
    return {
        way: {
            f"{kind}_{what}": value
            for kind, each in kinds.items()
            for what, value in (("recall", float(np.mean(each)) if each else 0.0), ("boards", len(each)))
        }
        for way, kinds in values.items()
    }


def main() -> None:
    """Measure, print, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--index", type=Path)
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--to", type=Path)
    options = parser.parse_args()
    if options.smoke:
        options.people, options.days, options.seeds = 20, 1, 1
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        source = options.index or samples_index(Path(scratch) / "samples.index")
        for seed in range(options.seeds):
            found.append(measured(source, options.people, options.days, seed))
            print(seed, found[-1], flush=True)
    rows: list[dict[str, Any]] = [
        {"name": way, **{key: float(np.mean([each[way][key] for each in found])) for key in found[0][way]}}
        for way in found[0]
    ]
    ours, told = rows[0], next(row for row in rows if row["name"] == "popular, told")
    reach = {
        "cold over popular (reach 5)": ours["cold_recall"] / max(told["cold_recall"], 1e-9),
        "cold over warm (reach 0.5)": ours["cold_recall"] / max(ours["warm_recall"], 1e-9),
    }
    report("cold_pins", {"rows": rows, "reach": reach, "goals": []}, options.to)


if __name__ == "__main__":
    main()
