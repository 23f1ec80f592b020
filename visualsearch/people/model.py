"""Values of the people half: events and what they mean, persons, boards, saves. Light: no SQL is imported here."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from visualsearch.errors import UsageError

FILE = "people.sqlite"
TOKEN = "vp_"
"""How a person's token begins."""
DAY_MS = 86_400_000
SESSION_MS = 30 * 60_000
"""A session ends after 30 minutes without an event."""
SHORT_VISIT_MS = 30_000


class Meaning(NamedTuple):
    """What a kind of event says about a pin, and which switch of the person's consent lets it be stored.

    `weight` is the evidence for (+) or against (-) the pin. `signal` is a switch of `Consent`, or None.
    `pin` says whether the event must name a pin.
    """

    weight: float
    signal: str | None
    pin: bool


MEANINGS: Mapping[str, Meaning] = {
    "impression": Meaning(-0.05, "clicks", True),
    "click": Meaning(0.3, "clicks", True),
    "visit": Meaning(0.5, "clicks", True),
    "save": Meaning(1.0, None, True),
    "unsave": Meaning(-1.0, None, True),
    "hide": Meaning(-2.0, None, True),
    "report": Meaning(-3.0, None, True),
    "share": Meaning(0.8, "clicks", True),
    "follow": Meaning(0.5, None, False),
    "unfollow": Meaning(-0.5, None, False),
    "search": Meaning(0.0, "searches", False),
    "purchase": Meaning(3.0, None, True),
    "exposure": Meaning(0.0, "clicks", False),
}
"""The one table of event kinds."""
SHORT_VISIT_WEIGHT = -1.0
SURFACES = ("search", "related", "look", "feed", "board", "extension", "site")


def weight(kind: str, dwell_ms: int | None = None) -> float:
    """The evidence of one event: its kind's weight, or -1 for a visit that ended within 30 seconds."""
    if kind == "visit" and dwell_ms is not None and dwell_ms < SHORT_VISIT_MS:
        return SHORT_VISIT_WEIGHT
    return MEANINGS[kind].weight


@dataclass(frozen=True)
class Event:
    """One thing that a person did.

    `at` is the client's time: milliseconds since 1970 in UTC, or a datetime; None is now. `event_id` makes an event idempotent;
    without one it gets a random id. `slot`, `row` and `column` say where in the served list `answer` the pin stood.
    `value` and `currency` belong to a purchase.
    """

    kind: str
    person: str
    pin: str | None = None
    at: int | datetime | None = None
    event_id: str | None = None
    session: str | None = None
    surface: str | None = None
    answer: str | None = None
    slot: int | None = None
    row: int | None = None
    column: int | None = None
    variant: str | None = None
    propensity: float | None = None
    dwell_ms: int | None = None
    board: str | None = None
    value: float | None = None
    currency: str | None = None
    site: str | None = None


class Status(StrEnum):
    """What became of an event."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


@dataclass(frozen=True)
class Verdict:
    """What became of one event of a batch; a refused one has a reason and a remedy."""

    event_id: str
    status: Status
    reason: str = ""
    remedy: str = ""


class ConsentLevel(StrEnum):
    """How much may be kept of a person: nothing, until the session ends, or all."""

    OFF = "off"
    SESSION = "session"
    ON = "on"


SIGNALS = ("searches", "clicks", "profile", "sites")


@dataclass(frozen=True)
class Consent:
    """What a person allows. Each signal is a switch that counts unless `level` is off.

    `paused` stops the recording of events; what was kept stays.
    """

    level: ConsentLevel = ConsentLevel.ON
    searches: bool = True
    clicks: bool = True
    profile: bool = True
    sites: bool = True
    paused: bool = False


@dataclass(frozen=True)
class Person:
    """A person: a random pseudonym, the application's own `key` for it (None once dropped), consent, and what they declared."""

    pseudonym: str
    key: str | None
    consent: Consent
    profile: Mapping[str, Any] = field(default_factory=dict)
    created: int = 0


PROFILE = ("locale", "region", "age_band", "gender", "interests", "device")
"""All that a profile may hold. Each is declared by the person, and never guessed."""


class BoardKind(StrEnum):
    """A project ends; an interest stays."""

    INTEREST = "interest"
    PROJECT = "project"


@dataclass(frozen=True)
class Board:
    """A board. `owner` is a pseudonym; `saves` counts the pins on it that are not gone."""

    id: str
    owner: str
    title: str
    description: str = ""
    kind: BoardKind = BoardKind.INTEREST
    ends: int | None = None
    secret: bool = False
    sections: Sequence[str] = ()
    collaborators: Sequence[str] = ()
    saves: int = 0


@dataclass(frozen=True)
class Save:
    """A pin on a board. `repin_of` is the save it was taken from; `gone` says that the pin is not in the index now."""

    id: int
    board: str
    person: str
    pin: str
    number: int | None
    at: int
    note: str = ""
    site: str | None = None
    section: str | None = None
    repin_of: int | None = None
    gone: bool = False


@dataclass(frozen=True)
class Follow:
    """What a person follows, and since when: a person by pseudonym, a board by id, a topic by its word."""

    kind: str
    target: str
    at: int


class CommentState(StrEnum):
    """Whether a comment is shown."""

    SHOWN = "shown"
    HELD = "held"
    REPORTED = "reported"
    DELETED = "deleted"


@dataclass(frozen=True)
class Comment:
    """Plain words about a pin. `mentions` are pseudonyms."""

    id: int
    pin: str
    person: str
    text: str
    at: int
    state: CommentState = CommentState.SHOWN
    mentions: Sequence[str] = ()


@dataclass(frozen=True)
class Receipt:
    """That a person was forgotten, without their name: what was removed by table, and how it was proved."""

    id: str
    at: int
    removed: Mapping[str, int]
    proof: str


class PinRef(NamedTuple):
    """A pin as people's rows keep it: the number survives renames, the id a rebuilt index, the hash both."""

    number: int | None
    id: str
    hash: bytes | None = None


class Pins(Protocol):
    """What the people half asks of a catalog."""

    def find(self, ids: Sequence[str]) -> Mapping[str, PinRef]:
        """The pins of those ids; unknown ids are left out."""
        ...

    def find_pictures(self, hashes: Sequence[bytes]) -> Mapping[bytes, PinRef]:
        """A pin for each picture hash that the index holds."""
        ...

    def find_places(self, addresses: Sequence[str]) -> Mapping[str, PinRef]:
        """A pin for each address that is one's id, place, or attribute `url`, in the sense of `same_place`."""
        ...


_PINIMG = re.compile(r"/([0-9a-f]{32})\.\w+$")


def same_place(address: str) -> str:
    """The form in which two addresses of the web are the same: without scheme, `www.`, final slash and fragment; one for all
    sizes in which Pinterest serves a picture. Empty where the text is no address.
    """
    try:
        parts = urlsplit(address.strip())
        host = (parts.hostname or "").removeprefix("www.")
        port = "" if parts.port in (None, 80, 443) else f":{parts.port}"
    except ValueError:
        return ""
    if not host:
        return ""
    if host == "i.pinimg.com" and (found := _PINIMG.search(parts.path)):
        return f"{host}/{found[1]}"
    return f"{host}{port}{parts.path.rstrip('/')}" + (f"?{parts.query}" if parts.query else "")


class AnyPins:
    """Takes every id for a pin: for a record that stands without an index."""

    def find(self, ids: Sequence[str]) -> Mapping[str, PinRef]:
        """Each id, without a number."""
        return {name: PinRef(None, name) for name in ids}

    def find_pictures(self, hashes: Sequence[bytes]) -> Mapping[bytes, PinRef]:
        """None: no picture is known."""
        return {}

    def find_places(self, addresses: Sequence[str]) -> Mapping[str, PinRef]:
        """None: no place is known."""
        return {}


# -- pseudonyms ----------------------------------------------------------------------------------------------------
# A pseudonym is a random number of 57 to 62 bits. It always takes eight bytes on disk, so that a search of raw files for
# those bytes is a proof. `p` and thirteen letters are its name.


def new_pseudonym() -> int:
    """A random number for a new person."""
    return (1 << 56) + secrets.randbelow((1 << 62) - (1 << 56))


def pseudonym_text(number: int) -> str:
    """The number as a name: `p` and 13 lower-case letters and digits."""
    return "p" + base64.b32encode(number.to_bytes(8, "big")).decode().rstrip("=").lower()


def pseudonym_number(text: str) -> int | None:
    """The number of such a name; None where the text is no pseudonym."""
    if len(text) != 14 or text[0] != "p" or text != text.lower():
        return None
    try:
        return int.from_bytes(base64.b32decode(text[1:].upper() + "==="), "big")
    except ValueError:
        return None


def milliseconds(at: int | datetime | None, now: int) -> int:
    """A time as milliseconds since 1970. Raises UsageError for a datetime without a zone."""
    if at is None:
        return now
    if isinstance(at, datetime):
        if at.tzinfo is None:
            raise UsageError(
                f"cannot place {at} in time", "it has no time zone", "Use datetime.now(timezone.utc)"
            )
        return round(at.timestamp() * 1000)
    return int(at)
