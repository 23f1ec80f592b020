"""Queries by address: what must not be reached is not reached, whatever names and redirects say."""

from __future__ import annotations

import ipaddress
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from visualsearch import fetch as fetching
from visualsearch.errors import PictureError
from visualsearch.fetch import fetch as plain_fetch
from visualsearch.fetch import shown
from visualsearch.server import guard

from .serving import png

PRIVATE = (
    "127.0.0.1", "127.8.8.8", "10.0.0.7", "172.16.3.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1", "240.0.0.1",
)  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    """Answers each path of `pages` by its function."""

    pages: ClassVar[dict[str, Callable[[Any], None]]] = {}
    seen: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["Host"]))
        self.pages[self.path](self)

    def log_message(self, *_: Any) -> None:
        pass


def body(data: bytes, kind: str = "image/png", length: int | None = -1) -> Callable[[Any], None]:
    def send(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        if length is not None:
            handler.send_header("Content-Length", str(len(data) if length < 0 else length))
        handler.end_headers()
        handler.wfile.write(data)

    return send


def onward(place: str) -> Callable[[Any], None]:
    def send(handler: Any) -> None:
        handler.send_response(302)
        handler.send_header("Location", place)
        handler.end_headers()

    return send


def drip(handler: Any) -> None:
    """One byte, and nothing more until the client leaves."""
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"x")
    handler.wfile.flush()
    handler.connection.recv(1)


@pytest.fixture
def site() -> Iterator[str]:
    Handler.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://pictures.example:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(url: str, places: dict[str, list[str]] | None = None, **changes: Any) -> bytes:
    """Fetch with a resolver of our own; the loopback stands for a public address unless told otherwise."""
    known = {"pictures.example": ["127.0.0.1"], **(places or {})}
    options = {
        "max_bytes": 10_000,
        "timeout": 5.0,
        "allowed": lambda a: a == ipaddress.ip_address("127.0.0.1"),
    }
    return guard.fetch(url, resolver=lambda host, _: known.get(host, []), **(options | changes))


def refused(url: str, **changes: Any) -> str:
    with pytest.raises(PictureError) as caught:
        fetch(url, **changes)
    return caught.value.why


@pytest.mark.parametrize("address", PRIVATE)
def test_no_private_address_counts_as_global(address: str) -> None:
    assert guard.is_global(ipaddress.ip_address(address)) is False
    url = f"http://[{address}]/x.png" if ":" in address else f"http://{address}/x.png"
    with pytest.raises(PictureError) as caught:
        guard.fetch(url, max_bytes=1000, timeout=1)
    assert caught.value.why == "it leads to a private network"


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses_count_as_global(address: str) -> None:
    assert guard.is_global(ipaddress.ip_address(address)) is True


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "localhost"])
def test_other_spellings_of_the_loopback_lead_nowhere(host: str) -> None:
    with pytest.raises(PictureError) as caught:
        guard.fetch(f"http://{host}/x.png", max_bytes=1000, timeout=1)
    refusals = ("it leads to a private network", f"the host {host!r} is not known", "it is not a web address")
    assert caught.value.why in refusals


def test_a_picture_is_fetched_under_its_hosts_name(site: str) -> None:
    Handler.pages = {"/a.png?x=1": body(png("red"))}
    assert fetch(f"{site}/a.png?x=1") == png("red")
    assert Handler.seen == [("/a.png?x=1", site.removeprefix("http://"))]


def test_a_host_with_one_private_address_among_public_ones_is_refused(site: str) -> None:
    why = refused(f"{site}/a.png", places={"pictures.example": ["127.0.0.1", "10.0.0.1"]})
    assert why == "it leads to a private network"
    assert Handler.seen == []


def test_a_name_that_changes_its_mind_is_resolved_once(site: str) -> None:
    """DNS rebinding: the second answer would be private, but nobody asks a second time."""
    Handler.pages = {"/a.png": body(png("red"))}
    answers = [["127.0.0.1"], ["10.0.0.1"]]
    data = guard.fetch(
        f"{site}/a.png",
        max_bytes=1000,
        timeout=5,
        allowed=lambda a: str(a) == "127.0.0.1",
        resolver=lambda *_: answers.pop(0),
    )
    assert data == png("red")
    assert answers == [["10.0.0.1"]]


def test_redirects_are_followed_and_each_is_checked(site: str) -> None:
    port = site.rpartition(":")[2]
    Handler.pages = {
        "/good": onward("/a.png"),
        "/a.png": body(png("red")),
        "/inside": onward(f"http://inner.example:{port}/secret"),
        "/meta": onward("http://169.254.169.254/latest/meta-data"),
        "/file": onward("file:///etc/passwd"),
        "/broken": onward("http://["),
        "/round": onward("/round"),
        "/secret": body(png("blue")),
    }
    assert fetch(f"{site}/good") == png("red")
    Handler.seen = []
    assert (
        refused(f"{site}/inside", places={"inner.example": ["192.168.0.9"]})
        == "it leads to a private network"
    )
    assert (
        refused(f"{site}/meta", places={"169.254.169.254": ["169.254.169.254"]})
        == "it leads to a private network"
    )
    assert refused(f"{site}/file") == "it is not a web address"
    assert refused(f"{site}/broken") == "it redirects to something that is not a web address"
    assert refused(f"{site}/round") == "it redirects more than 4 times"
    assert "/secret" not in [path for path, _ in Handler.seen]


def test_what_is_no_picture_or_too_large_or_broken_is_refused(site: str) -> None:
    def missing(handler: Any) -> None:
        handler.send_error(404)

    Handler.pages = {
        "/page": body(b"<!doctype html>", "image/png"),
        "/large": body(b"x" * 20_000),
        "/endless": body(b"x" * 20_000, length=None),
        "/short": body(png("red"), length=9999),
        "/gone": missing,
    }
    assert refused(f"{site}/page") == "what is there is not a picture"
    assert refused(f"{site}/large") == "it is over the limit of 10,000 bytes"
    assert refused(f"{site}/endless") == "it is over the limit of 10,000 bytes"
    assert refused(f"{site}/short") == "the connection broke off"
    assert refused(f"{site}/gone") == "the server there answered with status 404"


def drip_head(handler: Any) -> None:
    """A head that never ends, each line of it before the timeout of a read."""
    with suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for _ in range(400):
            handler.wfile.write(b"X-Again: and again\r\n")
            if select.select([handler.connection], [], [], 0.05)[0]:
                return  # the client has left


@pytest.mark.parametrize("page", [drip, drip_head])
def test_a_server_that_drips_is_cut_off(site: str, page: Callable[[Any], None]) -> None:
    Handler.pages = {"/drip": page, "/a.png": body(png("red"))}
    assert refused(f"{site}/drip", timeout=0.3) == "no answer in time"
    own = site.replace("pictures.example", "127.0.0.1")
    with pytest.raises(PictureError, match=r"no answer within 0\.3 seconds"):
        plain_fetch(f"{own}/drip", timeout=0.3)
    assert plain_fetch(f"{own}/a.png", timeout=20) == png("red")


def test_a_proxy_of_the_environment_is_asked_by_the_indexer_and_never_by_the_server(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Handler.pages = {"http://far.example/a.png": body(png("blue")), "/a.png": body(png("red"))}
    monkeypatch.setenv("http_proxy", site.replace("pictures.example", "127.0.0.1"))
    fetching._new_client.cache_clear()
    try:
        assert plain_fetch("http://far.example/a.png") == png("blue")
        assert fetch(f"{site}/a.png") == png("red")
        assert [path for path, _ in Handler.seen] == ["http://far.example/a.png", "/a.png"]
    finally:
        fetching._new_client.cache_clear()


def test_a_name_server_that_is_silent_holds_nobody_longer_than_the_fetch_may_take(site: str) -> None:
    go = threading.Event()
    try:
        with pytest.raises(PictureError) as caught:
            guard.fetch(f"{site}/a.png", max_bytes=10, timeout=0.1, resolver=lambda *_: [str(go.wait(30))])
        assert caught.value.why == "no answer in time"
    finally:
        go.set()


def test_a_server_that_drips_while_shaking_hands_is_cut_off() -> None:
    """Each byte comes before the timeout of a read: only the deadline of the whole ends it."""
    stop = threading.Event()

    def serve(listener: socket.socket) -> None:
        line, _ = listener.accept()
        with line, suppress(OSError):
            line.sendall(b"\x16\x03\x03\x40\x00")  # a record of 16 kB begins
            while not stop.wait(0.02):
                line.sendall(b"\x02")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            url = f"https://pictures.example:{listener.getsockname()[1]}/x"
            assert refused(url, timeout=0.3) == "no answer in time"
        finally:
            stop.set()
            thread.join()


SHOWN = {
    "https://ada:pw@h.example/a.jpg?v=17": "https://h.example/a.jpg?v=17",
    "https://h.example/a.jpg?w=300&token=t&X-Amz-Signature=0f": "https://h.example/a.jpg?w=300&token=...&X-Amz-Signature=...",
    "https://h.example/?" + "k" * 40: "https://h.example/?...",
    "https://h.example/?id=" + "k" * 40 + "#top": "https://h.example/?id=...#top",
    "https://h.example/a@b.jpg?keyword=shoe&monkey=1": "https://h.example/a@b.jpg?keyword=shoe&monkey=1",
    "http://ada:pw@[::1/x": "http://[::1/x",
}


@pytest.mark.parametrize(("url", "text"), SHOWN.items())
def test_what_an_address_keeps_secret_is_not_shown(url: str, text: str) -> None:
    assert shown(url) == text


def test_no_error_tells_a_password_or_a_signature() -> None:
    url = "http://ada:swordfish@127.0.0.1:1/x.jpg?signature=0badcafe"
    for get in (lambda: guard.fetch(url, max_bytes=9, timeout=1), lambda: plain_fetch(url, timeout=1)):
        with pytest.raises(PictureError) as caught:
            get()
        assert "swordfish" not in str(caught.value)
        assert "0badcafe" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h/x", "http://", "http://user:secret@pictures.example/x", "http://pictures.example:22/x",
        "http://pictures.example:99999/x", "http://pictures.example/ x", "http://pictures.example/\r\nX: y", "x.png", "",
    ],
)  # fmt: skip
def test_what_is_no_web_address_is_refused_before_anything_is_asked(url: str) -> None:
    asked: list[str] = []
    with pytest.raises(PictureError):
        guard.fetch(url, max_bytes=1, timeout=1, resolver=lambda host, _: asked.append(host) or [])
    assert asked == []
