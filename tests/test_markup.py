"""HTML of strangers: what is never closed, nested without end or named wrongly costs no more than its length."""

from __future__ import annotations

import subprocess
import sys

import pytest

from visualsearch.markup import LONGEST, Markup, as_text


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
from visualsearch.people.bookmarks import from_html
from visualsearch.promote import product_of

for piece in ("<b>", "<a ", "<!--", "</", "<!", "<p itemprop=x>"):
    page = piece * (400_000 // len(piece))
    assert product_of(page.encode(), "https://a.example/") is None
    assert not list(from_html(page))
array = '<script type="application/ld+json">[' + "1," * 700_000 + "1]</script>"
assert product_of(array.encode(), "https://a.example/") is None
"""


def test_marks_that_repeat_take_time_that_grows_with_their_number_alone() -> None:
    """Each took minutes, or hours, where time grew with the square of the number."""
    subprocess.run([sys.executable, "-c", PAGES], check=True, timeout=120)
