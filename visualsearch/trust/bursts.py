"""Bursts: many pins put up in a short time by the same account, for the same site, of the same picture, or with the same words.

A burst alone is no spam: wedding planners and shops make them too. What tells them apart is copies of few pictures, words that
repeat, a site that nobody knows, accounts made for it. Each is a sign with a weight, and a person can read every one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log2

import numpy as np
from numpy.typing import NDArray

from visualsearch.people import Level
from visualsearch.types import Float32

from .copies import LOOSE
from .domains import looks_like
from .findings import Finding, Sign
from .gather import NEW_MS, Material, plural
from .pictures import only_text
from .words import lures, repeated

GAP_MS = 10 * 60_000
"""A burst ends where nothing came for so long."""
LEAST = 15
"""Fewer pins are no burst."""
NEAR = 0.965
"""The cosine from which two pins show the same picture."""
COPIES = ((12.0, 4.0), (8.0, 3.0), (5.0, 2.0), (2.5, 1.0))
"""Pins per picture, and what they weigh. A shop shows one product a few times, in sizes and colours."""
PROVED, LEAST_PROVED = 5.0, 4
"""Below so many pins a picture by vectors, pixels are asked; so many of the compared pins must have a copy."""
FEW = 2
STRONG = {
    "copies": 3.0,
    "look-alike name": 1.0,
    "judged before": 1.0,
    "company": 1.0,
    "learnt: texts": 1.5,
    "learnt: accounts": 1.5,
}
"""Signs and their weights without which so few accounts are not held by rules: much at once, of one kind, with one shop's words,
on one new site is also what an honest shop puts up. It is ranked lower and waits for a person.
"""
CATALOGUE = -1.0
"""What speaks for one or two accounts whose pins are not copies of one another. Spam shows few pictures, as each costs work."""
MOST_COMPARED = 2000
"""The newest so many pins of a burst are compared with one another."""
STRANGERS = 8
"""Pins of a burst that are looked for among older pins of others."""
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Burst:
    """Places of puts that belong together, ascending, and by what they were brought together."""

    rows: NDArray[np.int64]
    by: str


def bursts_of(material: Material) -> list[Burst]:
    """The bursts with something new in them, the largest first; one that mostly lies in a larger one is left out."""
    found = [*_by_key(material, material.puts.person.tolist(), "account")]
    found += _by_key(material, material.site, "site")
    found += _by_words(material)
    found += _by_picture(material)
    taken = np.zeros(len(material.puts), bool)
    chosen = []
    for burst in sorted(found, key=lambda each: -len(each.rows)):
        if material.puts.new[burst.rows].any() and taken[burst.rows].mean() < 0.5:
            taken[burst.rows] = True
            chosen.append(burst)
    return chosen


def _by_key(material: Material, keys: Sequence[object], by: str) -> Iterator[Burst]:
    """Puts with one key, none of which came long after the one before it."""
    at = material.puts.at
    places: dict[object, list[int]] = {}
    for place, key in enumerate(keys):
        if key not in ("", -1):
            places.setdefault(key, []).append(place)
    for mine in places.values():
        if len(mine) < LEAST:
            continue
        rows = np.array(mine, np.int64)
        ends = np.flatnonzero(np.diff(at[rows]) > GAP_MS) + 1
        for part in np.split(rows, ends):
            if len(part) >= LEAST:
                yield Burst(part, by)


def _by_words(material: Material) -> Iterator[Burst]:
    """The same luring words again and again. Other words repeat in every trade: they alone bring nothing together."""
    group, size = repeated(material.text)
    luring = {at: lures(text) > 0 for at, text in enumerate(material.text) if size[at] >= LEAST}
    keys = [int(g) if luring.get(at) else -1 for at, g in enumerate(group)]
    return _by_key(material, keys, "words")


def _by_picture(material: Material) -> Iterator[Burst]:
    """Different pins that show the same picture, put up together."""
    puts = material.puts
    own = [at for at in range(len(puts)) if puts.pin[at] in material.facts][-MOST_COMPARED:]
    first = {puts.pin[at]: at for at in reversed(own)}
    if len(first) < LEAST:
        return
    names = list(first)
    vectors = material.vectors(names)
    near = np.concatenate(
        [(vectors[at : at + 256] @ vectors.T >= NEAR).sum(1) for at in range(0, len(names), 256)]
    )
    often = np.flatnonzero(near >= LEAST)
    keys: list[object] = [-1] * len(puts)
    taken = np.zeros(len(names), bool)
    if len(often) >= LEAST:
        label = pictures_of(vectors[often])
        counts = np.bincount(label)
        for at, group in zip(often.tolist(), label.tolist(), strict=True):
            if counts[group] >= LEAST:
                keys[first[names[at]]] = group
                taken[at] = True
    for group, places in enumerate(_proved_groups(material, names, vectors, np.flatnonzero(~taken))):
        for at in places.tolist():
            keys[first[names[at]]] = f"proved {group}"
    yield from _by_key(material, keys, "picture")


def _proved_groups(
    material: Material, names: Sequence[str], vectors: Float32, rest: NDArray[np.int64]
) -> Iterator[NDArray[np.int64]]:
    """Places of pins that vectors hold for similar and pixels for copies of few pictures: saved anew, cropped, turned."""
    if len(rest) < LEAST or not material.read_pictures:
        return
    label = pictures_of(vectors[rest], LOOSE)
    counts = np.bincount(label)
    for group in np.argsort(-counts, kind="stable").tolist():
        if counts[group] < LEAST:
            return
        places = rest[label == group]
        found = material.copied([names[at] for at in places.tolist()], vectors[places], material.groups)
        if found is not None and found.each >= PROVED:
            yield places


def pictures_of(vectors: Float32, least: float = NEAR) -> NDArray[np.int64]:
    """(n,) which picture each of (n, d) unit vectors shows: the first one at least that near to it leads its group."""
    label = np.full(len(vectors), -1, np.int64)
    leaders: list[int] = []
    for start in range(0, len(vectors), 256):
        block = vectors[start : start + 256]
        if leaders:
            cosines = block @ vectors[leaders].T
            best = cosines.argmax(1)
            near = cosines[np.arange(len(block)), best] >= least
            label[start : start + len(block)][near] = best[near]
        own = block @ block.T
        for row in np.flatnonzero(label[start : start + len(block)] < 0).tolist():
            if label[start + row] >= 0:
                continue
            alike = (own[row] >= least) & (label[start : start + len(block)] < 0)
            label[start : start + len(block)][alike] = len(leaders)
            leaders.append(start + row)
    return label


def judged_burst(material: Material, burst: Burst) -> Finding:
    """What speaks for and against a burst."""
    puts, rows = material.puts, burst.rows
    persons, counts = np.unique(puts.person[rows], return_counts=True)
    material.need(persons.tolist())
    pins = list(dict.fromkeys(puts.pin[at] for at in rows.tolist()))
    mine = set(persons[counts >= max(3, 0.02 * len(rows))].tolist()) or set(persons.tolist())
    sites = Counter(site for at in rows.tolist() if (site := material.site[at]))
    site, share = (sites.most_common(1)[0][0], sites.most_common(1)[0][1] / len(rows)) if sites else ("", 0.0)
    own = material.own(
        pins, mine, site if share >= 0.8 else "", int(puts.at[rows[0]]), int(puts.at[rows[-1]])
    )
    signs = [_speed(material, rows), *_copies(material, pins, own, len(persons))]
    signs += _words(material, rows)
    signs += _site(material, site, share, int(rows[0]), set(persons.tolist()))
    signs += _people(material, persons, rows)
    signs += _pictures(material, own)
    signs += material.company(persons.tolist())
    for model in material.models:
        signs += model.signs(material, rows, persons.tolist())
    who = plural(len(persons), "account")
    title = f"{plural(len(pins), 'pin')} in {_minutes(material, rows)} by {who}"
    title += f", all for {site}" if share >= 0.95 else f", most for {site}" if share >= 0.8 else ""
    named = [site] if share >= 0.8 and not _established(material, site, set(persons.tolist())) else []
    most = Level.HIDE if len(persons) > FEW or any(_strong(sign) for sign in signs) else Level.LOWER
    return Finding("burst", title, [s for s in signs if s.weight], own, sorted(mine), named, most)


def _strong(sign: Sign) -> bool:
    """Whether a sign tells spam from a shop or a planner whatever else is so."""
    return sign.weight >= STRONG.get(sign.name, np.inf)


def _minutes(material: Material, rows: NDArray[np.int64]) -> str:
    took = max(1, round((int(material.puts.at[rows[-1]]) - int(material.puts.at[rows[0]])) / 60_000))
    return plural(took, "minute")


def _speed(material: Material, rows: NDArray[np.int64]) -> Sign:
    at = material.puts.at[rows]
    hour = int((np.searchsorted(at, at + HOUR_MS, side="right") - np.arange(len(at))).max())
    weight = min(1.5, max(0.0, 0.5 * log2(hour / LEAST)))
    return Sign("speed", hour, weight, f"{plural(hour, 'pin')} came within an hour")


def _copies(material: Material, pins: Sequence[str], mine: Sequence[str], people: int) -> list[Sign]:
    """How few pictures the pins show, and whether they are copies of what others had put up."""
    some = list(pins[-MOST_COMPARED:])
    vectors = material.vectors(some)
    label = pictures_of(vectors)
    signs = _pins_a_picture(material, some, vectors, label, people)
    own, stolen, theirs = set(pins), 0, set(mine)
    fresh = [at for at, pin in enumerate(some) if pin in theirs]
    if len(fresh) >= 5:
        fresh = [fresh[at] for at in np.linspace(0, len(fresh) - 1, min(STRANGERS, len(fresh))).astype(int)]
        for hits in material.index.nearest(vectors[fresh], k=5 if len(own) < 100 else 20):
            stolen += any(hit.score >= NEAR and hit.id not in own for hit in hits)
        part = stolen / len(fresh)
        if part >= 0.5:
            signs.append(Sign("taken", part, 1.0, f"{part:.0%} of them show what others had put up before"))
    return signs


def _pins_a_picture(
    material: Material, some: Sequence[str], vectors: Float32, label: NDArray[np.int64], people: int
) -> list[Sign]:
    """How many pins show each picture, by their vectors; where those tell too little, by the pixels of some."""
    distinct = int(label.max()) + 1
    each, least = len(some) / distinct, 0.0
    said = f"{plural(len(some), 'pin')} show {plural(distinct, 'picture')} over and over"
    if each < PROVED:
        found = material.copied(some, vectors, material.copies)
        if found is not None and found.each > each and found.proved >= LEAST_PROVED:
            each, least = found.each, 3.0 if found.each >= PROVED else 0.0
            said = f"{found.proved} of {found.compared} pictures have copies, saved anew or cropped: {each:.1f} pins a picture"
    if each < 2.5:
        if people > 2 or len(some) < LEAST:
            return []
        return [Sign("a catalogue", each, CATALOGUE, "nearly every pin shows a picture of its own")]
    weight = max(least, next(weight for bound, weight in COPIES if each >= bound))
    if people > max(5, len(some) // 3):  # what goes round among many people is no copy by one of them
        weight = 1.0
    return [Sign("copies", each, weight, said)]


def _words(material: Material, rows: NDArray[np.int64]) -> list[Sign]:
    texts = [material.text[at] for at in rows.tolist()]
    said = [text for text in texts if len(text.strip()) >= 8]
    signs = []
    luring = sum(lures(text) > 0 for text in said) / len(texts)
    if luring >= 0.2:
        signs.append(Sign("lures", luring, 1.0 + min(1.0, luring), f"{luring:.0%} of the texts lure"))
    if len(said) >= LEAST:
        group, size = repeated(said)
        part = float((size >= max(5, len(said) // 40)).mean())
        distinct = len(set(group.tolist()))
        if part >= 0.5 and distinct <= len(said) / 4:
            words = f"{plural(len(said), 'text')} say {plural(distinct, 'thing')}, such as “{said[0][:60]}”"
            # A sale is said in each of a catalogue's titles: that they lure, and that they repeat it, is one thing.
            weight = (0.5 if luring >= 0.2 else 1.5) * min(1.0, len(said) / len(texts) * 2)
            signs.append(Sign("repeated words", part, weight, words))
    return signs


def _established(material: Material, site: str, persons: set[int]) -> bool:
    """Whether others than these people, and for longer, save from a site."""
    count, first = material.known.get(site, (0, 0))
    return count - len(persons) >= 5 and first < material.now - 7 * 86_400_000


def _site(material: Material, site: str, share: float, row: int, persons: set[int]) -> list[Sign]:
    signs = []
    if site and share >= 0.8:
        if _established(material, site, persons):
            count = material.known[site][0]
            signs.append(
                Sign("known site", count, -1.5, f"{plural(count, 'person', 'people')} save from {site}")
            )
        else:
            signs.append(Sign("unknown site", share, 0.5, f"hardly anybody else saves from {site}"))
        if other := looks_like(site, material.known):
            signs.append(Sign("look-alike name", 1.0, 2.5, f"{site} is made to look like {other}"))
    if float(material.short[row:].mean()) >= 0.5:
        signs.append(
            Sign("shortened links", 1.0, 1.0, "the links are shortened, so that they hide where they lead")
        )
    return signs


def _people(material: Material, persons: NDArray[np.int64], rows: NDArray[np.int64]) -> list[Sign]:
    start = int(material.puts.at[rows[0]])
    held = [material.account(person) for person in persons.tolist()]
    fresh = sum(account.first >= start - NEW_MS for account in held) / len(held)
    signs = []
    if fresh >= 0.7:
        unusual = max(0.0, 1 - 2 * material.new_share)
        weight = unusual * (3.0 if len(held) >= 10 else 1.0)
        signs.append(Sign("new accounts", fresh, weight, f"{fresh:.0%} of the accounts are new"))
    judged = sum(account.level > 0 for account in held) / len(held)
    if judged >= 0.5:
        signs.append(Sign("judged before", judged, 1.5, f"{judged:.0%} of the accounts are under a verdict"))
    if 3 <= len(held) <= len(rows) / 5:
        signs.append(
            Sign(
                "several accounts",
                len(held),
                1.0,
                f"{plural(len(held), 'account')} take turns at the same thing",
            )
        )
    if fresh < 0.3 and len(held) <= 3:
        broad = min(account.sites for account in held)
        if broad >= 5:
            signs.append(
                Sign("long there", broad, -1.0, "the accounts are not new and save from several sites")
            )
    return signs


def _pictures(material: Material, pins: Sequence[str]) -> list[Sign]:
    if not material.read_pictures:
        return []
    part = only_text([material.facts[pin].uri for pin in pins])
    if part is None or part < 0.5:
        return []
    return [Sign("nothing but text", part, 1.5, f"{part:.0%} of the pictures are nothing but text")]
