"""Fetch a picture from an address that a stranger gave, without being led into the server's own network.

A host is resolved once. Every address it has must be a global one, and the connection goes to an address that was checked. So
a name cannot change its mind in between (DNS rebinding). Each redirect is checked the same way. Proxies of the environment are
not used: they would resolve for themselves.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from urllib.parse import SplitResult, urljoin, urlsplit

from visualsearch.errors import PictureError
from visualsearch.fetch import shown
from visualsearch.images import sniff

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], list[str]]

MAX_REDIRECTS = 4
MAX_URL = 4_000
PORTS = {"http": 80, "https": 443}
_RESOLVING = ThreadPoolExecutor(16, "serve-resolve")
"""A name server that is silent holds one of these threads, not the fetch: the system's resolver has no deadline."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})
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


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, as the system knows them."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def fetch(
    url: str,
    *,
    max_bytes: int,
    timeout: float,
    allowed: Callable[[Address], bool] = is_global,
    resolver: Resolver = resolve,
) -> bytes:
    """The picture file at `url`, at most `max_bytes` bytes, within `timeout` seconds in all.

    Raises PictureError for an address that is not http(s), leads to an address that is not `allowed`,
    redirects too often, does not answer in time, is too large, or holds no picture.
    """
    deadline = time.monotonic() + timeout
    place, url = url, shown(url)
    for _ in range(MAX_REDIRECTS + 1):
        parts = _split(place, url)
        body, onward = _get(parts, url, deadline, max_bytes, allowed, resolver)
        if onward is None:
            if sniff(body) is None:
                raise PictureError(
                    url, "what is there is not a picture", "Use the address of the picture itself"
                )
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
    remedy = "Write it as https://host/picture.jpg"
    try:
        parts = urlsplit(place)
        port = parts.port
    except ValueError:
        raise PictureError(url, "it is not a web address", remedy) from None
    if parts.scheme not in PORTS or not parts.hostname or len(place) > MAX_URL:
        raise PictureError(url, "it is not a web address", remedy)
    if parts.username is not None or parts.password is not None:
        raise PictureError(url, "it holds a user name or password", "Use an address that is open")
    if port is not None and port != PORTS[parts.scheme] and port < 1024:
        raise PictureError(url, f"port {port} is not one of the web's", remedy)
    if not all(32 < ord(c) < 127 for c in (parts.path or "/") + parts.query):
        raise PictureError(url, "it holds characters that must be percent-encoded", remedy)
    return parts


def _checked(
    parts: SplitResult, url: str, deadline: float, allowed: Callable[[Address], bool], resolver: Resolver
) -> str:
    """One address of the host, all of which are allowed."""
    host = str(parts.hostname)
    port = parts.port or PORTS[parts.scheme]
    try:
        names = _RESOLVING.submit(resolver, host, port).result(max(0.0, deadline - time.monotonic()))
        found = [ipaddress.ip_address(a.partition("%")[0]) for a in names]
    except TimeoutError:
        raise _late(url) from None
    except (OSError, UnicodeError, ValueError):
        found = []
    if not found:
        raise PictureError(url, f"the host {host!r} is not known", "Check the spelling")
    if not all(allowed(address) for address in found):
        raise PictureError(
            url, "it leads to a private network", "Use a public address, or upload the picture"
        )
    return str(found[0])


def _get(
    parts: SplitResult,
    url: str,
    deadline: float,
    max_bytes: int,
    allowed: Callable[[Address], bool],
    resolver: Resolver,
) -> tuple[bytes, str | None]:
    """One request: the body, or where it redirects to."""
    address = _checked(parts, url, deadline, allowed, resolver)
    left = deadline - time.monotonic()
    if left <= 0:
        raise _late(url)
    with closing(_connection(parts, address, left)) as connection:
        # A server that drips byte by byte never trips the timeout of one read: cut the line at the deadline.
        watch = threading.Timer(left, _cut, [connection])
        watch.daemon = True
        watch.start()
        try:
            path = parts.path or "/"
            connection.request(
                "GET",
                f"{path}?{parts.query}" if parts.query else path,
                headers={
                    "Host": parts.netloc,
                    "User-Agent": "visualsearch",
                    "Accept": "image/*",
                    "Accept-Encoding": "identity",
                },
            )
            answer = connection.getresponse()
            if answer.status in REDIRECTS and (onward := answer.getheader("Location")):
                return b"", onward
            if answer.status != 200:
                raise PictureError(
                    url, f"the server there answered with status {answer.status}", "Check the address"
                )
            return _body(answer, url, max_bytes, deadline), None
        except (OSError, http.client.HTTPException, ValueError) as error:
            if time.monotonic() >= deadline or isinstance(error, TimeoutError):
                raise _late(url) from error
            raise PictureError(url, "the connection failed", "Try again, or upload the picture") from error
        finally:
            watch.cancel()


def _connection(parts: SplitResult, address: str, timeout: float) -> http.client.HTTPConnection:
    """A connection for the host's name that goes to `address`."""
    host, port = str(parts.hostname), parts.port or PORTS[parts.scheme]

    class Plain(http.client.HTTPConnection):
        def connect(self) -> None:
            self.sock = socket.create_connection((address, port), timeout)

    class Secure(http.client.HTTPSConnection):
        def connect(self) -> None:
            started = time.monotonic()
            raw = socket.create_connection((address, port), timeout)
            # `_cut` must find the socket while hands are shaken: a peer may drip there, too.
            self.sock = ssl.create_default_context().wrap_socket(
                raw, server_hostname=host, do_handshake_on_connect=False
            )
            if time.monotonic() - started >= timeout:
                raise TimeoutError
            self.sock.do_handshake()

    return (Secure if parts.scheme == "https" else Plain)(host, port, timeout=timeout)


def _cut(connection: http.client.HTTPConnection) -> None:
    with suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)


def _body(answer: http.client.HTTPResponse, url: str, max_bytes: int, deadline: float) -> bytes:
    size = answer.getheader("Content-Length", "")
    if size.isdigit() and int(size) > max_bytes:
        raise _large(url, max_bytes)
    body = bytearray()
    while chunk := answer.read1(65_536):
        body += chunk
        if len(body) > max_bytes:
            raise _large(url, max_bytes)
        if time.monotonic() > deadline:
            raise _late(url)
    if size.isdigit() and len(body) < int(size):
        if time.monotonic() >= deadline:
            raise _late(url)
        raise PictureError(url, "the connection broke off", "Try again, or upload the picture")
    return bytes(body)


def _late(url: str) -> PictureError:
    return PictureError(url, "no answer in time", "Try again, or upload the picture")


def _large(url: str, limit: int) -> PictureError:
    return PictureError(url, f"it is over the limit of {limit:,} bytes", "Shrink it and upload it")
