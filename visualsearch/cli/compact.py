"""`visualsearch compact`: fold fresh and deleted rows into a new generation."""

from __future__ import annotations

import typer

from .common import AsJson, Folder, emit, note, open_index


def compact(folder: Folder, as_json: AsJson = False) -> None:
    """Free the space of removed pins and build the approximate index anew. Searches go on meanwhile.

    Example: `visualsearch compact pins.index`
    """
    with open_index(folder) as opened:
        before = opened.info()
        opened.compact()
        after = opened.info()
    if as_json:
        emit(
            {
                "disk_bytes_before": before["disk_bytes"],
                "disk_bytes_after": after["disk_bytes"],
                "rows": after["rows"],
            }
        )
    else:
        note(f"{after['rows']:,} rows, {before['disk_bytes']:,} -> {after['disk_bytes']:,} bytes on disk")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(compact)
