"""Clicks are billed and judged while the process is killed again and again: python -m tests.promote.kills [--kills 100]"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

from visualsearch.people import Event, Level, People, Placement, Ruling, open_people

CAMPAIGNS = 4
PLACED = 600
BUDGET = 2_000
_TIMES = {"charge": 1, "over": 1, "debit": 1, "credit": -1}
"""What each kind of entry adds to how often a placement is paid for."""


def prepare(folder: Path, address: str | None) -> None:
    """Campaigns whose budgets will not do for all clicks, and placements of each."""
    with open_people(folder, address) as people:
        rows = [
            {
                "campaign": f"c{n}", "advertiser": f"A{n}", "state": "running", "currency": "EUR", "budget": BUDGET,
                "daily": None, "spent": 0, "plan": {}, "created": 0, "stopped": None, "reason": "",
            }
            for n in range(CAMPAIGNS)
        ]  # fmt: skip
        people.change_campaigns(lambda _: rows)
        now = people.now()
        shown = [
            Placement(
                f"p{n}",
                f"c{n % CAMPAIGNS}",
                None,
                "pin",
                "search",
                n % 3,
                "click",
                7 + n % 13,
                0.02,
                False,
                now,
            )
            for n in range(PLACED)
        ]
        people.place(shown).result()


def work(folder: Path, address: str | None, seed: int, heard: int) -> None:
    """Send clicks until killed: some twice, some of one placement; the budgets are cut and raised under way."""
    chance = random.Random(seed)
    with open_people(folder, address) as people:
        while True:
            picked = [chance.randrange(PLACED) for _ in range(chance.randint(1, 8))]
            events = [
                Event(
                    "click",
                    f"x{n % 50}",
                    "pin",
                    event_id=f"e{n}-{chance.randrange(3)}",
                    variant=f"promoted:p{n}",
                )
                for n in picked
            ]
            people.record(events)
            if chance.random() < 0.1:
                people.refund([events[0].event_id or ""], "found out later")
            if chance.random() < 0.2:
                judge(people, chance)
            if chance.random() < 0.1:
                spare = chance.choice((BUDGET // 2, BUDGET))
                people.change_campaigns(
                    lambda rows: [{**rows[0], "budget": max(spare, rows[0]["spent"])}]  # noqa: B023
                )
            os.write(heard, b"x")


def judge(people: People, chance: random.Random) -> None:
    """A verdict on some who clicked, or the end of one."""
    known = [ruling for ruling in people.rulings(k=20) if ruling.action >= Level.HOLD]
    if known and chance.random() < 0.5:
        people.change_ruling(chance.choice(known).number, Level.NOTHING, state="undone", by="person")
        return
    names = [f"x{chance.randrange(50)}" for _ in range(5)]
    numbers = people.numbers_of(names).tolist()
    people.rule([Ruling("clicks", "a ring", Level.HOLD, 0.9, people=numbers)])


def killed(folder: Path, address: str | None, kills: int, seed: int) -> None:
    """Start the work, and kill it, again and again."""
    chance = random.Random(seed)
    for attempt in range(kills):
        heard, speaks = os.pipe()
        child = os.fork()
        if not child:
            os.close(heard)
            try:
                work(folder, address, seed + attempt, speaks)
            finally:
                os._exit(1)
        os.close(speaks)
        done = 0
        wanted = chance.randint(1, 12)
        while done < wanted:
            part = os.read(heard, 1)
            if not part:
                raise RuntimeError("the work ended by itself")
            done += 1
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(heard)


def flaws(folder: Path, address: str | None) -> list[str]:
    """What is wrong: sums that are not the ledger's, events without an entry or with two, budgets that were overrun."""
    with open_people(folder, address) as people:
        entries = people.ledger()
        sums = Counter[str]()
        for entry in entries:
            sums[entry["campaign"]] += entry["amount"]
        found = [
            f"{name}: {kept} is kept, {sums[name]} was charged"
            for name, kept in people.spending().items()
            if kept != sums[name]
        ]
        found += [
            f"{row['campaign']} spent {row['spent']} of {BUDGET}"
            for row in people.campaign_rows()
            if row["spent"] > BUDGET
        ]
        clicks = sum(entry["kind"] in ("charge", "over", "invalid") for entry in entries)
        stored = people.event_counts().get("click", 0)
        found += [] if clicks == stored else [f"{stored} clicks are stored, and {clicks} are in the ledger"]
        paid = Counter[str]()
        for entry in entries:
            paid[entry["placement"]] += _TIMES.get(entry["kind"], 0)
        found += [f"{name} was paid for {count} times" for name, count in paid.items() if not 0 <= count <= 1]
        late = people.settle_charges()
        found += [f"verdicts did not reach the ledger: {late}"] if any(late) else []
        return found + [f"rebuilt: {wrong}" for wrong in people.rebuild_ledger().wrong.items()]


def campaign(kills: int, seed: int = 0, address: str | None = None) -> tuple[list[str], int]:
    """The flaws after so many kills, and how many entries the ledger has."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        prepare(folder, address)
        killed(folder, address, kills, seed)
        with open_people(folder, address) as people:
            count = len(people.ledger())
        return flaws(folder, address), count


def main() -> int:
    """Run it and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--people", default=None)
    options = parser.parse_args()
    found, count = campaign(options.kills, options.seed, options.people)
    print("\n".join(found) or f"no flaw after {options.kills} kills; {count} entries")
    return int(bool(found))


__all__ = ["People", "campaign"]

if __name__ == "__main__":
    sys.exit(main())
