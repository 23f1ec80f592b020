"""The HTTP transport of every picture that is fetched: one deadline over everything, and a say in where it connects.

httpx bounds each read by itself. A server that sends its head or its handshake byte by byte would then hold a thread for ever.
Here each step gets what is left of the time that `within` set: looking up the name, connecting, the handshake, each read.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import httpcore
import httpx

Lookup = Callable[[str, int], list[str]]
"""Host and port -> the IP addresses that may be connected to, in this order. Raises OSError, or what ends the request."""

CONNECTIONS = 32
_clock = threading.local()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Everything that a `Wire` does in this thread while the block runs ends within that time, or raises TimeoutException."""
    _clock.ends = time.monotonic() + seconds
    try:
        yield
    finally:
        del _clock.ends


def _left(most: float | None) -> float:
    left: float = _clock.ends - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the time is over")
    return left if most is None else min(most, left)


def addresses(host: str, port: int) -> list[str]:
    """The addresses of a host, as the system knows them."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@lru_cache(maxsize=1)
def _resolving(process: int) -> ThreadPoolExecutor:
    """The system's resolver has no deadline: a silent name server holds one of these threads, not the request."""
    return ThreadPoolExecutor(16, "resolve")


@lru_cache(maxsize=1)
def _certificates() -> Any:
    return httpx.create_ssl_context()


class _Stream(httpcore.NetworkStream):
    """A connection whose every step ends with the deadline."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Network(httpcore.NetworkBackend):
    """Connects to the addresses that `lookup` gives. A name is looked up once for each connection."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup, self._inner = lookup, httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        found = _resolving(os.getpid()).submit(self._lookup, host, port)
        try:
            places = found.result(_left(timeout))
        except TimeoutError as error:
            found.cancel()
            raise httpcore.ConnectTimeout("no name server answers") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        for place in places[:-1]:
            try:
                return _Stream(
                    self._inner.connect_tcp(place, port, _left(timeout), local_address, socket_options)
                )
            except httpcore.ConnectError:
                continue
        last = self._inner.connect_tcp(places[-1], port, _left(timeout), local_address, socket_options)
        return _Stream(last)


class Wire(httpx.BaseTransport):
    """A transport of httpx over such connections. Used inside `within`."""

    def __init__(self, lookup: Lookup = addresses) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=_certificates(),
            max_connections=CONNECTIONS,
            max_keepalive_connections=CONNECTIONS,
            network_backend=_Network(lookup),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request. Raises the exceptions of httpx."""
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        asked = httpcore.Request(
            request.method, url, headers=request.headers.raw, extensions=request.extensions
        )
        with _as_httpx():
            answer = self._pool.handle_request(asked)
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_Body(answer), extensions=answer.extensions
        )

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """The exceptions of httpcore become those of httpx."""
    try:
        yield
    except httpcore.TimeoutException as error:
        raise httpx.ReadTimeout(str(error)) from error
    except httpcore.ConnectError as error:
        raise httpx.ConnectError(str(error)) from error
    except httpcore.UnsupportedProtocol as error:
        raise httpx.UnsupportedProtocol(str(error)) from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise httpx.NetworkError(str(error)) from error
