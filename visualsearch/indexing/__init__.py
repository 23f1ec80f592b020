"""The batch indexer: from a source to the store, with bounded look-ahead, identity of pins, resumable."""

from .identity import PinSet
from .indexer import Indexer, Progress, Settings, not_finite, usable
from .pipeline import Clock, Embedded, embed, failed, look_ahead, released, stopped

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
