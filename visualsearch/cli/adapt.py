"""`visualsearch adapt`: a map over the vectors of an index, learnt from its owner's labels, boards, clicks or variants."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from .common import AsJson, Folder, emit, note, open_index
from .people import Address

if TYPE_CHECKING:
    from visualsearch.engine import Index
    from visualsearch.learn import Together


def adapt(
    folder: Folder,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="WHAT",
            help="Learn from labels: a CSV file with the columns pin and label, `folder`, or `attribute:NAME`.",
        ),
    ] = None,
    boards: Annotated[
        bool,
        typer.Option("--boards", help="Learn from what people put on one board.", rich_help_panel="Source"),
    ] = False,
    clicks: Annotated[
        bool, typer.Option("--clicks", help="Learn from what one person clicked in one served list.")
    ] = False,
    variants: Annotated[
        bool, typer.Option("--variants", help="Learn from the pictures of one product (--group-by).")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Go back to what counted before.")] = False,
    k: Annotated[int, typer.Option("-k", "--k", help="Results that the measure looks at.", min=1)] = 10,
    seed: Annotated[int, typer.Option(help="Of the folds that are held out.", min=0)] = 0,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Learn a map over the vectors of an index, so that what belongs together comes first. Nothing is embedded again.

    It is kept only where its gain on held-out pins has a 95 % interval above zero. Else nothing
    changes, and the exit code is 1.
    Searches by pictures and stored pins use it at once. Searches with words, and with another --rank, do not.

    Example: `visualsearch adapt pins.index --labels folder`. To take it back: `visualsearch adapt pins.index --undo`
    """
    from visualsearch.errors import UsageError
    from visualsearch.learn import adapt as run

    if [labels is not None, boards, clicks, variants, undo].count(True) != 1:
        raise UsageError(
            "nothing single to learn from",
            "it takes one of --labels, --boards, --clicks, --variants and --undo",
            "Example: visualsearch adapt pins.index --labels folder",
        )
    with open_index(folder, people=address) as index:
        if undo:
            number = index.heads.undo()
            if as_json:
                emit({"number": number})
            else:
                print("back to the plain order" if number is None else f"back to generation {number}")
            return
        found = run(index, _together(index, labels, boards, clicks), k=k, seed=seed, say=note)
    if as_json:
        emit(asdict(found))
    else:
        low, high = found.interval
        print(
            f"{found.measure}: {found.before:.4f} plain, {found.after:.4f} adapted, on {found.queries:,} held-out pins"
        )
        print(f"gain {found.gain:+.4f} ({low:+.4f} to {high:+.4f}); {found.form}")
        print(f"kept as generation {found.number}" if found.kept else f"refused: {found.why}")
        for reason, count in found.left_out.items():
            note(f"left out: {count:,} {reason}")
    if not found.kept:
        raise typer.Exit(1)


def _together(index: Index, labels: str | None, boards: bool, clicks: bool) -> Together:
    from visualsearch.learn import by_boards, by_clicks, by_labels, by_variants

    if labels is not None:
        return by_labels(index, labels)
    if boards:
        return by_boards(index)
    return by_clicks(index) if clicks else by_variants(index)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(adapt)
