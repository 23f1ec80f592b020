"""What is sent and received when a browser comes in with a key."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SessionIn(BaseModel):
    """A key to keep as a cookie."""

    model_config = ConfigDict(extra="forbid")

    key: str = Field(max_length=200)


class SessionOut(BaseModel):
    """Whether keys are needed here, and what the caller may do."""

    needed: bool
    scope: str | None
    owner: Literal["open", "write", "insight"] | None = Field(
        default=None,
        description="Why the owner's pages are for the caller: no keys are needed here, or theirs may write or see insight.",
    )
