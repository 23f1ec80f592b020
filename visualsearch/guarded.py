"""Fetch what is at an address that a stranger gave, without being led into one's own network.

A host is resolved once. Every address it has must be a global one, and the connection goes to an address that was checked. So
a name cannot change its mind in between (DNS rebinding). Each redirect is checked the same way. Proxies of the environment are
not used: they would resolve for themselves.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from visualsearch.errors import PictureError
from visualsearch.fetch import shown

if TYPE_CHECKING:
    import httpx

    from visualsearch.wire import Lookup

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_REDIRECTS = 4
MAX_URL = 4_000
PORTS = {"http": 80, "https": 443}
REDIRECTS = frozenset({301, 302, 303, 307, 308})
WRITTEN = "Write it as https://host/picture.jpg"
HEADERS = {"User-Agent": "visualsearch", "Accept-Encoding": "identity"}
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last 32 bits


def is_global(address: Address) -> bool:
    """Whether the address is a public one, an IPv4 address inside an IPv6 one included."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_global(address.ipv4_mapped)
        if address in NAT64:
            return is_global(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.sixtofour is not None or address.teredo is not None:
            return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_unspecified or address.is_link_local
    )


def fetch(
    url: str,
    *,
    max_bytes: int,
    timeout: float,
    allowed: Callable[[Address], bool] = is_global,
    resolver: Lookup | None = None,
    accept: str = "*/*",
) -> bytes:
    """The body at `url`, at most `max_bytes` bytes, within `timeout` seconds in all. `accept` is asked for, and not checked.

    Raises PictureError for an address that is not http(s), leads to an address that is not `allowed`,
    redirects too often, does not answer in time, or is too large.
    """
    import httpx

    from visualsearch.wire import Wire, addresses, within

    place, url = url, shown(url)
    look_up = addresses if resolver is None else resolver

    def checked(host: str, port: int) -> list[str]:
        return _checked(host, port, url, allowed, look_up)

    headers = {**HEADERS, "Accept": accept}
    with (
        within(timeout),
        httpx.Client(transport=Wire(checked), trust_env=False, timeout=timeout, headers=headers) as client,
    ):
        for _ in range(MAX_REDIRECTS + 1):
            _split(place, url)
            body, onward = _get(client, place, url, max_bytes)
            if onward is None:
                return body
            place = _onward(place, onward, url)
    raise PictureError(
        url, f"it redirects more than {MAX_REDIRECTS} times", "Use the address it should lead to"
    )


def _onward(place: str, onward: str, url: str) -> str:
    """Where a redirect leads."""
    try:
        return urljoin(place, onward)
    except ValueError:  # such as http://[
        raise PictureError(
            url, "it redirects to something that is not a web address", "Use another address"
        ) from None


def _split(place: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(place)
        port = parts.port
    except ValueError:
        raise PictureError(url, "it is not a web address", WRITTEN) from None
    if parts.scheme not in PORTS or not parts.hostname or len(place) > MAX_URL:
        raise PictureError(url, "it is not a web address", WRITTEN)
    if parts.username is not None or parts.password is not None:
        raise PictureError(url, "it holds a user name or password", "Use an address that is open")
    if port is not None and port != PORTS[parts.scheme] and port < 1024:
        raise PictureError(url, f"port {port} is not one of the web's", WRITTEN)
    if not all(32 < ord(c) < 127 for c in (parts.path or "/") + parts.query):
        raise PictureError(url, "it holds characters that must be percent-encoded", WRITTEN)
    return parts


def _checked(
    host: str, port: int, url: str, allowed: Callable[[Address], bool], resolver: Lookup
) -> list[str]:
    """One address of the host, all of which are allowed."""
    try:
        found = [ipaddress.ip_address(a.partition("%")[0]) for a in resolver(host, port)]
    except (OSError, UnicodeError, ValueError):
        found = []
    if not found:
        raise PictureError(url, f"the host {host!r} is not known", "Check the spelling")
    if not all(allowed(address) for address in found):
        raise PictureError(
            url, "it leads to a private network", "Use a public address, or upload the picture"
        )
    return [str(found[0])]


def _get(client: httpx.Client, place: str, url: str, max_bytes: int) -> tuple[bytes, str | None]:
    """One request: the body, or where it redirects to."""
    import httpx

    came = False
    try:
        with client.stream("GET", place) as answer:
            came = True
            if answer.status_code in REDIRECTS and (onward := answer.headers.get("Location")):
                return b"", onward
            if answer.status_code != 200:
                raise PictureError(
                    url, f"the server there answered with status {answer.status_code}", "Check the address"
                )
            return _body(answer, url, max_bytes), None
    except httpx.TimeoutException as error:
        raise PictureError(url, "no answer in time", "Try again, or upload the picture") from error
    except httpx.InvalidURL as error:
        raise PictureError(url, "it is not a web address", WRITTEN) from error
    except httpx.HTTPError as error:
        why = "the connection broke off" if came else "the connection failed"
        raise PictureError(url, why, "Try again, or upload the picture") from error


def _body(answer: httpx.Response, url: str, max_bytes: int) -> bytes:
    size = answer.headers.get("Content-Length", "")
    if size.isdigit() and int(size) > max_bytes:
        raise _large(url, max_bytes)
    body = bytearray()
    for chunk in answer.iter_raw():
        body += chunk
        if len(body) > max_bytes:
            raise _large(url, max_bytes)
    return bytes(body)


def _large(url: str, limit: int) -> PictureError:
    return PictureError(url, f"it is over the limit of {limit:,} bytes", "Shrink it and upload it")
