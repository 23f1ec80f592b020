"""`visualsearch related`: pins that people saved together with one, or with several."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import AsJson, Folder, emit, ids_of, note, open_index, plain, show_hits
from .people import Address

if TYPE_CHECKING:
    from visualsearch.types import Hits


def related(
    folder: Folder,
    pins: Annotated[
        list[str], typer.Argument(metavar="PIN...", help="A pin's id, or several.", show_default=False)
    ],
    k: Annotated[int, typer.Option("-k", "--k", help="How many results.", min=1)] = 20,
    weight: Annotated[
        list[float] | None,
        typer.Option(help="How much each pin counts; give one for each pin, in their order."),
    ] = None,
    diversity: Annotated[
        float,
        typer.Option(
            "--diversity", "--diversify", help="0: the best; towards 1: the most varied.", min=0, max=1
        ),
    ] = 0.0,
    why: Annotated[bool, typer.Option("--why", help="Say below each result why it is there.")] = False,
    seed: Annotated[int, typer.Option(help="The same saves and seed give the same answer.", min=0)] = 0,
    address: Address = None,
    as_json: AsJson = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the results as a web page, with reasons.")
    ] = None,
) -> None:
    """Pins that people saved together with a pin, blended with what looks alike.

    A pin that nobody saved is answered through its look-alikes; an index without people, by sight alone.

    Example: `visualsearch related pins.index oak-stool -k 12 --why`
    """
    with open_index(folder, people=address) as index:
        names = ids_of(pins)
        hits = index.related(names, k, weights=weight or None, seed=seed, diversity=diversity)
        places = {} if html is None else index.uris(names)
    for line in hits.notes:
        note(plain(line))
    if html is not None:
        _page(html, names, weight, hits, places)
        note(f"results: {html.resolve()}")
    if as_json:
        emit(
            {
                "hits": [{**hit.to_dict(), "signals": dict(hit.signals)} for hit in hits],
                "total": hits.total,
                "plan": hits.plan,
                "seconds": round(hits.seconds, 4),
                "notes": list(hits.notes),
            }
        )
    elif html is None and why:
        for hit in hits:
            print(f"{hit.score:.3f}  {plain(hit.id)}")
            print(f"       {plain(hit.why.sentence) if hit.why else ''}")
    elif html is None:
        show_hits(hits)


def _page(
    path: Path, names: list[str], weights: list[float] | None, hits: Hits, places: dict[str, str]
) -> None:
    from visualsearch.pages import Section, command_line, write_page
    from visualsearch.types import Part

    command = command_line(["visualsearch", *sys.argv[1:]])
    parts = tuple(
        Part(weight, like=name) for name, weight in zip(names, weights or [1.0] * len(names), strict=True)
    )
    section = Section("Related pins", " ".join(hits.notes), command, parts, None, hits, places)
    write_page(path, [section], title="visualsearch")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(related)
