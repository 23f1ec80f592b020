"""Faults of the campaign that are about people: kills in the middle of one job, and a database server that stops and starts."""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from campaign_work import DAY, JOBS, forked, held, judged, work
from common import ROOT

from visualsearch.people import Event, Placement

CAMPAIGNS, BUDGET, SMALL = 4, 1_000_000, 60
MIDDLE = ("learn", "charge", "roll", "forget", "back_up", "compact")
"""The jobs that `middle` kills inside of."""
LONGEST = 20.0
"""Seconds to wait for a job to begin, or a database to be used again."""


# -- what a worker does more ----------------------------------------------------------------------------------------
def charge(index: Any, name: str, _: Path, say: Callable[[str], None]) -> None:
    """Promoted pins are placed, clicked (some twice), and billed; now and then one is refunded."""
    people, chance = index.people, random.Random(name)
    if not people.campaign_rows():
        people.change_campaigns(lambda rows: [] if rows else [_campaign(n) for n in range(CAMPAIGNS)])
    pins, now = held(index, 1) or ["none"], people.now()
    shown = [
        Placement(
            f"{name}-{n}", f"c{n % CAMPAIGNS}", None, pins[0], "search", n, "click", 7 + n, 0.02, False, now
        )
        for n in range(6)
    ]
    people.place(shown).result()
    clicks = [
        Event("click", f"p{n}", pins[0], event_id=f"{name}-c{n}", variant=f"promoted:{name}-{n}")
        for n in range(5)
    ]
    clicks += chance.sample(clicks, 2)
    clicks.append(Event("click", "p0", pins[0], event_id=f"{name}-again", variant=f"promoted:{name}-0"))
    for event in clicks:
        say(f"? event {event.event_id}")
    for event, verdict in zip(clicks, people.record(clicks), strict=True):
        if verdict.status in ("accepted", "duplicate"):
            say(f"+ event {event.event_id}")
            say(f"+ paid {event.event_id}")
    if chance.random() < 0.3:
        people.refund([f"{name}-c1"], "found out later")


def _campaign(n: int) -> dict[str, Any]:
    return {
        "campaign": f"c{n}", "advertiser": f"A{n}", "state": "running", "currency": "EUR",
        "budget": SMALL if n == 0 else BUDGET, "daily": None, "spent": 0, "plan": {}, "created": 0, "stopped": None, "reason": "",
    }  # fmt: skip


def forget(index: Any, name: str, _: Path, say: Callable[[str], None]) -> None:
    """Somebody saves and clicks on three days, two of them closed, and is forgotten."""
    pins = held(index, 1)
    if not pins:
        return
    who, people = f"forgotten-{name}", index.people
    people.save(who, pins[0], board="Mine")
    people.record(
        [Event("click", who, pins[0], at=people.now() - n * DAY, event_id=f"{who}-{n}") for n in range(3)]
    )
    people.roll()
    say(f"? forgot {who}")
    people.forget(who)
    say(f"+ forgot {who}")


# -- the faults -----------------------------------------------------------------------------------------------------
def middle(campaign: Any) -> list[str]:
    """-9 at a random instant inside a job, another kind of job each round."""
    chance, target = campaign.chance(), MIDDLE[campaign.rounds % len(MIDDLE)]
    usual = campaign.spans.get(target, 0.02)
    jobs = [target] * 4 + ["add", "save", "record", "forget", "remove"]
    child, lines = forked(partial(work, campaign.folder, campaign.rounds, jobs=jobs))
    wait, said, began = chance.randint(1, 3), [], 0.0
    for line in lines:
        now = time.monotonic()
        if began:
            usual = max(0.002, 0.5 * usual + 0.5 * (now - began))
            began = 0.0
        said.append(line.strip())
        if line.startswith(f"> {target}"):
            wait, began = wait - 1, now
            if wait <= 0:
                time.sleep(chance.random() * usual)
                break
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    rest = [line.strip() for line in lines if line.endswith("\n")]
    hit = wait <= 0 and not any(line.startswith("> ") for line in rest)
    lines.close()
    os.waitpid(child, 0)
    campaign.spans[target] = usual
    campaign.heard([*said, *rest, *([f"i {target}"] if hit else [])])
    return judged(campaign.folder, campaign.ledger, deep=campaign.rounds % 10 == 0)


class Database:
    """A PostgreSQL server of its own for the campaign."""

    def __init__(self) -> None:
        sys.path.insert(0, str(ROOT))
        from tests.people.postgres import Cluster

        self.folder = Path(tempfile.mkdtemp(prefix="vs-pg-"))  # a socket's path must be short
        self.cluster = Cluster(self.folder)
        self.cluster.start()
        self.address = self.cluster.database("campaign")

    def close(self) -> None:
        """Stop it."""
        with suppress(RuntimeError):
            self.cluster.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)


def postgres(campaign: Any) -> list[str]:
    """The database of people is stopped, gently or not, and started again while two processes use it; then both are killed."""
    chance, database = campaign.chance(), campaign.database
    if not campaign.rounds:  # one process alone makes the index
        child, lines = forked(
            partial(work, campaign.folder, 0, rounds=2, jobs=["add"], people=database.address)
        )
        with lines:
            campaign.heard([line.strip() for line in lines])
        os.waitpid(child, 0)
    jobs = [name for name in JOBS if name != "back_up"]
    people = ["save", "record", "charge", "forget", "roll", "learn"]
    workers = [
        forked(partial(work, campaign.folder, campaign.rounds * 2 + n, jobs=each, people=database.address))
        for n, each in enumerate((jobs, people))
    ]
    heard = Heard([lines for _, lines in workers])
    try:
        said = heard.wait(chance.uniform(0.3, 1.5))
        database.cluster.stop(chance.choice(("fast", "immediate", "immediate")))
        said += heard.wait(chance.uniform(0.0, 0.6))
    finally:
        database.cluster.start()
    end = time.monotonic() + LONGEST
    again: list[str] = []
    while time.monotonic() < end and sum(line.startswith("+ ") for line in again) < 10:
        again += heard.wait(0.2)
    if not any(line.startswith("+ ") for line in again):
        again.append(f"! nothing was done for {LONGEST:.0f} s after the database came back")
    for child, _ in workers:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    again += heard.wait(5.0)
    for child, lines in workers:
        lines.close()
        os.waitpid(child, 0)
    campaign.heard(said + again)
    return judged(campaign.folder, campaign.ledger, campaign.rounds % 5 == 0, database.address)


class Heard:
    """What several workers say, line by line."""

    def __init__(self, files: Sequence[Any]) -> None:
        self.rest = {file.fileno(): b"" for file in files}

    def wait(self, seconds: float) -> list[str]:
        """The lines of some seconds, or of all that is left where every worker has ended."""
        end, said = time.monotonic() + seconds, []
        while self.rest and (left := end - time.monotonic()) > 0:
            for each in select.select(list(self.rest), [], [], left)[0]:
                data = os.read(each, 1 << 16)
                *whole, last = (self.rest[each] + data).split(b"\n")
                said += [line.decode(errors="replace").strip() for line in whole]
                self.rest[each] = last
                if not data:
                    del self.rest[each]
        return said


JOBS |= {"charge": charge, "forget": forget}
