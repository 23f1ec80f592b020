"""How much spam people really saw: the share of impressions, so that a pin that nobody met counts nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visualsearch.engine import Index

DAY_MS = 86_400_000


@dataclass(frozen=True)
class Prevalence:
    """Impressions of the last day: all of them, those of pins judged spam since, and those of pins that wait in the queue."""

    impressions: int
    spam: int
    waiting: int

    @property
    def share(self) -> float:
        """Impressions of judged spam per impression."""
        return self.spam / self.impressions if self.impressions else 0.0

    @property
    def highest(self) -> float:
        """The same if all that waits were spam."""
        return (self.spam + self.waiting) / self.impressions if self.impressions else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "impressions": self.impressions,
            "spam": self.spam,
            "waiting": self.waiting,
            "share": self.share,
            "highest": self.highest,
        }


def prevalence(index: Index) -> Prevalence:
    """The prevalence of spam over the last 24 hours."""
    now = index.people.now()
    return Prevalence(*index.people.impressions_judged(now - DAY_MS, now + 1))
