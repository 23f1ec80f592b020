"""`visualsearch look`: shop the look."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from visualsearch.types import MAX_PIXELS

from .common import (
    AsJson,
    Device,
    Folder,
    MaxPixels,
    Memory,
    Model,
    PrecisionOption,
    emit,
    ids_of,
    limit_pictures,
    note,
    open_index,
    plain,
    show_hits,
    stdin_bytes,
)

if TYPE_CHECKING:
    from visualsearch.look import Look


def look(
    folder: Folder,
    scene: Annotated[
        str | None,
        typer.Argument(
            metavar="SCENE", help="The picture: a file, a URL, or - for stdin.", show_default=False
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", "--k", help="How many results for each object.", min=1)] = 5,
    box: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X0,Y0,X1,Y1",
            help="Look at this part instead of finding objects: fractions, or pixels when any is above 1. May be repeated.",
        ),
    ] = None,
    most: Annotated[int, typer.Option(help="At most this many objects.", min=1)] = 8,
    finder: Annotated[
        str | None,
        typer.Option(help="What finds the objects: bundled, or torchvision:NAME.", show_default=False),
    ] = None,
    sure: Annotated[
        float | None,
        typer.Option(help="Leave out objects that the finder is less sure of (0 to 1).", min=0, max=1),
    ] = None,
    where: Annotated[
        str | None, typer.Option(metavar="EXPR", help="Only pins whose attributes fit, as in `search`.")
    ] = None,
    products: Annotated[
        bool, typer.Option("--products", help="Only products (see `visualsearch promote products`).")
    ] = False,
    min_score: Annotated[
        float | None, typer.Option(help="Leave out results below this cosine (-1 to 1).")
    ] = None,
    label_by: Annotated[
        str, typer.Option(metavar="NAME", help="The attribute that says what kind of thing a pin is.")
    ] = "category",
    word: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD", help="A name that objects may get, for models that know words; repeat it."
        ),
    ] = None,
    prefer: Annotated[
        float | None,
        typer.Option(
            help="Bonus for results of the object's category, added to the cosine when ranking.",
            min=0,
            hidden=True,
        ),
    ] = None,
    repeat: Annotated[
        bool, typer.Option("--repeat", help="A pin may be a result of several objects.")
    ] = False,
    diversity: Annotated[
        float, typer.Option(help="0: the most alike; towards 1: the most varied.", min=0, max=1)
    ] = 0.0,
    unsure: Annotated[
        bool,
        typer.Option("--unsure", help="Also show names and results that are no better than chance."),
    ] = False,
    goes_with: Annotated[
        int, typer.Option(metavar="N", help="Also N pins of other categories that go with it.", min=0)
    ] = 0,
    pin: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Instead of a scene: what goes with this stored pin (-k many)."),
    ] = None,
    model: Model = None,
    device: Device = "auto",
    precision: PrecisionOption = "auto",
    max_pixels: MaxPixels = MAX_PIXELS,
    memory: Memory = None,
    as_json: AsJson = False,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a web page on which the objects can be clicked."),
    ] = None,
) -> None:
    """Shop the look: find the objects of a picture and search each of them.

    An object that looks like nothing in the index is shown without results, and one that no word fits without a name.

    Example: `visualsearch look pins.index living-room.jpg -k 5 --goes-with 6 --html look.html`
    """
    from visualsearch import images
    from visualsearch.errors import UsageError
    from visualsearch.look import FINDER
    from visualsearch.search import products_only

    if (scene is None) == (pin is None):
        raise UsageError(
            "nothing to look at" if scene is None else "both a scene and a pin",
            "one of SCENE and --pin is needed",
            "Example: visualsearch look pins.index living-room.jpg",
        )
    where = products_only(where) if products else where
    if scene is None or pin is not None:
        _goes_with(folder, ids_of([str(pin)])[0], k, label_by, where, as_json)
        return
    if prefer is not None:
        note("--prefer is deprecated and will go: it was measured not to help")
    limit_pictures(memory)
    picture = images.load(stdin_bytes() if scene == "-" else scene, max_pixels=max_pixels)
    boxes = [images.parse_crop(text, picture.size) for text in box] if box else None
    with open_index(folder, model, device=device, precision=precision) as opened:
        found = opened.look(
            picture,
            k,
            boxes=boxes,
            most=most,
            finder=finder or FINDER,
            sure=sure,
            where=where,
            min_score=min_score,
            label_by=label_by,
            vocabulary=word or None,
            prefer=prefer,
            repeat=repeat,
            diversity=diversity,
            goes_with=goes_with,
            max_pixels=max_pixels,
            unsure=unsure,
        )
    if html is not None:
        from visualsearch.pages import command_line, write_look

        name = "stdin" if scene == "-" else scene
        write_look(
            html,
            picture,
            found,
            command=command_line(["visualsearch", *sys.argv[1:]]),
            title=_title(name),
            where=where,
            max_pixels=max_pixels,
        )
        note(f"results: {html.resolve()}")
    for sentence in found.notes:
        note(sentence)
    if as_json:
        emit(found.to_dict())
    elif html is None:
        _show(found)


def _goes_with(folder: Path, pin: str, k: int, label_by: str, where: str | None, as_json: bool) -> None:
    with open_index(folder) as opened:
        hits = opened.complete(pin, k, label_by=label_by, where=where)
    if as_json:
        emit({"pin": pin, "goes_with": [hit.to_dict() for hit in hits], "plan": hits.plan})
    else:
        show_hits(hits)


def _title(name: str) -> str:
    return f"Shop the look: {Path(name).name}"


def _show(found: Look) -> None:
    for number, one in enumerate(found, 1):
        place = ",".join(f"{v:.2f}" for v in one.box)
        print(f"{number}. {plain(one.label or 'object')}  at {place}  ({one.score:.2f})")
        show_hits(one.hits)
        print()
    if found.goes_with is not None:
        print("goes with it")
        show_hits(found.goes_with)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(look)
