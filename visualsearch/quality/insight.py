"""How well insight keeps its promises, on simulated people: what is private stays so, what is told is true."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from visualsearch.errors import BudgetError
from visualsearch.insight import (
    MOST_CELLS,
    WEEK_CELLS,
    Phase,
    counted,
    half_life,
    incremental,
    judge,
    noisy,
    scale_of,
    schedule,
)
from visualsearch.people import DELTA, People, open_people, rho_of
from visualsearch.types import Float64, Int64
from visualsearch.world import Pins, World, WorldSettings, deeds

CLUSTERS = 40
PEOPLE = 10_000


def _worldly(seed: int, people: int, days: int) -> World:
    """A world over invented pins in plain clusters: its pins need no index."""
    rng = np.random.default_rng(11)
    each, dim = 50, 48
    centres = rng.normal(size=(CLUSTERS, dim))
    vectors = np.repeat(centres, each, 0) + 0.45 * rng.normal(size=(CLUSTERS * each, dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [f"kind-{at // each:02d}/{at % each:03d}.jpg" for at in range(len(vectors))]
    words: list[tuple[str, ...]] = [(f"kind {at // each}",) for at in range(len(vectors))]
    pins = Pins(ids, vectors.astype(np.float16), words, np.full(len(ids), np.nan), "bench")
    return World.make(pins, WorldSettings(people=people, days=days, seed=seed, start="2026-01-05"))


def measure_privacy(seed: int = 0, say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Errors of cells by cluster and week at epsilon 1 of 10,000 people, and how well the best attacker tells who is in.

    The people are drawn here, not by the world: each is active on a few days, in a few clusters, with a long tail of both.
    """
    rng = np.random.default_rng(seed)
    rho = rho_of(1.0, DELTA)
    activity = np.minimum(rng.lognormal(0, 1.0, PEOPLE), 12)
    share = 1 / (np.arange(CLUSTERS) + 4.0) ** 0.6
    share /= share.sum()
    errors: list[Float64] = []
    for _ in range(8):
        count = rng.poisson(2.2 * activity)
        person = np.repeat(np.arange(PEOPLE), count)
        own = rng.choice(CLUSTERS, (PEOPLE, 4), p=share)
        cell = np.where(
            rng.random(len(person)) < 0.85,
            own[person, rng.integers(0, 4, len(person))],
            rng.choice(CLUSTERS, len(person), p=share),
        )
        true = np.bincount(np.unique(person * CLUSTERS + cell) % CLUSTERS, minlength=CLUSTERS)
        told = noisy(counted(person, cell, CLUSTERS, WEEK_CELLS, rng), WEEK_CELLS, rho)
        errors.append(np.abs(told - true) / np.maximum(true, 1))
    say("attack")
    auc = _attack(rho, rng)
    return {
        "cells_median_error": float(np.median(np.concatenate(errors))),
        "cells": f"{CLUSTERS} clusters x 8 weeks, {PEOPLE:,} people, epsilon 1, delta {DELTA:g}, at most {WEEK_CELLS} cells each",
        "attack_auc": auc,
        "attack": "the attacker knows everybody else's cells, and those of the person: the likelihood ratio of 40,000 releases",
        "noise": scale_of(WEEK_CELLS, rho),
    }


def _attack(rho: float, rng: np.random.Generator, trials: int = 20_000) -> float:
    """The AUC of the best test of whether a person is in a release whose every other cell is known."""
    base = rng.integers(50, 400, MOST_CELLS)
    inside = noisy(np.tile(base + 1, trials), MOST_CELLS, rho).reshape(trials, -1)
    outside = noisy(np.tile(base, trials), MOST_CELLS, rho).reshape(trials, -1)
    one, other = (inside - base).sum(1), (outside - base).sum(1)  # the ratio rises with the sum
    values = np.concatenate([one, other])
    order = np.argsort(values, kind="stable")
    _, place, count = np.unique(values[order], return_inverse=True, return_counts=True)
    ends = np.cumsum(count)
    rank = np.empty(len(values))
    rank[order] = (ends - (count - 1) / 2)[place]
    return float((rank[: len(one)].sum() - trials * (trials + 1) / 2) / (trials * trials))


def measure_ledger(people: People, sequences: int = 10_000, seed: int = 0) -> dict[str, Any]:
    """Random requests against real ledgers: whether any was ever passed, and any answer changed."""
    rng = np.random.default_rng(seed)
    passed = changed = refused = asked = 0
    for number in range(sequences):
        name = f"bench {number}"
        told: dict[int, Any] = {}
        for _ in range(int(rng.integers(3, 7))):
            asked += 1
            epsilon, question = float(rng.choice([0.3, 1.0, 3.0, 6.0, 9.0])), int(rng.integers(0, 4))
            value = int(rng.integers(0, 1 << 30))
            try:
                answer = people.release(
                    {"what": name, "n": question},
                    [name],
                    epsilon,
                    lambda _, value=value: value,  # type: ignore[misc]
                )
            except BudgetError:
                refused += 1
                continue
            changed += told.setdefault(question, answer) != answer
        held = people.budget(name)
        passed += held.spent > held.limit * (1 + 1e-9)
    return {
        "sequences": sequences,
        "requests": asked,
        "refused": refused,
        "passed": passed,
        "changed": changed,
    }


def measure_own_ledger(sequences: int = 10_000, seed: int = 0) -> dict[str, Any]:
    """The same, of a record that is made for it: in memory where that can be, because waiting for a disk shows nothing."""
    memory = Path("/dev/shm")
    place = str(memory) if memory.is_dir() and os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as folder, open_people(folder) as people:
        return measure_ledger(people, sequences, seed)


def measure_trends(
    worlds: int = 6,
    people: int = PEOPLE,
    days: int = 90,
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Planted trends of simulated worlds: how many are found within 5 days of their beginning, from noisy daily counts alone.

    Each day is a release at epsilon 1. A finding is false where no trend is planted in that cluster at that time.
    """
    planted = hit = findings = wrong = 0
    late: list[int] = []
    for number in range(worlds):
        say(f"world {number + 1} of {worlds}")
        world = _worldly(seed + number, people, days)
        counts = _daily(world)
        trends = [t for t in world.scene.times.trends if t.region is None]
        some = [t for t in world.scene.times.trends if t.region is not None]
        first: dict[int, list[int]] = {}
        noise = scale_of(MOST_CELLS, rho_of(1.0, DELTA))
        for day in range(18, days):
            found = judge(counts[: day + 1], noise)
            for cluster, phase in enumerate(found.phase):
                if phase in (Phase.RISING, Phase.PEAKING):
                    first.setdefault(cluster, []).append(day)
        for trend in trends:
            planted += 1
            soon = [d for d in first.get(trend.cluster, []) if trend.day <= d + 1 <= trend.day + 6]
            hit += bool(soon)
            late += [soon[0] - int(trend.day)] if soon else []
        true = {t.cluster: t for t in [*trends, *some]}
        for cluster, when in first.items():
            findings += 1
            wrong += cluster not in true or when[0] + 1 < true[cluster].day
    return {
        "worlds": worlds,
        "planted": planted,
        "found_within_5_days": hit / max(planted, 1),
        "false_share": wrong / max(findings, 1),
        "findings": findings,
        "days_after_median": float(np.median(late)) if late else None,
        "note": f"{people:,} people, {days} days, epsilon 1 a day. Trends of one region only are not asked of the counts of all.",
    }


def _daily(world: World) -> Float64:
    """(days, clusters) noisy counts of people by the world's own clusters."""
    rng = np.random.default_rng(world.settings.seed)
    rho = rho_of(1.0, DELTA)
    clusters = world.scene.tastes.clusters
    rows = []
    for day in deeds(world):
        kept = day.of("click", "visit", "save", "share", "purchase")
        cell = world.scene.tastes.cluster[day.pin[kept]].astype(np.int64)
        rows.append(noisy(counted(day.person[kept], cell, clusters, MOST_CELLS, rng), MOST_CELLS, rho))
    return np.array(rows, float)


def measure_lift(worlds: int = 1000, seed: int = 0) -> dict[str, Any]:
    """What pins caused, from holdouts, in worlds of a fast generator: error, coverage of the interval, last touch's bias.

    The fast generator draws revenue per person alone: who buys anyway, what pins cause besides, prices with a long tail, and
    touches before purchases by habit. It is not the simulated world, of which 200 would take hours.
    """
    rng = np.random.default_rng(seed)
    errors, covered, bias = [], 0, []
    for _ in range(worlds):
        n = int(rng.integers(60_000, 140_000))
        out = rng.random(n) < 0.2
        habit = rng.gamma(0.6, 1 / 0.6, n)
        base, caused = rng.uniform(0.03, 0.06), rng.uniform(0.05, 0.1)
        anyway = rng.poisson(base * habit)
        more = np.where(out, 0, rng.poisson(caused * habit))
        price = float(rng.uniform(10, 80))

        def spent(count: Int64, price: float = price) -> Float64:
            value = price * rng.lognormal(-0.18, 0.6, int(count.sum()))
            return np.bincount(
                np.repeat(np.arange(len(count)), count), weights=value, minlength=len(count)
            ).astype(float)

        before = spent(rng.poisson(base * habit))
        own, extra = spent(anyway), spent(more)
        outcome = own + extra
        touched = rng.random(n) < 0.7 * (1 - np.exp(-habit))  # who shops a lot also looks at pins a lot
        claimed = float((extra + np.where(touched, own, 0))[~out].sum())
        true = float((~out).sum()) * caused * price  # E[habit] is 1, and E of the price's factor is 1
        found = incremental(outcome[~out], outcome[out], before[~out], before[out], claimed)
        assert found.caused is not None
        assert found.low is not None
        assert found.high is not None
        errors.append(abs(found.caused - true) / true)
        covered += found.low <= true <= found.high
        bias.append(claimed / true)
    return {
        "worlds": worlds,
        "median_error": float(np.median(errors)),
        "within_10_percent": float(np.mean(np.array(errors) <= 0.1)),
        "coverage": covered / worlds,
        "last_touch_over_true": float(np.median(bias)),
        "generator": "fast: revenue per person only",
    }


def measure_timing(people: int = 4000, days: int = 49, seed: int = 0) -> dict[str, Any]:
    """The half-life of new pins in a simulated world against the true one, and what the suggested hour gains over random hours.

    The gain is the world's own: its true busy hours, fading and novelty, not what the report expects.
    """
    world = _worldly(seed, people, days)
    length = days * 24
    keys: list[Int64] = []
    views: list[Int64] = []
    busy, weekly = np.zeros(length), np.zeros(length)
    for each in deeds(world):
        hour = (each.at - world.settings.begins) // 3_600_000
        seen = each.of("impression") & (hour < length)
        key, count = np.unique(each.pin[seen] * length + hour[seen], return_counts=True)
        keys.append(key)
        views.append(count)
        busy += np.bincount(hour[seen], minlength=length)
        pairs = np.unique(each.person[seen] * length + hour[seen])
        weekly += np.bincount(pairs % length, minlength=length)
    key, place = np.unique(np.concatenate(keys), return_inverse=True)
    count = np.bincount(place, weights=np.concatenate(views)).astype(np.int64)
    half, low, high, _, pins = half_life(key, count, busy, seed)
    true = world.settings.half_life_days
    usual = weekly.reshape(-1, 168)
    chosen = schedule(usual, half or true, 1, seed)
    names = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    best = names.index(chosen[0].day) * 24 + chosen[0].hour if chosen else 0
    brings = _truly(world, true)
    return {
        "half_life_days": half,
        "interval": [low, high],
        "true_half_life_days": true,
        "half_life_error": None if half is None else abs(half - true) / true,
        "new_pins": pins,
        "suggested": f"{chosen[0].day} {chosen[0].hour:02d}:00" if chosen else None,
        "expected_gain": chosen[0].gain if chosen else None,
        "true_gain": float(brings[best] / brings.mean() - 1),
        "best_possible_gain": float(brings.max() / brings.mean() - 1),
    }


def _truly(world: World, half: float) -> Float64:
    """(168,) saves of the first week by hour of publishing, by the world's rules: views fall as a pin's freshness f does, clicks
    rise with 1 + 0.5 f, and saves of what is clicked with its root.
    """
    people = world.scene.people
    share = np.bincount(people.region, weights=people.activity, minlength=5)
    day = np.sum([share[region] * world.busy(region) for region in range(len(share))], axis=0)
    calendar = world.scene.times.truth()
    week = np.concatenate([day * factor for factor in calendar["weekdays"]])
    fresh = np.exp2(-(np.arange(168) + 0.5) / 24 / half)
    kernel = fresh * (1 + calendar["novelty"] * fresh) ** 1.5
    return np.array([np.roll(week, -hour) @ kernel for hour in range(168)])


__all__ = [
    "measure_ledger",
    "measure_lift",
    "measure_own_ledger",
    "measure_privacy",
    "measure_timing",
    "measure_trends",
]
