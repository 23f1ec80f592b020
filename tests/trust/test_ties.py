"""The company that accounts keep: a network of spammers is known by those of it who were judged, though some labels are wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from visualsearch.people import Level, Ruling
from visualsearch.trust import Trust, ties

from .conftest import saved

DAY_MS = 86_400_000


def told(trust: Trust, names: Sequence[str], spam: bool) -> None:
    people = trust.index.people
    numbers = people.numbers_of(names).tolist()
    [number] = people.rule([Ruling("burst", "told", Level.HIDE, 0.99, people=numbers)])
    trust.decide(number, "hide" if spam else "fine")


def friends(trust: Trust, group: str, rng: np.random.Generator, count: int = 20) -> list[str]:
    """Accounts that follow four others of theirs each, and are followed back."""
    names = [f"{group}-{n}" for n in range(count)]
    saved(trust.index, [(name, "pin-1", "Mine", f"https://{name}.example/") for name in names])
    for n, name in enumerate(names):
        for other in rng.choice(count, 4, replace=False).tolist():
            if other != n:
                trust.index.people.follow(name, "person", names[other])
                trust.index.people.follow(names[other], "person", name)
    return names


def signs(trust: Trust, names: Sequence[str]) -> list[float]:
    found = ties.ties_of(trust.index, trust.index.people.now())
    made = [found.sign([number]) for number in trust.index.people.numbers_of(names).tolist()]
    return [0.0 if sign is None else sign.weight for sign in made]


def test_who_keeps_company_with_spammers_is_known_though_a_third_of_the_labels_are_wrong(
    peaceful: Trust,
) -> None:
    rng = np.random.default_rng(0)
    bad, good = friends(peaceful, "bad", rng), friends(peaceful, "good", rng)
    people = peaceful.index.people
    for name in bad:  # to follow somebody honest, or to be a rival's victim, changes nothing
        people.follow(name, "person", good[int(rng.integers(20))])
    told(peaceful, [*bad[:5], *good[:2]], spam=True)
    told(peaceful, [*good[2:7], *bad[5:7]], spam=False)
    ties._KEPT.clear()
    weights = signs(peaceful, bad[7:]), signs(peaceful, good[7:])
    assert np.mean(np.array(weights[0]) > 0) >= 0.9
    assert np.mean(np.array(weights[1]) < 0) >= 0.9
    assert max(map(abs, [*weights[0], *weights[1]])) <= 2
    [case] = [case for case in people.rulings(("decided",)) if case.spam]
    peaceful.undo(case.number)
    ties._KEPT.clear()
    assert signs(peaceful, [*bad, *good]) == [0.0] * 40


def test_a_site_ties_its_accounts_and_one_that_all_save_from_ties_nobody(peaceful: Trust) -> None:
    index = peaceful.index
    saved(index, [(f"new-{n}", f"pin-{n}", "Mine", "https://cheap.example/a") for n in range(12)])
    saved(index, [(f"other-{n}", f"pin-{n}", "Mine", f"https://own-{n}.example/") for n in range(12)])
    told(peaceful, [f"new-{n}" for n in range(4)], spam=True)
    told(peaceful, [f"other-{n}" for n in range(4)], spam=False)
    ties._KEPT.clear()
    assert min(signs(peaceful, [f"new-{n}" for n in range(4, 12)])) > 0
    later = index.people.now() + 60 * DAY_MS
    index.people.now = lambda: later
    ties._KEPT.clear()
    assert signs(peaceful, [f"new-{n}" for n in range(4, 12)]) == [0.0] * 8  # it is a common site by now


def test_a_scan_counts_the_company_of_a_bursts_accounts(peaceful: Trust) -> None:
    index = peaceful.index
    saved(index, [(f"spammer-{n}", "pin-1", "Mine", "https://ring.example/") for n in range(6)])
    told(peaceful, [f"spammer-{n}" for n in range(6)], spam=True)
    told(peaceful, ["person-1"], spam=False)
    saved(
        index,
        [(f"late-{n % 3}", f"pin-{n}", "Mine", "https://ring.example/") for n in range(60)],
    )
    ties._KEPT.clear()
    peaceful.scan()
    found = [each for case in peaceful.queue() for each in case.evidence if each["signal"] == "company"]
    assert found
    assert found[0]["weight"] > 1
