"""`visualsearch ideas`: what might go on a board."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import AsJson, Folder, emit, note, open_index, plain, show_hits
from .people import Address

if TYPE_CHECKING:
    from visualsearch.recommend import BoardHit
    from visualsearch.types import Hits


def ideas(
    folder: Folder,
    board: Annotated[
        str | None,
        typer.Argument(
            metavar="BOARD", help="A board's id, or with --person a title of theirs.", show_default=False
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", "--k", help="How many results.", min=1)] = 20,
    person: Annotated[
        str | None,
        typer.Option(
            "--person",
            metavar="PERSON",
            help="Who asks; without BOARD the ideas are for all that they saved.",
        ),
    ] = None,
    section: Annotated[
        str | None, typer.Option(metavar="TITLE", help="Ideas for this section of the board.")
    ] = None,
    where: Annotated[
        str | None, typer.Option(metavar="EXPR", help="Only pins whose attributes fit, as in `search`.")
    ] = None,
    diversity: Annotated[
        float,
        typer.Option(
            "--diversity", "--diversify", help="0: the best; towards 1: the most varied.", min=0, max=1
        ),
    ] = 0.0,
    boards: Annotated[
        bool, typer.Option("--boards", help="Instead: public boards like this one, or like all of theirs.")
    ] = False,
    why: Annotated[bool, typer.Option("--why", help="Say below each result why it is there.")] = False,
    address: Address = None,
    as_json: AsJson = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the results as a web page, with reasons.")
    ] = None,
) -> None:
    """Ideas for a board: what people saved with its pins, blended with what looks like them.

    Run `visualsearch learn` first; without it, ideas are by sight alone. What is on the board never comes back, nor what the
    person hid.

    Example: `visualsearch ideas pins.index Kitchen --person ada -k 12 --why`
    """
    with open_index(folder, people=address) as index:
        if boards:
            _show_boards(index.boards_like(board, k, person=person), as_json)
            return
        hits = index.ideas(board, k, person=person, section=section, where=where, diversity=diversity)
    for line in hits.notes:
        note(plain(line))
    if html is not None:
        _page(html, board or f"all that {person} saved", hits)
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


def _show_boards(found: list[BoardHit], as_json: bool) -> None:
    if as_json:
        emit(
            [
                {
                    "board": hit.board.id,
                    "title": hit.board.title,
                    "score": hit.score,
                    "why": hit.why.to_dict(),
                }
                for hit in found
            ]
        )
        return
    if not found:
        note("no public board is like it")
    for hit in found:
        print(f"{hit.score:.3f}  {plain(hit.board.id)}  {plain(hit.board.title)}")
        print(f"       {plain(hit.why.sentence)}")


def _page(path: Path, title: str, hits: Hits) -> None:
    from visualsearch.pages import Section, command_line, write_page

    command = command_line(["visualsearch", *sys.argv[1:]])
    section = Section(f"Ideas for {title}", " ".join(hits.notes), command, (), None, hits, {})
    write_page(path, [section], title="visualsearch")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(ideas)
