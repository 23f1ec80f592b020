"""Connections below HTTP: how many there may be, and how long one may wait for its client.

uvicorn has a deadline for an idle connection only. Half a head, a body that drips in after the answer, and a client
that does not read would hold a connection for ever.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter, OrderedDict
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .metrics import Metrics
from .settings import Settings

SPARE = 256
"""Open files that are left to everything but connections."""


class Lines:
    """The open connections of one server. Used from its event loop only."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings, self.metrics = settings, metrics
        self.most = _most(settings.connections)
        self.open = 0
        self.waiting: OrderedDict[Watchful, None] = OrderedDict()  # for a head; the longest first
        self._each: Counter[str] = Counter()
        self._proxies = [ipaddress.ip_network(one) for one in settings.proxies]

    def take(self, line: Watchful) -> bool:
        """Whether one more connection is taken. Where there are too many, the one that waits longest makes room."""
        address = line.address
        if self._each[address] >= self.settings.connections_each and not self._is_proxy(address):
            self.metrics.refused.labels("connections").inc()
            return False
        if self.open >= self.most:
            self.metrics.refused.labels("connections").inc()
            if not self.waiting:
                return False
            next(iter(self.waiting)).cut()
        self._each[address] += 1
        self.open += 1
        return True

    def release(self, line: Watchful) -> None:
        """A connection that was taken is over."""
        self.open -= 1
        self._each[line.address] -= 1
        if not self._each[line.address]:
            del self._each[line.address]

    def _is_proxy(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._proxies)


class Watchful(H11Protocol):
    """uvicorn's connection with deadlines; `protocol` binds it to a server's Lines."""

    lines: Lines
    address = ""
    _taken = False
    _head: asyncio.TimerHandle | None = None
    _sending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or end it at once."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._taken = self.lines.take(self)
        if self._taken:
            self._watch()
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give its place away."""
        super().connection_lost(exc)
        self._stop_head()
        self._stop_sending()
        self._leave()

    def data_received(self, data: bytes) -> None:
        """Bytes of a head or a body; only the end of the head stops its clock."""
        if not self._taken:
            return
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """The next request may take `idle_seconds` to begin (uvicorn's own clock)."""
        self._stop_head()
        super().on_response_complete()
        if not self._busy() and self._taken:
            self.lines.waiting[self] = None
            # The next head has begun already, or this request's body has not ended.
            if self.conn.trailing_data[0] or self.conn.their_state is h11.SEND_BODY:
                self._watch()

    def pause_writing(self) -> None:
        """The client takes nothing: it has `send_seconds`."""
        super().pause_writing()
        if self._sending is None:
            self._sending = self.loop.call_later(self.lines.settings.send_seconds, self.cut)

    def resume_writing(self) -> None:
        """It takes again."""
        super().resume_writing()
        self._stop_sending()

    def cut(self) -> None:
        """End the connection as it is."""
        self._leave()
        if self.transport is not None:
            self.transport.abort()

    def _leave(self) -> None:
        self.lines.waiting.pop(self, None)
        if self._taken:
            self._taken = False
            self.lines.release(self)

    def _stop_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _stop_sending(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _watch(self) -> None:
        if self._busy():
            self._stop_head()
            self.lines.waiting.pop(self, None)
        elif self._taken:
            self.lines.waiting.setdefault(self)
            if self._head is None:
                self._head = self.loop.call_later(self.lines.settings.head_seconds, self.cut)


def protocol(settings: Settings, metrics: Metrics) -> type[Any]:
    """The protocol of one server, for uvicorn's `http`."""
    return type("Connection", (Watchful,), {"lines": Lines(settings, metrics)})


def _most(wanted: int) -> int:
    """As many connections as are wanted and the process may have open files for."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted + SPARE:
        soft = wanted + SPARE if hard == resource.RLIM_INFINITY else min(hard, wanted + SPARE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(wanted, soft - min(SPARE, soft // 2)))
