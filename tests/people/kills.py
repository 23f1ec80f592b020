"""Kill a process that records, saves, imports, rolls and forgets, again and again; then look for what is lost or there twice.

python -m tests.people.kills FOLDER [--kills 200] [--people postgresql://...]

The instant of each kill is that of the n-th acknowledgement, n drawn at random with a seed. Exit code 1: a flaw was found.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from visualsearch.errors import UnknownNameError
from visualsearch.people import Event, People, open_people, tables
from visualsearch.people import people as _loaded  # before the forks  # noqa: F401
from visualsearch.people.parts import read_part
from visualsearch.people.schema import events

NOW = 1_767_009_600_000
DAY = 86_400_000
FILES, ROWS = 300, 600
tables.BATCH = 300  # several transactions a file


def opened(folder: Path, address: str | None) -> People:
    return open_people(folder, address, now=lambda: NOW)


def write_files(folder: Path) -> None:
    """One row group is one transaction of an import: days that are closed, and the open one."""
    folder.mkdir(exist_ok=True)
    for number in range(FILES):
        rows = [
            {"person": f"q{n % 7}", "kind": "click", "pin": f"pin-{n % 50}", "at": NOW - (n % 4) * DAY - n,
             "event_id": f"i{number}-{n}"}
            for n in range(ROWS)
        ]  # fmt: skip
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{number:04d}.parquet")


def work(folder: Path, address: str | None, attempt: int, heard: int, done: set[str]) -> None:
    """What the process does until it is killed; each acknowledgement is a line."""
    people = opened(folder, address)

    def say(text: str) -> None:
        os.write(heard, (text + "\n").encode())

    def record() -> None:
        for n in itertools.count():
            name = f"e{attempt}-{n}"
            at = NOW - (n % 3) * DAY
            batch = [
                Event("click", f"p{n % 5}", f"pin-{m}", at=at - m, event_id=f"{name}-{m}") for m in range(4)
            ]
            people.record(batch)
            say(name)

    def save() -> None:
        for n in itertools.count():
            people.save(f"p{n % 5}", f"pin-{attempt}-{n}", board="Kept")
            say(f"s{n % 5} pin-{attempt}-{n}")

    def bring() -> None:
        for path in sorted((folder / "files").glob("*.parquet")):
            if path.stem not in done:
                people.import_file(path)
                say(f"i{path.stem}")

    def tidy() -> None:
        for n in itertools.count():
            who = f"forgotten-{attempt}-{n}"
            people.record([Event("click", who, "pin-1", at=NOW - 2 * DAY, event_id=f"{who}-x")])
            people.roll()
            people.forget(who)
            say(f"f{who}")

    jobs: list[Callable[[], None]] = [record, save, bring, tidy]
    threads = [threading.Thread(target=_loud, args=(job, heard)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _loud(job: Callable[[], None], heard: int) -> None:
    try:
        job()
    except BaseException as error:
        os.write(heard, f"!{job.__name__}: {error!r}\n".encode())
        raise


def campaign(folder: Path, address: str | None, kills: int, seed: int, seconds: float) -> list[str]:
    """All that was acknowledged."""
    write_files(folder / "files")
    chance = random.Random(seed)
    said: list[str] = []
    end = time.monotonic() + seconds
    for attempt in range(kills):
        if time.monotonic() > end:
            print(f"stopped after {attempt} kills: the time is over")
            break
        done = {line[1:] for line in said if line.startswith("i")}
        heard, speaks = os.pipe()
        child = os.fork()
        if not child:
            os.close(heard)
            work(folder, address, attempt, speaks, done)
            os._exit(0)
        os.close(speaks)
        with os.fdopen(heard) as lines:
            for _ in range(chance.randint(1, 300 if attempt % 8 == 7 else 30)):
                said.append(lines.readline().strip())
            os.kill(child, signal.SIGKILL)
            said += [line.strip() for line in lines if line.endswith("\n")]
        os.waitpid(child, 0)
    return [line for line in said if line]


def flaws(folder: Path, address: str | None, said: list[str]) -> list[str]:
    """What is wrong after all kills."""
    found = [f"a job failed: {line}" for line in said if line.startswith("!")]
    with opened(folder, address) as people:
        people.tidy()
        people.roll()
        found += [f"verify: {flaw}" for flaw in people.verify()]
        begun = {line[1:] for line in said if line.startswith("i")}
        for path in sorted((folder / "files").glob("*.parquet"))[: len(begun) + 1]:
            people.import_file(path)  # the one that was under way goes on; the others are passed over
            begun.add(path.stem)
        counts = Counter(_ids(people))
        found += [f"stored {count} times: {name}" for name, count in counts.items() if count > 1]
        wanted = {f"{line}-{m}" for line in said if line.startswith("e") for m in range(4)}
        wanted |= {f"i{int(stem)}-{n}" for stem in begun for n in range(ROWS)}
        found += [f"lost: {name}" for name in sorted(wanted - counts.keys())[:20]]
        kept = Counter((f"s{n}", save.pin) for n in range(5) for save in _saves(people, f"p{n}"))
        found += [f"saved {count} times: {pair}" for pair, count in kept.items() if count > 1]
        acknowledged = {tuple(line.split()) for line in said if line.startswith("s")}
        found += [f"lost save: {pair}" for pair in sorted(acknowledged - kept.keys())[:20]]
        for line in said:
            if line.startswith("f"):
                try:
                    people.person(line[1:])
                    found.append(f"not forgotten: {line[1:]}")
                except UnknownNameError:
                    pass
                if counts[f"{line[1:]}-x"]:
                    found.append(f"events of somebody forgotten: {line[1:]}")
    return found


def _ids(people: People) -> list[str]:
    with people.store.read() as db:
        held = list(db.execute(events.select().with_only_columns(events.c.event_id)).scalars())
    for part in people.part_files():
        held += read_part(people.store.folder, part.file, ["event_id"]).column(0).to_pylist()
    return held


def _saves(people: People, who: str) -> list[object]:
    try:
        return list(people.pins_of("Kept", viewer=who, k=1_000_000))
    except UnknownNameError:
        return []


def main() -> int:
    """Run it and say what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--people")
    parser.add_argument("--seconds", type=float, default=3600.0, help="Stop killing after that time.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    said = campaign(options.folder, options.people, options.kills, options.seed, options.seconds)
    kinds = Counter(line[0] for line in said)
    print(
        f"at most {options.kills} kills; acknowledged: {4 * kinds['e']} events, {kinds['s']} saves,"
        f" {kinds['i']} imports of {ROWS} events, {kinds['f']} people forgotten"
    )
    found = flaws(options.folder, options.people, said)
    print("\n".join(found[:40]) if found else "no flaw")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
