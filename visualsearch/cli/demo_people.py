"""The people of `visualsearch demo`: a few who save the sample pins to boards, and a page of one of them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visualsearch.engine import Index

PERSON = "mia"
"""Whose page is shown."""
HERS = (("Summer holiday", 5), ("Floors and walls", 4), ("Flower shop", 4))
"""Her boards: of each made-up board of the samples, how many pins she has found so far."""
OTHERS = ("noah", "lea", "ben", "ida", "tom", "ava", "jon", "eva", "max", "lia")
BOARDS_EACH = 3
KEPT = 3
"""Others save all pins of a board but every third, each another third: so that people overlap and differ."""
IDEAS, FEED = 8, 20
DAY_MS, BETWEEN_MS = 86_400_000, 47 * 60_000


def settle(index: Index) -> int:
    """Let the people save, and learn from it; how many saves there are. Again, it changes nothing."""
    from visualsearch.recommend import BUILDERS, learn

    rows = list(_saves(index.people.now()))
    accepted, _, _ = index.people.take_saves(list(enumerate(rows, 1)))
    learn(index, BUILDERS)
    return accepted


def _saves(now: int) -> Iterator[dict[str, Any]]:
    from visualsearch.samples import manifest

    boards: dict[str, list[str]] = {}
    with manifest().open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            boards.setdefault(row["board"], []).append(row["id"])
    titles = sorted(boards)
    for at, person in enumerate(OTHERS):
        shared = HERS[at % len(HERS)][0]  # so that each of her boards has company
        others = [titles[(BOARDS_EACH * at + 2 * step) % len(titles)] for step in range(1, BOARDS_EACH)]
        for title in dict.fromkeys([shared, *others]):
            for place, pin in enumerate(boards[title]):
                if place % KEPT != at % KEPT:
                    # At times of their own: who saves the same at the same time looks like a ring of accounts.
                    when = now - DAY_MS * (1 + 7 * at % len(OTHERS)) - place * BETWEEN_MS
                    yield {"person": person, "board": title, "pin": pin, "at": when}
    for title, count in HERS:
        for pin in boards[title][:count]:
            yield {"person": PERSON, "board": title, "pin": pin}


def write(index: Index, folder: Path, page: Path) -> Path:
    """Write her page: each board with ideas for it, then her feed; every pin says why it is there."""
    from visualsearch.pages import Section, command_line, write_page
    from visualsearch.types import Part

    sections = []
    for title, _ in HERS:
        saved = [save.pin for save in index.people.pins_of(title, viewer=PERSON)]
        hits = index.ideas(title, IDEAS, person=PERSON)
        with index.catalog.read() as reader:
            places = {pin: found.uri for pin in saved if (found := reader.by_id(pin)) is not None}
        command = command_line(
            ["visualsearch", "ideas", str(folder), title, "--person", PERSON, "-k", str(IDEAS)]
        )
        note = (
            f"Mia has {len(saved)} pins on this board. What people saved with them, and what looks like them:"
        )
        parts = tuple(Part(like=pin) for pin in saved)
        sections.append(
            Section(f"Ideas for “{title}”", note, command, parts, None, hits, places, label="On the board")
        )
    feed = index.feed(PERSON, FEED)
    command = command_line(["visualsearch", "feed", str(folder), PERSON, "-k", str(FEED), "--why"])
    note = "What a start page shows her. Each pin says why."
    sections.append(Section("Mia’s feed", note, command, (), None, feed))
    return write_page(
        page,
        sections,
        title="Boards, ideas and a feed",
        lead=f"{len(OTHERS) + 1} made-up people save the sample pins. Mia has three boards.",
        footnote="The people and their boards are made up. visualsearch people forget removes one of them.",
        facts=("category",),
    ).resolve()
