"""The command line: one module for each command. The only place that prints or exits.

Exit codes: 0 done; 1 done, but some inputs failed or problems were found; 2 wrong usage or unusable input; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from visualsearch.errors import VisualSearchError

from . import (
    adapt,
    backup,
    bench,
    compact,
    dedup,
    demo,
    embed,
    experiment,
    export,
    extension,
    feed,
    ideas,
    index,
    info,
    insight,
    learn,
    look,
    models,
    people,
    promote,
    related,
    remove,
    search,
    serve,
    tune,
    verify,
    world,
)
from .common import note, settle_streams
from .panels import Panels

__all__ = ["app", "main"]

COMMANDS = (
    demo,
    index,
    search,
    look,
    embed,
    export,
    info,
    remove,
    compact,
    tune,
    verify,
    backup,
    dedup,
    models,
    serve,
    extension,
    people,
    learn,
    adapt,
    related,
    feed,
    ideas,
    world,
    experiment,
    promote,
    insight,
    bench,
)

app = typer.Typer(
    name="visualsearch",
    cls=Panels,
    help="Index pictures; find them by picture, part of a picture, words, or any mix.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _module in COMMANDS:
    _module.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"visualsearch {version('visualsearch')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error. Also: VISUALSEARCH_DEBUG=1.")
    ] = False,
) -> None:
    """Index pictures; find them by picture, part of a picture, words, or any mix."""


def main() -> None:
    """Run the command line; errors become one message on stderr and an exit code."""
    settle_streams()
    debug = "--debug" in sys.argv or bool(os.environ.get("VISUALSEARCH_DEBUG"))
    sys.argv = [sys.argv[0], *(a for a in sys.argv[1:] if a != "--debug")]
    try:
        app()
    except VisualSearchError as error:
        if debug:
            raise
        note(f"error: {error}")
        sys.exit(2)
    except BrokenPipeError:  # `visualsearch ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if debug:
            raise
        note(
            f"internal error: {type(error).__name__}: {error}. Run again with --debug and report the traceback."
        )
        sys.exit(2)
