"""What stands before the application, as plain ASGI: headers, hosts, rates, body sizes, and exact paths."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from cachetools import LRUCache
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .metrics import Metrics
from .problems import Kind, RefusedError, from_error
from .settings import Settings

SECURITY = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none';"
        " form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
CLIENTS = 10_000
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
EXTENSIONS = ("chrome-extension://", "moz-extension://")
UNROUTED = "unrouted"
EVENTS = "/events"


def from_extension(origin: str, settings: Settings) -> bool:
    """Whether an Origin header names a browser extension that may search here."""
    return any(origin == start + name for start in EXTENSIONS for name in settings.extensions)


class Watched:
    """Adds the security headers, and measures every request by its route."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self.app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", UNROUTED)
            method = scope["method"] if scope["method"] in METHODS else "OTHER"
            seconds = time.perf_counter() - started
            self.metrics.requests.labels(route, method, str(status)).observe(seconds)


METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Gate:
    """Refuses foreign hosts and origins, clients that ask too often, and bodies too large or too slow."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app, self.settings, self.metrics = app, settings, metrics
        self.rates = Rates(settings.rate, settings.burst, clock)
        self.event_rates = Rates(5 * settings.rate, 5 * settings.burst, clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            headers = Headers(scope=scope)
            self._check_host(headers)
            self._check_origin(scope, headers)
            self._check_rate(scope, headers)
            self._check_length(headers)
        except RefusedError as error:
            await from_error(error)(scope, receive, send)
            return
        # Ids may hold slashes: paths are matched as they came, percent-encoded, and a handler decodes its part.
        scope["path"] = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
        await self.app(scope, self._limited(receive), send)

    def _check_host(self, headers: Headers) -> None:
        # A page of another site can point its own name at a local address (DNS rebinding), but not forge Host.
        hosts, name = self.settings.hosts, headers.get("host")
        if name is not None and not _host(name):
            raise RefusedError(
                Kind.FORBIDDEN, "this host name is not served here", "it is none", "Send a Host header"
            )
        if hosts and _host(headers.get("host", "")) not in hosts:
            raise RefusedError(
                Kind.FORBIDDEN,
                "this host name is not served here",
                "it is not among the allowed ones",
                "Start the server with --allow-host NAME",
            )

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        origin = headers.get("origin")
        if scope["method"] in SAFE or origin is None:
            return
        if not from_extension(origin, self.settings) and _netloc(origin) != headers.get("host", ""):
            raise RefusedError(
                Kind.FORBIDDEN,
                "a page of another site may not do this",
                "the Origin header names another place",
                "Use the server's own page, or ask from a program; another build of the extension needs"
                " --allow-extension ID",
            )

    def _check_rate(self, scope: Scope, headers: Headers) -> None:
        client = scope.get("client")
        # Batches of events never cost a search its turn; how many events there are is counted where they are read.
        rates = self.event_rates if scope["path"] == EVENTS else self.rates
        wait = rates.wait(client[0] if client else "")
        if wait > 0:
            self.metrics.refused.labels("rate").inc()
            raise RefusedError(
                Kind.RATE,
                "too many requests",
                f"at most {rates.rate:g} per second are answered",
                f"Try again in {math.ceil(wait)} s",
                retry_after=math.ceil(wait),
            )

    def _check_length(self, headers: Headers) -> None:
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > self.settings.max_body:
            raise self._too_large()

    def _too_large(self) -> RefusedError:
        return RefusedError(
            Kind.TOO_LARGE,
            "the body is too large",
            f"at most {self.settings.max_body:,} bytes are taken",
            "Shrink the picture",
        )

    def _limited(self, receive: Receive) -> Receive:
        taken, deadline, more = 0, time.monotonic() + self.settings.body_seconds, True

        async def receiving() -> Message:
            nonlocal taken, more
            if not more:
                return await receive()
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    message = await receive()
            except TimeoutError:
                raise RefusedError(
                    Kind.TOO_SLOW,
                    "the body did not arrive",
                    f"it may take {self.settings.body_seconds:g} s",
                    "Try again over a better connection",
                ) from None
            taken += len(message.get("body", b""))
            more = message["type"] == "http.request" and message.get("more_body", False)
            if taken > self.settings.max_body:
                raise self._too_large()
            return message

        return receiving


class Rates:
    """A token bucket for each client; the clients that were silent longest are forgotten."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst, self.clock = rate, burst, clock
        self._clients: LRUCache[str, tuple[float, float]] = LRUCache(CLIENTS)

    def wait(self, client: str, cost: float = 1) -> float:
        """0 and `cost` tokens are taken, or the seconds until there are so many."""
        if self.rate <= 0:
            return 0.0
        now = self.clock()
        tokens, seen = self._clients.get(client, (float(self.burst), now))
        tokens = min(float(self.burst), tokens + (now - seen) * self.rate)
        short = tokens < cost
        self._clients[client] = (tokens if short else tokens - cost, now)
        return (cost - tokens) / self.rate if short else 0.0


def _netloc(origin: str) -> str | None:
    """Host and port of an Origin header; None for what has none."""
    try:
        return urlsplit(origin).netloc or None
    except ValueError:  # such as http://[
        return None


_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[\w.-]+)(?::\d*)?", re.ASCII | re.IGNORECASE)


def _host(value: str) -> str:
    """The name in a Host header, without its port; "" for what is none."""
    found = _HOST.fullmatch(value)
    return found[1].strip("[]").lower() if found else ""
