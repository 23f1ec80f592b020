"""Domains are proved by a file or a DNS record, and by one merchant only."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from visualsearch.errors import ConflictError, SourceError, UnknownNameError, UsageError
from visualsearch.insight import claim, dns_texts, instructions, verify
from visualsearch.people import People


@contextmanager
def site(body: str, status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/.well-known/visualsearch.txt" else 404)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/.well-known/visualsearch.txt"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def resolver(texts: list[str], code: int = 0) -> Iterator[tuple[str, int]]:
    """A DNS server that answers one question over TCP."""
    listening = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        line, _ = listening.accept()
        with line:
            asked = line.recv(2000)[2:]
            question = asked[12:]
            records = b"".join(
                b"\xc0\x0c"
                + struct.pack(">HHIH", 16, 1, 60, len(text) + 1)
                + bytes([len(text)])
                + text.encode()
                for text in texts
            )
            held = asked[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(texts), 0, 0) + question + records
            line.sendall(struct.pack(">H", len(held)) + held)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield listening.getsockname()
    finally:
        thread.join()
        listening.close()


def test_a_file_at_the_domain_proves_it(people: People) -> None:
    made = claim(people, "acme", "WWW.Shop.Example.")
    assert made.domain == "shop.example"
    assert made.proof in instructions(made)
    with site(f"hello\n{made.proof}\n") as address:
        proved = verify(people, "acme", "shop.example", address=lambda _: address, allow_private=True)
    assert proved.verified is not None


@pytest.mark.parametrize(("body", "status", "why"), [
    ("visualsearch-site=other", 200, "does not say"), ("", 302, "status 302"), ("x" * 20_000, 200, "larger"),
])  # fmt: skip
def test_another_file_a_redirect_or_a_huge_one_proves_nothing(
    people: People, body: str, status: int, why: str
) -> None:
    claim(people, "acme", "shop.example")
    with site(body, status) as address, pytest.raises(UsageError, match=why):
        verify(people, "acme", "shop.example", address=lambda _: address, allow_private=True)


def test_private_networks_are_not_looked_into(people: People) -> None:
    claim(people, "acme", "shop.example")
    with pytest.raises(UsageError, match="private network"):
        verify(
            people,
            "acme",
            "shop.example",
            address=lambda _: "http://127.0.0.1:1/.well-known/visualsearch.txt",
        )


def test_a_dns_record_proves_it(people: People) -> None:
    made = claim(people, "acme", "shop.example", "dns")
    assert "TXT" in instructions(made)
    with resolver(["v=spf1", made.proof]) as place:
        assert dns_texts("shop.example", place) == ["v=spf1", made.proof]
    with resolver([made.proof]) as place:
        proved = verify(people, "acme", "shop.example", texts=lambda each: dns_texts(each.domain, place))
    assert proved.verified is not None
    with resolver([], code=2) as place, pytest.raises(SourceError, match="code 2"):
        dns_texts("shop.example", place)


def test_a_domain_claimed_twice_belongs_to_who_proved_it_first(people: People) -> None:
    one, other = claim(people, "acme", "shop.example", "dns"), claim(people, "bolt", "shop.example", "dns")
    assert one.token != other.token
    verify(people, "bolt", "shop.example", texts=lambda each: [each.proof])
    with pytest.raises(ConflictError):
        verify(people, "acme", "shop.example", texts=lambda each: [each.proof])
    with pytest.raises(ConflictError):
        claim(people, "carl", "shop.example")
    assert people.drop_domain("bolt", "shop.example")
    assert claim(people, "carl", "shop.example").merchant == "carl"


def test_what_is_no_domain_or_no_claim_is_refused(people: People) -> None:
    for text in ("shop", "", "a b.example", "x" * 300 + ".example", "..", "-"):
        with pytest.raises(UsageError):
            claim(people, "acme", text)
    with pytest.raises(UnknownNameError):
        verify(people, "acme", "shop.example")
    with pytest.raises(UnknownNameError):
        claim(people, "acme", "shop.example", "phone")
