"""What a server allows, in one place."""

from __future__ import annotations

import os
from dataclasses import dataclass

EXTENSION = "cohhpenlhgoeifkodngfbbggekecpcik"
"""The id of this project's own extension. Chromium derives it from `key` in the extension's manifest."""
CORES = os.cpu_count() or 2


@dataclass(frozen=True)
class Settings:
    """Limits and manners of a server.

    Sizes are bytes, times seconds. `queue`: picture queries that may wait or run at once; one more is
    answered 429. `rate` and `burst`: requests a second and at once of one client (by address);
    0 means no limit. `keys_needed`: requests must carry an API key; `public`: reading needs none all the
    same. `watch_keys`: a key that is made while serving is needed from then on. `hosts`: names that the Host
    header may have; empty means any. `proxies`: addresses or networks whose X-Forwarded-For is believed.
    `extensions`: ids of browser extensions that may search here. `allow_private`: query addresses may
    lead into private networks. `secure_cookie`: the session cookie travels over https only.

    `max_json`: bytes of a JSON body. `remote_seconds`: for the picture of a pin that lies on the web.
    `filter_seconds`: for SQLite's part of one request. `max_tests`: comparisons in one filter. `head_seconds`:
    for the head of a request. `idle_seconds`: between two requests of a connection. `send_seconds`: without
    the client taking anything. `connections`: in all, and `connections_each` of one address.

    `people`: the address of a PostgreSQL database for the record of people; None: the file beside the index; "off": none.
    `event_rate`: events a second from one address; an application's key may send 100 times as many; 0 means no limit.
    `event_days`: events are kept for so many days; None: for ever. `upkeep_seconds`: between two rounds of the people's
    upkeep. `max_events`: bytes of a batch of events. `promote`: promoted pins stand among the results.

    `trust`: "act" judges new deeds every `trust_seconds` and hides what is nearly surely spam, "ask" only fills the queue of
    `/review`, "off" judges nothing.

    `swaps`: the share of lists in which two neighbours may trade places; `explore`: the share of a feed's slots in which fresh
    pins are tried, `explore_floor`: looks that each gets. `guard_seconds`: between two looks at the guardrails of experiments.
    """

    max_body: int = 20_000_000
    max_json: int = 256_000
    max_pixels: int = 50_000_000
    body_seconds: float = 30.0
    fetch_seconds: float = 10.0
    remote_seconds: float = 5.0
    filter_seconds: float = 5.0
    max_tests: int = 500
    head_seconds: float = 10.0
    idle_seconds: float = 30.0
    send_seconds: float = 30.0
    connections: int = 1000
    connections_each: int = 100
    max_k: int = 200
    max_offset: int = 10_000
    max_text: int = 2_000
    max_parts: int = 64
    queue: int = 32
    threads: int = max(4, 2 * CORES)
    batch: int = 16
    rate: float = 100.0
    burst: int = 400
    uploads_bytes: int = 128_000_000
    uploads_seconds: float = 3600.0
    decoded_bytes: int = 96_000_000
    thumbnail_bytes: int = 64_000_000
    recall_seconds: float = 300.0
    keys_needed: bool = False
    public: bool = False
    watch_keys: bool = False
    hosts: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    extensions: tuple[str, ...] = (EXTENSION,)
    allow_private: bool = False
    secure_cookie: bool = False
    people: str | None = None
    event_rate: float = 500.0
    event_days: int | None = None
    upkeep_seconds: float = 60.0
    max_events: int = 1_000_000
    promote: bool = False
    trust: str = "act"
    trust_seconds: float = 20.0
    swaps: float = 0.0
    explore: float = 0.0
    explore_floor: float = 20.0
    guard_seconds: float = 60.0
