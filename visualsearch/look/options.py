"""What looking may be asked for: one dataclass for the command line, HTTP and Python."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from visualsearch.errors import UsageError
from visualsearch.images import STYLE, CropStyle
from visualsearch.search import products_only
from visualsearch.types import MAX_PIXELS

from .proposals import FINDER


@dataclass(frozen=True)
class LookOptions:
    """The arguments of looking. Raises UsageError for those that cannot be.

    `k`: hits of each object. `boxes` are searched instead of what `finder` finds (fractions, or pixels when any number is above
    1). `most` bounds how many objects it finds; `sure` (0..1) drops what it is less sure of. `where` and `min_score` as in
    `search`. A label is the nearest word of `vocabulary` where one is given and the encoder knows words; else the value of the
    attribute `label_by` on which most neighbours agree; else a word of a general vocabulary. An object gets no label and no hits
    where these are not clearly better than those of parts that hold nothing (see `visualsearch.look.ground`); `unsure` gives
    them all the same. A pin comes back for one object only unless `repeat`. `diversity` (0..1) trades likeness for variety.
    `goes_with` asks for that many pins of other categories that go with the scene. A scene of more than `max_pixels` pixels is
    refused. `style` says how a part is cut. `products`: only products. `prefer` is
    deprecated: a bonus for hits of the label that neighbours vote for.
    """

    k: int = 5
    _: KW_ONLY
    boxes: Sequence[Sequence[float]] | None = None
    most: int = 8
    finder: str = FINDER
    sure: float | None = None
    where: str | None = None
    min_score: float | None = None
    label_by: str = "category"
    vocabulary: Sequence[str] | None = None
    prefer: float | None = None
    repeat: bool = False
    diversity: float = 0.0
    style: CropStyle = STYLE
    goes_with: int = 0
    max_pixels: int = MAX_PIXELS
    unsure: bool = False
    products: bool = False

    def __post_init__(self) -> None:
        if self.products:
            object.__setattr__(self, "where", products_only(self.where))
            object.__setattr__(
                self, "products", False
            )  # what `replace` makes of this one has the filter already
        if self.prefer is not None:
            warnings.warn(
                "`prefer` of look was measured not to help, and will go", DeprecationWarning, stacklevel=3
            )
        bounds = {
            "k": (self.k >= 1, "must be 1 or more"),
            "most": (self.most >= 1, "must be 1 or more"),
            "diversity": (0 <= self.diversity <= 1, "must be between 0 and 1"),
            "goes_with": (self.goes_with >= 0, "must be 0 or more"),
        }
        for name, (fine, why) in bounds.items():
            if not fine:
                raise UsageError(f"{name} cannot be that", f"it {why}", "Leave it out for the usual value")
