"""The benchmark suite runs, small, and its recalls and sizes are right; its runner and its report do what they say.

No time is checked: on a busy machine it would mean nothing.
"""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parent.parent
SUITE = ROOT / "benchmarks"
pytestmark = pytest.mark.skipif(not SUITE.is_dir(), reason="a source distribution has no benchmarks")
Result = dict[str, Any]


@pytest.fixture(scope="module")
def suite() -> Iterator[SimpleNamespace]:
    """The suite's modules, which live in a folder of scripts."""
    names = ("common", "plots", "goals", "views", "run", "report", "peers")
    sys.path.insert(0, str(SUITE))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    finally:
        sys.path.remove(str(SUITE))
        for name in names:
            del sys.modules[name]


# -- every benchmark, small -----------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the results of a smoke run of everything, and what the runner said."""
    folder = tmp_path_factory.mktemp("smoke")
    command = [sys.executable, str(SUITE / "run.py"), "--smoke", "--to", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return folder, done.stdout


def read(folder: Path, name: str) -> Result:
    found: Result = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return found


def rows(result: Result) -> dict[str, Mapping[str, Any]]:
    return {row["name"]: row for row in result["rows"]}


def cold_start(result: Result) -> None:
    assert {"visualsearch search PICTURE", "visualsearch search --text", "rclip"} <= set(rows(result))
    assert result["pins"] == 300


def vectors(result: Result) -> None:
    found = result["check"]
    assert found["rows"] > 200
    assert 0 < found["real among the made"] < found["rows"]
    for kind in ("real", "made"):
        assert all(0 <= value <= 1 for value in found[kind]["recall"].values())


def embed(result: Result) -> None:
    ours = [
        row for name, row in rows(result).items() if name.startswith("visualsearch") and "skipped" not in row
    ]
    assert ours
    for row in ours:
        assert row["mean_cosine"] >= 0.999
        assert 0 <= row["overlap_top10"] <= 1


def pipeline(result: Result) -> None:
    whole = [row for row in result["rows"] if row["stage"] == "end to end"]
    assert whole
    for row in whole:
        assert row["failed"] == 0
        assert row["cpu_ms"] > 0
        assert row["efficiency"] > 0


def index_end_to_end(result: Result) -> None:
    ours = rows(result)["visualsearch index"]
    assert ours["failed"] == 0
    assert result["pictures"] == 40


def decode(result: Result) -> None:
    contestants = {row.get("contestant") for row in result["rows"]}
    assert {"visualsearch, without the extra", "floor"} <= contestants
    for row in result.get("nearness", []):
        if row["encoder"].startswith("bundled") and row["set"] != "12 MP":
            assert row["cosine_mean"] >= 0.99


def scale(result: Result) -> None:
    assert {row["rows"] for row in result["rows"]} == {2000, 4000}
    assert min(row["recall"] for row in result["rows"]) >= 0.95


def kmeans(result: Result) -> None:
    errors = {row["key"]: row["error"] for row in result["rows"]}
    assert len(errors) >= 2
    assert max(errors.values()) <= 1.05 * errors["plain"]


def search(result: Result) -> None:
    best: dict[str, float] = {}
    for row in result["rows"]:
        if "recall" in row:
            best[row["key"]] = max(best.get(row["key"], 0), row["recall"])
            assert row["bytes_per_vector"] > 0
    assert {"hnsw", "ivf-rabitq"} <= set(best)
    assert min(best.values()) >= 0.9


def exact(result: Result) -> None:
    assert result["same_as_float64"] == {"one": 1.0, "batch": 1.0}
    found = rows(result)
    assert found["visualsearch, 1 query"]["bytes_per_vector"] == 0
    assert found["IndexFlatIP, 64 queries"]["bytes_per_vector"] == 4 * result["vectors"]["dim"]
    assert {goal["goal"] for goal in result["goals"]} == {"exact-one", "exact-batch"}
    assert result["vectors"]["dim"] == 512


def filtered(result: Result) -> None:
    mine = [row for row in result["rows"] if row.get("contestant") == "visualsearch"]
    assert len(mine) == 14, "three kinds of filter at four selectivities, one at two"
    for row in mine:
        assert row["recall"] >= 0.95, row["name"]
        assert row["plan"] in ("filtered-exact", "filtered-ann")
    assert 0 < result["filter"]["column_bytes_per_pin"] < 100


def people(result: Result) -> None:
    names = {row["name"] for row in result["rows"]}
    assert {"SQLite, record, 4 threads", "SQLite, save", "SQLite, import, no ids", "SQLite, forget"} <= names
    assert all(row["per_second"] > 0 for row in result["rows"] if "per_second" in row)


def people_http(result: Result) -> None:
    events = [row for row in result["rows"] if row["name"] == "events in batches of 100"]
    assert [row["database"] for row in events] == ["SQLite"]
    assert all(row["per_second"] > 0 for row in events)


def recommend(result: Result) -> None:
    rows = {row["name"].split(", ", 1)[1]: row for row in result["rows"]}
    assert rows["build"]["saves"] > 15_000
    assert rows["build"]["mapped_gb"] < 0.001
    for name in ("compiled walk", "numpy walk"):
        if "skipped" not in rows.get(name, {"skipped": True}):
            assert rows[name].get("top20_of_10M_single_steps", 1) > 0.85
    assert rows["numpy walk"]["p50_ms"] > 0


def feed(result: Result) -> None:
    rows = {row["name"]: row for row in result["rows"]}
    for name in ("feed", "plain", "popular", "last save"):
        assert rows[f"world, {name}"]["impressions"] > 0
    assert rows["world, feed"]["alike"] < rows["world, plain"]["alike"]
    speed = next(row for name, row in rows.items() if name.startswith("speed"))
    assert speed["saves_that_counted_at_once"] == speed["pages"] > 0
    assert sum(row["chosen"] for name, row in rows.items() if name.startswith("search")) == 1


def cold_pins(result: Result) -> None:
    found = rows(result)
    assert found["ideas"]["cold_recall"] > 0
    assert found["ideas"]["cold_boards"] >= 1
    assert found["popular"]["cold_recall"] == 0, "nobody saved them"


def feed_size(result: Result) -> None:
    for row in result["rows"]:
        assert row["saves_that_counted_at_once"] == 1.0
        assert 0 < row["p50_ms"] <= row["p99_ms"]


def insight(result: Result) -> None:
    row = rows(result)["reports"]
    assert row["simulated"] is True
    for name in ("trends", "merchant", "timing"):
        assert row[f"{name}_seconds"] > 0
        assert row[f"{name}_peak_mb"] < 4000
    drawn = rows(result)["map"]
    assert drawn["picture_bytes_largest"] < 200_000
    assert drawn["tiles"] > 4 ** (drawn["levels"] - 2)


def costs(result: Result) -> None:
    fitted = {(line["part"], line["what"]): line for line in result["lines"]}
    assert {"pins", "people", "pictures"} == {part for part, _ in fitted}
    assert 1024 < fitted["pins", "disk_mb"]["slope"] < 5_000, (
        "a row has 1,024 bytes of vector, in MB a million"
    )
    asked = [row for row in result["rows"] if "kind" in row]
    assert {row["kind"] for row in asked} == {"search by pin", "search by picture", "save", "100 events"}
    for row in asked:
        assert row["answered"] > 0
        assert {status[0] for status in row["statuses"]} == {"2"}


def soak(result: Result) -> None:
    total = rows(result)["all"]
    assert total["bad"] == {}
    assert total["answered"] > 0
    assert total["least_live_recall"] >= 0.95
    assert set(total["experiments"]) == {"soak-feed", "soak-search"}
    assert result["exit_code"] in (0, -15), "ended when it was told to"


def campaign(result: Result) -> None:
    found = rows(result)
    assert set(found) == {"kill", "middle", "http", "postgres", "disk", "torn", "clock"}
    for name, row in found.items():
        assert row["flaws"] == []
        assert row.get("faults", 0) >= 1 or (name == "disk" and "tmpfs" in row["skipped"])
    assert found["kill"]["acknowledged"]
    assert found["postgres"]["acknowledged"]["pin"] >= 3


def fuzz(result: Result) -> None:
    found = rows(result)
    assert set(found) == {
        "picture", "source", "filter", "event", "import", "http", "page", "feed", "where", "api",
    }  # fmt: skip
    for row in found.values():
        assert row["findings"] == []
        assert row["inputs"] >= 100


def promote(result: Result) -> None:
    rows = {row["name"]: row for row in result["rows"]}
    assert rows["rules"]["promoted"] > 0
    assert rows["rules"]["violations"] == 0
    assert rows["kills"]["flaws"] == []
    assert rows["kills"]["entries"] > 0
    assert rows["lies, vcg"]["gain"] <= 0.01
    assert rows["world, organic saves"]["pages"] > 0


def update_while_searching(result: Result) -> None:
    beside = rows(result)["beside the writer"]
    assert rows(result)["readers alone"]["errors"] == beside["errors"] == beside["stale"] == 0
    assert beside["rounds"] == 10
    assert not beside["writer_errors"]
    assert beside["rounds_found"] >= 1
    assert beside["recall"] >= 0.99
    assert beside["recall_fresh"] >= 0.99
    assert result["index"]["pins"] == 2000


def serve_load(result: Result) -> None:
    assert [row["clients"] for row in result["rows"]] == [1, 8, 64, 1, 8, 64]
    assert result["index"]["pins"] == 1000
    for row in result["rows"]:
        assert row["statuses"].get("200", 0) > 0
        assert set(row["statuses"]) <= {"200", "429"}, "nothing but answers and honest refusals"
        assert row["connections_lost"] == 0


CHECKS: Mapping[str, Callable[[Result], None]] = {
    "vectors": vectors,
    "exact": exact,
    "embed": embed,
    "index_end_to_end": index_end_to_end,
    "decode": decode,
    "pipeline": pipeline,
    "search": search,
    "scale": scale,
    "kmeans": kmeans,
    "filtered": filtered,
    "people": people,
    "people_http": people_http,
    "recommend": recommend,
    "feed": feed,
    "cold_pins": cold_pins,
    "feed_size": feed_size,
    "insight": insight,
    "costs": costs,
    "soak": soak,
    "campaign": campaign,
    "fuzz": fuzz,
    "promote": promote,
    "cold_start": cold_start,
    "update_while_searching": update_while_searching,
    "serve_load": serve_load,
}


def test_every_benchmark_runs_small_and_its_recalls_and_sizes_are_right(
    smoke: tuple[Path, str], suite: SimpleNamespace
) -> None:
    folder, said = smoke
    for name in suite.run.BENCHMARKS:
        assert re.search(rf"^{name} +done ", said, re.MULTILINE), said
        result = read(folder, name)
        assert result["benchmark"] == name
        assert result["smoke"] is True
        assert result["arguments"][-1] == "--smoke"
        assert result["hardware"]["cores"] >= 1
        assert result["versions"]["numpy"]
        for row in result.get("rows", []):
            assert row["name"], "every row says whose it is"
            assert 0 <= row.get("recall", 0) <= 1
        CHECKS[name](result)
    assert set(CHECKS) == set(suite.run.BENCHMARKS)


def test_results_name_no_place_of_the_machine(smoke: tuple[Path, str]) -> None:
    for file in [*smoke[0].glob("*.json"), *(SUITE / "results").glob("*")]:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w.])/(?:root|home|work|tmp|Users)/", text), file.name


def test_the_report_is_built_from_a_smoke_run_and_claims_nothing(
    smoke: tuple[Path, str], suite: SimpleNamespace, tmp_path: Path
) -> None:
    suite.report.main(["--results", str(smoke[0]), "--to", str(tmp_path)])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=[\"']?(http|//)|<script|url\(", page), "nothing comes from the network"
    assert "reached</td>" not in page.replace("not reached", "")
    assert "smoke run" in page
    plots = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(plots) >= 3
    for plot in plots:
        ElementTree.fromstring(plot)
    summary = (tmp_path / "report.md").read_text(encoding="utf-8")
    for goal in suite.goals.GOALS.values():
        assert goal.what in summary


# -- the runner -----------------------------------------------------------------------------------------------------
COUNTS = """
import sys
from pathlib import Path
sys.path.insert(0, {suite!r})
from common import report
to = Path(sys.argv[sys.argv.index("--to") + 1])
tally = Path(__file__).with_name("runs")
tally.write_text(tally.read_text() + "x" if tally.exists() else "x")
report("counted", {{"rows": [{{"name": "a", "recall": 1.0}}]}}, to)
"""


@pytest.fixture
def counted(tmp_path: Path, suite: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite of one benchmark that counts its runs; the count's file."""
    (tmp_path / "counted.py").write_text(COUNTS.format(suite=str(SUITE)), encoding="utf-8")
    benchmark = suite.run.Benchmark("counted.py", "runs", ("{data}",))
    monkeypatch.setattr(suite.run, "BENCHMARKS", {"counted": benchmark})
    monkeypatch.setattr(suite.run, "HERE", tmp_path)
    return tmp_path / "runs"


def unchanged(folder: Path, suite: SimpleNamespace) -> None:
    """Make the result look as if it had been measured from the code as it is, whatever the checkout holds."""
    result = read(folder, "counted")
    (folder / "counted.json").write_text(json.dumps({**result, "modified": False}), encoding="utf-8")


def test_a_finished_result_is_kept_until_arguments_code_or_the_wish_change(
    counted: Path, suite: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = SimpleNamespace(returncode=0)
    real = subprocess.run

    def run(command: list[str], **options: Any) -> Any:
        return state if command[:3] == ["git", "diff", "--quiet"] else real(command, **options)

    monkeypatch.setattr(suite.run.subprocess, "run", run)
    results = tmp_path / "results"

    def call(*words: str) -> str:
        assert suite.run.main(["--to", str(results), "--data", str(tmp_path), *words]) == 0
        unchanged(results, suite)
        return counted.read_text()

    assert call() == "x"
    result = read(results, "counted")
    result["commit"] = "abc1234"
    (results / "counted.json").write_text(json.dumps(result), encoding="utf-8")
    assert call() == "x"
    assert call("--again") == "xx"
    result = {**read(results, "counted"), "commit": "abc1234"}
    (results / "counted.json").write_text(json.dumps(result), encoding="utf-8")
    state.returncode = 1
    assert call() == "xxx", "code changed since"
    state.returncode = 0
    other = {**read(results, "counted"), "commit": "abc1234", "arguments": ["elsewhere"]}
    (results / "counted.json").write_text(json.dumps(other), encoding="utf-8")
    assert call() == "xxxx", "measured with other arguments"


def test_a_result_measured_from_changed_code_is_not_kept(
    counted: Path, suite: SimpleNamespace, tmp_path: Path
) -> None:
    words = ["--to", str(tmp_path / "results"), "--data", str(tmp_path)]
    assert suite.run.main(words) == 0
    result = {**read(tmp_path / "results", "counted"), "modified": True}
    (tmp_path / "results" / "counted.json").write_text(json.dumps(result), encoding="utf-8")
    assert suite.run.main(words) == 0
    assert counted.read_text() == "xx"


def test_what_is_not_given_is_asked_for_and_a_failure_shows_its_last_words(
    counted: Path, suite: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert suite.run.main(["--to", str(tmp_path / "results")]) == 1
    assert re.search(r"counted +lacks .*give --data", capsys.readouterr().out)
    assert not counted.exists()
    (tmp_path / "counted.py").write_text("raise SystemExit('no such thing')", encoding="utf-8")
    assert suite.run.main(["--to", str(tmp_path / "results"), "--data", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert re.search(r"counted +failed ", said)
    assert "no such thing" in said
    (tmp_path / "counted.py").write_text("", encoding="utf-8")
    assert suite.run.main(["--to", str(tmp_path / "results"), "--data", str(tmp_path)]) == 1
    assert "did not write counted.json" in capsys.readouterr().out


def test_every_file_of_the_suite_is_in_the_table_and_the_readme(suite: SimpleNamespace) -> None:
    files = {benchmark.file for benchmark in suite.run.BENCHMARKS.values()}
    texts = {file.name: file.read_text(encoding="utf-8") for file in SUITE.glob("*.py")}
    measuring = {name for name, text in texts.items() if re.search(r"^ +report\(", text, re.MULTILINE)}
    assert measuring == files
    readme = (SUITE / "README.md").read_text(encoding="utf-8")
    for file in files:
        assert file in readme, file


def test_recorded_arguments_leave_out_where_results_go_and_where_data_lies(suite: SimpleNamespace) -> None:
    words = ["/some/where/photos", "--to", "/some/where/results", "--rounds", "3", "--to=here"]
    assert suite.common.arguments(words) == ["photos", "--rounds", "3"]


def test_variables_that_force_kernels_reach_no_child(
    suite: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert "OPENBLAS_CORETYPE" not in suite.common.clean_environment()
    told = suite.common.environment()
    assert told["set"]["OMP_NUM_THREADS"] == "1"
    assert "OPENBLAS_CORETYPE" in told["unset_for_children"]


def test_a_peer_that_is_not_installed_says_how_to_install_it(
    suite: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert suite.common.missing("no_such_module", "no-such") == "not installed: pip install no-such"
    assert suite.common.missing("json") is None
    absent = suite.peers.Embedder("a loop", {"json": "json", "no_such_module": "no-such"})
    monkeypatch.setattr(suite.peers, "EMBEDDERS", {"absent": absent})
    row = suite.peers.embed_with("absent", [], "ViT-B-32", 64)
    assert row["skipped"] == "not installed: pip install no-such"
    assert row["name"] == "a loop"


# -- goals and report -----------------------------------------------------------------------------------------------
def result_with(suite: SimpleNamespace, *goals: Mapping[str, Any], **more: Any) -> Result:
    return {"benchmark": "made", "smoke": False, "goals": list(goals), **more}


@pytest.mark.parametrize(
    ("key", "ours", "theirs", "unit", "more", "ratio", "reached"),
    [
        ("embed-vit-b-32", 132.0, 22.0, "pictures/s", {}, 6.0, True),
        ("embed-vit-b-32", 131.0, 22.0, "pictures/s", {}, 131 / 22, False),
        ("decode-24mp", 20.0, 110.0, "ms", {}, 5.5, True),
        ("decode-24mp", 110.0, 20.0, "ms", {}, 20 / 110, False),
        ("ann-1m-qps", 1300.0, 1000.0, "queries/s", {"recall": 0.95}, 1.3, True),
        ("ann-1m-qps", 1300.0, 1000.0, "queries/s", {"recall": 0.949}, 1.3, False),
        ("ann-1m-qps", 1300.0, 1000.0, "queries/s", {}, 1.3, False),
        ("cold-search", 0.6, None, "s", {}, None, True),
        ("cold-search", 0.61, 4.8, "s", {}, 4.8 / 0.61, False),
    ],
)
def test_a_goal_is_reached_by_ratio_or_by_figure_and_not_without_its_recall(
    suite: SimpleNamespace,
    key: str,
    ours: float,
    theirs: float | None,
    unit: str,
    more: dict[str, float],
    ratio: float | None,
    reached: bool,
) -> None:
    entry = suite.common.goal(key, ours, theirs=theirs, peer="peer", unit=unit, **more)
    (verdict,) = suite.goals.judged([result_with(suite, entry)])[key]
    assert verdict.reached is reached
    assert verdict.ratio == pytest.approx(ratio)


def test_a_goal_in_another_unit_or_of_another_name_is_an_error(suite: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="measured in s, not in 'ms'"):
        suite.goals.judged([result_with(suite, suite.common.goal("cold-search", 500, unit="ms"))])
    with pytest.raises(KeyError, match="no-such-goal"):
        suite.goals.judged([result_with(suite, suite.common.goal("no-such-goal", 1, unit="s"))])


def test_what_limits_each_goal_is_written_down(suite: SimpleNamespace, tmp_path: Path) -> None:
    written = suite.goals.limits()
    assert set(written) == set(suite.goals.GOALS)
    assert all(len(text) > 40 for text in written.values())
    bad = tmp_path / "limits.toml"
    bad.write_text('embed-vit-b-32 = "x"\nnonsense = "y"\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"missing \['ann-10m-memory'.*unknown \['nonsense'\]"):
        suite.goals.limits(bad)


def test_the_report_says_reached_and_not_reached(suite: SimpleNamespace, tmp_path: Path) -> None:
    goal = suite.common.goal
    entries = [
        goal("embed-vit-b-32", 150, theirs=22, peer="open_clip <loop>", unit="pictures/s"),
        goal("decode-24mp", 100, theirs=200, peer="Pillow", unit="ms"),
    ]
    (tmp_path / "made.json").write_text(json.dumps(result_with(suite, *entries)), encoding="utf-8")
    suite.report.main(["--results", str(tmp_path)])
    summary = (tmp_path / "report.md").read_text(encoding="utf-8")
    reached = next(line for line in summary.splitlines() if "image tower" in line)
    assert "| 22 pictures/s | 150 pictures/s | 6.82 × | ≥ 6 × | ✓ reached |" in reached
    assert "| 2.00 × | ≥ 5 × | ✗ not reached |" in summary
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "open_clip &lt;loop&gt;" in page


def test_a_file_that_is_no_result_stops_the_report(suite: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match=r"other\.json is no result"):
        suite.report.main(["--results", str(tmp_path)])


def test_scales_put_values_where_they_belong(suite: SimpleNamespace) -> None:
    plots = suite.plots
    linear, log = plots.Scale(0, 10, 100, 200, False), plots.Scale(1, 100, 0, 200, True)
    assert linear.at(5) == 150
    assert log.at(10) == 100
    assert linear.ticks() == [0, 2, 4, 6, 8, 10]
    assert log.ticks() == pytest.approx([1, 3, 10, 30, 100])
    upside = plots.Scale(0, 1, 300, 0, False)
    assert upside.at(1) == 0
    assert [plots.number(v) for v in (0.847, 1234, 2_500_000)] == ["0.847", "1.23k", "2.5M"]


def test_a_chart_of_one_point_and_of_awkward_names_is_well_formed(suite: SimpleNamespace) -> None:
    plots = suite.plots
    chart = plots.lines("a < b", {"<&>": [(10, 10)]}, plots.Axis("x", log=True), plots.Axis("y & z"))
    tree = ElementTree.fromstring(chart)
    assert tree.attrib["aria-label"] == "a < b"
    assert len(tree.findall("{*}circle")) == 2, "the point and its mark in the legend"
    bars = ElementTree.fromstring(plots.bars("t", [("ours", 2.0), ("theirs", 4.0)], "s", ["ours"]))
    widths = [float(rect.attrib["width"]) for rect in bars.findall("{*}rect")]
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.2)
