"""Sites: one name for all addresses of a site, shortened links, and names made to look like another's."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from urllib.parse import parse_qs, urlsplit

SHORTENERS = frozenset(
    (
        "bit.ly", "tinyurl.com", "t.co", "goo.gl", "ow.ly", "is.gd", "buff.ly", "cutt.ly", "rebrand.ly",
        "shorturl.at", "rb.gy", "t.ly", "v.gd", "bl.ink", "soo.gd", "lnkd.in", "s.id", "tiny.cc",
        "shorte.st", "adf.ly",
    )
)  # fmt: skip
_SECOND = frozenset(["co", "com", "org", "net", "gov", "ac", "edu", "or", "ne", "go"])
_CARRIERS = ("url", "u", "to", "target", "dest", "destination", "redirect", "redirect_url", "link", "goto")
"""Parameters by which a redirecting address names where it leads."""
_LETTERS = str.maketrans(
    {
        "0": "o", "1": "l", "3": "e", "5": "s", "7": "t", "4": "a", "@": "a", "$": "s", "|": "l", "i": "l",
        "а": "a", "е": "e", "о": "o", "р": "p", "с": "c", "х": "x", "у": "y", "і": "l", "ѕ": "s", "ո": "n",
    }
)  # fmt: skip
"""Characters that look like a letter: one for each group that cannot be told apart at a glance."""
_BAIT = frozenset(
    (
        "sale", "shop", "store", "outlet", "deals", "deal", "discount", "official", "login", "secure",
        "verify", "support", "promo", "free", "cheap",
    )
)  # fmt: skip
Resolve = Callable[[str], str | None]


def site_of(address: str | None, resolve: Resolve | None = None) -> str:
    """The site of an address or host: its registered name, in lower case; "" where there is none.

    A redirecting address counts as where it says that it leads. `resolve(address)` says where a shortened one leads, or None.
    """
    if not address or not isinstance(address, str):
        return ""
    text = address.strip()
    if len(text) > 4096:
        return ""
    for _ in range(5):
        try:
            parts = urlsplit(text if "//" in text else f"//{text}")
            host = (parts.hostname or "").rstrip(".").removeprefix("www.")
            asked = parse_qs(parts.query)
            leads = [value for name in _CARRIERS for value in asked.get(name, ())]
            inner = next((value for value in leads if "://" in value and urlsplit(value).hostname), None)
        except ValueError:
            return ""
        if inner is None and host in SHORTENERS and resolve is not None:
            inner = resolve(text)
        if inner is None or inner == text:
            break
        text = inner
    return registered(host)


@lru_cache(maxsize=100_000)
def registered(host: str) -> str:
    """The name that somebody registered: `shop.example.co.uk` -> `example.co.uk`. Addresses of numbers stay whole."""
    labels = host.lower().split(".")
    if len(labels) < 3 or host.replace(".", "").isdigit() or ":" in host:
        return host.lower()
    deep = len(labels[-1]) == 2 and labels[-2] in _SECOND
    return ".".join(labels[-3:] if deep else labels[-2:])


def shortened(address: str | None) -> bool:
    """Whether an address is one of a link shortener."""
    return bool(address) and site_of(address) in SHORTENERS


def looks_like(site: str, known: Mapping[str, object] | Collection[str]) -> str | None:
    """The well-known site whose name this one is made to look like; None where it looks like none, or is one of them."""
    if not site or site in known:
        return None
    name = _name(site)
    for other in known:
        own = _name(other)
        if len(own) < 5 or own == name:  # one name under two endings is often one company's
            continue
        if skeleton(name) == skeleton(own):
            return other
        tokens = set(re.split(r"[-_.]", name))
        if own in tokens and tokens & _BAIT:
            return other
        if len(own) >= 7 and abs(len(name) - len(own)) <= 1 and _one_apart(skeleton(name), skeleton(own)):
            return other
    return None


@lru_cache(maxsize=100_000)
def skeleton(name: str) -> str:
    """A name as it looks: characters that are easily taken for one another become one."""
    if name.startswith("xn--"):
        with contextlib.suppress(UnicodeError, ValueError):
            name = name.encode("ascii").decode("idna")
    plain = unicodedata.normalize("NFKD", name.lower())
    plain = "".join(c for c in plain if not unicodedata.combining(c)).translate(_LETTERS)
    return plain.replace("-", "").replace("rn", "m").replace("vv", "w")


def _name(site: str) -> str:
    return site.split(".", maxsplit=1)[0]


def _one_apart(one: str, other: str) -> bool:
    """Whether one edit, or two letters that changed places, turns one into the other."""
    if one == other:
        return False
    if len(one) > len(other):
        one, other = other, one
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
    if len(one) == len(other):
        swapped = one[:at] + one[at + 1 : at + 2] + one[at : at + 1] + one[at + 2 :]
        return one[at + 1 :] == other[at + 1 :] or swapped == other
    return one[at:] == other[at + 1 :]
