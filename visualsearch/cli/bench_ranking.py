"""`visualsearch bench ranking`: rankers learnt from simulated clicks, against naive learning and full labels."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from .common import AsJson, emit, note


def ranking(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Graded lists: rank.train and rank.test with .query beside them, as in LightGBM's examples/lambdarank.",
        ),
    ],
    clicks: Annotated[
        int, typer.Option("--clicks", help="Simulated clicks to learn from.", min=500)
    ] = 30_000,
    runs: Annotated[int, typer.Option("--runs", help="Simulations, each with its own seed.", min=1)] = 10,
    only: Annotated[
        str, typer.Option("--only", metavar="NAME,...", help="Only these: ours, naive, position.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Measure rankers that are learnt from clicks: ours, LightGBM's position argument, naive, and full labels.

    All clicks are simulated. NDCG@10 is measured on queries that nobody clicked. Needs the extra `learn`.

    Example: `visualsearch bench ranking examples/lambdarank --only ours,naive`
    """
    from visualsearch.learn import WAYS
    from visualsearch.quality import measure_ranking

    ways = [name.strip() for name in only.split(",") if name.strip()] or list(WAYS)
    found = measure_ranking(folder, clicks=clicks, seeds=runs, ways=ways, say=note)
    if as_json:
        emit({"simulated": True, **asdict(found)})
        return
    for way, values in found.ndcg.items():
        mean = sum(values) / len(values)
        closed = f"{found.closed[way]:+.0%} of the gap" if way in found.closed else ""
        print(f"{way:10} {mean:.4f}  {closed}".rstrip())
    print(f"{'full':10} {found.full:.4f}")
