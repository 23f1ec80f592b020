"""Events in: each with a verdict, each stored once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from visualsearch.errors import StorageError, UsageError
from visualsearch.people import MEANINGS, Event, People, Status, weight

from .conftest import NOON, Clock, FakePins, Opener

CLICK = Event("click", "ada", "pin-1", at=NOON - 5000, event_id="e1", surface="search", answer="a1", slot=3)


def statuses(verdicts: list) -> list[str]:
    return [v.status.value for v in verdicts]


def test_an_event_comes_back_as_it_was_given(opened: Opener) -> None:
    full = replace(
        CLICK,
        row=1,
        column=2,
        variant="b",
        propensity=0.25,
        dwell_ms=900,
        board="x",
        site="s.example",
        session="s1",
    )
    assert statuses(opened().record([full])) == ["accepted"]
    row = opened().events_of("ada")[0]
    assert (row["at"], row["skew"], row["received"]) == (NOON - 5000, 0, NOON)
    assert (row["kind"], row["pin"], row["pin_id"], row["surface"], row["answer"]) == (
        "click", 1, "pin-1", "search", "a1",
    )  # fmt: skip
    assert (row["slot"], row["slot_row"], row["slot_column"], row["propensity"]) == (3, 1, 2, 0.25)
    assert (row["variant"], row["dwell_ms"], row["board"], row["site"]) == ("b", 900, "x", "s.example")
    assert row["session"].startswith("s1@")


def test_the_same_event_is_stored_once_and_another_under_its_id_is_refused(people: People) -> None:
    first = people.record([CLICK, CLICK, replace(CLICK, slot=4)])
    assert statuses(first) == ["accepted", "duplicate", "refused"]
    again = people.record([CLICK, replace(CLICK, person="bob"), replace(CLICK, event_id="e2")])
    assert statuses(again) == ["duplicate", "refused", "accepted"]
    assert "'e1'" in again[1].reason
    assert len(people.events_of("ada")) == 2


def test_an_event_without_id_gets_one(people: People) -> None:
    verdict = people.record([Event("search", "ada")])[0]
    assert len(verdict.event_id) == 32
    assert people.events_of("ada")[0]["event_id"] == verdict.event_id


BAD = [
    (replace(CLICK, kind="wink"), "no kind of event"),
    (replace(CLICK, pin=None), "needs a pin"),
    (replace(CLICK, pin="nothing"), "no pin"),
    (replace(CLICK, surface="moon"), "surface"),
    (replace(CLICK, slot=-1), "slot"),
    (replace(CLICK, slot=True), "slot"),
    (replace(CLICK, dwell_ms=2**40), "dwell_ms"),
    (replace(CLICK, propensity=0.0), "propensity"),
    (replace(CLICK, propensity=float("nan")), "propensity"),
    (replace(CLICK, value=float("inf")), "value"),
    (replace(CLICK, person=""), "person"),
    (replace(CLICK, person="x" * 300), "person"),
    (replace(CLICK, person=7), "person"),
    (replace(CLICK, event_id="x" * 300), "event_id"),
    (replace(CLICK, session="a\x00b"), "session"),
    (replace(CLICK, at=NOON + 365 * 86_400_000), "future"),
    (replace(CLICK, at=NOON - 40 * 86_400_000), "30 days"),
    (replace(CLICK, at=datetime(2025, 12, 29)), "time zone"),
    (replace(CLICK, at="yesterday"), "no time"),
    (replace(CLICK, person="paaaaaaaaaaaaa"), "pseudonym"),
]


@pytest.mark.parametrize(("event", "reason"), BAD, ids=[reason + str(n) for n, (_, reason) in enumerate(BAD)])
def test_a_bad_event_is_refused_with_its_reason_and_costs_no_other(
    lite: People, event: Event, reason: str
) -> None:
    verdicts = lite.record([replace(CLICK, event_id="before"), event, replace(CLICK, event_id="after")])
    assert statuses(verdicts) == ["accepted", "refused", "accepted"]
    assert reason in verdicts[1].reason
    assert verdicts[1].remedy


def test_a_wrong_clock_is_corrected_by_the_servers(people: People, clock: Clock) -> None:
    hour = 3_600_000
    fast = replace(CLICK, at=NOON + hour - 5000)
    assert statuses(people.record([fast], sent=NOON + hour)) == ["accepted"]
    clock.pass_(seconds=9)
    assert statuses(people.record([fast], sent=NOON + hour + 8900)) == ["duplicate"]
    row = people.events_of("ada")[0]
    assert (row["at"], row["skew"]) == (NOON - 5000, -hour)
    ahead = people.record([Event("search", "ada", at=clock() + 60_000, event_id="soon")])
    assert statuses(ahead) == ["accepted"]
    assert people.events_of("ada")[0]["at"] == clock()


def test_datetimes_are_times(people: People) -> None:
    people.record([replace(CLICK, at=datetime.fromtimestamp(NOON / 1000, UTC))])
    assert people.events_of("ada")[0]["at"] == NOON


def test_thirty_minutes_without_an_event_end_a_session(people: People, clock: Clock) -> None:
    def session(minutes: float, label: str | None = None) -> str:
        event = Event("search", "ada", at=NOON + round(minutes * 60_000), session=label)
        people.record([event])
        return next(r["session"] for r in people.events_of("ada") if r["at"] == event.at)

    clock.pass_(hours=10)
    first = session(0)
    assert session(29) == first
    assert session(58) == first
    second = session(89)
    assert second != first
    assert session(60) == second
    assert session(90, "tab") not in (first, second)
    assert session(-300) not in (first, second)
    assert session(95) == second


@pytest.mark.parametrize("name", ["clicks", "searches"])
def test_signals_that_are_off_are_not_stored(people: People, name: str) -> None:
    people.consent("ada", **{name: False})
    batch = [CLICK, Event("search", "ada"), Event("save", "ada", "pin-1")]
    wanted = {"clicks": ["refused", "accepted", "accepted"], "searches": ["accepted", "refused", "accepted"]}
    assert statuses(people.record(batch)) == wanted[name]


def test_sites_can_be_left_out(people: People) -> None:
    people.consent("ada", sites=False)
    people.record([replace(CLICK, site="shop.example")])
    assert people.events_of("ada")[0]["site"] is None


def test_events_of_removed_pins_are_still_taken(people: People, pins: FakePins) -> None:
    people.save("ada", "pin-1", board="K")
    del pins.held["pin-1"]
    people.reconcile()
    assert statuses(people.record([CLICK])) == ["accepted"]


def test_the_table_of_meanings(people: People) -> None:
    assert set(MEANINGS) == {
        "impression", "click", "visit", "save", "unsave", "hide", "report", "share", "follow", "unfollow",
        "search", "purchase", "exposure",
    }  # fmt: skip
    assert (weight("save"), weight("hide"), weight("visit", 29_999), weight("visit", 30_000)) == (
        1,
        -2,
        -1,
        0.5,
    )
    assert weight("impression") < 0
    assert Status("accepted") == Status.ACCEPTED


def test_the_clients_time_of_sending_needs_a_zone(lite: People) -> None:
    with pytest.raises(UsageError, match="zone"):
        lite.record([CLICK], sent=datetime(2025, 1, 1))


def test_two_servers_record_the_same_batch_once(opened: Opener) -> None:
    from concurrent.futures import ThreadPoolExecutor

    servers = [opened(), opened()]
    batches = [[replace(CLICK, event_id=f"{n}-{m}") for m in range(40)] for n in range(10)]

    def send(job: tuple[People, list[Event]]) -> None:
        assert set(statuses(job[0].record(job[1]))) <= {"accepted", "duplicate"}

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, [(server, batch) for batch in batches for server in servers]))
    assert len(servers[0].events_of("ada", 1000)) == 400


def test_a_call_without_events_is_nothing(lite: People, clock: Callable[[], int]) -> None:
    assert lite.record([]) == []


def test_many_events_at_once_are_stored_as_they_came(people: People) -> None:
    names = ['Zoë "quoted"', "o'hara", "雨", *(f"p{n}" for n in range(97))]
    given = [
        Event(
            "purchase", names[n % 100], f"pin-{n % 50}", at=NOON - n, event_id=f"e'{n}\"", slot=n or None,
            propensity=1 / (n + 3), value=0.1 * n, currency="EUR",
        )
        for n in range(230)
    ]  # fmt: skip
    assert {v.status for v in people.record(given)} == {Status.ACCEPTED}
    assert {v.status for v in people.record(given)} == {Status.DUPLICATE}
    kept = {row["event_id"]: row for name in names for row in people.events_of(name)}
    assert len(kept) == 230
    for event in given:
        row = kept[event.event_id]
        assert (row["propensity"], row["value"], row["slot"]) == (event.propensity, event.value, event.slot)
        assert (row["at"], row["pin_id"]) == (event.at, event.pin)
    assert people.verify() == []


def test_a_failed_batch_leaves_nothing_and_the_next_is_stored(lite: People) -> None:
    lite.save("ada", "pin-1", board="Kitchen")
    lite.store.write(
        lambda db: db.exec_driver_sql(
            "CREATE TRIGGER no_more BEFORE INSERT ON events WHEN NEW.kind = 'share'"
            " BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
    )
    with pytest.raises(StorageError, match="full"):
        lite.record(
            [Event("click", "bob", "pin-1", event_id="a"), Event("share", "bob", "pin-1", event_id="b")]
        )
    assert lite.event_counts() == {"save": 1}
    assert lite.count() == 1  # bob is not known either
    assert lite.record([Event("click", "bob", "pin-1", event_id="a")])[0].status is Status.ACCEPTED
