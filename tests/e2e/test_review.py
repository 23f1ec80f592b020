"""The review queue in a real browser: evidence, one key a verdict, and taking it back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.trust import Trust

from ..fakes import FakeEncoder
from ..serving import served, service
from ..trust.conftest import attacked, honest


@pytest.fixture(scope="module")
def queue(executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose queue holds one case."""
    folder = tmp_path_factory.mktemp("review") / "pins.index"
    with vs.create(folder, FakeEncoder()) as index:
        rng = np.random.default_rng(0)
        honest(index, rng)
        attacked(index, rng)
        Trust(index).scan()
    with served(service(folder, trust="off")) as address:
        yield address


def test_one_key_decides_and_another_takes_it_back(browser: Any, queue: str) -> None:
    page = browser.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.set_default_timeout(15_000)
    page.goto(f"{queue}/review")
    case = page.locator(".case")
    case.wait_for()
    assert "60 pins" in case.locator("h2").inner_text()
    assert "over and over" in case.inner_text()
    case.press("h")
    page.wait_for_function("() => document.querySelectorAll('.case').length === 0")
    page.keyboard.press("u")
    page.locator(".case").wait_for()
    assert "now: hide" in page.locator(".case").inner_text()
    assert wrong == []
    page.close()
