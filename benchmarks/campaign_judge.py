"""How the fault campaign judges the ledger of promoted pins, and what is left of people who were forgotten."""

from __future__ import annotations

from collections import Counter

from visualsearch.people import People
from visualsearch.people.billing import digest
from visualsearch.people.parts import read_part
from visualsearch.people.schema import events


def billed(people: People, paid: frozenset[str]) -> list[str]:
    """What is wrong with the ledger: sums, budgets, a click without an entry, a placement that was paid for twice."""
    entries = people.ledger()
    sums = Counter[str]()
    for entry in entries:
        sums[entry["campaign"]] += entry["amount"]
    found = [
        f"ledger: {name} keeps {kept}, {sums[name]} was charged"
        for name, kept in people.spending().items()
        if kept != sums[name]
    ]
    found += [
        f"ledger: {row['campaign']} spent {row['spent']} of {row['budget']}"
        for row in people.campaign_rows()
        if row["spent"] > row["budget"]
    ]
    clicks = Counter(entry["event"] for entry in entries)
    found += [f"ledger: no entry of {name}" for name in sorted(paid) if not clicks[digest(name)]][:10]
    found += [f"ledger: {count} entries of one event" for count in clicks.values() if count > 1]
    twice = Counter(entry["placement"] for entry in entries if entry["kind"] in ("charge", "over"))
    found += [f"ledger: {name} was paid for {count} times" for name, count in twice.items() if count > 1]
    return found + [f"ledger: rebuilding finds {wrong}" for wrong in people.rebuild_ledger().wrong.items()]


def traces(people: People, forgotten: frozenset[str]) -> list[str]:
    """Events that are left of people who were forgotten, of open and of closed days."""
    with people.store.read() as db:
        names = list(db.execute(events.select().with_only_columns(events.c.event_id)).scalars())
    for part in people.part_files():
        names += read_part(people.store.folder, part.file, ["event_id"]).column(0).to_pylist()
    return [name for name in names if name and name.rpartition("-")[0] in forgotten]
