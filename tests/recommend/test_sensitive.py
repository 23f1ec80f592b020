"""What may not be pushed is told by words, quickly and without an error either way."""

from __future__ import annotations

from pathlib import Path

import pytest

import visualsearch as vs
from visualsearch.recommend import Topics
from visualsearch.recommend.sensitive import WORDS, allowed

from ..fakes import FakeEncoder
from ..world.conftest import cluster_records

TOLD = {
    "title": "Baby shower cake",
    "caption": 'a "funeral" wreath',
    "name": "wedding_dress-2",
    "description": "three\nbrides",
    "tags": ["diet", "salad"],
}
FINE = {
    "title": "Baby shoes",
    "note": "wedding",
    "tags": ["showers"],
    "price": 3,
    "caption": "unionised dieting",
}


@pytest.mark.parametrize("words", [WORDS, ("r&b", "wedding", "shower cake"), ("baby shower",)])
def test_pins_are_cleared_from_stored_text_as_they_are_from_words(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    from dataclasses import replace

    records = cluster_records(each=6, kinds=2)
    held: list[dict[str, object]] = [{name: value} for name, value in TOLD.items()]
    held += [dict([each]) for each in FINE.items()]
    held += [{"title": "baby", "caption": "shower cake"}, {"kind": "R&B"}]
    records = [replace(each, attributes=told) for each, told in zip(records, held, strict=False)]
    with vs.create(tmp_path / "pins.index", FakeEncoder()) as index:
        index.add(records)
        names = [record.id for record in records]
        told = Topics(words).marked(names, [record.attributes for record in records])
        expected = [name for name, marked in zip(names, told.tolist(), strict=True) if not marked]
        assert 0 < len(expected) < len(names)
        assert list(allowed(index, Topics(words), names)) == expected
        assert list(allowed(index, Topics(words), names)) == expected  # now from what was kept
        assert expected[-1] not in allowed(index, Topics(words, (expected[-1],)), names)
