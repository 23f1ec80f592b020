"""Faults, one after the other, on a living index: kills, full disks, torn files, jumping clocks, a server that dies.

python benchmarks/campaign.py [--kills 1000] [--seconds 3600] [--only kill,http,...] [--seed 0] [--work DIR] [--smoke] [--to DIR]

After each fault the index must verify; nothing acknowledged is lost, nothing is there twice, nobody forgotten is back. With
`--work DIR` the campaign goes on where it was stopped. Exit code 1: a flaw was found; it is printed with its seed.

Faults: kill (-9 at a random acknowledgement of indexing, removing, compacting, saving, recording, billing, rolling, forgetting,
learning and backing up), middle (-9 at a random instant inside learning, billing, rolling, forgetting, backing up or
compacting), http (the same of a server that is written to), postgres (the database of people stops and starts while two processes
use it; it begins anew each time), disk (a small tmpfs fills up or turns read-only; needs root on Linux), torn (a file of a
copy is cut or overwritten: it must be noticed or harmless), clock (it jumps by days).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from campaign_http import posted, serve
from campaign_people import Database, middle, postgres
from campaign_work import DAY, Ledger, forked, judged, torn_opened, work
from common import report, skipped

FAULTS = ("kill", "middle", "http", "postgres", "disk", "torn", "clock")
DISK_MB = 24


class Campaign:
    """One folder with an index, its ledger, and the faults that it went through."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        self.ledger = Ledger()
        self.path = folder / "said.txt"
        self.rounds = 0
        self.remount: Callable[[str], None] | None = None
        self.database: Any = None
        self.spans: dict[str, float] = {}
        folder.mkdir(parents=True, exist_ok=True)
        if self.path.exists():  # a campaign goes on
            for line in self.path.read_text(encoding="utf-8").splitlines():
                self.ledger.hear(line)
                self.rounds += line.startswith("= ")

    def heard(self, lines: list[str]) -> None:
        """Remember what a worker said, on disk too, and that a round is over."""
        self.rounds += 1
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in [*lines, f"= {self.rounds}"])
        for line in lines:
            self.ledger.hear(line)

    def chance(self) -> random.Random:
        """Numbers that depend on the seed and the round alone."""
        return random.Random(f"{self.seed} {self.rounds}")


def listened(child: int, lines: Any, after: int) -> list[str]:
    """What a worker says, killed at its n-th word."""
    said = []
    for _ in range(after):
        line = lines.readline()
        if not line:
            break
        said.append(line.strip())
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    said += [line.strip() for line in lines if line.endswith("\n")]
    lines.close()
    os.waitpid(child, 0)
    return said


# -- the faults -----------------------------------------------------------------------------------------------------
def kill(campaign: Campaign) -> list[str]:
    """-9 at a random word of a worker."""
    chance = campaign.chance()
    child, lines = forked(partial(work, campaign.folder, campaign.rounds))
    campaign.heard(listened(child, lines, chance.randint(1, 120 if campaign.rounds % 8 == 7 else 25)))
    return judged(campaign.folder, campaign.ledger, deep=campaign.rounds % 10 == 0)


def clock(campaign: Campaign) -> list[str]:
    """The clock of the record jumps by up to two days, back and forth, while a worker works."""
    chance = campaign.chance()

    def jumping() -> int:
        return int(time.time() * 1000) + chance.randint(-2 * DAY, 2 * DAY)

    child, lines = forked(partial(work, campaign.folder, campaign.rounds, rounds=12, now=jumping))
    campaign.heard(listened(child, lines, 1_000_000))
    return judged(campaign.folder, campaign.ledger, deep=campaign.rounds % 10 == 0)


def torn(campaign: Campaign) -> list[str]:
    """A file of a copy of the index is cut, or a block of it is overwritten: that is noticed, or does not matter."""
    chance = campaign.chance()
    child, lines = forked(partial(work, campaign.folder, campaign.rounds, rounds=6))
    campaign.heard(listened(child, lines, chance.randint(5, 60)))
    copy = campaign.folder / "torn.index"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(campaign.folder / "pins.index", copy)
    files = sorted(path for path in copy.rglob("*") if path.is_file() and path.stat().st_size)
    hurt = chance.choice(files)
    content = bytearray(hurt.read_bytes())
    at = chance.randrange(len(content))
    if chance.random() < 0.5:
        del content[at:]
    else:
        content[at : at + 512] = chance.randbytes(len(content[at : at + 512]))
    hurt.write_bytes(content)
    child, lines = forked(partial(torn_opened, copy))
    said = listened(child, lines, 1_000_000)
    shutil.rmtree(copy)
    where = f"{hurt.relative_to(copy)} at {at}"
    return [f"{where}: {line[2:]}" for line in said if line.startswith("! ")]


class Disk:
    """A small file system in memory, which fills up."""

    def __init__(self, folder: Path) -> None:
        self.place = folder / "disk"
        self.place.mkdir(parents=True, exist_ok=True)
        self._call("mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(self.place))

    def turn(self, how: str) -> None:
        """Make it read-only (`ro`) or writable (`rw`)."""
        self._call("mount", "-o", f"remount,{how}", str(self.place))

    def close(self) -> None:
        """Take it away."""
        subprocess.run(["umount", "-l", str(self.place)], check=False, capture_output=True)

    def _call(self, *words: str) -> None:
        subprocess.run(words, check=True, capture_output=True)


def disk(campaign: Campaign) -> list[str]:
    """The disk is nearly full, or read-only from a random instant on; then there is room again."""
    chance = campaign.chance()
    place = campaign.folder / "disk"
    hog = place / "hog"
    child, lines = forked(partial(work, place, campaign.rounds, rounds=25))
    said: list[str] = []
    full = chance.random() < 0.7
    for _ in range(chance.randint(1, 25)):
        said.append(lines.readline().strip())
    if full:
        left = shutil.disk_usage(place).free
        with suppress(OSError), hog.open("wb") as file:
            file.write(bytes(max(0, left - chance.choice((0, 4096, 40_000, 200_000)))))
    elif campaign.remount is not None:
        with suppress(subprocess.CalledProcessError):  # a file is open for writing at this instant
            campaign.remount("ro")
    said += listened(child, lines, 1_000_000)
    if campaign.remount is not None:
        campaign.remount("rw")
    hog.unlink(missing_ok=True)
    campaign.heard(said)
    found = judged(place, campaign.ledger, deep=campaign.rounds % 10 == 0)
    if shutil.disk_usage(place).free < DISK_MB * 2**20 / 3:  # full for good: a new one
        shutil.rmtree(place / "pins.index")
        shutil.rmtree(place / "backups", ignore_errors=True)
        campaign.ledger = Ledger()
        campaign.path.unlink()
    return found


def http(campaign: Campaign) -> list[str]:
    """A server is killed while clients add pins, remove them, save and record; what it answered with 2xx is kept, once."""
    chance = campaign.chance()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    child, lines = forked(partial(serve, campaign.folder, port))
    address = lines.readline().strip()
    if not address.startswith("http"):
        os.waitpid(child, 0)
        return [f"the server did not start: {address}"]
    said: list[str] = []
    words, end = chance.randint(1, 200), time.monotonic() + 20
    posted(
        address,
        f"h{campaign.rounds}",
        said.append,
        lambda: len(said) < words and time.monotonic() < end,
        lambda: os.kill(child, signal.SIGKILL),
    )
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    lines.close()
    campaign.heard(said)
    return judged(campaign.folder, campaign.ledger, deep=campaign.rounds % 10 == 0)


RUNS: dict[str, Callable[[Campaign], list[str]]] = {
    "kill": kill,
    "middle": middle,
    "http": http,
    "postgres": postgres,
    "disk": disk,
    "torn": torn,
    "clock": clock,
}
SHARES = {
    "kill": 0.35,
    "middle": 0.2,
    "http": 0.15,
    "postgres": 0.1,
    "disk": 0.08,
    "torn": 0.06,
    "clock": 0.06,
}


NEEDS = {
    "disk": "a small tmpfs cannot be mounted: run as root on Linux",
    "postgres": "no PostgreSQL server: apt-get install postgresql",
}


def _needs(fault: str, place: Path) -> tuple[Disk | None, Database | None]:
    """What a fault needs besides a folder."""
    if fault == "postgres":
        shutil.rmtree(place, ignore_errors=True)  # its database goes, too
        return None, Database()
    return (Disk(place) if fault == "disk" else None), None


def run(fault: str, place: Path, times: int, seconds: float, seed: int) -> dict[str, Any]:
    """Let a fault happen `times` times, or for `seconds`; a row of figures and flaws."""
    try:
        mounted, database = _needs(fault, place)
    except (OSError, subprocess.CalledProcessError, RuntimeError):
        return skipped(fault, NEEDS[fault], flaws=[])
    campaign = Campaign(place, seed)
    campaign.remount = mounted.turn if mounted else None
    campaign.database = database
    flaws: list[str] = []
    began, before = time.monotonic(), campaign.rounds
    try:
        while campaign.rounds - before < times and time.monotonic() - began < seconds:
            number = campaign.rounds
            found = RUNS[fault](campaign)
            flaws += [f"{fault}, seed {seed}, round {number}: {flaw}" for flaw in found]
            for flaw in found:
                print(f"{fault}, round {number}: {flaw}", file=sys.stderr, flush=True)
            if len(flaws) > 20:
                break
    finally:
        for each in (mounted, database):
            if each is not None:
                each.close()
    ledger = campaign.ledger
    return {
        "name": fault,
        "faults": campaign.rounds - before,
        "acknowledged": {kind: len(names) for kind, names in sorted(ledger.done.items())},
        "inside": dict(sorted(ledger.inside.items())),
        "refused": dict(Counter(ledger.errors).most_common(8)),
        "seconds": round(time.monotonic() - began, 1),
        "flaws": flaws,
    }


def main() -> int:
    """Run the faults; 1 where a flaw was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000, help="faults in all")
    parser.add_argument("--seconds", type=float, default=3600.0, help="stop after that time")
    parser.add_argument("--only", default=",".join(FAULTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="a folder that is kept, to go on with")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--to", type=Path)
    given = parser.parse_args()
    if given.smoke:
        given.kills, given.seconds = 16, 90.0
    faults = [name for name in given.only.split(",") if name]
    for name in faults:
        if name not in RUNS:
            parser.error(f"no such fault: {name}; there are {', '.join(RUNS)}")
    total = sum(SHARES[name] for name in faults)
    place = given.work or Path(tempfile.mkdtemp(prefix="campaign-"))
    rows = []
    try:
        for name in faults:
            share = SHARES[name] / total
            times = max(1, round(given.kills * share))
            rows.append(run(name, place / name, times, given.seconds * share, given.seed))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    finally:
        if given.work is None:
            shutil.rmtree(place, ignore_errors=True)
    report("campaign", {"rows": rows, "goals": []}, given.to)
    return 1 if any(row["flaws"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
