"""Pictures in: any picture file, from anywhere, as upright RGB.

`decode` turns bytes into pixels. `load` takes whatever a caller holds: path, URL, bytes, Pillow picture, array. `crop`,
`resized` and `thumbnail` cut and shrink. `accelerate` makes resizing faster for a batch. What is decoded at the same time
shares one budget of memory (`limit_memory`, `in_hand`). Every unreadable picture gives one `PictureError` with its reason.
Nothing is written to stderr.
"""

from __future__ import annotations

import logging
import warnings

from visualsearch.types import MAX_PIXELS

from ._boxes import check_box, crop, parse_crop
from ._budget import in_hand, limit_memory, memory_limit
from ._decode import decode
from ._fast import accelerate
from ._header import size_of
from ._load import Picture, load, thumbnail
from ._resize import resized
from ._sniff import PICTURE_SUFFIXES, sniff
from .crops import STYLE, CropStyle, Shape, view

__all__ = [
    "MAX_PIXELS",
    "PICTURE_SUFFIXES",
    "STYLE",
    "CropStyle",
    "Picture",
    "Shape",
    "accelerate",
    "check_box",
    "crop",
    "decode",
    "in_hand",
    "limit_memory",
    "load",
    "memory_limit",
    "parse_crop",
    "resized",
    "size_of",
    "sniff",
    "thumbnail",
    "view",
]

# Pillow tells of odd metadata through warnings and its logger; both would reach the terminal in the middle
# of a progress bar. `warnings.catch_warnings` is not safe across threads, so its own warnings are silenced
# once. Deprecations are attributed to the caller's module, not to PIL, and stay visible.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())
