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
    firefox: Annotated[
        bool, typer.Option("--firefox", help="For Firefox 140 and later; default: for Chromium and Chrome.")
    ] = False,
) -> None:
    """Write a browser extension that finds look-alikes of any picture on any page, in your own index.

    Firefox gives each installation an id, its Internal UUID in about:debugging. The server lets it search with
    `serve --allow-extension UUID`.

    Example: `visualsearch extension --to visualsearch-extension --server http://127.0.0.1:8000`
    """
    from visualsearch.server.extend import Browser, write_extension

    folder = write_extension(to, server, Browser.FIREFOX if firefox else Browser.CHROMIUM)
    where = (
        "about:debugging, This Firefox, Load Temporary Add-on, manifest.json in"
        if firefox
        else "chrome://extensions, Developer mode, Load unpacked"
    )
    note(f"an extension for {server}. Load it: {where}:")
    print(folder.resolve())


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(extension)
