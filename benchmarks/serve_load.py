"""Throughput and latency of `visualsearch serve` under 1, 8 and 64 clients, and its memory before and after.

    python benchmarks/serve_load.py [--index DIR | --rows 100000] [--seconds 10] [--overload 60] [--smoke]
                                    [--to benchmarks/results]

Without --index it makes one of vectors around the sample pins' (see synthetic.py) in a temporary folder.
Clients and server share the machine, over the loopback. Each client asks again as soon as it is answered; after a 429 it
waits `--patience` seconds. Pictures are cut from the sample scenes, each sent once whole; when they run out, with a crop at
random, so that no answer is remembered from before.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import synthetic
from common import clean_environment, report
from PIL import Image

import visualsearch as vs
from visualsearch.samples import scenes

CLIENTS = (1, 8, 64)
PICTURE = (500, 375)
Request = Callable[[int], bytes]


@dataclass
class Tally:
    """What came back: status -> how often, and seconds of the answers with 200."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    lost: int = 0

    def summary(self, duration: float) -> dict[str, Any]:
        """Plain figures."""
        times = np.array(self.seconds) * 1000
        found = {"p50_ms": 50, "p90_ms": 90, "p99_ms": 99}
        return {
            "answered_per_second": round(len(times) / duration, 1),
            **{n: round(float(np.percentile(times, p)), 2) if len(times) else None for n, p in found.items()},
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "connections_lost": self.lost,
        }


class Server:
    """`visualsearch serve` as a process of its own, on a free port."""

    def __init__(self, index: Path, *words: str) -> None:
        command = [
            sys.executable,
            "-m",
            "visualsearch",
            "serve",
            str(index),
            "--port",
            "0",
            "--rate",
            "0",
            *words,
        ]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=clean_environment())
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        if " at http" not in line:
            raise RuntimeError(f"the server did not start: {line}{self.process.stderr.read()}")
        place = urlsplit(line.split(" at ")[1].split()[0])
        self.host, self.port = str(place.hostname), int(place.port or 80)

    def rss(self) -> float:
        """Resident memory in MB (10^6 bytes)."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return round(next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024 / 1e6, 1)

    def stop(self) -> int:
        """Tell it to stop, as an init system would; its exit code."""
        self.process.terminate()
        return self.process.wait(60)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    """Send a request over a kept connection and read the whole answer; its status."""
    writer.write(request)
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").lower().split("\r\n")
    length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length:"))
    await reader.readexactly(length)
    if "connection: close" in lines:
        writer.close()
    return int(lines[0].split()[1])


async def client(
    server: Server, request: Request, numbers: Iterator[int], end: float, patience: float, tally: Tally
) -> None:
    """One client until the end of the run."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    while time.perf_counter() < end:
        message = request(next(numbers))
        started = time.perf_counter()
        try:
            if writer.is_closing():
                reader, writer = await asyncio.open_connection(server.host, server.port)
            status = await ask(reader, writer, message)
        except (OSError, asyncio.IncompleteReadError):
            tally.lost += 1
            reader, writer = await asyncio.open_connection(server.host, server.port)
            continue
        tally.statuses[status] += 1
        if status == 200:
            tally.seconds.append(time.perf_counter() - started)
        elif status == 429:
            await asyncio.sleep(patience)
    writer.close()


async def load(
    server: Server, request: Request, clients: int, seconds: float, patience: float
) -> dict[str, Any]:
    """A run of so many clients, and the server's memory around it."""
    tally, before, peak = Tally(), server.rss(), [server.rss()]
    started = time.perf_counter()
    numbers = itertools.count()
    tasks = [
        asyncio.create_task(client(server, request, numbers, started + seconds, patience, tally))
        for _ in range(clients)
    ]

    async def watch() -> None:
        while True:
            await asyncio.sleep(1)
            peak.append(server.rss())

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*tasks)
    duration = time.perf_counter() - started
    watcher.cancel()
    middle = peak[len(peak) // 2]
    memory = {"before": before, "half_way": middle, "peak": max(peak), "after": server.rss()}
    return {"clients": clients, "seconds": round(duration, 1), **tally.summary(duration), "rss_mb": memory}


def pictures(count: int) -> list[bytes]:
    """JPEG files of PICTURE pixels, cut from the sample scenes, no two alike."""
    chance = random.Random(0)
    loaded = [Image.open(scene.image).convert("RGB") for scene in scenes()]
    made = []
    for _ in range(count):
        scene = chance.choice(loaded)
        width = chance.uniform(0.5, 1) * min(scene.width, scene.height * 4 / 3)
        left, top = chance.uniform(0, scene.width - width), chance.uniform(0, scene.height - width * 0.75)
        out = BytesIO()
        scene.resize(PICTURE, box=(left, top, left + width, top + width * 0.75)).save(out, "JPEG", quality=88)
        made.append(out.getvalue())
    return made


def pin_requests(ids: list[str]) -> Request:
    """Queries for stored pins."""
    chance = random.Random(1)
    return lambda _: (
        f"GET /search?k=10&like={quote(chance.choice(ids))} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    )


def picture_requests(files: list[bytes]) -> Request:
    """Queries by picture: each file once as it is, then with crops at random."""
    chance = random.Random(2)
    taken = itertools.count()

    def made(_: int) -> bytes:
        number = next(taken)
        crop = ""
        if number >= len(files):
            x, y = chance.uniform(0, 0.3), chance.uniform(0, 0.3)
            crop = (
                f"&crop={x:.5f},{y:.5f},{x + chance.uniform(0.4, 0.7):.5f},{y + chance.uniform(0.4, 0.7):.5f}"
            )
        body = files[number % len(files)]
        head = f"POST /search?k=10{crop} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    return made


async def measure(
    server: Server, ids: list[str], files: list[bytes], given: argparse.Namespace
) -> dict[str, Any]:
    """All runs, one after the other."""
    found: dict[str, Any] = {"pin": [], "picture": []}
    by_pin, by_picture = pin_requests(ids), picture_requests(files)
    for request in (by_pin, by_picture):  # connections, caches
        await load(server, request, 1, min(1, given.seconds), given.patience)
    for name, request in (("pin", by_pin), ("picture", by_picture)):
        for clients in CLIENTS:
            over = name == "picture" and clients == CLIENTS[-1]
            found[name].append(
                await load(
                    server, request, clients, given.overload if over else given.seconds, given.patience
                )
            )
            print(name, found[name][-1], file=sys.stderr, flush=True)
    return found


def flat(found: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each run, named by what was asked and by how many clients."""
    return [
        {"name": f"{name}, {run['clients']} clients", "query": name, **run}
        for name in found
        for run in found[name]
    ]


def main() -> None:
    """Run the load test."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--index", type=Path)
    options.add_argument("--rows", type=int, default=100_000)
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--overload", type=float, default=60)
    options.add_argument("--patience", type=float, default=0.05)
    options.add_argument("--pictures", type=int, default=1500)
    options.add_argument("--smoke", action="store_true", help="a thousand rows, a second a run")
    options.add_argument("--to", type=Path)
    given = options.parse_args()
    if given.smoke:
        given.rows, given.seconds, given.overload, given.pictures = 1000, 0.5, 1, 200
    with tempfile.TemporaryDirectory() as scratch:
        place = given.index or synthetic.make_index(Path(scratch) / "made.index", given.rows)
        with vs.open(place) as index:
            about = {name: index.info()[name] for name in ("pins", "encoder", "dim", "preset", "recall")}
            with index.catalog.read() as reader:
                ids = [pin.id for pin in itertools.islice(reader.each_pin(), 20_000)]
        server = Server(place)
        try:
            found = asyncio.run(measure(server, ids, pictures(given.pictures), given))
        finally:
            code = server.stop()
        report(
            "serve_load",
            {"index": about, "rows": flat(found), "exit_code": code, "patience_s": given.patience},
            given.to,
        )


if __name__ == "__main__":
    main()
