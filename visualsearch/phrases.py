"""Plain words for pins and groups of pins, made of what the index knows: titles, kinds, names of folders and files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from math import log
from typing import Any

NAMING = ("title", "name", "kind", "category", "type")
"""Attributes whose short values can name a pin."""
_EMPTY = {
    "train", "training", "test", "val", "validation", "image", "images", "img", "photo", "photos", "picture",
    "pictures", "pin", "pins", "jpg", "jpeg", "png", "webp", "gif", "figure", "fig", "file", "data", "set", "new", "the",
    "and", "for", "with", "from", "iconic", "descriptions", "main", "default", "none", "other", "misc", "unknown", "dsc",
    "copy", "final", "index", "preface", "author",
}  # fmt: skip
_DIGIT = re.compile(r"\d")
_HEX = re.compile(r"[0-9a-f]{8}", re.IGNORECASE)
_HEXISH = re.compile(r"[0-9a-f]+")
_NUMBERED = re.compile(r"^([A-Za-z]{4,})\d+$")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SPLIT = re.compile(r"[\s_\-.,;:+&()\[\]]+")
TOP = "/"
"""Marks a phrase that is the name of a pin's topmost folder."""
WIDE = 0.1
"""A topmost folder with a greater share of all pins is a collection's name and says nothing."""
LONGEST = 3
SHARED = 0.25
"""A phrase names a taste where at least this share of its pins have it."""


def phrases(name: str, attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Short phrases that name a pin: attributes first, then the folders and the file's name of its id."""
    found = [
        _phrase(str(attributes[key]))
        for key in NAMING
        if isinstance(attributes.get(key), str) and attributes[key]
    ]
    folders = name.replace("\\", "/").split("/")
    stem = folders[-1].rsplit(".", 1)[0]
    deeper = [_phrase(folder) for folder in reversed(folders[1:-1])]
    found += [*deeper, _phrase(stem)] if any(deeper) else [_phrase(stem)]
    named = tuple(dict.fromkeys(phrase for phrase in found if phrase))
    top = (
        _phrase(folders[0]) if len(folders) > 1 else ""
    )  # often the name of a collection: only where nothing else is known
    return (*named, TOP + top) if top else named


def _phrase(text: str) -> str:
    """At most three plain words of a name, in lower case; empty where nothing is left."""
    words = [w for w in _SPLIT.split(_CAMEL.sub(" ", text.rsplit("__", 1)[-1])) if w]
    words = [_NUMBERED.sub(r"\1", w) for w in words]
    kept = [w.lower() for w in words if not _DIGIT.search(w) and w.lower() not in _EMPTY]
    kept = [w for w in kept if len(w) > 2 or w in ("t", "up", "of")]
    if _HEX.search(text):
        kept = [w for w in kept if not _HEXISH.fullmatch(w)]
    joined = " ".join(kept)
    if not 0 < len(kept) <= LONGEST or len(joined) < 3 or len(joined) > 40:
        return ""
    return joined.replace("t shirt", "t-shirt") if kept[0] != "of" else ""


def settled(words: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The phrases of all pins, without the names of collections."""
    tops = Counter(phrase for each in words for phrase in each[-1:] if phrase.startswith(TOP))
    wide = {name for name, count in tops.items() if count > WIDE * len(words)}
    found = []
    for each in words:
        own = tuple(phrase for phrase in each if not phrase.startswith(TOP))
        top = tuple(
            phrase.removeprefix(TOP) for phrase in each if phrase.startswith(TOP) and phrase not in wide
        )
        found.append(own or top)
    return found


def common_names(words: Sequence[Sequence[str]]) -> Counter[str]:
    """How many pins have each phrase."""
    return Counter(phrase for each in words for phrase in each)


def name_of(
    members: Sequence[Sequence[str]], everywhere: Counter[str], total: int, wider: Sequence[str] = ()
) -> str:
    """The phrase that tells these pins from all others best; `wider` are names to fall back on. Empty where none fits."""
    inside = common_names(members)
    best, score = "", 0.0
    for phrase, count in sorted(inside.items()):
        share = count / len(members)
        if share < SHARED or (count < 2 and len(members) > 2):
            continue
        gain = share * log((count / len(members)) / (everywhere[phrase] / total) + 1)
        if gain > score + 1e-9:
            best, score = phrase, gain
    return best or next((name for name in wider if name), "")
