"""`visualsearch feed`: a page of pins for a person."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import AsJson, Folder, emit, note, open_index, plain, show_hits
from .people import Address

if TYPE_CHECKING:
    from visualsearch.types import Hits


def feed(
    folder: Folder,
    person: Annotated[
        str | None,
        typer.Argument(
            metavar="PERSON",
            help="The key of a person; without it, the feed that everybody gets.",
            show_default=False,
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", "--k", help="How many results.", min=1)] = 25,
    cursor: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="The cursor of the page before: twenty pages repeat nothing."),
    ] = None,
    why: Annotated[bool, typer.Option("--why", help="Say below each result why it is there.")] = False,
    less: Annotated[
        str | None,
        typer.Option(
            metavar="PIN",
            help="First hide this pin of the page, and undo the evidence by which it was shown.",
        ),
    ] = None,
    address: Address = None,
    as_json: AsJson = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the results as a web page, with reasons.")
    ] = None,
) -> None:
    """A page of pins for a person: their interests and follows, new pins, popular ones, and a few of anything.

    Somebody unknown, or whose consent is off, gets the feed that everybody gets. Pins of a sensitive topic never come.

    Example: `visualsearch feed pins.index ada -k 12 --why`
    """
    from visualsearch.errors import UnknownNameError, UsageError

    with open_index(folder, people=address) as index:
        hits = index.feed(person, k, cursor=cursor)
        if less is not None:
            if person is None:
                raise UsageError("less for whom?", "--less needs a person", "Name the person after DIR")
            named = next((hit for hit in hits if hit.id == less), None)
            if named is None:
                raise UnknownNameError("pin of this page", less[:80], hits.ids)
            index.less(person, named)
            hits = index.feed(person, k, cursor=cursor)
    for line in hits.notes:
        note(plain(line))
    if html is not None:
        _page(html, person, hits)
        note(f"results: {html.resolve()}")
    if as_json:
        emit(
            {
                "hits": [{**hit.to_dict(), "signals": dict(hit.signals)} for hit in hits],
                "total": hits.total,
                "plan": hits.plan,
                "seconds": round(hits.seconds, 4),
                "cursor": hits.cursor,
                "notes": list(hits.notes),
            }
        )
    elif html is None and why:
        for hit in hits:
            print(f"{hit.score:.3f}  {plain(hit.id)}")
            print(f"       {plain(hit.why.sentence) if hit.why else ''}")
    elif html is None:
        show_hits(hits)


def _page(path: Path, person: str | None, hits: Hits) -> None:
    from visualsearch.pages import Section, command_line, write_page

    command = command_line(["visualsearch", *sys.argv[1:]])
    title = "Feed" if person is None else f"Feed for {person}"
    section = Section(title, " ".join(hits.notes), command, (), None, hits, {})
    write_page(path, [section], title="visualsearch")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(feed)
