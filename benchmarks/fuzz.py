"""Damaged and odd inputs for everything that reads: each is read, or refused by an error of ours, in bounded time and memory.

python benchmarks/fuzz.py [--inputs 1000000] [--seconds 3600] [--only picture,...] [--seed 0] [--work DIR] [--smoke] [--to DIR]

A finding is a crash, another error than the package's own, an answer of 500, more than 2 s for one input, or more memory than the
bound. Its input is made as small as it goes and kept in DIR. With `--work DIR` the numbers of inputs go on from the run before.
Exit code 1: there is a finding.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import mmap
import os
import random
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from common import report
from fuzz_made import Made, Target
from fuzz_targets import TARGETS

LIMIT_S = 2.0
"""So much of the processor's time may one input take: on a busy machine the clock on the wall says little."""
GRACE_S = 90.0
"""A process that says nothing for so long hangs where no signal reaches it; a busy machine is given time."""
MEMORY_MB = 1500
EVERY = 100
LARGEST = 1 << 20
ROOM = 4 + LARGEST
ODD = (
    b"", b"\x00", b"\xff" * 4, b"\x7f\xff\xff\xff", b"-1", b"1e999", b"NaN", b"null", b"'", b'"', b"\\", b"`", b"((((", b"))))",
    b"\r\n", b"\xed\xa0\x80", b"\xe2\x80\xae", b"\xf0\x9f\x91\x97", b"../../", b"%s%n", b"{}", b"[]", b"9" * 30, b"<!DOCTYPE x>",
    b"&a;",
)  # fmt: skip
"""What often finds a fault: ends of numbers, quotes, halves of characters, nesting."""


class TooSlowError(Exception):
    """An input took longer than it may."""


def written(chance: random.Random, made: Made) -> bytes:
    """An input: by the target's own grammar, or one of its seeds, changed in a few places."""
    if made.write is not None and chance.random() < 0.9:
        return made.write(chance)[:LARGEST]
    if chance.random() < 1 / 200:
        return repeated(chance, made)
    return mutated(chance, made.seeds, (*ODD, *made.pieces))


def repeated(chance: random.Random, made: Made) -> bytes:
    """A small piece, a great many times: what is slow beyond its length shows here."""
    seed = chance.choice(made.seeds)
    at = chance.randrange(len(seed) + 1)
    piece = chance.choice((*made.pieces, *ODD, seed[at : at + chance.choice((1, 2, 4, 16))]))
    piece = chance.choice((piece, piece + b" ", piece + b"a")) or b"("
    most = chance.choice((1000, 30_000, LARGEST))
    return (seed[:at] + piece * (most // len(piece)) + seed[at:])[:LARGEST]


def mutated(chance: random.Random, seeds: Sequence[bytes], pieces: Sequence[bytes]) -> bytes:
    """One of the seeds, changed in a few places."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8, 30))):
        at = chance.randrange(len(data) + 1)
        size = min(len(data) - at, chance.choice((1, 1, 2, 4, 16, 200)))
        change = chance.randrange(7)
        if change == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif change == 1:
            del data[at : at + size]
        elif change == 2:
            data[at:at] = chance.choice(pieces)
        elif change == 3:
            data[at : at + size] = chance.choice(pieces)
        elif change == 4:
            data[at:at] = data[at : at + size] * chance.choice((1, 2, 50))
        elif change == 5:
            other = chance.choice(seeds)
            start = chance.randrange(len(other) + 1)
            data[at : at + size] = other[start : start + chance.choice((4, 64, 1000))]
        else:
            del data[at:]
    return bytes(data[:LARGEST])


def fault_of(target: Callable[[bytes], None], data: bytes) -> str | None:
    """What is wrong with how an input is taken, with its place; None where nothing is."""
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    try:
        target(data)
    except TooSlowError:
        return f"more than {LIMIT_S:.0f} s"
    except MemoryError:
        return "out of memory"
    except Exception as error:  # any other than the target lets pass is a finding
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {str(error)[:200]}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return None


def smallest(target: Callable[[bytes], None], data: bytes, fault: str) -> bytes:
    """A smaller input with the same fault, by leaving out ever smaller pieces."""
    same = fault.partition(":")[0]
    size, end = max(1, len(data) // 2), time.monotonic() + 20
    while size and time.monotonic() < end:
        at = 0
        while at < len(data) and time.monotonic() < end:
            shorter = data[:at] + data[at + size :]
            if (fault_of(target, shorter) or "").partition(":")[0] == same:
                data = shorter
            else:
                at += size
        size //= 2
    return data


def _slow(*_: Any) -> None:
    raise TooSlowError


def worker(made: Target, name: str, seed: int, start: int, shown: mmap.mmap, speaks: int) -> None:
    """Try inputs until the process is stopped: says how many, and each finding."""

    def say(document: dict[str, Any]) -> None:
        os.write(speaks, (json.dumps(document) + "\n").encode())

    signal.signal(signal.SIGPROF, _slow)
    with tempfile.TemporaryDirectory() as folder:
        ready = made(Path(folder))
        target = ready.take
        for each in ready.seeds:
            fault = fault_of(target, each)
            if fault:
                say({"fault": fault, "input": each.hex(), "seed_input": True})
        number = start
        while True:
            for _ in range(EVERY):
                data = written(random.Random(f"{seed} {name} {number}"), ready)
                shown[: 4 + len(data)] = len(data).to_bytes(4, "big") + data  # it outlives a crash
                fault = fault_of(target, data)
                number += 1
                if fault:
                    say({"fault": fault, "input": smallest(target, data, fault).hex()})
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            say({"done": EVERY, "peak_mb": peak})


class Run:
    """One target's processes: how many inputs were tried, and what was found."""

    def __init__(self, name: str, seed: int, place: Path) -> None:
        self.name, self.seed, self.place = name, seed, place
        self.count_file = place / f"{name}.count"
        self.start = int(self.count_file.read_text()) if self.count_file.exists() else 0
        self.done, self.peak_mb = 0, 0
        self.findings: dict[str, str] = {}
        self.shown = mmap.mmap(-1, ROOM)

    def go(self, inputs: int, seconds: float) -> dict[str, Any]:
        """Try `inputs` inputs, or stop after `seconds`; a row of figures."""
        began = time.monotonic()
        while self.done < inputs and time.monotonic() - began < seconds and len(self.findings) < 20:
            self._process(inputs, began + seconds)
            self.count_file.write_text(str(self.start + self.done))
        spent = time.monotonic() - began
        return {
            "name": self.name,
            "inputs": self.done,
            "inputs_before": self.start,
            "per_second": round(self.done / max(spent, 1e-9)),
            "peak_mb": self.peak_mb,
            "findings": sorted(f"{fault} ({file})" for fault, file in self.findings.items()),
        }

    def _process(self, inputs: int, end: float) -> None:
        heard, speaks = os.pipe()
        child = os.fork()
        if not child:
            os.close(heard)
            try:
                worker(TARGETS[self.name], self.name, self.seed, self.start + self.done, self.shown, speaks)
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        os.close(speaks)
        fault = self._listen(heard, inputs, end)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(heard)
        if fault is None and os.WIFSIGNALED(status) and os.WTERMSIG(status) != signal.SIGKILL:
            fault = f"crash by signal {os.WTERMSIG(status)}"
        elif fault is None and os.WIFEXITED(status):
            fault = f"the process ended by itself with {os.WEXITSTATUS(status)}"
        if fault is not None:
            size = int.from_bytes(self.shown[:4], "big")
            self._keep(fault, self.shown[4 : 4 + size])
            self.done += EVERY  # past the input that ended it

    def _listen(self, heard: int, inputs: int, end: float) -> str | None:
        """Take in what the process says until it is enough; a fault that ended it, or None."""
        rest = b""
        while self.done < inputs and time.monotonic() < end:
            if not select.select([heard], [], [], GRACE_S)[0]:
                return f"no sign of life for {GRACE_S:.0f} s"
            data = os.read(heard, 1 << 16)
            if not data:
                return None
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._hear(json.loads(line))
            if self.peak_mb > MEMORY_MB:
                return f"more than {MEMORY_MB} MB of memory"
        return None

    def _hear(self, said: dict[str, Any]) -> None:
        self.done += said.get("done", 0)
        self.peak_mb = max(self.peak_mb, said.get("peak_mb", 0))
        if "fault" in said:
            self._keep(said["fault"], bytes.fromhex(said["input"]))

    def _keep(self, fault: str, data: bytes) -> None:
        key = fault.partition(": ")[0]
        if any(known.partition(": ")[0] == key for known in self.findings):
            return
        name = f"{self.name}-{hashlib.sha256(data).hexdigest()[:12]}"
        (self.place / name).write_bytes(data)
        self.findings[fault] = name
        print(f"{name}: {fault}: {data[:120]!r}", file=sys.stderr, flush=True)


def main() -> int:
    """Run the targets in turn; 1 where something was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=1_000_000, help="inputs in all")
    parser.add_argument("--seconds", type=float, default=3600.0, help="stop after that time")
    parser.add_argument("--only", default=",".join(TARGETS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="a folder that is kept: findings and counts")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--to", type=Path)
    given = parser.parse_args()
    if given.smoke:
        given.inputs, given.seconds = EVERY * len(TARGETS), 60.0
    names = [name for name in given.only.split(",") if name]
    for name in names:
        if name not in TARGETS:
            parser.error(f"no such target: {name}; there are {', '.join(TARGETS)}")
    with tempfile.TemporaryDirectory() as scratch:
        place = given.work or Path(scratch)
        place.mkdir(parents=True, exist_ok=True)
        rows = []
        for at, name in enumerate(names):
            left = given.inputs - sum(row["inputs"] for row in rows)
            rows.append(
                Run(name, given.seed, place).go(
                    max(EVERY, left // (len(names) - at)), given.seconds / len(names)
                )
            )
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    report("fuzz", {"rows": rows, "goals": []}, given.to)
    return 1 if any(row["findings"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
