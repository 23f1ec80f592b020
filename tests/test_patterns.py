"""Strangers choose the bytes that patterns read: no pattern takes more than linear time, and no file more than its share."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.patterns import attacks, found
from visualsearch.errors import FilterError, PictureError
from visualsearch.images import decode
from visualsearch.search.filters import parse
from visualsearch.sources._walk import pattern_regex

BUILT_WHILE_RUNNING = {
    "sources/_walk.py",  # shell patterns; tested below
    "recommend/sensitive.py",  # words one after the other, escaped: no repetition in it
}
PATIENCE = 120  # seconds; all of it takes about three

OLD_DOCUMENT = rb"(?:<\?xml[^>]*>\s*|<!--.*?-->\s*|<!DOCTYPE\s+svg[^>]*>\s*)*<(?:\w+:)?svg[\s>]"


def in_time(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    return done.stdout.strip()


def test_every_pattern_of_the_package_is_linear_on_texts_made_to_be_hard() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.patterns"], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert done.stdout.splitlines()[-1] == "all are linear"


def test_patterns_are_written_out_where_they_can_be_checked() -> None:
    unknown = {one.place.rpartition(":")[0] for one in found() if one.pattern is None}
    assert unknown <= BUILT_WHILE_RUNNING


@pytest.mark.parametrize(
    ("pattern", "hard"),
    [
        (OLD_DOCUMENT, "<!---->" * 60),
        (r"(?:\d+\.?\d*|\.\d+)(?![\w.])", "0" * 60),
        (r"\{([^{}]*(?:,|\.\.)[^{}]*)\}", "," * 60),
        (r"(a+)+$", "a" * 60),
    ],
)
def test_the_texts_tried_are_those_that_were_hard_for_bad_patterns(pattern: str | bytes, hard: str) -> None:
    assert any(hard in text for text in attacks(pattern, 0, 60))


@pytest.mark.parametrize(
    "body",
    [
        'b"<!---->" * 60 + b"<"',
        'b"<!---->" * 145 + b"<"',
        'b"<!---->" * 1_000_000',
        'b"<?xml>" * 1_000_000 + b"<"',
        'b"<!doctype svg>" * 100_000 + b"<a"',
        'b"<" * 10_000_000',
        'b" " * 10_000_000',
        'b"<!--" * 1_000_000',
    ],
)
def test_bytes_that_look_like_a_document_are_told_at_once(body: str) -> None:
    code = (
        "from visualsearch.images import decode\nfrom visualsearch.errors import PictureError\n"
        f"try:\n    decode({body})\nexcept PictureError as error:\n    print(error.why)"
    )
    assert in_time(code)


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (b"<!-- a --> <!-- b -->\n<html>", "web page"),
        (b"<!-- <html> --><svg >", "SVG"),
        (b"<!---->" * 40 + b"<!DOCTYPE  HTML>", "web page"),
        (b"<?xml version='1.0'?><!DOCTYPE svg PUBLIC 'x'><s:svg xmlns:s='y'>", "SVG"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><BODY class='x'>", "web page"),
        (b"<htmlx>", "text file"),
        (b"<svgx>", "text file"),
        (b"<!-- never closed <html>", "text file"),
        (b"P6 2 2 255 abc", "Netpbm"),
    ],
)
def test_documents_are_named(page: bytes, why: str) -> None:
    with pytest.raises(PictureError, match=why):
        decode(page)


def test_a_number_of_many_digits_in_a_filter_is_read_at_once() -> None:
    code = (
        "from visualsearch.errors import FilterError\nfrom visualsearch.search.filters import parse\n"
        "for text in ('1' * 19_000 + 'a', '.' + '1' * 19_000 + '_', '1.' + '1' * 19_000 + '.'):\n"
        "    try:\n        parse('price < ' + text, {'price'})\n    except FilterError:\n        print('refused')"
    )
    assert in_time(code).split() == ["refused"] * 3


def test_numbers_in_filters_are_what_they_were() -> None:
    for text, value in (
        ("1", 1),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("-2.5E-1", -0.25),
    ):
        assert parse(f"price = {text}", {"price"}).values[-1] == value
    for text in ("1a", "1.5.", "1e", "1..2", "0x1"):
        with pytest.raises(FilterError):
            parse(f"price = {text}", {"price"})


def test_shell_patterns_of_many_wildcards_are_tried_in_one_way() -> None:
    code = (
        "from visualsearch.sources._walk import pattern_regex\n"
        "print(pattern_regex('*a' * 40 + 'b').fullmatch('a' * 5000))\n"
        "print(pattern_regex('**/a/' * 20 + 'b').fullmatch('a/' * 2000))"
    )
    assert in_time(code).split() == ["None", "None"]


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        ("*.jpg", ["a.jpg", ".jpg", "a.jpg.jpg"], ["a/b.jpg", "a.png"]),
        ("**/*.jpg", ["a.jpg", "b/a.jpg", "c/b/a.jpg"], ["a.png"]),
        ("a*b*c", ["abc", "axbxbc", "abcbc"], ["abcb", "ab/c"]),
        ("**/x/**/y", ["x/y", "a/x/b/c/y", "x/x/y"], ["y", "x/a"]),
        ("a/**", ["a/b", "a/b/c"], ["b/a"]),
        ("[!a]?[]b]*", ["xy]", "xyb1"], ["ayb", "xyz"]),
        ("[a", ["[a"], ["a"]),
    ],
)
def test_shell_patterns_mean_what_they_did(pattern: str, fits: list[str], fits_not: list[str]) -> None:
    regex = pattern_regex(pattern)
    assert [path for path in fits if not regex.fullmatch(path)] == []
    assert [path for path in fits_not if regex.fullmatch(path)] == []
