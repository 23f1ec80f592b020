"""Who did what: people, boards, saves, follows, comments and events, kept safely and forgettable.

The values are light. `open_people` and `People` load SQLAlchemy at first use.
"""

from __future__ import annotations

from importlib import import_module
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
    pseudonym_text,
    same_place,
    weight,
)

if TYPE_CHECKING:
    from .appeals import Appeal
    from .backups import copy_record, follow_backup, forget_since
    from .billing import Judge, Paid
    from .carried import carry_ledger, close_ledger
    from .columns import Counted, SaveColumns
    from .domains import Claim, domain_name
    from .judged import Level
    from .ledger import DELTA, Budget, epsilon_of, rho_of
    from .lists import ServedList, new_list
    from .material import Material
    from .people import People, open_people
    from .planned import Plan
    from .promoted import Placement, Viewer
    from .rulings import Ruling
    from .shutting import NOTHING, Shut
    from .taste import Deed, Deeds, FollowedSave
    from .trials import DECLARED, EventColumns, Exposures
    from .watching import Account, Puts, Touches

__all__ = [
    "DECLARED",
    "DELTA",
    "FILE",
    "MEANINGS",
    "NOTHING",
    "TOKEN",
    "Account",
    "Appeal",
    "Board",
    "BoardKind",
    "Budget",
    "Claim",
    "Comment",
    "CommentState",
    "Consent",
    "ConsentLevel",
    "Counted",
    "Deed",
    "Deeds",
    "Event",
    "EventColumns",
    "Exposures",
    "Follow",
    "FollowedSave",
    "Judge",
    "Level",
    "Material",
    "Paid",
    "People",
    "Person",
    "PinRef",
    "Pins",
    "Placement",
    "Plan",
    "Puts",
    "Receipt",
    "Ruling",
    "Save",
    "SaveColumns",
    "ServedList",
    "Shut",
    "Status",
    "Touches",
    "Verdict",
    "Viewer",
    "carry_ledger",
    "close_ledger",
    "copy_record",
    "domain_name",
    "epsilon_of",
    "follow_backup",
    "forget_since",
    "new_list",
    "open_people",
    "pseudonym_number",
    "pseudonym_text",
    "rho_of",
    "same_place",
    "weight",
]


_LATE = {
    "Appeal": "appeals",
    "Budget": "ledger",
    "carry_ledger": "carried",
    "close_ledger": "carried",
    "Claim": "domains",
    "Counted": "columns",
    "DELTA": "ledger",
    "Plan": "planned",
    "SaveColumns": "columns",
    "ServedList": "lists",
    "domain_name": "domains",
    "epsilon_of": "ledger",
    "new_list": "lists",
    "rho_of": "ledger",
}


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
    if name in ("Judge", "Paid"):
        from . import billing

        return getattr(billing, name)
    if name in ("Placement", "Viewer"):
        from . import promoted

        return getattr(promoted, name)
    if name == "Level":
        from .judged import Level

        return Level
    if name in ("NOTHING", "Ruling", "Shut"):
        from . import rulings

        return getattr(rulings, name)
    if name in ("Account", "Puts", "Touches"):
        from . import watching

        return getattr(watching, name)
    if name in ("Deed", "Deeds", "FollowedSave"):
        from . import taste

        return getattr(taste, name)
    if name in _LATE:
        return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
