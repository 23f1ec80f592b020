"""The pictures that a cell names: one, or several."""

from __future__ import annotations

import json
import re
from typing import Any

from ._places import LocalPlace, Place
from ._walk import is_picture

_BETWEEN = re.compile(r"[\s,;|]{1,8}(?=[A-Za-z][A-Za-z0-9+.-]{0,15}://)")  # commas inside an address stay
_MARKS = ("|", "\n", ",", ";", " ")
_MARKED = re.compile(r"[|\n,; ]")


def pictures_of(value: Any, place: Place, folder: str) -> list[Any]:
    """The pictures that the value of an image column names: addresses, paths, or bytes. [] where it names none.

    A list is one of JSON or Parquet, a JSON list in a text, or names with |, commas, semicolons, spaces or line ends between
    them. A text that is the name of a file stays whole.
    """
    if isinstance(value, dict) and "bytes" in value:  # the layout of the `datasets` library
        value = value["bytes"] or value.get("path")
    if value is None or (isinstance(value, str | bytes) and not value):
        return []
    if isinstance(value, list | tuple):
        return [one for inner in value for one in pictures_of(inner, place, folder)]
    if not isinstance(value, str):
        return [value]
    text = value.strip()
    if text[:1] == "[" and (listed := _json_list(text)) is not None:
        return [one for inner in listed for one in pictures_of(inner, place, folder)]
    return _split(value, text, place, folder)


def _json_list(text: str) -> list[Any] | None:
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return [one for one in listed if isinstance(one, str | dict)] if isinstance(listed, list) else None


def _split(value: str, text: str, place: Place, folder: str) -> list[Any]:
    if not text:
        return []
    if "://" in text[:24]:
        return [one.rstrip(",;| ") for one in _BETWEEN.split(text)]
    if _MARKED.search(text) is None:
        return [value]
    for mark in _MARKS:
        names = [name.strip() for name in text.split(mark)]
        names = [name for name in names if name]
        if len(names) > 1 and all(is_picture(name) or "://" in name for name in names):
            return [value] if _exists(place, folder, value) else names
    return [value]


def _exists(place: Place, folder: str, name: str) -> bool:
    """Whether this text, marks and all, is the name of a file on the local disk."""
    try:
        return isinstance(place, LocalPlace) and place.look(place.resolve(folder, name)) is not None
    except (OSError, ValueError):
        return False
