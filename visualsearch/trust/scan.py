"""One round of judging: what is new is gathered, signs give a score, and the score a verdict with its evidence."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from visualsearch.people import Account, Level, Puts, Ruling

from .bursts import bursts_of, judged_burst
from .domains import Resolve, site_of
from .findings import ASKED, Finding, Limits, Sign
from .gather import Material, facts_of, gathered
from .learning import learnt_signs
from .prevalence import Prevalence, prevalence
from .reports import KINDS, Standing, reported
from .rings import click_rings, save_rings

if TYPE_CHECKING:
    from visualsearch.engine import Index

CONTEXT = 20_000
"""Saves before the new ones that are read with them: a burst may have begun there."""
WINDOW_MS = 3_600_000
LATE_MS = 5 * 60_000
CLICKS = ("click", "visit")
DAY_MS = 86_400_000
SETTLED = "settled"
"""The mark that says that the ledger follows the verdicts."""
OVERLAP = 0.3
"""A cluster that shares so much with a verdict belongs to it."""


@dataclass
class Report:
    """What a round did: puts judged, verdicts made and extended by number, prevalence, and what else to know.

    `wrong` is above 0 where rules held and hid nothing, as people found so large a share of it to be fine lately (`Limits`).
    `credited` and `charged` are the ledger's entries: promoted clicks, visits and saves that verdicts gave back, or took again.
    """

    judged: int = 0
    made: list[int] = field(default_factory=list)
    extended: list[int] = field(default_factory=list)
    followed: int = 0
    ended: int = 0
    acting: int = 0
    credited: int = 0
    charged: int = 0
    wrong: float = 0.0
    prevalence: Prevalence | None = None
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "judged": self.judged,
            "made": self.made,
            "extended": self.extended,
            "followed": self.followed,
            "ended": self.ended,
            "acting": self.acting,
            "credited": self.credited,
            "charged": self.charged,
            "wrong": round(self.wrong, 4),
            "prevalence": None if self.prevalence is None else self.prevalence.to_dict(),
            "seconds": round(self.seconds, 3),
            "notes": self.notes,
        }


def scan(
    index: Index,
    *,
    limits: Limits | None = None,
    learn: bool = False,
    resolve: Resolve | None = None,
    everything: bool = False,
    read_pictures: bool = True,
) -> Report:
    """Judge what came since the last round; see `Trust.scan`."""
    started = time.perf_counter()
    bounds = limits or Limits()
    people = index.people
    report = Report()
    billed = people.campaigns_mark()[1]
    report.ended = _ended(index)
    mark, seen = (0, 0) if everything else (people.trust_mark("save"), people.trust_mark("event"))
    now, arrived = people.now(), people.newest_arrival()
    since = 0 if mark == 0 and seen == 0 else seen - WINDOW_MS - LATE_MS
    puts, last = people.puts(mark, CONTEXT, since, seen)
    report.judged = int(puts.new.sum())
    findings: list[Finding] = []
    if report.judged:
        material = gathered(
            index, _recent(puts), now=now, resolve=resolve, read_pictures=read_pictures, whole=since == 0
        )
        if learn:
            material.models, report.notes = learnt_signs(index, now)
        report.followed = _follow(material)
        findings += [judged_burst(material, burst) for burst in bursts_of(material)]
        findings += save_rings(material)
    elif learn:
        report.notes = learnt_signs(index, now)[1]
    if arrived > seen or everything:
        findings += _touched(index, now, resolve)
    _kept(index, findings, bounds, report, now)
    people.set_trust_marks({"save": last, "event": max(arrived, seen)})
    if everything or not people.trust_mark(SETTLED):
        people.settle_charges()  # verdicts of before did not reach the ledger
        people.set_trust_marks({SETTLED: 1})
    report.credited, report.charged = people.settled_since(billed)
    report.acting = len(people.shut().hidden)
    report.prevalence = prevalence(index)
    report.seconds = time.perf_counter() - started
    return report


def _recent(puts: Puts) -> Puts:
    """Without what came long before anything new."""
    first = int(puts.at[puts.new].min()) - WINDOW_MS
    kept = puts.at >= first
    places = np.flatnonzero(kept).tolist()
    return Puts(
        puts.person[kept],
        [puts.pin[at] for at in places],
        puts.at[kept],
        [puts.site[at] for at in places],
        [puts.note[at] for at in places],
        puts.new[kept],
    )


def _follow(material: Material) -> int:
    """New pins of accounts and sites under a verdict follow it; how many."""
    people = material.index.people
    sites, shut = people.shut_sites(), people.shut_people()
    if not sites and not shut:
        return 0
    puts = material.puts
    held = people.shut()
    acting = [r for r in people.rulings(("waiting", "decided"), k=500) if r.action >= Level.LOWER]
    by_site = {site: r for r in acting for site in r.sites if site in sites}
    by_person = {person: r for r in acting for person in r.people if person in shut}
    more: dict[int, tuple[Ruling, list[str]]] = {}
    authors = material.authors(puts.pin)
    for at in np.flatnonzero(puts.new).tolist():
        pin = puts.pin[at]
        if pin in held.hidden or pin in held.lowered:
            continue
        if pin not in material.facts:
            continue  # others put it up
        ruling = by_site.get(site_of(material.facts[pin].link))
        person, when = int(puts.person[at]), int(puts.at[at])
        if ruling is None and authors.get(pin) == person and material.own([pin], {person}, "", when, when):
            ruling = by_person.get(person)
        if ruling is not None:
            more.setdefault(ruling.number, (ruling, []))[1].append(pin)
    for number, (ruling, pins) in more.items():
        people.extend_ruling(number, replace(ruling, pins=pins, people=(), sites=()))
    return sum(len(pins) for _, pins in more.values())


def _touched(index: Index, now: int, resolve: Resolve | None) -> list[Finding]:
    """What clicks and reports say."""
    people = index.people
    clicks = people.touches(CLICKS, now - WINDOW_MS)
    told = people.touches(tuple(KINDS), now - 30 * DAY_MS)
    empty = Puts(clicks.person[:0], [], clicks.at[:0], [], [], np.zeros(0, bool))
    material = gathered(index, empty, now=now, resolve=resolve, read_pictures=False)
    found = click_rings(material, clicks) if len(clicks) else []
    if len(told):
        accounts: dict[int, Account] = people.accounts(told.person.tolist())
        right, wrong = _proven(index, told.person.tolist(), told.pin)
        found += reported(
            material, told, Standing(accounts, now, right, wrong), facts_of(index, list(set(told.pin)))
        )
    return found


def _proven(
    index: Index, persons: Sequence[int], pins: Sequence[str]
) -> tuple[dict[int, int], dict[int, int]]:
    """How many reports of each person a person confirmed, and how many not."""
    said = {pin: spam for _, spam, held, _ in index.people.labelled() for pin in held}
    right: dict[int, int] = {}
    wrong: dict[int, int] = {}
    for person, pin in set(zip(persons, pins, strict=True)):
        if pin in said:
            counts = right if said[pin] else wrong
            counts[person] = counts.get(person, 0) + 1
    return right, wrong


# -- from findings to verdicts -------------------------------------------------------------------------------------
def _kept(index: Index, findings: Sequence[Finding], limits: Limits, report: Report, now: int) -> None:
    """Keep what is worth a person's look; a cluster that belongs to a verdict extends it."""
    people = index.people
    worth = [finding for finding in findings if finding.score >= ASKED]
    if not worth:
        return
    known = people.rulings(since=now - 30 * DAY_MS)
    excused = people.excused(now - 30 * DAY_MS)
    worth = [each for each in (without(finding, *excused) for finding in worth) if each is not None]
    mistaken = wrong_share(known, limits)
    if mistaken > limits.wrong:
        report.wrong = mistaken
        limits = replace(limits, hidden_accounts=0)
    room = limits.hidden_accounts - sum(
        len(r.people) for r in known if r.at >= now - DAY_MS and r.action >= Level.HOLD and r.spam is None
    )
    for finding in sorted(worth, key=lambda each: -each.score):
        action = _allowed(finding, limits, room)
        made = Ruling(
            finding.kind,
            finding.title,
            action,
            finding.score,
            finding.evidence(),
            finding.pins,
            finding.people,
            finding.sites,
            until=_until(action, limits, now),
        )
        same = next((r for r in known if _same(r, finding)), None)
        if same is None:
            [number] = people.rule([made])
            report.made.append(number)
            known.append(replace(made, number=number, at=now))
            room -= len(finding.people) if action >= Level.HOLD else 0
        elif same.state == "waiting" or (same.state == "decided" and same.spam):
            new = (
                set(made.pins) - set(same.pins),
                set(made.people) - set(same.people),
                set(made.sites) - set(same.sites),
            )
            # What is weaker must not be drawn into what is done by a stronger finding.
            if (any(new) and made.action >= same.action) or made.action > same.action:
                if same.state == "decided":  # a person's word stands: what joins follows it
                    made = replace(made, title=same.title, score=same.score, evidence=same.evidence)
                people.extend_ruling(same.number, made)
                report.extended.append(same.number)
        # What a person called fine, or undid, stays as they said.


def _allowed(finding: Finding, limits: Limits, room: int) -> Level:
    """What may be done without a person's word."""
    if not limits.act:
        return Level.NOTHING
    if finding.action >= Level.HOLD and max(1, len(finding.people)) > max(room, 0):
        return Level.NOTHING  # so many accounts a day only by a person's word
    return finding.action


def wrong_share(known: Sequence[Ruling], limits: Limits) -> float:
    """The share of what rules held or hid, and people decided lately, that was fine; 0 where few were decided."""
    acted = [
        ruling
        for ruling in known
        if (ruling.spam is not None or ruling.state == "undone")
        and any(
            each["by"] == "rules" and Level[each["action"].upper()] >= Level.HOLD for each in ruling.history
        )
    ]
    acted.sort(key=lambda ruling: -(ruling.decided or 0))
    lately = acted[: limits.lately]
    if len(lately) < limits.least:
        return 0.0
    return sum(not ruling.spam for ruling in lately) / len(lately)


def without(finding: Finding, people: set[int], pins: set[str]) -> Finding | None:
    """A finding without whom an appeal let go, and without their pins of then; None where nothing of it is left."""
    if not (people.intersection(finding.people) or pins.intersection(finding.pins)):
        return finding
    left = replace(
        finding,
        people=[person for person in finding.people if person not in people],
        pins=[pin for pin in finding.pins if pin not in pins],
    )
    return left if left.people or left.pins else None


def _until(action: Level, limits: Limits, now: int) -> int | None:
    return now + round(limits.hold_days * DAY_MS) if action in (Level.LOWER, Level.HOLD) else None


def _same(ruling: Ruling, finding: Finding) -> bool:
    """Whether a cluster is that of a verdict: of the same kind, and of the same accounts, pins or site."""
    if (ruling.kind == "reports") != (finding.kind == "reports"):
        return False
    if ruling.sites and set(ruling.sites) & set(finding.sites):
        return True
    pins, people = set(ruling.pins) & set(finding.pins), set(ruling.people) & set(finding.people)
    if pins and len(pins) >= OVERLAP * min(len(ruling.pins), len(finding.pins)):
        return True
    return bool(people) and len(people) >= 0.5 * max(len(ruling.people), len(finding.people))


def _ended(index: Index) -> int:
    """End holds whose time is over; how many."""
    people = index.people
    now = people.now()
    over = [r for r in people.rulings(("waiting",)) if r.until is not None and r.until <= now]
    for ruling in over:
        people.change_ruling(
            ruling.number, Level.NOTHING, state="waiting", by="rules", why="nobody confirmed it in time"
        )
    return len(over)


__all__ = ["Report", "Sign", "scan"]
