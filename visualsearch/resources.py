"""What there is to work with: data that comes with the package (bundled models, index presets), the user's cache, cores,
memory."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from pathlib import Path
from typing import Any

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


_CGROUPS = Path("/sys/fs/cgroup")
_UNKNOWN_MEMORY = 4 << 30


def memory() -> int:
    """Bytes of memory that this process may use: the machine's, or less where a container (cgroup) or a ulimit says so."""
    return min([_machine_memory(), *_container_memory(), *_address_space()])


def _machine_memory() -> int:
    if sys.platform == "win32":
        return _windows_memory()
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return _UNKNOWN_MEMORY


def _windows_memory() -> int:
    kilobytes = ctypes.c_ulonglong()
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 - absent from the stubs of other systems
    found = kernel.GetPhysicallyInstalledSystemMemory(ctypes.byref(kilobytes))
    return kilobytes.value * 1024 if found else _UNKNOWN_MEMORY


def _container_memory(root: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup")) -> list[int]:
    """The limits of this process's cgroup and of all above it, in versions 1 and 2; nothing where there are none."""
    places = {
        root / "memory.max",
        root / "memory" / "memory.limit_in_bytes",
    }  # a container sees itself as the root
    try:
        lines = own.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        base, name = root, "memory.max"
        if controllers:
            if "memory" not in controllers.split(","):
                continue
            base, name = root / "memory", "memory.limit_in_bytes"
        place = base / path.strip("/")
        places |= {folder / name for folder in (place, *place.parents) if folder.is_relative_to(base)}
    return [limit for place in places if (limit := _number_in(place)) is not None]


def _number_in(place: Path) -> int | None:
    """The positive number in a file; None where there is no such file, or another word ("max": no limit)."""
    try:
        text = place.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return int(text) if text.isdecimal() and int(text) > 0 else None


def _address_space() -> list[int]:
    try:
        import resource
    except ImportError:  # Windows
        return []
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return [] if limit == resource.RLIM_INFINITY else [limit]


_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # what glibc's mallopt(3) can set
_MOST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Have the C library keep what this process frees for what it allocates next; whether it can be told to.

    glibc gives large blocks back to the system at once, and fetches the next ones page by page. Told, `embed` in torch and
    bfloat16 took 51 s instead of 69 for 96 pictures and ViT-L/14, 42 instead of 50 for 192 and ViT-B/16, where its peak grew
    from 1,985 to 2,250 MiB. For a process that embeds until it ends, as memory is given back at its end only. Without glibc
    nothing changes.
    """
    mallopt = _c_library("mallopt")
    kept = mallopt is not None and bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, _MOST))
    if kept:
        _KEEPS.set()
    return kept


_KEEPS = threading.Event()


def give_back_memory() -> bool:
    """Have the C library give what is free back to the system; whether it could. Not after `keep_freed_memory`."""
    trim = None if _KEEPS.is_set() else _c_library("malloc_trim")
    return trim is not None and bool(trim(0))


def _c_library(name: str) -> Any:
    """A function of glibc; None elsewhere."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
