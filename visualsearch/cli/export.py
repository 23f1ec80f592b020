"""`visualsearch export`: fill a Milvus collection with an index."""

from __future__ import annotations

from typing import Annotated

import typer

from .common import AsJson, Folder, emit, note, open_index, progress


def export(
    folder: Folder,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="URI",
            help="A Milvus server, http://host:19530, or a file's name for Milvus Lite.",
        ),
    ],
    collection: Annotated[
        str, typer.Option(help="The collection to fill; made when there is none.")
    ] = "pins",
    token: Annotated[
        str, typer.Option(envvar="MILVUS_TOKEN", help="user:password, or an API key.", show_default=False)
    ] = "",
    batch: Annotated[int, typer.Option(help="Rows sent at once.", min=1)] = 1000,
    as_json: AsJson = False,
) -> None:
    """Fill a Milvus collection with an index, to serve what one machine cannot (extra `milvus`).

    Afterwards the collection holds just what the index holds; run again after the index has changed, or after an interruption.
    Search it from Python with `visualsearch.adapters.milvus.MilvusIndex`.

    Example: `visualsearch export pins.index --to http://localhost:19530 --collection pins`
    """
    with open_index(folder) as opened, progress(f"export {folder}", as_json) as bar:
        with opened.catalog.read() as reader:
            total = reader.count() + reader.count("regions")

        def tell(sent: int) -> None:
            if bar is not None:
                bar.update(sent, 0, total, {})

        sent, removed = opened.export(to, collection, token=token, batch=batch, progress=tell)
    note(
        f"{to}: {sent:,} rows in the collection {collection!r}, {removed:,} removed that the index no longer holds"
    )
    if as_json:
        emit({"rows": sent, "removed": removed, "uri": to, "collection": collection})


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)
