"""The page in a real browser: drop, crop, refine, filter, back, phone, keyboard, accessibility."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

Open = Callable[..., Any]


def first(page: Any) -> str:
    """The id of the best result."""
    return str(page.locator("#results .card .name").first.get_attribute("title"))


def wait_first(page: Any, name: str) -> None:
    page.wait_for_function("n => document.querySelector('#results .card .name')?.title === n", arg=name)


def titles(page: Any) -> list[str]:
    return [
        str(t)
        for t in page.locator("#results .card .name").evaluate_all("all => all.map((one) => one.title)")
    ]


def settled(page: Any) -> None:
    page.wait_for_function("() => document.querySelector('#results').getAttribute('aria-busy') === 'false'")


def drop(page: Any, file: Path) -> None:
    """Drop a file from outside on the page."""
    data = base64.b64encode(file.read_bytes()).decode()
    page.evaluate(
        """([data, name]) => {
          const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
          const transfer = new DataTransfer();
          transfer.items.add(new File([bytes], name, { type: "image/png" }));
          for (const kind of ["dragenter", "dragover", "drop"]) {
            document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
          }
        }""",
        [data, file.name],
    )


def drag(page: Any, start: tuple[float, float], end: tuple[float, float], release: bool = True) -> None:
    """Drag on the query's picture, in fractions of it."""
    frame = page.locator(".frame").bounding_box()
    x, y, w, h = (frame[key] for key in ("x", "y", "width", "height"))
    page.mouse.move(x + w * start[0], y + h * start[1])
    page.mouse.down()
    page.mouse.move(x + w * end[0], y + h * end[1], steps=6)
    if release:
        page.mouse.up()


def test_the_start_shows_pins_and_more_while_scrolling(open_page: Open) -> None:
    page = open_page()
    assert page.locator("h1").inner_text() == "Find it by how it looks"
    assert page.locator("#status").inner_text() == "60 pins"
    assert len(titles(page)) >= 40
    page.mouse.wheel(0, 20_000)
    page.wait_for_function("() => document.querySelectorAll('#results .card').length === 60")
    assert len(set(titles(page))) == 60
    assert page.locator("#end").inner_text() == "That is all 60 of them."


def test_cards_do_not_overlap_and_stand_in_the_order_of_their_rank(open_page: Open) -> None:
    page = open_page("/?like=m%2F07")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.card')].slice(0, 12).every((c) => c.querySelector('.loaded'))"
    )
    sides = "(one) => { const b = one.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; }"
    boxes = page.locator(".card").evaluate_all(f"all => all.slice(0, 12).map({sides})")
    for at, a in enumerate(boxes):
        for b in boxes[at + 1 :]:
            assert a[2] <= b[0] + 1 or b[2] <= a[0] + 1 or a[3] <= b[1] + 1 or b[3] <= a[1] + 1
    assert [b[1] for b in boxes[:3]] == [boxes[0][1]] * 3


def test_a_dropped_picture_is_searched(open_page: Open, scene: Path) -> None:
    page = open_page()
    drop(page, scene)
    page.wait_for_url(re.compile(r"image=upload%3A[0-9a-f]{64}"))
    settled(page)
    assert page.locator("#hero").is_hidden()
    assert page.locator(".frame img").is_visible()
    assert re.fullmatch(r"Best of 60 pins in \d+ ms", page.locator("#status").inner_text())
    assert float(page.locator(".card .score").first.inner_text()) > 0.3


def test_a_pasted_picture_is_searched(open_page: Open, scene: Path) -> None:
    page = open_page()
    page.evaluate(
        """(data) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], "p.png", { type: "image/png" }));
          document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
        }""",
        base64.b64encode(scene.read_bytes()).decode(),
    )
    page.wait_for_url(re.compile("image=upload"))


def test_results_change_while_a_box_is_dragged_and_follow_it(open_page: Open, scene: Path) -> None:
    page = open_page()
    page.set_input_files("#file", scene)
    page.wait_for_url(re.compile("image=upload"))
    drag(page, (0.55, 0.1), (0.95, 0.9), release=False)
    wait_first(page, "colours/blue")  # the button is still down
    assert "crop" not in page.url
    page.mouse.up()
    page.wait_for_url(re.compile(r"crop=0\.5\d+"))
    wait_first(page, "colours/blue")
    drag(page, (0.75, 0.5), (0.25, 0.5))  # the box is moved to the other half
    wait_first(page, "colours/red")
    page.wait_for_url(re.compile(r"crop=0\.0"))
    numbers = [float(n) for n in parse_qs(urlsplit(page.url).query)["crop"][0].split(",")]
    assert numbers == pytest.approx([0.05, 0.1, 0.45, 0.9], abs=0.03)
    page.go_back()
    wait_first(page, "colours/blue")
    page.go_back()
    page.wait_for_url(lambda url: "crop" not in url)
    assert page.locator(".box").is_hidden()
    page.go_forward()
    wait_first(page, "colours/blue")


def test_a_crop_is_made_moved_and_dropped_by_keyboard(open_page: Open, scene: Path) -> None:
    page = open_page()
    page.set_input_files("#file", scene)
    page.wait_for_url(re.compile("image=upload"))
    page.get_by_role("button", name="Search a part").press("Enter")
    page.wait_for_url(re.compile(r"crop=0\.2000%2C0\.2000%2C0\.8000%2C0\.8000"))
    for _ in range(10):
        page.keyboard.press("Shift+ArrowLeft")
    page.wait_for_url(re.compile(r"crop=0\.2000%2C0\.2000%2C0\.5000%2C0\.8000"))
    wait_first(page, "colours/red")
    assert "from 20, 20 to 50, 80 percent" in page.locator(".box").get_attribute("aria-label")
    page.keyboard.press("Escape")
    page.wait_for_url(lambda url: "crop" not in url)


def test_dots_stand_on_found_objects_and_search_them(open_page: Open, scene: Path) -> None:
    page = open_page()
    found = {
        "found": True,
        "objects": [{"box": [0.5, 0, 1, 1], "label": "sky", "score": 1, "label_from": "", "hits": []}],
    }
    page.route(
        "**/look",
        lambda route: route.fulfill(
            json={**found, "notes": [], "width": 1, "height": 1, "seconds": {}, "upload": None}
        ),
    )
    page.set_input_files("#file", scene)
    page.get_by_role("button", name="Search the sky").click()
    page.wait_for_url(re.compile(r"crop=0\.5000%2C0\.0000%2C1\.0000%2C1\.0000"))
    wait_first(page, "colours/blue")


def test_objects_are_looked_for_on_the_server(open_page: Open, scene: Path) -> None:
    page = open_page()
    with page.expect_response("**/look") as answer:
        page.set_input_files("#file", scene)
    assert answer.value.status == 200
    page.wait_for_selector("#hint:not([hidden])")
    objects = answer.value.json()
    assert page.locator(".dot").count() == (len(objects["objects"]) if objects["found"] else 0)


def test_a_result_leads_to_more_like_it_and_refines(open_page: Open) -> None:
    page = open_page("/?text=red")
    assert first(page) == "colours/red"
    assert page.locator("#words").input_value() == "red"
    page.locator(".card .open").nth(2).click()
    page.wait_for_url(re.compile(r"\?pin="))
    page.get_by_role("link", name="Search with it").click()
    page.wait_for_url(re.compile(r"\?like="))
    settled(page)
    assert page.locator("#about h3").inner_text().startswith(("Mosaic", "Plain"))
    before = titles(page)
    card = page.locator(".card").nth(3)
    name = card.locator(".name").get_attribute("title")
    card.hover()
    card.get_by_role("button", name=re.compile("^Less of")).click()
    page.wait_for_url(re.compile("unlike="))
    settled(page)
    page.wait_for_function(
        "n => ![...document.querySelectorAll('.card .name')].some((one) => one.title === n)", arg=name
    )
    assert titles(page) != before
    assert page.locator("#chips .unlike").count() == 1
    page.locator("#chips .unlike button").click()
    page.wait_for_url(lambda url: "unlike" not in url)
    page.wait_for_function(
        "b => [...document.querySelectorAll('.card .name')].slice(0, 9).map((o) => o.title).join() === b",
        arg=",".join(before[:9]),
    )


def test_filters_and_sorting_narrow_and_order_and_have_an_address(open_page: Open) -> None:
    page = open_page("/?text=red")
    page.get_by_role("button", name=re.compile("^odd")).click()
    page.wait_for_url(re.compile("is=category"))
    page.wait_for_function("() => document.querySelector('#status').textContent.includes(' 28 pins')")
    slider = page.get_by_role("slider", name="price, at most")
    slider.fill("50")
    page.wait_for_url(re.compile("between=price"))
    page.wait_for_function("() => document.querySelectorAll('#active .part').length === 2")
    page.select_option("#sort", "-price")
    page.wait_for_url(re.compile("sort=-price"))
    wait_first(page, "m/29")
    shared = open_page(page.url.partition("/?")[2].join(["/?", ""]))
    assert titles(shared) == titles(page) == [f"m/{n:02d}" for n in range(29, 3, -2)]
    assert shared.get_by_role("button", name=re.compile("^odd")).get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="Clear all").click()
    page.wait_for_url(lambda url: "between" not in url and "is=" not in url)
    page.go_back()
    page.wait_for_function("() => document.querySelectorAll('#active .part').length === 2")


def test_nothing_found_and_errors_say_what_to_do(open_page: Open) -> None:
    page = open_page("/?is=category%3D%22plain%22&between=price%3D40..")
    assert "Nothing fits" in page.locator("#message").inner_text()
    page.get_by_role("button", name="Clear the filters").click()
    page.wait_for_selector(".card")
    gone = open_page(f"/?image=upload%3A{'0' * 64}", expected=("410", "status of 4"))
    assert "no longer kept" in gone.locator("#message").inner_text()
    assert gone.get_by_role("button", name="Choose the picture").is_visible()
    unknown = open_page("/?like=no-such-pin", expected=("422", "404"))
    assert "there is no pin 'no-such-pin'" in unknown.locator("#message").inner_text()
    unknown.get_by_role("button", name="Start over").click()
    unknown.wait_for_selector(".card")


def test_what_pins_and_visitors_say_never_becomes_markup(open_page: Open) -> None:
    page = open_page(
        "/?text=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&is=x%3D%22%3Cb%3E%22", expected=("422",)
    )
    assert page.locator("#words").input_value() == "<img src=x onerror=alert(1)>"
    assert page.locator("main b, main img[src='x'], aside img[src='x']").count() == 0


def fits(page: Any) -> None:
    """Nothing makes the page wider than the screen. innerWidth would not tell: a phone widens it with the page."""
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    theme = page.locator("#theme").bounding_box()
    assert theme["x"] + theme["width"] <= width


@pytest.mark.parametrize("width", [320, 390, 430, 768, 1360])
def test_every_width_shows_all_of_the_page(open_page: Open, width: int) -> None:
    screen = {"viewport": {"width": width, "height": 800}, "is_mobile": width < 700, "has_touch": width < 700}
    for path in ("/", "/?like=m%2F07&text=red", "/?is=category%3D%22odd%22&between=price%3D10..50"):
        page = open_page(path, **screen)
        fits(page)
        chips = page.locator("#active .part span").evaluate_all(
            "all => all.map((one) => [one.textContent, one.getBoundingClientRect().width])"
        )
        assert all(shown > 40 for _, shown in chips), chips
        assert len(chips) == path.count("is=") + path.count("between=")


def test_words_beside_a_pin_keep_the_pin(open_page: Open) -> None:
    page = open_page("/?like=m%2F07")
    assert page.locator("#chips .part").count() == 0
    page.locator("#words").fill("red")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: parse_qs(urlsplit(url).query) == {"text": ["red"], "like": ["m/07"]})
    settled(page)
    assert page.locator("#chips .part span").all_inner_texts() == ["\u201cred\u201d", "+ Mosaic 7"]
    page.locator("#chips .part.like button").click()
    wait_first(page, "colours/red")


def test_the_counts_beside_filters_say_what_a_choice_would_leave(open_page: Open) -> None:
    page = open_page()
    counts = """() => Object.fromEntries([...document.querySelectorAll('#filter-list .chip')].map(
      (one) => [one.firstChild.textContent, one.querySelector('small').textContent]))"""
    page.wait_for_function(f"() => ({counts})().odd === '28'")
    assert page.evaluate(counts) == {"odd": "28", "even": "27", "plain": "5"}
    page.goto(page.url + "?between=price%3D..10")
    page.wait_for_function(f"() => ({counts})().odd === '3'")
    assert page.evaluate(counts) == {"odd": "3", "even": "3", "plain": "5"}
    page.locator("#filter-list .chip", has_text="odd").click()
    page.wait_for_selector("#active .part >> nth=1")
    settled(page)
    assert page.evaluate(counts) == {"odd": "3", "even": "3", "plain": "5"}  # its own filter does not count


def test_an_address_that_fails_stays_where_its_spelling_can_be_checked(open_page: Open) -> None:
    page = open_page(expected=("422", "status of 4"))
    page.locator("#words").fill("http://nosuch.invalid/a.jpg")
    page.keyboard.press("Enter")
    page.wait_for_selector("#message:not([hidden])")
    assert page.locator("#words").input_value() == "http://nosuch.invalid/a.jpg"


def test_a_phone_shows_two_columns_and_folded_filters(open_page: Open, playwright: Any, scene: Path) -> None:
    page = open_page(**playwright.devices["Pixel 7"])
    fits(page)
    assert page.locator("#filters").get_attribute("open") is None
    assert page.locator("#snap").is_visible()
    lefts = page.locator(".card").evaluate_all(
        "all => new Set(all.map((one) => Math.round(one.getBoundingClientRect().left))).size"
    )
    assert lefts == 2
    page.set_input_files("#photo", scene)
    page.wait_for_url(re.compile("image=upload"))
    settled(page)
    fits(page)
    box = page.locator(".card").first.bounding_box()
    assert box["y"] < page.viewport_size["height"]  # results begin on the first screen


def test_the_keyboard_reaches_search_and_results_in_order(open_page: Open) -> None:
    page = open_page("/?text=red")
    page.locator("body").press("/")
    assert page.evaluate("document.activeElement.id") == "words"
    page.locator("#results").focus()
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.closest('.card')?.querySelector('.name').title"))
    assert reached == [name for name in titles(page)[:3] for _ in range(4)]
    page.locator("#words").fill("blue")
    page.keyboard.press("Enter")
    wait_first(page, "colours/blue")
    assert page.locator("#status").get_attribute("aria-live") == "polite"


def test_a_group_of_filters_is_one_stop_and_arrows_go_through_it(open_page: Open) -> None:
    page = open_page()
    page.wait_for_selector("#filter-list .chip")
    page.locator("#filters summary").focus()
    page.keyboard.press("Tab")
    focused = "document.activeElement.firstChild.textContent"
    assert page.evaluate(focused) == "odd"
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused) == "even"
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("is=category"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.type") == "range"


def test_dark_and_light_are_chosen_and_remembered(open_page: Open) -> None:
    page = open_page(color_scheme="dark")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_role("button", name="Switch between light and dark").click()
    light = page.evaluate(ground)
    assert (dark, light) == ("rgb(20, 19, 23)", "rgb(250, 248, 245)")
    page.reload()
    page.wait_for_selector(".card")
    settled(page)
    assert page.evaluate(ground) == light


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "path", ["/", "/?like=m%2F07&unlike=m%2F09&is=category%3D%22odd%22", "/?like=nope", "/docs"]
)
def test_axe_finds_nothing_serious(
    open_page: Open, browser: Any, address: str, path: str, scheme: str
) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python"
    )
    if path == "/docs":
        page = browser.new_context(color_scheme=scheme, reduced_motion="reduce").new_page()
        page.goto(address + path)
        page.wait_for_selector("details summary")
        page.locator("details summary").nth(1).click()
    else:
        page = open_page(path, color_scheme=scheme, expected=("422", "404"))
    found = axe.Axe().run(page).response["violations"]
    serious = [
        (one["id"], [node["html"][:120] for node in one["nodes"]][:3])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_the_page_before_pictures_is_light(browser: Any, address: str) -> None:
    page = browser.new_context().new_page()
    asked: list[Any] = []
    page.on("request", lambda request: asked.append(request))  # noqa: PLW0108  Playwright marks what it is given
    page.goto(address)
    page.wait_for_selector("#results[aria-busy=false]", state="attached")
    page.wait_for_load_state("networkidle")
    shell = [one for one in asked if "/picture" not in one.url]
    assert len(shell) >= 10
    assert sum(one.sizes()["responseBodySize"] for one in shell) <= 100_000
    page.context.close()
