"""`visualsearch bench insight`: whether figures about people are private, true and useful."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .common import AsJson, emit, note


def insight(
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="PART", help="privacy, ledger, lift, trends or timing; may be repeated."
        ),
    ] = None,
    runs: Annotated[int, typer.Option("--runs", help="Simulated worlds for trends.", min=1)] = 3,
    people: Annotated[int, typer.Option("--people", help="People in each of them.", min=100)] = 10_000,
    seed: Annotated[int, typer.Option("--seed", help="Where the random numbers start.", min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure insight on simulated people: errors of noisy figures, attacks, the ledger, trends, lift and timing.

    Needs the extra `insight`. All parts take about half an hour; trends and timing take most of it.

    Example: `visualsearch bench insight --only privacy --only lift`
    """
    from visualsearch.errors import UnknownNameError
    from visualsearch.quality import INSIGHT, measure_insight

    for name in only or ():
        if name not in INSIGHT:  # before an hour has gone by
            raise UnknownNameError("part", name, INSIGHT)
    found: dict[str, Any] = {"simulated": True}
    for name in only or INSIGHT:
        found[name] = measure_insight(name, runs=runs, people=people, seed=seed, say=note)
    if as_json:
        emit(found)
        return
    for name, figures in found.items():
        for label, value in figures.items() if isinstance(figures, dict) else ():
            said = f"{value:.4f}" if isinstance(value, float) else str(value)
            print(f"{name} {label:24} {said}")
