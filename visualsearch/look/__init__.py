"""Shop the look: the objects of a scene, their names and their results."""

from .completing import complete_pin
from .naming import VOCABULARY, Words
from .objects import Look, LookObject
from .options import LookOptions
from .proposals import FINDER, MOST, find, find_objects, overlaps, region_boxes
from .scene import shop

__all__ = [
    "FINDER",
    "MOST",
    "VOCABULARY",
    "Look",
    "LookObject",
    "LookOptions",
    "Words",
    "complete_pin",
    "find",
    "find_objects",
    "overlaps",
    "region_boxes",
    "shop",
]
