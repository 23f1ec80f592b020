"""What belongs together, from labels, boards, clicks or product variants: pairs of a pin and a group."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np

from visualsearch.errors import SourceError, UnknownNameError, UsageError
from visualsearch.types import Float32, Int64, Stored

if TYPE_CHECKING:
    from visualsearch.engine import Index

FOLDERS = "folder"
ATTRIBUTE = "attribute:"
MOST_OF_A_GROUP = 5000
"""A group of more pins, such as a board for anything, says little; it is left out."""
DEEDS = ("click", "save", "visit")


@dataclass(frozen=True)
class Together:
    """m pairs: the pin `pin[i]` belongs to the group `group[i]`. `vectors` has the pins' rows, (n, d) float32 of unit length.

    `left_out` counts what was not used, by reason.
    """

    vectors: Float32 = field(repr=False)
    pin: Int64
    group: Int64
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return int(self.group.max()) + 1 if len(self.group) else 0


def by_labels(index: Index, labels: str) -> Together:
    """Groups of one label: `folder`, `attribute:NAME`, or a CSV file with the columns pin and label.

    A pin of two labels contradicts itself and is left out.
    """
    if labels == FOLDERS:
        return _made(index, lambda pin: [_folder(pin.uri)])
    if labels.startswith(ATTRIBUTE):
        name = labels.removeprefix(ATTRIBUTE)
        if name not in index.attributes():
            raise UnknownNameError("attribute", name, index.attributes())
        return _made(index, lambda pin: _listed(pin.attributes.get(name)))
    told, twice = _read_labels(Path(labels))
    found = _made(index, lambda pin: told.get(pin.id, []))
    return Together(found.vectors, found.pin, found.group, {**found.left_out, **twice})


def by_variants(index: Index) -> Together:
    """Groups of the pictures that show one product: those that the index groups by."""
    name = index.info()["group_by"]
    if name is None or name not in index.attributes():
        raise UsageError(
            "no product has variants here",
            "the index groups its pins by no attribute",
            "Index with --group-by ATTRIBUTE, or use --labels attribute:NAME",
        )
    return _made(index, lambda pin: _listed(pin.attributes.get(name)))


def by_boards(index: Index) -> Together:
    """Groups of pins on one public board, of people who allow that it counts."""
    _need_people(index, "boards")
    material = index.people.material()
    names: dict[str, list[str]] = {}
    for pin, board in zip(material.pin.tolist(), material.board.tolist(), strict=True):
        names.setdefault(material.pins[pin], []).append(material.boards[board])
    return _made(index, lambda pin: names.get(pin.id, []))


def by_clicks(index: Index) -> Together:
    """Groups of pins that one person clicked, visited or saved in one served list."""
    _need_people(index, "clicks")
    deeds = index.people.event_columns(0, index.people.now() + 1, kinds=DEEDS)
    answer, pin = deeds.codes["answer"], deeds.codes["pin_id"]
    names: dict[str, list[str]] = {}
    for code, at, person in zip(pin.tolist(), answer.tolist(), deeds.person.tolist(), strict=True):
        if code >= 0 and at >= 0:
            names.setdefault(deeds.names["pin_id"][code], []).append(f"{at} {person}")
    return _made(index, lambda stored: names.get(stored.id, []))


def _need_people(index: Index, what: str) -> None:
    if not index.has_people:
        raise UsageError(
            f"there are no {what} to learn from",
            "the index has no record of people",
            "Import one: visualsearch people import DIR FILE",
        )


def _made(index: Index, groups_of: _GroupsOf) -> Together:
    """One pass over the index: the rows of pins that belong somewhere, and what they belong to."""
    rows: list[Float32] = []
    pins: list[int] = []
    names: list[str] = []
    for batch in index.rows(4096):
        for stored in batch:
            if stored.box is not None:
                continue
            found = list(dict.fromkeys(groups_of(stored)))
            if found:
                pins += [len(rows)] * len(found)
                names += found
                rows.append(stored.vector)
    sizes = Counter(names)
    fits = [2 <= sizes[name] <= MOST_OF_A_GROUP for name in names]
    left = {
        "groups of one pin": sum(count < 2 for count in sizes.values()),
        f"groups of more than {MOST_OF_A_GROUP:,} pins": sum(c > MOST_OF_A_GROUP for c in sizes.values()),
    }
    pin = np.array(pins, np.int64)[np.array(fits, bool)]
    kept, pin = np.unique(pin, return_inverse=True)
    chosen = [name for name, fit in zip(names, fits, strict=True) if fit]
    order = {name: at for at, name in enumerate(dict.fromkeys(chosen))}
    vectors = np.stack([rows[at] for at in kept]) if len(kept) else np.zeros((0, index.spec.dim), np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
    group = np.array([order[name] for name in chosen], np.int64)
    return Together(vectors, pin.astype(np.int64), group, {key: n for key, n in left.items() if n})


def _read_labels(path: Path) -> tuple[dict[str, list[str]], dict[str, int]]:
    """Pin id -> its one label, and how many contradicted themselves."""
    if not path.is_file():
        raise SourceError(
            f"cannot read the labels {str(path)!r}",
            "there is no such file",
            "Give a CSV file with the columns pin and label, `folder`, or `attribute:NAME`",
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if not {"pin", "label"} <= set(rows.fieldnames or ()):
                raise SourceError(
                    f"cannot read the labels {str(path)!r}",
                    f"its columns are {', '.join(rows.fieldnames or ())[:100]}",
                    "Name the columns pin and label",
                )
            told: dict[str, set[str]] = {}
            for row in rows:
                if row["pin"] and row["label"]:
                    told.setdefault(row["pin"], set()).add(row["label"])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"cannot read the labels {str(path)!r}", str(error), "Write it as UTF-8") from error
    several = sum(len(labels) > 1 for labels in told.values())
    once = {pin: list(labels) for pin, labels in told.items() if len(labels) == 1}
    return once, {"pins with labels that contradict one another": several} if several else {}


def _folder(uri: str) -> str:
    path = urlsplit(uri).path if "://" in uri else uri
    return PurePosixPath(path.replace("\\", "/")).parent.name


def _listed(value: object) -> Sequence[str]:
    if isinstance(value, (list, tuple)):
        return [str(each) for each in value]
    return [] if value is None else [str(value)]


if TYPE_CHECKING:
    from collections.abc import Callable

    _GroupsOf = Callable[[Stored], Iterable[str]]
