"""The map of the collection in a real browser: by hand and by keys, and as a screen reader meets it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(params=["light", "dark"])
def page(browser: Any, address: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    context = browser.new_context(color_scheme=request.param, viewport={"width": 900, "height": 900})
    made, wrong = context.new_page(), []
    made.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on(
        "request", lambda asked: None if asked.url.startswith((address, "data:")) else wrong.append(asked.url)
    )
    made.goto(f"{address}/insight/map?trends=false")
    made.wait_for_function(
        "[...document.querySelectorAll('#map img')].some((tile) => tile.naturalWidth === 256)"
    )
    yield made
    context.close()
    assert wrong == []


def test_the_map_is_read_by_keys_and_says_where_it_is(page: Any) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python"
    )
    assert page.locator("#told").inner_text().startswith("Level 1 of 1.")
    page.locator("#map").focus()
    page.keyboard.press("-")
    assert page.locator("#told").inner_text().startswith("Level 0 of 1.")
    page.keyboard.press("Enter")
    page.wait_for_selector("#here li")
    assert "60 pins in the middle tile" in page.locator("#here").inner_text()
    page.locator("tbody a").first.click()
    page.wait_for_selector("#here li a")
    assert axe.Axe().run(page).response["violations"] == []
