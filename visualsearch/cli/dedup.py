"""`visualsearch dedup`: find copies."""

from __future__ import annotations

from typing import Annotated

import typer

from .common import AsJson, Folder, emit, note, open_index


def dedup(
    folder: Folder,
    similar: Annotated[
        float, typer.Option(help="Pairs with at least this cosine count as similar.", min=0.0, max=1.0)
    ] = 0.97,
    as_json: AsJson = False,
) -> None:
    """Find groups of exact copies, near copies (the same picture saved anew) and merely similar pictures.

    Nothing is removed; the first id of a group is its oldest pin.

    Example: `visualsearch dedup pins.index --similar 0.95`
    """
    from ..dedup import find

    with open_index(folder) as opened:
        groups = find(opened, similar)
    if as_json:
        emit(
            [
                {
                    "likeness": g.likeness.value,
                    "ids": list(g.ids),
                    "uris": list(g.uris),
                    "score": round(g.score, 4),
                }
                for g in groups
            ]
        )
    else:
        for g in groups:
            print(f"{g.likeness.value}\t{g.score:.3f}\t{'  '.join(g.ids)}")
    note(f"{len(groups):,} groups")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(dedup)
