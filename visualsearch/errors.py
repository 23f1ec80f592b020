"""The error tree. Every message says what happened, why, and what to do about it.

VisualSearchError
├── UsageError            the caller asked for something that cannot be done (wrong argument, crop, filter)
│   ├── FilterError       a `where` expression that does not parse or names no known attribute
│   ├── UnknownNameError  a name that is not in a table; lists the near ones
│   ├── ForbiddenError    a thing that belongs to somebody else
│   ├── ConsentError      a person's consent does not let it be stored
│   ├── ConflictError     the same name was used for something else
│   ├── BudgetError       the privacy budget of a data set is spent
│   └── MissingExtraError an optional dependency is not installed
├── SourceError           a source of pictures that cannot be read at all
├── PictureError          one picture that cannot be read; never stops a batch
├── EncoderError          a model that cannot be loaded or cannot do what was asked
└── IndexStateError       an index folder that cannot be used as it is
    ├── NotAnIndexError   the folder is not an index, or a damaged one
    ├── VersionError      written by a newer release
    ├── EncoderMismatchError   the query's encoder is not the one the index was built with
    ├── LockedError       another process is writing
    └── StorageError      the disk is full, or the folder cannot be written or read
        └── UnreachableError   a database server that does not answer
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class VisualSearchError(Exception):
    """Base of every error raised on purpose.

    `what` happened, `why`, and the `remedy`; `str()` joins them into one message.
    """

    def __init__(self, what: str, why: str = "", remedy: str = "") -> None:
        self.what, self.why, self.remedy = what, why, remedy
        super().__init__(what, why, remedy)

    def __str__(self) -> str:
        text = f"{self.what}: {self.why}" if self.why else self.what
        text = text.rstrip(".") + "."
        return f"{text} {self.remedy.rstrip('.')}." if self.remedy else text


class UsageError(VisualSearchError):
    """The caller asked for something that cannot be done."""


class FilterError(UsageError):
    """A `where` expression that does not parse."""


class UnknownNameError(UsageError):
    """A name that is not in a table; the message lists the near (or all) known names."""

    def __init__(self, kind: str, name: str, known: Iterable[str], remedy: str = "") -> None:
        self.kind = kind
        names = sorted(known)
        folded = {n.casefold(): n for n in names}
        close = difflib.get_close_matches(name.casefold(), folded, n=5, cutoff=0.4)
        near = [folded[n] for n in close] or names[:12]
        hint = f"Near names: {', '.join(near)}" if near else ""
        super().__init__(
            f"unknown {kind} {name!r}",
            "no such name is known",
            f"{hint}. {remedy}".strip(". ") if remedy else hint,
        )


class ForbiddenError(UsageError):
    """The thing belongs to somebody else."""


class ConsentError(UsageError):
    """A person's consent does not let this be stored."""


class ConflictError(UsageError):
    """The same name was used for something else."""


class BudgetError(UsageError):
    """The privacy budget of a data set does not allow another release."""


class MissingExtraError(UsageError):
    """An optional dependency is not installed; the message has the command that installs it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            what, f"the extra {extra!r} is not installed", f"Run: pip install 'visualsearch[{extra}]'"
        )


class SourceError(VisualSearchError):
    """A source of pictures that cannot be read at all."""


class PictureError(VisualSearchError):
    """One picture that cannot be read; `what` names it. It never stops a batch."""


ODD = (PictureError, MemoryError, OSError, ValueError)
"""What reading one odd picture may raise; it must not cost the others."""


class EncoderError(VisualSearchError):
    """A model that cannot be loaded, or cannot do what was asked of it."""


class IndexStateError(VisualSearchError):
    """An index folder that cannot be used as it is."""


class NotAnIndexError(IndexStateError):
    """The folder is not an index, or it is damaged."""


class VersionError(IndexStateError):
    """The index was written by a newer release."""


class EncoderMismatchError(IndexStateError):
    """The query's encoder is not the one the index was built with."""


class LockedError(IndexStateError):
    """Another process is writing to the index."""


class StorageError(IndexStateError):
    """The disk is full, or the folder cannot be written or read."""


class UnreachableError(StorageError):
    """A database server that does not answer; it may come back."""
