"""`visualsearch demo`: the sample pins, five kinds of query, one page."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import demo_people
from .common import Model, note, progress, show_failures
from .serve import serve_index

if TYPE_CHECKING:
    from visualsearch.engine import Index
    from visualsearch.pages import Section
    from visualsearch.types import Box, Encoder, IndexReport, Query

FACTS = ("category", "colour", "price")
FOOTNOTE = (
    "Clothing: the clothing dataset of Alexey Grigorev, materials: ambientCG; both CC0. Things on white: stamps of Tux Paint,"
    " backgrounds: mate-backgrounds; both GPL-2 or later. Credits in visualsearch/samples/README.md. Prices are illustrative."
)


@dataclass(frozen=True)
class Example:
    """A query to show.

    `picture` is relative to the samples; `item` is the pin of that scene whose true box is the crop.
    """

    title: str
    note: str
    picture: str | None = None
    item: str | None = None
    text: str | None = None
    like: str | None = None
    unlike: str | None = None
    where: str | None = None
    k: int = 10


@dataclass(frozen=True)
class Made:
    """What the demo made: the pages (absolute paths) of the queries and of a person, and which queries could not be run and
    why.
    """

    page: Path
    report: IndexReport
    pins: int
    absent: tuple[str, ...]
    people: Path


EXAMPLES = (
    Example(
        "A whole picture",
        "A picture finds its look-alikes. This one is a pin itself, so it comes first.",
        picture="pins/plants/daffodil.jpg",
    ),
    Example(
        "Part of a picture",
        "Only what is in the box is searched: the pin that was placed there, and others like it.",
        picture="scenes/workbench.jpg",
        item="tools/hammer",
    ),
    Example("Words", "Words find the pictures they describe.", text="a bird"),
    Example(
        "More like this, not like that",
        "One pin pulls, the other pushes away: fruit like a pomegranate, but no apples.",
        like="food/pomegranate",
        unlike="food/apple-red",
        k=5,
    ),
    Example(
        "With a filter",
        "Look-alikes among the pins whose attributes fit; the filter works inside the search, not after it.",
        like="food/tomato",
        where="category = 'food' and price < 3",
    ),
)


def demo(
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Where the index and the page go.")] = Path(
        "visualsearch-demo"
    ),
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the web browser.")] = False,
    live: Annotated[bool, typer.Option("--serve", help="Then serve the live page on these pins.")] = False,
    model: Model = None,
) -> None:
    """Index the sample pins that come with the package, run five kinds of query, and let a few people save pins.

    Two pages are written: the queries, and a person's boards, ideas and feed.

    Example: `visualsearch demo --to /tmp/demo --open`
    """
    started = time.perf_counter()
    made = make(to, model)
    report, page = made.report, made.page
    seconds = time.perf_counter() - started
    if report.embedded:
        note(f"{to}: {report.embedded:,} pictures indexed in {report.seconds:.1f} s ({report.rate:,.0f}/s)")
    else:
        note(f"{to}: all {made.pins:,} pins were indexed already")
    show_failures(report.failures, report.failed, to / "pins.index")
    for reason in made.absent:
        note(f"not run: {reason}")
    ran = len(EXAMPLES) - len(made.absent)
    note(
        f"{ran} of {len(EXAMPLES)} kinds of query run; {seconds:.1f} s in all. Two pages, for any web browser:"
        " the queries, and a person’s boards, ideas and feed:"
    )
    print(page)
    print(made.people)
    if show:
        typer.launch(page.as_uri())
    if live:
        serve_index(to / "pins.index", model)
    if report.failed:
        raise typer.Exit(1)


def make(to: Path, model: Encoder | str | None = None) -> Made:
    """Index the samples in `to` and write the page there."""
    from visualsearch.engine import Index
    from visualsearch.pages import write_page
    from visualsearch.samples import manifest

    folder = to / "pins.index"
    pictures = _copied(to)
    with Index.open_or_create(folder, model) as index, progress("index the sample pins", False) as bar:
        report = index.add(
            manifest(),
            progress=lambda p: bar.update(p.seen, p.failed, p.total, dict(p.stages)) if bar else None,
        )
        # A process's first query also opens files and warms the model; the times shown are of later ones.
        index.run(_query(EXAMPLES[0], pictures))
        sections = [_section(index, folder, example, pictures) for example in EXAMPLES]
        pins, name = len(index), index.spec.name
        demo_people.settle(index)
        people = demo_people.write(index, folder, to / "people.html")
    lead = (
        f"{pins:,} sample pins, five ways to ask. The model “{name}” ran on this machine; nothing was sent"
        " anywhere."
    )
    page = write_page(
        to / "index.html",
        sections,
        title="Five ways to search pictures",
        lead=lead,
        footnote=FOOTNOTE,
        facts=FACTS,
    )
    absent = tuple(f"{section.title}: {section.absent}" for section in sections if section.hits is None)
    return Made(page.resolve(), report, pins, absent, people)


def _copied(to: Path) -> Mapping[str, Path]:
    """The query pictures, copied beside the page so that the commands shown are short and go on working."""
    from visualsearch.samples import samples_dir
    from visualsearch.storage import storage_error

    copies = {e.picture: to / Path(e.picture).name for e in EXAMPLES if e.picture is not None}
    try:
        to.mkdir(parents=True, exist_ok=True)
        for picture, copy in copies.items():
            shutil.copyfile(samples_dir() / picture, copy)
    except OSError as error:
        raise storage_error(to, error) from error
    return copies


def _section(index: Index, folder: Path, example: Example, pictures: Mapping[str, Path]) -> Section:
    from visualsearch.errors import EncoderError
    from visualsearch.pages import Section, command_line

    query = _query(example, pictures)
    wanted = {
        "title": example.title,
        "note": f"{example.note} {_without(index, example)}".rstrip(),
        "command": command_line(_command(folder, query)),
        "parts": query.parts,
        "where": query.where,
        "pins": _places(example),
    }
    try:
        hits = index.run(query)
    except EncoderError as error:
        if example.text is None or index.spec.text:
            raise
        return Section(**wanted, hits=None, absent=str(error))  # type: ignore[arg-type]
    return Section(**wanted, hits=hits)  # type: ignore[arg-type]


def _query(example: Example, pictures: Mapping[str, Path]) -> Query:
    from visualsearch.search import SearchOptions

    picture, crop = None, None
    if example.picture is not None:
        picture = str(pictures[example.picture])
        crop = None if example.item is None else _true_box(example.picture, example.item)
    return SearchOptions(
        image=picture,
        crop=crop,
        text=example.text,
        like=example.like,
        unlike=example.unlike,
        where=example.where,
        k=example.k,
    ).query()


def _without(index: Index, example: Example) -> str:
    """What would come first if nothing pushed away."""
    if example.unlike is None:
        return ""
    first = index.search(like=example.like, k=1)[0]
    return f"Without the push, “{first.attributes['title']}” would come first."


def _true_box(picture: str, item: str) -> Box:
    from visualsearch.samples import samples_dir, scenes

    place = samples_dir() / picture
    return next(o.box for scene in scenes() if scene.image == place for o in scene.objects if o.pin == item)


def _places(example: Example) -> Mapping[str, str]:
    """Where the pictures of the pins that the example names are."""
    from visualsearch.samples import samples_dir

    return {pin: str(samples_dir() / "pins" / f"{pin}.jpg") for pin in (example.like, example.unlike) if pin}


def _command(folder: Path, query: Query) -> Iterator[str]:
    """The command line that runs this query."""
    yield from ("visualsearch", "search", str(folder))
    for part in query.parts:
        if part.image is not None:
            yield str(part.image)
            if part.crop is not None:
                yield from ("--crop", ",".join(f"{edge:g}" for edge in part.crop))
        elif part.text is not None:
            yield from ("--text", part.text)
        elif part.like is not None:
            yield from ("--like" if part.weight > 0 else "--unlike", part.like)
    if query.where is not None:
        yield from ("--where", query.where)
    yield from ("-k", str(query.k))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)
