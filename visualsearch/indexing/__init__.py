"""The batch indexer: from a source to the store, with bounded look-ahead, identity of pins, resumable."""

from .identity import PinSet
from .indexer import Indexer
from .pipeline import Clock, Embedded, embed, failed, look_ahead, released, stopped
from .records import not_finite, usable
from .settings import Progress, Settings

__all__ = [
    "Clock",
    "Embedded",
    "Indexer",
    "PinSet",
    "Progress",
    "Settings",
    "embed",
    "failed",
    "look_ahead",
    "not_finite",
    "released",
    "stopped",
    "usable",
]
