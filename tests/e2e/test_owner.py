"""The owner's pages, pins added from the page, and several pictures in one query, in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from visualsearch.experiments import open_experiments
from visualsearch.server.keys import FILE, Scope, new_key
from visualsearch.server.service import Service
from visualsearch.types import Part

from ..fakes import paint
from ..serving import catalogue, served, service

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def made(executable: str, tmp_path_factory: pytest.TempPathFactory) -> Service:
    return service(catalogue(tmp_path_factory.mktemp("owner"), 12), watch_keys=True)


@pytest.fixture(scope="module")
def address(made: Service) -> Iterator[str]:
    """A server over twelve pins with an experiment that runs."""
    experiments = open_experiments(made.index.people)
    experiments.create("warm-feed", people=2000)
    experiments.start("warm-feed")
    with served(made) as found:
        yield found


def test_several_pictures_are_one_query_and_each_is_a_chip(
    open_page: Open, made: Service, tmp_path: Path
) -> None:
    def titles() -> list[str]:
        page.wait_for_selector("#results[aria-busy=false]")
        names = page.locator("#results .card .name")
        return [str(title) for title in names.evaluate_all("all => all.map((one) => one.title)")]

    def expected(paths: list[str]) -> list[str]:
        return made.index.search(parts=[Part(1.0, image=path) for path in paths], k=12).ids

    page = open_page()
    files = []
    for name in ("red", "blue", "green"):
        paint(tmp_path / f"{name}.png", name)
        files.append(str(tmp_path / f"{name}.png"))
    page.set_input_files("#file", files)
    page.wait_for_selector("#chips .part >> nth=2")
    assert titles() == expected(files)
    page.reload()
    page.wait_for_selector("#chips .part >> nth=2")
    page.get_by_role("button", name="Take off the picture").click()
    page.wait_for_function("() => document.querySelectorAll('#chips .part').length === 2")
    assert titles() == expected(files[1:])


def test_pins_are_added_from_the_page_and_a_bad_file_costs_no_other(open_page: Open, tmp_path: Path) -> None:
    page = open_page(expected=("422",))
    page.get_by_role("link", name="Owner").click()
    paint(tmp_path / "new_blue-lamp.png", 77)
    (tmp_path / "words.png").write_text("no picture")
    page.locator(".shared:has-text('category') input").fill("lamps")
    with page.expect_file_chooser() as chosen:
        page.get_by_role("button", name="Choose pictures").click()
    chosen.value.set_files([str(tmp_path / "words.png"), str(tmp_path / "new_blue-lamp.png")])
    page.wait_for_function("() => document.querySelectorAll('.sent .good, .sent .bad').length === 2")
    assert page.locator(".adding [role=status]").inner_text() == "1 added · 1 failed"
    assert "not a picture" in page.locator(".sent .bad").inner_text()
    page.locator(".sent .good a").click()
    page.wait_for_selector(".closeup h1:not(:empty)")
    assert page.locator(".closeup h1").inner_text() == "new blue lamp"
    assert "lamps" in page.locator(".about-pin dl").inner_text()


def test_an_owner_stops_an_experiment_and_needs_a_key_once_there_are_keys(
    open_page: Open, made: Service
) -> None:
    page = open_page("/?at=owner")
    page.get_by_role("button", name="What it says").click()
    page.wait_for_selector("#sheet li")
    assert "We cannot tell yet" in page.locator("#sheet").inner_text()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Stop").click()
    page.locator("#sheet").get_by_role("button", name="Stop").click()
    page.wait_for_selector("td:has-text('Stopped')")
    folder = made.index.folder
    keys = {scope: new_key(folder / FILE, scope) for scope in (Scope.READ, Scope.WRITE)}
    page = open_page("/?at=owner", expected=("401",))
    page.locator("#key").fill(keys[Scope.READ])
    page.locator("#login button").click()
    page.wait_for_selector("#login:not([open])", state="attached")
    page.wait_for_selector(".me form")
    assert page.locator("#owner:visible, .owner section").count() == 0
    for scope, there in ((Scope.READ, "#toast:has-text('may read only')"), (Scope.WRITE, ".owner .adding")):
        page.get_by_label("A key with the scope write or insight").fill(keys[scope])
        page.locator(".me form").get_by_role("button", name="Continue").click()
        page.wait_for_selector(there)
    page.wait_for_selector("td:has-text('Stopped')")
    page.reload()  # the key was in the page's memory alone
    page.wait_for_selector("#owner:not([hidden])")
    assert page.locator(".owner section").count() == 0
