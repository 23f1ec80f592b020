"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

import visualsearch as vs

from .fakes import FakeEncoder, paint_many


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
