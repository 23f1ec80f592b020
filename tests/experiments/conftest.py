"""The records of people that the people's own tests use, with pseudonyms that are the same in each run."""

from __future__ import annotations

import random
import zlib

import pytest

from visualsearch.people import model

from ..people.conftest import clock, lite, opened, people, pins, server

__all__ = ["clock", "lite", "opened", "people", "pins", "server"]


@pytest.fixture(autouse=True)
def known_pseudonyms(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pseudonyms, and so arms, are drawn. An interval of 95 % is wrong once in twenty draws: a test has one draw of its own."""
    drawn = random.Random(zlib.crc32(request.node.nodeid.encode()))
    monkeypatch.setattr(model.secrets, "randbelow", drawn.randrange)
