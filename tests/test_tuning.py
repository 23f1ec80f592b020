"""Tuning keeps the fastest recipe and setting that fulfil the wish, and an index built anew keeps what was chosen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import visualsearch as vs
from visualsearch import upkeep
from visualsearch.cli.common import size_in_bytes
from visualsearch.errors import UsageError
from visualsearch.nearest import recipes, tuning
from visualsearch.nearest.tuning import Trial, Wish, front, fulfils, pick
from visualsearch.search import planner

from .fakes import FakeEncoder
from .test_engine import DEAR_SCANS, add_given, clustered


def trial(recall: float, milliseconds: float, size: float = 100.0) -> Trial:
    return Trial("p", {"nprobe": int(100 * recall)}, recall, milliseconds, bytes_per_row=size)


def test_the_fastest_setting_that_reaches_the_recall_is_picked() -> None:
    trials = [trial(0.9, 1), trial(0.96, 3), trial(0.99, 2.5), trial(1.0, 9)]
    assert pick(trials, Wish(0.95), 10).recall == 0.99
    assert pick(trials, Wish(0.5), 10).recall == 0.9
    assert pick(trials[:2], Wish(0.999), 10).recall == 0.96  # none reaches it: the best


def test_a_memory_and_a_latency_are_kept_to() -> None:
    trials = [trial(0.99, 1, 600), trial(0.97, 3, 70), trial(0.96, 2, 90), trial(0.99, 8, 80)]
    assert pick(trials, Wish(0.95), 1000).bytes_per_row == 600
    assert pick(trials, Wish(0.95, memory=95_000), 1000).milliseconds == 2
    assert pick(trials, Wish(0.965, memory=95_000), 1000).milliseconds == 3
    too_much = Wish(0.98, milliseconds=5, memory=95_000)
    kept = pick(trials, too_much, 1000)
    assert (kept.recall, kept.bytes_per_row) == (0.99, 80)
    assert not fulfils(kept, too_much, 1000)
    assert fulfils(kept, replace(too_much, milliseconds=None), 1000)


def scan(milliseconds: float) -> Trial:
    return Trial("exact", {}, 1.0, milliseconds)


def test_the_exact_scan_is_kept_where_it_is_fast_enough_or_fastest() -> None:
    graph = trial(0.99, 0.04)
    assert pick(
        [graph, scan(0.06)], Wish(0.95), 300
    ).exact  # a graph that saves 0.02 ms is not worth its upkeep
    assert pick([graph, scan(tuning.FAST_ENOUGH)], Wish(0.95), 300).exact
    assert pick([graph, scan(1.5)], Wish(0.95), 300) == graph
    assert pick([trial(0.99, 3.0), scan(1.5)], Wish(0.95), 300).exact
    assert (
        pick([graph, scan(0.06)], Wish(0.95, milliseconds=0.05), 300) == graph
    )  # what was asked for comes first


def test_three_hundred_pins_are_searched_exactly_and_the_output_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from visualsearch.cli.tune import tune

    monkeypatch.setattr(tuning, "_times", lambda _: (0.06, 0.1))  # what a scan of so few rows takes
    monkeypatch.setattr(tuning, "_tried", lambda part, _: [trial(0.99, 0.02)] if part.generation else [])
    index = vs.create(tmp_path / "x.index", FakeEncoder())
    add_given(index, clustered(300), monkeypatch)
    index.close()
    tune(tmp_path / "x.index", as_json=True)
    out, err = capsys.readouterr()
    assert json.loads(out)["chosen"]["preset"] == "exact"
    assert json.loads(out)["exact"]["milliseconds"] == 0.06
    assert "exact: a scan of all rows takes 0.06 ms, so nothing needs to be built" in err
    assert vs.open(tmp_path / "x.index", FakeEncoder()).info()["preset"] == "exact"


def test_the_front_holds_what_no_other_setting_beats() -> None:
    trials = [trial(0.9, 1), trial(0.8, 2), trial(0.96, 3), trial(0.96, 4), trial(1.0, 9), trial(0.7, 5, 50)]
    shown = [(t.recall, t.milliseconds) for t in front(trials) if t.best]
    assert shown == [(0.9, 1), (0.96, 3), (0.7, 5), (1.0, 9)]  # 0.7 is the smallest


@pytest.mark.parametrize(
    ("text", "size"), [("500MB", 500_000_000), ("1gb", 10**9), ("2GiB", 2**31), ("1.5G", 1_500_000_000)]
)
def test_sizes_are_read_with_their_units(text: str, size: int) -> None:
    assert size_in_bytes(text) == size


@pytest.mark.parametrize("text", ["", "much", "1TBB", "-3GB", "IB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a size"):
        size_in_bytes(text)


@pytest.mark.parametrize(("preset", "knob"), [("hnsw", "efSearch"), ("ivf-rabitq", "nprobe")])
def test_what_is_chosen_is_stored_used_and_survives_a_compaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preset: str, knob: str
) -> None:
    monkeypatch.setattr(upkeep, "FRESH_ROWS", 50)
    monkeypatch.setattr(planner, "COSTS", DEAR_SCANS)
    index = vs.create(tmp_path / "x.index", FakeEncoder(), preset=preset)
    add_given(index, clustered(2000), monkeypatch)
    chosen, trials = index.tune(0.9, samples=30, preset=preset)
    assert chosen.preset == preset
    assert chosen.recall >= 0.9
    assert chosen.rows == 2000
    assert {t.search[knob] for t in trials if not t.exact} >= {16, 64}
    assert [t.recall for t in trials if t.exact] == [1.0]  # for comparison, though one recipe was asked for
    with index.catalog.read() as reader:
        generation = reader.generation()
    assert generation is not None
    assert generation.search == chosen.search
    assert generation.recall == chosen.recall
    with index._open() as (_, snapshot):
        assert snapshot.candidates == chosen.search["candidates"]
    index.remove(["v1"])
    index.compact()
    with index.catalog.read() as reader:
        again = reader.generation()
    assert again is not None
    assert again.search == chosen.search
    assert index.recall() >= 0.85


def test_another_recipe_that_wins_is_built_remembered_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "COSTS", DEAR_SCANS)
    monkeypatch.setattr(tuning, "SAMPLE_ROWS", 1000)
    index = vs.create(tmp_path / "x.index", FakeEncoder())
    add_given(index, clustered(2000), monkeypatch)
    assert index.info()["preset"] == "exact"
    said: list[str] = []
    chosen, trials = index.tune(0.9, preset="ivf-rabitq", samples=30, say=said.append)
    assert said[0].startswith("exact: ")
    assert said[1:] == [
        "ivf-rabitq: building on a sample of 1,000 rows",
        "ivf-rabitq: building on all 2,000 rows",
    ]
    assert {t.rows for t in trials} == {2000}  # the sample's trials gave way to those over all rows
    info = index.info()
    assert (info["preset"], info["preset_wanted"]) == ("ivf-rabitq", "ivf-rabitq")
    assert info["recall"] >= 0.9
    assert not index.verify()
    index.close()
    with vs.open(tmp_path / "x.index", FakeEncoder()) as again, again._open() as (_, snapshot):
        assert snapshot.generation is not None
        assert snapshot.generation.search == chosen.search


def test_an_index_whose_memory_is_too_small_for_any_recipe_is_searched_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "FRESH_ROWS", 50)
    index = vs.create(tmp_path / "x.index", FakeEncoder(), preset="hnsw")
    add_given(index, clustered(500), monkeypatch)
    chosen, trials = index.tune(0.9, memory=10, samples=20)
    assert (chosen.preset, chosen.recall, chosen.bytes_per_row) == ("exact", 1.0, 0.0)
    assert {t.preset for t in trials} == set(recipes.presets())
    assert index.info()["preset"] == "exact"
    assert list((tmp_path / "x.index" / "ann").glob("*.faiss")) == []  # the graph's file went with it


def test_no_recipe_is_begun_when_the_time_is_over(index: vs.Index) -> None:
    said: list[str] = []
    chosen, trials = index.tune(0.99, seconds=0.0, say=said.append)
    assert chosen.preset == "exact"
    assert {t.preset for t in trials} == {"exact"}
    assert "hnsw: left out, the time is over" in said


def test_an_empty_index_cannot_be_tuned(tmp_path: Path) -> None:
    with (
        vs.create(tmp_path / "x.index", FakeEncoder()) as empty,
        pytest.raises(UsageError, match="nothing to tune"),
    ):
        empty.tune()


def test_the_choice_is_printed_with_its_front(index: vs.Index, capsys: pytest.CaptureFixture[str]) -> None:
    from visualsearch.cli.tune import tune

    tune(index.folder, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown["reached"] is True
    assert shown["chosen"]["recall"] >= 0.95
    assert shown["chosen"]["preset"] in recipes.presets()
    assert shown["chosen"] in shown["front"]


def test_a_trial_is_the_same_whether_or_not_others_beat_it() -> None:
    slow = Trial("hnsw", {"efSearch": 32}, 1.0, 0.039, bytes_per_row=300.0, rows=100)
    fast = Trial("ivf-rabitq", {"nprobe": 4}, 1.0, 0.038, bytes_per_row=70.0, rows=100)
    (alone,) = front([slow])
    beaten = front([fast, alone])[1]
    assert (alone.best, beaten.best) == (True, False)
    assert alone == beaten
