"""The extension in a real Chromium, loaded as a user loads it: a picture of a page, a part of a page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving import catalogue, halves, served, service


@pytest.fixture(scope="module")
def secured(executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A server that asks for keys, and a key."""
    from visualsearch.server.keys import FILE, Scope, new_key

    folder = catalogue(tmp_path_factory.mktemp("secured"), 20)
    token = new_key(folder / FILE, Scope.READ)
    with served(service(folder, keys_needed=True)) as address:
        yield address, token


@pytest.fixture(scope="module")
def context(
    playwright: Any, executable: str, secured: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A browser with the extension that `visualsearch extension` writes for the server."""
    from visualsearch.server.extend import write_extension

    address, _ = secured
    folder = write_extension(tmp_path_factory.mktemp("browser") / "extension", address)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["host_permissions"] == [f"{address}/*"]
    # A click grants activeTab for the page it happened on; a test has no hand to click with.
    manifest["host_permissions"].append("<all_urls>")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    made = playwright.chromium.launch_persistent_context(
        str(tmp_path_factory.mktemp("profile")),
        executable_path=executable,
        headless=False,
        ignore_default_args=["--disable-extensions"],
        args=[
            "--headless=new",
            "--no-sandbox",
            f"--disable-extensions-except={folder}",
            f"--load-extension={folder}",
        ],
        viewport={"width": 900, "height": 600},
    )
    made.set_default_timeout(15_000)
    yield made
    made.close()


@pytest.fixture(scope="module")
def worker(context: Any) -> Any:
    """The extension's service worker."""
    return context.service_workers[0] if context.service_workers else context.wait_for_event("serviceworker")


@pytest.fixture
def site(context: Any, tmp_path: Path) -> Iterator[Any]:
    """A page of another site: a picture, and a wide blue field."""
    page = context.new_page()
    page.route("http://shop.example/", lambda r: r.fulfill(content_type="text/html", body=PAGE))
    page.route(
        "http://shop.example/red.png",
        lambda r: r.fulfill(content_type="image/png", body=halves("red", "red")),
    )
    page.goto("http://shop.example/")
    yield page
    page.close()


PAGE = """<!doctype html>
<style>body { margin: 0 } div { position: absolute; top: 200px; width: 900px; height: 400px; background: rgb(30,40,220) }</style>
<img src="/red.png" width="200" height="150"><div></div>"""


@pytest.fixture
def panel(context: Any, worker: Any) -> Iterator[Any]:
    """The side panel, opened as a page of its own."""
    worker.evaluate("chrome.storage.local.clear()")
    worker.evaluate("chrome.storage.session.clear()")
    page = context.new_page()
    page.goto(f"chrome-extension://{worker.url.split('/')[2]}/panel.html")
    yield page
    page.close()


def give_key(panel: Any, token: str) -> None:
    panel.locator("#key").fill(token)
    panel.get_by_role("button", name="Continue").click()


def tab_of(worker: Any, page: Any) -> dict[str, Any]:
    found: list[dict[str, Any]] = worker.evaluate("url => chrome.tabs.query({ url })", page.url + "*")
    return found[0]


# The worker is there a moment before it is told that it was installed, upon which it fills the menu.
MENU_ITEM = """async name => {
  for (const end = Date.now() + 10_000; ; await new Promise((later) => setTimeout(later, 50)))
    try { return await chrome.contextMenus.update(name, {}); }  // fails where there is no such item
    catch (error) { if (Date.now() > end) throw error; }
}"""


def test_the_browser_gives_it_the_id_that_servers_know(worker: Any) -> None:
    from visualsearch.server.settings import EXTENSION

    assert worker.url.split("/")[2] == EXTENSION


def test_the_menu_offers_pictures_and_parts(worker: Any) -> None:
    for name in ("picture", "keep", "part"):
        worker.evaluate(MENU_ITEM, name)


def test_a_picture_of_a_page_is_searched_after_the_key_is_given(
    site: Any, panel: Any, worker: Any, secured: tuple[str, str]
) -> None:
    address, token = secured
    tab = tab_of(worker, site)
    worker.evaluate(
        "([info, tab]) => self.picture(info, tab)", [{"srcUrl": "http://shop.example/red.png"}, tab]
    )
    panel.wait_for_selector("#login:not([hidden])")
    assert "API key" in panel.locator("#status").inner_text()
    give_key(panel, token)
    panel.wait_for_selector("#results li")
    assert panel.locator("#results li b").first.inner_text() == "Plain red"
    assert panel.locator("#results li span").first.inner_text() == "1.00"
    assert panel.locator("#status").inner_text() == "Best of 20 pins"
    panel.wait_for_function("() => document.querySelector('#results img').naturalWidth > 0")
    assert panel.locator("#results a").first.get_attribute("href") == f"{address}/?pin=colours%2Fred"
    tops = panel.locator("#results > li").evaluate_all("all => all.slice(0, 2).map((one) => one.offsetTop)")
    assert tops[0] == tops[1]  # row by row: the order is that of the likeness
    panel.locator("#words").fill("blue")
    panel.keyboard.press("Enter")
    panel.wait_for_function(
        "() => [...document.querySelectorAll('#results b')].slice(0, 2).some((one) => one.textContent === 'Plain blue')"
    )
    panel.locator("#words").fill("")
    panel.locator("#products").check()
    panel.wait_for_function("() => document.querySelector('#results .facts')?.textContent.startsWith('0.5')")
    assert (
        panel.locator("#keep")
        .get_attribute("href")
        .startswith(f"{address}/?at=keep&from=extension&image=upload")
    )


def test_a_rectangle_over_a_page_is_searched(
    site: Any, panel: Any, worker: Any, secured: tuple[str, str]
) -> None:
    worker.evaluate("key => chrome.storage.local.set({ key })", secured[1])
    site.bring_to_front()
    worker.evaluate("tab => self.select(tab)", tab_of(worker, site))
    site.wait_for_selector("#visualsearch-select", state="attached")
    site.mouse.move(300, 260)
    site.mouse.down()
    site.mouse.move(700, 560, steps=5)
    site.mouse.up()
    site.wait_for_selector("#visualsearch-select", state="detached")
    panel.wait_for_selector("#results li", state="attached")
    assert panel.locator("#results li b").first.inner_text() == "Plain blue"


def test_escape_takes_the_layer_away(site: Any, worker: Any) -> None:
    worker.evaluate("tab => self.select(tab)", tab_of(worker, site))
    site.wait_for_selector("#visualsearch-select", state="attached")
    site.keyboard.press("Escape")
    site.wait_for_selector("#visualsearch-select", state="detached")


def test_a_picture_that_cannot_be_read_says_so(site: Any, panel: Any, worker: Any) -> None:
    info = {"srcUrl": "blob:http://shop.example/0"}
    worker.evaluate("([info, tab]) => self.picture(info, tab)", [info, tab_of(worker, site)])
    panel.wait_for_function("() => document.querySelector('#status').textContent.includes('cannot be read')")


def test_the_written_extension_asks_for_little(tmp_path: Path) -> None:
    from visualsearch.errors import UsageError
    from visualsearch.server.extend import write_extension

    folder = write_extension(tmp_path / "made", "https://pins.example:8443/")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["manifest_version"] == 3
    assert manifest["host_permissions"] == ["https://pins.example:8443/*"]
    assert sorted(manifest["permissions"]) == [
        "activeTab",
        "contextMenus",
        "scripting",
        "sidePanel",
        "storage",
    ]
    named = [
        manifest["background"]["service_worker"],
        manifest["side_panel"]["default_path"],
        *manifest["icons"].values(),
    ]
    assert all((folder / name).is_file() for name in named)
    assert (folder / "config.js").read_text() == 'export const SERVER = "https://pins.example:8443";\n'
    for file in folder.glob("*.js"):
        assert not re.search(r"innerHTML|eval\(", file.read_text())
    write_extension(folder, "http://127.0.0.1:9000")  # writing again replaces it
    assert "127.0.0.1:9000" in (folder / "config.js").read_text()
    for bad in ("ftp://x", "pins.example", "https://a/b", "https://u:p@a", 'https://a"b/?x'):
        with pytest.raises(UsageError):
            write_extension(tmp_path / "other", bad)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an extension"):
        write_extension(tmp_path / "full", "http://127.0.0.1:9000")
