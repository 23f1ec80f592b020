"""Tuning keeps the fastest setting that reaches the recall, and an index built anew keeps what was chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

import visualsearch as vs
from visualsearch import engine, planner
from visualsearch.tuning import Trial, _front, pick

from .fakes import FakeEncoder
from .test_engine import DEAR_SCANS, add_given, clustered


def trial(recall: float, milliseconds: float) -> Trial:
    return Trial({"nprobe": int(100 * recall)}, recall, milliseconds)


def test_the_fastest_setting_that_reaches_the_recall_is_picked() -> None:
    trials = [trial(0.9, 1), trial(0.96, 3), trial(0.99, 2.5), trial(1.0, 9)]
    assert pick(trials, 0.95).recall == 0.99
    assert pick(trials, 0.5).recall == 0.9
    assert pick(trials[:2], 0.999).recall == 0.96  # none reaches it: the best


def test_the_front_holds_what_no_other_setting_beats() -> None:
    front = [
        t
        for t in _front([trial(0.9, 1), trial(0.8, 2), trial(0.96, 3), trial(0.96, 4), trial(1.0, 9)])
        if t.best
    ]
    assert [(t.recall, t.milliseconds) for t in front] == [(0.9, 1), (0.96, 3), (1.0, 9)]


@pytest.mark.parametrize(("preset", "knob"), [("hnsw", "efSearch"), ("ivf-rabitq", "nprobe")])
def test_what_is_chosen_is_stored_used_and_survives_a_compaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preset: str, knob: str
) -> None:
    monkeypatch.setattr(engine, "FRESH_ROWS", 50)
    monkeypatch.setattr(planner, "COSTS", DEAR_SCANS)
    index = vs.create(tmp_path / "x.index", FakeEncoder(), preset=preset)
    add_given(index, clustered(2000), monkeypatch)
    chosen, trials = index.tune(0.9, samples=30)
    assert chosen is not None
    assert chosen.recall >= 0.9
    assert chosen.recall == next(t for t in trials if t.search == chosen.search).recall
    assert {t.search[knob] for t in trials} >= {16, 64}
    with index.catalog.read() as reader:
        generation = reader.generation()
    assert generation is not None
    assert generation.search == chosen.search
    with index._open() as (_, snapshot):
        assert snapshot.candidates == chosen.search["candidates"]
    index.remove(["v1"])
    index.compact()
    with index.catalog.read() as reader:
        again = reader.generation()
    assert again is not None
    assert again.search == chosen.search
    assert index.recall() >= 0.85


def test_an_exact_index_has_nothing_to_tune(index: vs.Index) -> None:
    assert index.tune(0.99) == (None, [])
