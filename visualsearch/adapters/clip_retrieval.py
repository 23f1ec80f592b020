"""Embedding folders as clip-retrieval writes and autofaiss reads them.

Layout (https://github.com/rom1504/clip-retrieval, `clip_inference/writer.py`)::

    img_emb/img_emb_0000.npy          (n, d) float16
    metadata/metadata_0000.parquet    n rows: image_path, and whatever else is known of the pictures
    encoder.json                      ours: the encoder that made them, so that `index` can check it

Row i of a metadata file belongs to row i of the matrix with the same number. Our metadata has columns vs_... besides:
what an entry was when it was embedded. Files img_emb_0007_0002.npy are a part of shard 7 while it grows.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from visualsearch import images
from visualsearch.errors import ODD, UsageError, VisualSearchError
from visualsearch.indexing import (
    Clock,
    Embedded,
    embed,
    failed,
    look_ahead,
    not_finite,
    released,
    stopped,
    usable,
)
from visualsearch.resources import cores
from visualsearch.sources import SeenIds, gone
from visualsearch.storage import storage_error
from visualsearch.store import flush_folder, writing
from visualsearch.types import Encoder, Failure, Float32, IndexReport, PassedOver, Record, UInt8

from ._embeddings import (
    SPEC,
    Embeddings,
    is_embeddings,
    made_by,
    no_bytes,
    open_embeddings,
    read_spec,
    state_of,
    unsigned,
)
from ._shards import (
    FEW_SECONDS,
    MANY_SECONDS,
    Growing,
    Ledger,
    digest_bits,
    drop,
    next_number,
    recover,
    state_bits,
    unfinished,
)

__all__ = [
    "Embeddings",
    "Item",
    "Outcome",
    "Work",
    "embed_records",
    "is_embeddings",
    "made_by",
    "no_bytes",
    "open_embeddings",
    "read_spec",
    "unfinished",
    "unsigned",
    "write_embeddings",
]

Item = Record | Failure
KEPT_FAILURES = 1000


@dataclass(frozen=True)
class Outcome:
    """A picture, its (d,) float32 vector and the sha256 of its bytes, or why it has none.

    Neither a vector nor a failure: the content is what it was, and so is its vector.
    """

    record: Record
    vector: Float32 | None = None
    failure: Failure | None = None
    digest: bytes | None = None


Work = Callable[[Iterator[Item]], Iterator[list[Outcome]]]
"""Embeds the pictures of records; what becomes of them comes in groups, in any order."""


@dataclass(frozen=True)
class _Ready:
    record: Record
    pixels: UInt8 | None = None
    failure: Failure | None = None
    digest: bytes | None = None


def embed_records(
    items: Iterable[Item],
    encoder: Encoder,
    *,
    batch: int = 64,
    workers: int | None = None,
    max_pixels: int = images.MAX_PIXELS,
    clock: Clock | None = None,
    known: Callable[[Record, bytes], bool] | None = None,
) -> Generator[list[Outcome], None, None]:
    """Read, decode and embed in this process, in order; one bad picture costs itself only. A finished vector is kept.

    `known(record, sha256)` says that there is a vector of this content already.
    """
    threads, clock = workers or cores(), clock or Clock()

    def prepare(item: Item) -> _Ready:
        if isinstance(item, Failure):
            return _Ready(Record(item.id, item.uri, no_bytes), failure=item)
        if item.vector is not None:  # finished: there is nothing to read
            whole = usable(item, encoder.spec.dim)
            return prepare(whole) if isinstance(whole, Failure) else _Ready(whole, digest=item.digest)
        try:
            with clock.stage("read", threads):
                data = item.read()
                digest = hashlib.sha256(data).digest()
            if known is not None and known(item, digest):
                return _Ready(item, digest=digest)
            with clock.stage("decode", threads):
                target = encoder.spec.preprocessing.size
                images.accelerate()
                with images.in_hand():
                    picture = images.decode(data, name=item.uri, max_pixels=max_pixels, target=target)
                    return _Ready(released(item), encoder.preprocess(picture)[None], digest=digest)
        except ODD as error:
            return _Ready(released(item), failure=failed(item, error))

    window = 2 * batch + 2 * threads
    with closing(look_ahead(items, prepare, threads, window)) as ready:
        for group in embed(ready, lambda r: r.pixels, encoder, batch, clock):
            yield [_outcome(entry) for entry in group]


def _outcome(entry: Embedded[_Ready]) -> Outcome:
    ready = entry.item
    failure = ready.failure or not_finite(ready.record, entry.vectors)
    if failure is not None:
        return Outcome(ready.record, failure=failure)
    vector = ready.record.vector if entry.vectors is None else entry.vectors[0]
    return Outcome(ready.record, vector, digest=ready.digest)


def write_embeddings(
    items: Iterable[Item | PassedOver],
    folder: Path,
    encoder: Encoder,
    *,
    batch: int = 64,
    workers: int | None = None,
    shard_rows: int = 100_000,
    max_pixels: int = images.MAX_PIXELS,
    prune: bool = False,
    check_content: bool = False,
    flush_seconds: float = FEW_SECONDS,
    progress: Callable[[int, int], None] | None = None,
    work: Work | None = None,
    strict: bool = False,
) -> IndexReport:
    """Embed the pictures of a source into `folder`, `shard_rows` to a shard.

    Run again, it embeds what is new or has changed. What is embedded is on the disk after `flush_seconds` (more for a shard
    that takes long), and all of it when the run ends or is interrupted; the next run goes on from there. `prune` drops
    embeddings of this source that a complete read of it shows to be gone; `check_content` reads every file.
    `progress(seen, failed)` is called after every batch. `work` embeds them elsewhere than in this process, and then `batch`,
    `workers` and `max_pixels` are its own. Raises UsageError when the folder holds another encoder's embeddings, LockedError
    when another process writes to it. `strict` stops at the first failure, with a
    SourceError.
    """
    made = read_spec(folder)
    if made is not None and made.fingerprint != encoder.spec.fingerprint:
        raise UsageError(
            f"cannot write to {folder}",
            f"it holds embeddings by {made.name!r}",
            "Choose another folder, or delete it",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error
    with writing(folder):
        if made is None:
            _sign(folder, encoder)
        recover(folder)
        run = _Run(folder, str(getattr(items, "uri", "")), check_content, flush_seconds)
        clock = run.clock

        def here(fresh: Iterator[Item]) -> Iterator[list[Outcome]]:
            return embed_records(
                fresh,
                encoder,
                batch=batch,
                workers=workers,
                max_pixels=max_pixels,
                clock=clock,
                known=run.has_content,
            )

        try:
            for group in (work or here)(run.fresh(items)):
                run.take(group, shard_rows)
                if strict and run.failures:
                    raise stopped(run.failures[0], "what was embedded before is kept")
                if progress:
                    progress(run.counts["seen"], run.counts["failed"])
        except (KeyboardInterrupt, VisualSearchError):
            run.shard.finish()  # what is embedded is paid for: keep it before leaving
            raise
        return run.close(prune)


def _sign(folder: Path, encoder: Encoder) -> None:
    """Write who makes the embeddings; the file appears complete or not at all."""
    aside = folder / f".{SPEC}.{os.getpid()}.tmp"
    try:
        with aside.open("w", encoding="utf-8") as file:
            file.write(encoder.spec.to_json())
            file.flush()
            os.fsync(file.fileno())
        aside.replace(folder / SPEC)
        flush_folder(folder)
    except OSError as error:
        raise storage_error(folder, error) from error


class _Run:
    """One run of `write_embeddings`: what is there, what comes, and what becomes of it."""

    def __init__(self, folder: Path, source: str, check_content: bool, flush_seconds: float) -> None:
        self.folder, self.source = folder, source
        self.check_content, self.flush_seconds = check_content, flush_seconds
        self.ledger = Ledger(folder, source)
        self.shard = Growing(folder, next_number(folder))
        self.clock = Clock()
        self.started = self.flushed = self.begun = self.clock.now()
        self.cost = 0.0
        names = ("seen", "added", "updated", "unchanged", "failed", "embedded")
        self.counts = dict.fromkeys(names, 0)
        self.passed: dict[str, int] = {}
        self.failures: list[Failure] = []
        self.hidden: set[str] = set()
        self.met = SeenIds()

    # -- what comes -----------------------------------------------------------------------------------------------
    def fresh(self, items: Iterable[Item | PassedOver]) -> Iterator[Item]:
        """The entries that are new or may have changed, and the failures."""
        for item in items:
            if isinstance(item, PassedOver):
                self.passed[item.reason] = self.passed.get(item.reason, 0) + 1
            elif isinstance(item, Failure):
                self.ledger.see(item.id, item.uri)
                if item.hides is not None:
                    self.hidden.add(item.hides)
                yield item
            elif (failure := self._collision(item)) is not None:
                yield failure
            elif self._as_it_was(item):
                self.counts["unchanged"] += 1
                self.counts["seen"] += 1
            else:
                yield item

    def _collision(self, record: Record) -> Failure | None:
        """Why a named record may not have its id: another entry has it."""
        if not record.named:
            return None
        if self.met.first(f"id\0{record.id}", 0) is not None:
            why = f"its id {record.id!r} was given before in {self.source}"
            return Failure(record.uri, record.id, why, "Give each picture an id of its own")
        at = self.ledger.find(record)
        if at is None or self.ledger.own[at]:
            return None
        uri, source = self.ledger.place_of(at)
        if uri == record.uri or not source or gone(uri) or gone(source):
            return None
        why = f"its id {record.id!r} in {self.source} is that of {uri}, from {source}"
        return Failure(
            record.uri, record.id, why, "Give each picture an id of its own, or use another folder"
        )

    def _as_it_was(self, record: Record) -> bool:
        if not record.named and self.met.first(f"uri\0{record.uri}", 0) is not None:
            return True  # listed twice
        at = self.ledger.find(record)
        if at is None:
            return False
        self.ledger.seen[at] = True
        state = int(self.ledger.states[at])
        return not self.check_content and (state == 0 or state == state_bits(state_of(record)))

    def has_content(self, record: Record, digest: bytes) -> bool:
        """Whether a record's row has a vector of this content."""
        at = self.ledger.find(record)
        return at is not None and int(self.ledger.digests[at]) == digest_bits(digest.hex())

    # -- what becomes of it ---------------------------------------------------------------------------------------
    def take(self, outcomes: list[Outcome], shard_rows: int) -> None:
        """Keep a group's vectors, and bring them to the disk when it is time."""
        for outcome in outcomes:
            self.counts["seen"] += 1
            if outcome.failure is not None:
                self.counts["failed"] += 1
                self.failures += [outcome.failure] if len(self.failures) < KEPT_FAILURES else []
            else:
                self._keep(outcome)
        now = self.clock.now()
        with self.clock.stage("write"):
            if len(self.shard) >= shard_rows:
                self.shard.finish()
                self.flushed = self.begun = now
            elif now - self.flushed >= self._pause(now):
                self.shard.flush()
                self.flushed = self.clock.now()
                self.cost = self.flushed - now

    def _pause(self, now: float) -> float:
        """Seconds between two parts: parts shall be few, and writing them take at most a fiftieth of the time."""
        if not self.flush_seconds:
            return 0.0
        return min(MANY_SECONDS, max(self.flush_seconds, (now - self.begun) / 10, 50 * self.cost))

    def _keep(self, outcome: Outcome) -> None:
        record, digest = outcome.record, outcome.digest
        at = self.ledger.find(record)
        vector = outcome.vector
        if vector is not None:
            self.counts["embedded"] += 1
        elif at is not None:
            vector = self.ledger.vector(at)
        if vector is None:
            return
        if at is None:
            self.counts["added"] += 1
        else:
            same = digest is not None and int(self.ledger.digests[at]) == digest_bits(digest.hex())
            state = int(self.ledger.states[at])
            if same and state == state_bits(state_of(record)):  # read for its own sake
                self.counts["unchanged"] += 1
                return
            self.ledger.stale[at] = True
            described = state.to_bytes(8, "little", signed=True)[4:].hex() == state_of(record)[8:]
            self.counts["unchanged" if same and described else "updated"] += 1
        self.shard.add(record, digest, self.source, vector)

    def close(self, prune: bool) -> IndexReport:
        """Finish the shard, and drop what was replaced or is gone."""
        with self.clock.stage("write"):
            self.shard.finish()
            gone_rows, kept = self.ledger.gone(tuple(self.hidden))
            if prune:
                self.ledger.stale[gone_rows] = True
            number = self.shard.number
            for pair, rows in self.ledger.stale_rows().items():
                drop(self.folder, self.ledger.pairs[pair], rows, number)
                number += 1
        report = IndexReport(
            **self.counts,
            failures=tuple(self.failures),
            seconds=self.clock.now() - self.started,
            stages=self.clock.stages(),
            incomplete=bool(self.hidden),
            passed_over=dict(sorted(self.passed.items(), key=lambda each: -each[1])),
        )
        if prune:
            return replace(report, removed=len(gone_rows), kept=kept)
        return replace(report, gone=len(gone_rows))
