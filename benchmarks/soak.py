"""The world's people against one server for as long as wished, at three quarters of what it can do: does anything creep?

python benchmarks/soak.py [--minutes 60] [--rows 20000] [--people 300] [--share 0.75] [--clients 32] [--learn 300] [--smoke]
                          [--to benchmarks/results]

Clients and server share the machine. First its capacity is measured: turns a second of eight clients that never pause. Then
turns are due at `--share` of it, whether or not the last ones are answered. A turn is a visit, a search by pin or by picture, or
a pin that is added or removed. On a visit a person of a simulated world reads a page of their feed, and what the world says they
do is sent: events in one batch, saves one by one. Beside it `visualsearch learn` runs every `--learn` seconds, and two
experiments meet the people.

Watched ten times a minute: resident memory, statuses, latency, lateness of turns, and recall against exact search as the server
measures it on the living index. Memory's slope is that of the second half, with its 95 % interval. Exit code 1: an answer of 500
or above, or a connection that was lost.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import synthetic
from campaign_work import picture
from common import report
from serve_load import Server, pictures

import visualsearch as vs
from visualsearch.experiments import Arm, open_experiments
from visualsearch.people import Event, open_people
from visualsearch.world import World

TURNS = {"visit": 0.45, "pin": 0.35, "picture": 0.15, "add": 0.03, "remove": 0.02}
FEED = 25
EXPERIMENTS = {
    "soak-feed": (("feed",), {"diversity": 0.5}),
    "soak-search": (("search",), {"diversity": 0.9}),
}
"""Experiments that the server carries out: their surfaces, and what the second arm sets."""
SENT = (
    "event_id",
    "kind",
    "person",
    "pin",
    "slot",
    "row",
    "column",
    "dwell_ms",
    "surface",
    "answer",
    "variant",
)
EVERY_S = 6.0
SAVES_IN_A_VISIT = 3
ENDED = (0, -signal.SIGTERM)
"""How a server ends that was told to."""


class Line:
    """A kept connection: requests go out one after the other."""

    def __init__(self, server: Server, told: Told) -> None:
        self.server, self.told = server, told
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self, method: str, path: str, body: bytes = b"", kind: str = "application/json"
    ) -> tuple[int, bytes]:
        """Send a request; status and body. A lost connection counts as status 0."""
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        began = time.perf_counter()
        try:
            if self.streams is None or self.streams[1].is_closing():
                self.streams = await asyncio.open_connection(self.server.host, self.server.port)
            reader, writer = self.streams
            writer.write(head.encode() + body)
            await writer.drain()
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
            size = next((int(each.split(":")[1]) for each in lines if each.startswith("content-length:")), 0)
            answer = await reader.readexactly(size)
            if "connection: close" in lines:
                writer.close()
            status = int(lines[0].split()[1])
        except (OSError, asyncio.IncompleteReadError):
            self.streams, status, answer = None, 0, b""
        self.told.heard(method, path, status, time.perf_counter() - began)
        return status, answer


class Told:
    """What the answers were like since the last look, and in all."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.seconds: list[float] = []
        self.all_seconds: list[float] = []
        self.late: list[float] = []
        self.bad: Counter[str] = Counter()

    def heard(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self.statuses[status] += 1
        self.seconds.append(seconds)
        if status == 0 or status >= 500:
            self.bad[f"{status} {method} /{path.split('/')[1].partition('?')[0]}"] += 1

    def taken(self) -> dict[str, Any]:
        """Figures since the last look."""
        seconds, late = np.array(self.seconds or [0.0]) * 1000, np.array(self.late or [0.0])
        found = {
            "answered": len(self.seconds),
            "p50_ms": round(float(np.percentile(seconds, 50)), 1),
            "p99_ms": round(float(np.percentile(seconds, 99)), 1),
            "late_p99_s": round(float(np.percentile(late, 99)), 2),
        }
        self.all_seconds += self.seconds
        self.seconds, self.late = [], []
        return found


class Population:
    """What the people of a world do next."""

    def __init__(self, index: Path, people: int, seed: int) -> None:
        with vs.open(index) as opened:
            self.world = World.make(opened, people=people, days=60, seed=seed)
            self.record = open_people(index)
        self.chance = random.Random(seed)
        self.persons = self.world.persons
        self.pins = list(self.world.pins)
        self.known = set(self.pins)
        self.files = pictures(200)
        self.added: list[str] = []
        self.experiments = open_experiments(self.record)
        for name, (surfaces, sets) in EXPERIMENTS.items():
            arms = (Arm("plain"), Arm("varied", sets=sets))
            self.experiments.create(name, people=people, days=7, surfaces=surfaces, arms=arms)
            self.experiments.start(name, 1.0)

    async def turn(self, line: Line, kind: str) -> None:
        """One turn of somebody."""
        if kind == "visit":
            await self.visit(line)
        elif kind == "pin":
            person, pin = self.chance.choice(self.persons), quote(self.chance.choice(self.pins))
            await line.ask("GET", f"/search?k=10&like={pin}&person={person}")
        elif kind == "picture":
            await line.ask("POST", "/search?k=10", self.chance.choice(self.files), "image/jpeg")
        elif kind == "add":
            name, data = f"new-{self.chance.randrange(10**9)}", io.BytesIO()
            picture(self.chance.randrange(2**40)).save(data, "PNG")
            status, _ = await line.ask("PUT", f"/pins/{name}", data.getvalue(), "image/png")
            if status in (200, 201):
                self.added.append(name)
        elif self.added:
            await line.ask("DELETE", f"/pins/{self.added.pop(0)}")

    async def visit(self, line: Line) -> None:
        """A page of the feed, and what comes of it."""
        person = self.chance.choice(self.persons)
        status, body = await line.ask("GET", f"/feed?person={person}&k={FEED}")
        if status != 200:
            return
        answer = json.loads(body)
        shown = [hit["id"] for hit in answer["hits"] if hit["id"] in self.known]
        if not shown:
            return
        arm = next((hit["variant"] for hit in answer["hits"] if hit.get("variant")), None)
        done = self.world.respond(person, shown, answer=answer.get("answer"), variant=arm)
        await self.send(line, person, done)

    async def send(self, line: Line, person: str, done: Sequence[Event]) -> None:
        """Events in one batch, saves one by one."""
        marked = f"{self.chance.randrange(2**60):x}"
        batch = []
        for n, event in enumerate(done):
            if event.kind != "save":
                held = {
                    name: value for name, value in asdict(event).items() if name in SENT and value is not None
                }
                batch.append({**held, "event_id": f"{marked}-{n}", "person": person})
        if batch:
            await line.ask("POST", "/events", json.dumps({"events": batch}).encode())
        for event in [event for event in done if event.kind == "save"][:SAVES_IN_A_VISIT]:
            body = {"pin": event.pin, "board": f"board {self.chance.randrange(3)}", "person": person}
            await line.ask("POST", "/saves", json.dumps(body).encode())


async def fastest(lines: Sequence[Line], people: Population, seconds: float) -> float:
    """Turns a second of clients that never pause."""
    count, end = 0, time.monotonic() + seconds

    async def busy(line: Line) -> None:
        nonlocal count
        while time.monotonic() < end:
            await people.turn(line, chosen(people.chance))
            count += 1

    began = time.monotonic()
    await asyncio.gather(*(busy(line) for line in lines))
    return count / (time.monotonic() - began)


def chosen(chance: random.Random) -> str:
    """The kind of a turn."""
    return chance.choices(list(TURNS), list(TURNS.values()))[0]


async def paced(lines: Sequence[Line], people: Population, rate: float, seconds: float) -> None:
    """Turns that are due at a rate, taken by whichever line is free."""
    due: asyncio.Queue[float | None] = asyncio.Queue()

    async def serve(line: Line) -> None:
        while (at := await due.get()) is not None:
            line.told.late.append(time.monotonic() - at)
            await people.turn(line, chosen(people.chance))

    workers = [asyncio.create_task(serve(line)) for line in lines]
    began = time.monotonic()
    next_at = began
    while (now := time.monotonic()) < began + seconds:
        while next_at <= now:
            due.put_nowait(next_at)
            next_at += people.chance.expovariate(rate)
        await asyncio.sleep(min(0.02, max(0.0, next_at - now)))
    for _ in workers:
        due.put_nowait(None)
    await asyncio.gather(*workers)


async def watched(server: Server, line: Line, told: Told, rows: list[dict[str, Any]], began: float) -> None:
    """A row of figures every few seconds."""
    while True:
        await asyncio.sleep(EVERY_S)
        _, body = await line.ask("GET", "/info")
        recall = json.loads(body).get("recall") if body else None
        rows.append(
            {
                "name": f"minute {(time.monotonic() - began) / 60:.1f}",
                "seconds": round(time.monotonic() - began, 1),
                "rss_mb": server.rss(),
                "live_recall": recall,
                **told.taken(),
            }
        )
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)


async def learner(index: Path, every: float) -> list[int]:
    """`visualsearch learn`, again and again; its exit codes until it is stopped."""
    codes: list[int] = []
    try:
        while True:
            await asyncio.sleep(every)
            words = [sys.executable, "-m", "visualsearch", "learn", str(index)]
            child = await asyncio.create_subprocess_exec(
                *words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            try:
                codes.append(await child.wait())
            except asyncio.CancelledError:
                child.kill()
                await child.wait()
                raise
    except asyncio.CancelledError:
        return codes


def crept(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Memory's slope over the second half, in MB an hour, with its 95 % interval."""
    from scipy import stats

    half = rows[len(rows) // 2 :]
    if len(half) < 3:
        return {}
    fitted = stats.linregress([row["seconds"] / 3600 for row in half], [row["rss_mb"] for row in half])
    wide = float(stats.t.ppf(0.975, len(half) - 2)) * float(fitted.stderr)
    return {"mb_per_hour": round(float(fitted.slope), 1), "mb_per_hour_error": round(wide, 1)}


async def soaked(server: Server, index: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Measure the capacity, then load the server below it."""
    told = Told()
    people = Population(index, given.people, given.seed)
    lines = [Line(server, told) for _ in range(given.clients)]
    await fastest(lines[:8], people, given.measure / 2)  # caches, connections
    capacity = await fastest(lines[:8], people, given.measure)
    told.taken()
    told.statuses.clear()
    told.all_seconds.clear()
    rows: list[dict[str, Any]] = []
    began = time.monotonic()
    beside = [
        asyncio.create_task(watched(server, Line(server, told), told, rows, began)),
        asyncio.create_task(learner(index, given.learn)),
    ]
    await paced(lines, people, capacity * given.share, given.minutes * 60)
    for task in beside:
        task.cancel()
    learnt = (await asyncio.gather(*beside, return_exceptions=True))[1]
    told.taken()
    seconds = np.array(told.all_seconds) * 1000
    met = {name: people.experiments.report(name).units for name in EXPERIMENTS}
    people.record.close()
    recalls = [row["live_recall"] for row in rows if row["live_recall"] is not None]
    total = {
        "name": "all",
        "minutes": given.minutes,
        "capacity_turns_per_second": round(capacity, 1),
        "turns_per_second": round(capacity * given.share, 1),
        "answered": len(seconds),
        "p50_ms": round(float(np.percentile(seconds, 50)), 1),
        "p99_ms": round(float(np.percentile(seconds, 99)), 1),
        "statuses": {str(status): count for status, count in sorted(told.statuses.items())},
        "bad": dict(told.bad),
        "least_live_recall": min(recalls, default=None),
        "recall_known": f"{len(recalls)} of {len(rows)}",
        "learnt": learnt if isinstance(learnt, list) else [],
        "experiments": {name: dict(units) for name, units in met.items()},
        "memory": crept(rows),
    }
    return {"rows": [total, *rows], "goals": []}


def main() -> int:
    """Run it; 1 where the server failed."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--minutes", type=float, default=60.0)
    options.add_argument("--rows", type=int, default=20_000)
    options.add_argument("--people", type=int, default=300)
    options.add_argument("--share", type=float, default=0.75)
    options.add_argument("--clients", type=int, default=32)
    options.add_argument("--measure", type=float, default=20.0)
    options.add_argument("--learn", type=float, default=300.0)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--smoke", action="store_true")
    options.add_argument("--to", type=Path)
    given = options.parse_args()
    if given.smoke:
        given.minutes, given.rows, given.people, given.measure, given.learn = 0.12, 1_000, 40, 0.5, 3.0
    with tempfile.TemporaryDirectory() as scratch:
        index = synthetic.make_index(Path(scratch) / "made.index", given.rows)
        server = Server(index)
        try:
            result = asyncio.run(soaked(server, index, given))
        finally:
            code = server.stop()
    report("soak", {"exit_code": code, **result}, given.to)
    return 1 if result["rows"][0]["bad"] or code not in ENDED else 0


if __name__ == "__main__":
    sys.exit(main())
