"""`--help`: options stand under headings, and sentences are short."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.main import get_command
from typer.testing import CliRunner

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
        if isinstance(param, TyperOption) and param.name not in ("help", "install_completion", "show_completion")
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
    parts = dict(zip(panels, (shown[start:end] for start, end in zip(at, [*at[1:], None], strict=True)), strict=True))
    for option, panel in {"--crop": "Query", "--offset": "Results", "--device": "Model", "--json": "Output"}.items():
        assert [name for name, part in parts.items() if f"{option} " in part] == [panel]
