"""What requests and answers about events and about the person themselves look like."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from visualsearch.people import ConsentLevel, Status

from .schemas import (
    BoardChanges,
    BoardIn,
    CollaboratorIn,
    CommentIn,
    FollowIn,
    MoveIn,
    Named,
    ReportIn,
    SaveIn,
    SectionIn,
    Strict,
    Who,
    Word,
)


# -- events --------------------------------------------------------------------------------------------------------
class EventIn(Strict):
    """One thing that a person did; see `visualsearch.Event`."""

    kind: str
    person: Who = None
    pin: str | None = None
    at: int | datetime | None = Field(
        default=None, description="The client's time: milliseconds since 1970, or ISO 8601 with a time zone."
    )
    event_id: str | None = Field(default=None, description="Random; the same when it is sent again.")
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


class _Batch(Named):
    sent: int | datetime | None = Field(
        default=None, description="The client's time when it sent them: a wrong clock is corrected by it."
    )

    csrf: Annotated[str, Field(max_length=200)] | None = Field(
        default=None,
        description="Stands for the header X-CSRF-Token, which `navigator.sendBeacon` cannot send.",
    )


class EventsIn(_Batch):
    """A batch of events. An event without `person` is of the batch's `person`."""

    events: list[EventIn] = Field(min_length=1, max_length=1000)


class LooseEvents(_Batch):
    """The same, before the events were looked at: a bad one costs no other."""

    events: list[Any] = Field(min_length=1, max_length=1000)


class VerdictOut(BaseModel):
    """What became of one event; a refused one has a reason and a remedy."""

    event_id: str
    status: Status
    reason: str
    remedy: str


class VerdictsOut(BaseModel):
    """What became of each event, in order. What is accepted is on disk."""

    verdicts: list[VerdictOut]
    accepted: int
    duplicates: int
    refused: int


# -- me ------------------------------------------------------------------------------------------------------------
class ConsentOut(BaseModel):
    """What a person allows. `off` keeps nothing but the refusal, `session` forgets all when the session ends."""

    model_config = ConfigDict(from_attributes=True)

    level: ConsentLevel
    searches: bool
    clicks: bool
    profile: bool
    sites: bool
    paused: bool


class ConsentIn(Named):
    """What changes of it; the rest stays."""

    level: ConsentLevel = ConsentLevel.ON
    searches: bool = True
    clicks: bool = True
    profile: bool = True
    sites: bool = True
    paused: bool = False


class SignalsOut(BaseModel):
    """The switches: which kinds of events and facts may be kept."""

    model_config = ConfigDict(from_attributes=True)

    searches: bool
    clicks: bool
    profile: bool
    sites: bool


class SignalsIn(Named):
    """The switches to turn; the others stay."""

    searches: bool = True
    clicks: bool = True
    profile: bool = True
    sites: bool = True


class PauseIn(Named):
    """Whether the recording of events stops."""

    paused: bool = True


class ProfileIn(Named):
    """What a person declares of themselves; null removes. Nothing is guessed."""

    locale: Word | None = None
    region: Word | None = None
    age_band: Word | None = None
    gender: Word | None = None
    interests: list[Word] | None = Field(default=None, max_length=100)
    device: Word | None = None


class MeOut(BaseModel):
    """Who is asking, as far as this server knows."""

    pseudonym: str | None = Field(description="null: nothing is kept of this person yet.")
    visitor: bool = Field(description="Known by this browser's cookie only.")
    consent: ConsentOut
    limited: bool = Field(
        description="The browser asks that nothing be kept for longer than the session (Sec-GPC, DNT)."
    )
    profile: dict[str, str | list[str]]
    csrf: str | None = Field(
        description="For the header X-CSRF-Token of changes, where a cookie speaks for the person."
    )


class ClaimIn(Named):
    """Which visitor the person is."""

    visitor: Annotated[str, Field(max_length=400)] | None = Field(
        default=None, description="The value of the visitor's cookie; default: the cookie of this request."
    )


class ClaimOut(BaseModel):
    """How many rows of each kind are the person's now."""

    moved: dict[str, int]


class ReceiptOut(BaseModel):
    """That a person was forgotten, without their name: what was removed, and how it was proved."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    at: int
    removed: dict[str, int]
    proof: str


# -- trust ---------------------------------------------------------------------------------------------------------
class DecideIn(Strict):
    """A person's word on a case."""

    verdict: Literal["fine", "lower", "hold", "hide", "remove", "reopen"]
    why: str = Field(default="", max_length=2000)


class AppealIn(Named):
    """Somebody's word against a verdict on them."""

    verdict: int = Field(ge=1, le=2**53)
    text: str = Field(min_length=1, max_length=2000)


class AnswerIn(Strict):
    """A person's word on an appeal."""

    person: str = Field(min_length=1, max_length=200)
    granted: bool
    why: str = Field(default="", max_length=2000)


BODIES: tuple[type[BaseModel], ...] = (
    DecideIn,
    AppealIn,
    AnswerIn,
    BoardIn,
    BoardChanges,
    SectionIn,
    CollaboratorIn,
    MoveIn,
    SaveIn,
    FollowIn,
    CommentIn,
    ReportIn,
    EventsIn,
    ConsentIn,
    SignalsIn,
    PauseIn,
    ProfileIn,
    ClaimIn,
)
"""Bodies that are read by hand: the OpenAPI document gets them from here."""
