"""Promotion: rules that are never broken, what lying brings a bidder, time, the ledger after kills, and looks against keywords.

python benchmarks/promote.py [--index DIR] [--parts rules,lies,speed,kills,world] [--seeds 10] [--smoke] [--to DIR]

`rules`: auctions over campaigns, people and pages drawn at random, against a record in memory; code of its own judges each page.
`lies`: one bidder of each auction bids `times` its value and the others their own; `gain` is what that adds to its profit, in
shares of what the truth brings. `speed`: what promoted pins add to a search with 1,000 campaigns, beside the search itself.
`kills`: a process that bills clicks is killed, and its ledger added up. `world`: pages of related pins in a simulated world; each
page shows one promoted pin, chosen by looks (as the library does) or by the words of the pin that was looked at. The campaigns
and the number of promoted pins are the same, and each costs the same: the spend is equal. `organic saves` compares the saves of
the other pins with those of the same pages without a promoted one: as they fell, as the world's chances expect them, and beside a
page with one more of its own pins at the end instead, which bores as much. Intervals are 95 %, over seeds. `--first-seed` goes
on after those of an earlier run, and `--log` with `--seconds` after its auctions.

The index (without DIR: the sample pins) stays as it is.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, report

import visualsearch as vs
from visualsearch import samples
from visualsearch.people import Placement, Viewer, open_people
from visualsearch.people.shutting import NOTHING, Shut
from visualsearch.pinned import CatalogPins
from visualsearch.promote import SURFACES, Campaign, Promotions, Rules, auction, room
from visualsearch.promote.page import Page
from visualsearch.search import SearchOptions
from visualsearch.types import WHOLE, Hit, Hits
from visualsearch.world import Pins, World, make_tastes, read_pins, save_chances

DAY_MS = 86_400_000
CHUNK = 20_000
"""Auctions of a day."""
SLOT = room(SURFACES["related"], 12)[0]


class Memory:
    """The part of a record that serving asks, in memory: 1,000,000 auctions need no disk."""

    def __init__(self, campaigns: list[Campaign]) -> None:
        self.campaigns = campaigns
        self.at = 1_767_009_600_000
        self.shown: dict[tuple[int, int], Counter[str]] = {}
        self.hidden: dict[int, set[str]] = {}
        self.last: list[Placement] = []

    def now(self) -> int:
        """Milliseconds."""
        return self.at

    def campaign_rows(self) -> list[dict[str, Any]]:
        """As the record keeps them."""
        return [each.to_row() for each in self.campaigns]

    def shut(self) -> Shut:
        """No verdicts."""
        return NOTHING

    def campaigns_mark(self) -> tuple[int, int]:
        """Nothing changes."""
        return 1, 0

    def spending(self) -> dict[str, int]:
        """Nothing is charged here."""
        return {}

    def spent_on(self, day: str) -> dict[str, int]:
        """Nothing is charged here."""
        return {}

    def tally_rows(self) -> list[dict[str, Any]]:
        """Nothing is known."""
        return []

    def viewer(self, person: str, since: int, coming: Any = ()) -> Viewer:
        """What was shown to a person today."""
        number = int(person)
        held = self.shown.get((number, since // DAY_MS), Counter())
        return Viewer(number, dict(held), frozenset(self.hidden.get(number, ())))

    def place(self, shown: list[Placement]) -> Future[Any]:
        """Keep what is shown."""
        self.last = list(shown)
        for each in shown:
            if each.person is not None:
                self.shown.setdefault((each.person, self.at // DAY_MS), Counter())[each.campaign] += 1
        done: Future[Any] = Future()
        done.set_result(None)
        return done

    def close(self) -> None:
        """Nothing is open."""


def campaigns_of(
    ids: list[str], count: int, rng: np.random.Generator, vectors: Any, **more: Any
) -> list[Campaign]:
    """Campaigns of pins that look alike: one drawn at random, and its nearest."""
    seeds = rng.choice(len(ids), count, replace=count > len(ids))
    alike = [
        np.argpartition(-(part @ vectors.T), 4, axis=1)[:, :4] for part in np.array_split(vectors[seeds], 10)
    ]
    made = []
    for at, near in enumerate(np.concatenate(alike)):
        bid = int(rng.integers(20, 200))
        made.append(
            Campaign(
                f"c{at}", f"advertiser {at % max(2, count // 2)}", tuple(ids[n] for n in near), bid, "EUR",
                budget=10**9, **more,
            )
        )  # fmt: skip
    return made


def opened(folder: Path, people: Any = None) -> vs.Index:
    """The index, with another record of people if given."""
    index = vs.open(folder)
    if people is not None:
        index._people = people
    return index


def unit_rows(index: vs.Index) -> tuple[list[str], Any]:
    """Ids and unit vectors of all pins."""
    pins = read_pins(index)
    vectors = np.asarray(pins.vectors, np.float32)
    return list(pins.ids), vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


# -- rules -----------------------------------------------------------------------------------------------------------
def rules(
    folder: Path, count: int, seed: int = 0, log: Path | None = None, seconds: float = 1e9
) -> dict[str, Any]:
    """Pages with promoted pins, each judged; how many broke a rule.

    Every CHUNK auctions are a day with chance of its own. `log` keeps what came of each; what it has is not run again, and after
    `seconds` the rest is left for the next time.
    """
    kept = [json.loads(line) for line in log.read_text().splitlines()] if log and log.exists() else []
    done = {row["chunk"]: row for row in kept if row["seed"] == seed}
    started = time.perf_counter()
    with opened(folder) as index:
        ids, vectors = unit_rows(index)
    sizes = [min(CHUNK, count - at) for at in range(0, count, CHUNK)]
    for chunk, size in enumerate(sizes):
        if chunk in done and done[chunk]["auctions"] >= size:
            continue
        if time.perf_counter() - started > seconds:
            break
        done[chunk] = {"chunk": chunk, "seed": seed, **_chunk(folder, ids, vectors, size, [seed, chunk])}
        if log:
            with log.open("a") as file:
                file.write(json.dumps(done[chunk]) + "\n")
    rows = [done[chunk] for chunk in range(len(sizes)) if chunk in done]
    broken = sum((Counter(row["broken"]) for row in rows), Counter[str]())
    promoted, shown = sum(row["promoted"] for row in rows), sum(row["shown"] for row in rows)
    auctions, spent = sum(row["auctions"] for row in rows), sum(row["seconds"] for row in rows)
    return {
        "name": "rules",
        "auctions": auctions,
        "wanted": count,
        "promoted": promoted,
        "share": promoted / max(1, shown),
        "violations": broken.total(),
        "broken": dict(broken),
        "auctions_per_second": auctions / spent if spent else None,
    }


def _chunk(folder: Path, ids: list[str], vectors: Any, count: int, seed: list[int]) -> dict[str, Any]:
    """One day of auctions."""
    rng = np.random.default_rng(seed)
    campaigns = campaigns_of(ids, 60, rng, vectors, cap=2)
    memory = Memory(campaigns)
    broken: Counter[str] = Counter()
    shown = promoted = 0
    place = {name: at for at, name in enumerate(ids)}
    by_id = {each.id: each for each in campaigns}
    with opened(folder, memory) as index:
        promotions = Promotions(index, Rules(pricing="vcg", explore=0.2), seed=seed[-1])
        pages = _pages(ids, vectors, rng, 400)
        started = time.perf_counter()
        for turn in range(count):
            page = pages[int(rng.integers(len(pages)))]
            person = int(rng.integers(2_000))
            if turn % 997 == 0:
                memory.hidden.setdefault(person, set()).add(f"advertiser {int(rng.integers(30))}")
            memory.last = []
            hits = promotions.placed(page, str(person))
            paid = [(at, hit) for at, hit in enumerate(hits) if hit.promoted]
            shown += len(hits)
            promoted += len(paid)
            for name in _broken(page, hits, paid, memory, person, by_id, vectors, place):
                broken[name] += 1
        seconds = time.perf_counter() - started
    return {
        "auctions": count,
        "promoted": promoted,
        "shown": shown,
        "broken": dict(broken),
        "seconds": round(seconds, 3),
    }


def _pages(ids: list[str], vectors: Any, rng: np.random.Generator, count: int) -> list[Page]:
    """Pages of pins like one pin, on every surface, of several lengths."""
    made = []
    for _ in range(count):
        seed, size = int(rng.integers(len(ids))), int(rng.integers(2, 41))
        cosines = vectors @ vectors[seed]
        order = np.argsort(-cosines)[1 : size + 1]
        hits = tuple(Hit(ids[n], ids[n], float(cosines[n]), WHOLE, {}) for n in order)
        surface = str(rng.choice(list(SURFACES)))
        least = None if surface == "feed" else float(cosines[order[-1]])
        made.append(
            Page(surface, Hits(hits, len(ids), "exact"), vectors[seed][None], ("the query",), least=least)
        )
    return made


def _broken(
    page: Page, hits: Hits, paid: Any, memory: Memory, person: int, by_id: Any, vectors: Any, place: Any
) -> list[str]:
    """The rules that a page breaks."""
    surface = SURFACES[page.surface]
    found = []
    if len(paid) > surface.share * len(hits) + 1e-9 or len(paid) > len(surface.slots):
        found.append("share")
    before = [sum(not hit.promoted for hit in hits[:at]) / len(page.hits) for at, _ in paid]
    if any(share < slot - 1e-9 for share, slot in zip(before, surface.slots, strict=False)):
        found.append("slots")
    if [hit.id for hit in hits if not hit.promoted] != page.hits.ids or len(set(hits.ids)) != len(hits):
        found.append("organic")
    floor = max(surface.floor, 0.0 if page.least is None else surface.near * page.least)
    for _, hit in paid:
        if float((vectors[place[hit.id]] @ page.vectors.T).max()) < floor - 1e-4:
            found.append("floor")
        if by_id[hit.promoted].advertiser in memory.hidden.get(person, ()):
            found.append("hidden")
    held = memory.shown.get((person, memory.at // DAY_MS), Counter())
    found += ["cap" for _, hit in paid if held[hit.promoted] > by_id[hit.promoted].cap]
    found += ["price" for each in memory.last if not 1 <= each.price <= by_id[each.campaign].bid]
    return found


# -- lies ------------------------------------------------------------------------------------------------------------
def lies(count: int, pricing: str, seed: int = 0) -> dict[str, Any]:
    """What the best of several fixed lies brings a bidder, in shares of the profit of the truth."""
    rng = np.random.default_rng(seed)
    times = (0.25, 0.5, 0.75, 0.9, 1.1, 1.25, 1.5, 2.0, 4.0)
    seen = np.array([1.0, 0.8, 0.6])
    truth, profits = 0.0, dict.fromkeys(times, 0.0)
    for _ in range(count):
        n = int(rng.integers(4, 12))
        values = np.maximum(1, np.exp(rng.normal(4.5, 0.6, n))).astype(np.int64)
        rates, quality = rng.uniform(0.01, 0.05, n), rng.uniform(0.5, 1.0, n)
        me = int(rng.integers(n))

        def profit(bid: int) -> float:
            bids = values.copy()  # noqa: B023
            bids[me] = bid  # noqa: B023
            made = auction(bids, rates, quality, seen, 1, pricing)  # noqa: B023
            slot = np.flatnonzero(made.order == me)  # noqa: B023
            if not len(slot):
                return 0.0
            at = int(slot[0])
            return float(rates[me] * seen[at] * (values[me] - made.price[at]))  # noqa: B023

        truth += profit(int(values[me]))
        for each in times:
            profits[each] += profit(max(1, round(int(values[me]) * each)))
    gains = {str(each): profits[each] / truth - 1 for each in times}
    return {"name": f"lies, {pricing}", "auctions": count, "gain": max(gains.values()), "gains": gains}


# -- speed -----------------------------------------------------------------------------------------------------------
def speed(folder: Path, scratch: Path, count: int, rounds: int) -> dict[str, Any]:
    """What promoted pins add to a search of a stored pin, with so many campaigns."""
    rng = np.random.default_rng(0)
    copy = shutil.copytree(folder, scratch / "speed.index")
    people = None
    with vs.open(copy) as index:
        ids, vectors = unit_rows(index)
        people = open_people(copy, pins=CatalogPins(index.catalog))
        index._people = people
        rows = [each.to_row() for each in campaigns_of(ids, count, rng, vectors, cap=20)]
        people.change_campaigns(lambda _: rows)
        promotions = Promotions(index, seed=0)
        alone, added, cpu, shown = [], [], [], 0
        for turn in range(rounds + 20):
            asked = SearchOptions(like=ids[int(rng.integers(len(ids)))], k=20)
            begun = time.perf_counter()
            hits = index.asked(asked)
            middle, used = time.perf_counter(), time.thread_time()
            after = promotions.beside_search(asked, hits)
            done, spent = time.perf_counter(), time.thread_time() - used
            if turn >= 20:
                alone.append(middle - begun)
                added.append(done - middle)
                cpu.append(spent)
                shown += sum(hit.promoted is not None for hit in after)
        promotions.flush()
    return {
        "name": f"speed, {count} campaigns",
        "pins": len(ids),
        "rounds": rounds,
        "promoted": shown,
        "search_p50_ms": 1000 * statistics.median(alone),
        "added_p50_ms": 1000 * statistics.median(added),
        "added_p99_ms": 1000 * float(np.percentile(added, 99)),
        "added_cpu_p50_ms": 1000 * statistics.median(cpu),
    }


# -- kills -----------------------------------------------------------------------------------------------------------
def kills(count: int) -> dict[str, Any]:
    """The ledger after so many kills."""
    sys.path.insert(0, str(ROOT))
    from tests.promote.kills import campaign

    found, entries = campaign(count)
    return {"name": "kills", "kills": count, "entries": entries, "flaws": found}


# -- world -----------------------------------------------------------------------------------------------------------
def world(folder: Path, seeds: int, pages: int, people: int, first: int = 0) -> list[dict[str, Any]]:
    """Looks against keywords, in the same world with the same luck; seeds from `first` on."""
    with opened(folder) as index:
        pins = read_pins(index)
        tastes = make_tastes(pins)
        found = [_seed(folder, pins, tastes, seed, pages, people) for seed in range(first, first + seeds)]
    looks = np.array([each["looks"] for each in found])
    words = np.array([each["words"] for each in found])
    organic = np.array([each["organic"] for each in found])
    return [
        {"name": "world, looks", "clicks_per_1000": float(looks.mean()), "by_seed": looks.round(3).tolist()},
        {"name": "world, words", "clicks_per_1000": float(words.mean()), "by_seed": words.round(3).tolist()},
        {
            "name": "world, difference",
            **_interval(looks - words),
            "times": float(looks.mean() / words.mean()) if words.any() else None,
        },
        {
            "name": "world, organic saves",
            **_interval(organic),
            "expected": _interval(np.array([each["organic_expected"] for each in found])),
            "beside_one_more": _interval(np.array([each["organic_longer"] for each in found])),
            "saves": int(sum(each["organic_saves"] for each in found)),
            "by_seed": organic.round(4).tolist(),
            "first_seed": first,
            "pages": int(sum(each["pages"] for each in found)),
        },
    ]


def _interval(values: Any) -> dict[str, float]:
    """The mean, and its 95 % interval over seeds."""
    from scipy.stats import t

    n = len(values)
    half = float(t.ppf(0.975, n - 1) * values.std(ddof=1) / n**0.5) if n > 1 else float("inf")
    mean = float(values.mean())
    return {"mean": mean, "low": mean - half, "high": mean + half}


def _seed(folder: Path, pins: Pins, tastes: Any, seed: int, pages: int, people: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    made = World.make(pins, people=people, seed=seed, tastes=tastes)
    vectors = np.asarray(pins.vectors, np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    ids = list(pins.ids)
    campaigns = campaigns_of(ids, min(300, len(ids) // 4), rng, vectors, cap=20)
    place = {name: at for at, name in enumerate(ids)}
    by_word: dict[str, list[int]] = {}
    for at, campaign in enumerate(campaigns):
        for word in {word for pin in campaign.pins for word in pins.words[place[pin]]}:
            by_word.setdefault(word, []).append(at)
    memory = Memory(campaigns)
    rows = []
    with opened(folder, memory) as index:
        promotions = Promotions(index, Rules(explore=0.0), seed=seed)
        persons = rng.integers(0, people, pages)
        for person in persons.tolist():
            liked = rng.integers(0, len(ids), 40)
            worth = made.relevance(np.full(len(liked), person), liked)
            context = int(liked[int(np.argmax(worth))])
            cosines = vectors @ vectors[context]
            order = np.argsort(-cosines)[1:14]
            hits = Hits(
                tuple(Hit(ids[n], ids[n], float(cosines[n]), WHOLE, {}) for n in order[:12]),
                len(ids),
                "exact",
            )
            page = Page(
                "related", hits, vectors[context][None], (ids[context],), least=float(cosines[order[11]]),
                seeds=frozenset({ids[context]}),
            )  # fmt: skip
            shown = [place[hit.id] for hit in promotions.placed(page) if hit.promoted][:1]
            named = {at for word in pins.words[context] for at in by_word.get(word, ())}
            worded = [
                pin for at in named for pin in (place[name] for name in campaigns[at].pins)
                if pin != context and pin not in order[:12]
            ]  # fmt: skip
            rows.append((person, order, shown, worded))
    return _clicks(made, rows, rng)


def _clicks(made: World, rows: list[Any], rng: np.random.Generator) -> dict[str, Any]:
    """Serve the pages of both ways, as many promoted pins of each, and those of looks without them too."""
    looks = [(person, order, shown[0]) for person, order, shown, _ in rows if shown]
    words = [(person, order, int(rng.choice(worded))) for person, order, _, worded in rows if worded]
    count = min(len(looks), len(words))
    # The same number of promoted pins at the same price: the spend is equal.
    chosen = {
        "looks": [looks[at] for at in np.sort(rng.permutation(len(looks))[:count])],
        "words": [words[at] for at in np.sort(rng.permutation(len(words))[:count])],
    }
    found: dict[str, Any] = {"pages": count}
    for name, served in chosen.items():
        responses = _served(made, served, True)
        found[name] = 1000 * float(responses.reactions.clicked[:, SLOT].mean()) if count else 0.0
        if name == "looks":
            others = [at for at in range(13) if at != SLOT]
            mine = responses.saved[:, others].sum()
            bare = _served(made, served, False)
            plain = bare.saved.sum()
            found["organic"] = float(mine / max(1, plain) - 1)
            found["organic_saves"] = int(plain)
            longer = made.lists(*_pages_of(made, served, None), "related")
            mine, plain, beside = (
                _chances(made, lists)[:, which].sum()
                for lists, which in (
                    (responses.lists, others), (bare.lists, slice(12)), (longer, slice(12))
                )
            )  # fmt: skip
            found["organic_expected"] = float(mine / max(1e-9, plain) - 1)
            found["organic_longer"] = float(mine / max(1e-9, beside) - 1)
    return found


def _chances(made: World, lists: Any) -> Any:
    """(m, s) the chance of a save in each slot, by the world's own rates: what many worlds would show on average."""
    return save_chances(made.scene, lists)


def _pages_of(made: World, served: list[Any], promoted: bool | None) -> tuple[Any, Any, Any]:
    """Persons, pins and times of the pages: with the promoted pin, without it, or (None) with one more of the page's own."""
    rows = [
        np.insert(order[:12], SLOT, pin) if promoted else order[: 13 if promoted is None else 12]
        for _, order, pin in served
    ]
    at = made.clock + 60_000 * np.arange(len(served))
    return np.array([person for person, _, _ in served], np.int32), np.array(rows, np.int32), at


def _served(made: World, served: list[Any], promoted: bool) -> Any:
    """The reactions of a fresh copy of the world to the pages."""
    own = World(made.scene)
    return own.respond_many(own.lists(*_pages_of(own, served, promoted), "related"))


def samples_index(place: Path) -> Path:
    """An index of the sample pins."""
    with vs.create(place) as index:
        index.add(samples.manifest())
    return place


def main() -> None:
    """Measure, print, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--index", type=Path)
    parser.add_argument("--parts", default="rules,lies,speed,kills,world")
    parser.add_argument("--auctions", type=int, default=1_000_000)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--lies", type=int, default=40_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--campaigns", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--pages", type=int, default=3_000)
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--to", type=Path)
    options = parser.parse_args()
    if options.smoke:
        options.auctions, options.lies, options.kills, options.campaigns = 300, 300, 1, 40
        options.rounds, options.seeds, options.pages, options.people = 10, 2, 60, 20
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        scratch = Path(place)
        source = options.index or samples_index(scratch / "samples.index")
        parts = {
            "rules": lambda: [rules(source, options.auctions, 0, options.log, options.seconds)],
            "lies": lambda: [lies(options.lies, pricing) for pricing in ("vcg", "gsp")],
            "speed": lambda: [speed(source, scratch, options.campaigns, options.rounds)],
            "kills": lambda: [kills(options.kills)],
            "world": lambda: world(source, options.seeds, options.pages, options.people, options.first_seed),
        }
        for name in options.parts.split(","):
            rows += parts[name]()
            print(rows[-1], file=sys.stderr, flush=True)
    report("promote", {"rows": rows, "goals": []}, options.to)


if __name__ == "__main__":
    main()
