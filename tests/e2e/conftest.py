"""A real Chromium on a real server. Without a Chromium, or without Playwright, these tests are skipped and say so."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving import catalogue, halves, service

NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """The browser: $CHROMIUM, else the first that is installed."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="session")
def executable() -> str:
    pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")
    pytest.importorskip("playwright", reason="Playwright is not installed: pip install playwright")
    found = chromium()
    if found is None:
        pytest.skip(f"no Chromium: install one of {', '.join(NAMES)}, or set CHROMIUM to its path")
    return found


@pytest.fixture(scope="module")
def playwright(executable: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as made:
        yield made


@pytest.fixture(scope="module")
def browser(playwright: Any, executable: str) -> Iterator[Any]:
    made = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
    yield made
    made.close()


@pytest.fixture(scope="module")
def address(executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server over 60 pins; tests leave the index as it is."""
    from tests.serving import served

    with served(service(catalogue(tmp_path_factory.mktemp("e2e")))) as found:
        yield found


@pytest.fixture
def open_page(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Open the page in a fresh profile; whatever it logs as an error, or asks of another host, fails the test."""
    contexts, wrong = [], []

    def opened(path: str = "/", expected: tuple[str, ...] = (), **options: Any) -> Any:
        context = browser.new_context(
            **{
                "viewport": {"width": 1280, "height": 860},
                "reduced_motion": "reduce",
                "service_workers": "block",
            }
            | options
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console",
            lambda said: (
                wrong.append(said.text)
                if said.type == "error" and not any(e in said.text for e in expected)
                else None
            ),
        )
        page.on(
            "request",
            lambda asked: (
                wrong.append(asked.url) if not asked.url.startswith((address, "blob:", "data:")) else None
            ),
        )
        page.goto(address + path)
        page.wait_for_selector("#results[aria-busy=false]", state="attached")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A picture whose left half is red and whose right half is blue."""
    path = tmp_path / "scene.png"
    path.write_bytes(halves("red", "blue"))
    return path
