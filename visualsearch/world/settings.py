"""What a simulated world is made from. The same settings over the same index give the same world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

from visualsearch.errors import UsageError

DAY_MS = 86_400_000
FEWEST_PINS = 10
MOST_PEOPLE = 10_000_000
PREFIX = "sim-"
"""Every simulated person's key, and every simulated event's id, begins with it. No real one may."""
NOTICE = "Simulated by visualsearch world: no person of this record exists."
FIRST_YEAR, LAST_YEAR = 1971, 2200
HISTORY_DAYS = 180
"""People bring saves of so many days before the first one along."""
FRESH_DAYS = 14
"""New pins began to come out so many days before the first day; until that age only the quota of new pins shows one."""


@dataclass(frozen=True)
class WorldSettings:
    """The knobs of a world; each is written into its truth.

    `start` is the first day, in UTC. `saves_per_person` is the mean number of saves that a person brings along from before it.
    `sessions_per_day` is the mean over people, and most have far fewer. `page` is the number of slots of a served list.
    `randomised` is the share of lists whose order is shuffled. `holdout` is the share of people who never see a merchant's
    pins, where the merchant runs a campaign. `lift` is the chance that looking at a promoted pin of full relevance causes a
    purchase, and `baseline` how many purchases a month a fitting person makes anyway. `consent` has the shares of people
    whose consent is off and session. `fresh` is the share of pins that come out during the days, `half_life_days` how fast
    their views halve. `spam` is the share of accounts that belong to rings and bulk spammers; `trends` turns the planted
    trends on. `effects` of 0 makes a world in which nothing that is shown has any effect on purchases.
    """

    people: int
    days: int = 30
    seed: int = 0
    start: str = "2026-06-01"
    saves_per_person: float = 20.0
    sessions_per_day: float = 0.25
    page: int = 20
    randomised: float = 0.1
    holdout: float = 0.2
    lift: float = 0.02
    baseline: float = 0.03
    effects: float = 1.0
    consent: tuple[float, float] = (0.05, 0.10)
    fresh: float = 0.3
    half_life_days: float = 2.0
    spam: float = 0.01
    trends: bool = True

    def __post_init__(self) -> None:
        for name, low, high in _BOUNDS:
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(
                    f"cannot simulate with {name} {value}", f"it must be between {low:,} and {high:,}"
                )
        if not all(0 <= share <= 1 for share in self.consent) or sum(self.consent) > 1:
            raise UsageError(
                f"cannot simulate with consent {self.consent}",
                "the shares of off and session must be from 0 on and at most 1 together",
            )
        try:
            first = date.fromisoformat(self.start)
            if not FIRST_YEAR <= first.year <= LAST_YEAR:
                raise ValueError(f"the year must be between {FIRST_YEAR} and {LAST_YEAR}")
        except ValueError as error:
            raise UsageError(
                f"cannot start at {self.start!r}", str(error), "Write the first day as 2026-06-01"
            ) from error

    @property
    def begins(self) -> int:
        """The first millisecond of the first day."""
        return round(datetime.fromisoformat(self.start).replace(tzinfo=UTC).timestamp() * 1000)

    @property
    def ends(self) -> int:
        """The first millisecond after the last day."""
        return self.begins + self.days * DAY_MS

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "consent": list(self.consent)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WorldSettings:
        """The settings that `to_dict` gave."""
        return cls(**{**values, "consent": tuple(values["consent"])})


_BOUNDS = (
    ("people", 1, MOST_PEOPLE),
    ("days", 1, 3650),
    ("seed", 0, 2**63 - 1),
    ("saves_per_person", 0, 1000),
    ("sessions_per_day", 0, 20),
    ("page", 1, 200),
    ("randomised", 0, 1),
    ("holdout", 0, 1),
    ("lift", 0, 1),
    ("baseline", 0, 10),
    ("effects", 0, 10),
    ("fresh", 0, 1),
    ("half_life_days", 0.1, 365),
    ("spam", 0, 0.5),
)


def person_key(seed: int, number: int) -> str:
    """The key of a simulated person: sim-7-000042."""
    return f"{PREFIX}{seed}-{number:06d}"
