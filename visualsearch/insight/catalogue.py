"""A shop's catalogue: what nobody pins, which look-alikes win, and what is saved and not bought yet."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import audience
from .clusters import Collection
from .shop import Asked

NEVER, LISTED = 50, 20
"""Most pins of a list."""


def coverage(
    asked: Asked, seen: audience.Audience, looks: Collection
) -> tuple[list[dict[str, Any]], dict[str, int | None]]:
    """Products nobody saved, each with the look-alike of another shop that people save most; and how many."""
    mine = set(asked.pages.ids)
    never = [pin for pin in asked.pages.ids if pin not in seen.saved_ever]
    place = {name: at for at, name in enumerate(looks.ids)}
    others = {
        name: people
        for name, people in seen.savers.items()
        if people >= asked.fewest and name not in mine and name in place
    }
    names = list(others)
    found: list[dict[str, Any]] = []
    vectors = looks.vectors[[place[name] for name in names]].astype(np.float32) if names else None
    for pin in never[:NEVER]:
        row: dict[str, Any] = {"pin": pin, "wins": None, "likeness": None}
        if vectors is not None and pin in place:
            cosine = vectors @ looks.vectors[place[pin]].astype(np.float32)
            near = np.flatnonzero(cosine >= np.sort(cosine)[-min(10, len(cosine))])
            best = max(near.tolist(), key=lambda at: (others[names[at]], cosine[at]))
            row = {"pin": pin, "wins": names[best], "likeness": round(float(cosine[best]), 3)}
        found.append(row)
    return found, {
        "pins": len(asked.pages.ids),
        "saved": len(asked.pages.ids) - len(never),
        "never": len(never),
    }


def wanted(asked: Asked, looks: Collection) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What is saved and not bought yet, by product and by look: people who saved, and did not buy that pin."""
    deeds = asked.deeds
    saved, sold = deeds.of("save"), deeds.of("purchase") & (deeds.value > 0)
    width = int(deeds.pin.max(initial=0)) + 1
    keys = np.unique(deeds.person[saved] * width + deeds.pin[saved])
    done = np.unique(deeds.person[sold] * width + deeds.pin[sold])
    waits = keys[~np.isin(keys, done)]
    person, pin = waits // width, waits % width
    names = dict(zip(asked.pages.numbers.tolist(), asked.pages.ids, strict=True))
    number, people = np.unique(pin, return_counts=True)
    order = np.lexsort((number, -people))
    products = [
        {"pin": names[int(number[at])], "people": int(people[at])}
        for at in order[:LISTED]
        if people[at] >= asked.fewest and int(number[at]) in names
    ]
    place = looks.places(pin)
    kept = place >= 0
    pairs = np.unique(person[kept] * len(looks.clusters) + looks.cluster[place[kept]])
    cluster, count = np.unique(pairs % len(looks.clusters), return_counts=True)
    by_look = [
        {
            "look": looks.clusters.names[cluster[at]] or f"look {looks.clusters.ids[cluster[at]]}",
            "id": int(looks.clusters.ids[cluster[at]]),
            "people": int(count[at]),
        }
        for at in np.lexsort((cluster, -count))[:LISTED]
        if count[at] >= asked.fewest
    ]
    return products, by_look
