"""The map of a collection as a page with tiles: written as a folder that any web server can hand out, or served."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visualsearch.errors import BudgetError, MissingExtraError, UsageError
from visualsearch.pages import render_template, script
from visualsearch.storage import storage_error

from .clusters import read_collection
from .tiles import PHASES, Tiles, tiled
from .trends import DAYS, NothingError, find_trends

if TYPE_CHECKING:
    from visualsearch.engine import Index

LIST = "map.json"
SCRIPT = "map.js"
STRIDE = 65_536
"""A tile is named by one number in the page: its column times this, plus its line."""


@dataclass(frozen=True)
class Atlas:
    """A map that was written: how many pins, levels, tiles and bytes."""

    place: Path
    pins: int
    levels: int
    tiles: int
    bytes: int


def make_map(
    index: Index, *, trends: bool = True, days: int = DAYS, until: str | None = None
) -> tuple[Tiles, list[str]]:
    """The map of an index, on which trends glow as `find_trends` finds them; and notes on what is not on it.

    Days that were not told before are charged to their months, as `find_trends` does. Raises UsageError where there are too few
    pins, or for a day that cannot be asked.
    """
    pins, notes, found = read_collection(index), [], None
    if trends and not index.has_people:
        notes.append("There is no record of people yet, so nothing glows.")
    elif trends:
        try:
            found = find_trends(index, days=days, until=until, pins=pins)
            notes += found.notes
        except (BudgetError, NothingError, MissingExtraError) as error:
            notes.append(f"Nothing glows: {error}")
    return tiled(pins, found), notes


def map_page(tiles: Tiles, notes: Sequence[str] = (), base: str = "", pins: str | None = None) -> str:
    """The page. `base` is where its tiles are, `pins` the address of a pin without its id; None: pins have none."""
    moving = [look for look in tiles.looks if look.phase in set(PHASES)]
    rest = [look for look in tiles.looks if look.phase not in set(PHASES)]
    looks = [asdict(look) for look in (*moving, *sorted(rest, key=lambda look: (-look.pins, look.id)))]
    trends = f"{len(moving)} of them rise, peak or fade" if moving else "none of them is known to move"
    data: Mapping[str, Any] = {
        "base": base,
        "pins": pins,
        "deepest": tiles.deepest,
        "looks": looks,
        "there": [[x * STRIDE + y for x, y in tiles.there(level)] for level in range(tiles.deepest + 1)],
    }
    return render_template(
        "map.html",
        title="Map of the collection",
        lead=f"{len(tiles):,} pins in {len(looks)} looks; {trends}. What looks alike lies close together.",
        notes=notes,
        looks=looks,
        base=base,
        data=data,
    )


def write_map(
    tiles: Tiles, to: str | Path, notes: Sequence[str] = (), say: Callable[[str], None] = lambda _: None
) -> Atlas:
    """Write the page and every tile that holds pins as a folder, whole or not at all. A map that is there is replaced.

    Raises UsageError where something else is there, StorageError.
    """
    target = Path(to)
    if target.exists() and not (target / LIST).is_file():
        raise UsageError(f"cannot write {target}", "it is there, and is no map", "Name a new place")
    aside = target.parent / f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside.mkdir()
        count, size = _written(tiles, aside, notes, say)
        if target.exists():
            old = aside.with_suffix(".old")
            target.rename(old)
            aside.rename(target)
            shutil.rmtree(old)
        else:
            aside.rename(target)
    except OSError as error:
        raise storage_error(target, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Atlas(target, len(tiles), tiles.deepest + 1, count, size)


def _written(tiles: Tiles, folder: Path, notes: Sequence[str], say: Callable[[str], None]) -> tuple[int, int]:
    count = size = 0
    for level in range(tiles.deepest + 1):
        say(f"level {level} of {tiles.deepest}")
        for x, y in tiles.there(level):
            place = folder / str(level) / str(x)
            place.mkdir(parents=True, exist_ok=True)
            held = {".png": tiles.picture(level, x, y), ".json": _plain(tiles.named(level, x, y))}
            for suffix, content in held.items():
                (place / f"{y}{suffix}").write_bytes(content)
                size += len(content)
            count += 1
    named = {
        "index.html": map_page(tiles, notes).encode("utf-8", "replace"),
        SCRIPT: script(SCRIPT).encode(),
        LIST: _plain(
            {
                "pins": len(tiles),
                "deepest": tiles.deepest,
                "tiles": count,
                "looks": [asdict(look) for look in tiles.looks],
            }
        ),
    }
    for name, content in named.items():
        (folder / name).write_bytes(content)
        size += len(content)
    return count, size


def _plain(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(
        "utf-8", "replace"
    )
