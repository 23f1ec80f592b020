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


_LETTERS = re.compile(r"[^\W\d_]+(?: [^\W\d_]+)*")
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
    return _plain(" ".join([name, *told]))


def _doubtful(topics: Topics, texts: Mapping[str, str]) -> list[str]:
    """The pins, by id with their stored attributes, whose words must be read: all others have no listed word anywhere.

    The stored text holds each word as it stands, but for what JSON writes with a backslash. So one look at the texts of all
    clears nearly every pin, and nothing is parsed. Of a term of several words the first is looked for, since the others may
    stand in another attribute.
    """
    if not all(_LETTERS.fullmatch(term) for term in topics.words):
        return list(texts)
    first = Topics(tuple(dict.fromkeys(term.split()[0] for term in topics.words)))
    told = {name: _plain(f"{name} {text}") for name, text in texts.items()}
    some = first.names("\n".join(told.values()))
    return [
        name
        for name, text in told.items()
        if "\\" in text or name in topics.pins or (some and first.names(text))
    ]


def _plain(text: str) -> str:
    return re.sub(r"[_\-/.]+", " ", text)


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
        if known is None or known[0] != (state, topics) or len(known[1]) > KEPT:
            known = _MARKS[index] = ((state, topics), {})
        marks = known[1]
        new = [name for name in names if name in numbers and name not in marks]
        doubtful = _doubtful(topics, reader.texts(new)) if new else []
        held = reader.by_ids(doubtful)
    fresh = dict.fromkeys(new, False)
    marked = topics.marked([pin.id for pin in held], [pin.attributes for pin in held])
    fresh.update(zip((pin.id for pin in held), marked.tolist(), strict=True))
    listed = list(numbers_of(index, topics.pins)) if topics.pins else []
    if listed and new:
        alike = topics.alike(units(index.vectors(new)), units(index.vectors(listed)))
        fresh.update((name, True) for name, near in zip(new, alike.tolist(), strict=True) if near)
    marks.update(fresh)
    return {name: numbers[name] for name in names if name in numbers and not marks.get(name, True)}
