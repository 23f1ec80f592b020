"""A campaign: what it promotes, what it pays, and whom it wants to meet. Checked here as far as it can be without an index."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from visualsearch.errors import UnknownNameError, UsageError

from . import money

DAY_MS = 86_400_000
PAYS = ("click", "visit", "save")
MOST_BID = 1_000_000
"""Minor units that one event may cost."""
MOST_PINS = 500
MOST_WORDS = 200
CAP = 3
"""A person is shown a campaign so often a day, unless it says otherwise."""
MOST_CAP = 20
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


@dataclass(frozen=True)
class Target:
    """Whom a campaign wants to meet. Without any of it, it meets whoever looks at what its pins look like.

    `like`: pins; `picture` with `crop` (left, top, right, bottom as fractions); `boards`: public ones. Each stands for a look,
    and `words` for a look too, and for themselves in a query. One of these is enough. `attributes`: the pins of the page must
    have one of the values. `audience`: people whose taste is like that of those who saved these pins.
    """

    like: tuple[str, ...] = ()
    picture: str | None = None
    crop: tuple[float, float, float, float] | None = None
    words: tuple[str, ...] = ()
    boards: tuple[str, ...] = ()
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    audience: tuple[str, ...] = ()

    @property
    def looks(self) -> bool:
        """Whether it says what the page has to look like or to be asked for with."""
        return bool(self.like or self.picture or self.words or self.boards)


@dataclass(frozen=True)
class Campaign:
    """A campaign. `bid`, `budget`, `daily` and `spent` are minor units of `currency`; `start` and `end` are milliseconds.

    It pays its price for each event `pay`. `cap`: so often a day one person is shown it. `exclude`: words of a query or of a
    page's pins beside which it never stands. `looks` are targets as vectors, `taste` is the audience; `prepared` makes both.
    """

    id: str
    advertiser: str
    pins: tuple[str, ...]
    bid: int
    currency: str
    budget: int
    pay: str = "click"
    daily: int | None = None
    start: int | None = None
    end: int | None = None
    target: Target = Target()
    cap: int = CAP
    exclude: tuple[str, ...] = ()
    state: str = "running"
    spent: int = 0
    created: int = 0
    stopped: int | None = None
    reason: str = ""
    looks: str = ""
    taste: Mapping[str, Any] | None = None
    encoder: str = ""

    def __post_init__(self) -> None:
        _check(self)

    def runs(self, now: int) -> bool:
        """Whether it may be shown at a time (ms)."""
        begun = self.start is None or now >= self.start
        return self.state == "running" and begun and (self.end is None or now < self.end)

    def day_budget(self, now: int, spent: int) -> int:
        """What it may spend on a day before which it had spent so much: `daily`, or an even share of what is left."""
        left = max(0, self.budget - spent)
        if self.daily is not None:
            return min(self.daily, left)
        if self.end is None:
            return left
        days = max(1, -(-(self.end - (now - now % DAY_MS)) // DAY_MS))
        # A share that pays for no event would never be spent.
        return max(-(-left // days), min(left, self.bid))

    def to_row(self) -> dict[str, Any]:
        """A row of the record."""
        values = asdict(self)
        row = {name: values.pop(name) for name in _COLUMNS}
        return {"campaign": values.pop("id"), **row, "plan": values}

    @staticmethod
    def from_row(row: Mapping[str, Any]) -> Campaign:
        """What `to_row` made."""
        plan = dict(row["plan"])
        target = dict(plan.pop("target"))
        for name in ("like", "words", "boards", "audience"):
            target[name] = tuple(target[name])
        target["crop"] = tuple(target["crop"]) if target["crop"] else None
        target["attributes"] = {name: tuple(values) for name, values in target["attributes"].items()}
        for name in ("pins", "exclude"):
            plan[name] = tuple(plan[name])
        same = {name: row[name] for name in _COLUMNS}
        return Campaign(id=row["campaign"], **same, **plan, target=Target(**target))

    def changed(self, **values: Any) -> Campaign:
        """A copy with other values, checked."""
        return replace(self, **values)


_COLUMNS = ("advertiser", "state", "currency", "budget", "daily", "spent", "created", "stopped", "reason")


def _check(made: Campaign) -> None:
    what = f"cannot take campaign {made.id[:40]!r}"
    if not _ID.fullmatch(made.id):
        raise UsageError(what, "an id has letters, digits, and . _ - only", "Give it another id")
    if not made.advertiser.strip() or len(made.advertiser) > 200 or not made.advertiser.isprintable():
        raise UsageError(what, "it names no advertiser", "Give `advertiser`, of at most 200 characters")
    if not made.pins:
        raise UsageError(what, "it has no pins", "Name the pins that it promotes in `pins`")
    if len(made.pins) > MOST_PINS:
        raise UsageError(what, f"it has {len(made.pins):,} pins", f"Promote at most {MOST_PINS}")
    if made.pay not in PAYS:
        raise UnknownNameError("event to pay for", str(made.pay)[:40], PAYS)
    if not 0 < made.bid <= MOST_BID:
        most = money.written(MOST_BID, made.currency)
        raise UsageError(
            what,
            f"the bid is {money.written(made.bid, made.currency)}",
            f"Bid more than 0 and at most {most}",
        )
    if not made.bid <= made.budget <= money.MOST:
        raise UsageError(what, "the budget does not pay for one bid", "Give a larger budget, or bid less")
    if made.daily is not None and made.daily < made.bid:
        raise UsageError(what, "a day's budget does not pay for one bid", "Give a larger one, or bid less")
    if made.start is not None and made.end is not None and made.end <= made.start:
        raise UsageError(what, "it ends before it starts", "Change `start` or `end`")
    if not 1 <= made.cap <= MOST_CAP:
        raise UsageError(what, f"the cap is {made.cap}", f"Give 1 to {MOST_CAP} times a day")
    crop = made.target.crop
    if crop is not None and not (0 <= crop[0] < crop[2] <= 1 and 0 <= crop[1] < crop[3] <= 1):
        raise UsageError(
            what, "the crop is no part of a picture", "Give left, top, right, bottom as fractions"
        )
    if len(made.target.words) > MOST_WORDS:
        raise UsageError(what, f"it has {len(made.target.words):,} words", f"Give at most {MOST_WORDS}")


# -- from a row of a file --------------------------------------------------------------------------------------------
FIELDS = (
    *(
        "id",
        "advertiser",
        "pins",
        "bid",
        "currency",
        "budget",
        "daily",
        "pay",
        "start",
        "end",
        "cap",
        "exclude",
    ),
    *("like", "picture", "crop", "words", "boards", "attributes", "audience"),
)
"""Columns of a file of campaigns."""


def from_values(given: Mapping[str, Any]) -> Campaign:
    """A campaign of a row of CSV, or of a JSON object. Lists in CSV are separated by `;`. Raises UsageError."""
    values = {str(name).strip(): value for name, value in given.items() if value not in (None, "", [], {})}
    if unknown := values.keys() - set(FIELDS):
        raise UnknownNameError("column", min(unknown)[:60], FIELDS)
    name = str(values.get("id", ""))
    if "bid" not in values or "budget" not in values:
        raise UsageError(f"cannot take campaign {name[:40]!r}", "it has no bid or no budget", "Give both")
    amounts: dict[str, tuple[Decimal, str | None]] = {
        key: money.read(values[key]) for key in ("bid", "budget", "daily") if key in values
    }
    currency = _one_currency(name, values.get("currency"), amounts)
    if not 0 < amounts["bid"][0] <= MOST_BID:
        raise UsageError(
            f"cannot take campaign {name[:40]!r}",
            f"the bid is {amounts['bid'][0]} {currency}",
            f"Bid more than 0, and at most {money.written(MOST_BID, currency)}",
        )
    sums = {key: money.minor(amount, currency) for key, (amount, _) in amounts.items()}
    return Campaign(
        id=name,
        advertiser=str(values.get("advertiser", "")),
        pins=_listed(values.get("pins")),
        bid=sums["bid"],
        currency=currency,
        budget=sums["budget"],
        daily=sums.get("daily"),
        pay=str(values.get("pay", "click")),
        start=_time(values.get("start"), False),
        end=_time(values.get("end"), True),
        cap=_whole("cap", values.get("cap", CAP)),
        exclude=tuple(word.casefold() for word in _listed(values.get("exclude"))),
        target=Target(
            like=_listed(values.get("like")),
            picture=values.get("picture"),
            crop=_crop(values.get("crop")),
            words=tuple(word.casefold() for word in _listed(values.get("words"))),
            boards=_listed(values.get("boards")),
            attributes=_attributes(values.get("attributes")),
            audience=_listed(values.get("audience")),
        ),
    )


def _one_currency(name: str, named: Any, amounts: Mapping[str, tuple[Decimal, str | None]]) -> str:
    codes = {code for _, code in amounts.values() if code is not None}
    codes |= {money.currency_of(str(named))} if named else set()
    if len(codes) != 1:
        why = f"it has amounts in {' and '.join(sorted(codes))}" if codes else "it names no currency"
        raise UsageError(
            f"cannot take campaign {name[:40]!r}", why, "Give `currency`, and every amount in that one"
        )
    return codes.pop()


def _listed(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    parts: Sequence[Any] = value if isinstance(value, list) else str(value).split(";")
    return tuple(dict.fromkeys(text for part in parts if (text := str(part).strip())))


def _whole(name: str, value: Any) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise UsageError(f"`{name}` is {str(value)[:40]!r}", "it is no whole number", "Correct it") from None


def _crop(value: Any) -> tuple[float, float, float, float] | None:
    if value is None:
        return None
    parts = value if isinstance(value, list) else str(value).replace(";", ",").split(",")
    try:
        left, top, right, bottom = (float(part) for part in parts)
    except ValueError:
        raise UsageError(
            f"`crop` is {str(value)[:40]!r}", "it is no part of a picture", "Write it as 0.1,0.2,0.8,0.9"
        ) from None
    return left, top, right, bottom


def _attributes(value: Any) -> dict[str, tuple[str, ...]]:
    """`category=shoe|boot; color=red`, or an object of lists."""
    if value is None:
        return {}
    if isinstance(value, dict):
        return {
            str(name): _listed(held if isinstance(held, list) else [held]) for name, held in value.items()
        }
    found = {}
    for part in _listed(value):
        name, equals, values = part.partition("=")
        if not equals or not values.strip():
            raise UsageError(
                f"`attributes` has {part[:40]!r}",
                "it has no value",
                "Write it as in category=shoe|boot; color=red",
            )
        found[name.strip()] = tuple(each.strip() for each in values.split("|") if each.strip())
    return found


def _time(value: Any, end: bool) -> int | None:
    """A date or time in UTC as milliseconds. A date ends with its last instant."""
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise UsageError(
            f"{str(value)[:40]!r} is no date", "it is not ISO 8601", "Write it as 2026-12-01"
        ) from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    only_day = len(str(value).strip()) == len("2026-12-01")
    return round(at.timestamp() * 1000) + (DAY_MS if end and only_day else 0)
