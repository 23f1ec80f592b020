"""Appeals: one account is let go and the others are not, what was decided is told, and rules that err too often only ask."""

from __future__ import annotations

import pytest

from visualsearch.errors import ConflictError, UnknownNameError
from visualsearch.people import Level, Ruling, pseudonym_text
from visualsearch.trust import Limits, Trust

from .conftest import COPIES, SPAMMERS

OWN = [f"spam-{n}" for n in range(0, COPIES, SPAMMERS)]
"""What the first of the accounts put up."""


def test_a_granted_appeal_lets_one_account_go_with_its_pins_and_scans_leave_it_alone(judged: Trust) -> None:
    people = judged.index.people
    judged.scan()
    [case] = judged.queue()
    judged.appeal(case.number, "spammer-0", "these are my own lamps")
    judged.appeal(case.number, "spammer-1", "mine too")
    assert judged.queue()[0].appeal.splitlines() == ["these are my own lamps", "mine too"]
    told = judged.answer(case.number, "spammer-0", True, "it is a shop")
    assert told.history[-1] | {"at": 0} == {
        "at": 0, "action": "hide", "by": "person", "state": "waiting", "why": "it is a shop",
        "appeal": "granted", "pins": len(OWN),
    }  # fmt: skip
    assert judged.queue()[0].appeal == "mine too"
    assert people.shut().hidden == frozenset(case.pins) - set(OWN)
    assert judged.about("spammer-0") == []
    assert judged.outcomes("spammer-0") == {case.number: "granted"}
    judged.scan(everything=True)
    assert people.shut().hidden == frozenset(case.pins) - set(OWN)
    judged.decide(case.number, "hide")
    assert [each.outcome for each in judged.appeals(case.number)] == ["granted", "refused"]
    assert judged.case(case.number).history[-1]["appeals"] == 1
    assert people.shut().hidden == frozenset(case.pins) - set(OWN)
    assert sorted(people.labelled()[0][3]) == sorted(people.numbers_of(["spammer-1", "spammer-2"]).tolist())
    judged.answer(case.number, "spammer-0", False, "it was not")
    assert people.shut().hidden == frozenset(case.pins)
    judged.undo(case.number)
    assert people.shut().hidden == frozenset()


def test_an_appeal_is_on_ones_own_verdict_and_at_most_three_are_decided(judged: Trust) -> None:
    judged.scan()
    [case] = judged.queue()
    with pytest.raises(UnknownNameError):
        judged.answer(case.number, "spammer-0", True)
    for _ in range(3):
        judged.appeal(case.number, "spammer-0", "no")
        judged.appeal(
            case.number, "spammer-0", "no, as I said"
        )  # it was not answered: it takes the place of the other
        judged.answer(case.number, "spammer-0", False)
    with pytest.raises(ConflictError, match="3 appeals"):
        judged.appeal(case.number, "spammer-0", "once more")
    judged.index.people.forget("spammer-0")
    assert judged.appeals(case.number) == []


def test_calling_a_case_fine_grants_what_waits(judged: Trust) -> None:
    judged.scan()
    [case] = judged.queue()
    judged.appeal(case.number, "spammer-0", "no")
    told = judged.decide(case.number, "fine")
    assert (told.appeal, told.history[-1]["appeal"]) == ("", "granted")
    assert [each.outcome for each in judged.appeals(case.number)] == ["granted"]


@pytest.mark.parametrize("judged", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("fine", "acts"), [(1, True), (2, False)])
def test_rules_only_ask_while_people_find_too_much_of_what_they_did_to_be_fine(
    judged: Trust, fine: int, acts: bool
) -> None:
    made = judged.index.people.rule([Ruling("burst", f"case {n}", Level.HIDE, 0.99) for n in range(12)])
    for at, number in enumerate(made):
        judged.decide(number, "fine" if at < fine else "hide")
    report = Trust(judged.index, Limits(wrong=0.1, least=10)).scan()
    [case] = judged.queue()
    assert (case.action > Level.NOTHING) == acts
    assert (report.wrong > 0) == (not acts)


@pytest.mark.parametrize("judged", ["sqlite"], indirect=True)
def test_the_command_appeals_and_answers(judged: Trust, run: object) -> None:
    judged.scan()
    folder, person = judged.index.folder, judged.index.people.numbers_of(["spammer-0"]).tolist()[0]
    judged.index.close()
    said = run("trust", "appeal", folder, 1, "--person", "spammer-0", "--text", "my lamps", "--json")  # type: ignore[operator]
    [appeal] = said.json["appeals"]
    assert (appeal["person"], appeal["text"], appeal["outcome"]) == (
        pseudonym_text(person),
        "my lamps",
        "waiting",
    )
    assert "my lamps" in run("trust", "review", folder).out  # type: ignore[operator]
    told = run("trust", "appeal", folder, 1, "--person", "spammer-0", "--answer", "grant", "--why", "yes")  # type: ignore[operator]
    assert "[granted: yes]" in told.out
    assert run("trust", "appeal", folder, 1, "--person", "spammer-0").code == 2  # type: ignore[operator]
    assert run("trust", "appeal", folder, 1, "--person", "spammer-0", "--answer", "maybe").code == 2  # type: ignore[operator]
    assert run("trust", "appeal", folder, 1, "--person", "person-1", "--text", "no").code == 2  # type: ignore[operator]
