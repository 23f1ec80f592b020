"""Saving and a pin's own page in a real browser: one press, undo, a server that is away, zoom, back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

Open = Callable[..., Any]


def saves_of(address: str, pin: str) -> list[dict[str, Any]]:
    """The saves of a pin on public boards, as the server has them."""
    with urlopen(f"{address}/saves?pin={quote(pin, safe='')}") as answer:
        found: list[dict[str, Any]] = json.load(answer)["saves"]
    return found


def sent(page: Any) -> None:
    """Nothing waits to be sent."""
    page.wait_for_function("() => JSON.parse(localStorage.getItem('outbox') ?? '[]').length === 0")


def card(page: Any, pin: str) -> Any:
    return page.locator(f"#results .card:has(.name[title='{pin}'])")


def save(page: Any, pin: str) -> None:
    card(page, pin).hover()
    card(page, pin).get_by_role("button", name=re.compile("^Save ")).click()


def test_one_press_saves_undo_takes_back_and_the_last_board_is_remembered(
    open_page: Open, address: str
) -> None:
    page = open_page("/?text=red")
    assert page.context.cookies() == []  # who only searches is nobody
    save(page, "colours/red")
    assert page.locator("#toast").inner_text().startswith("Saved to My ideas")
    pressed = card(page, "colours/red").locator(".keep")
    assert pressed.get_attribute("aria-pressed") == "true"
    sent(page)
    assert len(saves_of(address, "colours/red")) == 1
    page.locator("#toast").get_by_role("button", name="Undo").click()
    assert pressed.get_attribute("aria-pressed") == "false"
    sent(page)
    assert saves_of(address, "colours/red") == []

    save(page, "colours/red")
    page.locator("#toast").get_by_role("button", name="Change").click()
    page.get_by_role("textbox", name="Find or make a board").fill("<b>Küche</b> 🏠")
    page.keyboard.press("Enter")
    sent(page)
    assert page.locator("#toast b").count() == 0
    assert len(saves_of(address, "colours/red")) == 1
    other = page.locator("#results .card .name").nth(1).get_attribute("title")
    save(page, other)
    assert "<b>Küche</b> 🏠" in page.locator("#toast").inner_text()
    sent(page)
    assert {s["board"] for s in saves_of(address, other)} == {
        s["board"] for s in saves_of(address, "colours/red")
    }
    page.reload()
    page.wait_for_selector(f".card:has(.name[title='{other}']) .keep[aria-pressed=true]")


def test_what_may_be_remembered_is_asked_once_and_no_means_no_event(open_page: Open) -> None:
    page = open_page("/?text=red")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    save(page, "colours/red")
    page.get_by_role("button", name="No, only my boards").click()
    sent(page)
    page.locator(".card .open").first.click()
    page.wait_for_selector(".closeup h1")
    page.go_back()
    page.wait_for_selector("#results .card")
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")
    save(page, "colours/green") if card(page, "colours/green").count() else None
    assert page.locator("#consent").is_hidden()
    assert not [url for url in asked if url.endswith("/events")]
    assert page.evaluate("fetch('/me').then(a => a.json()).then(m => m.consent.clicks)") is False


def test_events_of_who_agreed_are_sent_in_batches_and_the_rest_at_the_end(open_page: Open) -> None:
    page = open_page("/?text=red")
    save(page, "colours/red")
    page.get_by_role("button", name="Yes, remember").click()
    page.locator(".card .open").nth(1).click()
    page.wait_for_selector(".closeup .results .card")
    page.wait_for_function("() => document.querySelectorAll('.closeup .card.in').length > 5")
    beacons = page.evaluate(
        """async () => {
          const sent = [];
          navigator.sendBeacon = (path, body) => { sent.push([path, body]); return true; };
          document.querySelector('.closeup section:not([hidden]) .results').scrollIntoView();
          let path, text = '';
          for (const end = Date.now() + 15000; !text.includes('impression') && Date.now() < end;) {
            await new Promise((done) => setTimeout(done, 200));  // half of a tile for a second
            dispatchEvent(new PageTransitionEvent('pagehide'));
            if (sent.length) { path = sent.at(-1)[0]; text = await sent.at(-1)[1].text(); }
          }
          const answer = await fetch(path, { method: 'POST', body: text, headers: { 'Content-Type': 'application/json' } });
          return [path, JSON.parse(text), answer.status, await answer.json()];
        }"""
    )
    path, batch, status, verdicts = beacons
    assert (path, status) == ("/events", 202)
    kinds = {event["kind"] for event in batch["events"]}
    assert "impression" in kinds
    assert verdicts["accepted"] + verdicts["duplicates"] == len(batch["events"])
    assert all(event["answer"] and event["slot"] >= 0 for event in batch["events"])


def test_a_save_while_the_server_is_away_is_kept_and_sent_once(open_page: Open, address: str) -> None:
    page = open_page("/?text=blue", expected=("ERR_FAILED", "503"))
    away = re.compile(r"/(saves|me)(\?|$)")
    page.route(away, lambda route: route.abort())
    save(page, "colours/blue")
    assert card(page, "colours/blue").locator(".keep").get_attribute("aria-pressed") == "true"
    page.wait_for_function("() => document.querySelector('#toast').textContent.includes('sent later')")
    page.reload()
    page.wait_for_selector("#results[aria-busy=false] .card")
    assert saves_of(address, "colours/blue") == []
    page.unroute(away)
    page.evaluate("dispatchEvent(new Event('online'))")
    sent(page)
    assert len(saves_of(address, "colours/blue")) == 1


def test_a_browser_that_may_keep_nothing_can_save(open_page: Open, address: str) -> None:
    page = open_page()
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('no'); } })"
    )
    page.goto(f"{address}/?text=green")
    page.wait_for_selector("#results[aria-busy=false] .card")
    with page.expect_response(re.compile("/saves$")) as answer:
        save(page, "colours/green")
    assert answer.value.status == 201


def test_a_tile_is_a_link_and_its_page_tells_all(open_page: Open) -> None:
    page = open_page("/?text=red")
    link = card(page, "colours/red").locator("a.open")
    assert link.get_attribute("href") == "/?pin=colours%2Fred"
    link.click()
    page.wait_for_selector(".closeup .results .card")
    assert page.locator(".closeup h1").inner_text() == "Plain red"
    assert page.title() == "Plain red · visualsearch"
    assert page.locator(".price").inner_text() == "0.50"
    assert page.locator(".about-pin dd").first.inner_text() == "plain"
    page.get_by_role("button", name="Zoom").click()
    zoomed = page.locator("#zoom .zoomed")
    before = zoomed.bounding_box()["width"]
    page.keyboard.press("Enter")
    assert zoomed.bounding_box()["width"] > 1.5 * before
    page.keyboard.press("Escape")
    assert page.locator("#zoom").is_hidden()
    page.get_by_role("textbox", name="Your comment").fill("<i>lovely</i> مرحبا")
    page.keyboard.press("Enter")
    page.wait_for_selector(".comments li")
    assert page.locator(".comments p").inner_text() == "<i>lovely</i> مرحبا"
    page.locator(".comments").get_by_role("button", name="Delete").click()
    page.wait_for_selector(".comments li", state="detached")
    more = page.locator(".closeup .card .name").nth(2).get_attribute("title")
    page.locator(".closeup .card .open").nth(2).click()
    page.wait_for_url(lambda url: quote(more, safe="") in url)
    page.reload()
    page.wait_for_selector(".closeup .results .card")
    page.go_back()
    page.wait_for_function("() => document.querySelector('.closeup h1')?.textContent === 'Plain red'")


def test_back_restores_the_results_and_the_scroll(open_page: Open) -> None:
    page = open_page()
    page.mouse.wheel(0, 20_000)
    page.wait_for_function("() => document.querySelectorAll('#results .card').length === 60")
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight - 1400)")
    page.wait_for_timeout(150)  # the page notes it within 80 ms
    before = page.evaluate("scrollY")
    assert before > 1000
    page.evaluate(
        """[...document.querySelectorAll('.card a.open')].find((a) => {
          const y = a.getBoundingClientRect().top; return y > 100 && y < 500; }).click()"""
    )
    page.wait_for_selector(".closeup .results .card")
    assert page.evaluate("scrollY") == 0
    page.go_back()
    page.wait_for_function("y => Math.abs(scrollY - y) < 3", arg=before)
    assert page.locator("#results .card").count() == 60


def test_tiles_stand_where_they_stay_before_their_pictures_come(open_page: Open) -> None:
    page = open_page()
    page.route("**/picture*", lambda route: None)
    page.goto(page.url + "?text=red")
    page.wait_for_selector("#results[aria-busy=false] .card")
    places = "() => [...document.querySelectorAll('#results .card')].map((one) => one.style.transform + one.style.width)"
    before = page.evaluate(places)
    page.unroute("**/picture*")
    page.goto(page.url)
    page.wait_for_selector("#results[aria-busy=false] .card")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.card')].slice(0, 6).every((c) => c.querySelector('.loaded'))"
    )
    assert page.evaluate(places) == before


def test_a_pin_that_is_not_there_says_so(open_page: Open) -> None:
    page = open_page("/?pin=no-such", expected=("404",))
    page.wait_for_selector(".note")
    assert "There is no such pin" in page.locator("#place").inner_text()
    page.get_by_role("button", name="Start over").click()
    page.wait_for_selector("#results .card")


def test_a_result_is_dragged_into_the_query(open_page: Open) -> None:
    page = open_page("/?text=red")
    page.evaluate(
        """() => {
          const transfer = new DataTransfer();
          transfer.setData('text/uri-list', location.origin + '/?pin=m%2F07');
          document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }));
        }"""
    )
    page.wait_for_url(re.compile("like=m%2F07"))


def test_words_to_add_and_to_keep_away_are_parts_of_their_own(open_page: Open) -> None:
    page = open_page()
    page.locator("#words").fill("red +blue -green")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("text=red&text=blue&not_text=green"))
    assert page.locator("#chips .part span").all_inner_texts() == ["“red”", "“blue”", "− “green”"]
    page.wait_for_function(
        "() => document.activeElement.id === 'results'"
    )  # the next Tab is the first result
    page.locator("#chips .unlike button").click()
    page.wait_for_url(lambda url: "not_text" not in url)


def touch(page: Any, kind: str, *points: tuple[float, float]) -> None:
    """Fingers on the screen, as a phone tells them."""
    session = getattr(page, "cdp", None) or page.context.new_cdp_session(page)
    page.cdp = session
    session.send(
        "Input.dispatchTouchEvent",
        {"type": kind, "touchPoints": [{"x": x, "y": y, "id": at} for at, (x, y) in enumerate(points)]},
    )


def stroke(page: Any, start: tuple[float, float], end: tuple[float, float], steps: int = 5) -> None:
    """One finger goes from one place to another."""
    touch(page, "touchStart", start)
    for step in range(1, steps + 1):
        x, y = (a + (b - a) * step / steps for a, b in zip(start, end, strict=True))
        touch(page, "touchMove", (x, y))
    touch(page, "touchEnd")


def test_fingers_swipe_between_pins_pinch_a_picture_and_pull_it_away(open_page: Open, address: str) -> None:
    page = open_page("/?text=red", viewport={"width": 390, "height": 800}, is_mobile=True, has_touch=True)
    listed = [
        str(one)
        for one in page.locator("#results .card .name").evaluate_all("all => all.map((a) => a.title)")
    ]
    page.locator("#results .card .open").nth(1).tap()
    page.wait_for_selector(".closeup h1:not(:empty)")

    def at(place: int) -> None:
        page.wait_for_url(lambda url: quote(listed[place], safe="") in url)
        page.wait_for_selector(".closeup h1:not(:empty)")

    at(1)
    box = page.locator(".closeup .frame").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    stroke(page, (x + 80, y), (x - 80, y + 8))
    at(2)
    stroke(page, (x - 80, y), (x + 80, y + 8))
    at(1)
    stroke(page, (x, y), (x + 4, y - 90))  # a scroll is no swipe, and begins no part
    assert page.locator(".closeup .box").is_hidden()
    page.evaluate("scrollTo(0, 0)")
    page.get_by_role("button", name="Zoom").tap()
    zoomed = page.locator("#zoom .zoomed")
    width = zoomed.bounding_box()["width"]
    stroke(page, (300, 400), (100, 405))
    at(2)
    assert page.locator("#zoom").is_visible()
    page.wait_for_selector(f"#zoom img[src*='{quote(listed[2], safe='')}']")
    touch(page, "touchStart", (170, 400), (220, 400))
    for wide in (40, 60, 80, 100):
        touch(page, "touchMove", (195 - wide, 400), (195 + wide, 400))
    touch(page, "touchEnd")
    assert zoomed.bounding_box()["width"] > 2.5 * width
    assert zoomed.get_attribute("aria-pressed") == "true"
    stroke(page, (300, 400), (100, 400))  # a large picture is moved, not left
    assert page.locator("#zoom").is_visible()
    assert quote(listed[2], safe="") in page.url
    page.locator("#zoom .zoom-pane").tap()
    page.wait_for_selector("#zoom .zoomed[aria-pressed=false]")
    page.keyboard.press("ArrowLeft")
    at(1)
    stroke(page, (195, 300), (200, 520))
    page.wait_for_selector("#zoom", state="hidden")
    page.go_back()
    page.wait_for_selector("#results .card")
