"""What comes out later: over HTTP, by commands, and through kills: once, never twice, never lost."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

from visualsearch.errors import StorageError, UsageError
from visualsearch.people import People, open_people, planned
from visualsearch.people import people as _loaded  # before the forks  # noqa: F401
from visualsearch.server.problems import Kind

from ..people.web import OTHER, PIN, Asker, application, person, serving, visitor
from ..serving import catalogue
from ..test_server_api import problem
from .conftest import Clock

HOUR = 3_600_000


@pytest.fixture(scope="module")
def served_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return catalogue(tmp_path_factory.mktemp("plans"), 8)


@pytest.fixture
def app(served_folder: Path, clock: Clock) -> Iterator[Any]:
    (served_folder / "people.sqlite").unlink(missing_ok=True)
    with serving(served_folder, public=True, keys_needed=True) as made:
        made.state.people.open().now = clock
        yield made


def test_a_pin_is_planned_listed_and_let_out_by_the_server(app: Any, clock: Clock) -> None:
    ada = person(app, "ada")
    board = ada.save(PIN)["board"]
    body = {"board": "Kitchen", "pin": OTHER, "publish_at": clock.at + HOUR, "note": "new"}
    made = ada.post("/plans", body)
    assert made.status_code == 201, made.text
    assert (made.json()["board"], made.json()["pin"], made.json()["reason"]) == (board, OTHER, "")
    assert ada.get("/plans").json()["plans"] == [made.json()]
    app.state.people.upkeep()
    assert len(ada.get(f"/boards/{board}/pins").json()["saves"]) == 1
    clock.at += HOUR
    app.state.people.upkeep()
    app.state.people.upkeep()
    shown = ada.get(f"/boards/{board}/pins").json()["saves"]
    assert [(each["pin"], each["note"]) for each in shown] == [(OTHER, "new"), (PIN, "")]
    assert ada.get("/plans").json()["plans"] == []


def test_only_the_owner_sees_and_cancels_a_plan(app: Any, served_folder: Path, clock: Clock) -> None:
    ada, eve, ann = person(app, "ada"), person(app, "eve"), visitor(app)
    board = ada.save(PIN)["board"]
    for other in (eve, ann):
        other.save(PIN, board="Mine")
    number = ada.post("/plans", {"board": board, "pin": OTHER, "publish_at": clock.at + HOUR}).json()["id"]
    for other in (eve, ann):
        assert other.get("/plans").json()["plans"] == []
        assert other.ask("DELETE", f"/plans/{number}").json() == {"removed": False}
        refused = other.post("/plans", {"board": board, "publish_at": clock.at + HOUR})
        assert refused.status_code == 403
    assert problem(Asker(app).get("/plans"), Kind.PERSON_NEEDED)
    assert len(application(app, served_folder, "ada").get("/plans").json()["plans"]) == 1
    assert ada.ask("DELETE", f"/plans/{number}").json() == {"removed": True}
    clock.at += HOUR
    app.state.people.upkeep()
    assert len(ada.get(f"/boards/{board}/pins").json()["saves"]) == 1


def test_a_board_opens_at_its_time_and_bad_times_are_refused(app: Any, clock: Clock) -> None:
    ada, eve = person(app, "ada"), person(app, "eve")
    board = ada.save(PIN)["board"]
    eve.save(PIN)
    for at in (clock.at, clock.at + 500 * 24 * HOUR):
        assert "ahead" in problem(ada.post("/plans", {"board": board, "publish_at": at}), Kind.BAD_REQUEST)
    assert problem(ada.post("/plans", {"board": "none", "publish_at": clock.at + 1}), Kind.NOT_FOUND)
    ada.post("/plans", {"board": board, "publish_at": clock.at + HOUR})
    assert eve.get(f"/boards/{board}").status_code == 404
    clock.at += HOUR
    app.state.people.upkeep()
    assert eve.get(f"/boards/{board}").status_code == 200


def test_the_commands_plan_list_cancel_and_publish(
    served_folder: Path, tmp_path: Path, run: Callable[..., Any]
) -> None:
    folder = served_folder
    (folder / "people.sqlite").unlink(missing_ok=True)
    with open_people(folder) as people:
        people.save("ada", PIN, board="Kitchen")
    soon = datetime.fromtimestamp(datetime.now(UTC).timestamp() + 3600, UTC).isoformat(timespec="seconds")
    made = run("insight", "plan", folder, "ada", "Kitchen", "--pin", OTHER, "--at", soon, "--json")
    assert made.code == 0, made.err
    number = made.json[0]["plan"]
    assert number in [each["plan"] for each in run("insight", "plans", folder, "ada", "--json").json]
    assert run("insight", "publish", folder, "--json").json == {"published": 0, "failed": []}
    assert run("insight", "cancel", folder, "ada", number).code == 0
    assert run("insight", "cancel", folder, "ada", number).code == 1
    assert run("insight", "plan", folder, "ada", "Kitchen", "--at", "tomorrow").code == 2


# -- kills and faults ------------------------------------------------------------------------------------------------
def planned_pins(folder: Path, clock: Clock, count: int = 6) -> None:
    with open_people(folder, now=clock) as people:
        people.save("ada", "pin-0", board="Kitchen")
        for number in range(1, count):
            people.plan_pin("ada", f"pin-{number}", board="Kitchen", publish_at=clock.at + number)
    clock.at += HOUR


def died(folder: Path, clock: Clock, third: Callable[[People], None]) -> None:
    """A process that publishes, and is killed where `third` arranged it."""
    child = os.fork()
    if not child:
        with open_people(folder, now=clock) as people:
            third(people)
            people.publish_due()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.parametrize("when", ["before the work", "before the commit", "after the commit"])
def test_a_kill_publishes_nothing_twice_and_loses_nothing(folder: Path, clock: Clock, when: str) -> None:
    def third(people: People) -> None:
        seen = []
        run, publish = people.store.writer.run, people._publish

        def counted(work: Any) -> Any:
            seen.append(1)
            if len(seen) == 3 and when == "before the work":
                os._exit(9)
            made = run(work)
            if len(seen) == 3 and when == "after the commit":
                os._exit(9)
            return made

        def done(db: Any, plan: Any) -> bool:
            made = publish(db, plan)
            if len(seen) == 3 and when == "before the commit":
                os._exit(9)
            return made

        people.store.writer.run, people._publish = counted, done  # type: ignore[method-assign]

    planned_pins(folder, clock)
    died(folder, clock, third)
    with open_people(folder, now=clock) as people:
        assert len(people.plans()) == (2 if when == "after the commit" else 3)
        assert people.publish_due() == (2 if when == "after the commit" else 3)
        assert people.plans() == []
        board = people.boards("ada", viewer="ada")[0].id
        assert sorted(each.pin for each in people.pins_of(board, viewer="ada")) == [
            f"pin-{number}" for number in range(6)
        ]
        saved = [each["pin_id"] for each in people.events_of("ada", 50) if each["kind"] == "save"]
        assert sorted(saved) == [f"pin-{number}" for number in range(6)]


def test_a_full_disk_makes_plans_wait_and_loses_none(
    people: People, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.save("ada", "pin-0", board="Kitchen")
    people.plan_pin("ada", "pin-1", board="Kitchen", publish_at=clock.at + 1)
    clock.at += HOUR

    def full(*_: Any, **__: Any) -> Any:
        raise StorageError("cannot use people.sqlite", "database or disk is full", "Free some space")

    with monkeypatch.context() as patched:
        patched.setattr(people, "_publish", full)
        with pytest.raises(StorageError):
            people.publish_due()
    assert [each.reason for each in people.plans()] == [""]
    assert people.publish_due() == 1


def test_a_person_may_let_only_so_much_wait(
    people: People, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planned, "MOST_PLANS", 2)
    people.save("ada", "pin-0", board="Kitchen")
    for number in (1, 2):
        people.plan_pin("ada", f"pin-{number}", board="Kitchen", publish_at=clock.at + 1)
    with pytest.raises(UsageError, match="wait already"):
        people.plan_pin("ada", "pin-3", board="Kitchen", publish_at=clock.at + 1)
