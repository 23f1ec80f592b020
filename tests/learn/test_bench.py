"""`bench ranking` on a small set of graded lists, and `bench quality` behind a learnt map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from visualsearch.errors import SourceError
from visualsearch.quality import measure_ranking, ndcg, read_labelled
from visualsearch.quality.bench import Bench
from visualsearch.ranking import Head

from ..conftest import Ran


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty lists of eight to learn from and ten to judge by; the label follows the first of five signals."""
    folder = tmp_path_factory.mktemp("graded")
    rng = np.random.default_rng(0)
    for split, queries in (("train", 40), ("test", 10)):
        lines = []
        for _ in range(queries * 8):
            signals = rng.random(5)
            cells = " ".join(f"{at}:{value:.4f}" for at, value in enumerate(signals))
            lines.append(f"{int(signals[0] * 4.99)} {cells}")
        (folder / f"rank.{split}").write_text("\n".join(lines))
        (folder / f"rank.{split}.query").write_text("8\n" * queries)
    return folder


def test_rankers_learnt_from_clicks_are_measured_against_full_labels(
    graded: Path, run: Callable[..., Ran]
) -> None:
    found = run(
        "bench", "ranking", graded, "--clicks", 1500, "--runs", 1, "--only", "ours,naive", "--json"
    ).json
    assert found["simulated"] is True
    assert set(found["ndcg"]) == {"ours", "naive"}
    assert 0.5 < found["ndcg"]["ours"][0] <= found["full"] + 0.1 <= 1.1
    assert found["against_naive"] == [pytest.approx(found["ndcg"]["ours"][0] - found["ndcg"]["naive"][0])]


def test_ndcg_is_one_in_the_right_order_and_files_that_lie_are_named(graded: Path, tmp_path: Path) -> None:
    data = read_labelled(graded, "test")
    assert ndcg(data.labels, data) == 1.0
    assert ndcg(-data.labels, data) < 0.9
    with pytest.raises(SourceError, match="no such file"):
        measure_ranking(tmp_path)
    (tmp_path / "rank.train").write_text("1 0:0.5\n")
    (tmp_path / "rank.train.query").write_text("7\n")
    with pytest.raises(SourceError, match="1 rows for 7 candidates"):
        measure_ranking(tmp_path)


def test_pictures_are_compared_behind_the_map_of_an_adapted_index() -> None:
    turned = Head(np.array([[0.0], [1.0]], np.float32), np.zeros(2, np.float32))
    queries = np.array([[0.8, 0.6]], np.float32)
    stored = np.array([[0.8, -0.6], [-0.8, 0.6]], np.float32)
    plain, adapted = Bench.__new__(Bench), Bench.__new__(Bench)
    plain.head, adapted.head = None, turned
    assert plain.alike(queries, stored).argmax() == 0
    assert adapted.alike(queries, stored).argmax() == 1
