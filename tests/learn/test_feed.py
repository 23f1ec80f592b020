"""A feed that clicks taught: learnt from a simulated world's events, judged on lists it never saw, served and explained."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.errors import UsageError
from visualsearch.learn import FEWEST_CLICKS, Deeds, teach, train_ranker
from visualsearch.recommend import (
    REACH,
    SIGNAL_NAMES,
    TAUGHT,
    moved,
    open_learnt,
    taught_of,
    taught_signals,
    write_learnt,
)
from visualsearch.world import WorldSettings, simulate

from ..conftest import Ran
from ..fakes import FakeEncoder
from ..world.conftest import cluster_records, make_index


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an index into which a world was simulated: some 4,000 clicks on feeds, a tenth of the lists shuffled."""
    folder = tmp_path_factory.mktemp("taught") / "pins.index"
    with make_index(folder, cluster_records(each=25)) as index:
        simulate(index, WorldSettings(people=220, days=8, seed=3, sessions_per_day=1.5, consent=(0.0, 0.0)))
    return folder


def test_a_ranker_that_wins_is_kept_served_explained_and_switched_off(
    world: Path, run: Callable[..., Ran]
) -> None:
    with vs.open(world, FakeEncoder()) as index:
        person = "sim-3-000007"
        plain = index.feed(person, k=12)
        found = run("learn", world, "--ranker", "--only", TAUGHT, "--json").json
        outcome = next(each for each in found["outcomes"] if each["part"] == TAUGHT)
        assert outcome["state"] == "built"
        assert outcome["figures"]["gain, low"] > 0
        shares = [value for name, value in outcome["figures"].items() if name.startswith("gain of ")]
        assert sum(shares) == pytest.approx(1)
        served = index.feed(person, k=12)
        assert served.ids != plain.ids
        told = served[0].signals
        assert {f"taught {name}" for name in SIGNAL_NAMES} <= told.keys()
        assert all(hit.why is not None for hit in served)
        again = next(
            e for e in run("learn", world, "--only", TAUGHT, "--json").json["outcomes"] if e["part"] == TAUGHT
        )
        assert again["state"] == "kept"  # once on, it stays on
        assert run("learn", world, "--no-ranker", "--only", "graph").code == 0
        assert taught_of(world) is None
        assert TAUGHT not in open_learnt(world).names
        assert index.feed(person, k=12).ids == plain.ids


def test_below_the_stated_number_of_clicks_the_plain_order_stays(world: Path) -> None:
    with vs.open(world, FakeEncoder()) as index:
        found = teach(index, fewest=100_000)
        assert found.taught is None
        assert "and 100,000 are needed" in found.why
        bots = teach(index, without=lambda pseudonym: True)
        assert bots.taught is None  # everybody was left out
        assert bots.clicks < FEWEST_CLICKS


def test_signals_that_say_nothing_are_refused_by_the_held_out_lists(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def luck(vectors: np.ndarray, *rest: object) -> np.ndarray:
        return np.random.default_rng(len(vectors)).random((len(vectors), 5)).astype(np.float32)

    monkeypatch.setattr("visualsearch.learn.feed.taught_signals", luck)
    with vs.open(world, FakeEncoder()) as index:
        found = teach(index)
    assert found.taught is None
    assert "on held-out lists the gain of" in found.why


def test_a_search_and_related_pins_move_by_a_few_places_as_clicks_taught(world: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(world, tmp_path / "pins.index")
    with vs.open(folder, FakeEncoder()) as index:
        assert "and 2,000 are needed" in teach(index, surface="search").why
        lesson = teach(index, surface="search", fewest=300)
        assert lesson.taught is not None
        assert lesson.judged is not None
        assert lesson.judged.wins
        person, pin = "sim-3-000007", "shop/shoes/003.jpg"
        asked = {"like": pin, "k": 40}
        plain, near = index.search(person=person, **asked), index.related(pin, 12, person=person)
        parts = [lesson.taught.part("x", {}, surface) for surface in ("search", "related")]
        write_learnt(folder, parts, watermark=0, seed=0)
        served = index.search(person=person, **asked)
        assert served.ids != plain.ids
        assert set(served.ids[:32]) <= set(plain.ids)
        assert (
            max(abs(plain.ids.index(name) - at) for at, name in enumerate(served.ids) if name in plain.ids)
            <= REACH
        )
        assert all(abs(hit.signals["taught"]) <= REACH / 2 for hit in served)
        assert list(served.scores) != sorted(served.scores, reverse=True)
        scores = [hit.rank_score or 0.0 for hit in served]
        assert scores == sorted(scores, reverse=True)
        for own in ({"learnt": False}, {"personal": 0.0}, {"ranker": "varied"}, {"diversity": 0.3}):
            assert "taught" not in index.search(person=person, **asked, **own)[0].signals
        assert index.search(**asked).ids == index.search(person="nobody", **asked).ids
        again = index.related(pin, 12, person=person)
        assert again.ids != near.ids
        assert index.related(pin, 12).ids == index.related(pin, 12, person="nobody").ids == near.ids
        assert "taught" in again[0].signals


def test_an_order_that_says_nothing_moves_nothing() -> None:
    assert moved(np.zeros(5, np.float32)).tolist() == [0, 1, 2, 3, 4]
    scores = np.array([-9, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0], np.float32)
    # The last gains four places and the first loses four; equals keep their plain order.
    assert moved(scores).tolist() == [1, 2, 3, 0, 4, 5, 9, 6, 7, 8, 10, 11]


def test_a_new_person_without_saves_has_signals_that_say_nothing() -> None:
    none = np.zeros((0, 3), np.float32)
    made = taught_signals(
        np.eye(3, dtype=np.float32), none, none, np.full(3, 0.2), np.array([0.0, 14.0, 28.0])
    )
    assert made[:, :3].tolist() == [[0, 0, 0]] * 3
    assert made[:, 4].tolist() == [1.0, 0.5, 0.25]


def drawn(seed: int = 0, clicks: int = 4000) -> tuple[Deeds, np.ndarray]:
    """Lists of eight that stand by a signal which misleads; the true worth hides in another one."""
    rng = np.random.default_rng(seed)
    queries, size = 150, 8
    signals = rng.random((queries * size, 3)).astype(np.float32)
    worth = 0.05 + 0.9 * signals[:, 0] ** 2
    chance = 1 / (1 + np.arange(size))
    row, lists, place, value = [], [], [], []
    for number in range(clicks):
        query = int(rng.integers(queries))
        shown = query * size + np.argsort(-signals[query * size : (query + 1) * size, 1])
        row.append(shown)
        lists.append(np.full(size, number))
        place.append(np.arange(size))
        value.append(rng.random(size) < chance * worth[shown])
    place_all = np.concatenate(place)
    deeds = Deeds(
        ("true", "misleading", "noise"), signals, np.full(queries, size), np.concatenate(row),
        np.concatenate(lists), chance[place_all], np.concatenate(value).astype(float), place_all,
    )  # fmt: skip
    return deeds, worth


def test_what_stood_on_top_is_not_taken_for_what_is_good() -> None:
    deeds, worth = drawn()
    ours, naive, position = (train_ranker(deeds, way, rounds=40) for way in ("ours", "naive", "position"))
    agree = {
        name: np.corrcoef(trees.scores(deeds.signals), worth)[0, 1]
        for name, trees in (("ours", ours), ("naive", naive), ("position", position))
    }
    assert agree["ours"] > agree["naive"] + 0.1
    assert next(iter(ours.gains)) == "true"
    assert next(iter(naive.gains)) == "misleading"
    added = ours.contributions(deeds.signals[:5])
    assert added.shape == (5, 3)
    with pytest.raises(UsageError, match="no way 'luck'"):
        train_ranker(deeds, "luck")
