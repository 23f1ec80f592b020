"""`visualsearch search`: find pins."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
from .people import Address

if TYPE_CHECKING:
    from visualsearch.types import Box, Hits, Query


def search(
    folder: Folder,
    image: Annotated[
        str | None,
        typer.Argument(
            metavar="IMAGE", help="Query picture: a file, a URL, or - for stdin.", show_default=False
        ),
    ] = None,
    crop: Annotated[
        str | None,
        typer.Option(
            metavar="X0,Y0,X1,Y1",
            help="Search this part of the picture: fractions, or pixels when any is above 1.",
        ),
    ] = None,
    text: Annotated[list[str] | None, typer.Option(help="Words to look for; may be repeated.")] = None,
    not_text: Annotated[
        list[str] | None, typer.Option(help="Words to keep away from; may be repeated.")
    ] = None,
    like: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="A stored pin to look like; may be repeated.")
    ] = None,
    unlike: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="A stored pin to keep away from; may be repeated.")
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART=W", help="Weight of image, text, not_text, like or unlike; may be repeated."
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="EXPR",
            help="Only pins whose attributes fit, e.g. \"price < 50 and color in ('red', 'blue')\".",
        ),
    ] = None,
    products: Annotated[
        bool, typer.Option("--products", help="Only products (see `visualsearch promote products`).")
    ] = False,
    k: Annotated[int, typer.Option("-k", "--k", help="How many results.", min=1)] = 10,
    offset: Annotated[int, typer.Option(help="Skip this many results (for pages).", min=0)] = 0,
    min_score: Annotated[
        str | None,
        typer.Option(
            metavar="SCORE",
            help="Leave out results below this cosine (-1 to 1); auto: below what unrelated queries reach in this index.",
        ),
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            "--group-by",
            metavar="ATTRIBUTE",
            help="Of the pins that share this attribute's value, such as the pictures of a product, show the best. Default: what"
            " the index was built with. none: every pin for itself.",
        ),
    ] = None,
    rank: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Order the best 200 otherwise than by cosine: fresh, varied, sort:ATTRIBUTE, sort:-ATTRIBUTE, cap:N:ATTRIBUTE,"
            " or signals and weights such as cosine=1,freshness=0.1.",
        ),
    ] = "cosine",
    diversity: Annotated[
        float,
        typer.Option(
            "--diversity", "--diversify", help="0: the most alike; towards 1: the most varied.", min=0, max=1
        ),
    ] = 0.0,
    person: Annotated[
        str | None,
        typer.Option(
            "--person",
            metavar="PERSON",
            help="Who asks: of hits that score nearly the same, their kind first.",
        ),
    ] = None,
    personal: Annotated[
        float | None,
        typer.Option(
            "--personal",
            metavar="X",
            help="The most by which --person moves a hit, in cosine; 0 switches it off.",
        ),
    ] = None,
    address: Address = None,
    model: Model = None,
    device: Device = "auto",
    precision: PrecisionOption = "auto",
    max_pixels: MaxPixels = MAX_PIXELS,
    memory: Memory = None,
    as_json: AsJson = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the results as a web page.")
    ] = None,
) -> None:
    """Find pins by a picture, a part of it, words, stored pins, or a weighted mix of them.

    Example: `visualsearch search pins.index shoe.jpg --crop 0.1,0.2,0.6,0.9 --text "in red" --where "price < 50" -k 5`
    """
    from visualsearch.errors import UsageError
    from visualsearch.search import SearchOptions

    limit_pictures(memory)
    picture, box = _picture(image, crop, max_pixels)
    asked = SearchOptions(
        image=picture,
        crop=box,
        text=text,
        not_text=not_text,
        like=ids_of(like),
        unlike=ids_of(unlike),
        weights=_weights(weight),
        where=where,
        products=products,
        k=k,
        offset=offset,
        min_score=_score(min_score),
        group_by=group_by,
        max_pixels=max_pixels,
        ranker=rank,
        diversity=diversity,
        person=person,
        personal=personal,
    )
    query = asked.query()
    if not query.parts:
        raise UsageError(
            "nothing to search for",
            "no picture, words or pin was given",
            "Example: visualsearch search pins.index shoe.jpg",
        )
    with open_index(folder, model, people=address, device=device, precision=precision) as opened:
        hits = opened.asked(asked)
        places = {} if html is None else opened.uris([p.like for p in query.parts if p.like is not None])
    for line in (hits.verdict, *hits.notes):
        if line:
            note(plain(line))
    if html is not None:
        _page(html, query, hits, places)
        note(f"results: {html.resolve()}")
    if as_json:
        emit(
            {
                "hits": [h.to_dict() for h in hits],
                "total": hits.total,
                "plan": hits.plan,
                "seconds": round(hits.seconds, 4),
                "best": hits.best,
                "alike": hits.alike,
                "noise": hits.noise,
                "notes": list(hits.notes),
            }
        )
    elif html is None:
        show_hits(hits)


def _picture(image: str | None, crop: str | None, max_pixels: int) -> tuple[str | bytes | None, Box | None]:
    """The query picture, read where it comes from stdin, and what to cut from it."""
    from visualsearch import images
    from visualsearch.errors import UsageError

    if image is None:
        if crop is not None:
            raise UsageError(
                "--crop without a picture", "there is nothing to cut from", "Name the query picture after DIR"
            )
        return None, None
    given = stdin_bytes() if image == "-" else image
    # Only pixels of a crop need the picture's size here: the engine reads it, scaled where it may.
    return given, images.parse_crop(crop, images.load(given, max_pixels=max_pixels).size) if crop else None


def _score(given: str | None) -> float | Literal["auto"] | None:
    from visualsearch.errors import UsageError

    if given is None or given == "auto":
        return None if given is None else "auto"
    try:
        return float(given)
    except ValueError:
        raise UsageError(
            f"cannot read the minimum score {given!r}",
            "it is neither a number nor auto",
            "Example: --min-score 0.25",
        ) from None


def _weights(given: list[str] | None) -> dict[str, float]:
    from visualsearch.errors import UsageError

    weights = {}
    for item in given or ():
        name, _, value = item.partition("=")
        try:
            weights[name] = float(value)
        except ValueError:
            raise UsageError(
                f"cannot read the weight {item!r}", "it is no number", "Example: --weight text=0.5"
            ) from None
    return weights


def _page(path: Path, query: Query, hits: Hits, places: dict[str, str]) -> None:
    from visualsearch.pages import Section, command_line, write_page

    command = command_line(["visualsearch", *sys.argv[1:]])
    section = Section("Results", hits.verdict, command, query.parts, query.where, hits, places)
    write_page(path, [section], title="visualsearch", max_pixels=query.max_pixels)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(search)
