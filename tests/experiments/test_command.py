"""The command line takes an experiment from its plan to its page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import visualsearch as vs
from visualsearch.cli import app
from visualsearch.errors import UsageError
from visualsearch.experiments import open_experiments
from visualsearch.people import Event

from ..world.conftest import cluster_records, make_index


def run(folder: Path, command: str, *words: str) -> Any:
    done = CliRunner().invoke(
        app, ["experiment", command, str(folder), "warm", *words, "--json"], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with make_index(tmp_path / "pins.index", cluster_records(each=5, kinds=2)):
        return tmp_path / "pins.index"


def test_a_command_for_each_step(folder: Path, tmp_path: Path) -> None:
    made = run(folder, "create", "--expect", "80", "--days", "1", "--metric", "saves", "--guard", "none")
    assert (made["state"], made["version"], made["plan"]["people"]) == ("draft", 1, 80)
    assert run(folder, "start", "--ramp", "0.5")["ramps"][0]["share"] == 0.5
    assert run(folder, "ramp", "--ramp", "1", "--reason", "quiet")["ramps"][-1]["reason"] == "quiet"
    with vs.open(folder) as index:
        arms = open_experiments(index.people).assign_many("warm", [f"p{n}" for n in range(90)])
        treated = [who for who, arm in arms.items() if arm == "treatment"]
        index.people.record([Event("save", who, "shop/shoes/000.jpg") for who in treated])
    page = tmp_path / "report.html"
    found = run(folder, "report", "--html", str(page), "--apply")
    assert sum(found["units"].values()) == 90
    assert found["lines"][0]["treatment"] == 1
    assert found["applied"] == {"state": "running", "ramp": 1.0}
    html = page.read_text(encoding="utf-8")
    assert html.count("<svg") >= 1
    assert 'role="img"' in html
    assert "better" in html
    assert "<script" not in html
    assert run(folder, "stop", "--reason", "<b>done</b>")["state"] == "stopped"
    assert "it was stopped" in run(folder, "report")["decision"]["reason"]
    assert run(folder, "report", "--interleaving")["sessions"] == 0
    shown = CliRunner().invoke(app, ["experiment", "report", str(folder), "warm", "--html", str(page)])
    assert "warm, version 1: stopped" in shown.stdout
    assert "&lt;b&gt;done" in page.read_text(encoding="utf-8")


def test_a_guardrail_of_ones_own_numbers_stops_it(folder: Path, tmp_path: Path) -> None:
    run(folder, "create", "--expect", "60", "--days", "1", "--metric", "saves", "--guard", "latency_ms=0.1")
    run(folder, "start")
    numbers = tmp_path / "numbers.json"
    slow = {"control": [100 + n % 7 for n in range(200)], "treatment": [170 + n % 7 for n in range(200)]}
    numbers.write_text(json.dumps({"latency_ms": slow}))
    with vs.open(folder) as index:
        open_experiments(index.people).ramp("warm", 1.0)
        open_experiments(index.people).assign_many("warm", [f"p{n}" for n in range(60)])
        index.people.record([Event("search", "p1")])
    found = run(folder, "report", "--numbers", str(numbers), "--apply")
    assert found["decision"]["action"] == "stop"
    assert "latency_ms went from" in found["decision"]["reason"]
    with vs.open(folder) as index:
        assert open_experiments(index.people).get("warm").state == "stopped"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--arm", "a=x", "--arm", "b"], "--arm 'a=x'"),
        (["--guard", "hides=much"], "--guard 'hides=much'"),
        (["--unit", "planet"], "unknown unit"),
    ],
)
def test_what_cannot_be_read_is_named(folder: Path, words: list[str], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        CliRunner().invoke(app, ["experiment", "create", str(folder), "warm", *words], catch_exceptions=False)


def test_an_experiment_of_a_server_says_what_its_arms_do(folder: Path) -> None:
    made = run(
        folder,
        "create",
        "--surface",
        "feed",
        "--arm",
        "plain",
        "--arm",
        "wide=2",
        "--set",
        "wide:diversity=0.6",
    )
    assert [arm["sets"] for arm in made["plan"]["arms"]] == [{"ranker": "plain"}, {"diversity": 0.6}]
    assert [rail["metric"] for rail in made["plan"]["guardrails"]][2:] == [
        "latency_ms",
        "errors",
        "diversity",
    ]
    mixed = run(
        folder, "create", "--surface", "feed", "--kind", "interleave", "--set", "treatment:ranker=learnt"
    )
    assert mixed["plan"]["kind"] == "interleave"
    assert "We cannot tell yet which is preferred" in run(folder, "report")["sentences"][-1]
    assert run(folder, "start")["state"] == "running"
    said = CliRunner().invoke(app, ["experiment", "costs", str(folder)])
    assert said.stdout == "Nothing was swapped and no fresh pin was tried in these days.\n"
    assert (
        json.loads(CliRunner().invoke(app, ["experiment", "costs", str(folder), "--json"]).stdout)["swaps"]
        == {}
    )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--set", "treatment:diversity"], "--set 'treatment:diversity'"),
        (["--set", "nobody:diversity=1", "--surface", "feed"], "unknown arm 'nobody'"),
        (["--set", "treatment:shine=1", "--surface", "feed"], "unknown setting of an arm 'shine'"),
        (["--set", "treatment:diversity=1"], "without a surface"),
        (["--surface", "moon"], "unknown surface"),
        (["--kind", "mixed", "--surface", "feed"], "unknown kind"),
        (
            ["--kind", "interleave", "--surface", "feed", "--unit", "session", "--set", "control:new=0"],
            "cannot be interleaved",
        ),
    ],
)
def test_what_a_server_cannot_do_is_named(folder: Path, words: list[str], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        CliRunner().invoke(app, ["experiment", "create", str(folder), "warm", *words], catch_exceptions=False)
