"""`visualsearch learn`: build what people's saves teach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import AsJson, Folder, emit, note, open_index
from .people import Address

if TYPE_CHECKING:
    from visualsearch.engine import Index


def learn(
    folder: Folder,
    only: Annotated[
        str, typer.Option("--only", metavar="NAME,...", help="Look at these parts alone; the others stay.")
    ] = "",
    again: Annotated[bool, typer.Option("--again", help="Build also what did not change.")] = False,
    seed: Annotated[int, typer.Option(help="The same saves and seed give the same bytes.", min=0)] = 0,
    ranker: Annotated[
        bool | None,
        typer.Option(
            "--ranker/--no-ranker",
            help="Order feeds, searches of a person and related pins as clicks taught, where that wins on held-out lists.",
        ),
    ] = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Learn from people's saves what related pins and ideas need, and print what changed with its held-out figures.

    Only saves on public boards are learnt from, of people whose consent is on. What is learnt lies in DIR/learnt: deleting it
    loses nothing. --ranker learns from events too, and needs the extra `learn`; once on, each run keeps it up to date.

    Example: `visualsearch learn pins.index`. With a ranker from clicks: `visualsearch learn pins.index --ranker`
    """
    from visualsearch.recommend import BUILDERS
    from visualsearch.recommend import learn as run

    names = [name.strip() for name in only.split(",") if name.strip()]
    with open_index(folder, people=address) as index:
        builders = dict(BUILDERS)
        if _wanted(index, ranker):
            from visualsearch.learn import ranker_builders

            builders |= ranker_builders(index.people)
        report = run(index, builders, only=names, seed=seed, again=again, say=note)
    if as_json:
        emit(asdict(report))
        return
    for outcome in report.outcomes:
        time = f" in {outcome.seconds:,.1f} s" if outcome.state == "built" else ""
        print(f"{outcome.part}: {_STATES[outcome.state]}{time}")
        for name, value in outcome.figures.items():
            print(f"  {name}: {_figure(value)}{_before(outcome.before, name, value)}")
    note(
        f"{report.saves:,} saves of {report.pins:,} pins to {report.boards:,} boards by {report.persons:,} people,"
        f" {report.follows:,} follows; {report.seconds:,.1f} s"
    )


def _wanted(index: Index, ranker: bool | None) -> bool:
    """Whether the owner wants the ranker: as they say now, else as it was switched on before."""
    from visualsearch.recommend import TAUGHT_PARTS, open_learnt

    if ranker is not None:
        return ranker
    learnt = open_learnt(index.folder)
    return learnt is not None and any(part in learnt for part in TAUGHT_PARTS.values())


_STATES = {"built": "built", "kept": "nothing changed", "nothing": "too little to learn from"}


def _before(before: Mapping[str, Any] | None, name: str, value: Any) -> str:
    """What the figure was, where it has changed."""
    return f" (was {_figure(before[name])})" if before and name in before and before[name] != value else ""


def _figure(value: Any) -> str:
    return (
        f"{value:.4f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(learn)
