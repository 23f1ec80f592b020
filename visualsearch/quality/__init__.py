"""How good an encoder is, measured on pictures that anyone can obtain.

`measure` runs tasks of `TASKS` with any encoder. What a task needs and is not there is told with the commands that
fetch it (`DATASETS`); nothing is downloaded, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visualsearch.encoders import BaseEncoder
from visualsearch.errors import UnknownNameError, UsageError
from visualsearch.ranking import Head

from .bench import Bench, Row, State, Task
from .clicks import Ranked, measure_ranking, ndcg, read_labelled, simulated
from .data import DATASETS, Data, Dataset
from .look import measure_look
from .look_bench import LookBench
from .recommend import Measured, follows_file
from .recommend import measure as measure_recommend
from .recommend_peers import PEERS
from .tasks import TASKS

INSIGHT = ("privacy", "ledger", "lift", "trends", "timing")
"""What `measure_insight` measures."""

__all__ = [
    "DATASETS",
    "INSIGHT",
    "PEERS",
    "TASKS",
    "Data",
    "Dataset",
    "LookBench",
    "Measured",
    "Ranked",
    "Report",
    "Row",
    "State",
    "Task",
    "choose",
    "follows_file",
    "measure",
    "measure_insight",
    "measure_look",
    "measure_ranking",
    "measure_recommend",
    "ndcg",
    "read_labelled",
    "simulated",
]


@dataclass(frozen=True)
class Report:
    """Rows in the order of TASKS, and the sets that some task missed."""

    rows: tuple[Row, ...]
    missing: tuple[Dataset, ...]


def choose(names: Sequence[str]) -> list[Task]:
    """The tasks of these names or groups ("emoji" means each emoji task), in the order of TASKS; [] means all.

    Raises UnknownNameError.
    """
    known = {*TASKS, *(task.group for task in TASKS.values())}
    for name in names:
        if name not in known:
            groups = dict.fromkeys(task.group for task in TASKS.values())
            raise UnknownNameError("task", name, known, f"Groups of tasks: {', '.join(groups)}")
    return [task for task in TASKS.values() if not names or task.name in names or task.group in names]


def measure(
    encoder: BaseEncoder,
    folder: Path | None = None,
    *,
    tasks: Sequence[str] = (),
    limit: int | None = None,
    head: Head | None = None,
    on_task: Callable[[Task], None] = lambda _: None,
) -> Report:
    """Run the tasks with the encoder on the sets below `folder` (see `visualsearch.quality.data`).

    A task whose data is not there gives a row that says so, unless it was asked for by name: then UsageError, before
    anything is measured. A task that needs words gives a row that says so where the encoder has no text tower.
    `limit` thins every set to that many items, for a quick look; figures with a limit compare with nothing else.
    `head` is the learnt map of an adapted index.
    """
    if folder is not None and not folder.is_dir():
        raise UsageError(
            f"{folder} is no folder",
            "the picture sets are looked for below it",
            "Make it, or give another --data",
        )
    data = Data(folder)
    chosen = choose(tasks)
    gaps = {task.name: task.missing(data) for task in chosen}
    if tasks and any(gaps.values()):
        raise _no_data(gaps, folder)
    bench = Bench(encoder, data, limit, head)
    rows: list[Row] = []
    for task in chosen:
        if gaps[task.name]:
            rows.append(
                Row(task.name, task.measures, note=f"needs {', '.join(gaps[task.name])}", state=State.NO_DATA)
            )
        elif task.text and not encoder.spec.text:
            rows.append(Row(task.name, task.measures, state=State.NO_TEXT))
        else:
            on_task(task)
            rows += task.run(bench)
    names = {name for gap in gaps.values() for name in gap}
    return Report(tuple(rows), tuple(dataset for dataset in DATASETS.values() if dataset.name in names))


def measure_insight(
    part: str,
    *,
    runs: int = 3,
    people: int = 10_000,
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure a part of insight on simulated people; `runs` and `people` are those of trends. Raises UnknownNameError."""
    from . import insight  # it loads what keeps records

    if part not in INSIGHT:
        raise UnknownNameError("part", part, INSIGHT)
    measures: dict[str, Callable[[], dict[str, Any]]] = {
        "privacy": lambda: insight.measure_privacy(seed, say),
        "ledger": lambda: insight.measure_own_ledger(seed=seed),
        "lift": lambda: insight.measure_lift(seed=seed),
        "trends": lambda: insight.measure_trends(runs, people, seed=seed, say=say),
        "timing": lambda: insight.measure_timing(seed=seed),
    }
    return measures[part]()


def _no_data(gaps: dict[str, tuple[str, ...]], folder: Path | None) -> UsageError:
    tasks = ", ".join(name for name, gap in gaps.items() if gap)
    names = dict.fromkeys(name for gap in gaps.values() for name in gap)
    commands = "\n".join(f"  {command}" for name in names for command in DATASETS[name].how(folder))
    remedy = f"Run:\n{commands}\nand give the folder that holds it with --data"
    return UsageError(f"the data of {tasks} is not there", f"missing: {', '.join(names)}", remedy)
