"""What kinds of things ImageNet's 1,000 classes are, by WordNet 3.0: a Granny Smith is an apple, a fruit, food.

The class names alone leave it to the sentence encoder that a whippet is a dog. Writes kinds.npz beside the sentence vectors.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from texts import class_names, sentence_vectors

MOST = 150  # classes of a kind: "artifact" and "living thing" say little
RENAMED = {"crane bird": "crane", "maillot tank suit": "maillot"}  # torchvision tells namesakes apart
IS_A = ("@", "@i")


@dataclass(frozen=True)
class Synset:
    words: tuple[str, ...]
    above: tuple[int, ...]  # what it is a kind of


def read_nouns(folder: Path) -> dict[int, Synset]:
    """WordNet's nouns by their offset in data.noun, whose format is that of wndb(5WN)."""
    nouns = {}
    for line in (folder / "data.noun").read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):  # the licence
            continue
        fields = line.partition(" | ")[0].split()
        count = int(fields[3], 16)
        pointers = fields[5 + 2 * count :]
        above = tuple(int(pointers[at + 1]) for at in range(0, len(pointers) - 3, 4) if pointers[at] in IS_A)
        words = tuple(word.replace("_", " ") for word in fields[4 : 4 + 2 * count : 2])
        nouns[int(fields[0])] = Synset(words, above)
    return nouns


def spellings(name: str) -> set[str]:
    plain = RENAMED.get(name, name).casefold()
    changed = (("", ""), ("'", ""), ("-", " "), (" ", "-"), (" ", ""))
    return {plain.replace(old, new) if old else plain for old, new in changed} | {plain.removesuffix("s")}


def class_synsets(names: Sequence[str], nouns: dict[int, Synset]) -> list[int]:
    """The synset of every class. ImageNet lists its classes by their offsets, so of namesakes that one is meant which keeps
    the list ascending: the longest ascending choice is taken. Raises ValueError where a name is not found."""
    of_word: dict[str, set[int]] = {}
    for offset, synset in nouns.items():
        for word in synset.words:
            of_word.setdefault(re.sub(r"\(\w+\)$", "", word).casefold(), set()).add(offset)
    chains: dict[int, tuple[int, ...]] = {-1: ()}  # by their last offset; a longer one always ends later
    for name in names:
        grown = dict(chains)
        for offset in sorted(set().union(*(of_word.get(s, set()) for s in spellings(name)))):
            longest = max((c for last, c in chains.items() if last < offset), key=len)
            if len(longest) + 1 > len(grown.get(offset, ())):
                grown[offset] = (*longest, offset)
        chains, most = {}, -1
        for last in sorted(grown):
            if len(grown[last]) > most:
                chains[last], most = grown[last], len(grown[last])
    found = max(chains.values(), key=len)
    if len(found) < len(names):
        raise ValueError(f"{len(names) - len(found)} of {len(names)} class names are not WordNet's")
    return list(found)


def kinds_of(synset: int, nouns: dict[int, Synset]) -> Iterator[int]:
    """What it is a kind of, along the first meaning, the nearest first."""
    while nouns[synset].above:
        synset = nouns[synset].above[0]
        yield synset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--out", type=Path, required=True, help="the folder of texts.py")
    arguments = parser.parse_args()
    nouns = read_nouns(arguments.wordnet)
    classes = class_synsets(class_names(), nouns)
    chains = [list(kinds_of(synset, nouns)) for synset in classes]
    members = {kind: sum(kind in chain for chain in chains) for chain in chains for kind in chain}
    kinds = sorted(kind for kind, count in members.items() if count <= MOST)
    column = {kind: at for at, kind in enumerate(kinds)}
    kind_of = np.zeros((len(classes), len(kinds)), np.float32)
    for row, chain in enumerate(chains):
        for kind in column.keys() & set(chain):
            kind_of[row, column[kind]] = 1 / np.log2(2 + members[kind])  # narrow kinds say more
    np.savez(
        arguments.out / "kinds.npz",
        synonyms=sentence_vectors([", ".join(nouns[synset].words) for synset in classes]),
        kinds=sentence_vectors([", ".join(nouns[kind].words[:4]) for kind in kinds]),
        kind_of=kind_of,
        names=np.array([nouns[kind].words[0] for kind in kinds]),
    )
    print(f"{len(kinds)} kinds of {len(classes)} classes")


if __name__ == "__main__":
    main()
