"""One bad entry costs itself only, and what is passed over is counted."""

from __future__ import annotations

import gzip
import os
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import visualsearch as vs
from visualsearch.errors import SourceError
from visualsearch.images import decode
from visualsearch.sources import open_source, read
from visualsearch.types import PassedOver

from .fakes import FakeEncoder, paint
from .test_sources import failures, ids, picture, put, records, shard, write


def passed(source: Any) -> dict[str, int]:
    return dict(Counter(item.reason for item in source if isinstance(item, PassedOver)))


# --- one bad entry


def test_a_link_to_itself_is_one_failure(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "sub/b.png", "z.png")
    (tmp_path / "me").symlink_to("me")
    (tmp_path / "sub" / "me.png").symlink_to("me.png")
    source = open_source(tmp_path)
    assert ids(source) == ["a.png", "sub/b.png", "z.png"]
    first, second = failures(source)
    assert (first.id, first.hides) == ("me", f"{tmp_path}/me/")
    assert (second.id, second.uri) == ("sub/me.png", str(tmp_path / "sub" / "me.png"))
    assert "symbolic link" in first.reason
    assert "symbolic link" in second.reason


def test_a_link_into_a_forbidden_folder_is_one_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.png", "z.png")
    (tmp_path / "link").symlink_to(tmp_path / "locked" / "inner")
    scan = os.scandir

    class Forbidden:
        def __init__(self, entry: Any) -> None:
            self.name, self.path = entry.name, entry.path

        def is_dir(self) -> bool:
            raise PermissionError(13, "Permission denied", self.path)

    class Listing:
        def __init__(self, path: Any) -> None:
            with scan(path) as found:
                self.entries = [Forbidden(e) if e.name == "link" else e for e in found]

        def __enter__(self) -> Any:
            return iter(self.entries)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Listing)
    source = open_source(tmp_path)
    assert ids(source) == ["a.png", "z.png"]
    (failure,) = failures(source)
    assert (failure.id, failure.hides) == ("link", f"{tmp_path}/link/")
    assert "permission denied" in failure.reason


def test_a_dangling_link_to_something_else_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    (tmp_path / "notes.txt").symlink_to("nowhere.txt")
    source = open_source(tmp_path)
    assert (ids(source), failures(source), passed(source)) == (["a.png"], [], {".txt": 1})
    assert passed(open_source(str(tmp_path / "*.png"))) == {}


@pytest.mark.parametrize(
    "line", ["http://[::1/x", "https:///no-host.jpg", "http://host:port/x.jpg", "file://[x/y.jpg"]
)
def test_an_address_that_is_none_costs_its_line_only(tmp_path: Path, line: str) -> None:
    put(tmp_path, "a.png")
    urls = write(tmp_path / "urls.txt", f"{line}\nhttps://host/x.jpg\n")
    manifest = write(tmp_path / "m.csv", f"id,image\n1,{line}\n2,a.png\n")
    for source, kept in ((open_source(urls), "https://host/x.jpg"), (open_source(manifest), "2")):
        assert ids(source) == [kept]
        (failure,) = failures(source)
        assert "valid address" in failure.reason
        assert failure.remedy
    mixed = open_source([line, str(tmp_path / "a.png")])
    assert (len(ids(mixed)), len(failures(mixed))) == (1, 1)
    with pytest.raises(SourceError, match="valid address"):
        open_source(line)


@pytest.mark.parametrize("image", ["a\\u0000b.png", "\\ud83d.png", "x" * 5000 + ".png"])
def test_a_path_that_no_file_can_have_costs_its_row_only(
    tmp_path: Path, encoder: FakeEncoder, image: str
) -> None:
    paint(tmp_path / "a.png", 1)
    rows = f'{{"id": "1", "image": "{image}"}}\n{{"id": "2", "image": "a.png"}}\n'
    index = vs.create(tmp_path / "x.index", encoder)
    report = index.add(write(tmp_path / "m.jsonl", rows))
    assert (report.added, report.failed) == (1, 1)


def test_a_line_too_long_for_an_address_is_one_failure(tmp_path: Path) -> None:
    urls = write(tmp_path / "urls.txt", f"https://host/{'x' * 200_000}\nhttps://host/x.jpg\n")
    source = open_source(urls)
    assert ids(source) == ["https://host/x.jpg"]
    (failure,) = failures(source)
    assert (failure.id, failure.hides) == ("line 1", "")
    assert len(failure.reason) < 100


def test_what_cannot_be_opened_costs_its_entry_of_a_list_only(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "f/b.png")
    (tmp_path / "void").mkdir()
    given = [str(tmp_path / name) for name in ("a.png", "nowhere", "void", "gone.csv", "f")]
    source = open_source(given)
    assert [item.rpartition("/")[2] for item in ids(source)] == ["a.png", "b.png"]
    assert [failure.uri for failure in failures(source)] == given[1:4]
    assert {failure.hides for failure in failures(source)} == {""}
    assert source.count() == 5
    with pytest.raises(SourceError, match="nowhere"):
        open_source(given[1:4])


def test_an_unreadable_folder_behind_a_pattern_of_shards_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "locked").mkdir()
    shard(tmp_path / "x" / "1.tar", [("a.png", picture())])
    scan = os.scandir

    def scandir(path: Any) -> Any:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    source = open_source(str(tmp_path / "*" / "*.tar"))
    assert (source.kind, source.count()) == ("tar", 1)
    assert ids(source) == ["a"]
    assert [(failure.id, failure.hides) for failure in failures(source)] == [("locked", "")]


# --- what is passed over


def test_a_picture_under_an_unknown_suffix_is_found_by_its_first_bytes(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.jpg_large", "noext", "sub/c.mpo", "d.1")
    (tmp_path / "e.jxl").write_bytes(b"\xff\x0a" + bytes(30))
    (tmp_path / "readme").write_text("hello")
    put(tmp_path, "f.txt", "g.png.part", "h.png~", "i.jpg_original", "j.csv")
    (tmp_path / "k.nef").write_bytes(b"II\x2a\x00" + bytes(60))
    source = open_source(tmp_path)
    assert ids(source) == ["a.png", "b.jpg_large", "d.1", "noext", "sub/c.mpo"]
    assert source.count() == 5
    assert failures(source) == []
    assert passed(source) == {
        ".jxl": 1,
        "no known suffix": 1,
        ".txt": 1,
        ".csv": 1,
        "unfinished or backup copy": 3,
        ".nef": 1,
    }
    assert ids(open_source(tmp_path / "b.jpg_large")) == ["b.jpg_large"]
    assert ids(open_source([str(tmp_path / "noext"), str(tmp_path / "a.png")]))[0] == "noext"
    with pytest.raises(SourceError, match=r"\.jxl"):
        open_source(tmp_path / "e.jxl")


def test_a_folder_of_nothing_but_other_files_is_refused_as_before(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(SourceError, match="no pictures"):
        open_source(tmp_path)


@pytest.mark.parametrize(("name", "mode"), [("s.tar", "w"), ("s.tgz", "w:gz")])
def test_every_picture_of_a_plain_tar_is_a_pin(tmp_path: Path, name: str, mode: str) -> None:
    members = [
        ("a.jpg", picture("red")),
        ("a.png", picture("blue")),
        ("b.jpg_large", picture("lime")),
        ("noext", picture("red")),
        ("c.jxl", b"\xff\x0a" + bytes(40)),
        ("notes.md", b"hello"),
    ]
    source = open_source(shard(tmp_path / name, members, mode))
    assert ids(source) == ["a", "a.png", "b", "noext"]
    found = records(source)
    colours = [decode(item.read()).getpixel((0, 0)) for item in found]
    assert colours == [(255, 0, 0), (0, 0, 255), (0, 255, 0), (255, 0, 0)]
    assert [read(item.uri) for item in found] == [item.read() for item in found]
    assert passed(source) == {".jxl": 1, ".md": 1}
    assert source.count() == (4 if name == "s.tar" else None)


def test_a_sample_has_one_picture_and_its_others_are_counted(tmp_path: Path) -> None:
    members = [
        ("1.jpg", picture("red")),
        ("1.png", picture("blue")),
        ("1.seg.png", picture("lime")),
        ("1.json", b"{}"),
        ("1.cls", b"7"),
    ]
    source = open_source(shard(tmp_path / "s.tar", members))
    assert [item.uri for item in records(source)] == [f"{tmp_path}/s.tar::1.jpg"]
    assert passed(source) == {"another picture of its sample": 2, ".cls": 1}


@pytest.mark.parametrize("between", [[], [("b.jpg", picture("lime"))]], ids=["neighbours", "apart"])
def test_a_name_twice_in_a_shard_is_counted_and_changes_nothing(
    tmp_path: Path, encoder: FakeEncoder, between: list[Any]
) -> None:
    members = [("a.jpg", picture("red")), *between, ("a.jpg", picture("blue"))]
    path = shard(tmp_path / "s.tar", members)
    index = vs.create(tmp_path / "x.index", encoder)
    report = index.add(path)
    assert report.added == 1 + len(between)
    assert report.passed_over == {"a second file of that name in its shard": 1}
    assert index.add(path).unchanged == 1 + len(between)


def test_a_plain_tar_packed_by_tar_is_read(tmp_path: Path) -> None:
    put(tmp_path / "in", "x/a.png", "x/b.jpg_large", "x/.hidden.png")
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        tar.add(tmp_path / "in" / "x", "x")
    assert ids(open_source(tmp_path / "s.tar")) == ["x/a", "x/b"]


def test_a_hard_link_in_a_tar_is_counted(tmp_path: Path) -> None:
    put(tmp_path / "in", "x/a.png")
    os.link(tmp_path / "in" / "x" / "a.png", tmp_path / "in" / "x" / "b.png")
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        tar.add(tmp_path / "in" / "x", "x")
    source = open_source(tmp_path / "s.tar")
    assert (len(ids(source)), passed(source)) == (1, {"a link inside its shard": 1})


@pytest.mark.parametrize(("name", "mode"), [("s.tar", "w"), ("s.tgz", "w:gz")])
@pytest.mark.parametrize("damage", ["between members", "in a header"])
def test_what_only_looks_like_the_end_of_a_shard_is_told(
    tmp_path: Path, name: str, mode: str, damage: str
) -> None:
    data = bytearray(shard(tmp_path / "whole.tar", [(f"{key}.png", picture()) for key in "abc"]).read_bytes())
    if damage == "in a header":
        data[2 * 1024 + 148] ^= 0xFF
    else:
        del data[2 * 1024 :]
    path = tmp_path / name
    path.write_bytes(gzip.compress(bytes(data)) if mode == "w:gz" else bytes(data))
    source = open_source(path)
    assert ids(source) == ["a", "b"]
    (failure,) = failures(source)
    assert failure.hides == f"{path}::"
    assert ("end mark" if damage == "between members" else "damaged header") in failure.reason


def test_the_commands_count_what_was_passed_over(run: Any, tmp_path: Path) -> None:
    paint(tmp_path / "photos" / "a.png", 1)
    (tmp_path / "photos" / "b.jxl").write_bytes(b"\xff\x0a")
    (tmp_path / "photos" / "c.jxl").write_bytes(b"\xff\x0a")
    (tmp_path / "photos" / "d.txt").write_text("x")
    told = run("index", tmp_path / "photos", "--to", tmp_path / "x.index")
    assert "passed over, not pictures: 2 .jxl, 1 .txt" in told.err
    again = run("index", tmp_path / "photos", "--to", tmp_path / "x.index", "--json")
    assert again.json["sources"][0]["passed_over"] == {".jxl": 2, ".txt": 1}
    made = run("embed", tmp_path / "photos", "--to", tmp_path / "emb", "--json")
    assert made.json["passed_over"] == {".jxl": 2, ".txt": 1}


def test_kinds_of_what_was_passed_over_are_bounded(tmp_path: Path, encoder: FakeEncoder) -> None:
    paint(tmp_path / "photos" / "a.png", 1)
    for number in range(80):
        (tmp_path / "photos" / f"x.y{number}").write_text("x")
    report = vs.create(tmp_path / "x.index", encoder).add(tmp_path / "photos")
    assert sum(report.passed_over.values()) == 80
    assert len(report.passed_over) == 51
    assert next(iter(report.passed_over.items())) == ("others", 30)
