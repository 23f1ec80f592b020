"""What requests and answers about recommendations look like."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from ..schemas import Answer, ReasonedHit, ReasonOut, Variant
from .schemas import BoardOut, Cursor, Named, PinName, Strict, Text, Word

LessName = Annotated[str, Field(min_length=8, max_length=100, pattern=r"^[A-Za-z0-9-]+$")]


class _Recommended(BaseModel):
    hits: list[ReasonedHit]
    total: int = Field(description="How many pins were candidates.")
    seconds: float = Field(description="Time in the engine.")
    notes: list[str] = Field(default=[], description="What else to know.")
    answer: Answer = None


class FeedOut(_Recommended):
    """A page of a feed, best first."""

    plan: str = Field(
        description="personal; session: by the pins of `looked`; anonymous: what everybody gets."
    )
    cursor: Cursor = None
    variant: Variant = None


class IdeasOut(_Recommended):
    """Ideas, best first."""

    plan: str = Field(description="saves-and-sight, or sight where nothing was learnt of these pins.")


class SimilarBoard(BoardOut):
    """A public board that is like what was asked for."""

    score: float = Field(description="How like it is, 0 to 1.")
    why: ReasonOut


class SimilarBoards(BaseModel):
    """Public boards, the most alike first."""

    boards: list[SimilarBoard]


class EvidenceIn(Strict):
    """A part of a reason, as it was served."""

    kind: Word
    id: PinName
    weight: float = 0.0


class WhyIn(Strict):
    """The reason of a hit, as it was served."""

    kind: Word
    sentence: Text = ""
    evidence: list[EvidenceIn] = Field(default=[], max_length=20)


class LessIn(Named):
    """A pin of which less is wanted."""

    pin: PinName
    id: Annotated[
        LessName | None,
        Field(description="A name of your own for this wish; DELETE /less?id= takes it back."),
    ] = None
    why: Annotated[
        WhyIn | None,
        Field(
            description="The `why` of the hit: what it rests on counts no more. Without it, the pin is hidden alone."
        ),
    ] = None
