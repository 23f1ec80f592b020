"""`visualsearch extension`: the browser extension for one server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import note


def extension(
    to: Annotated[
        Path, typer.Option("--to", metavar="DIR", help="Where the extension goes.", show_default=False)
    ],
    server: Annotated[
        str, typer.Option(metavar="URL", help="The server that `visualsearch serve` runs at.")
    ] = "http://127.0.0.1:8000",
) -> None:
    """Write a Chromium extension that finds look-alikes of any picture on any page, in your own index.

    Example: `visualsearch extension --to visualsearch-extension --server http://127.0.0.1:8000`
    """
    from visualsearch.server.extend import write_extension

    folder = write_extension(to, server)
    note(f"an extension for {server}. Load it: chrome://extensions, Developer mode, Load unpacked:")
    print(folder.resolve())


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(extension)
