"""Options of the commands that read pictures: what a manifest's columns mean, and what failures cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import note

if TYPE_CHECKING:
    from visualsearch.sources import Columns

_MANIFESTS = "Manifests"
IdColumn = Annotated[
    str | None,
    typer.Option(
        "--id-column",
        metavar="NAME",
        help="Column of the pins' ids (default: id, or what a known export calls it).",
        rich_help_panel=_MANIFESTS,
    ),
]
ImageColumn = Annotated[
    str | None,
    typer.Option(
        "--image-column",
        metavar="NAME",
        help="Column of the pictures: a path or address, or several (default: image).",
        rich_help_panel=_MANIFESTS,
    ),
]
TitleColumn = Annotated[
    str | None,
    typer.Option(
        "--title-column",
        metavar="NAME",
        help="Column to keep as the attribute title.",
        rich_help_panel=_MANIFESTS,
    ),
]
PriceColumn = Annotated[
    str | None,
    typer.Option(
        "--price-column",
        metavar="NAME",
        help='Column to keep as the attribute price: "1.299,00 €" becomes a number, its currency an attribute.',
        rich_help_panel=_MANIFESTS,
    ),
]
UrlColumn = Annotated[
    str | None,
    typer.Option(
        "--url-column",
        metavar="NAME",
        help="Column of the product's page, to keep as the attribute url; results link to it.",
        rich_help_panel=_MANIFESTS,
    ),
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        "--group-by",
        metavar="COLUMN",
        help="Column that the pictures of one product share: ids may repeat, and search shows each product once."
        " none: every picture for itself.",
        rich_help_panel=_MANIFESTS,
    ),
]
CheckContent = Annotated[
    bool, typer.Option("--check-content", help="Read every file, also where size and time are unchanged.")
]
_FAILURES = "When pictures or rows fail"
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Stop at the first failure with exit code 2. What was done before is kept; nothing is pruned.",
        rich_help_panel=_FAILURES,
    ),
]
Tolerate = Annotated[
    str,
    typer.Option(
        "--tolerate",
        metavar="N",
        help="Exit with 0 for up to N failures, or N% of what was read, such as 2%.",
        rich_help_panel=_FAILURES,
    ),
]


def columns_of(
    id_column: str | None,
    image_column: str | None,
    title_column: str | None,
    price_column: str | None,
    url_column: str | None,
    group_by: str | None,
) -> Columns:
    """What the options say of a manifest's columns."""
    from visualsearch.sources import Columns

    return Columns(id_column, image_column, title_column, price_column, url_column, group_by)


def tell_notes(name: str, source: Any) -> None:
    """Say how a manifest is read."""
    for line in getattr(source, "notes", ()):
        note(f"{name}: {line}")


class Tolerance:
    """How many failures still count as done. Raises UsageError."""

    def __init__(self, text: str, strict: bool) -> None:
        from visualsearch.errors import UsageError

        number = text.strip().removesuffix("%")
        try:
            self.most = float(number)
        except ValueError:
            self.most = -1.0
        self.share = text.strip().endswith("%")
        whole = self.share or self.most == int(self.most if abs(self.most) < 1e15 else -1)
        if not whole or not 0 <= self.most < (100.5 if self.share else 1e15):
            raise UsageError(
                f"cannot read --tolerate {text!r}",
                "it is neither a number of failures nor a percentage",
                "Example: --tolerate 5, or --tolerate 2%",
            )
        if strict and self.most:
            raise UsageError(
                "--strict and --tolerate together",
                "one stops at the first failure, the other allows some",
                "Leave one out",
            )
        self.text = text

    def exit(self, failed: int, seen: int) -> None:
        """End the command with 1 where more failed than is tolerated."""
        if not failed:
            return
        if failed > (self.most * seen / 100 if self.share else self.most):
            raise typer.Exit(1)
        note(f"{failed:,} of {seen:,} failed: tolerated (--tolerate {self.text})")
