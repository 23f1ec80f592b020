"""`visualsearch embed`: embeddings only, for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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
    size_in_bytes,
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


def embed(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Folder, glob, manifest, tar, URL list, s3:// or gs://.",
            show_default=False,
        ),
    ],
    to: Annotated[
        Path, typer.Option("--to", metavar="DIR", help="Folder for img_emb/*.npy and metadata/*.parquet.")
    ],
    model: Model = None,
    device: Device = "auto",
    precision: PrecisionOption = "auto",
    compiled: Compiled = False,
    workers: Workers = None,
    batch: Batch = 64,
    shard_rows: Annotated[int, typer.Option(help="Pictures in one pair of files.", min=1)] = 100_000,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune", help="Drop embeddings of this source whose pictures a complete read shows to be gone."
        ),
    ] = False,
    check_content: CheckContent = False,
    max_pixels: MaxPixels = MAX_PIXELS,
    memory: Memory = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Embed on a Ray cluster: auto, ray://HOST:10001, or local (extra `ray`). Its nodes must reach the pictures.",
        ),
    ] = None,
    actors: Annotated[
        int, typer.Option(help="With --ray: how many actors embed at the same time.", min=1)
    ] = 1,
    actor_cpus: Annotated[float, typer.Option(help="With --ray: processor cores of each actor.", min=0)] = 1,
    actor_gpus: Annotated[
        float, typer.Option(help="With --ray: GPUs of each actor; 0.5 lets two share one.", min=0)
    ] = 0,
    id_column: IdColumn = None,
    image_column: ImageColumn = None,
    title_column: TitleColumn = None,
    price_column: PriceColumn = None,
    url_column: UrlColumn = None,
    group_by: GroupBy = None,
    strict: Strict = False,
    tolerate: Tolerate = "0",
    as_json: AsJson = False,
) -> None:
    """Embed pictures without an index, in the npy + parquet layout that clip-retrieval and autofaiss read.

    `visualsearch index` reads the folder too. Run again, it embeds what is new or has changed. After an interruption it goes
    on from what is on the disk: at most half a minute of work is lost.

    Example: `visualsearch embed photos/ --to embeddings/ --model ViT-B-32-SigLIP2-256`

    On a cluster: `visualsearch embed s3://bucket/photos --to embeddings/ --ray auto --actors 16 --actor-gpus 1`

    Exit code 0: done. 1: done, but more pictures or rows failed than `--tolerate` allows; the others are embedded. 2: wrong
    usage, a source that cannot be used, or stopped by `--strict`. 130: stopped by Ctrl-C.
    """
    from visualsearch.adapters.clip_retrieval import unfinished, write_embeddings
    from visualsearch.adapters.ray import Cluster
    from visualsearch.encoders import load_encoder
    from visualsearch.sources import open_source

    limit_pictures(memory)
    tell_choices()
    keep_freed_memory()
    tolerance = Tolerance(tolerate, strict)
    columns = columns_of(id_column, image_column, title_column, price_column, url_column, group_by)
    opened = open_source(source, columns=columns)
    tell_notes(source, opened)
    options: dict[str, Any] = {"device": device, "precision": precision, "compiled": compiled}
    encoder = load_encoder(model or "bundled", **options)
    total = opened.count()
    if left := unfinished(to):
        note(f"{to}: goes on after an interrupted run, which left {left:,} embeddings")
    cluster = None
    if ray is None:
        encoder.calibrate(opened, total)
    else:
        cluster = Cluster(
            encoder.spec.name,
            options,
            ray,
            actors=actors,
            cpus=actor_cpus,
            gpus=actor_gpus,
            batch=batch,
            max_pixels=max_pixels,
            memory=None if memory is None else size_in_bytes(memory),
            source=opened,
            count=total,
        )
    with progress(f"embed {source}", as_json) as bar:

        def tell(seen: int, failed: int) -> None:
            if bar is not None:
                bar.update(seen, failed, total, {})

        try:
            report = write_embeddings(
                opened,
                to,
                encoder,
                batch=batch,
                workers=workers,
                shard_rows=shard_rows,
                max_pixels=max_pixels,
                prune=prune,
                check_content=check_content,
                progress=tell,
                work=cluster,
                strict=strict,
            )
        except KeyboardInterrupt:
            note(f"stopped; what was embedded is kept in {to}. Run the same command again to go on.")
            raise typer.Exit(STOPPED) from None
    note(
        f"{to}: {report.added:,} embedded, {report.updated:,} updated, {report.unchanged:,} there already,"
        f" {report.removed:,} removed, {report.failed:,} failed"
        f" in {report.seconds:.1f} s ({report.rate:,.0f}/s)"
    )
    show_left_out(report)
    show_failures(report.failures, report.failed)
    if as_json:
        emit(report_values(report))
    tolerance.exit(report.failed, report.seen)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(embed)
