"""What requests and answers about people look like: names and meaning are those of `visualsearch.people`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from visualsearch.people import BoardKind, CommentState

from ..schemas import Answer, PinOut

LONG = 20_000
"""Longer texts are refused before anything looks at them; what each may be long, the record says."""
WHOLE = 2**31 - 1
NUMBER = 2**63 - 1
TIME = 1 << 52
NO_NUL = r"^[^\x00]*$"
Word = Annotated[str, Field(max_length=200, pattern=NO_NUL)]
Text = Annotated[str, Field(max_length=LONG, pattern=NO_NUL)]
PinName = Annotated[str, Field(max_length=4096, pattern=NO_NUL, description="A pin's id.")]
Who = Annotated[
    Word | None,
    Field(description="For whom an application with a key of scope `act` speaks; others leave it out."),
]
Slot = Annotated[int | None, Field(ge=0, le=WHOLE)]
Time = Annotated[int, Field(ge=0, le=TIME, description="Milliseconds since 1970, UTC.")]
Cursor = Annotated[
    str | None, Field(description="Give it to the same list for the next page; null: there is none.")
]


class Strict(BaseModel):
    """A body without strange fields."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Named(Strict):
    """A body that may name for whom it speaks."""

    person: Who = None


# -- boards --------------------------------------------------------------------------------------------------------
class BoardIn(Named):
    """A new board."""

    title: Text = Field(description="At most 200 characters, in any script.")
    description: Text = ""
    kind: BoardKind = BoardKind.INTEREST
    ends: Time | None = Field(default=None, description="When a `project` ends, in milliseconds since 1970.")
    secret: bool = Field(default=False, description="Only its owner and collaborators know that it exists.")
    sections: list[Text] = Field(default=[], max_length=100)


class BoardChanges(Named):
    """What changes of a board; the rest stays."""

    title: Text = ""
    description: Text = ""
    kind: BoardKind = BoardKind.INTEREST
    ends: Time | None = None
    secret: bool = False
    cover: PinName | None = Field(
        default=None, description="A pin of the board to stand for it; null: the newest."
    )


class BoardOut(BaseModel):
    """A board. Persons are named by pseudonym."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    owner: str
    title: str
    description: str
    kind: BoardKind
    ends: int | None
    secret: bool
    sections: list[str]
    collaborators: list[str]
    saves: int = Field(description="How many pins are on it.")
    covers: list[str] = Field(
        default=[], description="Pictures of up to four of its pins, in lists of boards and for one board."
    )


class BoardsOut(BaseModel):
    """A page of boards."""

    boards: list[BoardOut]
    cursor: Cursor


class SectionIn(Named):
    """A section of a board."""

    title: Text


class CollaboratorIn(Named):
    """Who is invited to a board."""

    collaborator: Word = Field(
        description="A pseudonym; from an application, its own key for the person too."
    )


class MoveIn(Named):
    """Where a pin of a board goes, and what is noted on it. What is left out stays, but for an empty body: no section."""

    to: Word | None = Field(default=None, description="Another board; default: it stays on this one.")
    section: Text | None = Field(default=None, description="The section there; null: none.")
    before: PinName | None = Field(
        default=None, description="The pin that it is put before in the board's own order; null: behind all."
    )
    note: Text = ""


# -- saves ---------------------------------------------------------------------------------------------------------
class SaveIn(Named):
    """A pin for a board. `surface` to `session` say where it was seen."""

    pin: PinName
    board: Text = Field(
        description="A board's id, or a title: a board of that title is made if there is none."
    )
    section: Text | None = None
    note: Text = ""
    site: Annotated[str, Field(max_length=4096, pattern=NO_NUL)] | None = Field(
        default=None, description="The address of the page with the save button; its host is kept."
    )
    repin_of: int | None = Field(
        default=None, ge=0, le=NUMBER, description="The save from which it was taken."
    )
    surface: Word | None = None
    answer: Word | None = None
    slot: Slot = None
    row: Slot = None
    column: Slot = None
    variant: Word | None = None
    session: Word | None = None


class SaveOut(BaseModel):
    """A pin on a board."""

    id: int
    board: str
    person: str
    pin: str
    at: int
    note: str
    site: str | None
    section: str | None
    repin_of: int | None
    gone: bool = Field(description="The pin is not in the index now.")
    picture: str = Field(description="Where the picture is; add size=320 for a thumbnail.")


class SavesOut(BaseModel):
    """A page of saves."""

    saves: list[SaveOut]
    cursor: Cursor
    count: int | None = Field(
        default=None, description="How often the pin was saved to public boards, where one was asked for."
    )


class BoardPinsOut(BaseModel):
    """A page of a board's pins."""

    saves: list[SaveOut]
    cursor: Cursor
    pins: list[PinOut] = Field(description="What is known of these pins, as far as they are in the index.")
    answer: Answer = None


class RemovedOut(BaseModel):
    """Whether there was something to remove: a request that is sent again finds nothing, and that is no error."""

    removed: bool


# -- follows and comments ------------------------------------------------------------------------------------------
FollowKind = Literal["person", "board", "topic"]


class FollowIn(Named):
    """Whom or what to follow."""

    kind: FollowKind
    target: Word = Field(description="A pseudonym, a board's id or a topic's word.")


class FollowOut(BaseModel):
    """What is followed since when."""

    kind: FollowKind
    target: str
    at: int


class FollowedOut(BaseModel):
    """Whether the follow is new."""

    new: bool


class FollowsOut(BaseModel):
    """A page of follows, newest first."""

    follows: list[FollowOut]
    cursor: Cursor


class CommentIn(Named):
    """Plain words about a pin."""

    text: Text = Field(description="At most 2,000 characters; `@pseudonym` mentions a person.")


class CommentOut(BaseModel):
    """A comment; it is text and never markup."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    pin: str
    person: str
    text: str
    at: int
    state: CommentState
    mentions: list[str]


class CommentsOut(BaseModel):
    """A page of comments, oldest first."""

    comments: list[CommentOut]
    cursor: Cursor


class ReportIn(Named):
    """Why a comment should not be there."""

    reason: Text = ""
