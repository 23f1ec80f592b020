"""Serve an index until it is told to stop."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from visualsearch.errors import UsageError

from .app import create_app, open_service
from .connections import protocol
from .keys import FILE, Keys
from .quiet import Quiet
from .settings import Settings
from .threads import one_core_a_product

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
GRACE = 30
"""Seconds that running requests have to end in after the server was told to stop."""


def settled(folder: Path, host: str, settings: Settings) -> Settings:
    """The settings for serving at `host`: keys are needed off the loopback, and wherever there are some.

    Raises UsageError when keys are needed and there are none.
    """
    keys, local = len(Keys(folder / FILE)), is_local(host)
    if not local and not keys:
        raise UsageError(
            f"cannot serve at {host}",
            "others can reach it there, and there is no API key",
            f"Make one: visualsearch serve {folder} --new-key read",
        )
    hosts = settings.hosts
    if local:
        hosts = tuple(dict.fromkeys((*LOCAL_NAMES, plain(host), *hosts)))
    return replace(settings, keys_needed=bool(keys), watch_keys=True, hosts=hosts)


def plain(host: str) -> str:
    """A host without brackets, in lower case, as it stands in a Host header."""
    return host.removeprefix("[").removesuffix("]").lower()


def is_local(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    name = plain(host)
    if name in ("localhost", "localhost."):
        return True
    try:
        # The system also binds 127.1 and 0x7f000001, which are other ways to write the loopback.
        address = ipaddress.ip_address(name if ":" in name else socket.inet_ntoa(socket.inet_aton(name)))
    except (OSError, ValueError):
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def address_of(host: str, port: int) -> str:
    """Where a browser on this machine finds the server."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(plain(host), plain(host)) or "127.0.0.1"
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/"


def check_proxies(proxies: tuple[str, ...]) -> None:
    """Raise UsageError for what is no address or network."""
    for one in proxies:
        try:
            ipaddress.ip_network(one)
        except ValueError as error:
            raise UsageError(
                f"cannot trust the proxy {one!r}",
                f"it is no IP address or network ({error})",
                "Example: --trust-proxy 10.0.0.2 or --trust-proxy 10.0.0.0/24",
            ) from error


def run(
    folder: Path,
    host: str,
    port: int,
    settings: Settings,
    started: Callable[[str], None] = lambda _address: None,
    **options: Any,
) -> None:
    """Serve the index in `folder` until SIGINT or SIGTERM; running requests are finished then.

    `started(address)` is called once connections are taken. `options` as for `Index.open`. Raises UsageError
    when the address cannot be bound or needs keys.
    """
    import uvicorn

    check_proxies(settings.proxies)
    one_core_a_product()
    settings = settled(folder, host, settings)
    service = open_service(folder, settings, **options)

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if self.started:
                bound = self.servers[0].sockets[0].getsockname()[1]
                started(address_of(host, bound))

    config = uvicorn.Config(
        create_app(service),
        host=plain(host),
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        timeout_keep_alive=int(settings.idle_seconds),
        h11_max_incomplete_event_size=65_536,
        http=protocol(settings, service.metrics),
        ws="none",
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=list(settings.proxies),
    )
    server = Server(config)
    try:
        with Quiet("uvicorn.error", "visualsearch.server", "asyncio"):
            server.run()
    except SystemExit as error:  # what uvicorn raises when it cannot bind
        raise UsageError(
            f"cannot serve at {host}:{port}", "the address is taken or not allowed", "Choose another --port"
        ) from error
