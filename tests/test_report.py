"""The result page: stands alone, shows what was asked and found, and nothing given becomes markup."""

from __future__ import annotations

import base64
import re
import shlex
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visualsearch.errors import PictureError, StorageError
from visualsearch.pages.results import Section, command_line, write_page
from visualsearch.types import WHOLE, Box, Hit, Hits, Part

HOSTILE = "<script>a('x')</script>\"'&<img src=x onerror=b(1)>"


class Parsed(HTMLParser):
    """Every element with its attributes, and the text of the page outside style and script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside not in ("style", "script"):
            self.words.append(data)

    def all(self, tag: str, kind: str | None = None) -> list[dict[str, str | None]]:
        return [
            found
            for name, found in self.elements
            if name == tag and (kind is None or kind in (found.get("class") or "").split())
        ]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Four files of one colour each, 600 x 300."""
    paths = [tmp_path / f"{name}.png" for name in ("red", "green", "blue", "grey")]
    for path, colour in zip(paths, ("#c01010", "#10c010", "#1010c0", "#808080"), strict=True):
        Image.new("RGB", (600, 300), colour).save(path)
    return paths


def hit(path: Path | str, score: float = 0.9, box: Box = WHOLE, **attributes: object) -> Hit:
    return Hit(Path(path).stem, str(path), score, box, attributes)


def section(*hits: Hit, parts: tuple[Part, ...] = (), **more: object) -> Section:
    values: dict[str, object] = {"title": "A query", "note": "", "command": "", "where": None}
    values |= {"hits": Hits(hits, 264, "exact", 0.0021)} | more
    return Section(parts=parts, **values)  # type: ignore[arg-type]


def written(path: Path, *sections: Section, **more: object) -> Parsed:
    page = write_page(path / "page.html", sections, **{"title": "Results", **more})  # type: ignore[arg-type]
    return Parsed(page.read_text(encoding="utf-8"))


def pixels(href: str | None) -> Image.Image:
    assert href is not None
    kind, data = href.split(",")
    assert kind == "data:image/jpeg;base64"
    return Image.open(BytesIO(base64.b64decode(data)))


def test_results_are_shown_in_order_with_score_title_and_attributes(
    tmp_path: Path, pictures: list[Path]
) -> None:
    hits = [
        hit(pictures[0], 0.91234, title="A red card", price=12.5, sold=False, none=None),
        hit(pictures[1], -0.25, colour="green"),
    ]
    page = written(tmp_path, section(*hits))
    assert "2 of 264 pins exact 2.1 ms" in page.text
    assert "1 0.912 A red card red price 12.50 sold no 2 -0.250 green green colour green" in page.text
    shown = [pixels(image["href"]) for image in page.all("image")]
    assert [picture.size for picture in shown] == [(256, 128), (256, 128)]
    middle = [np.asarray(picture)[64, 128].tolist() for picture in shown]
    np.testing.assert_allclose(middle, [[0xC0, 0x10, 0x10], [0x10, 0xC0, 0x10]], atol=4)
    assert [drawing["aria-label"] for drawing in page.all("svg")] == ["A red card", "green"]


def test_only_the_attributes_asked_for_are_shown(tmp_path: Path, pictures: list[Path]) -> None:
    page = written(tmp_path, section(hit(pictures[0], a=1, b=2, c=3)), facts=["c", "missing"])
    assert "red c 3" in page.text
    assert "a 1" not in page.text
    assert "missing" not in page.text


def test_the_page_asks_nothing_of_any_other_place(tmp_path: Path, pictures: list[Path]) -> None:
    parts = (Part(image=pictures[3]), Part(like="red"))
    page = written(tmp_path, section(*map(hit, pictures), parts=parts), section(hit(pictures[0])))
    places = [
        value
        for _, found in page.elements
        for name, value in found.items()
        if name in ("src", "href", "action", "srcset", "data") and value
    ]
    assert len(places) >= 8
    assert all(place.startswith(("#", "data:image/jpeg;base64,")) for place in places)
    assert not {"link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.elements}
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "url(" not in text
    assert "@import" not in text
    policy = next(meta for meta in page.all("meta") if meta.get("http-equiv"))
    assert "default-src 'none'" in (policy["content"] or "")


def test_nothing_given_becomes_markup(tmp_path: Path) -> None:
    def never(uri: str) -> bytes:
        raise PictureError(uri, HOSTILE)

    hostile = Section(
        title=HOSTILE,
        note=HOSTILE,
        command=HOSTILE,
        parts=(Part(text=HOSTILE), Part(like=HOSTILE, weight=-1), Part(image=f"{HOSTILE}.png")),
        where=HOSTILE,
        hits=Hits((Hit(HOSTILE, HOSTILE, 0.5, WHOLE, {"title": HOSTILE, HOSTILE: HOSTILE}),), 1, HOSTILE),
    )
    absent = section(hits=None, absent=HOSTILE)
    page = written(tmp_path, hostile, absent, title=HOSTILE, lead=HOSTILE, footnote=HOSTILE, picture=never)
    plain = written(tmp_path, section(hits=None), title="x")
    assert len(page.all("script")) == len(plain.all("script")) == 1
    assert not page.all("img")
    assert not [name for _, found in page.elements for name in found if name.startswith("on")]
    wanted = " ".join(HOSTILE.split())
    assert page.text.count(wanted) >= 14
    assert [found["title"] for found in page.all("p", "id")] == [HOSTILE]


def test_a_hostile_title_stays_the_name_of_its_picture(tmp_path: Path, pictures: list[Path]) -> None:
    page = written(tmp_path, section(hit(pictures[0], title=HOSTILE)))
    assert [drawing["aria-label"] for drawing in page.all("svg")] == [HOSTILE]
    assert not [name for _, found in page.elements for name in found if name.startswith("on")]


def test_the_command_line_can_be_copied_as_it_is(tmp_path: Path) -> None:
    command = """visualsearch search pins.index 'my & "picture".jpg' --where "price < 50" --text 'a <b>'"""
    page = written(tmp_path, section(command=command))
    assert command in page.words


def test_a_picture_shown_often_is_stored_once(tmp_path: Path, pictures: list[Path]) -> None:
    again = pictures[0].with_name("again.png")
    again.write_bytes(pictures[0].read_bytes())
    page = written(
        tmp_path,
        section(hit(pictures[0]), hit(pictures[1]), parts=(Part(like="red"),)),
        section(hit(pictures[0]), hit(again)),
    )
    assert len(page.all("image")) == 2
    first = page.all("image")[0]["id"]
    assert [use["href"] for use in page.all("use")] == [f"#{first}"] * 3
    assert len({image["id"] for image in page.all("image")}) == 2


def test_boxes_are_drawn_where_they_are_and_only_when_not_the_whole(
    tmp_path: Path, pictures: list[Path]
) -> None:
    crop, matched = Box(0.25, 0.5, 0.75, 1.0), Box(0.0, 0.0, 0.5, 0.25)
    hits = (hit(pictures[0]), hit(pictures[1], box=matched))
    page = written(tmp_path, section(*hits, parts=(Part(image=pictures[2], crop=crop),)))
    drawn = [
        tuple(float(rect[name] or "nan") for name in ("x", "y", "width", "height"))
        for rect in page.all("rect", "box")
        if rect["class"] == "box"
    ]
    assert drawn == [(120.0, 120.0, 240.0, 120.0), (0.0, 0.0, 128.0, 32.0)]  # of 480 x 240 and of 256 x 128
    assert len(page.all("path", "dim")) == 2
    assert "blue.png, the part in the box" in page.text


def test_parts_show_sign_weight_words_and_filter(tmp_path: Path, pictures: list[Path]) -> None:
    parts = (
        Part(text="in red", weight=0.4),
        Part(like="grey", weight=-1),
        Part(image=np.zeros((9, 9, 3), np.uint8)),
    )
    asked = section(parts=parts, where="price < 50", pins={"grey": str(pictures[3])})
    page = written(tmp_path, asked)
    assert "“in red” + like × 0.4 words" in page.text
    assert "− less like pin grey" in page.text
    assert "+ like a picture" in page.text
    assert "Only where price < 50" in page.text
    assert [len(page.all("div", kind)) for kind in ("plus", "minus")] == [2, 1]
    assert [drawing["aria-label"] for drawing in page.all("svg")] == ["pin grey", "query picture a picture"]


def test_an_unreadable_picture_costs_only_its_own_tile(tmp_path: Path, pictures: list[Path]) -> None:
    pictures[1].write_text("this is no picture")
    hits = [hit(pictures[0]), hit(pictures[1]), hit(tmp_path / "gone.jpg"), hit(pictures[2])]
    page = written(tmp_path, section(*hits, parts=(Part(like="nowhere"),)))
    assert len(page.all("image")) == 2
    gaps = [gap["aria-label"] or "" for gap in page.all("div", "gap")]
    assert [gap.split(":")[0] for gap in gaps] == [
        "No picture of pin nowhere",
        "No picture of green",
        "No picture of gone",
    ]
    assert "there is no such file" in gaps[2]
    assert len(page.all("li", "hit")) == 4


def test_pictures_come_through_the_loader_given(tmp_path: Path, pictures: list[Path]) -> None:
    asked: list[str] = []

    def from_tar(uri: str) -> bytes:
        asked.append(uri)
        if uri.endswith("3"):
            raise OSError(5, "the disk gave up")
        return pictures[int(uri[-1])].read_bytes()

    uris = [f"tar:shard-00.tar#{number}" for number in range(4)]
    page = written(tmp_path, section(*map(hit, uris)), picture=from_tar)
    assert sorted(asked) == uris
    assert len(page.all("image")) == 3
    assert "the disk gave up" in page.text


def test_results_past_one_batch_of_thumbnails_keep_their_order(tmp_path: Path, pictures: list[Path]) -> None:
    hits = [Hit(f"pin-{n}", str(pictures[n % 4]), 1 - n / 100, WHOLE, {}) for n in range(70)]
    page = written(tmp_path, section(*hits))
    assert re.findall(r"pin-\d+", page.text)[::2] == [f"pin-{n}" for n in range(70)]
    assert len(page.all("image")) == 4


def test_a_query_that_was_not_run_says_why_and_an_empty_one_says_so(tmp_path: Path) -> None:
    page = written(tmp_path, section(hits=None, absent="The encoder has no text tower."), section())
    assert "This query was not run. The encoder has no text tower." in page.text
    assert "Nothing was found." in page.text
    assert [link["href"] for link in page.all("a")] == ["#results", "#q1", "#q2"]


def test_file_names_that_are_no_text_do_not_stop_the_page(tmp_path: Path) -> None:
    page = written(tmp_path, section(hit("caf\udce9.jpg")))
    assert "caf?" in page.text


def test_a_page_that_cannot_be_written_leaves_the_old_one_and_no_litter(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write"):
        write_page(tmp_path / "missing" / "page.html", [], title="x")
    old = tmp_path / "page.html"
    old.write_text("old")

    def broken(uri: str) -> bytes:
        raise RuntimeError("a bug in the loader")

    with pytest.raises(RuntimeError, match="a bug"):
        write_page(old, [section(hit("a"))], title="x", picture=broken)
    assert old.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.parametrize(
    "words",
    [
        ["visualsearch", "search", "my pins", "--where", "colour = 'red' and price < 3"],
        ["a", "it's $5", 'say "hi"', "both ' and \"", "`x`", "back\\slash's", "wow!'", "", "é '"],
    ],
)
def test_a_command_line_is_read_back_by_the_shell_as_it_was(words: list[str]) -> None:
    assert shlex.split(command_line(words)) == words


def test_a_filter_with_quotes_is_shown_readably() -> None:
    assert command_line(["--where", "colour = 'red'"]) == "--where \"colour = 'red'\""


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "//shop.example/1",
        "shop.example",
        "https://",
        "http://[::1/x",
        "https://s/\n1",
        5,
    ],
)
def test_only_addresses_of_the_web_become_links(
    tmp_path: Path, pictures: list[Path], address: object
) -> None:
    page = written(tmp_path, section(hit(pictures[0], url=address)))
    assert [one for one in page.all("a") if "q1" not in str(one["href"]) and one["href"] != "#results"] == []


def test_a_result_links_to_its_product_and_shows_the_price_in_its_currency(
    tmp_path: Path, pictures: list[Path]
) -> None:
    address = 'https://shop.example/p?id=1&x="><script>'
    page = written(
        tmp_path,
        section(hit(pictures[0], brand="Acme", title="Lamp", price=1299.5, currency="EUR", url=address)),
    )
    links = [one for one in page.all("a") if one.get("target") == "_blank"]
    assert {one["href"] for one in links} == {address}
    assert all("noopener" in str(one["rel"]) for one in links)
    assert "1,299.50 EUR" in page.text
    assert not [one for one in page.all("script") if one]
    # the picture's own address is no product
    plain = written(
        tmp_path,
        section(hit("https://shop.example/a.jpg", url="https://shop.example/a.jpg")),
        picture=lambda _: pictures[0],
    )
    assert not [one for one in plain.all("a") if one.get("target")]
