"""The documents tell the truth: commands run, links lead somewhere, and every command is mentioned."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from visualsearch.samples import samples_dir

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted(p for pattern in ("*.md", "*/*.md", "models/*/README.md") for p in ROOT.glob(pattern))


def block(mark: str, language: str = "sh") -> str:
    """The block that follows a mark."""
    found = re.search(rf"<!-- {mark} -->\n```{language}\n(.*?)```", README, re.DOTALL)
    assert found is not None, f"no block {mark}"
    return found.group(1)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder that looks like a clone to the README's commands: it has the samples where a clone has them."""
    shutil.copytree(
        samples_dir(),
        tmp_path / "visualsearch" / "samples",
        ignore=shutil.ignore_patterns("__pycache__", "*.py"),
    )
    return tmp_path


def started(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    call = [sys.executable, *words]
    return subprocess.run(call, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_the_tour_runs_as_it_stands(clone: Path) -> None:
    commands = [shlex.split(line, comments=True) for line in block("tour").splitlines() if line.strip()]
    assert len(commands) >= 8
    for words in commands:
        assert words[0] == "visualsearch"
        done = started(clone, "-m", *words)
        assert done.returncode == 0, (words, done.stderr)
        if "a bird" in words:
            hits = json.loads(done.stdout)["hits"]
            assert len(hits) == 5
            assert all(hit["attributes"]["price"] < 50 for hit in hits)
            assert sum(hit["attributes"]["kind"] == "birds" for hit in hits) >= 4
    assert (clone / "found.html").stat().st_size > 10_000
    assert (clone / "look.html").stat().st_size > 10_000
    assert list((clone / "embeddings" / "img_emb").glob("*.npy"))


def test_the_twenty_lines_of_python_run_as_they_stand(clone: Path) -> None:
    code = block("python", "python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    done = started(clone, "-c", f"{code}\nassert vectors.shape == (2, 512) and table.num_rows == 5")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("459 added, 0 failed\n")
    done = started(clone, "-c", f"{block('ranker', 'python')}\nassert hits[0].rank_score >= hits[0].score")
    assert done.returncode == 0, done.stderr
    pytest.importorskip("torch")
    done = started(clone, "-c", f"{block('torch', 'python')}\nprint(sum(len(ids) for ids, _ in loader))")
    assert (done.stdout.strip(), done.returncode) == ("459", 0), done.stderr


def test_the_tour_of_people_over_http_runs_as_it_stands(clone: Path) -> None:
    pytest.importorskip("fastapi")
    table = "visualsearch/samples/manifest.csv"
    assert started(clone, "-m", "visualsearch", "index", table, "--to", "pins.index").returncode == 0
    (clone / "visualsearch.sh").write_text(f'exec {shlex.quote(sys.executable)} -m visualsearch "$@"\n')
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "visualsearch", "serve", "pins.index", "--port", "0"]
    with subprocess.Popen(command, cwd=clone, env=env, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        address = server.stderr.readline().split(" at ")[1].split()[0].rstrip("/")
        lines = block("people-http").replace("http://127.0.0.1:8000", address)
        lines = lines.replace("(visualsearch ", "(sh visualsearch.sh ").replace(
            "python -c", f"{sys.executable} -c"
        )
        script = "set -e\n" + lines.replace("\ncurl ", "\necho; curl ")
        done = subprocess.run(
            ["bash", "-c", script], cwd=clone, env=env, capture_output=True, text=True, check=False
        )
        server.terminate()
        assert server.wait(30) in (0, -signal.SIGTERM)
    assert done.returncode == 0, done.stderr
    saved, moved, boards, verdicts, signals, receipt = map(json.loads, filter(None, done.stdout.splitlines()))
    assert saved["pin"] == "tools/saw"
    assert moved["moved"]["boards"] == 1
    assert [board["title"] for board in boards["boards"]] == ["Workshop"]
    assert verdicts["accepted"] == 1
    assert signals == {"searches": True, "clicks": False, "profile": True, "sites": True}
    assert "no trace" in receipt["proof"]


def test_the_first_commands_are_two_and_name_what_exists() -> None:
    first = README.split("## Install")[0]
    commands = re.findall(r"```sh\n(.*?)```", first, re.DOTALL)
    assert len(commands) == 2
    assert commands[0].strip().endswith("visualsearch demo")
    assert commands[1] == block("test-command")
    assert "pytest" in commands[1]
    assert "'.[test]'" in commands[1]


def test_the_readme_names_every_extra() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    table = README.split("| extra | adds |")[1].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", table)) >= set(project["optional-dependencies"]) - {"test", "dev"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files_that_exist(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)\)", path.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_document_names_a_place_of_the_machine_it_was_written_on(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "/work/" not in text
    assert "/root/" not in text


def test_the_way_from_the_command_to_the_hits_names_at_most_eight_files_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    way = text.split("## From the command to the hits")[1].split("\n## ")[0]
    files = re.findall(r"^\d\. `([^`]+)`", way, re.MULTILINE)
    assert files[0] == "visualsearch/cli/search.py"
    assert len(files) <= 8
    assert all((ROOT / file).is_file() for file in files)


def test_a_recipe_may_use_what_its_readme_offers() -> None:
    from dataclasses import replace

    from visualsearch import nearest
    from visualsearch.nearest.recipes import factory_for

    text = (ROOT / "indexes" / "README.md").read_text(encoding="utf-8")
    offered = re.findall(r"\{\w+\}", text.split("Keys: `factory` may use")[1].split(";")[0])
    assert offered
    recipe = replace(nearest.preset("ivf-rabitq"), factory=",".join(offered))
    assert "{" not in factory_for(recipe, 100_000)


def test_every_command_of_the_help_is_in_the_changelog() -> None:
    from visualsearch.cli import app

    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    names = [c.name or c.callback.__name__ for c in app.registered_commands if c.callback is not None]
    for name in [*names, *(g.name for g in app.registered_groups)]:
        assert str(name) in changelog
