"""`visualsearch verify`: check an index for damage."""

from __future__ import annotations

import typer

from .common import AsJson, Folder, emit, note, open_index


def verify(folder: Folder, as_json: AsJson = False) -> None:
    """Check the catalog, every vector and the approximate index against one another. Exit code 1 when something is wrong.

    Example: `visualsearch verify pins.index`
    """
    with open_index(folder) as opened:
        problems = opened.verify()
    if as_json:
        emit({"ok": not problems, "problems": [{"what": p.what, "remedy": p.remedy} for p in problems]})
    for problem in problems:
        note(f"{problem.what}. {problem.remedy}")
    if problems:
        raise typer.Exit(1)
    note(f"{folder}: no problem found")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(verify)
