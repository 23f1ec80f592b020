"""Fetch a picture from an address that a stranger gave, without being led into the server's own network."""

from __future__ import annotations

from collections.abc import Callable

from visualsearch import guarded
from visualsearch.errors import PictureError
from visualsearch.fetch import shown
from visualsearch.guarded import Address, is_global
from visualsearch.images import sniff
from visualsearch.wire import Lookup, addresses

__all__ = ["Address", "fetch", "is_global"]


def fetch(
    url: str,
    *,
    max_bytes: int,
    timeout: float,
    allowed: Callable[[Address], bool] = is_global,
    resolver: Lookup = addresses,
) -> bytes:
    """The picture file at `url`; see `guarded.fetch`. Raises PictureError for what is no picture, too."""
    body = guarded.fetch(
        url, max_bytes=max_bytes, timeout=timeout, allowed=allowed, resolver=resolver, accept="image/*"
    )
    if sniff(body) is None:
        raise PictureError(
            shown(url), "what is there is not a picture", "Use the address of the picture itself"
        )
    return body
