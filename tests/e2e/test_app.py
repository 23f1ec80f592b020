"""The page as an app, in other languages and directions, and the save button on other sites."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

from visualsearch.recommend.why import by_sight, on_boards
from visualsearch.server.problems import Kind
from visualsearch.types import Evidence

Open = Callable[..., Any]
STATIC = Path(__file__).parents[2] / "visualsearch" / "server" / "static"


@pytest.fixture(scope="module")
def address(executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that may fetch from this machine."""
    from tests.serving import catalogue, served, service

    with served(service(catalogue(tmp_path_factory.mktemp("app"), 30), allow_private=True)) as found:
        yield found


def test_it_opens_without_a_line_keeps_a_save_and_sends_it_later(open_page: Open, address: str) -> None:
    page = open_page(service_workers="allow", expected=("ERR_INTERNET_DISCONNECTED", "Failed to load"))
    page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    page.goto(f"{address}/?text=red")
    page.wait_for_selector("#results .card")
    page.goto(f"{address}/?pin=colours%2Fred")
    page.wait_for_selector(".closeup .save")
    page.goto(f"{address}/?text=red")
    page.wait_for_selector("#results .card")
    page.context.set_offline(True)
    card = page.locator("#results .card").first
    card.hover()
    card.get_by_role("button", name=re.compile("^Save ")).click()
    page.reload()
    page.wait_for_selector("#message:not([hidden])")
    assert "The server does not answer" in page.locator("#message").inner_text()
    page.context.set_offline(False)
    page.wait_for_function("() => JSON.parse(localStorage.getItem('outbox') ?? '[]').length === 0")
    saves = page.evaluate("fetch('/saves?pin=colours%2Fred').then((a) => a.json())")
    assert len(saves["saves"]) == 1


def test_a_photograph_that_another_app_shares_is_searched(open_page: Open, address: str, scene: Path) -> None:
    page = open_page(service_workers="allow")
    page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    page.reload()
    page.wait_for_function("() => navigator.serviceWorker.controller")
    where = page.evaluate(
        """async (data) => {
          const form = new FormData();
          form.append('image', new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], 'a.png', { type: 'image/png' }));
          return (await fetch('/share', { method: 'POST', body: form })).url;
        }""",
        base64.b64encode(scene.read_bytes()).decode(),
    )
    assert where == f"{address}/?shared=picture"
    page.goto(where)
    page.wait_for_url(re.compile("image=upload"))
    manifest = page.evaluate("fetch('/manifest.webmanifest').then((a) => a.json())")
    assert (manifest["display"], manifest["share_target"]["action"]) == ("standalone", "/share")


def test_an_upload_that_the_server_forgot_is_sent_again(open_page: Open, address: str, scene: Path) -> None:
    page = open_page(expected=("410", "status of 4"))
    page.set_input_files("#file", scene)
    page.wait_for_url(re.compile("image=upload"))
    page.wait_for_selector("#results[aria-busy=false] .card")
    asked = []

    def gone_once(route: Any) -> None:
        if "upload:" in (route.request.post_data or "") and not asked:
            asked.append(1)
            route.fulfill(status=410, json={"type": "/docs#upload-gone", "title": "Gone", "detail": ""})
        else:
            route.continue_()

    page.route("**/search", gone_once)
    with page.expect_request("**/uploads"):
        page.reload()
    page.wait_for_selector("#results[aria-busy=false] .card")
    assert asked == [1]
    assert page.locator("#message").is_hidden()


PROBLEMS = {
    bare or quoted: said
    for quoted, bare, said in re.findall(
        r'^  (?:"([\w-]+)"|(\w+)): "([^"]+)",$', (STATIC / "problems.js").read_text(), re.MULTILINE
    )
}
HELD = (Evidence("board", "b", 1.0),)
KITCHEN = {"b": "Kitchen"}
REASONS = (  # as the recommendations say them
    f"Saved together on {on_boards(HELD, KITCHEN)}",
    f"Saved together on {on_boards(HELD, KITCHEN, 2)}",
    f"Saved together with a pin that looks like this one, on {on_boards(HELD, KITCHEN, 5)}",
    f"Looks like a pin that was saved together with this one: {on_boards(HELD, KITCHEN, 90)}",
    f"Looks like a pin that was saved near this one: {on_boards(HELD, KITCHEN)}",
    f"Saved on boards that are close by: {on_boards(HELD, KITCHEN, 1234)}",
    by_sight("pin", 0.5).sentence,
    'Looks like "Lamp" (cosine 0.71)',
    'Looks like "Lamp" on "Kitchen" (cosine 0.71)',
    'Looks like "Lamp", which was saved together with "Stool"',
    'Looks like "Lamp", which was saved together with "Stool" on "Kitchen"',
    'Looks like "Lamp", which goes with "Stool"',
    'Looks like "Lamp", which goes with "Stool" on "Kitchen"',
    'Saved together with "Lamp"',
    'Saved together with "Lamp" on "Kitchen"',
    'Saved to boards like those that hold "Lamp"',
    'Saved to boards like those that hold "Lamp" on "Kitchen"',
    'New on "Kitchen", by somebody followed',
    'New on "Kitchen", a followed board',
    'New on "Kitchen", a followed topic',
    "Saved on 1 public board",
    "Saved on 1,234 public boards",
    "New in this collection",
    "From another part of this collection",
    "Fits what was asked for",
    'Fits what was asked for, and looks like "Lamp" (cosine 0.50)',
    'Holds "Lamp" and 1 more pin',
    'Holds what looks like yours: "Lamp" and 2 more pins',
)


def test_every_reason_and_problem_of_the_server_is_said_in_the_visitor_s_language(open_page: Open) -> None:
    assert set(PROBLEMS) == {kind.value for kind in Kind} | {"offline"}
    page = open_page(locale="de-DE")
    said = page.evaluate(
        """async (all) => {
          const { reason } = await import('/static/dom.js');
          return all.map((sentence) => reason({ why: { sentence } }));
        }""",
        list(REASONS),
    )
    english = re.compile(
        r"\b(saved|looks|with|which|board|boards|more|holds|pin that|followed|fits|new|from)\b", re.I
    )
    assert [one for one in said if english.search(one)] == []
    assert said[1] == "Zusammen gemerkt auf „Kitchen“ und 1 weitere"
    assert said[21] == "Auf 1.234 öffentlichen Tafeln gemerkt"
    odd = 'A form of its own "x" y'
    assert page.evaluate("async (s) => (await import('/static/reasons.js')).inWords(s)", odd) == odd
    told = "async (p) => (await import('/static/says.js')).told(p)"
    assert page.evaluate(told, {"kind": "busy", "detail": "the server is busy"}) == "Gerade suchen viele"
    mixed = page.evaluate(told, {"kind": "bad-picture", "detail": "it is a text file"})
    assert mixed == "Das Bild ist nicht lesbar (it is a text file)"


@pytest.mark.parametrize("code", ["de", "fr", "es", "ja"])
def test_every_language_says_everything(code: str) -> None:
    """What the code says in English is in each file, and nothing else is."""
    text = "\n".join(
        file.read_text() for file in STATIC.glob("*.js") if file.name not in ("sw.js", "save.js")
    )
    said = {json.loads(f'"{found}"') for found in re.findall(r'\bt\("((?:[^"\\]|\\.)*)"', text)}
    said |= {
        found for pair in re.findall(r't\(list === "like" \? "([^"]+)" : "([^"]+)"', text) for found in pair
    }
    said |= set(PROBLEMS.values())
    words = json.loads((STATIC / "lang" / f"{code}.json").read_text())
    assert said - words.keys() == set()
    for english, there in words.items():
        forms = there.values() if isinstance(there, dict) else [there]
        holes = set(re.findall(r"\{\w+\}", english))
        assert all(set(re.findall(r"\{\w+\}", form)) - holes == set() for form in forms), english


def test_german_is_spoken_where_the_browser_asks_for_it(open_page: Open) -> None:
    page = open_page(locale="de-DE")
    assert page.locator("html").get_attribute("lang") == "de"
    assert page.locator("#status").inner_text() == "30 Pins"
    assert page.locator("h1").inner_text() == "Finden, wie es aussieht"
    assert page.get_by_role("link", name="Merktafeln").count() == 1


def test_right_to_left_mirrors_the_grid(open_page: Open) -> None:
    page = open_page()
    page.evaluate(
        "document.documentElement.dir = 'rtl'; document.querySelector('#results').parentElement.style.width = '90%'"
    )
    page.set_viewport_size({"width": 1100, "height": 800})
    page.wait_for_function(
        """() => { const [a, b] = [...document.querySelectorAll('#results .card')].map((one) => one.getBoundingClientRect());
          return a.left > b.left && a.right <= innerWidth && b.left >= 0; }"""
    )
    page.wait_for_function("() => document.documentElement.scrollWidth <= 1100")
    page.goto(page.url + "?pin=m%2F07")
    page.wait_for_selector(".closeup .card")
    page.evaluate("document.documentElement.dir = 'rtl'")
    page.set_viewport_size({"width": 1000, "height": 800})
    page.wait_for_function("() => document.documentElement.scrollWidth <= 1000")


@pytest.fixture
def shop(address: str) -> Iterator[str]:
    """A shop's page with a strict Content-Security-Policy, on a server of its own."""
    picture = f"{address}/pins/colours%2Fred/picture?size=480"
    product = json.dumps({"@type": "Product", "name": "Red <stool>", "image": picture})
    body = (
        f'<link rel="icon" href="data:,"><script type="application/ld+json">{product}</script><h1>Stool</h1>'
        f'<script src="{address}/save.js" async></script>'
    )

    class Shop(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            policy = f"default-src 'none'; img-src data:; script-src {address}"
            self.send_header("Content-Security-Policy", policy)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_a_shop_s_save_button_asks_nothing_before_it_is_pressed(
    browser: Any, address: str, shop: str
) -> None:
    context = browser.new_context(service_workers="block")
    page = context.new_page()
    page.set_default_timeout(15_000)
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.goto(shop)
    button = page.get_by_role("button", name="Save")
    button.wait_for()
    assert [url for url in asked if not url.startswith("data:")] == [shop, f"{address}/save.js"]
    assert context.cookies() == []
    with context.expect_page() as opened:
        button.click()
    keeping = opened.value
    keeping.wait_for_selector("#picker[open]")
    assert keeping.locator("#place h1").inner_text() == "Save “Red <stool>”"
    keeping.get_by_role("textbox", name="Find or make a board").fill("From shops")
    with keeping.expect_response(re.compile("/saves$")) as answer:
        keeping.keyboard.press("Enter")
    saved = answer.value.json()
    assert (saved["pin"], saved["site"]) == ("colours/red", "127.0.0.1")
    assert wrong == []
    context.close()
