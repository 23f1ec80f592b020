"""`visualsearch info`: what an index holds."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from .common import AsJson, Folder, emit, note, open_index, plain


def info(
    folder: Folder,
    failures: Annotated[
        bool, typer.Option("--failures", help="List the pictures that could not be indexed, with reasons.")
    ] = False,
    excluded: Annotated[
        bool, typer.Option("--excluded", help="List the pins that were removed and stay out.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what an index holds, and its recall measured now against exact search.

    Example: `visualsearch info pins.index --failures`
    """
    from visualsearch.world import read_manifest

    with open_index(folder) as opened:
        values = opened.info()
        simulated = read_manifest(opened.folder)
        failed = opened.failures() if failures else []
        removed = opened.excluded() if excluded else []
    if simulated is not None:
        values["simulated"] = simulated["notice"]
    if as_json:
        if failures:
            values["failed"] = [
                {"uri": f.uri, "id": f.id, "reason": f.reason, "remedy": f.remedy} for f in failed
            ]
        if excluded:
            values["removed"] = [{"id": e.id, "uri": e.uri, "source": e.source} for e in removed]
        emit(values)
        return
    if excluded:
        for each in removed:
            print(f"{plain(each.id)}\t{plain(each.uri)}")
        note(f"{len(removed):,} removed pins stay out; `index --include ID` lets one back in")
        return
    if failures:
        for failure in failed:
            print(f"{failure.uri}\t{failure.reason}\t{failure.remedy}")
        note(f"{len(failed):,} pictures could not be indexed")
        return
    values["created"] = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(values["created"]))
    for name, value in values.items():
        shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value
        print(f"{name.replace('_', ' '):<14} {', '.join(shown) if isinstance(shown, list) else shown}")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(info)
