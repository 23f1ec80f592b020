"""Proof that a merchant owns a domain: a file that the domain serves, or a DNS record."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from visualsearch.errors import SourceError, UsageError

if TYPE_CHECKING:
    from visualsearch.people import Claim, People

PLACE = "/.well-known/visualsearch.txt"
MOST_BYTES = 10_000
RESOLVERS = Path("/etc/resolv.conf")
SECONDS = 5.0
_TXT, _IN = 16, 1


def claim(people: People, merchant: str, domain: str, way: str = "file") -> Claim:
    """Begin a claim; the claim says what to put where (`instructions`). Raises ConflictError where the domain is taken."""
    return people.claim_domain(merchant, domain, way)


def instructions(claim: Claim) -> str:
    """What the merchant has to do, in one sentence."""
    if claim.way == "dns":
        return f'Add a TXT record with the text "{claim.proof}" to {claim.domain}, then verify.'
    return f'Serve the text "{claim.proof}" at https://{claim.domain}{PLACE}, then verify.'


def verify(
    people: People,
    merchant: str,
    domain: str,
    *,
    address: Callable[[Claim], str] | None = None,
    texts: Callable[[Claim], Sequence[str]] | None = None,
    allow_private: bool = False,
) -> Claim:
    """Prove a claim. `address` and `texts` replace where a file is fetched from and how records are asked for: for tests, and
    for networks of one's own, with `allow_private`. Raises UsageError, UnknownNameError, ConflictError, SourceError.
    """

    def found(claim: Claim) -> Sequence[str]:
        if claim.way == "dns":
            return (texts or (lambda each: dns_texts(each.domain)))(claim)
        place = f"https://{claim.domain}{PLACE}" if address is None else address(claim)
        return _file(place, allow_private)

    return people.verify_domain(merchant, domain, found)


def _file(place: str, allow_private: bool) -> list[str]:
    """The lines of the file. Redirects are not followed: a domain that sends everybody elsewhere proves nothing."""
    import httpx

    try:
        if not allow_private:
            _check_public(urlsplit(place).hostname or "")
        with httpx.stream("GET", place, timeout=SECONDS, follow_redirects=False) as answer:
            if answer.status_code != 200:
                raise OSError(f"it answers with status {answer.status_code}")
            data = b""
            for part in answer.iter_bytes():
                data += part
                if len(data) > MOST_BYTES:
                    raise OSError(f"it is larger than {MOST_BYTES:,} bytes")
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise UsageError(
            f"cannot read {place}", str(error) or type(error).__name__, "Serve the file there, then try again"
        ) from error
    return data.decode("utf-8", "replace").splitlines()


def _check_public(host: str) -> None:
    """Raises OSError where a name leads into a private network: nobody may look around there through this server."""
    for found in socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM):
        if not ipaddress.ip_address(found[4][0]).is_global:
            raise OSError("it leads into a private network")


def dns_texts(domain: str, server: tuple[str, int] | None = None) -> list[str]:
    """The TXT records of a domain, asked of this machine's resolver or of `server`. Raises SourceError."""
    place = server or _resolver()
    number = secrets.randbelow(1 << 16)
    labels = b"".join(bytes([len(part)]) + part.encode() for part in domain.split("."))
    asked = (
        struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", _TXT, _IN)
    )
    try:
        with socket.create_connection(
            place, SECONDS
        ) as line:  # over TCP nobody can answer in another's place unseen
            line.settimeout(SECONDS)
            line.sendall(struct.pack(">H", len(asked)) + asked)
            size = struct.unpack(">H", _exactly(line, 2))[0]
            answer = _exactly(line, size)
        return _texts(answer, number)
    except (OSError, struct.error, IndexError) as error:
        raise SourceError(
            f"cannot ask for the DNS records of {domain}",
            str(error),
            "Try again, or prove the domain by a file",
        ) from error


def _resolver() -> tuple[str, int]:
    try:
        for line in RESOLVERS.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if len(words) >= 2 and words[0] == "nameserver":
                return words[1], 53
    except OSError:
        pass
    return "127.0.0.1", 53


def _exactly(line: socket.socket, size: int) -> bytes:
    held = b""
    while len(held) < size:
        part = line.recv(size - len(held))
        if not part:
            raise OSError("the connection ended early")
        held += part
    return held


def _texts(answer: bytes, number: int) -> list[str]:
    """The texts in a DNS answer (RFC 1035). Raises struct.error, IndexError or OSError for what is none."""
    known, flags, questions, count = struct.unpack(">HHHH", answer[:8])
    if known != number or not flags & 0x8000 or flags & 0xF not in (0, 3):
        raise OSError(f"the resolver answered with code {flags & 0xF}")
    at = 12
    for _ in range(questions):
        at = _after_name(answer, at) + 4
    found = []
    for _ in range(count):
        at = _after_name(answer, at)
        kind, _, _, size = struct.unpack(">HHIH", answer[at : at + 10])
        at += 10
        if kind == _TXT:
            found.append(_joined(answer[at : at + size]))
        at += size
    return found


def _after_name(answer: bytes, at: int) -> int:
    while True:
        size = answer[at]
        if size & 0xC0:
            return at + 2
        at += size + 1
        if size == 0:
            return at


def _joined(data: bytes) -> str:
    held, at = b"", 0
    while at < len(data):
        held += data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
    return held.decode("utf-8", "replace")
