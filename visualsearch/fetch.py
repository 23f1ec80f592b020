"""The bytes at one place: an http(s) address or a local file, with limits."""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit
from urllib.request import getproxies

from visualsearch.errors import PictureError

if TYPE_CHECKING:
    import httpx

MAX_BYTES = 50_000_000
"""Most bytes taken from one address."""

TIMEOUT = 20.0
"""Seconds for one address, redirects included."""

MAX_REDIRECTS = 5
_NOT_PICTURES = ("text/", "application/json", "application/xml", "application/xhtml")

_STATUS = {
    401: ("the server wants a login", "Use an address that is open, or download the picture first"),
    403: ("the server forbids it", "Use an address that is open, or download the picture first"),
    404: ("the server has no such page", "Check the address"),
    410: ("the picture is gone for good", "Drop the address"),
    429: ("the server gets too many requests from here", "Wait, or use fewer workers"),
}


def fetch(url: str, *, max_bytes: int = MAX_BYTES, timeout: float = TIMEOUT) -> bytes:
    """The body at `url` (http or https; redirects followed), at most `max_bytes` bytes within `timeout`
    seconds.

    Connections are kept and shared by all threads of the process. Raises PictureError, naming the address,
    for a bad address, an unknown host, a refused or lost connection, a timeout, an error status, a body too
    large, or an answer that is a page of text.
    """
    import httpx

    from visualsearch.wire import within

    name = shown(url)
    _check(url, name)
    deadline = time.monotonic() + timeout
    try:
        with within(timeout), _client(os.getpid()).stream("GET", url, timeout=timeout) as answer:
            _check_status(name, answer)
            body = _body(name, answer, max_bytes, deadline, timeout)
            _check_type(name, answer, body)
            return body
    except httpx.TimeoutException as error:
        raise _late(name, timeout) from error
    except httpx.TooManyRedirects as error:
        raise PictureError(
            name, f"it redirects more than {MAX_REDIRECTS} times", "Use the address it should lead to"
        ) from error
    except httpx.UnsupportedProtocol as error:
        raise PictureError(
            name, "it redirects to something that is not http", "Use another address"
        ) from error
    except httpx.ConnectError as error:
        raise _unreachable(name, error) from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:  # ValueError: a host that no name can be
        raise PictureError(
            name, f"the connection failed ({error or type(error).__name__})", "Try again"
        ) from error


_SECRET = re.compile(
    r"(?:^|[-_.])(?:auth|authorization|code|credential|jwt|key|keyid|pass|passwd|password|policy|pwd|secret|security|"
    r"session|sig|signature|signed|sso|ticket|token)(?:$|[-_.])|(?:apikey|accesskey|token|secret|password|signature|^sid)$",
    re.IGNORECASE,
)
MOST_SHOWN = 4000
"""Characters of an address that are shown."""
_SHORT = 24
"""Longer values of an address's query are taken for secrets: a signature is never shorter."""


def without_login(url: str) -> str:
    """The address without user name and password, which are nobody's business."""
    scheme, slashes, rest = url.partition("//")
    end = next((at for at, letter in enumerate(rest) if letter in "/?#"), len(rest))
    host = rest[:end].rpartition("@")[2]
    return scheme + slashes + host + rest[end:]


def shown(url: str) -> str:
    """The address as it may be shown and logged: no login, and none of what its query may keep secret."""
    url = without_login(url)[:MOST_SHOWN]
    start, mark, query = url.partition("?")
    if not mark:
        return url
    query, hash_mark, fragment = query.partition("#")
    return start + mark + "&".join(map(_masked, query.split("&"))) + hash_mark + fragment


def _masked(part: str) -> str:
    name, equals, value = part.partition("=")
    secret = len(part) > _SHORT if not equals else len(value) > _SHORT or _SECRET.search(name[:100])
    return f"{name}=..." if secret and equals else "..." if secret else part


_lock = threading.Lock()


def _client(process: int) -> httpx.Client:
    with _lock:  # lru_cache alone may build two clients when two threads come first
        return _new_client(process)


@lru_cache(maxsize=1)
def _new_client(process: int) -> httpx.Client:
    """One client per process: sockets must not be shared with a fork."""
    import httpx

    from visualsearch.wire import Wire

    proxied = set(getproxies()) - {"no"}  # the environment's proxies look up names themselves
    return httpx.Client(
        follow_redirects=True,
        max_redirects=MAX_REDIRECTS,
        transport=None if proxied else Wire(),
        headers={"User-Agent": "visualsearch", "Accept": "image/*,*/*;q=0.5"},
    )


def _check(url: str, name: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme.lower() in ("http", "https") and bool(parts.hostname)
        _ = parts.port  # raises when it is no number
    except ValueError:
        good = False
    if not good:
        raise PictureError(name, "it is not a web address", "Write it as https://host/picture.jpg")


def _check_status(url: str, answer: Any) -> None:
    code = answer.status_code
    if code == 200:
        return
    why, remedy = _STATUS.get(code, ("the server failed", "Try again later"))
    if 300 <= code < 500 and code not in _STATUS:
        why, remedy = "the server did not give the picture", "Check the address"
    raise PictureError(url, f"{why} (status {code} {answer.reason_phrase})".replace(" )", ")"), remedy)


def _body(url: str, answer: Any, max_bytes: int, deadline: float, timeout: float) -> bytes:
    size = answer.headers.get("content-length", "")
    if size.isdigit() and int(size) > max_bytes:
        raise _too_large(url, f"{int(size):,} bytes", max_bytes)
    body = bytearray()
    for chunk in answer.iter_bytes():
        body += chunk
        if len(body) > max_bytes:
            raise _too_large(url, "the body", max_bytes)
        if time.monotonic() > deadline:  # behind a proxy, a server that drips trips the timeout of no read
            raise _late(url, timeout)
    return bytes(body)


def _check_type(url: str, answer: Any, body: bytes) -> None:
    kind = answer.headers.get("content-type", "").lower()
    # servers mislabel pictures as text now and then; what begins like text is text
    if kind.startswith(_NOT_PICTURES) and body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"<", b"{", b"["):
        raise PictureError(
            url,
            f"the answer is a page ({kind.split(';')[0]}), not a picture",
            "Use the address of the picture itself",
        )


def _late(url: str, timeout: float) -> PictureError:
    return PictureError(url, f"no answer within {timeout:g} seconds", "Try again, or allow more time")


def _too_large(url: str, size: str, limit: int) -> PictureError:
    return PictureError(
        url, f"{size} is over the limit of {limit:,} bytes", "Download it yourself and shrink it"
    )


def _unreachable(url: str, error: Exception) -> PictureError:
    host = urlsplit(url).hostname
    text = str(error)
    if any(sign in text for sign in ("Name or service", "getaddrinfo", "nodename", "name resolution")):
        return PictureError(url, f"the host {host!r} is not known", "Check the spelling and the network")
    return PictureError(url, f"cannot connect to {host!r} ({text})", "Check the address and the network")


# --- local files

MAX_FILE_BYTES = 1 << 30
"""Files larger than this are not read: no picture under the pixel limit needs a gigabyte."""


def local_path(uri: str) -> str:
    """The path that a file:// address names; bytes that are no UTF-8 come back as os.fsencode wants them."""
    return os.fsdecode(unquote_to_bytes(urlsplit(uri).path))


def read_file(path: str, *, name: str | None = None) -> bytes:
    """The bytes of the local file `path`, called `name` in errors. Raises PictureError for what is not a
    readable file.
    """
    name = name or path
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode):
                raise PictureError(name, "it is not a regular file", "Give the path of a picture file")
            if info.st_size > MAX_FILE_BYTES:
                raise PictureError(
                    name, f"it has {info.st_size:,} bytes, more than any picture here needs", "Leave it out"
                )
            return file.read()
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        for kind, why, remedy in _READ_ERRORS:
            if isinstance(error, kind):
                raise PictureError(name, why, remedy) from error
        raise PictureError(name, f"it cannot be read ({error})", "Check the disk and the path") from error


def _open_at_once(path: str, flags: int) -> int:
    # a named pipe would otherwise block for ever, waiting for someone to write
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


_READ_ERRORS: tuple[tuple[type[Exception], str, str], ...] = (
    (FileNotFoundError, "there is no such file", "Check the path"),
    (NotADirectoryError, "there is no such file", "Check the path"),
    (IsADirectoryError, "it is a folder, not a picture", "Give the path of one picture, or index the folder"),
    (PermissionError, "you have no permission to read it", "Change its permissions, or run as its owner"),
    (ValueError, "it is not a valid path", "Check the path"),
)
