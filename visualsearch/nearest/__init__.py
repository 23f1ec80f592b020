"""Nearest neighbours: FAISS presets, exact scan, graph walk, clustering, tuning. It knows no catalog."""

from .ann import FOLDER, WIDENED, WIDER, build, has_codes, load, save, scan_codes, search
from .exact import scan, scan_many
from .heldout import measured_recall
from .recipes import Preset, choose, preset, presets
from .rows import Rows, approximate, with_fresh
from .tuning import FAST_ENOUGH, Trial, Wish, front, fulfils, pick, survey, trials_of

__all__ = [
    "FAST_ENOUGH",
    "FOLDER",
    "WIDENED",
    "WIDER",
    "Preset",
    "Rows",
    "Trial",
    "Wish",
    "approximate",
    "build",
    "choose",
    "front",
    "fulfils",
    "has_codes",
    "load",
    "measured_recall",
    "pick",
    "preset",
    "presets",
    "save",
    "scan",
    "scan_codes",
    "scan_many",
    "search",
    "survey",
    "trials_of",
    "with_fresh",
]
