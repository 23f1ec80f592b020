"""What people cost over HTTP: events in batches, single saves, and what searches beside them feel.

python benchmarks/people_http.py [--index DIR | --rows 20000] [--seconds 10] [--rounds 4] [--smoke] [--to benchmarks/results]

`visualsearch serve` runs as a process of its own, on SQLite; with the environment variable PEOPLE_DSN on an empty PostgreSQL
database too, in the same run. Clients share the machine. Events: four connections, each sends a batch of 100 as soon as the
last was acknowledged, which is when it is on disk. Saves: one connection, `--saves` a second, while another asks for pins like
a stored one without a pause; rounds with and without saves take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import synthetic
from common import report
from serve_load import Server, ask, pin_requests

import visualsearch as vs

BATCH = 100
SENDERS = 4
PERSONS = 2000


def _post(path: str, values: Any) -> bytes:
    body = json.dumps(values).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _batches(ids: list[str], name: str) -> Iterator[bytes]:
    """Batches of events; no two have an id in common."""
    chance = random.Random(name)
    for number in itertools.count():
        events = [
            {
                "event_id": f"{name}-{number}-{n}",
                "kind": "click",
                "person": f"r{chance.randrange(PERSONS)}",
                "pin": chance.choice(ids),
                "surface": "search",
                "answer": f"a{number}",
                "slot": n,
            }
            for n in range(BATCH)
        ]
        yield _post("/events", {"events": events})


def _figures(milliseconds: list[float]) -> dict[str, float]:
    return {f"p{p}_ms": round(float(np.percentile(milliseconds, p)), 2) for p in (50, 99)}


async def _send(server: Server, messages: list[bytes], expected: int) -> list[float]:
    """One connection that sends each message when the one before was answered; milliseconds of each."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    times = []
    for message in messages:
        started = time.perf_counter()
        status = await ask(reader, writer, message)
        times.append(1000 * (time.perf_counter() - started))
        if status != expected:
            raise SystemExit(f"answered {status} instead of {expected}")
    writer.close()
    return times


async def _events(server: Server, ids: list[str], count: int) -> dict[str, Any]:
    """A run of batches; they are made before it, so that the client costs the server little."""
    await _send(server, list(itertools.islice(_batches(ids, "warm"), 5)), 202)
    made = [list(itertools.islice(_batches(ids, f"s{n}"), count // SENDERS)) for n in range(SENDERS)]
    started, before = time.perf_counter(), _spent(server)
    times = await asyncio.gather(*(_send(server, messages, 202) for messages in made))
    seconds = time.perf_counter() - started
    sent = sum(map(len, made))
    cost = round((_spent(server) - before) / sent, 2)
    figures = _figures([t for each in times for t in each])
    return {"per_second": round(BATCH * sent / seconds), **figures, "server_cpu_ms": cost}


def _spent(server: Server) -> float:
    """Milliseconds of CPU that the server has used: what a request costs, whatever else the machine does."""
    words = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return 1000 * (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


async def _search(server: Server, ids: list[str], until: float) -> list[float]:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    request, times = pin_requests(ids), []
    while time.perf_counter() < until:
        started = time.perf_counter()
        if await ask(reader, writer, request(0)) != 200:
            raise SystemExit("a search was not answered")
        times.append(1000 * (time.perf_counter() - started))
    writer.close()
    return times


async def _save(server: Server, names: Iterator[bytes], until: float, rate: float) -> list[float]:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    times, turn = [], time.perf_counter()
    while turn < until:
        await asyncio.sleep(max(0.0, turn - time.perf_counter()))
        started = time.perf_counter()
        if await ask(reader, writer, next(names)) != 201:
            raise SystemExit("a save was not acknowledged")
        times.append(1000 * (time.perf_counter() - started))
        turn += 1 / rate
    writer.close()
    return times


async def _saves(server: Server, ids: list[str], given: argparse.Namespace) -> list[dict[str, Any]]:
    names = (
        _post("/saves", {"pin": pin, "board": f"Board {n % 20}", "person": f"s{n // 200}"})
        for n, pin in enumerate(itertools.cycle(ids))
    )
    alone: list[float] = []
    beside: list[float] = []
    saves: list[float] = []
    cost = [0.0, 0.0]
    await _save(server, names, time.perf_counter() + 0.5, given.saves)
    await _search(server, ids, time.perf_counter() + 1)
    for _ in range(given.rounds):
        start = _spent(server)
        alone += await _search(server, ids, time.perf_counter() + given.seconds)
        cost[0] += _spent(server) - start
        start = _spent(server)
        until = time.perf_counter() + given.seconds
        found, made = await asyncio.gather(
            _search(server, ids, until), _save(server, names, until, given.saves)
        )
        cost[1] += _spent(server) - start
        beside, saves = beside + found, saves + made
    growth = float(np.percentile(beside, 99) / np.percentile(alone, 99) - 1)
    own = (cost[1] - cost[0] / len(alone) * len(beside)) / len(saves)
    return [
        {"name": "a save", "count": len(saves), **_figures(saves), "server_cpu_ms": round(own, 2)},
        {"name": "a search alone", "count": len(alone), **_figures(alone)},
        {"name": "a search beside saves", "count": len(beside), **_figures(beside), "p99_growth": round(growth, 3)},
    ]  # fmt: skip


async def _measure(server: Server, ids: list[str], given: argparse.Namespace) -> list[dict[str, Any]]:
    rows = await _saves(server, ids, given)
    return [{"name": "events in batches of 100", **await _events(server, ids, given.batches)}, *rows]


def main() -> None:
    """Measure, print, and keep the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--index", type=Path)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--batches", type=int, default=1200)
    parser.add_argument("--saves", type=float, default=50, help="saves a second")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--to", type=Path)
    given = parser.parse_args()
    if given.smoke:
        given.rows, given.seconds, given.rounds, given.batches = 1000, 0.5, 1, 40
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "made.index"
        if given.index:
            shutil.copytree(given.index, made)
        else:
            synthetic.make_index(made, given.rows)
        with vs.open(made) as index, index.catalog.read() as reader:
            ids = [pin.id for pin in itertools.islice(reader.each_pin(), 20_000)]
        for engine, address in (("SQLite", None), ("PostgreSQL", os.environ.get("PEOPLE_DSN"))):
            if engine == "PostgreSQL" and address is None:
                continue
            words = ("--people", address) if address else ()
            server = Server(made, "--event-rate", "0", *words)
            try:
                rows += [{**r, "database": engine} for r in asyncio.run(_measure(server, ids, given))]
            finally:
                server.stop()
    report("people_http", {"rows": rows, "goals": []}, given.to)


if __name__ == "__main__":
    main()
