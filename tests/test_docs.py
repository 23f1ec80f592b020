"""The documents tell the truth: commands run, links lead somewhere, and every command is mentioned."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from visualsearch.samples import samples_dir

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted(p for pattern in ("*.md", "*/*.md", "models/*/README.md") for p in ROOT.glob(pattern))


def block(mark: str) -> list[str]:
    """The commands of the block that follows a mark."""
    found = re.search(rf"<!-- {mark} -->\n```sh\n(.*?)```", README, re.DOTALL)
    assert found is not None, f"no block {mark}"
    return [line for line in found.group(1).splitlines() if line.strip()]


def test_the_tour_runs_as_it_stands(tmp_path: Path) -> None:
    pictures = sorted(samples_dir().rglob("*.jpg"))[:40]
    photos = tmp_path / "photos"
    photos.mkdir()
    for picture in pictures:
        shutil.copy(picture, photos / picture.name)
    shutil.copy(pictures[0], tmp_path / "shoe.jpg")
    shutil.copy(pictures[1], tmp_path / "scene.jpg")
    (photos / "list.csv").write_text(
        f"id,image,price\nshoe-17,{pictures[0].name},10\nshoe-18,{pictures[1].name},20\n", encoding="utf-8"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(words: list[str]) -> subprocess.CompletedProcess[str]:
        assert words[0] == "visualsearch"
        call = [sys.executable, "-m", *words]
        return subprocess.run(call, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    commands = [shlex.split(line, comments=True) for line in block("tour")]
    assert len(commands) >= 8
    for number, words in enumerate(commands):
        done = run(words)
        if (
            "--text" in words and done.returncode == 2
        ):  # the bundled model may have no text tower: then it says so
            assert "text" in done.stderr
            continue
        assert done.returncode == 0, (words, done.stderr)
        if number == 0:
            named = run(["visualsearch", "index", "photos/list.csv", "--to", "pins.index"])
            assert named.returncode == 0, named.stderr
    assert (tmp_path / "found.html").stat().st_size > 10_000
    assert list((tmp_path / "embeddings" / "img_emb").glob("*.npy"))


def test_the_first_commands_are_two_and_name_what_exists() -> None:
    first = README.split("## Your pictures")[0]
    commands = re.findall(r"```sh\n(.*?)```", first, re.DOTALL)
    assert len(commands) == 2
    assert commands[0].strip().endswith("visualsearch demo")
    assert "pytest" in commands[1]
    assert "'.[test]'" in commands[1]


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


def test_every_command_of_the_help_is_in_the_changelog() -> None:
    from visualsearch.cli import app

    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    names = [c.name or c.callback.__name__ for c in app.registered_commands if c.callback is not None]
    for name in [*names, *(g.name for g in app.registered_groups)]:
        assert str(name) in changelog
