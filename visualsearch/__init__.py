"""Visual search: pictures go in; any picture, part of a picture or sentence finds its look-alikes.

>>> import visualsearch as vs
>>> index = vs.create("pins.index")                      # doctest: +SKIP
>>> report = index.add("photos/")                        # doctest: +SKIP
>>> hits = index.search(image="query.jpg", k=5)          # doctest: +SKIP
>>> [(hit.id, round(hit.score, 3)) for hit in hits]      # doctest: +SKIP
"""

import importlib as _importlib
import typing as _typing

from visualsearch.backup import Backup, back_up, restore
from visualsearch.embedding import EmbeddedBatch, embed
from visualsearch.encoders import load_encoder
from visualsearch.engine import Index, create, open, open_or_create
from visualsearch.errors import (
    EncoderError,
    EncoderMismatchError,
    FilterError,
    IndexStateError,
    LockedError,
    MissingExtraError,
    NotAnIndexError,
    PictureError,
    SourceError,
    StorageError,
    UnknownNameError,
    UsageError,
    VersionError,
    VisualSearchError,
)
from visualsearch.look import Look, LookObject
from visualsearch.people import Event
from visualsearch.sources import Columns, Source, open_source
from visualsearch.types import (
    Box,
    Encoder,
    EncoderSpec,
    Failure,
    Hit,
    Hits,
    IndexReport,
    Part,
    PassedOver,
    Precision,
    Preprocessing,
    Query,
    Record,
    StoredPin,
)

if _typing.TYPE_CHECKING:
    from visualsearch.indexing import Progress, Settings

__all__ = [
    "Backup",
    "Box",
    "Columns",
    "EmbeddedBatch",
    "Encoder",
    "EncoderError",
    "EncoderMismatchError",
    "EncoderSpec",
    "Event",
    "Failure",
    "FilterError",
    "Hit",
    "Hits",
    "Index",
    "IndexReport",
    "IndexStateError",
    "LockedError",
    "Look",
    "LookObject",
    "MissingExtraError",
    "NotAnIndexError",
    "Part",
    "PassedOver",
    "PictureError",
    "Precision",
    "Preprocessing",
    "Progress",
    "Query",
    "Record",
    "Settings",
    "Source",
    "SourceError",
    "StorageError",
    "StoredPin",
    "UnknownNameError",
    "UsageError",
    "VersionError",
    "VisualSearchError",
    "__version__",
    "back_up",
    "create",
    "embed",
    "load_encoder",
    "open",
    "open_or_create",
    "open_source",
    "restore",
]
__version__ = "0.1.0"

_LATER = {"Progress": "indexing", "Settings": "indexing"}
"""Public names whose room is imported at first use: a search does not need it."""


def __getattr__(name: str) -> _typing.Any:
    if name in _LATER:
        return getattr(_importlib.import_module(f".{_LATER[name]}", __name__), name)
    if name == "world":  # a room, not a name: `vs.world.simulate(...)`
        return _importlib.import_module(".world", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
