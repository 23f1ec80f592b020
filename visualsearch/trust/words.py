"""Texts that are repeated, and texts that lure: MinHash for the first, a short list of rules for the second.

Source: Broder, "On the resemblance and containment of documents", 1997.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SHINGLE = 4
HASHES, BANDS = 32, 8
ALIKE = 0.8
"""Texts whose signatures agree in so large a part are near-duplicates."""
MOST_LEADERS = 50
SHORTEST = 8
"""Shorter texts are no evidence: many people write "love this"."""
_LURES = (
    re.compile(r"\bfree (gift|money|iphone|trial|sample)", re.IGNORECASE),
    re.compile(r"\b(best|lowest|cheap(est)?) prices?\b|\bprice now\b", re.IGNORECASE),
    re.compile(r"\bwin (one|a|your|big|cash)\b|\byou (have )?won\b|\bwinner\b", re.IGNORECASE),
    re.compile(r"\b(today|now) only\b|\blimited time\b|\bact (now|fast)\b|\bhurry\b", re.IGNORECASE),
    re.compile(r"\b(click|tap) (here|below|link|the link)\b|\blink in bio\b", re.IGNORECASE),
    re.compile(r"\bwill not believe\b|\bwon.?t believe\b|\bshocking\b", re.IGNORECASE),
    re.compile(
        r"\b(casino|viagra|cialis|forex|crypto giveaway|payday loan|replica (watch|bag)s?)\b", re.IGNORECASE
    ),
    re.compile(r"\b(earn|make) \$?\d+.{0,20}\b(day|hour|week|month)\b|\bwork from home\b", re.IGNORECASE),
    re.compile(r"\b\d{2,3} ?% off\b.*(!|\bnow\b)", re.IGNORECASE),
    re.compile(r"(whatsapp|telegram|t\.me|wa\.me)\b.{0,20}\+?\d{4,}", re.IGNORECASE),
    re.compile(r"\b(lose|drop) \d+ ?(kg|pounds|lbs)\b", re.IGNORECASE),
)


def lures(text: str) -> int:
    """How many kinds of lure a text has."""
    return sum(bool(pattern.search(text)) for pattern in _LURES)


def repeated(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n,) the group of near-duplicates that each text is in, and (n,) how many are in it; -1 and 0 for short ones."""
    plain = [_plain(text) for text in texts]
    distinct = sorted({text for text in plain if len(text) >= SHORTEST})
    group = np.full(len(texts), -1, np.int64)
    size = np.zeros(len(texts), np.int64)
    if not distinct:
        return group, size
    root = _joined(distinct, signatures(distinct))
    places = {text: int(root[at]) for at, text in enumerate(distinct)}
    for at, text in enumerate(plain):
        group[at] = places.get(text, -1)
    held = group >= 0
    counts = np.bincount(group[held], minlength=len(distinct))
    size[held] = counts[group[held]]
    return group, size


def signatures(texts: Sequence[str]) -> NDArray[np.uint64]:
    """(n, HASHES) MinHash signatures of texts by their pieces of SHINGLE letters."""
    rng = np.random.default_rng(1)
    salt = rng.integers(0, 1 << 63, HASHES, dtype=np.uint64)
    made = np.empty((len(texts), HASHES), np.uint64)
    for at, text in enumerate(texts):
        pieces = {text[i : i + SHINGLE] for i in range(max(1, len(text) - SHINGLE + 1))}
        codes = np.array([_code(piece) for piece in pieces], np.uint64)
        made[at] = _mixed(codes[:, None] ^ salt).min(0)
    return made


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Well mixed 64-bit numbers: the finaliser of SplitMix64 (Steele, Lea and Flood, 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _code(piece: str) -> int:
    value = 0
    for byte in piece.encode():
        value = (value * 257 + byte) & 0x3FFFFFFF
    return value


def _plain(text: str) -> str:
    """Letters and single spaces only: numbers and marks are what a repeated text is varied by."""
    return " ".join(re.sub(r"[\W\d_]+", " ", text.lower()).split())[:400]


def _joined(texts: Sequence[str], made: NDArray[np.uint64]) -> NDArray[np.int64]:
    """(n,) the text that leads each one's group: the first that shares a band with it and whose signature agrees.

    Groups are not joined through a third text: "oak chair" and "oak table" must not meet by way of "oak".
    """
    lead = np.arange(len(texts))
    width = HASHES // BANDS
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for at in range(len(texts)):
        keys = [(band, made[at, band * width : (band + 1) * width].tobytes()) for band in range(BANDS)]
        near = {other for key in keys for other in buckets[key]}
        best = max(near, key=lambda other: (float((made[at] == made[other]).mean()), -other), default=None)
        if best is not None and float((made[at] == made[best]).mean()) >= ALIKE:
            lead[at] = best
            continue
        for key in keys:
            if len(buckets[key]) < MOST_LEADERS:
                buckets[key].append(at)
    return lead
