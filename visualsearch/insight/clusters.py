"""Visual clusters that stay themselves: each run starts from those of the run before, and what is the same keeps its id."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from visualsearch.errors import EncoderError, NotAnIndexError, UsageError, VisualSearchError
from visualsearch.phrases import common_names, name_of, phrases, settled
from visualsearch.storage import storage_error
from visualsearch.types import Float16, Float32, Float64, Int64

from .layout import laid_out

if TYPE_CHECKING:
    from visualsearch.engine import Index

FILE = "insight/clusters.npz"
MOST, FEWEST_PINS = 96, 10
SAMPLE = 20_000
ROUNDS = 10
SAME = 0.8
"""A cluster is the one of the run before where the cosine of their centres is at least this."""
GROWN = 0.1
"""Clusters are made anew when the number of pins has changed by more than this share."""
NAMED = 2000
BATCH = 8192


@dataclass(frozen=True)
class Clusters:
    """c clusters. `ids` (c,) never come again for another one; `centres` (c, d) are of unit length; `map` (c, 2) is in 0..1.

    `since` (c,) is the run in which each was first seen, `pins` the number of pins it was made from.
    """

    ids: Int64
    centres: Float32 = field(repr=False)
    names: list[str]
    map: Float64 = field(repr=False)
    since: Int64
    run: int
    pins: int
    next_id: int

    def __len__(self) -> int:
        return len(self.ids)

    def of(self, vectors: Float16 | Float32) -> Int64:
        """(n,) the place in `ids` of the cluster of each vector."""
        out = np.empty(len(vectors), np.int64)
        for at in range(0, len(vectors), BATCH):
            part = np.asarray(vectors[at : at + BATCH], np.float32)
            out[at : at + BATCH] = (part @ self.centres.T).argmax(1)
        return out


@dataclass(frozen=True)
class Collection:
    """The pins of an index that have a vector: ids, numbers, vectors, and the place of each one's cluster."""

    ids: list[str] = field(repr=False)
    numbers: Int64 = field(repr=False)
    vectors: Float16 = field(repr=False)
    clusters: Clusters
    cluster: Int64 = field(repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def by_number(self) -> Int64:
        """Pin number -> place in `ids`, -1 where there is none."""
        out = np.full(int(self.numbers.max(initial=0)) + 1, -1, np.int64)
        out[self.numbers] = np.arange(len(self.numbers))
        return out

    def places(self, numbers: Int64) -> Int64:
        """Where pins of those numbers stand; -1 for others."""
        known = self.by_number
        inside = (numbers >= 0) & (numbers < len(known))
        return np.where(inside, known[np.where(inside, numbers, 0)], -1)


def read_collection(index: Index) -> Collection:
    """The pins of an index in their clusters, which are kept beside it. Raises UsageError where there are too few."""
    parts = list(_parts(index))
    ids = [name for part in parts for name in part[0]]
    if len(ids) < FEWEST_PINS:
        raise UsageError(
            f"there is nothing to see yet in {index.folder}",
            f"it has {len(ids)} pins with vectors, and clusters need {FEWEST_PINS}",
            "Index more pictures first: visualsearch index PICTURES --to DIR",
        )
    numbers, vectors = (np.concatenate([part[at] for part in parts]) for at in (1, 2))
    del parts
    before = load(index.folder / FILE)
    found = before
    if before is None or abs(len(ids) - before.pins) > GROWN * before.pins:
        found = make_clusters(vectors, _words(index, ids), before)
        names = _by_words(index, found) if any(not name for name in found.names) else found.names
        found = replace(found, names=_apart(names))
        store(index.folder / FILE, found)
    assert found is not None
    return Collection(ids, numbers, vectors, found, found.of(vectors))


def _parts(index: Index) -> Iterator[tuple[list[str], Int64, Float16]]:
    for ids, numbers, vectors in index.whole_pictures():
        yield ids, numbers, vectors.astype(np.float16)


def _words(index: Index, ids: Sequence[str]) -> list[tuple[str, ...]]:
    """The phrases of each pin. A pin that came or went meanwhile has none."""
    found: dict[str, tuple[str, ...]] = {}
    with index.catalog.read() as reader:
        for pin in reader.each_pin():
            found[pin.id] = phrases(pin.id, pin.attributes)
    return settled([found.get(name, ()) for name in ids])


def make_clusters(
    vectors: Float16, words: Sequence[tuple[str, ...]], before: Clusters | None = None, seed: int = 7
) -> Clusters:
    """Clusters of (n, d) unit vectors, named by their pins' phrases; those that were there before keep their ids."""
    rng = np.random.default_rng(seed)
    n = len(vectors)
    points = vectors[np.sort(rng.choice(n, min(n, SAMPLE), replace=False))].astype(np.float32)
    count = int(np.clip(round((n / 2) ** 0.5), 2, MOST))
    known = before is not None and before.centres.shape[1] == points.shape[1]
    start = before.centres if before is not None and known else points[:0]
    centres = _refined(points, _started(points, start, min(count, len(points)), rng), ROUNDS)
    ids, since, next_id, run = _identified(centres, before)
    made = Clusters(ids, centres, [], np.zeros((len(ids), 2)), since, run, n, next_id)
    owner = made.of(vectors)
    everywhere = common_names(words)
    names = []
    for number in range(len(made)):
        members = np.flatnonzero(owner == number)[:NAMED]
        names.append(name_of([words[at] for at in members], everywhere, n) if len(members) else "")
    places = None
    if before is not None:
        known = {int(each): at for at, each in enumerate(before.ids)}
        places = np.array([before.map[known[int(i)]] if int(i) in known else [np.nan] * 2 for i in ids])
    return replace(made, names=names, map=laid_out(centres, places))


def _started(points: Float32, known: Float32, count: int, rng: np.random.Generator) -> Float32:
    """The known centres, and as many points more as are wanted: each likelier the farther it is from all before (k-means++)."""
    chosen = [known] if len(known) else [points[rng.integers(0, len(points), 1)]]
    away = np.maximum(1 - (points @ chosen[0].T).max(1), 0).astype(np.float64)
    for _ in range(count - len(chosen[0])):
        total = away.sum()
        at = rng.choice(len(points), p=away / total) if total > 0 else rng.integers(len(points))
        chosen.append(points[at : at + 1])
        away = np.minimum(away, np.maximum(1 - points @ points[at], 0))
    return np.concatenate(chosen)


def _refined(points: Float32, centres: Float32, rounds: int) -> Float32:
    """Spherical k-means (Dhillon and Modha 2001). A centre without points goes."""
    for _ in range(rounds):
        owner = (points @ centres.T).argmax(1)
        member = (owner == np.arange(len(centres))[:, None]).astype(np.float32)
        held = member.any(1)
        centres = _unit(member[held] @ points)
    return centres


def _unit(rows: Float32) -> Float32:
    made: Float32 = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-9))
    return made


def _identified(centres: Float32, before: Clusters | None) -> tuple[Int64, Int64, int, int]:
    """Ids, first runs, the next free id and the number of this run, by the best one-to-one match with the run before."""
    if before is None or before.centres.shape[1] != centres.shape[1]:
        first = 1 if before is None else before.next_id
        run = 1 if before is None else before.run + 1
        return np.arange(first, first + len(centres)), np.full(len(centres), run), first + len(centres), run
    cosine = centres @ before.centres.T
    new, old = linear_sum_assignment(-cosine)
    ids, since = np.zeros(len(centres), np.int64), np.full(len(centres), before.run + 1)
    for one, other in zip(new, old, strict=True):
        if cosine[one, other] >= SAME:
            ids[one], since[one] = before.ids[other], before.since[other]
    fresh = np.flatnonzero(ids == 0)
    ids[fresh] = before.next_id + np.arange(len(fresh))
    return ids, since, before.next_id + len(fresh), before.run + 1


def _by_words(index: Index, made: Clusters) -> list[str]:
    """Names of clusters whose pins have no words: the vocabulary's nearest, where the encoder reads texts."""
    try:
        known = index.words()
    except (EncoderError, UsageError):  # it cannot read texts, or is not on this machine
        return [name or f"look {number}" for name, number in zip(made.names, made.ids.tolist(), strict=True)]
    usual = known.vectors.mean(0)
    names = []
    for name, centre in zip(made.names, made.centres, strict=True):
        scores = (known.vectors - usual) @ (centre - made.centres.mean(0))
        names.append(name or known.vocabulary[int(scores.argmax())])
    return names


def _apart(names: Sequence[str]) -> list[str]:
    """Names of which none is another's: of several, the second gets a 2."""
    taken: dict[str, int] = {}
    found = []
    for name in names:
        taken[name] = taken.get(name, 0) + 1
        found.append(name if taken[name] == 1 else f"{name} {taken[name]}")
    return found


def load(path: Path) -> Clusters | None:
    """The clusters in a file, or None. Raises NotAnIndexError where it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as held:
            plain = json.loads(str(held["plain"]))
            return Clusters(
                held["ids"],
                held["centres"],
                list(plain["names"]),
                held["map"],
                held["since"],
                int(plain["run"]),
                int(plain["pins"]),
                int(plain["next_id"]),
            )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, VisualSearchError) as error:
        raise NotAnIndexError(
            f"cannot read {path}",
            str(error),
            "Restore it from a copy, or delete it: clusters then get new ids",
        ) from error


def store(path: Path, clusters: Clusters) -> None:
    """Write clusters whole or not at all. Raises StorageError."""
    plain = {"names": clusters.names, "run": clusters.run, "pins": clusters.pins, "next_id": clusters.next_id}
    held = io.BytesIO()
    np.savez(
        held,
        ids=clusters.ids,
        centres=clusters.centres,
        map=clusters.map,
        since=clusters.since,
        plain=np.array(json.dumps(plain)),
    )
    aside = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(exist_ok=True)
        with aside.open("wb") as file:
            file.write(held.getvalue())
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        aside.unlink(missing_ok=True)
