"""The book of campaigns: read from files, checked against an index, kept in the record, changed and stopped."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visualsearch.errors import ConflictError, SourceError, UnknownNameError, UsageError, VisualSearchError
from visualsearch.recommend import allowed, topics_of
from visualsearch.types import Part, Query

from . import money
from .audience import audience
from .campaign import Campaign, from_values
from .looks import packed, unit

if TYPE_CHECKING:
    from visualsearch.engine import Index

MOST_BYTES = 50_000_000
MOST_CAMPAIGNS = 100_000
MOST_BOARD_PINS = 200


@dataclass(frozen=True)
class Refused:
    """A row that was not taken: its line, why, and what to do."""

    line: int
    reason: str
    remedy: str = ""


@dataclass(frozen=True)
class Imported:
    """What became of a file: ids of campaigns that are new, that were changed, and rows that were refused."""

    new: tuple[str, ...]
    changed: tuple[str, ...]
    refused: tuple[Refused, ...]


def import_campaigns(index: Index, path: str | Path) -> Imported:
    """Take the campaigns of a file, `.csv`, `.tsv` or `.jsonl`. A bad row costs no other. Raises SourceError."""
    new: list[str] = []
    changed: list[str] = []
    refused: list[Refused] = []
    for line, given in rows_of(Path(path)):
        try:
            if isinstance(given, str):
                raise UsageError("cannot read the row", given, "Correct it")
            campaign, is_new = put(index, from_values(given))
            (new if is_new else changed).append(campaign.id)
        except VisualSearchError as error:
            refused.append(
                Refused(line, f"{error.what}: {error.why}" if error.why else error.what, error.remedy)
            )
    return Imported(tuple(new), tuple(dict.fromkeys(changed)), tuple(refused))


def rows_of(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    """Each row with its line: its values, or why it has none."""
    readers: Mapping[str, Callable[[str], Iterator[tuple[int, Mapping[str, Any] | str]]]] = {
        ".csv": lambda text: separated(io.StringIO(text, newline=""), ","),
        ".tsv": lambda text: separated(io.StringIO(text, newline=""), "\t"),
        ".jsonl": _json_lines,
        ".ndjson": _json_lines,
    }
    if path.suffix.lower() not in readers:
        raise UnknownNameError("kind of file", path.suffix, readers)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SourceError(f"cannot read {path}", "it has more than 50 MB", "Split it")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot read {path}", str(error), "Give a file of UTF-8 text") from error
    return readers[path.suffix.lower()](text)


def separated(lines: Iterable[str], delimiter: str) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    """The rows of CSV or TSV, by the names of its first row. Lines have their ends."""
    reader = csv.reader(lines, delimiter=delimiter)
    header: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield line, str(error)
            continue
        if cells is None:
            return
        if header is None:
            header = [name.strip() for name in cells]
        elif len(cells) == len(header):
            yield line, dict(zip(header, cells, strict=True))
        elif any(cells):
            yield line, f"it has {len(cells)} cells instead of {len(header)}"


def _json_lines(text: str) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    for line, said in enumerate(text.splitlines(), 1):
        if not said.strip():
            continue
        try:
            value = json.loads(said)
        except (ValueError, RecursionError) as error:
            yield line, f"it is no JSON: {error}"
            continue
        yield line, value if isinstance(value, dict) else "it is no JSON object"


def put(index: Index, campaign: Campaign) -> tuple[Campaign, bool]:
    """Keep a campaign that is new, or change the one of its id: whether it is new. What was spent stays.

    Raises UsageError where it does not fit the index, ConflictError for another currency or advertiser than before.
    """
    ready = prepared(index, campaign)
    kept: list[Campaign] = []

    def change(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        kept.clear()
        old = next((Campaign.from_row(row) for row in rows if row["campaign"] == campaign.id), None)
        if old is None and len(rows) >= MOST_CAMPAIGNS:
            raise UsageError(
                "there are too many campaigns", f"at most {MOST_CAMPAIGNS:,} are kept", "Reuse an id"
            )
        if old is not None and (old.currency, old.advertiser) != (ready.currency, ready.advertiser):
            raise ConflictError(
                f"cannot change campaign {ready.id!r}",
                f"it belongs to {old.advertiser} and pays in {old.currency}",
                "Give the new one an id of its own",
            )
        created = index.people.now() if old is None else old.created
        made = ready.changed(created=created, spent=0 if old is None else old.spent)
        kept.extend([made] if old is None else [made, old])
        return [made.to_row()]

    index.people.change_campaigns(change)
    return kept[0], len(kept) == 1


def changed(index: Index, name: str, step: Callable[[Campaign], Campaign]) -> Campaign:
    """Change a campaign in one transaction. Raises UnknownNameError, and what `step` raises."""
    kept: list[Campaign] = []

    def change(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        kept.clear()
        known = {row["campaign"]: row for row in rows}
        if name not in known:
            raise UnknownNameError("campaign", name[:80], known)
        kept.append(step(Campaign.from_row(known[name])))
        return [kept[0].to_row()]

    index.people.change_campaigns(change)
    return kept[0]


def stop(index: Index, name: str, reason: str = "") -> Campaign:
    """Show a campaign no more. What was shown before is still paid for. Raises UnknownNameError."""
    now = index.people.now()

    def step(old: Campaign) -> Campaign:
        if old.state == "stopped":
            return old
        return old.changed(state="stopped", stopped=now, reason=reason[:500])

    return changed(index, name, step)


def set_budget(index: Index, name: str, amount: str) -> Campaign:
    """Give a campaign another budget. Below what it has spent already, it is shown no more. Raises UsageError."""

    def step(old: Campaign) -> Campaign:
        number, currency = money.read(amount)
        if currency not in (None, old.currency):
            raise UsageError(
                f"cannot give campaign {name!r} {amount}", f"it pays in {old.currency}", "Give that"
            )
        return old.changed(budget=money.minor(number, old.currency))

    return changed(index, name, step)


# -- against the index -----------------------------------------------------------------------------------------------
def prepared(index: Index, campaign: Campaign) -> Campaign:
    """The campaign with its targets as vectors. Raises UsageError where a pin, a board, or a picture is not to be had."""
    what = f"cannot take campaign {campaign.id!r}"
    topics = topics_of(index.folder)
    target = campaign.target
    named = list(dict.fromkeys((*campaign.pins, *target.like, *target.audience)))
    with index.catalog.read() as reader:
        missing = set(named) - set(reader.look_up("pin", "id", named))
    if missing:
        raise UsageError(
            what, f"the index has no pin {min(missing)[:80]!r}", "Index it first, or correct its id"
        )
    if lost := set(named) - set(allowed(index, topics, named)):
        raise UsageError(
            what, f"the pin {min(lost)[:80]!r} is of a sensitive topic", "Promote or target another"
        )
    said = [*target.words, *(value for values in target.attributes.values() for value in values)]
    if bad := next((word for word in said if topics.names(word)), None):
        raise UsageError(
            what, f"{bad[:80]!r} is a sensitive topic", "Target something else: nobody is met by that"
        )
    people = audience(index, target.audience) if target.audience else None
    return campaign.changed(looks=_looks(index, campaign), taste=people, encoder=index.spec.fingerprint)


def _looks(index: Index, campaign: Campaign) -> str:
    """The looks that a campaign is targeted at; those of its words come last."""
    target = campaign.target
    rows = []
    liked = [*target.like, *_board_pins(index, campaign)]
    if liked:
        rows.append(unit(index.vectors(liked)))
    if target.picture is not None:
        part = Part(image=target.picture, crop=None if target.crop is None else _box(target.crop))
        rows.append(index.vector(Query((part,)))[None])
    if target.words and index.spec.text:
        rows += [index.vector(Query((Part(text=word),)))[None] for word in target.words]
    return packed(np.concatenate(rows)) if rows else ""


def _box(crop: tuple[float, float, float, float]) -> Any:
    from visualsearch.types import Box

    return Box(*crop)


def _board_pins(index: Index, campaign: Campaign) -> list[str]:
    """The pins of the public boards that it is targeted at: a look, not the people who made them."""
    boards = campaign.target.boards
    if not boards:
        return []
    links = index.people.board_links(boards)
    known = index.people.board_titles(boards)
    for board in boards:
        if board not in known or not links.get(board):
            raise UsageError(
                f"cannot take campaign {campaign.id!r}",
                f"there is no public board {board[:80]!r} with pins",
                "Name another",
            )
    pins = sorted({pin for held in links.values() for pin in held})[:MOST_BOARD_PINS]
    return list(allowed(index, topics_of(index.folder), pins))
