"""Who did what: people, boards, saves, follows, comments and events, kept safely and forgettable.

The values are light. `open_people` and `People` load SQLAlchemy at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .model import (
    FILE,
    MEANINGS,
    TOKEN,
    Board,
    BoardKind,
    Comment,
    CommentState,
    Consent,
    ConsentLevel,
    Event,
    Follow,
    Person,
    PinRef,
    Pins,
    Receipt,
    Save,
    Status,
    Verdict,
    pseudonym_number,
    same_place,
    weight,
)

if TYPE_CHECKING:
    from .backups import copy_record, follow_backup, forget_since
    from .material import Material
    from .people import People, open_people
    from .taste import Deed, Deeds, FollowedSave
    from .trials import DECLARED, EventColumns, Exposures

__all__ = [
    "DECLARED",
    "FILE",
    "MEANINGS",
    "TOKEN",
    "Board",
    "BoardKind",
    "Comment",
    "CommentState",
    "Consent",
    "ConsentLevel",
    "Deed",
    "Deeds",
    "Event",
    "EventColumns",
    "Exposures",
    "Follow",
    "FollowedSave",
    "Material",
    "People",
    "Person",
    "PinRef",
    "Pins",
    "Receipt",
    "Save",
    "Status",
    "Verdict",
    "copy_record",
    "follow_backup",
    "forget_since",
    "open_people",
    "pseudonym_number",
    "same_place",
    "weight",
]


def __getattr__(name: str) -> Any:
    if name in ("People", "open_people"):
        from . import people

        return getattr(people, name)
    if name == "Material":
        from .material import Material

        return Material
    if name in ("copy_record", "follow_backup", "forget_since"):
        from . import backups

        return getattr(backups, name)
    if name in ("DECLARED", "EventColumns", "Exposures"):
        from . import trials

        return getattr(trials, name)
    if name in ("Deed", "Deeds", "FollowedSave"):
        from . import taste

        return getattr(taste, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
