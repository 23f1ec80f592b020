"""What a file is that is no picture we read: another format, or a text document.

Plain scanning, each byte once: strangers choose the bytes, and a regular expression may try all ways to split them.
"""

from __future__ import annotations

LOOKED_AT = 1024
"""Bytes of a file that are looked at."""

# (name, where in the file, what stands there)
_MAGIC: tuple[tuple[str, int, tuple[bytes, ...]], ...] = (
    ("JPEG 2000", 0, (b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51")),
    ("JPEG XL", 0, (b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")),
    ("Photoshop (PSD)", 0, (b"8BPS",)),
    ("PDF", 0, (b"%PDF-",)),
    ("PostScript", 0, (b"%!PS",)),
    ("a zip archive", 0, (b"PK\x03\x04",)),
    ("a gzip archive", 0, (b"\x1f\x8b",)),
    ("a film (MP4, MOV)", 4, (b"ftyp",)),
    ("a film (Matroska, WebM)", 0, (b"\x1a\x45\xdf\xa3",)),
    ("OpenEXR", 0, (b"\x76\x2f\x31\x01",)),
    ("DirectDraw (DDS)", 0, (b"DDS ",)),
    ("QOI", 0, (b"qoif",)),
)

_SVG = ("SVG drawings are not supported", "Render it to PNG first")
_HTML = (
    "it is a web page (HTML), not a picture; often the error page of a failed download",
    "Download the picture again",
)
_LFS = ("it is a Git LFS pointer, not the picture", "Run: git lfs pull")

_BLANKS = frozenset(b" \t\r\n\f\v")
_NAME = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_:!")


def other_format(head: bytes) -> str | None:
    """The name of a picture format or container that is known and not read."""
    for name, at, magics in _MAGIC:
        if head.startswith(magics, at):
            return name
    if len(head) >= 3 and head[:1] == b"P" and 0x31 <= head[1] <= 0x37 and head[2] in _BLANKS:
        return "Netpbm"
    if head[:4] in (b"\0\0\1\0", b"\0\0\2\0") and len(head) >= 6 and head[4] and not head[5]:
        return "an icon file (ICO)"
    return None


def document(head: bytes) -> tuple[str, str] | None:
    """(why, remedy) for the beginning of a text document that people take for a picture."""
    if head.startswith(b"version https://git-lfs"):
        return _LFS
    text = head[:LOOKED_AT].lower()
    at = _prologue(text)
    if text[at : at + 1] != b"<":
        return None
    end = _end(text, at + 1, _NAME)
    tag = text[at + 1 : end]
    if tag in (b"html", b"head", b"body") or _doctype(text, at) == b"html":
        return _HTML
    local = tag.partition(b":")[2] or tag
    return _SVG if local == b"svg" and text[end : end + 1] in (b">", b" ", b"\t", b"\r", b"\n") else None


def _prologue(text: bytes) -> int:
    """Where the XML declaration, comments and an SVG's document type end."""
    at = _end(text, 0, _BLANKS)
    while True:
        if text.startswith(b"<!--", at):
            closed = b"-->"
        elif text.startswith(b"<?xml", at) or _doctype(text, at) == b"svg":
            closed = b">"
        else:
            return at
        found = text.find(closed, at + 4)
        if found < 0:
            return len(text)
        at = _end(text, found + len(closed), _BLANKS)


def _doctype(text: bytes, at: int) -> bytes | None:
    """What a document type declaration at `at` names; None where there is none."""
    if not text.startswith(b"<!doctype", at):
        return None
    begin = _end(text, at + 9, _BLANKS)
    return text[begin : _end(text, begin, _NAME)]


def _end(text: bytes, at: int, allowed: frozenset[int]) -> int:
    """The first place from `at` on whose byte is not `allowed`."""
    while at < len(text) and text[at] in allowed:
        at += 1
    return at
