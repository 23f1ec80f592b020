"""How people react to what is shown: the true model. Everything in it is a known function and a known number.

A slot is looked at by a chance that depends on where it stands. What is looked at is clicked, saved or hidden by how relevant the
pin is to the person at that time. Both the log generator and the simulator ask this module, so that they agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from visualsearch.types import Bool, Float32, Float64, Int64

from .chance import Chance, normal
from .population import PROJECT, Int8
from .tastes import Int32
from .times import NOVELTY

if TYPE_CHECKING:
    from .scene import Scene

SURFACES = ("feed", "search", "related", "board", "look")
COLUMNS = {"feed": 4, "search": 5, "related": 4, "board": 4, "look": 3}
"""Columns of the grid of each surface."""
ROW_DECAY = {"feed": 0.80, "search": 0.72, "related": 0.76, "board": 0.86, "look": 0.75}
"""By what a row is looked at less than the row above it."""
COLUMN_DECAY = 0.93
FIRST = 0.95
"""The chance that the first slot is looked at."""
RATES = {
    "click": 0.012, "click_relevant": 0.34, "promoted_click": 0.9,
    "save_clicked": 0.02, "save_clicked_relevant": 0.30, "save_seen": 0.002, "save_seen_relevant": 0.05,
    "visit": 0.15, "visit_relevant": 0.35, "dwell_seconds": 14.0, "dwell_relevant_seconds": 110.0, "dwell_sigma": 0.8,
    "share": 0.01, "hide": 0.002, "hide_irrelevant": 0.012, "hide_spam": 0.06, "report_spam": 0.02,
    "buy_visited": 0.06, "satiety": 0.97, "style": 0.3, "pull": 0.25,
}  # fmt: skip
"""Chances of the reactions, given that a slot is looked at. `_relevant` is added in proportion to the relevance."""
FREE = 2
"""So many pins of one taste in a list bore nobody."""


def examination(surface: Int8 | Int64, row: Any, column: Any) -> Float64:
    """The chance that a slot is looked at, by its place in the grid of a surface (numbers of `SURFACES`)."""
    decay = np.array([ROW_DECAY[name] for name in SURFACES])[surface]
    made: Float64 = FIRST * decay ** np.asarray(row) * COLUMN_DECAY ** np.asarray(column)
    return made


def curve(rows: int = 10) -> list[dict[str, Any]]:
    """The examination curve as plain values, for the truth."""
    found = []
    for number, name in enumerate(SURFACES):
        for row in range(rows):
            for column in range(COLUMNS[name]):
                chance = float(examination(np.array(number), row, column))
                found.append({"surface": name, "row": row, "column": column, "examined": round(chance, 6)})
    return found


@dataclass
class Lists:
    """m lists of up to s slots that were served: who got one, when (ms), on which surface, and the pins, -1 for an empty slot.

    `row`, `column` (m, s) say where a slot stands. `promoted` (m, s) is the campaign of a promoted slot, -1 for the others.
    """

    person: Int32
    at: Int64
    surface: Int8
    pins: Int32
    row: Int64
    column: Int64
    promoted: Int32

    def __len__(self) -> int:
        return len(self.person)


@dataclass
class Reactions:
    """(m, s) arrays: what became of each slot. `examined` is what nobody can know of real people.

    `interest` is which interest of the person the pin met, -1 for none. `dwell` is in milliseconds, 0 without a visit.
    """

    relevance: Float32 = field(repr=False)
    interest: Int8 = field(repr=False)
    examined: Bool
    clicked: Bool
    visited: Bool
    saved: Bool
    shared: Bool
    hidden: Bool
    reported: Bool
    dwell: Int64 = field(repr=False)
    bought: Bool
    converted: Bool

    def counts(self) -> dict[str, int]:
        """How many of each."""
        names = (
            "examined",
            "clicked",
            "visited",
            "saved",
            "shared",
            "hidden",
            "reported",
            "bought",
            "converted",
        )
        return {name: int(getattr(self, name).sum()) for name in names}


def relevance(scene: Scene, persons: Any, pins: Any, day: Any) -> tuple[Float32, Int8]:
    """How well pins fit people at those days, 0 to 1, and by which interest, -1 where none lives. Arrays (m,).

    The best of the person's living interests: the pin's fit to its taste times how much the person likes it; turned up or
    down by the person's style. A trend pulls those in who had no such interest.
    """
    who, what = np.asarray(persons), np.asarray(pins)
    people, tastes = scene.people, scene.tastes
    alive = people.alive(who, np.asarray(day, np.float64))
    fit = tastes.fit[np.maximum(people.taste[who], 0), what[:, None]]
    value = fit.astype(np.float32) * (people.likes[who] * np.float32(1 / 255)) * alive
    best = value.argmax(1)
    met = np.take_along_axis(value, best[:, None], 1)[:, 0]
    style = np.einsum("ij,ij->i", people.style[who], tastes.style[what])
    met *= 1 + np.float32(RATES["style"]) * style
    asked = scene.asked(np.floor(day), people.region[who], tastes.cluster[what])
    pulled = np.float32(RATES["pull"]) * np.clip(asked - 1.5, 0, 2).astype(np.float32)
    interest = np.where(met > 0.02, best, -1).astype(np.int8)
    return np.clip(np.maximum(met, pulled), 0, 1).astype(np.float32), interest


def react(scene: Scene, lists: Lists) -> Reactions:
    """What people do with lists. The same list at the same time always meets the same reaction."""
    shape = lists.pins.shape
    there = lists.pins >= 0
    pins = np.maximum(lists.pins, 0)
    who = np.broadcast_to(lists.person[:, None], shape)
    day = scene.times.day_of(lists.at)
    flat_day = np.broadcast_to(day[:, None], shape).reshape(-1)
    met, interest = relevance(scene, who.reshape(-1), pins.reshape(-1), flat_day)
    rel, interest = met.reshape(shape), interest.reshape(shape)
    rel = np.where(scene.spam[pins], np.minimum(rel, np.float32(0.05)), rel)
    chance = Chance(scene.settings.seed, who, pins, lists.at[:, None])
    looked = examination(lists.surface[:, None].astype(np.int64), lists.row, lists.column)
    examined = there & (chance.of("look") < looked)
    drawing = _drawing(scene, lists, pins, day)
    promoted = lists.promoted >= 0
    tendency = np.where(promoted, RATES["promoted_click"], 1.0) * drawing
    r = RATES
    clicked = examined & (
        chance.of("click") < np.minimum((r["click"] + r["click_relevant"] * rel) * tendency, 0.95)
    )
    wish = np.where(
        clicked,
        r["save_clicked"] + r["save_clicked_relevant"] * rel,
        r["save_seen"] + r["save_seen_relevant"] * rel * rel,
    )
    saved = examined & (chance.of("save") < np.minimum(wish * np.sqrt(drawing), 0.95))
    visited = clicked & (chance.of("visit") < r["visit"] + r["visit_relevant"] * rel)
    spread = np.exp(r["dwell_sigma"] * normal(chance.of("dwell")))
    dwell = np.where(visited, (r["dwell_seconds"] + r["dwell_relevant_seconds"] * rel) * spread * 1000, 0)
    dislike = r["hide"] + r["hide_irrelevant"] * (1 - rel) ** 2 + r["hide_spam"] * scene.spam[pins]
    hidden = examined & ~clicked & ~saved & (chance.of("hide") < dislike)
    reported = hidden & scene.spam[pins] & (chance.of("report") < r["report_spam"] / r["hide_spam"])
    effects = scene.settings.effects * (rel * ~np.isnan(scene.shops.price[pins]))
    bought = visited & (dwell >= 30_000) & (chance.of("buy") < r["buy_visited"] * effects)
    converted = examined & promoted & ~bought & (chance.of("convert") < scene.settings.lift * effects)
    return Reactions(
        rel,
        interest,
        examined,
        clicked,
        visited,
        saved,
        clicked & (chance.of("share") < r["share"]),
        hidden,
        reported,
        dwell.astype(np.int64),
        bought,
        converted,
    )


def save_chances(scene: Scene, lists: Lists) -> Float64:
    """(m, s) the chance that each slot is looked at and saved by somebody who did not save it yet: what `react` draws from."""
    shape = lists.pins.shape
    pins = np.maximum(lists.pins, 0)
    day = scene.times.day_of(lists.at)
    who = np.broadcast_to(lists.person[:, None], shape).reshape(-1)
    met, _ = relevance(scene, who, pins.reshape(-1), np.broadcast_to(day[:, None], shape).reshape(-1))
    rel = np.where(scene.spam[pins], np.minimum(met.reshape(shape), np.float32(0.05)), met.reshape(shape))
    looked = examination(lists.surface[:, None].astype(np.int64), lists.row, lists.column) * (lists.pins >= 0)
    drawing = _drawing(scene, lists, pins, day)
    r = RATES
    tendency = np.where(lists.promoted >= 0, r["promoted_click"], 1.0) * drawing
    clicked = np.minimum((r["click"] + r["click_relevant"] * rel) * tendency, 0.95)
    root = np.sqrt(drawing)
    after = np.minimum((r["save_clicked"] + r["save_clicked_relevant"] * rel) * root, 0.95)
    seen = np.minimum((r["save_seen"] + r["save_seen_relevant"] * rel * rel) * root, 0.95)
    made: Float64 = looked * (clicked * after + (1 - clicked) * seen)
    return made


def _drawing(scene: Scene, lists: Lists, pins: Int32, day: Float64) -> Float64:
    """(m, s) what else attracts: appeal, demand and novelty; many pins of one taste in a list bore."""
    shape = pins.shape
    region = np.broadcast_to(scene.people.region[lists.person][:, None], shape)
    floor = np.broadcast_to(np.floor(day)[:, None], shape)
    asked = scene.asked(floor, region, scene.tastes.cluster[pins])
    fresh = scene.times.freshness(pins, np.broadcast_to(day[:, None], shape))
    taste = np.where(lists.pins >= 0, scene.tastes.taste[pins], -1 - np.arange(shape[1]))
    drawn = scene.shops.appeal[pins] * asked * (1 + NOVELTY * fresh)
    drawn *= RATES["satiety"] ** np.maximum(_alike(taste) - FREE, 0)
    return drawn


def _alike(taste: Any) -> Any:
    """(m, s) how many slots of the same list have the same taste, the slot itself among them."""
    order = np.argsort(taste, axis=1, kind="stable")
    ordered = np.take_along_axis(taste, order, 1)
    width = taste.shape[1]
    new = np.ones(ordered.shape, bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    group = np.cumsum(new, 1) + np.arange(len(taste))[:, None] * (width + 1)
    sizes = np.bincount(group.reshape(-1))
    out = np.empty(taste.shape, np.int64)
    np.put_along_axis(out, order, sizes[group], 1)
    return out


def met_project(scene: Scene, lists: Lists, reactions: Reactions) -> Bool:
    """(m, s) which purchases are of a project that lives."""
    at = np.maximum(reactions.interest, 0)
    kind = scene.people.kind[lists.person[:, None], at]
    found: Bool = reactions.bought & (reactions.interest >= 0) & (kind == PROJECT)
    return found
