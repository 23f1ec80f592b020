"""Boards, the feed and what is known of a person, in a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def address(executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server over 60 pins; ada has a board of 10,000 pins, most of them not in this index."""
    from tests.serving import catalogue, served, service

    made = service(catalogue(tmp_path_factory.mktemp("boards")))
    rows = [{"person": "ada", "board": "Everything", "pin": f"gone-{n}"} for n in range(9_940)]
    rows += [{"person": "ada", "board": "Everything", "pin": f"m/{n:02d}"} for n in range(5, 60)]
    made.index.people.take_saves(list(enumerate(rows)))
    with served(made) as found:
        yield found


SAVE = """async ([pins, board]) => {
  const me = await (await fetch('/me')).json();
  const headers = { 'Content-Type': 'application/json', 'X-CSRF-Token': me.csrf };
  let saved;
  for (const pin of pins) {
    saved = await (await fetch('/saves', { method: 'POST', headers, body: JSON.stringify({ pin, board }) })).json();
  }
  const notes = { person: 1, saves: pins.length, agreed: 'no' };
  for (const [name, value] of Object.entries(notes)) localStorage.setItem(name, JSON.stringify(value));
  return saved.board;
}"""


def kept(page: Any, *pins: str, board: str = "Kitchen") -> str:
    """Save pins as the page would, oldest first; the board's id."""
    return str(page.evaluate(SAVE, [list(pins), board]))


def visit(page: Any, address: str, path: str, ready: str) -> None:
    page.goto(address + path)
    page.wait_for_selector(ready)


def order(page: Any) -> list[str]:
    names = page.locator("#place > .results .card .name")
    return [str(title) for title in names.evaluate_all("all => all.map((one) => one.title)")]


def test_a_board_has_a_cover_sections_notes_an_order_and_ideas(open_page: Open, address: str) -> None:
    page = open_page()
    board = kept(page, "m/06", "m/07", "m/08")
    visit(page, address, "/?at=boards", ".board-tile .cover img")
    mine = page.locator(".board-tile").first
    assert mine.locator(".cover img").count() == 3
    assert mine.locator("small").inner_text() == "3 pins"
    mine.click()
    page.wait_for_selector("#place > .results .card")
    assert order(page) == ["m/08", "m/07", "m/06"]

    def menu(pin: str, choice: str) -> None:
        card = page.locator(f"#place > .results .card:has(.name[title='{pin}'])")
        card.hover()
        card.get_by_role("button", name=re.compile("^What to do with")).click()
        page.locator("#sheet").get_by_role("button", name=choice).click()

    with page.expect_response(re.compile("/pins/m%2F08$")):
        menu("m/08", "Move later")
    assert order(page) == ["m/07", "m/08", "m/06"]
    with page.expect_response(re.compile("/pins/m%2F06$")):
        page.drag_and_drop(
            "#place > .results .card:has(.name[title='m/06']) .picture",
            "#place > .results .card:has(.name[title='m/07']) .picture",
            target_position={"x": 10, "y": 60},
        )
    assert order(page) == ["m/06", "m/07", "m/08"]
    menu("m/07", "Write a note")
    page.get_by_role("textbox", name="Note").fill("<b>für</b> die Wand")
    page.get_by_role("button", name="Keep").click()
    page.wait_for_selector(".saved-note:not(:empty)")
    page.get_by_role("button", name="New section").click()
    page.get_by_role("textbox", name="Title of the section").fill("Wände")
    page.get_by_role("button", name="Make it").click()
    page.wait_for_selector(".tabs .chip >> nth=1")
    menu("m/07", "To the section “Wände”")
    page.wait_for_function("() => document.querySelectorAll('#place > .results .card').length === 3")
    page.reload()
    page.wait_for_selector("#place > .results .card")
    assert order(page) == ["m/06", "m/07", "m/08"]
    assert page.locator(".saved-note:not(:empty)").inner_text() == "<b>für</b> die Wand"
    page.locator(".tabs .chip", has_text="Wände").click()
    page.wait_for_function("() => document.querySelectorAll('#place > .results .card').length === 1")
    page.go_back()
    page.wait_for_function("() => document.querySelectorAll('#place > .results .card').length === 3")
    page.wait_for_selector("h2:has-text('Ideas for this board')")
    page.wait_for_selector("#place section .card")
    shown = page.locator("#place section .card .name").evaluate_all("all => all.map((one) => one.title)")
    assert len(shown) > 5
    assert not set(shown) & {"m/06", "m/07", "m/08"}
    with page.expect_download() as downloaded:
        page.get_by_role("button", name="Export").click()
    exported = json.loads(Path(downloaded.value.path()).read_text())
    assert [save["pin"] for save in exported["saves"]] == ["m/06", "m/07", "m/08"]
    assert exported["saves"][1]["note"] == "<b>für</b> die Wand"

    stranger = open_page(f"/?board={board}")
    stranger.wait_for_selector("#place > .results .card")
    assert stranger.get_by_role("button", name="Edit").count() == 0
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Keep").click()
    page.wait_for_selector(".facts:has-text('Secret')")
    assert page.get_by_role("button", name="Share link").count() == 0


def test_a_secret_board_is_not_there_for_others(open_page: Open, address: str) -> None:
    page = open_page("/?board=b0000000000000000", expected=("404",))
    page.wait_for_selector(".note")
    assert "It may have been deleted, or it is secret." in page.locator("#place").inner_text()


def test_a_board_deleted_in_another_tab_takes_no_save(open_page: Open, address: str) -> None:
    page = open_page(expected=("404",))
    kept(page, "m/10", board="Short-lived")
    visit(page, address, "/?text=red", "#results .card")
    other = page.context.new_page()
    other.goto(f"{address}/?at=boards")
    other.locator(".board-tile").first.click()
    other.get_by_role("button", name="Edit").click()
    other.get_by_role("button", name="Delete the board").click()
    other.locator("#sheet").get_by_role("button", name="Delete the board").click()
    other.wait_for_url(re.compile("at=boards"))
    page.locator(".card").first.hover()
    page.get_by_role("button", name=re.compile("^Save ")).first.click()
    page.wait_for_function(
        "() => document.querySelector('#toast').textContent.includes('That board is gone')"
    )
    page.wait_for_selector("#results .keep[aria-pressed=true]", state="detached")
    page.get_by_role("button", name="Choose a board").click()
    assert page.locator("#picker").is_visible()


def test_ten_thousand_pins_come_page_by_page(open_page: Open, address: str) -> None:
    page = open_page()
    board = page.evaluate("fetch('/saves?pin=m%2F50').then((a) => a.json()).then((a) => a.saves[0].board)")
    visit(page, address, f"/?board={board}", "#place > .results .card")
    assert "9,995 pins" in page.locator(".facts").inner_text()
    assert page.locator("#place > .results .card").count() <= 100
    page.get_by_role("button", name="Follow", exact=True).click()
    page.get_by_role("button", name="Following", exact=True).wait_for()
    page.get_by_role("button", name="Follow who made it").click()
    page.get_by_role("button", name="Following who made it").wait_for()
    further = """() => {
      scrollBy(0, 3000);
      return Number(document.querySelector('#place > .results .card').getAttribute('aria-setsize')) >= 300;
    }"""
    page.wait_for_function(further)
    page.wait_for_function("() => { scrollTo(0, 9000); return scrollY > 8000; }")
    places = "all => all.map((one) => Number(one.getAttribute('aria-posinset')))"
    page.wait_for_function(
        "() => document.querySelector('#place > .results .card').getAttribute('aria-posinset') > 20"
    )
    cards = page.locator("#place > .results .card")
    shown, at = order(page), cards.evaluate_all(places)
    assert len(set(shown)) == len(shown) < 120  # of more than 300, what is near the screen
    assert at == sorted(at)
    seen = page.evaluate("document.elementFromPoint(300, 400).closest('.card').card.id")
    page.get_by_role("link", name="Boards").click()
    page.wait_for_selector(".board-list, .note")
    page.go_back()
    page.wait_for_function(
        "id => document.elementFromPoint(300, 400)?.closest('.card')?.card.id === id", arg=seen
    )
    before = page.evaluate("document.querySelectorAll('*').length")
    card = page.evaluate_handle("document.elementFromPoint(300, 400).closest('.card').querySelector('a')")
    card.focus()
    for _ in range(40):  # the keyboard goes on where nothing stood before
        page.keyboard.press("Tab")
    now = page.evaluate("document.activeElement.closest('.card').getAttribute('aria-posinset')")
    assert int(now) > at[0]
    assert page.evaluate("document.querySelectorAll('*').length") < before + 600


def test_the_feed_is_the_start_page_once_something_is_saved_and_learns_what_to_leave_out(
    open_page: Open, address: str
) -> None:
    page = open_page()
    kept(page, "m/07", "m/09", "m/11")
    for pin in ("m/07", "m/09"):
        visit(page, address, f"/?pin={pin.replace('/', '%2F')}", ".closeup .card")
    visit(page, address, "/", "#place .results .card .why:not(:empty)")
    assert page.locator("h1:visible").inner_text() == "For you"
    first = order(page)
    assert len(set(first)) == len(first) > 10
    card = page.locator("#place .card").first
    card.hover()
    card.get_by_role("button", name=re.compile("^Less like ")).click()
    assert page.locator("#sheet p").inner_text().startswith("You see it because: ")
    with page.expect_response("**/less") as answer:
        page.get_by_role("button", name="Hide this pin only").click()
    assert answer.value.status == 204
    page.wait_for_function("n => document.querySelector('#place .card .name').title !== n", arg=first[0])
    with page.expect_response(re.compile("/less.id=")):
        page.locator("#toast").get_by_role("button", name="Undo").click()
    page.wait_for_function("n => document.querySelector('#place .card .name').title === n", arg=first[0])
    page.reload()
    page.wait_for_selector("#place .results .card")
    assert first[0] in order(page)
    card = page.locator(f"#place .card:has(.name[title='{first[0]}'])")
    card.hover()
    card.get_by_role("button", name=re.compile("^Less like ")).click()
    with page.expect_response("**/less"):
        page.get_by_role("button", name="Hide this pin only").click()
    page.reload()
    page.wait_for_selector("#place .results .card")
    assert first[0] not in order(page)
    page.locator("#place .card .open").first.click()
    page.wait_for_selector(".about-pin .why:not(:empty)")
    page.go_back()
    page.wait_for_selector("#place .results .card")
    page.get_by_role("link", name="What you looked at").click()
    page.wait_for_selector("#place .results .card")
    assert {"m/07", "m/09"} <= set(order(page))
    page.locator("#words").fill("red")
    page.keyboard.press("Enter")
    page.wait_for_selector("#results .card")
    assert page.locator("#results .card .name").first.get_attribute("title") == "colours/red"


def test_me_says_what_is_known_in_plain_words_and_forgets_it(open_page: Open, address: str) -> None:
    page = open_page("/?at=me")
    page.wait_for_selector(".me")
    assert "Nothing. You have no account here, no cookie, and no record." in page.locator(".me").inner_text()
    assert page.context.cookies() == []
    kept(page, "m/20", board="Later")
    visit(page, address, "/?at=me", ".me .switch")
    known = page.locator(".me section").first.inner_text()
    assert "1 board\n1 saved pin" in known
    with page.expect_response("**/me/signals"):
        page.get_by_role("switch", name=re.compile("Where I saved from")).click()
    page.reload()
    page.wait_for_selector(".me .switch")
    assert not page.get_by_role("switch", name=re.compile("Where I saved from")).is_checked()
    with page.expect_download() as downloaded:
        page.get_by_role("link", name="Download everything").click()
    held = json.loads(Path(downloaded.value.path()).read_text())
    assert [save["pin_id"] for save in held["saves"]] == ["m/20"]
    page.get_by_role("button", name="Forget me").click()
    page.locator("#sheet").get_by_role("button", name="Forget me").click()
    page.wait_for_selector(".receipt")
    assert page.context.cookies() == []
    assert page.evaluate("Object.keys(localStorage).filter((k) => k !== 'theme').length") == 0
    assert page.evaluate("fetch('/saves?pin=m%2F20').then((a) => a.json()).then((a) => a.saves.length)") <= 1


def test_axe_finds_nothing_serious_in_any_place_light_or_dark(open_page: Open, address: str) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python"
    )
    page = open_page()
    board = kept(page, "m/30", "m/31", board="Axe")
    ready = {
        "/?pin=m%2F30": ".closeup .results .card.in",
        f"/?board={board}": "#place > .results .card.in",
        "/": "#place .results .card.in",
        "/?at=me": ".me .follows li",
        "/?at=boards": ".board-tile",
        "/?at=owner": ".owner form",
        "/?at=history": "#place .results .card.in, .note",
        "/?at=button": "pre",
        "/?at=keep": ".note",
        "/review": "#said:not(:empty), .case",
    }
    for path, there in ready.items():
        visit(page, address, path, there)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            # What depends on the theme is the contrast.
            options = {"runOnly": ["color-contrast"]} if scheme == "dark" else {}
            found = axe.Axe().run(page, options=options).response["violations"]
            serious = [
                (one["id"], [node["html"][:120] for node in one["nodes"]][:3])
                for one in found
                if one["impact"] in ("serious", "critical")
            ]
            assert (path, scheme, serious) == (path, scheme, [])


def test_every_place_fits_a_phone(open_page: Open, address: str) -> None:
    width = 320
    page = open_page(viewport={"width": width, "height": 800}, is_mobile=True, has_touch=True)
    board = kept(page, "m/40", "m/41", board="Phone")
    for path, there in {
        "/?pin=m%2F40": ".closeup .card",
        "/?at=boards": ".board-tile",
        f"/?board={board}": "#place > .results .card",
        "/": "#place .results .card",
        "/?at=me": ".me .switch",
    }.items():
        visit(page, address, path, there)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        links = page.locator("#nav a").evaluate_all("all => all.map((a) => a.getBoundingClientRect().right)")
        assert all(right <= width for right in links)
