"""Shop the look: the objects of a scene, their names and their results."""

from .naming import VOCABULARY, Words
from .proposals import FINDER, MOST, find, overlaps, region_boxes
from .scene import PREFER, Look, LookObject, complete_pin, shop

__all__ = [
    "FINDER",
    "MOST",
    "PREFER",
    "VOCABULARY",
    "Look",
    "LookObject",
    "Words",
    "complete_pin",
    "find",
    "overlaps",
    "region_boxes",
    "shop",
]
