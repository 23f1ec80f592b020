"""What people type, as it may be stored: plain text in any script, with bounds."""

from __future__ import annotations

import unicodedata

from visualsearch.errors import UsageError


def line(text: object, what: str, longest: int) -> str:
    """One line of plain text: composed (NFC), trimmed, neither empty nor too long. Raises UsageError."""
    kept = plain(text, what, longest).replace("\n", " ").strip()
    if blank(kept):
        raise UsageError(f"the {what} is empty", "it has no visible character", f"Give a {what}")
    return kept


def plain(text: object, what: str, longest: int) -> str:
    """Plain text of several lines, without control characters. Markup is kept as the letters it is made of."""
    if not isinstance(text, str):
        raise UsageError(f"cannot keep the {what}", f"{type(text).__name__} is not text", "Give text")
    if len(text) > longest:
        raise UsageError(
            f"the {what} is too long",
            f"it has {len(text):,} characters, and {longest:,} fit",
            "Shorten it",
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"cannot keep the {what}", "it holds half a character", "Send UTF-8") from error
    composed = unicodedata.normalize("NFC", text)
    return "".join(c for c in composed if c == "\n" or unicodedata.category(c) not in ("Cc", "Cs"))


def blank(text: str) -> bool:
    """Whether nothing of a text is visible: it is empty, spaces, or characters of no width."""
    return all(unicodedata.category(c)[0] in "ZC" for c in text)


def folded(text: str) -> str:
    """The form in which two titles are the same."""
    return unicodedata.normalize("NFKC", text).casefold()
