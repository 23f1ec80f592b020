"""`--help`: options stand under headings, and sentences are short."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.main import get_command
from typer.testing import CliRunner

import visualsearch
from visualsearch.cli import app
from visualsearch.cli.panels import PANELS


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that call it, as its group hands it out."""

    def below(group: TyperGroup, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        context = group.make_context("visualsearch", [], resilient_parsing=True)
        yield words, group
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if isinstance(command, TyperGroup):
                yield from below(command, (*words, name))
            else:
                yield (*words, name), command

    root = get_command(app)
    assert isinstance(root, TyperGroup)
    yield from below(root, ())


ALL = [pytest.param(command, id=" ".join(words) or "visualsearch") for words, command in commands()]


@pytest.mark.parametrize("command", ALL)
def test_every_option_stands_under_a_heading(command: TyperCommand) -> None:
    context = command.make_context("visualsearch", [], resilient_parsing=True)
    options = [
        param
        for param in command.get_params(context)
        if isinstance(param, TyperOption)
        and param.name not in ("help", "install_completion", "show_completion")
    ]
    bare = [param.opts[-1] for param in options if not param.rich_help_panel]
    assert bare == [], "name them in visualsearch/cli/panels.py"


def test_every_name_with_a_heading_is_an_option() -> None:
    known = {param.name for _, command in commands() for param in command.params}
    assert set(PANELS) <= known


def test_the_headings_reach_the_help() -> None:
    shown = CliRunner().invoke(app, ["search", "--help"], env={"COLUMNS": "120"}).stdout
    panels = ("Query", "Results", "Model", "Limits", "Output")
    at = [shown.index(f"─ {panel} ─") for panel in panels]
    assert at == sorted(at)
    parts = dict(
        zip(panels, (shown[start:end] for start, end in zip(at, [*at[1:], None], strict=True)), strict=True)
    )
    for option, panel in {
        "--crop": "Query",
        "--offset": "Results",
        "--device": "Model",
        "--json": "Output",
    }.items():
        assert [name for name, part in parts.items() if f"{option} " in part] == [panel]


# -- sentences ----------------------------------------------------------------------------------------------------
PACKAGE = Path(visualsearch.__file__).parent
MOST_HELP, MOST_DOCSTRING, AVERAGE = 25, 30, 20
"""Words of a sentence in `--help` and in a module's docstring, and of the sentences of a longer text on average."""


def sentences(text: str) -> list[str]:
    """The sentences of a text. Drawings, tables, code and other indented lines are none; what is in backquotes is one word."""
    text = re.sub(r"\b(e\.g|et al)\.", "x", text)
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        kept = [line for line in paragraph.splitlines() if not re.match(r"  |>>>|[|│├└]", line)]
        for item in re.split(r"\n(?=[-*] )", re.sub(r"`[^`]*`", "x", "\n".join(kept))):
            found += [one for one in re.split(r"(?<=[.!?])\s+", " ".join(item.split())) if one]
    return found


def too_long(text: str, most: int) -> list[str]:
    found = sentences(text)
    words = [len(one.split()) for one in found]
    wordy = [one for one, count in zip(found, words, strict=True) if count > most]
    return wordy or (found if found and sum(words) / len(words) > AVERAGE and len(found) > 2 else [])


@pytest.mark.parametrize("command", ALL)
def test_the_sentences_of_the_help_are_short(command: TyperCommand) -> None:
    texts = [command.help or "", *(getattr(param, "help", None) or "" for param in command.params)]
    assert [one for text in texts for one in too_long(text, MOST_HELP)] == []


@pytest.mark.parametrize(
    "path",
    [p for p in sorted(PACKAGE.rglob("*.py")) if "_data" not in p.parts],
    ids=lambda p: str(p.relative_to(PACKAGE)),
)
def test_the_sentences_of_a_modules_docstring_are_short(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert too_long(text, MOST_DOCSTRING) == []


def test_a_long_sentence_would_be_noticed() -> None:
    assert too_long("word " * 31 + ".", 30)
    assert not too_long("Short one. `a b c` is code.\n\n    " + "drawn " * 40, 30)
