"""Topics that are never used to push: words of titles, and pictures. They still answer who asks for them.

The owner of an index edits the list: a file `sensitive.txt` in its folder takes the place of WORDS. Each line has a word or a
few words, or `pin:` and the id of a pin: what looks like that pin counts too. Lines that begin with `#` say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from visualsearch.errors import StorageError
from visualsearch.types import Bool, Float32

from .asking import RelatedIndex, numbers_of
from .looks import units

FILE = "sensitive.txt"
PIN = "pin:"
ALIKE = 0.9
"""A pin of at least this cosine to a listed picture is of its topic."""
WORDS = (
    *("wedding", "bridal", "bride", "engagement ring", "honeymoon", "divorce", "breakup"),
    *("pregnancy", "pregnant", "maternity", "baby shower", "newborn", "miscarriage", "ivf", "fertility"),
    *("funeral", "grief", "memorial", "condolence", "obituary", "suicide", "self harm"),
    *("cancer", "chemotherapy", "illness", "disease", "hospital", "medication", "therapy", "depression"),
    *("anxiety", "eating disorder", "weight loss", "diet", "addiction", "rehab", "sobriety", "hiv"),
    *("religion", "church", "mosque", "synagogue", "politics", "election", "union"),
    *("lgbt", "lgbtq", "gay", "lesbian", "transgender", "sexuality", "lingerie"),
    *("bankruptcy", "debt", "unemployment", "immigration", "asylum"),
)
"""The list where an owner gave none."""
TEXTS = ("title", "name", "caption", "description", "category", "kind", "type", "tags")
"""Attributes of a pin whose words count."""


@dataclass(frozen=True)
class Topics:
    """The list of one index: `words` in lower case, `pins` by id."""

    words: tuple[str, ...]
    pins: tuple[str, ...] = ()

    def names(self, text: str) -> bool:
        """Whether a text has one of the words, as words of their own, in the singular or plural."""
        return bool(self.words) and self._pattern.search(text.casefold()) is not None

    @property
    def _pattern(self) -> re.Pattern[str]:
        return _compiled(self.words)

    def marked(self, ids: Sequence[str], attributes: Sequence[Mapping[str, Any]]) -> Bool:
        """(n,) which pins are of a listed topic by their own words."""
        return np.array(
            [
                name in self.pins or self.names(_words(name, held))
                for name, held in zip(ids, attributes, strict=True)
            ],
            bool,
        )

    def alike(self, vectors: Float32, listed: Float32) -> Bool:
        """(n,) which of (n, d) unit vectors look like a listed picture."""
        if not len(listed) or not len(vectors):
            return np.zeros(len(vectors), bool)
        found: Bool = (vectors @ listed.T).max(1) >= ALIKE
        return found


_COMPILED: dict[tuple[str, ...], re.Pattern[str]] = {}


def _compiled(words: tuple[str, ...]) -> re.Pattern[str]:
    if words not in _COMPILED:
        if len(_COMPILED) > 100:
            _COMPILED.clear()
        ordered = sorted(map(re.escape, words), key=len, reverse=True)
        _COMPILED[words] = re.compile(rf"(?<!\w)(?:{'|'.join(ordered)})(?:s|es)?(?!\w)")
    return _COMPILED[words]


def _words(name: str, attributes: Mapping[str, Any]) -> str:
    told = [str(attributes[key]) for key in TEXTS if attributes.get(key)]
    return re.sub(r"[_\-/.]+", " ", " ".join([name, *told]))


def topics_of(folder: Path) -> Topics:
    """The list of an index's folder. Raises StorageError where its file cannot be read."""
    path = folder / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Topics(WORDS)
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(
            f"cannot read {path}", str(error), "Write it as UTF-8 text, one word a line"
        ) from error
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    words = tuple(line.casefold() for line in lines if not line.startswith(PIN))
    pins = tuple(line.removeprefix(PIN).strip() for line in lines if line.startswith(PIN))
    return Topics(words, pins)


KEPT = 200_000
_MARKS: WeakKeyDictionary[Any, tuple[Any, dict[str, bool]]] = WeakKeyDictionary()


def allowed(index: RelatedIndex, topics: Topics, names: Sequence[str]) -> dict[str, int]:
    """The pin numbers of those pins, by id and in their order, that the index holds and that are of no listed topic."""
    with index.catalog.read() as reader:
        state = reader.state
        numbers = reader.look_up("pin", "id", names)
        known = _MARKS.get(index)
        marks = known[1] if known is not None and known[0] == (state, topics) else {}
        new = [name for name in names if name in numbers and name not in marks]
        held = reader.by_ids(new)
    marked = topics.marked([pin.id for pin in held], [pin.attributes for pin in held])
    listed = list(numbers_of(index, topics.pins)) if topics.pins else []
    if listed and held:
        own = units(index.vectors([pin.id for pin in held]))
        marked |= topics.alike(own, units(index.vectors(listed)))
    fresh = dict(zip((pin.id for pin in held), marked.tolist(), strict=True))
    marks = {**(marks if len(marks) < KEPT else {}), **fresh} if fresh else marks
    _MARKS[index] = ((state, topics), marks)
    return {
        name: numbers[name]
        for name in names
        if name in numbers and not marks.get(name, fresh.get(name, True))
    }
