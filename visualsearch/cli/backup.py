"""`visualsearch backup` and `visualsearch restore`: copy a living index as one state, and make an index of the copy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from visualsearch.backup import Backup, back_up, check
from visualsearch.backup import restore as restored

from .common import AsJson, Folder, emit, note


def backup(
    folder: Folder,
    to: Annotated[
        Path | None, typer.Option("--to", help="A new folder for the copy.", show_default=False)
    ] = None,
    check_only: Annotated[
        bool, typer.Option("--check", help="DIR is a backup: hold each of its files against its sum.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Copy an index while others search, change it and save. Exit code 1 when `--check` finds damage.

    The copy is one state: pins, vectors, kept pictures, keys and people. It appears whole or not at all.

    Who is forgotten later leaves the copy too, while it stays in its place. A record in PostgreSQL is not copied: use `pg_dump`.

    Example: `visualsearch backup pins.index --to monday.backup`
    """
    if check_only == (to is not None):
        raise typer.BadParameter("name a new place: --to PLACE, or hold a backup against its sums: --check")
    if to is not None:
        made = back_up(folder, to)
        _tell(made, f"{folder} -> {to}", as_json)
        return
    wrong = check(folder)
    if as_json:
        emit({"ok": not wrong, "problems": wrong})
    for each in wrong:
        note(each)
    if wrong:
        raise typer.Exit(1)
    note(f"{folder}: every file is as it was")


def restore(
    folder: Annotated[Path, typer.Argument(metavar="BACKUP", help="The backup.", show_default=False)],
    to: Annotated[Path, typer.Option("--to", help="A new folder for the index.", show_default=False)],
    after: Annotated[
        Path | None,
        typer.Option(
            "--after",
            help="The index as it is today: who was forgotten since is left out, and spent privacy budgets stay spent.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make an index of a backup. Every byte is held against its sum first.

    A backup that was moved away still holds people who were forgotten since. `--after` takes them out.

    Without `--after` the privacy budgets of all months up to this one are closed: what was told since the backup is not known.

    Example: `visualsearch restore monday.backup --to pins.index`
    """
    made = restored(folder, to, after)
    _tell(made, f"{folder} -> {to}", as_json)
    if made.people is not None and after is None:
        note(
            "privacy budgets up to this month are closed; visualsearch insight budget DIR --from INDEX opens them"
        )


def _tell(made: Backup, what: str, as_json: bool) -> None:
    people = "no people" if made.people is None else f"{made.people:,} people"
    if as_json:
        emit(
            {
                "place": str(made.place),
                "made": made.made,
                "state": made.state,
                "pins": made.pins,
                "people": made.people,
                "files": made.files,
                "bytes": made.bytes,
            }
        )
    note(
        f"{what}: {made.pins:,} pins and {people} as of {made.made}, {made.files:,} files, {made.bytes:,} bytes"
    )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(backup)
    app.command()(restore)
