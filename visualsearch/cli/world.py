"""`visualsearch world`: simulate people over an index's pins, with the truth beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import AsJson, Folder, emit, note, open_index


def world(
    folder: Folder,
    people: Annotated[
        int | None,
        typer.Option("--people", metavar="N", help="How many people to simulate.", show_default=False),
    ] = None,
    days: Annotated[int, typer.Option("--days", metavar="D", help="For how many days.")] = 30,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same people and deeds.")] = 0,
    start: Annotated[
        str, typer.Option("--start", metavar="DATE", help="The first day, in UTC.")
    ] = "2026-06-01",
    saves_per_person: Annotated[
        float,
        typer.Option("--saves-per-person", help="Mean number of saves that people bring along from before."),
    ] = 20.0,
    sessions_per_day: Annotated[
        float,
        typer.Option("--sessions-per-day", help="Mean number of visits a day; most people have far fewer."),
    ] = 0.25,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", metavar="FOLDER", help="Write files for `people import` instead of the index's record."
        ),
    ] = None,
    record: Annotated[
        str | None,
        typer.Option("--record", metavar="ADDRESS", help="postgresql://... instead of the index's own file."),
    ] = None,
    into_real: Annotated[
        bool, typer.Option("--into-real", help="Write into a record that holds real people too.")
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take the simulated people out again, and the truth.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Simulate people who look, click, save, follow and buy over this index's pins. Nobody of them exists.

    What they did goes into the record as real deeds do; who they are and what moved them is in `world.truth`. Stopped, the same
    command goes on. The keys of simulated people begin with `sim-`.

    Example: `visualsearch world pins.index --people 1000 --days 30 --seed 7`
    """
    from visualsearch.errors import UsageError
    from visualsearch.world import NOTICE, WorldSettings, remove_world, simulate

    if remove:
        if to is not None or people is not None:
            raise UsageError(
                "cannot remove and simulate at once", "--remove stands alone", "Run the one, then the other"
            )
        with open_index(folder) as index:
            removed = remove_world(index, address=record)
        if as_json:
            emit(removed)
        else:
            note(
                "removed: " + (", ".join(f"{n:,} {name}" for name, n in removed.items()) or "the truth only")
            )
        return
    if people is None:
        raise UsageError("how many people?", "--people is missing", "Write --people 1000")
    settings = WorldSettings(
        people, days, seed, start, saves_per_person=saves_per_person, sessions_per_day=sessions_per_day
    )
    with open_index(folder) as index:
        report = simulate(index, settings, to=to, address=record, into_real=into_real, say=note)
    if as_json:
        emit(report.to_dict())
        return
    shown = ", ".join(f"{n:,} {name}" for name, n in report.counts.items() if n)
    note(
        f"{report.people:,} people, {report.first_day} to {report.last_day}, in {report.seconds:.1f} s: {shown}"
    )
    note(f"the truth: {report.truth}")
    note(NOTICE)
    print(report.place)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(world)
