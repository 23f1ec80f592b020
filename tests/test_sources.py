"""Sources: every kind names the right pictures; a bad entry is a Failure, a bad source an error."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from visualsearch.errors import MissingExtraError, PictureError, SourceError
from visualsearch.images import decode, load
from visualsearch.sources import KINDS, Source, expand_braces, open_source, read
from visualsearch.sources._base import SeenIds
from visualsearch.sources._cells import cell
from visualsearch.types import Failure, Record


def picture(colour="red"):
    out = io.BytesIO()
    Image.new("RGB", (6, 4), colour).save(out, "PNG")
    return out.getvalue()


COLOURS = {"red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255)}


def put(folder, *names, colour="red"):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(colour))


def records(source):
    return [item for item in source if isinstance(item, Record)]


def failures(source):
    return [item for item in source if isinstance(item, Failure)]


def ids(source):
    return [item.id for item in records(source)]


def refused(source, **options):
    with pytest.raises(SourceError) as caught:
        open_source(source, **options)
    assert caught.value.remedy
    return str(caught.value)


# --- folders


def test_a_folder_is_walked_in_order_and_only_pictures_are_taken(tmp_path):
    put(tmp_path, "b/2.JPG", "b/10.webp", "a.jpeg", "c.heic", ".hidden.jpg", ".git/x.png", "__MACOSX/y.png")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".jpg").write_text("x")
    source = open_source(tmp_path)
    assert isinstance(source, Source)
    assert (source.kind, source.uri, source.count()) == ("folder", str(tmp_path), 4)
    found = records(source)
    assert [item.id for item in found] == ["a.jpeg", "b/10.webp", "b/2.JPG", "c.heic"]
    assert [item.uri for item in found] == [str(tmp_path / item.id) for item in found]
    assert not any(item.named for item in found)
    assert found[0].read() == picture()
    assert ids(source) == ids(source)


def test_the_stamp_tells_that_a_file_has_changed(tmp_path):
    put(tmp_path, "a.png")
    (before,) = records(open_source(tmp_path))
    info = (tmp_path / "a.png").stat()
    assert before.stamp == f"{info.st_size}-{info.st_mtime_ns}"
    os.utime(tmp_path / "a.png", ns=(1, 1))
    (after,) = records(open_source(tmp_path))
    assert after.stamp == f"{info.st_size}-1"


def test_links_are_followed_but_never_in_circles(tmp_path):
    put(tmp_path, "in/a.png", "out/b.png")
    (tmp_path / "in" / "up").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "side").symlink_to(tmp_path / "out")
    (tmp_path / "out" / "back").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "gone.png").symlink_to("nowhere.png")
    source = open_source(tmp_path / "in")
    assert ids(source) == ["a.png", "side/b.png"]
    (failure,) = failures(source)
    assert (failure.id, failure.uri) == ("gone.png", str(tmp_path / "in" / "gone.png"))
    assert "leads nowhere" in failure.reason


def test_a_pipe_named_like_a_picture_is_left_out(tmp_path):
    put(tmp_path, "a.png")
    os.mkfifo(tmp_path / "b.png")
    assert ids(open_source(tmp_path)) == ["a.png"]


def test_an_unreadable_folder_inside_is_a_failure(tmp_path, monkeypatch):
    put(tmp_path, "a.png", "locked/b.png", "z.png")
    scan = os.scandir

    def scandir(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    source = open_source(tmp_path)
    assert ids(source) == ["a.png", "z.png"]
    (failure,) = failures(source)
    assert (failure.id, failure.uri) == ("locked", str(tmp_path / "locked"))
    assert "permission denied" in failure.reason


def test_an_unreadable_root_is_refused(tmp_path, monkeypatch):
    def scandir(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert "no permission" in refused(tmp_path)


def test_walking_holds_no_list_of_all_files(tmp_path):
    put(tmp_path, *(f"{folder}/{name}.png" for folder in "abc" for name in range(3)))
    walk = iter(open_source(tmp_path))
    assert next(walk).id == "a/0.png"
    put(tmp_path, "c/late.png")  # the walk has not listed this folder yet
    assert "c/late.png" in [item.id for item in walk]


def test_a_deep_tree_is_no_problem(tmp_path):
    put(tmp_path, "d/" * 400 + "a.png")
    assert ids(open_source(tmp_path)) == ["d/" * 400 + "a.png"]


def test_names_that_are_not_utf8_still_open(tmp_path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")).write_bytes(picture("lime"))
    (found,) = records(open_source(tmp_path))
    assert (found.id, found.uri) == ("caf%E9.png", f"file://{tmp_path}/caf%E9.png")
    json.dumps([found.id, found.uri]).encode()
    for data in (found.read(), read(found.uri)):
        assert decode(data).getpixel((0, 0)) == COLOURS["lime"]
    assert load(found.uri).size == (6, 4)
    assert records(open_source(found.uri))[0].uri == found.uri


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([], "hold no picture files"),
        (["a.txt", "b.doc"], ".doc .txt"),
        (["000.tar", "001.tar"], '*.tar"'),
        (["all.csv"], '*.csv"'),
    ],
)
def test_a_folder_without_pictures_says_what_it_holds(tmp_path, names, reason):
    for name in names:
        (tmp_path / name).write_text("x")
    assert reason in refused(tmp_path)


# --- patterns, single files, lists


def test_patterns_pick_by_path(tmp_path, monkeypatch):
    put(tmp_path, "a.jpg", "b.png", "x/c.jpg", "x/y/d.jpg", "x/y/e1.png", "x/.z/f.jpg", "[odd].jpg")
    monkeypatch.chdir(tmp_path)
    assert ids(open_source("**/*.jpg")) == ["[odd].jpg", "a.jpg", "x/c.jpg", "x/y/d.jpg"]
    assert ids(open_source("*.jpg")) == ["[odd].jpg", "a.jpg"]
    assert ids(open_source("x/*/*")) == ["y/d.jpg", "y/e1.png"]
    assert ids(open_source("x/**")) == ["c.jpg", "y/d.jpg", "y/e1.png"]
    assert ids(open_source("x/y/e[0-9].pn?")) == ["e1.png"]
    assert ids(open_source("[!b].jpg")) == ["a.jpg"]
    assert ids(open_source("[odd].jpg")) == ["[odd].jpg"]
    source = open_source("x/**/*.jpg")
    assert (source.kind, source.uri, source.count()) == ("glob", str(tmp_path / "x/**/*.jpg"), 2)
    assert "matches no picture" in refused("*.gif")
    assert "no folder" in refused("nowhere/*.gif")


def test_a_pattern_does_not_walk_deeper_than_it_can_match(tmp_path, monkeypatch):
    put(tmp_path, "a/1.png", "a/deep/2.png")
    seen = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: seen.append(str(path)) or scan(path))
    assert ids(open_source(str(tmp_path / "*" / "*.png"))) == ["a/1.png"]
    assert str(tmp_path / "a" / "deep") not in seen


def test_braces_count_and_list():
    assert expand_braces("s/{008..011}.tar") == ["s/008.tar", "s/009.tar", "s/010.tar", "s/011.tar"]
    assert expand_braces("{a,b}{1..2}") == ["a1", "a2", "b1", "b2"]
    assert expand_braces("{3..1}") == ["3", "2", "1"]
    assert expand_braces("plain{x}") == ["plain{x}"]


def test_a_single_picture_is_a_source(tmp_path):
    put(tmp_path, "a b.png")
    source = open_source(tmp_path / "a b.png")
    assert (source.kind, source.uri, source.count()) == ("picture", str(tmp_path / "a b.png"), 1)
    assert [(item.id, item.read()) for item in records(source)] == [("a b.png", picture())]


def test_a_list_mixes_files_and_folders(tmp_path, monkeypatch):
    put(tmp_path, "a.png", "f/b.png")
    monkeypatch.chdir(tmp_path)
    source = open_source(["a.png", Path("gone.png"), "a.png", "f", str(tmp_path / "a.png")])
    assert ids(source) == ["a.png", "gone.png", "b.png", str(tmp_path / "a.png")]
    assert next(item.uri for item in records(source)) == str(tmp_path / "a.png")
    (failure,) = failures(source)
    assert "entry 3 of the list is the same as entry 1" in failure.reason
    assert source.count() == 5
    assert source.uri == open_source(["a.png", "gone.png", "a.png", "f", str(tmp_path / "a.png")]).uri
    with pytest.raises(PictureError, match="no such file"):
        records(source)[1].read()


@pytest.mark.parametrize("given", [[], ["", "a.png"], "", "a\0b", b"a.png", 3, None])
def test_what_is_no_source_is_refused(given):
    assert refused(given)


def test_a_missing_path_and_an_unknown_kind_say_so(tmp_path):
    assert "no such file or folder" in refused(tmp_path / "none")
    (tmp_path / "a.xyz").write_text("x")
    message = refused(tmp_path / "a.xyz")
    assert ".xyz" in message
    assert all(text in message for text in KINDS.values())


# --- manifests


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


CSV = """id,image,price,code,sale,title
p1,a.png,3.5,007,true,"Red, round"
p2,sub/b.png,12,12,FALSE,
p3,{absolute},,0,,-4
"""


def test_a_csv_gives_typed_attributes_and_resolves_paths(tmp_path):
    put(tmp_path, "a.png", "sub/b.png", "c.png")
    source = open_source(write(tmp_path / "m.csv", CSV.format(absolute=tmp_path / "c.png")))
    assert (source.kind, source.uri, source.count()) == ("csv", str(tmp_path / "m.csv"), 3)
    found = records(source)
    assert [item.id for item in found] == ["p1", "p2", "p3"]
    assert all(item.named for item in found)
    assert [item.uri for item in found] == [str(tmp_path / name) for name in ("a.png", "sub/b.png", "c.png")]
    assert [dict(item.attributes) for item in found] == [
        {"price": 3.5, "code": "007", "sale": True, "title": "Red, round"},
        {"price": 12, "code": "12", "sale": False, "title": None},
        {"price": None, "code": "0", "sale": None, "title": -4},
    ]
    assert found[1].read() == picture()
    assert found[0].stamp == records(open_source(tmp_path / "a.png"))[0].stamp


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3.5", 3.5),
        ("-0.25", -0.25),
        (".5", 0.5),
        ("1.5e3", 1500.0),
        ("42", 42),
        ("-7", -7),
        ("0", 0),
        ("007", "007"),
        ("1e5", "1e5"),
        ("+3", "+3"),
        ("1_000", "1_000"),
        ("nan", "nan"),
        ("12345678901234567890", "12345678901234567890"),
        ("True", True),
        ("false", False),
        ("yes", "yes"),
        ("", None),
        ("١٢", "١٢"),
    ],
)
def test_cells_become_what_they_look_like(text, value):
    got = cell(text)
    assert got == value
    assert type(got) is type(value)


def test_tsv_jsonl_and_parquet_name_the_same_pictures(tmp_path):
    put(tmp_path, "a.png")
    write(tmp_path / "m.tsv", "id\timage\tprice\n1\ta.png\t2.5\n")
    write(tmp_path / "m.jsonl", '{"id": 1, "image": "a.png", "price": 2.5}\n\n')
    write(tmp_path / "m.ndjson", '{"id": "1", "image": "a.png", "price": 2.5}')
    pq.write_table(pa.table({"id": [1], "image": ["a.png"], "price": [2.5]}), tmp_path / "m.parquet")
    for name, kind in (
        ("m.tsv", "tsv"),
        ("m.jsonl", "jsonl"),
        ("m.ndjson", "jsonl"),
        ("m.parquet", "parquet"),
    ):
        source = open_source(tmp_path / name)
        (found,) = records(source)
        assert (source.kind, found.id, found.uri) == (kind, "1", str(tmp_path / "a.png"))
        assert (dict(found.attributes), found.named) == ({"price": 2.5}, True)


def test_columns_may_have_other_names(tmp_path):
    put(tmp_path, "a.png")
    path = write(tmp_path / "m.csv", "sku,photo,id\ns1,a.png,5\n")
    (found,) = records(open_source(path, id_column="sku", image_column="photo"))
    assert (found.id, dict(found.attributes)) == ("s1", {"id": 5})


def test_bad_rows_are_failures_that_name_their_line(tmp_path):
    put(tmp_path, "a.png")
    path = write(tmp_path / "m.csv", "id,image,x\n1,a.png,\n\n1,a.png,\n,a.png,\n2,,\n3,a.png,1,2\n4,a.png\n")
    source = open_source(path)
    assert ids(source) == ["1", "4"]
    assert [item.uri for item in failures(source)] == [f"{path}:{line}" for line in (4, 5, 6, 7)]
    reasons = [item.reason for item in failures(source)]
    assert "line 4 has the id of line 2" in reasons[0]
    assert "line 5 has no 'id'" in reasons[1]
    assert "line 6 has no 'image'" in reasons[2]
    assert "4 cells, and the header has 3" in reasons[3]


def test_bad_json_lines_are_failures(tmp_path):
    put(tmp_path, "a.png")
    lines = [
        '{"id":"a","image":"a.png","n":NaN,"tags":["x",{"y":null}]}',
        "{oops",
        "[1]",
        '{"id":"b"}',
        "[" * 100_000,
    ]
    source = open_source(write(tmp_path / "m.jsonl", "\n".join(lines)))
    (found,) = records(source)
    assert dict(found.attributes) == {"n": None, "tags": ["x", {"y": None}]}
    reasons = [item.reason for item in failures(source)]
    assert "not valid JSON" in reasons[0]
    assert "a JSON list" in reasons[1]
    assert "line 4 has no 'image'" in reasons[2]
    assert "line 5 " in failures(source)[3].id + " "


def test_an_image_cell_of_another_type_is_a_failure(tmp_path):
    path = write(tmp_path / "m.jsonl", '{"id":"a","image":5}\n')
    (failure,) = failures(open_source(path))
    assert "holds a int" in failure.reason


def test_parquet_values_become_plain_ones_and_bytes_are_pictures(tmp_path):
    table = pa.table(
        {
            "id": ["a", "b"],
            "image": [{"bytes": picture("blue"), "path": None}, {"bytes": None, "path": "c.png"}],
            "day": [date(2026, 1, 2), None],
            "price": [Decimal("1.50"), None],
            "score": [float("nan"), 2.0],
        }
    )
    pq.write_table(table, tmp_path / "m.parquet")
    put(tmp_path, "c.png")
    source = open_source(tmp_path / "m.parquet")
    inside, outside = records(source)
    assert decode(inside.read()).getpixel((0, 0)) == COLOURS["blue"]
    assert outside.uri == str(tmp_path / "c.png")
    assert dict(inside.attributes) == {"day": "2026-01-02", "price": 1.5, "score": None}
    assert source.count() == 2


def test_manifests_may_name_addresses_and_fsspec_uris(tmp_path):
    fsspec.filesystem("memory").pipe("/shop/a.png", picture("lime"))
    path = write(
        tmp_path / "m.csv", "id,image\n1,https://example.org/a.jpg\n2,memory://shop/a.png\n3,zz9://x/a.png\n"
    )
    source = open_source(path)
    web, remote = records(source)
    assert (web.uri, web.stamp) == ("https://example.org/a.jpg", None)
    assert remote.uri == "memory://shop/a.png"
    assert decode(remote.read()).getpixel((0, 0)) == COLOURS["lime"]
    assert "protocol 'zz9' is not known" in failures(source)[0].reason


def test_parts_of_one_manifest_share_their_ids(tmp_path):
    put(tmp_path, "a.png")
    for part in range(2):
        write(tmp_path / f"part-{part}.csv", f"id,image\nx,a.png\n{part},a.png\n")
    for pattern in ("part-*.csv", "part-{0..1}.csv"):
        source = open_source(str(tmp_path / pattern))
        assert ids(source) == ["x", "0", "1"]
        assert f"line 2 has the id of line 2 of {tmp_path / 'part-0.csv'}" in failures(source)[0].reason
        assert source.count() == 4


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("m.csv", b"", "the manifest is empty"),
        ("m.csv", b"id,image\n", "the manifest is empty"),
        ("m.csv", b"name,photo\n1,2\n", "its columns are name, photo"),
        ("m.csv", b"id,photo\n1,2\n", "lacks the column 'image'"),
        ("m.csv", b"id;image\n1;2\n", "commas in a .csv"),
        ("m.csv", b"id,image,x,x\n1,2,3,4\n", "two columns are called 'x'"),
        ("m.csv", "id,image\n1,2\n".encode("utf-16"), "UTF-16"),
        ("m.jsonl", b"", "the manifest is empty"),
        ("m.jsonl", b'[{"id": 1}]', "a JSON array"),
        ("m.jsonl", b'{"name": 1}\n', "its columns are name"),
        ("m.jsonl", b"hello\n", "line 1"),
        ("m.parquet", b"not parquet", "no readable Parquet"),
        ("m.parquet", b"", "no readable Parquet"),
    ],
)
def test_an_unusable_manifest_is_refused(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    assert reason in refused(tmp_path / name)


def test_a_manifest_with_a_byte_order_mark_and_stray_bytes_is_read(tmp_path):
    put(tmp_path, "a.png")
    (tmp_path / "m.csv").write_bytes(b"\xef\xbb\xbfid,image,t\r\n1,a.png,caf\xe9\r\n")
    (found,) = records(open_source(tmp_path / "m.csv"))
    assert dict(found.attributes) == {"t": "caf%E9"}


def test_seen_ids_stay_exact_when_they_outgrow_the_recent_ones(monkeypatch):
    monkeypatch.setattr(SeenIds, "RECENT", 64)
    seen = SeenIds()
    assert [seen.first(f"n{number}", number) for number in range(5000)] == [None] * 5000
    assert [seen.first(f"n{number}", -1) for number in range(5000)] == list(range(5000))
    assert len(seen._runs) < 10


# --- shards


def shard(path, members, mode="w"):
    with tarfile.open(path, mode) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


SAMPLES = [
    ("x/0001.jpg", picture("red")),
    ("x/0001.json", b'{"price": 2, "tags": ["a"]}'),
    ("x/0001.txt", "grüner Hut\n".encode()),
    ("x/0002.png", picture("lime")),
    ("x/0002.seg.png", picture("blue")),
    ("x/0003.json", b"{}"),
    ("x/0004.webp", picture("blue")),
    ("x/0004.json", b"{oops"),
    ("x/._0005.jpg", b"shadow"),
    ("README.txt", b"hello"),
    ("x/photo.2019.jpg", picture("blue")),
    ("x/photo.2020.jpg", picture("lime")),
]


@pytest.mark.parametrize(("name", "mode"), [("s.tar", "w"), ("s.tar.gz", "w:gz"), ("s.tgz", "w:gz")])
def test_a_shard_gives_its_samples(tmp_path, name, mode):
    path = shard(tmp_path / name, SAMPLES, mode)
    source = open_source(path)
    assert (source.kind, source.uri) == ("tar", str(path))
    found = records(source)
    assert [item.id for item in found] == ["x/0001", "x/0002", "x/photo.2019", "x/photo.2020"]
    assert found[0].uri == f"{path}::x/0001.jpg"
    assert dict(found[0].attributes) == {"price": 2, "tags": ["a"], "caption": "grüner Hut"}
    colours = [decode(item.read()).getpixel((0, 0)) for item in found]
    assert colours == [COLOURS[name] for name in ("red", "lime", "blue", "lime")]
    assert [read(item.uri) for item in found] == [item.read() for item in found]
    assert len({item.stamp for item in found}) == 4
    empty, broken = failures(source)
    assert (empty.id, "has no picture, only .json" in empty.reason) == ("x/0003", True)
    assert (broken.id, ".json is not usable" in broken.reason) == ("x/0004", True)


def test_shards_are_named_by_braces_and_patterns(tmp_path):
    for number in range(3):
        shard(tmp_path / f"{number:03d}.tar", [(f"{number}-{key}.png", picture()) for key in "ab"])
    wanted = ["0-a", "0-b", "1-a", "1-b", "2-a", "2-b"]
    for pattern in ("{000..002}.tar", "*.tar", "00[0-9].tar"):
        source = open_source(str(tmp_path / pattern))
        assert ids(source) == wanted
        assert (source.uri, source.count()) == (str(tmp_path / pattern), 6)
    missing = open_source(str(tmp_path / "{000..003}.tar"))
    assert ids(missing) == wanted
    assert failures(missing)[0].uri == str(tmp_path / "003.tar")
    assert "no such shard" in refused(str(tmp_path / "{7..8}.tar"))
    assert "matches nothing" in refused(str(tmp_path / "z*.tar"))


def test_many_threads_read_one_shard(tmp_path):
    members = [(f"{number:04d}.png", picture((number, 0, 0))) for number in range(200)]
    found = records(open_source(shard(tmp_path / "s.tar", members)))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda item: item.read(), found)) == [data for _, data in members]


def test_a_cut_shard_gives_what_came_before_the_cut(tmp_path):
    members = [(f"{key}.png", picture() + bytes(5000)) for key in "abc"]
    whole = shard(tmp_path / "whole.tar", members).read_bytes()
    third = 2 * (512 + 5120)
    (tmp_path / "cut.tar").write_bytes(whole[: third + 100])
    shard(tmp_path / "next.tar", [("z.png", picture())])
    source = open_source(str(tmp_path / "{cut,next}.tar"))
    assert ids(source) == ["a", "b", "z"]
    (failure,) = failures(source)
    assert failure.uri == str(tmp_path / "cut.tar")
    assert "after 'b.png'" in failure.reason


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path):
    path = shard(tmp_path / "s.tar", [(f"{key}.png", picture()) for key in "abc"])
    data = bytearray(path.read_bytes())
    data[2 * 1024 + 148] ^= 0xFF
    path.write_bytes(data)
    source = open_source(path)
    assert ids(source) == ["a", "b"]
    assert "damaged" in failures(source)[0].reason


def test_a_shard_that_shrinks_after_it_was_read_is_a_picture_error(tmp_path):
    path = shard(tmp_path / "s.tar", [("a.png", picture())])
    (found,) = records(open_source(path))
    path.write_bytes(path.read_bytes()[:540])
    with pytest.raises(PictureError, match="ends in the middle"):
        found.read()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("s.tar", b"not a tar" * 100, "damaged or cut"),
        ("s.tar", b"", "damaged or cut"),
        ("s.tar.gz", b"\x1f\x8b!", "damaged"),
    ],
)
def test_what_is_no_tar_is_refused(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    assert reason in refused(tmp_path / name)
    assert "no picture files" in refused(shard(tmp_path / "t.tar", [("a.txt", b"x")]))


# --- addresses and remote places


@pytest.fixture(scope="module")
def server():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = picture("lime") if self.path == "/a.png" else b"no"
            self.send_response(200 if self.path == "/a.png" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{web.server_port}"
    web.shutdown()
    web.server_close()


def test_a_list_of_addresses_is_read_lazily(tmp_path, server):
    lines = ["# mine", f"{server}/a.png", "", f"{server}/none.png", f"{server}/a.png", "oops"]
    source = open_source(write(tmp_path / "urls.txt", "\n".join(lines)))
    assert (source.kind, source.count()) == ("urls", 4)
    good, bad = records(source)
    assert (good.id, good.uri, good.named, good.stamp) == (f"{server}/a.png", f"{server}/a.png", False, None)
    assert decode(good.read()).getpixel((0, 0)) == COLOURS["lime"]
    with pytest.raises(PictureError, match="404"):
        bad.read()
    assert [item.reason for item in failures(source)] == [
        "line 5 has the address of line 2",
        "line 6 is not an address",
    ]
    assert "no http" in refused(write(tmp_path / "a.txt", "hello\n"))
    assert "empty" in refused(write(tmp_path / "b.txt", ""))


def test_a_single_address_is_a_source(server):
    source = open_source(f"{server}/a.png")
    (found,) = records(source)
    assert (source.kind, source.uri, found.id) == ("url", f"{server}/a.png", f"{server}/a.png")
    assert found.read() == picture("lime") == read(found.uri)
    assert "Download the file first" in refused(f"{server}/m.csv?x=1")


@pytest.fixture
def memory(tmp_path):
    system = fsspec.filesystem("memory")
    for name, colour in (
        ("f/a.png", "red"),
        ("f/s/b.JPG", "lime"),
        ("f/.h/c.png", "red"),
        ("f/t.txt", "red"),
    ):
        system.pipe(f"/bucket/{name}", picture(colour))
    system.pipe("/bucket/m.csv", b"id,image\n1,f/a.png\n2,f/none.png\n")
    system.pipe("/bucket/s-0.tar", shard(tmp_path / "s.tar", SAMPLES[:4]).read_bytes())
    yield "memory://bucket"
    system.rm("/bucket", recursive=True)


def test_remote_folders_patterns_manifests_and_shards(memory):
    folder = open_source(f"{memory}/f/")
    assert (folder.kind, folder.uri, folder.count()) == ("folder", f"{memory}/f", None)
    assert [(item.id, item.uri) for item in records(folder)] == [
        ("a.png", f"{memory}/f/a.png"),
        ("s/b.JPG", f"{memory}/f/s/b.JPG"),
    ]
    assert [item.read() for item in records(folder)] == [picture("red"), picture("lime")]
    assert all(item.stamp for item in records(folder))
    assert ids(open_source(f"{memory}/f/**/*.JPG")) == ["s/b.JPG"]
    assert ids(open_source(f"{memory}/f/a.png")) == ["a.png"]
    first, second = records(open_source(f"{memory}/m.csv"))
    assert (first.uri, first.read()) == (f"{memory}/f/a.png", picture("red"))
    with pytest.raises(PictureError, match="no such object"):
        second.read()
    for name in ("s-0.tar", "s-*.tar", "s-{0,0}.tar"):
        found = records(open_source(f"{memory}/{name}"))
        assert found[0].uri == f"{memory}/s-0.tar::x/0001.jpg"
        assert [item.read() for item in found[:2]] == [picture("red"), picture("lime")]
    assert read(found[0].uri) == picture("red")
    assert read(f"{memory}/f/a.png") == picture("red")
    assert "nothing at this address" in refused(f"{memory}/none")
    assert "protocol 'zz9' is not known" in refused("zz9://x")


@pytest.mark.parametrize(
    ("address", "package", "extra"), [("s3://b/f", "s3fs", "s3"), ("gs://b/f", "gcsfs", "gs")]
)
def test_a_missing_extra_names_its_command(monkeypatch, address, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, address[:2], raising=False)
    with pytest.raises(MissingExtraError, match=rf"pip install 'visualsearch\[{extra}\]'"):
        open_source(address)


def test_an_interrupt_passes_through(tmp_path, monkeypatch):
    put(tmp_path, "a.png", "s/b.png")
    walk = iter(open_source(tmp_path))
    next(walk)

    def scandir(_path):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(KeyboardInterrupt):
        next(walk)


def test_reading_an_unknown_uri_is_a_picture_error(tmp_path):
    for uri in (str(tmp_path / "none.png"), "zz9://x/a.png", f"{tmp_path}/none.tar::a.png"):
        with pytest.raises(PictureError):
            read(uri)
    path = shard(tmp_path / "s.tar", [("a.png", picture())])
    with pytest.raises(PictureError, match="no such member"):
        read(f"{path}::b.png")


FOREIGN = [
    "reference://x::data:text/plain,{}",
    "reference://index.json",
    "github://owner:repo@main/a.png",
    "filecache::s3://bucket/a.png",
    "s3://bucket/a.png::file:///etc/passwd",
    "simplecache://x",
    "zip://a.png::memory://bucket/x.zip",
    "data://a",
    "local:///etc/hostname",
    "jupyter://host/a.png",
    "git://x",
    "dask://x",
]
LOGIN = ["sftp://ada@host.example/a.png", "ftp://host.example/a.png", "ssh://h/a.png", "webhdfs://h/a.png"]


def opened_nothing(monkeypatch):
    def never(*_args, **_options):
        raise AssertionError("fsspec was asked")

    monkeypatch.setattr("fsspec.core.url_to_fs", never)


@pytest.mark.parametrize("address", FOREIGN)
def test_no_address_makes_fsspec_open_a_chain_or_a_strange_protocol(tmp_path, monkeypatch, address):
    opened_nothing(monkeypatch)
    with pytest.raises(SourceError):
        open_source(address)
    with pytest.raises(PictureError):
        read(address)


@pytest.mark.parametrize("address", [one for one in FOREIGN if "://" in one.partition("::")[0]] + LOGIN)
def test_a_manifest_and_a_list_name_only_known_protocols(tmp_path, monkeypatch, address):
    opened_nothing(monkeypatch)
    put(tmp_path, "a.png")
    table = write(tmp_path / "m.csv", f'id,image\n1,"{address}"\n2,a.png\n')
    (failed,) = failures(open_source(table))
    assert re.search("is not known|chain of addresses|only where you name it", failed.reason)
    assert ids(open_source(table)) == ["2"]
    addresses = write(tmp_path / "l.txt", f"{address}\nhttps://h.example/a.png\n")
    (failed,) = failures(open_source(addresses))
    assert re.search("is not known|chain of addresses|only where you name it", failed.reason)


@pytest.mark.parametrize("address", LOGIN)
def test_an_index_of_others_logs_in_nowhere(monkeypatch, address):
    opened_nothing(monkeypatch)
    with pytest.raises(PictureError, match="only where you name it"):
        read(address)


def test_a_login_in_an_address_is_used_and_is_no_part_of_the_id(tmp_path):
    path = write(tmp_path / "l.txt", "https://ada:pw@h.example/a.png\n")
    for source in (open_source(path), open_source("https://ada:pw@h.example/a.png")):
        (record,) = records(source)
        assert (record.id, record.uri) == ("https://h.example/a.png", "https://ada:pw@h.example/a.png")
