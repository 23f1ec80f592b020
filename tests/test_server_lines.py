"""Connections have deadlines and a number, and the log a pace, whatever strangers send."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

import httpx

from visualsearch.server.connections import protocol
from visualsearch.server.quiet import LONGEST, Quiet

from .serving import catalogue, served, service

HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return catalogue(tmp_path_factory.mktemp("lines"), 6)


@contextmanager
def watched(folder: Path, **changes: Any) -> Iterator[str]:
    made = service(folder, **changes)
    config = {
        "http": protocol(made.settings, made.metrics),
        "timeout_keep_alive": 60,
        "proxy_headers": bool(made.settings.proxies),
        "forwarded_allow_ips": list(made.settings.proxies),
    }
    with served(made, **config) as address:
        yield address


def dial(address: str) -> socket.socket:
    host, port = address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), 20)


def rest(line: socket.socket) -> bytes:
    """All that comes until the server ends the connection."""
    got = b""
    try:
        while chunk := line.recv(65_536):
            got += chunk
    except ConnectionResetError:
        pass
    return got


HALVES = {
    "nothing": b"",
    "half a head": b"GET / HTTP/1.1\r\nHost: loc",
    "half of the next head": HEAD + b"GET / HT",
    "a body after the answer": b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nx",
}


@pytest.mark.parametrize("kind", HALVES)
def test_what_is_not_sent_in_time_ends_the_connection(folder: Path, kind: str) -> None:
    with watched(folder, head_seconds=0.2) as address, dial(address) as line:
        line.sendall(HALVES[kind])
        rest(line)  # returns: the server hung up


def test_a_head_that_drips_is_cut_off(folder: Path) -> None:
    """Every byte comes early; the head as a whole comes late."""
    with watched(folder, head_seconds=0.3) as address, dial(address) as line:
        line.settimeout(0.02)
        line.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        ended = False
        while not ended:
            try:
                line.sendall(b"x")
                ended = line.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                ended = True


def test_a_client_that_reads_nothing_is_cut_off(folder: Path) -> None:
    request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with watched(folder, send_seconds=0.2, rate=0) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.socket() as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.settimeout(20)
            line.connect((host, int(port)))
            with suppress(OSError):  # reset, or a timeout of the send where nothing is cut
                while True:
                    line.sendall(request * 50)
            with pytest.raises(ConnectionError):
                line.sendall(request)
        assert httpx.get(f"{address}/healthz").status_code == 200


def test_one_address_has_only_so_many_connections_and_gets_them_back(folder: Path) -> None:
    with watched(folder, connections_each=3) as address, ExitStack() as stack:
        lines = [stack.enter_context(dial(address)) for _ in range(3)]
        for line in lines:
            line.sendall(HEAD)
            assert line.recv(12) == b"HTTP/1.1 200"
        with dial(address) as more:
            assert rest(more) == b""
        lines[0].shutdown(socket.SHUT_RDWR)
        lines[0].close()
        lines[1].sendall(HEAD)  # the server has seen the end of the first by the time it answers this
        rest_of = lines[1].recv(65_536)
        assert b"200" in rest_of + lines[1].recv(65_536)
        with dial(address) as again:
            again.sendall(HEAD)
            assert again.recv(12) == b"HTTP/1.1 200"


def test_a_proxy_that_is_trusted_has_as_many_connections_as_it_needs(folder: Path) -> None:
    with (
        watched(folder, connections_each=1, proxies=("127.0.0.0/8",)) as address,
        ExitStack() as stack,
    ):
        for _ in range(4):
            line = stack.enter_context(dial(address))
            line.sendall(HEAD)
            assert line.recv(12) == b"HTTP/1.1 200"


def test_where_all_places_are_taken_the_longest_waiting_gives_way(folder: Path) -> None:
    with watched(folder, connections=3) as address, ExitStack() as stack:
        lines = [stack.enter_context(dial(address)) for _ in range(3)]
        for line in lines[1:]:
            line.sendall(HEAD)
            assert line.recv(12) == b"HTTP/1.1 200"
        with dial(address) as new:
            new.sendall(HEAD)
            assert new.recv(12) == b"HTTP/1.1 200"
            assert rest(lines[0]) == b""  # it never sent anything


def test_three_hundred_half_sent_heads_stop_nobody(folder: Path) -> None:
    with watched(folder, connections=200, connections_each=1000) as address, ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(dial(address)).sendall(b"GET / HTTP/1.1\r\nHost")
        for _ in range(3):
            assert httpx.get(f"{address}/healthz").status_code == 200


FORWARDED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}


def test_where_a_client_comes_from_is_believed_of_trusted_proxies_only(folder: Path) -> None:
    for proxies, statuses in (((), [200, 200, 429]), (("127.0.0.1",), [200, 200, 200])):
        with watched(folder, rate=0.001, burst=2, proxies=proxies) as address:
            seen = [
                httpx.get(f"{address}/healthz", headers={**FORWARDED, "X-Forwarded-For": f"203.0.113.{n}"})
                for n in range(3)
            ]
        assert [answer.status_code for answer in seen] == statuses


# -- the log ------------------------------------------------------------------------------------------------------
def test_a_line_of_code_that_speaks_too_often_is_summed_up(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    logger = logging.getLogger("tests.quiet")

    def shout(number: int) -> None:
        logger.warning("bad request %d", number)

    with Quiet("tests.quiet", burst=3, seconds=60, clock=lambda: now[0]):
        for number in range(1237):
            shout(number)
        logger.warning("another matter")
        now[0] = 61
        shout(9)
    assert [record.getMessage() for record in caplog.records] == [
        "bad request 0",
        "bad request 1",
        "bad request 2",
        "another matter",
        "1,234 more like this were not written in 60 s",
        "bad request 9",
    ]


def test_what_was_held_back_is_told_at_the_end_and_long_lines_are_cut(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger("tests.quiet")
    with Quiet("tests.quiet", burst=1):
        for _ in range(3):
            logger.error("x" * 1_000_000)
    said = [record.getMessage() for record in caplog.records]
    assert [len(text) for text in said[:1]] == [LONGEST + 4]
    assert said[1:] == ["2 more like this were not written in 60 s"]
    logger.error("free again")
    assert caplog.records[-1].getMessage() == "free again"


def test_garbage_on_the_line_writes_a_few_lines_only(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("uvicorn.error")
    with watched(folder) as address, Quiet("uvicorn.error", burst=5):
        logger.setLevel(logging.WARNING)
        logger.addHandler(caplog.handler)
        for _ in range(40):
            with dial(address) as line:
                line.sendall(b"\x16\x03\x01 no http\r\n\r\n")
                rest(line)
    logger.removeHandler(caplog.handler)
    said = [r.getMessage() for r in caplog.records if r.name == "uvicorn.error"]
    assert said.count("Invalid HTTP request received.") == 5
    assert "35 more like this were not written in 60 s" in said
