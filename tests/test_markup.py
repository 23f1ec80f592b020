"""HTML and XML of strangers: what is never closed, nested without end or named wrongly costs no more than its length."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO

import pytest

from visualsearch.errors import SourceError
from visualsearch.markup import LONGEST, Markup, as_text
from visualsearch.sources import feed_rows


class Reader(Markup):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.said: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    return reader


def test_text_and_tags_across_pieces_are_read_whole() -> None:
    reader = read("<p>" + "ab &amp; " * 20_000 + "<b x='1'>end &lt")
    assert reader.tags == ["p", "b"]
    assert "".join(reader.said) == "ab & " * 20_000 + "end <"


def test_a_mark_that_is_too_long_is_passed_over_and_what_follows_is_read() -> None:
    reader = read("<p><!--" + "x" * 2 * LONGEST + "--><b>")
    assert reader.tags == ["p", "b"]


def test_a_number_that_no_character_has_is_one_damaged_character() -> None:
    assert "".join(read("<p>a&#" + "9" * 5000 + ";b").said) == "a\ufffdb"


@pytest.mark.parametrize("name", ["hex", "idna", "punycode", "undefined", "no-such"])
def test_what_is_no_encoding_of_text_decodes_nothing(name: str) -> None:
    assert as_text(b"\xff\xfe a", name) is None


PAGES = """
from io import BytesIO

from visualsearch.people.bookmarks import from_html
from visualsearch.promote import product_of
from visualsearch.sources import feed_rows

for piece in ("<b>", "<a ", "<!--", "</", "<!", "<p itemprop=x>"):
    page = piece * (400_000 // len(piece))
    assert product_of(page.encode(), "https://a.example/") is None
    assert not list(from_html(page))
array = '<script type="application/ld+json">[' + "1," * 700_000 + "1]</script>"
assert product_of(array.encode(), "https://a.example/") is None
(row,) = feed_rows(BytesIO(b"<rss><item>" + b"<a>1</a>" * 400_000 + b"</item></rss>"))
assert len(row.values["a"]) == 400_000
"""


def test_marks_that_repeat_take_time_that_grows_with_their_number_alone() -> None:
    """Each took minutes, or hours, where time grew with the square of the number."""
    subprocess.run([sys.executable, "-c", PAGES], check=True, timeout=120)


@pytest.mark.parametrize("start", ["<rss><item a='", "<rss><!--", "<rss><item><title>a</title><?x "])
def test_a_tag_of_a_feed_that_never_ends_is_refused_before_all_of_it_is_read(start: str) -> None:
    file = BytesIO(start.encode() + b"x" * 8_000_000)
    with pytest.raises(SourceError, match="longer than 1,048,576 bytes"):
        list(feed_rows(file))
    assert file.tell() < 2_000_000


def test_a_feed_of_long_texts_and_of_many_items_is_read_whole() -> None:
    text = "word " * 150_000
    page = f"<rss><about>{text * 4}</about><item><id>a</id><note>{text}</note></item><item><id>b</id></item></rss>"
    first, second = feed_rows(BytesIO(page.encode()))
    assert (first.values, second.values) == ({"id": "a", "note": text.strip()}, {"id": "b"})
