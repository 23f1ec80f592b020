"""What there is to work with: data that comes with the package (bundled models, index presets), the user's cache, cores."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from visualsearch.errors import VisualSearchError

_PACKAGE = Path(__file__).resolve().parent


def models_dir() -> Path:
    """The folder of bundled models, with registry.toml. Raises VisualSearchError when it is missing."""
    return _find("models", "registry.toml")


def indexes_dir() -> Path:
    """The folder of index presets, one TOML each. Raises VisualSearchError when it is missing."""
    return _find("indexes", "*.toml")


CACHE_VARIABLE = "VISUALSEARCH_CACHE"


def cache_dir() -> Path:
    """The user's folder for what can be made again (converted models); it need not exist yet.

    VISUALSEARCH_CACHE where it is set, else the system's place for caches: XDG_CACHE_HOME or ~/.cache, on macOS
    ~/Library/Caches, on Windows %LOCALAPPDATA%.
    """
    if own := os.environ.get(CACHE_VARIABLE):
        return Path(own).expanduser()
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "visualsearch"


def _find(name: str, marker: str) -> Path:
    """The first place that holds a file matching `marker`: in a wheel, then in a checkout."""
    # A wheel never has the second place and a checkout never has the first; the marker keeps an unrelated
    # site-packages/models of another distribution from being taken for ours.
    places = (_PACKAGE / "_data" / name, _PACKAGE.parent / name)
    for place in places:
        if next(place.glob(marker), None) is not None:
            return place
    raise VisualSearchError(
        f"the data folder {name!r} is missing",
        f"neither {places[0]} nor {places[1]} has {marker}",
        "The installation is incomplete; run: pip install --force-reinstall visualsearch",
    )


def cores() -> int:
    """Processors that this process may use: as many threads decode, scan or run a model when the user names no number."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # what glibc's mallopt(3) can set
_MOST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Have the C library keep what this process frees for what it allocates next; whether it can be told to.

    glibc gives large blocks back to the system at once, and fetches the next ones page by page. Told, `embed` in torch and
    bfloat16 took 51 s instead of 69 for 96 pictures and ViT-L/14, 42 instead of 50 for 192 and ViT-B/16, where its peak grew
    from 1,985 to 2,250 MiB. For a process that embeds until it ends, as memory is given back at its end only. Without glibc
    nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, _MOST))
