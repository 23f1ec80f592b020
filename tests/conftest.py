"""Fixtures shared by all tests."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import pytest

import visualsearch as vs
from visualsearch import cli
from visualsearch.compiled import search as fast
from visualsearch.images import _fast
from visualsearch.resources import models_dir

from .fakes import FakeEncoder, paint_many

LOOPS = {module: module.LOOPS for module in (_fast, fast)}


class Ran(NamedTuple):
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Runs a command line in this process."""

    def call(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["visualsearch", *map(str, words)])
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Ran(code, out, err)

    return call


@pytest.fixture(scope="session")
def training_script() -> Callable[[str], ModuleType]:
    """Loads a script that trained the bundled model by its name; skips where there is no checkout."""

    def load(name: str) -> ModuleType:
        path = models_dir() / "lite-clip" / "train" / f"{name}.py"
        if not path.exists():
            pytest.skip("the training scripts are not part of the package")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(autouse=True)
def _uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Indexing loads the compiled loops for the whole process: no test shall depend on one that ran before it."""
    for module in LOOPS:
        monkeypatch.setattr(module, "LOOPS", SimpleNamespace(load=lambda: False, ready=None))


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch, _uncompiled: None) -> None:
    """The compiled loops of pictures and of the search for one test."""
    pytest.importorskip("numba")
    for module, loops in LOOPS.items():
        monkeypatch.setattr(module, "LOOPS", loops)
        assert module.accelerate()


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of 40 different pictures."""
    paint_many(tmp_path / "photos", 40)
    return tmp_path / "photos"


@pytest.fixture
def index(tmp_path: Path, encoder: FakeEncoder, photos: Path) -> vs.Index:
    """An index over `photos`."""
    made = vs.create(tmp_path / "pins.index", encoder)
    made.add(photos)
    return made
