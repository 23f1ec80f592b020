"""A bulk attack among honest people who put up as much, minute by minute: what is hidden, how soon, and who is hit wrongly.

Everything is simulated on a copy of an index. The attack is the world's own: near-duplicates of twenty pictures within an hour.
Shops upload catalogues, with sizes and colours of each product, and planners save for an evening.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from visualsearch.engine import Index
from visualsearch.errors import PictureError
from visualsearch.people import Level
from visualsearch.trust import Trust
from visualsearch.types import Float32, Record
from visualsearch.world import World, read_pins

DAY_MS = 86_400_000
VISIBLE = 15
"""The attack can be seen once so many of its pins are up."""
SOON_MS = 60_000
KINDS = ("lamp", "chair", "shirt", "dress", "bowl", "rug", "shelf", "ring", "boot", "mug", "scarf", "clock")
LOOKS = (
    "oak",
    "linen",
    "glazed",
    "striped",
    "woven",
    "plain",
    "painted",
    "soft",
    "tall",
    "round",
    "small",
    "antique",
)
COLOURS = ("black", "white", "sand", "green", "blue", "rust")
SALES = (
    *("", "", "", "", "", "", ""),
    *(
        "New in our shop. Free shipping from 50 euro",
        "Sale: 30% off now",
        "Today only 20% off!",
        "Best price of the season",
    ),
)
"""What a shop adds to each of its titles. Honest shops have sales too, and say so in the words of spam."""


@dataclass(frozen=True)
class WorldAttack:
    """How large the world is. `every` is the seconds between two rounds of judging."""

    pins: int = 3000
    minutes: float = 60
    shops: int = 400
    planners: int = 1600
    every: float = 20
    seed: int = 0


def measure_trust_world(
    index: Path, asked: WorldAttack | None = None, say: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """The figures, on a copy of the index in a folder. Raises what opening an index raises."""
    chosen = asked or WorldAttack()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / "pins.index"
        shutil.copytree(index, place, ignore=shutil.ignore_patterns("people*", "events", "learnt", "*lock"))
        with Index.open(place) as opened:
            return _Run(opened, chosen, say).figures()


class _Run:
    """One run over a copy of an index, with a clock of its own that starts now."""

    def __init__(self, index: Index, asked: WorldAttack, say: Callable[[str], None]) -> None:
        self.index, self.asked, self.say = index, asked, say
        self.rng = np.random.default_rng(asked.seed)
        self.clock = int(time.time() * 1000)
        index.people.now = lambda: self.clock
        self.pins = read_pins(index)
        self.trust = Trust(index)

    def figures(self) -> dict[str, Any]:
        """Honest people first, then the attack, then undo."""
        asked = self.asked
        self.say(f"{asked.planners:,} planners and {asked.shops:,} shops")
        self._regulars()
        before = time.perf_counter()
        heavy = self._planners(asked.planners) | self._shops(asked.shops)
        self.clock += 3_600_000
        first = self.trust.scan(read_pictures=False)
        hit = self._hit(heavy)
        self.say(
            f"judged {first.judged:,} saves in {first.seconds:.1f} s: {len(hit)} honest accounts touched"
        )
        settled = self._state()
        attack = World.make(self.pins, people=200, seed=asked.seed, spam=0.05).attack(
            asked.pins, at=self.clock, minutes=asked.minutes
        )
        delays, rounds, hidden = self._attacked(attack)
        spam = set(attack.ids)
        right = len(hidden & spam)
        wrong = self._hit(heavy)
        cases = [
            case for case in self.trust.queue(1000) if set(case.pins) & spam or case.action >= Level.HOLD
        ]
        for case in cases:
            if set(case.pins) & spam:
                self.trust.undo(case.number)
        back = self._state(without=spam)
        return {
            "simulated": True,
            "attack_pins": len(spam),
            "hidden": right / len(spam),
            "hidden_within_60_s": float(np.mean([delay <= SOON_MS for delay in delays])),
            "delay_seconds_p50": float(np.median(delays)) / 1000,
            "delay_seconds_p99": float(np.quantile(delays, 0.99)) / 1000,
            "precision": right / max(1, len(hidden)),
            "undone_exactly": back == settled,
            "honest_heavy_users": len(heavy),
            "honest_wrongly_held": len(wrong) / max(1, len(heavy)),
            "honest_in_queue": len(self._asked_about(heavy)) / max(1, len(heavy)),
            "cases": len(cases),
            "round_seconds_p50": float(np.median(rounds)),
            "round_seconds_max": max(rounds),
            "seconds": round(time.perf_counter() - before, 1),
        }

    # -- people --------------------------------------------------------------------------------------------------------
    def _save(self, rows: Sequence[tuple[str, str, str, str, int]]) -> None:
        """Save person, pin, board, site, when."""
        people = self.index.people
        for part in _parts(rows, 2000):
            held = people.pins.find([row[1] for row in part])
            work = [
                people.saving(who, held[pin], board=board, site=site or None, at=at, record=False)
                for who, pin, board, site, at in part
            ]
            for future in [people.store.writer.submit(each) for each in work]:
                future.result()

    def _regulars(self) -> None:
        """Three hundred people who saved a little over the last months, from well-known sites."""
        sites = [f"shop-{n}.example" for n in range(40)]
        rows = []
        for who in range(300):
            for pin in self.rng.choice(len(self.pins), 12, replace=False).tolist():
                at = self.clock - int(self.rng.integers(1, 90 * DAY_MS))
                rows.append(
                    (f"regular-{who}", self.pins.ids[pin], "Mine", sites[int(self.rng.integers(40))], at)
                )
        self._save(rows)

    def _planners(self, count: int) -> set[str]:
        """People who save 40 to 90 look-alikes in an evening, some of them new here."""
        rows = []
        vectors = self.pins.vectors.astype(np.float32)
        for who in range(count):
            name = f"planner-{who}"
            near = np.argpartition(-(vectors @ vectors[int(self.rng.integers(len(vectors)))]), 200)[:200]
            pins = self.rng.choice(near, int(self.rng.integers(40, 90)), replace=False)
            start = self.clock - int(self.rng.integers(0, 3_600_000))
            at = np.sort(start + self.rng.integers(0, 3_600_000, len(pins)))
            rows += [
                (name, self.pins.ids[pin], "Wedding", "", int(when))
                for pin, when in zip(pins, at.tolist(), strict=True)
            ]
        self._save(rows)
        return {f"planner-{who}" for who in range(count)}

    def _shops(self, count: int) -> set[str]:
        """Shops that upload 24 to 60 products in up to four colours within an hour, from a site of their own."""
        names = set()
        for part in _parts(range(count), 50):
            records: list[Record] = []
            rows: list[tuple[str, str, str, str, int]] = []
            for shop in part:
                names.add(f"shop-keeper-{shop}")
                made = self._catalogue(shop)
                records += made
                at = np.sort(self.clock + self.rng.integers(0, 3_600_000, len(made)))
                rows += [
                    (f"shop-keeper-{shop}", each.id, "Catalogue", f"store-{shop}.example", int(when))
                    for each, when in zip(made, at.tolist(), strict=True)
                ]
            self.index.add(records)
            self._save(rows)
        return names

    def _catalogue(self, shop: int) -> list[Record]:
        rng = self.rng
        kind = KINDS[int(rng.integers(len(KINDS)))]
        sale = SALES[int(rng.integers(len(SALES)))]
        records = []
        for product in range(int(rng.integers(24, 60))):
            base = self.pins.vectors[int(rng.integers(len(self.pins)))].astype(np.float32)
            name = f"{LOOKS[int(rng.integers(12))].title()} {kind} {LOOKS[int(rng.integers(12))]}"
            for colour in COLOURS[: int(rng.integers(1, 5))]:
                vector = _near(rng, base, float(rng.uniform(0.93, 0.995)))
                title = f"{name}, {colour}. {sale}".strip(". ")
                link = f"https://store-{shop}.example/{product}-{colour}"
                records.append(_record(f"shop-{shop}/{product}-{colour}", vector, title, link))
        return records

    def _hit(self, heavy: set[str]) -> set[str]:
        """Those of some people whom a verdict holds, hides or removes now, or whose pins it does."""
        people = self.index.people
        shut = set(people.names_of_people(sorted(people.shut_people())))
        pins = people.shut().hidden
        owners = {
            f"shop-keeper-{name.split('/')[0].removeprefix('shop-')}"
            for name in pins
            if name.startswith("shop-")
        }
        return {name for name in heavy if name in owners or people.pseudonym(name) in shut}

    def _asked_about(self, heavy: set[str]) -> set[str]:
        people = self.index.people
        named = {n for case in self.trust.queue(10_000) for n in people.names_of_people(case.people)}
        return {name for name in heavy if people.pseudonym(name) in named}

    # -- the attack ------------------------------------------------------------------------------------------------------
    def _attacked(self, attack: Any) -> tuple[list[int], list[float], set[str]]:
        """Pins come as they do in the attack, and a round is run every few seconds; the delays in milliseconds."""
        people = self.index.people
        records, events = list(attack.records()), attack.events()
        visible = int(attack.at[min(VISIBLE, len(attack)) - 1])
        came = 0
        seen_at: dict[str, int] = {}
        rounds: list[float] = []
        end = int(attack.at[-1]) + 3 * SOON_MS
        while self.clock < end:
            self.clock += round(self.asked.every * 1000)
            until = int(np.searchsorted(attack.at, self.clock, side="right"))
            if until > came:
                self.index.add(records[came:until])
                people.record(events[came:until])
                came = until
            started = time.perf_counter()
            self.trust.scan(read_pictures=False)
            rounds.append(time.perf_counter() - started)
            for name in people.shut().hidden:
                seen_at.setdefault(name, self.clock)
            if len(rounds) % 30 == 0:
                self.say(f"{came:,} pins are up, {len(seen_at):,} are hidden")
        delays = [
            seen_at.get(name, 10**12) - max(int(at), visible)
            for name, at in zip(attack.ids, attack.at.tolist(), strict=True)
        ]
        return delays, rounds, set(people.shut().hidden)

    def _state(self, without: set[str] = frozenset()) -> tuple[Any, ...]:  # type: ignore[assignment]
        """All that may be learnt and counted now, but for the attack's own pins."""
        people = self.index.people
        made = people.material()
        counts = people.save_counts(self.pins.ids[:2000])
        return (len(made), counts, [n for n in made.pins if n not in without], people.shut().hidden - without)


def _near(rng: np.random.Generator, base: Float32, cosine: float) -> Float32:
    noise = rng.normal(size=len(base))
    noise -= base * (noise @ base)
    made = cosine * base + np.sqrt(1 - cosine**2) * noise / np.linalg.norm(noise)
    return np.asarray(made / np.linalg.norm(made), np.float32)


def _record(name: str, vector: Float32, title: str, link: str) -> Record:
    return Record(name, link, _nothing, {"title": title, "link": link}, named=True, vector=vector)


def _nothing() -> bytes:
    raise PictureError("cannot read a simulated pin", "it has a vector and no picture")


def _parts(rows: Any, size: int) -> Iterator[list[Any]]:
    left = iter(rows)
    while part := list(islice(left, size)):
        yield part
