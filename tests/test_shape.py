"""Modules stay short. How complex a function may be is held by ruff (`max-complexity` in pyproject.toml)."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import visualsearch

PACKAGE = Path(visualsearch.__file__).parent
ROOT = PACKAGE.parent
MOST = 400


def modules() -> dict[str, Path]:
    found = (p for p in PACKAGE.rglob("*.py") if "_data" not in p.parts)
    return {p.relative_to(PACKAGE).as_posix(): p for p in found}


def test_modules_have_at_most_400_lines() -> None:
    lengths = {name: len(p.read_text(encoding="utf-8").splitlines()) for name, p in modules().items()}
    assert {name: lines for name, lines in lengths.items() if lines > MOST} == {}


def test_ruff_refuses_functions_above_complexity_15() -> None:
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    assert "C901" in lint["select"]
    assert lint["mccabe"]["max-complexity"] <= 15
    assert "C901" not in lint["ignore"]


def test_every_module_says_what_it_is() -> None:
    silent = [
        n
        for n, p in modules().items()
        if p.stat().st_size and not ast.get_docstring(ast.parse(p.read_text()))
    ]
    assert silent == []
