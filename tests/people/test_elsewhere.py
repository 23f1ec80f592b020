"""Boards from elsewhere: the exports as they really look, what they match, and what waits."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

import visualsearch as vs
from visualsearch.errors import SourceError, UnknownNameError
from visualsearch.people import People, same_place
from visualsearch.people.bookmarks import Bookmark, decoded, from_html, when
from visualsearch.people.exported import read_export
from visualsearch.people.tables import BadRow

from .conftest import FakePins

BROWSER = """<!DOCTYPE NETSCAPE-Bookmark-file-1>
<META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset=UTF-8">
<TITLE>Bookmarks</TITLE>
<H1>Bookmarks Menu</H1>
<DL><p>
    <HR>    <DT><H3 ADD_DATE="1227676976" PERSONAL_TOOLBAR_FOLDER="true">Bookmarks Toolbar</H3>
    <DD>Add bookmarks to this folder
    <DL><p>
        <DT><A HREF="javascript:alert(1)" ADD_DATE="1478182950">Tool</A>
   <DT><A HREF="http://one.example/?q=a&amp;b" ADD_DATE="1381223821" TAGS="oak,old tiles" ICON="data:,iVBO=">One &amp; only
        <DT><A HREF="https://two.example/" ADD_DATE="1260914469588170">Two</A>
        <DD>A note of
two lines
        <HR>
        <DT><H3>Kitchen</H3>
        <DL><p>
            <DT><A HREF="https://three.example/x" DATA-COVER="/p.jpg" PRIVATE="1"></A>
        </DL><p>
    </DL><p>
    <DT><A HREF="place:type=6">Recent Tags</A>
    <DT><A HREF="https://four.example/">\u041d\u0435\u0434\u0430\u0432\u043d\u043e</A>
</DL>
"""


def test_a_browsers_file_with_its_unclosed_tags() -> None:
    found = {mark.page: mark for mark in from_html(BROWSER)}
    assert list(found) == [
        "javascript:alert(1)", "http://one.example/?q=a&b", "https://two.example/", "https://three.example/x",
        "place:type=6", "https://four.example/",
    ]  # fmt: skip
    one, two, three, four = (
        found[page]
        for page in (
            "http://one.example/?q=a&b",
            "https://two.example/",
            "https://three.example/x",
            "https://four.example/",
        )
    )
    assert (one.title, one.tags, one.at) == ("One & only", ("oak", "old tiles"), 1_381_223_821_000)
    assert (two.note, two.at) == ("A note of\ntwo lines", 1_260_914_469_588)
    assert two.folder == ("Bookmarks Toolbar",)
    assert (three.folder, three.picture, three.secret) == (
        ("Bookmarks Toolbar", "Kitchen"), "https://three.example/p.jpg", True,
    )  # fmt: skip
    assert (four.folder, four.title) == ((), "\u041d\u0435\u0434\u0430\u0432\u043d\u043e")


def test_deep_nesting_and_a_file_cut_short() -> None:
    text = (
        "<DL>"
        + "".join(f"<DT><H3>f{n}</H3><DL><p>" for n in range(3000))
        + '<DT><A HREF="https://a.example">x'
    )
    (mark,) = from_html(text)
    assert len(mark.folder) == 3000
    assert mark.title == "x"


PINTEREST = """<div id="contents"><h1 id=y1>Pins</h1>
<a href="https://www.pinterest.com/pin/123/">https://www.pinterest.com/pin/123/</a>
<br>Title: No data,
<br>Details: some text, with commas, and: colons,
<br>Image: 25042f03473dbb11189c28f71c6d15da,
<br>Board Id: 98,
<br>Board Name: My kitchen,
<br>Canonical Link: <a href="https://shop.example/oak">https://shop.example/oak</a>,
<br>Created at: 2017/02/13 15:35:01
<br>Alive: True
<br>Private: False<br><br><a href="https://www.pinterest.com/pin/124/">https://www.pinterest.com/pin/124/</a>
<br>Title: Second,
<br>Image: No data,
<br>Board Name: No data,
<br>Private: True<br><br><h1 id=z>Search history</h1>
<a href="https://www.pinterest.com/pin/5/">nothing</a><br>Title: not a pin<br>
</div>"""


def test_pinterests_own_page() -> None:
    first, second = from_html(PINTEREST)
    assert first.page == "https://shop.example/oak"
    assert first.picture == "https://i.pinimg.com/originals/25/04/2f/25042f03473dbb11189c28f71c6d15da.jpg"
    assert (first.note, first.title, first.folder) == (
        "some text, with commas, and: colons",
        "",
        ("My kitchen",),
    )
    assert (first.at, first.secret) == (1_487_000_101_000, False)
    assert (second.page, second.title, second.folder, second.secret) == (
        "https://www.pinterest.com/pin/124/", "Second", ("Pins",), True,
    )  # fmt: skip


POCKET = """title,url,time_added,cursor,tags,status
Some App,https://a.example/app,1728576752,71,,unread
"With, commas","https://b.example/with,commas",1728576752,72,open|with \u00c4|two words,archive
too,many,cells,in,this,row,here
"""
RAINDROP = """id;title;note;excerpt;url;folder;tags;created;cover;favorite
1;Oak;mine;theirs;https://a.example/1;Home/Kitchen;"oak, tile";2023-01-02T03:04:05.000Z;https://a.example/1.jpg;true
"""
CHROME = {
    "roots": {
        "bookmark_bar": {"name": "Bookmarks bar", "type": "folder", "children": [
            {"name": "Oak", "type": "url", "url": "https://a.example/", "date_added": "13318000000000000"},
            {"name": "Deeper", "type": "folder", "children": [{"name": "x", "url": "https://b.example/"}]},
        ]},
        "sync_metadata": "abc",
    }
}  # fmt: skip
PINS = [
    {"title": "Oak", "link": "https://a.example", "board": {"name": "Kitchen"}, "created_at": "Sun, 04 Apr 2021 05:43:58 +0000",
     "images": {"236x": {"url": "https://i.pinimg.com/236x/a.jpg"}, "orig": {"url": "https://i.pinimg.com/originals/a.jpg"}}},
    {"href": "https://b.example", "description": "Pinboard", "extended": "long", "tags": "a b", "shared": "no",
     "time": "2017-05-05T20:31:24Z"},
]  # fmt: skip


def marks_of(path: Path) -> list[Any]:
    return list(read_export(path))


def test_tables_and_json_of_services(tmp_path: Path) -> None:
    (tmp_path / "pocket.csv").write_bytes(b"\xef\xbb\xbf" + POCKET.encode())
    first, second, bad = marks_of(tmp_path / "pocket.csv")
    assert (first.page, first.at, first.line) == ("https://a.example/app", 1_728_576_752_000, 2)
    assert second.tags == ("open", "with \u00c4", "two words")
    assert isinstance(bad, BadRow)
    assert (bad.line, "7 cells" in bad.reason) == (4, True)
    (tmp_path / "drops.csv").write_text(RAINDROP)
    (mark,) = marks_of(tmp_path / "drops.csv")
    assert (mark.folder, mark.note, mark.picture) == (("Home", "Kitchen"), "mine", "https://a.example/1.jpg")
    assert mark.at == 1_672_628_645_000
    (tmp_path / "Bookmarks.json").write_text(json.dumps(CHROME))
    one, two = marks_of(tmp_path / "Bookmarks.json")
    assert (one.folder, two.folder) == (("Bookmarks bar",), ("Bookmarks bar", "Deeper"))
    assert one.at == 1_673_526_400_000
    (tmp_path / "pins.json").write_text(json.dumps(PINS))
    one, two = marks_of(tmp_path / "pins.json")
    assert (one.picture, one.folder, one.at) == (
        "https://i.pinimg.com/originals/a.jpg",
        ("Kitchen",),
        1_617_515_038_000,
    )
    assert (two.title, two.note, two.tags, two.secret) == ("Pinboard", "long", ("a", "b"), True)


def test_a_zip_file_of_parts_is_one_export(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("part_000000.csv", POCKET)
        archive.writestr("deep/pins.html", PINTEREST)
        archive.writestr("picture.jpg", b"no table")
    assert sum(isinstance(mark, Bookmark) for mark in marks_of(tmp_path / "export.zip")) == 4


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    for name, text in (
        ("a.json", "{"),
        ("a.csv", "x,y\n1,2\n"),
        ("a.zip", "no archive"),
        ("b.json", "[" * 100_000),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises((SourceError, UnknownNameError)):
            marks_of(tmp_path / name)
    with pytest.raises(SourceError):
        marks_of(tmp_path / "none.html")


def test_encodings() -> None:
    said = "<a href='https://a.example'>\u00e9\u20ac</a>"
    for data in (said.encode(), said.encode("utf-8-sig"), said.encode("utf-16"), said.encode("cp1252"),
                 b"<meta charset='iso-8859-15'>" + said.encode("iso-8859-15")):  # fmt: skip
        assert next(iter(from_html(decoded(data)))).title == "\u00e9\u20ac"


@pytest.mark.parametrize(
    ("text", "at"),
    [("1728576752", 1_728_576_752_000), ("1728576752000", 1_728_576_752_000), ("1728576752000000", 1_728_576_752_000),
     (1728576752, 1_728_576_752_000), ("0", None), ("soon", None), ("", None), (None, None), ("9" * 40, None)],
)  # fmt: skip
def test_dates(text: object, at: int | None) -> None:
    assert when(text) == at


def test_addresses_that_are_the_same() -> None:
    assert same_place("http://www.A.example/x/#top") == same_place("https://a.example/x") == "a.example/x"
    assert same_place("https://a.example/x?y=1") != same_place("https://a.example/x")
    name = "25/04/2f/25042f03473dbb11189c28f71c6d15da"
    assert same_place(f"https://i.pinimg.com/236x/{name}.jpg") == same_place(
        f"https://i.pinimg.com/originals/{name}.png"
    )
    assert same_place("pins/1.jpg") == same_place("http://[") == same_place("") == ""


def test_matched_ones_are_saved_others_wait_and_attach(
    people: People, pins: FakePins, tmp_path: Path
) -> None:
    pins.add("https://a.example/app", 900)
    rows = [
        ("https://a.example/app", "Home", "", "tile|oak"), ("https://b.example/1", "Home/Wood", "https://b.example/1.jpg", ""),
        ("https://c.example/", "Home", "", ""), ("ftp://d.example/", "Home", "", ""),
        ("http://www.a.example/app/", "Home", "", ""), ("https://b.example/1", "Else", "https://b.example/1.jpg", ""),
    ]  # fmt: skip
    path = tmp_path / "export.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("url", "folder", "cover", "tags"))
        writer.writerows(rows)
    report = people.import_boards("ada", path, "raindrop", manifest=tmp_path / "missing.csv")
    assert (report.boards, report.saved, report.waiting, report.known, report.unmatched, report.failed) == (
        2,
        1,
        2,
        1,
        1,
        1,
    )
    assert {row.line for row in report.bad} == {3, 4, 5, 7}
    (saved,) = people.pins_of("Home", viewer="ada")
    assert (saved.pin, saved.note, saved.site) == ("https://a.example/app", "#tile #oak", "a.example")
    with (tmp_path / "missing.csv").open(encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == [
            {
                "id": "https://b.example/1.jpg",
                "image": "https://b.example/1.jpg",
                "title": "",
                "url": "https://b.example/1",
            }
        ]
    again = people.import_boards("ada", path, "raindrop")
    assert (again.boards, again.saved, again.waiting, again.known) == (0, 0, 0, 4)
    assert people.reconcile() == {"gone": 0, "restored": 0}
    pins.add("https://b.example/1.jpg", 901)
    assert people.reconcile([("https://b.example/1.jpg", b"https://b.example/1.jpg")])["restored"] == 2
    assert [save.section for save in people.pins_of("Home", viewer="ada")] == ["Wood", None]
    assert people.reconcile() == {"gone": 0, "restored": 0}


def test_private_pins_lie_on_secret_boards(people: People, tmp_path: Path) -> None:
    (tmp_path / "pins.html").write_text(PINTEREST)
    people.import_boards("ada", tmp_path / "pins.html")
    boards = {board.title: board.secret for board in people.boards("ada", viewer="ada")}
    assert boards == {"My kitchen": False, "Pins": True}
    with pytest.raises(UnknownNameError, match="kind of export"):
        people.import_boards("ada", tmp_path / "pins.html", "myspace")


def test_the_command_and_the_manifest_that_index_takes(run: Any, index: vs.Index, tmp_path: Path) -> None:
    with index.catalog.read() as reader:
        picture, other = [pin.uri for pin in reader.each_pin()][:2]
    (tmp_path / "rows.csv").write_text(f"id,image,url\nstool,{picture},https://shop.example/stool\n")
    folder = index.folder
    index.add(tmp_path / "rows.csv")
    export = tmp_path / "bookmarks.html"
    export.write_text(
        "<DL><DT><H3>Home</H3><DL>"
        '<DT><A HREF="http://shop.example/stool/">Stool</A>'
        '<DT><A HREF="https://shop.example/lamp" DATA-COVER="https://shop.example/lamp.jpg">Lamp</A></DL></DL>'
    )
    assert run("people", "import", folder, export).code == 2
    missing = tmp_path / "missing.csv"
    done = run("people", "import", folder, export, "--set", "person=ada", "--manifest", missing, "--json")
    assert (done.code, done.json[0]["saved"], done.json[0]["waiting"]) == (0, 1, 1)
    text = missing.read_text().replace(
        ",https://shop.example/lamp.jpg,", f",{other},"
    )  # as if it had been fetched
    missing.write_text(text)
    index.add(missing)
    assert "Home: 2 pins" in run("people", "show", folder, "ada").out
