"""How a run of the indexer goes, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from visualsearch import images
from visualsearch.types import Failure

KEPT_FAILURES = 1000
"""A report holds at most this many failures; the catalog has them all."""


@dataclass(frozen=True)
class Settings:
    """How to run the indexer.

    `batch`: pictures embedded at once. `workers`: threads that read and decode (default: one a processor).
    `commit_rows` / `commit_seconds`: a commit follows whichever comes first. `prune`: remove pins of this source that a
    complete read of it shows to be gone. `check_content`: read every file even where size and time are unchanged.
    `max_pixels`: larger pictures fail. `replace`: a picture takes the pin of its id, also one that another source gave.
    `strict`: stop at the first failure, with a SourceError.
    """

    batch: int = 64
    workers: int | None = None
    commit_rows: int = 4096
    commit_seconds: float = 10.0
    prune: bool = False
    check_content: bool = False
    max_pixels: int = images.MAX_PIXELS
    strict: bool = False
    replace: bool = False


@dataclass(frozen=True)
class Progress:
    """A moment of a run: pictures seen and committed, the expected number if known, and busy seconds by stage."""

    seen: int
    committed: int
    failed: int
    total: int | None
    seconds: float
    stages: dict[str, float]


@dataclass
class Tally:
    """What was done with the pictures of a run, or of a commit."""

    seen: int = 0
    added: int = 0
    updated: int = 0
    moved: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: int = 0
    embedded: int = 0
    excluded: int = 0
    failures: list[Failure] = field(default_factory=list)

    def fail(self, failure: Failure) -> None:
        """Count a failure, and keep it for the report."""
        self.failed += 1
        if len(self.failures) < KEPT_FAILURES:
            self.failures.append(failure)

    def merge(self, other: Tally) -> None:
        """Add another's figures to these."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        del self.failures[KEPT_FAILURES:]
