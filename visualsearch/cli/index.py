"""`visualsearch index`: build or update an index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from visualsearch.resources import keep_freed_memory
from visualsearch.types import MAX_PIXELS

from .common import (
    STOPPED,
    AsJson,
    Batch,
    Compiled,
    Device,
    MaxPixels,
    Memory,
    Model,
    PrecisionOption,
    Workers,
    emit,
    limit_pictures,
    note,
    progress,
    report_values,
    show_failures,
    show_left_out,
    tell_choices,
)
from .inputs import (
    CheckContent,
    GroupBy,
    IdColumn,
    ImageColumn,
    PriceColumn,
    Strict,
    TitleColumn,
    Tolerance,
    Tolerate,
    UrlColumn,
    columns_of,
    tell_notes,
)

if TYPE_CHECKING:
    from visualsearch.sources import Columns
    from visualsearch.types import EncoderSpec


def index(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Folders, globs, manifests (CSV, JSONL, Parquet, XML), webdataset tars, URL lists, s3://, gs://, or embeddings.",
            show_default=False,
        ),
    ],
    to: Annotated[
        Path, typer.Option("--to", metavar="DIR", help="The index folder; made when it does not exist.")
    ],
    model: Model = None,
    device: Device = "auto",
    precision: PrecisionOption = "auto",
    compiled: Compiled = False,
    preset: Annotated[
        str | None,
        typer.Option(help="Index recipe: auto (by size), exact, hnsw, ivf-rabitq, ivf-rabitq-compact."),
    ] = None,
    workers: Workers = None,
    batch: Batch = 64,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune", help="Remove pins of these sources whose pictures a complete read shows to be gone."
        ),
    ] = False,
    include: Annotated[
        list[str] | None,
        typer.Option(
            "--include",
            metavar="ID",
            help="Let a pin that was removed back in; may be given several times.",
            show_default=False,
        ),
    ] = None,
    regions: Annotated[
        bool | None,
        typer.Option(
            "--regions/--no-regions",
            help="Index the objects inside the pictures too; remembered by the index.",
            show_default=False,
        ),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Let pictures take the pins of their ids, also where another source gave those."
        ),
    ] = False,
    check_content: CheckContent = False,
    id_column: IdColumn = None,
    image_column: ImageColumn = None,
    title_column: TitleColumn = None,
    price_column: PriceColumn = None,
    url_column: UrlColumn = None,
    group_by: GroupBy = None,
    strict: Strict = False,
    tolerate: Tolerate = "0",
    max_pixels: MaxPixels = MAX_PIXELS,
    memory: Memory = None,
    as_json: AsJson = False,
) -> None:
    """Build or update an index from pictures. What is indexed already and unchanged is not read again.

    Pins that were removed stay out. An id that another picture from another place has is a failure, unless --replace is given.

    Example: `visualsearch index photos/ catalog.csv --to pins.index --prune`

    Exports of Shopify, WooCommerce and Google Merchant are recognised by their columns.

    Exit code 0: done. 1: done, but more pictures or rows failed than `--tolerate` allows; the others are indexed. 2: wrong usage,
    a source that cannot be used, or stopped by `--strict`. 130: stopped by Ctrl-C.
    """
    from visualsearch.engine import Index
    from visualsearch.indexing import PinSet, Progress, Settings

    settings = Settings(
        batch=batch,
        workers=workers,
        prune=prune,
        check_content=check_content,
        max_pixels=max_pixels,
        strict=strict,
        replace=replace,
    )
    tolerance = Tolerance(tolerate, strict)
    columns = columns_of(id_column, image_column, title_column, price_column, url_column, group_by)
    limit_pictures(memory)
    tell_choices()
    keep_freed_memory()
    reports, failed = [], 0
    encoder = model or _look_at(sources, columns)
    claimed, lifted = PinSet(), list(include or [])
    with Index.open_or_create(
        to, encoder, preset=preset or "auto", device=device, precision=precision, compiled=compiled
    ) as opened:
        for source in sources:
            with progress(f"index {source}", as_json) as bar:

                def tell(p: Progress, bar: object = bar) -> None:
                    if bar is not None:
                        bar.update(p.seen, p.failed, p.total, p.stages)  # type: ignore[attr-defined]

                try:
                    report = opened.add(
                        source,
                        settings=settings,
                        progress=tell,
                        preset=preset,
                        regions=regions,
                        columns=columns,
                        include=lifted,
                        made_by=model,
                        claimed=claimed,
                    )
                except KeyboardInterrupt:
                    note(
                        f"stopped; the {len(opened):,} pins committed to {to} are kept. Run the same command again to go on."
                    )
                    raise typer.Exit(STOPPED) from None
            lifted = []
            reports.append(report)
            failed += report.failed
            slowest = f", slowest stage: {report.bottleneck}" if report.bottleneck else ""
            note(
                f"{source}: {report.seen:,} pictures in {report.seconds:.1f} s ({report.rate:,.0f}/s{slowest}):"
                f" {report.added:,} added, {report.updated:,} updated, {report.moved:,} moved,"
                f" {report.unchanged:,} unchanged, {report.removed:,} removed, {report.failed:,} failed"
            )
            show_left_out(report)
            show_failures(report.failures, report.failed, to)
        pins = len(opened)
    note(f"{to}: {pins:,} pins")
    if as_json:
        emit({"pins": pins, "failed": failed, "sources": [report_values(r) for r in reports]})
    tolerance.exit(failed, sum(report.seen for report in reports))


def _look_at(sources: list[str], columns: Columns) -> EncoderSpec | None:
    """Refuse what cannot be read before anything is written, and say how the rest is read; the encoder of embeddings among
    the sources, if any.
    """
    from visualsearch.adapters.clip_retrieval import is_embeddings, made_by, unsigned
    from visualsearch.sources import open_source

    made = None
    for source in sources:
        if (problem := unsigned(source)) is not None:
            raise problem
        if (spec := made_by(source)) is not None:
            made = made or spec
        elif not is_embeddings(Path(source)):
            tell_notes(source, open_source(source, columns=columns))
    return made


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(index)
