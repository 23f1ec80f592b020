"""Names of pictures: protocols, characters that no text holds, and whether what a name means is still there.

File names that are not UTF-8. Python shows their stray bytes as lone surrogates, which neither SQLite nor
JSON nor a terminal takes. An id writes such a byte as %XX ("caf%E9.jpg"); a uri becomes
file:///folder/caf%E9.jpg, percent-encoded throughout, which `visualsearch.sources.read` and
`visualsearch.images.load` turn back into the exact name.
"""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from visualsearch.errors import SourceError
from visualsearch.fetch import local_path, shown

SURROGATE = re.compile("[\udc80-\udcff]")
BAD_TEXT = re.compile("[\0\ud800-\udc7f\udd00-\udfff]")  # in no path, and SQLite takes none of them
_IN_MANIFEST = re.compile(r":\d+#.*", re.DOTALL)


def scheme_of(text: str) -> str:
    """The protocol in front of "://", in lower case; "" for a path."""
    found = re.match(r"([A-Za-z][\w+.-]*)://", text)
    return found[1].lower() if found else ""


def check_url(url: str) -> None:
    """Raise SourceError for an http(s) address that cannot be one."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise no_address(url, short(error)) from error
    if not host:
        raise no_address(url, "it names no host")


def no_address(text: str, why: str) -> SourceError:
    """The error for a text that is no address."""
    return SourceError(
        f"cannot read {printable(shown(text))!r}", f"it is not a valid address ({why})", "Correct the address"
    )


def printable(name: str) -> str:
    """`name` as valid text: a byte that is not UTF-8 becomes %XX."""
    shown = SURROGATE.sub(lambda found: f"%{ord(found[0]) - 0xDC00:02X}", name)
    return BAD_TEXT.sub("\ufffd", shown)


def gone(uri: str) -> bool:
    """Whether the local file that held a picture no longer exists; False for remote places and when in doubt.

    `uri` is a path, file://..., "shard::member", or "manifest:line#id" where the manifest held the bytes.
    """
    path = uri
    if uri.startswith("file://"):
        try:
            path = local_path(uri)
        except ValueError:
            return False
    if not os.path.isabs(path):  # noqa: PTH117 (an address is not a Path)
        return False
    holders = (path, path.partition("::")[0], _IN_MANIFEST.sub("", path))
    return all(_absent(holder) for holder in dict.fromkeys(holders))


def _absent(path: str) -> bool:
    try:
        os.stat(path)  # noqa: PTH116 (the path may not be UTF-8)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def short(error: BaseException) -> str:
    """The first line of an error's text, or its type."""
    text = str(error).strip()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return text.splitlines()[0][:200] if text else type(error).__name__
