"""`bench recommend`: the contract's document, figures that are counted by hand, peers, and what odd tables do."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from visualsearch.quality import PEERS, measure_recommend
from visualsearch.recommend import figures, interval, matrix_of


def write(path: Path, pairs: list[tuple[str, str]], header: str = "person,pin") -> Path:
    text = "\n".join([header, *(f"{a},{b}" for a, b in pairs)]) + "\n"
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two topics of 15 pins; each of 60 persons saves ten pins of one, and three of these are the test."""
    folder = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    train, test = [], []
    for person in range(60):
        chosen = rng.permutation(15)[:10] + 15 * (person % 2)
        pairs = [(f"{person:03d}", f"pin{pin}") for pin in chosen]
        train += pairs[:7]
        test += pairs[7:]
    return write(folder / "train.csv.gz", train), write(folder / "test.csv", test)


def test_the_document_has_what_the_contract_says(run: Any, tables: tuple[Path, Path]) -> None:
    done = run("bench", "recommend", *tables, "--json")
    assert done.code == 0
    assert {"recall@10", "recall@20", "ndcg@10", "method", "seconds", "peers"} <= set(done.json)
    assert done.json["recall@10"] > 0.9  # eight pins of the topic are left, and three of them are the test
    assert done.json["peers"] == {}
    assert "persons" in done.err


def test_peers_come_with_their_settings_and_the_interval_of_the_gain(
    run: Any, tables: tuple[Path, Path]
) -> None:
    done = run("bench", "recommend", *tables, "--only", "popularity,item-knn,rp3beta,ease", "--json")
    peers = done.json["peers"]
    assert list(peers) == ["popularity", "item-knn", "rp3beta", "ease"]
    assert peers["popularity"]["recall@10"] < 0.6
    low, high = peers["popularity"]["gain"]["recall@10"]["interval"]
    assert 0 < low < peers["popularity"]["gain"]["recall@10"]["mean"] < high
    assert peers["ease"]["tried"] == len(PEERS["ease"].grid)
    assert peers["ease"]["recall@10"] > 0.9
    shown = run("bench", "recommend", *tables, "--only", "popularity")
    assert "ours gains +" in shown.out


def test_a_peer_that_is_not_installed_is_named_with_its_command(
    run: Any, tables: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visualsearch.quality.recommend_peers.base.find_spec", lambda name: None)
    done = run("bench", "recommend", *tables, "--only", "implicit-als", "--json")
    assert done.json["peers"] == {"implicit-als": {"missing": "pip install implicit"}}
    assert "pip install implicit" in done.err


def test_the_figures_are_those_counted_by_hand() -> None:
    lists = np.array([[3, 1, *range(10, 28)], [0, 5, *range(10, 28)], [7, 8, *range(10, 28)]])
    wanted = matrix_of(np.array([0, 0, 1, 1]), np.array([1, 12, 5, 27]), (3, 30))
    found = figures(lists, wanted, np.array([2, 4, 1]))
    # Person 0: pins 1 and 12 at places 2 and 5. Person 1: 5 at place 2, 27 at place 20, of four test pins.
    assert found[0].tolist() == pytest.approx(
        [1.0, 1.0, (1 / np.log2(3) + 1 / np.log2(6)) / (1 + 1 / np.log2(3))]
    )
    assert found[1, :2].tolist() == [0.25, 0.5]
    assert found[2].tolist() == [0.0, 0.0, 0.0]


def test_an_interval_holds_its_mean_and_narrows_with_more_persons() -> None:
    rng = np.random.default_rng(0)
    few, many = (rng.normal(0.1, 1.0, n) for n in (100, 10_000))
    assert interval(few)[0] < few.mean() < interval(few)[1]
    assert np.diff(interval(many))[0] < np.diff(interval(few))[0] / 5


def test_follows_beside_the_training_table_are_read_and_said(run: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    train, test, follows = [], [], []
    for group in range(
        40
    ):  # two who follow each other save the same pins; only that tells what the second saves
        liked = rng.permutation(60)[:8]
        train += [(f"a{group}", f"p{pin}") for pin in liked] + [
            (f"b{group}", f"p{liked[0]}"),
            (f"b{group}", f"p{liked[1]}"),
        ]
        test += [(f"b{group}", f"p{pin}") for pin in liked[2:]]
        follows += [(f"b{group}", f"a{group}")]
    write(tmp_path / "train.csv", train)
    write(tmp_path / "test.csv", test)
    write(tmp_path / "follows.csv.gz", follows, "person,follows")
    with_them = run("bench", "recommend", tmp_path / "train.csv", tmp_path / "test.csv", "--json")
    assert "follows read from" in with_them.err
    gain = with_them.json["follows"]["gain"]["recall@20"]
    assert gain["interval"][0] > 0
    without = run(
        "bench", "recommend", tmp_path / "train.csv", tmp_path / "test.csv", "--no-follows", "--json"
    )
    assert without.json["follows"] is None
    assert without.json["recall@20"] == pytest.approx(
        with_them.json["follows"]["without"]["recall@20"], abs=0.05
    )


def test_boards_stand_for_persons_and_parquet_is_read(
    run: Any, tables: tuple[Path, Path], tmp_path: Path
) -> None:
    import pyarrow.csv
    import pyarrow.parquet

    paths = []
    for path in tables:
        table = pyarrow.csv.read_csv(path)
        table = table.rename_columns(["board", "pin"]).append_column("note", table.column(1))
        paths.append(tmp_path / f"{path.name.split('.')[0]}.parquet")
        pyarrow.parquet.write_table(table, paths[-1])
    assert run("bench", "recommend", *paths, "--json").json["recall@10"] > 0.9


def test_unknown_persons_get_what_is_popular_and_unknown_pins_count_as_missed(tmp_path: Path) -> None:
    train = write(
        tmp_path / "train.csv", [(f"p{n}", pin) for n in range(9) for pin in ("a", "b", f"c{n % 3}")]
    )
    test = write(tmp_path / "test.csv", [("new", "a"), ("new", "nowhere")])
    said: list[str] = []
    found = measure_recommend(train, test, say=said.append)
    assert found.figures["recall@10"] == 0.5
    assert any("1 persons are not in" in line for line in said)
    assert any("nothing can find them" in line for line in said)


@pytest.mark.parametrize(
    ("train", "said"),
    [
        (b"", "it is empty"),
        (b"person,pin\n", "it has no rows"),
        (b"person,thing\na,b\n", "it has no column `pin`; it has person, thing"),
        (b"person,pin\na,x\na,y\n", "it has one person only"),
        (b"person,pin\na,x\nb,x\n", "it has one pin only"),
        (b"\x00\x01\x02\xff\xfe", "cannot"),
    ],
)
def test_odd_training_tables_are_told(run: Any, tmp_path: Path, train: bytes, said: str) -> None:
    (tmp_path / "train.csv").write_bytes(train)
    write(tmp_path / "test.csv", [("a", "x")])
    done = run("bench", "recommend", tmp_path / "train.csv", tmp_path / "test.csv", "--json")
    assert (done.code, done.out) == (2, "")
    assert said in done.err


@pytest.mark.parametrize("harm", ["cut", "empty", "none"])
def test_a_cut_archive_is_told(run: Any, tables: tuple[Path, Path], tmp_path: Path, harm: str) -> None:
    path = tmp_path / "train.csv.gz"
    whole = tables[0].read_bytes()
    if harm != "none":
        path.write_bytes(whole[: len(whole) // 2] if harm == "cut" else b"")
    done = run("bench", "recommend", path, tables[1])
    assert done.code == 2
    assert "train.csv.gz" in done.err


def test_rows_that_stand_twice_or_in_both_tables_or_are_short(tmp_path: Path) -> None:
    rows = [(f"p{n % 7}", f"x{n % 5}") for n in range(70)]
    train = write(tmp_path / "train.csv", [*rows, ("p0,extra", "x1"), ("", "x1")])
    test = write(tmp_path / "test.csv", [("p0", "x0"), ("p0", "x9"), ("p0", "x9")])
    said: list[str] = []
    found = measure_recommend(train, test, say=said.append)
    assert found.figures["recall@20"] == 0.0
    text = "\n".join(said)
    for part in ("stand twice", "2 rows without a value", "stand in train.csv too"):
        assert part in text
    with pytest.raises(Exception, match="nothing is left to test"):
        measure_recommend(train, write(tmp_path / "same.csv", [("p0", "x0")]))


def test_ids_keep_their_zeros_and_quotes(tmp_path: Path) -> None:
    from visualsearch.recommend import read_saves

    path = tmp_path / "train.csv"
    path.write_text('person,pin\n007,"a,b"\n7,"a,b"\n7,"line\nbreak"\n')
    saves = read_saves(path, print)
    assert saves.persons == ("007", "7")
    assert saves.pins == ("a,b", "line\nbreak")


def test_an_unknown_peer_lists_the_known_ones(run: Any, tables: tuple[Path, Path]) -> None:
    done = run("bench", "recommend", *tables, "--only", "eas")
    assert done.code == 2
    assert "ease" in done.err
