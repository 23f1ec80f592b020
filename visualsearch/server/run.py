"""Serve an index until it is told to stop."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from visualsearch.errors import UsageError

from .app import create_app, open_service
from .keys import FILE, Keys
from .settings import Settings

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
        hosts = (*LOCAL_NAMES, *hosts)
    return replace(settings, keys_needed=bool(keys), hosts=hosts)


def is_local(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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

    settings = settled(folder, host, settings)
    service = open_service(folder, settings, **options)

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if self.started:
                bound = self.servers[0].sockets[0].getsockname()[1]
                started(f"http://{f'[{host}]' if ':' in host else host}:{bound}/")

    config = uvicorn.Config(
        create_app(service),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        timeout_keep_alive=30,
        h11_max_incomplete_event_size=65_536,
    )
    server = Server(config)
    try:
        server.run()
    except SystemExit as error:  # what uvicorn raises when it cannot bind
        raise UsageError(
            f"cannot serve at {host}:{port}", "the address is taken or not allowed", "Choose another --port"
        ) from error
