"""What kinds of things ImageNet's classes are is read from WordNet's own files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

NOUNS = """\
  1 This software and database is being provided to you
00000100 03 n 01 entity 0 002 ~ 00000200 n 0000 ~ 00000300 n 0000 | that which exists
00000200 05 n 02 animal 0 beast 0 002 @ 00000100 n 0000 ~ 00000400 n 0000 | a living organism
00000300 06 n 01 device 0 003 @ 00000100 n 0000 + 00000042 v 0101 ~ 00000600 n 0000 | a thing made | for use
00000400 05 n 01 wading_bird 0 001 @ 00000200 n 0000 | a bird
00000500 05 n 02 crane 0 Grus_grus 0 002 @ 00000400 n 0000 #m 00000100 n 0000 | a long-necked bird
00000600 06 n 01 lifting_device 0 001 @ 00000300 n 0000 | it lifts
00000650 05 n 01 pug(a) 0 002 @ 00000200 n 0000 ;c 00000300 n 0000 | a dog
00000700 06 n 01 crane 0 001 @ 00000600 n 0000 | it lifts what is heavy
"""


@pytest.fixture(scope="module")
def kinds(training_script: Callable[[str], ModuleType]) -> ModuleType:
    for needed in ("store", "texts"):
        training_script(needed)
    return training_script("kinds")


@pytest.fixture
def nouns(kinds: ModuleType, tmp_path: Path) -> dict[int, object]:
    (tmp_path / "data.noun").write_text(NOUNS, encoding="utf-8")
    return kinds.read_nouns(tmp_path)  # type: ignore[no-any-return]


def test_nouns_are_read_with_their_words_and_what_they_are_kinds_of(kinds, nouns):
    assert len(nouns) == 8
    assert nouns[500] == kinds.Synset(("crane", "Grus grus"), (400,))
    assert nouns[300].above == (100,)
    assert nouns[100].above == ()
    assert [nouns[k].words[0] for k in kinds.kinds_of(500, nouns)] == ["wading bird", "animal", "entity"]


def test_of_namesakes_that_one_is_meant_which_keeps_the_list_ascending(kinds, nouns):
    assert kinds.class_synsets(["Wading Bird", "crane bird", "pug", "crane"], nouns) == [400, 500, 650, 700]
    assert kinds.class_synsets(["lifting-device", "cranes"], nouns) == [600, 700]


def test_a_class_that_wordnet_does_not_know_is_an_error(kinds, nouns):
    with pytest.raises(ValueError, match="1 of 2 class names"):
        kinds.class_synsets(["crane", "teapot"], nouns)
