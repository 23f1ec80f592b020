"""`visualsearch remove`: take pins out of an index."""

from __future__ import annotations

from typing import Annotated

import typer

from .common import AsJson, Folder, emit, ids_of, note, open_index


def remove(
    folder: Folder,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of the pins.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Remove pins from an index. They are gone from searches at once; `compact` frees their space.

    They stay out when their source is indexed again, until `index --include ID` lets them back in.

    Example: `visualsearch remove pins.index shoe-17 shoe-18`
    """
    with open_index(folder) as opened:
        missing = opened.remove(ids := ids_of(ids))
        left = len(opened)
    removed = len(dict.fromkeys(ids)) - len(missing)
    for name in missing:
        note(f"not in the index: {name}")
    if as_json:
        emit({"removed": removed, "missing": missing, "pins": left})
    else:
        note(f"{removed:,} removed, {left:,} pins left")
    if missing:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(remove)
