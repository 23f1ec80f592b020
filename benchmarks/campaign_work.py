"""What the processes of the fault campaign do until they are killed, and how what they leave is judged.

A worker says what it is about to do and what was acknowledged, a line each; `Ledger` remembers both.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from campaign_judge import billed, traces
from PIL import Image

import visualsearch as vs
from visualsearch import backup as backups
from visualsearch.errors import VisualSearchError
from visualsearch.people import open_people
from visualsearch.recommend import BUILDERS, learn
from visualsearch.types import EncoderSpec, Preprocessing

DAY = 86_400_000
SIDE, BATCH, PERSONS = 24, 3, 5
DIM = 3 * 16 + 1


class Mosaic:
    """An encoder that costs nothing: the 4 x 4 thumbnail of a picture."""

    spec = EncoderSpec("campaign", DIM, Preprocessing(32), "0" * 64)

    def preprocess(self, picture: Image.Image) -> Any:
        """A picture as bytes of 3 x 32 x 32."""
        return np.asarray(picture.resize((32, 32)), dtype=np.uint8).transpose(2, 0, 1)

    def encode_images(self, pixels: Any) -> Any:
        """Rows of unit length."""
        cells = pixels.reshape(len(pixels), 3, 4, 8, 4, 8).mean((3, 5)).reshape(len(pixels), 48) / 127.5 - 1
        rows = np.concatenate([cells, np.full((len(pixels), 1), 0.3)], axis=1).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def encode_texts(self, texts: Sequence[str]) -> Any:
        """Every text is a grey picture."""
        return self.encode_images(np.full((len(texts), 3, 32, 32), 128, np.uint8))


def picture(seed: int) -> Image.Image:
    """A mosaic of its own for each seed."""
    cells = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((SIDE, SIDE), Image.Resampling.NEAREST)


def passing(pin: str) -> bool:
    """Whether a pin may be removed. The others stay for good, so that saves of theirs can be counted."""
    return pin.endswith("-0.png")


def paint(folder: Path, name: str) -> list[str]:
    """A folder of new pictures; the ids that they get."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = []
    for n in range(BATCH):
        seed = int.from_bytes(f"{name}-{n}".encode(), "big") % 2**63
        picture(seed).save(folder / f"{name}-{n}.png")
        ids.append(f"{name}-{n}.png")
    return ids


@dataclass
class Ledger:
    """What was begun, and what was acknowledged: names of things by kind.

    Kinds: `pin` and `gone` (removed), `save` (person and pin), `event`, `paid` (an event with an entry in the ledger), `forgot`
    (a person), `copy` (a backup).
    """

    begun: dict[str, set[str]] = field(default_factory=dict)
    done: dict[str, set[str]] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    loud: list[str] = field(default_factory=list)
    inside: Counter[str] = field(default_factory=Counter)

    def hear(self, line: str) -> None:
        """Take in a line: `+ kind name` was acknowledged, `? kind name` is begun, `! what` went wrong, `x kind` was refused,
        `i job` was killed inside of a job.
        """
        mark, _, rest = line.strip().partition(" ")
        kind, _, name = rest.partition(" ")
        if mark == "!":
            self.loud.append(rest)
        elif mark == "i":
            self.inside[kind] += 1
        elif mark == "x":
            self.errors[kind] += 1
        elif mark in "+?" and name:
            (self.done if mark == "+" else self.begun).setdefault(kind, set()).add(name)

    def known(self, kind: str) -> set[str]:
        """What was acknowledged."""
        return self.done.get(kind, set())

    def perhaps(self, kind: str) -> set[str]:
        """What may have happened, whether or not it was acknowledged."""
        return self.begun.get(kind, set()) | self.known(kind)


Say = Callable[[str], None]


def work(
    folder: Path,
    attempt: int,
    say: Say,
    rounds: int | None = None,
    now: Callable[[], int] | None = None,
    jobs: Sequence[str] | None = None,
    people: str | None = None,
) -> None:
    """Everything that changes an index, one after the other, until the process is killed or the rounds are over.

    A refusal by the package's own error is counted and the work goes on, as a user would who frees some space. `jobs`: names
    of those to do, all of them by default; `people`: the database of people.
    """
    chance = random.Random(attempt)
    index = vs.open_or_create(folder / "pins.index", Mosaic())
    index.people_address = people
    if now is not None:
        index.people.now = now
    names = list(JOBS if jobs is None else jobs)
    for n in itertools.count() if rounds is None else range(rounds):
        name = chance.choice(names)
        say(f"> {name}")
        try:
            JOBS[name](index, f"a{attempt}x{n}", folder, say)
        except VisualSearchError as error:
            say(f"x {type(error).__name__} {error}")
            time.sleep(0.01)
    index.close()


def _add(index: vs.Index, name: str, folder: Path, say: Say) -> None:
    place = folder.parent / "pictures" / name  # outside of a disk that is to be full
    ids = paint(place, name)
    for pin in ids:
        say(f"? pin {pin}")
    report = index.add(place)
    for failure in report.failures:
        say(f"x failure {failure.reason}")
    if not report.failures:
        for pin in ids:
            say(f"+ pin {pin}")
    shutil.rmtree(place, ignore_errors=True)


def held(index: vs.Index, k: int = 6) -> list[str]:
    """Some pins, among them old ones and new ones."""
    found = itertools.chain.from_iterable(index.rows(1000))
    ids = sorted({row.id for row in itertools.islice(found, 3000)})
    return random.sample(ids, min(k, len(ids)))


def _remove(index: vs.Index, name: str, _: Path, say: Say) -> None:
    ids = [pin for pin in held(index) if passing(pin)][:2]
    for pin in ids:
        say(f"? gone {pin}")
    index.remove(ids)
    for pin in ids:
        say(f"+ gone {pin}")


def _compact(index: vs.Index, *_: Any) -> None:
    index.compact()


def _save(index: vs.Index, name: str, _: Path, say: Say) -> None:
    for n, pin in enumerate(pin for pin in held(index) if not passing(pin)):
        person = f"p{n % PERSONS}"
        say(f"? save {person} {pin}")
        index.people.save(person, pin, board="Kept")
        say(f"+ save {person} {pin}")


def _record(index: vs.Index, name: str, _: Path, say: Say) -> None:
    pins = held(index, 4)
    at = index.people.now()
    batch = [
        vs.Event("click", f"p{n % PERSONS}", pin, at=at - (n % 3) * DAY, event_id=f"{name}-{n}")
        for n, pin in enumerate(pins)
    ]
    for event in batch:
        say(f"? event {event.event_id}")
    for event, verdict in zip(batch, index.people.record(batch), strict=True):
        if verdict.status in ("accepted", "duplicate"):
            say(f"+ event {event.event_id}")


def _roll(index: vs.Index, *_: Any) -> None:
    index.people.roll()


def _learn(index: vs.Index, *_: Any) -> None:
    learn(index, BUILDERS)


def _back_up(index: vs.Index, name: str, folder: Path, say: Say) -> None:
    place = folder / "backups" / name
    say(f"? copy {name}")
    vs.back_up(index.folder, place)
    say(f"+ copy {name}")
    for old in sorted(place.parent.glob("[!.]*"), key=lambda path: path.stat().st_mtime)[:-2]:
        old.rename(old.with_name(f".{old.name}"))  # a kill shall not leave half a backup under its name
    for hidden in place.parent.glob(".*"):
        shutil.rmtree(hidden)


Job = Callable[[vs.Index, str, Path, Say], None]
JOBS: dict[str, Job] = {
    "add": _add,
    "more": _add,
    "save": _save,
    "record": _record,
    "remove": _remove,
    "compact": _compact,
    "roll": _roll,
    "learn": _learn,
    "back_up": _back_up,
}
"""What a worker does, by name; those about people are in `campaign_people`."""


# -- judging ------------------------------------------------------------------------------------------------------
def flaws(folder: Path, ledger: Ledger, deep: bool, address: str | None = None) -> list[str]:
    """What is wrong with an index after a fault. `deep`: people are counted one by one, and backups restored."""
    found = [f"not an error of ours: {line}" for line in ledger.loud]
    place = folder / "pins.index"
    if not (place / "catalog.sqlite").exists():
        return found + [f"lost pin {pin}" for pin in sorted(ledger.known("pin"))[:10]]
    with vs.open(place, Mosaic()) as index:
        index.people_address = address
        found += [f"verify: {problem.what}" for problem in index.verify()]
        found += _pins(index, ledger)
        if index.has_people:
            index.people.roll()  # what a server does by itself: leftovers of the killed one go
            found += [f"verify people: {flaw}" for flaw in index.people.verify()]
            found += billed(index.people, frozenset(ledger.known("paid")))
            left = traces(index.people, frozenset(ledger.known("forgot")))
            found += [f"an event of somebody forgotten: {name}" for name in left[:10]]
            if deep:
                found += _people(index, ledger)
    return found + (_copies(folder, ledger) if deep else [])


def _pins(index: vs.Index, ledger: Ledger) -> list[str]:
    held = Counter(row.id for rows in index.rows(1000) for row in rows)
    wanted = ledger.known("pin") - ledger.perhaps("gone")
    found = [f"lost pin {pin}" for pin in sorted(wanted - held.keys())[:10]]
    found += [f"removed pin is back: {pin}" for pin in sorted(held.keys() & ledger.known("gone"))[:10]]
    found += [f"pin there {count} times: {pin}" for pin, count in held.items() if count > 1]
    return found + [f"pin nobody added: {pin}" for pin in sorted(held.keys() - ledger.perhaps("pin"))[:10]]


def _people(index: vs.Index, ledger: Ledger) -> list[str]:
    kept: Counter[str] = Counter()
    events: Counter[str] = Counter()
    found = []
    for n in range(PERSONS):
        try:
            told = index.people.export(f"p{n}")
        except VisualSearchError:
            continue
        kept.update(f"p{n} {save['pin_id']}" for save in told["saves"])
        events.update(event["event_id"] for event in told["events"] if event["event_id"].startswith("a"))
    found += [f"lost save {pair}" for pair in sorted(ledger.known("save") - kept.keys())[:10]]
    found += [f"saved {count} times: {pair}" for pair, count in kept.items() if count > 1]
    found += [f"lost event {name}" for name in sorted(ledger.known("event") - events.keys())[:10]]
    found += [f"event there {count} times: {name}" for name, count in events.items() if count > 1]
    for who in ledger.known("forgot"):
        try:
            index.people.export(who)
            found.append(f"forgotten, and back: {who}")
        except VisualSearchError:
            pass
    return found


def _copies(folder: Path, ledger: Ledger) -> list[str]:
    found = []
    for place in sorted((folder / "backups").glob("[!.]*")):
        found += [f"backup {place.name}: {what}" for what in backups.check(place)]
        again = folder / "restored"
        shutil.rmtree(again, ignore_errors=True)
        vs.restore(place, again)
        with vs.open(again, Mosaic()) as index:
            found += [f"restored {place.name}: {problem.what}" for problem in index.verify()]
        if (again / "people.sqlite").exists():
            with open_people(again) as people:
                found += [f"restored {place.name}: {flaw}" for flaw in people.verify()]
                for who in ledger.known("forgot"):
                    try:
                        people.export(who)
                        found.append(f"forgotten, and in a backup: {who}")
                    except VisualSearchError:
                        pass
        shutil.rmtree(again)
    return found


def forked(job: Callable[[Say], None]) -> tuple[int, Any]:
    """Run a job in a forked process; its number, and the file that its lines come from."""
    heard, speaks = os.pipe()
    child = os.fork()
    if child:
        os.close(speaks)
        return child, os.fdopen(heard, errors="replace")
    os.close(heard)
    code = 0

    def say(text: str) -> None:
        os.write(speaks, (text.replace("\n", " ")[:500] + "\n").encode())

    try:
        job(say)
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        say(f"! {type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})")
        code = 1
    os._exit(code)


def judged(folder: Path, ledger: Ledger, deep: bool, address: str | None = None) -> list[str]:
    """`flaws`, found by a process of its own, so that this one stays small and can go on forking."""
    child, lines = forked(partial(_told, folder, ledger, deep, address))
    with lines:
        found = [line.strip() for line in lines]
    os.waitpid(child, 0)
    return found


def _told(folder: Path, ledger: Ledger, deep: bool, address: str | None, say: Say) -> None:
    for flaw in flaws(folder, ledger, deep, address):
        say(flaw)


def torn_opened(place: Path, say: Say) -> None:
    """Use an index one file of which was damaged: it answers, or says what is wrong by an error of ours."""
    try:
        with vs.open(place, Mosaic()) as index:
            index.verify()
            index.search(image=picture(1), k=5)
            if index.has_people:
                index.people.verify()
                index.people.export("p0")
    except VisualSearchError as error:
        say(f"x {type(error).__name__} {error}")
