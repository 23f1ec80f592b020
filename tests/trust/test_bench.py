from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from visualsearch.cli import app

RUN = CliRunner()


def written(path: Path, head: str, rows: list[str]) -> str:
    text = "\n".join([head, *rows]) + "\n"
    (gzip.open if path.suffix == ".gz" else open)(path, "wt", encoding="utf-8").write(text)
    return str(path)


def test_accounts_texts_and_graph_give_one_document_each(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        f"{int(1000 * r)},{int(1000 * r * (0.01 if s else 1))},{s}"
        for r, s in zip(rng.random(80) + 1, [0, 1] * 40, strict=True)
    ]
    train, test = (written(tmp_path / name, "follows,followers,fake", rows) for name in ("a.csv.gz", "b.csv"))
    found = json.loads(RUN.invoke(app, ["bench", "trust", "--accounts", train, test, "--json"]).stdout)
    assert found["recall@precision0.95"] == 1
    assert found["judged"] == 80
    texts = [f'"free prize number {i}",1' for i in range(20)] + [
        f'"a garden in june {i}",0' for i in range(20)
    ]
    file = written(tmp_path / "t.csv", "text,spam", texts)
    found = json.loads(
        RUN.invoke(app, ["bench", "trust", "--texts", file, file, "--ask", "10", "--json"]).stdout
    )
    assert (found["f1"], found["asked"], found["judged"]) == (1, 10, 30)
    edges = written(tmp_path / "e.csv", "person,friend", ["0,1", "1,2", "3,4", "4,5"])
    who = written(
        tmp_path / "l.csv", "person,sybil,split", ["0,0,train", "3,1,train", "1,0,test", "4,1,test"]
    )
    found = json.loads(RUN.invoke(app, ["bench", "trust", "--graph", edges, who, "--json"]).stdout)
    assert found["auc"] == 1


def test_wrong_files_are_named(tmp_path: Path) -> None:
    good = written(tmp_path / "good.csv", "text,spam", ["a,1"])
    for rows, head, reason in (
        (["a"], "text", "has no labels"),
        (["a,2"], "text,spam", "line 2"),
        (["a,1,b"], "text,spam", "line 2"),
        ([], "text,spam", "has no labels"),
    ):
        bad = written(tmp_path / "bad.csv", head, rows)
        found = RUN.invoke(app, ["bench", "trust", "--texts", bad, good])
        assert reason in str(found.exception), rows
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"text,spam\n" * 1000)[:30])
    found = RUN.invoke(app, ["bench", "trust", "--texts", str(tmp_path / "cut.csv.gz"), good])
    assert "cannot read" in str(found.exception)
    assert "Give one of them" in str(RUN.invoke(app, ["bench", "trust"]).exception)


def test_experiments_are_measured_from_the_command_line() -> None:
    found = json.loads(RUN.invoke(app, ["bench", "experiments", "--runs", "20", "--json"]).stdout)
    assert found["simulated"] is True
    assert found["false_alarms"]["always_valid"] <= found["false_alarms"]["daily_z"]
