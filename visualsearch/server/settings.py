"""What a server allows, in one place."""

from __future__ import annotations

import os
from dataclasses import dataclass

CORES = os.cpu_count() or 2


@dataclass(frozen=True)
class Settings:
    """Limits and manners of a server.

    Sizes are bytes, times seconds. `queue`: picture queries that may wait or run at once; one more is
    answered 429. `rate` and `burst`: requests a second and at once of one client (by address);
    0 means no limit. `keys_needed`: requests must carry an API key; `public`: reading needs none all the
    same. `hosts`: names that the Host header may have; empty means any. `allow_private`: query addresses may
    lead into private networks. `secure_cookie`: the session cookie travels over https only.
    """

    max_body: int = 20_000_000
    max_pixels: int = 50_000_000
    body_seconds: float = 30.0
    fetch_seconds: float = 10.0
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
    hosts: tuple[str, ...] = ()
    allow_private: bool = False
    secure_cookie: bool = False
