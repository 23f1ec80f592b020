"""What pins caused, from whom an experiment held out: by its holdback or by an arm, while nobody changed group."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.errors import UnknownNameError, UsageError
from visualsearch.experiments import Experiments, HeldOut, open_experiments
from visualsearch.insight import MerchantReport, merchant_report

from .conftest import DAY_MS, MONDAY, NOON, SHOP

START = MONDAY + 14 * DAY_MS


@pytest.fixture
def experiments(untold: vs.Index, monkeypatch: pytest.MonkeyPatch) -> Experiments:
    """One with a holdback of a quarter that ramps on the 14th day and one without a holdback, both started earlier."""
    clock = {"at": START - 2 * DAY_MS}
    monkeypatch.setattr(untold.people, "now", lambda: clock["at"])
    made = open_experiments(untold.people)
    made.create("with", holdback=0.25, steps=(0.5, 1.0))
    made.create("without", arms=("none", "all"))
    made.create("draft", holdback=0.1)
    made.create("sessions", unit="session", holdback=0.1)
    for name in ("with", "without", "sessions"):
        made.start(name, 0.5)
    clock["at"] = START
    made.ramp("with", 1.0)
    made.ramp("without", 1.0)
    clock["at"] = NOON
    return made


def spent(index: vs.Index, held: HeldOut, since: int, until: int) -> dict[str, tuple[float, int]]:
    """The true EUR of each group, and its people, straight from the events."""
    numbers = [
        index.pin(f"shop/{kind}/{n:03d}.jpg").number
        for kind in ("shoes", "lamps", "birds", "chairs", "cakes", "hats")
        for n in range(10)
    ]
    tables = index.people.event_tables(
        since, until, ("person", "value", "currency"), kinds=("purchase",), pins=np.array(numbers)
    )
    rows = [row for table in tables for row in table.to_pylist() if row["currency"] == "EUR"]
    groups = {"held": set(held.held.tolist()), "treated": set(held.treated.tolist())}
    return {
        name: (sum(row["value"] for row in rows if row["person"] in who), len(who))
        for name, who in groups.items()
    }


def report(index: vs.Index, held: Any) -> MerchantReport:
    return merchant_report(index, SHOP, weeks=8, until="2026-06-28", held_out=held)


def test_a_holdback_gives_the_groups_and_their_time(untold: vs.Index, experiments: Experiments) -> None:
    held = experiments.held_out("with")
    assert (held.label, held.since, held.until) == ("with", START, None)
    assert not set(held.held.tolist()) & set(held.treated.tolist())
    assert len(held.held) + len(held.treated) == 398  # two of 400 are in no figure
    assert 0.15 < len(held.held) / 398 < 0.35
    lift = report(untold, held).money[0].lift
    assert lift is not None
    assert (lift.held_out, lift.treated, lift.by) == (len(held.held), len(held.treated), "with")


def test_caused_revenue_is_the_difference_of_means_while_the_groups_stood(
    untold: vs.Index, experiments: Experiments, monkeypatch: pytest.MonkeyPatch
) -> None:
    from visualsearch.insight import money

    monkeypatch.setattr(money, "LEAST_BEFORE_MS", 10**15)  # without the earlier weeks, it is plain arithmetic
    held = experiments.held_out("without", "none")
    found = report(untold, held)
    true = spent(untold, held, START, MONDAY + 56 * DAY_MS)
    lift = found.money[0].lift
    assert lift is not None
    (kept, m), (shown, n) = true["held"], true["treated"]
    assert lift.caused == pytest.approx(n * (shown / n - kept / m), abs=0.01)
    assert lift.last_touch is not None
    assert lift.last_touch <= shown + 20  # the one refund may have no touch before it
    assert any("the experiment without:none drew" in note for note in found.notes)


def test_what_differed_before_the_groups_is_taken_out(untold: vs.Index, experiments: Experiments) -> None:
    held = experiments.held_out("without", "none")
    lift = report(untold, held).money[0].lift
    assert lift is not None
    assert lift.caused is not None
    true = spent(untold, held, START, MONDAY + 56 * DAY_MS)
    (kept, m), (shown, n) = true["held"], true["treated"]
    assert lift.caused != pytest.approx(n * (shown / n - kept / m), abs=0.01)


def test_an_ended_experiment_counts_until_its_end_and_one_of_other_weeks_tells_nothing(
    untold: vs.Index, experiments: Experiments
) -> None:
    experiments.stop("with")
    held = experiments.held_out("with")
    assert held.until == NOON
    long_ago = HeldOut("with", held.held, held.treated, 0, MONDAY - 1)
    found = report(untold, long_ago)
    assert found.money[0].lift is None
    assert any("did not run with these groups" in note for note in found.notes)


@pytest.mark.parametrize(("name", "arm", "kind", "why"), [
    ("without", None, UsageError, "without:none"), ("draft", None, UsageError, "not started"),
    ("sessions", None, UsageError, "assigns sessions"), ("with", "other", UnknownNameError, "arm"),
    ("nothing", None, UnknownNameError, "experiment"),
])  # fmt: skip
def test_an_experiment_that_held_nobody_out_says_so(
    experiments: Experiments, name: str, arm: str | None, kind: type[Exception], why: str
) -> None:
    with pytest.raises(kind, match=why):
        experiments.held_out(name, arm)


def test_the_command_takes_an_experiment(
    untold: vs.Index, experiments: Experiments, run: Callable[..., Any], tmp_path: Path
) -> None:
    asking = ("insight", "merchant", untold.folder, SHOP, "--until", "2026-06-28", "--weeks", 8)
    done = run(*asking, "--holdout-of", "without:none", "--json", "--html", tmp_path / "s.html")
    assert done.code == 0, done.err
    assert done.json["money"][0]["lift"]["by"] == "without:none"
    assert "by the experiment without:none" in (tmp_path / "s.html").read_text()
    (tmp_path / "out.csv").write_text("person\nuser-0001\n")
    assert run(*asking, "--holdout-of", "with", "--holdout", tmp_path / "out.csv").code == 2


def test_the_server_takes_an_experiment_of_the_owner(untold: vs.Index, experiments: Experiments) -> None:
    pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")
    from starlette.testclient import TestClient

    from visualsearch.insight import claim, verify
    from visualsearch.server.app import create_app, open_service
    from visualsearch.server.keys import FILE, Scope, new_key
    from visualsearch.server.settings import Settings

    from ..fakes import FakeEncoder

    claim(untold.people, "acme", SHOP, "dns")
    verify(untold.people, "acme", SHOP, texts=lambda each: [each.proof])
    owner, acme = (new_key(untold.folder / FILE, Scope.INSIGHT, merchant=name) for name in (None, "acme"))
    service = open_service(untold.folder, Settings(keys_needed=True), FakeEncoder())
    with TestClient(create_app(service), base_url="http://127.0.0.1") as asked:
        address = f"/insight/merchant/{SHOP}?until=2026-06-28&weeks=8&experiment=with"
        told = asked.get(address, headers={"Authorization": f"Bearer {owner}"})
        assert told.json()["money"][0]["lift"]["by"] == "with"
        assert asked.get(address, headers={"Authorization": f"Bearer {acme}"}).status_code == 403
