"""What the fuzzer feeds: each target takes bytes, lets the package's own errors pass, and gives sound inputs to start from."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import fuzz_http
import fuzz_shops
import numpy as np
from fuzz_made import Made, Target
from PIL import Image, features

import visualsearch as vs
from visualsearch import images
from visualsearch.errors import VisualSearchError
from visualsearch.people import open_people
from visualsearch.search import parse

ROWS = 500
MAX_PIXELS = 4_000_000


def _pictures() -> list[bytes]:
    cells = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(cells).resize((40, 30))
    exif = Image.Exif()
    exif[0x0112] = 6
    made: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (picture, "JPEG", {"exif": exif}),
        (picture, "JPEG", {"progressive": True}),
        (picture.convert("CMYK"), "JPEG", {}),
        (picture, "PNG", {}),
        (picture.convert("P"), "PNG", {}),
        (picture.convert("RGBA"), "PNG", {}),
        (picture, "WEBP", {}),
        (picture.convert("P"), "GIF", {"save_all": True, "append_images": [picture.convert("P")] * 2}),
        (picture, "TIFF", {"compression": "tiff_lzw"}),
        (picture.convert("I;16"), "TIFF", {}),
        (picture, "BMP", {}),
        (picture, "ICO", {}),
        (picture, "PPM", {}),
        (picture, "JPEG2000", {}),
    ]
    if features.check("avif"):
        made.append((picture, "AVIF", {}))
    out = []
    for each, form, more in made:
        file = io.BytesIO()
        each.save(file, form, **more)
        out.append(file.getvalue())
    return out


def picture(_: Path) -> Made:
    """Picture files of every format."""

    def take(data: bytes) -> None:
        for target in (None, 224):
            try:
                decoded = images.decode(data, max_pixels=MAX_PIXELS, target=target)
            except VisualSearchError:
                continue
            if decoded.mode != "RGB":
                raise AssertionError(f"decoded to {decoded.mode}")

    return Made(take, _pictures())


def _csv() -> bytes:
    return 'id,image,title,price\na,a.png,"A, ""b""",1.5\nb,b.png,Ü👗,2 €\n'.encode()


def _parquet(columns: Mapping[str, Iterable[Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table({name: list(values) for name, values in columns.items()}), file)
    return file.getvalue()


def _tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, data in (
            ("a.png", _pictures()[3]),
            ("a.json", b'{"title": "A"}'),
            ("b.jpg", _pictures()[0]),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


SOURCES = {
    ".csv": _csv,
    ".jsonl": lambda: b'{"id": "a", "image": "a.png", "tags": ["x", 1]}\n{"id": "b", "image": "b.png"}\n',
    ".parquet": lambda: _parquet({"id": ["a", "b"], "image": ["a.png", "b.png"], "price": [1.0, None]}),
    ".tar": _tar,
    ".txt": lambda: b"https://example.org/a.png\nhttps://example.org/b.png\n",
}


def source(folder: Path) -> Made:
    """Manifests and archives. The first byte chooses the kind."""
    endings = list(SOURCES)

    def take(data: bytes) -> None:
        if not data:
            return
        path = folder / f"source{endings[data[0] % len(endings)]}"
        path.write_bytes(data[1:])
        try:
            for entry in islice(vs.open_source(path), ROWS):
                str(entry)
        except VisualSearchError:
            pass

    return Made(take, [bytes([n]) + SOURCES[ending]() for n, ending in enumerate(endings)])


def filter_(_: Path) -> Made:
    """`where` expressions and crops."""
    known = {"price", "category", "sold", "title", "tags"}

    def take(data: bytes) -> None:
        text = data.decode("utf-8", "surrogateescape")
        for call in (
            lambda: parse(text, known),
            lambda: parse(text),
            lambda: images.parse_crop(text, (40, 30)),
        ):
            try:
                call()
            except VisualSearchError as error:
                if not str(error).strip():
                    raise AssertionError("an error without words") from error

    return Made(
        take,
        [
            b"price < 50 and category in ('shoe', 'bag') and not sold",
            b"title like '%red%' or (`tags` contains \"x\" and price between 1 and 2.5e3)",
            b"category is not null and not (price = -1 or sold)",
            b"0.1,0.2,0.9,0.8",
        ],
    )


EVENT = {
    "event_id": "e1",
    "kind": "click",
    "person": "ada",
    "pin": "a",
    "surface": "search",
    "answer": "a1",
    "slot": 3,
    "row": 1,
    "column": 2,
    "dwell_ms": 1200,
    "value": 9.5,
    "currency": "EUR",
    "at": 1_767_009_600_000,
}


def event(folder: Path) -> Made:
    """Events as Python values."""
    (folder / "event").mkdir()
    people = open_people(folder / "event")
    fields = set(vs.Event.__dataclass_fields__)

    def take(data: bytes) -> None:
        try:
            values = json.loads(data.decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError):
            return
        if not isinstance(values, dict):
            return
        values = {name: value for name, value in values.items() if name in fields}
        with suppress(VisualSearchError):
            people.record([vs.Event(**{"kind": "click", "person": "ada", **values})])

    return Made(
        take,
        [
            json.dumps(EVENT).encode(),
            json.dumps({**EVENT, "kind": "purchase", "event_id": "e2"}).encode(),
        ],
    )


BOOKMARKS = b"""<!DOCTYPE NETSCAPE-Bookmark-file-1><TITLE>Bookmarks</TITLE><H1>B</H1><DL><p>
<DT><H3 ADD_DATE="1700000000">Kitchen</H3><DL><p><DT><A
HREF="https://example.org/a?x=1&amp;y=2" ADD_DATE="1700000001" TAGS="red,x">A</A>
<DD>note</DL><p></DL>"""


PINTEREST = b"""<div><h1 id=y1>Pins</h1><a href="https://www.pinterest.com/pin/123/">https://www.pinterest.com/pin/123/</a>
<br>Title: No data,
<br>Details: with: colons,
<br>Image: 25042f03473dbb11189c28f71c6d15da,
<br>Board Name: My kitchen,
<br>Canonical Link: <a href="https://shop.example/oak">https://shop.example/oak</a>,
<br>Created at: 2017/02/13 15:35:01
<br>Private: True<br><br><h1 id=z>Search history</h1></div>"""
CHROME = b"""{"roots": {"bookmark_bar": {"name": "Bar", "type": "folder", "children": [{"name": "Oak", "type": "url",
"url": "https://a.example/", "date_added": "13318000000000000"}, {"name": "Deeper", "type": "folder", "children": [{"name":
"x", "url": "https://b.example/", "images": {"orig": {"url": "https://b.example/p.jpg"}}, "tags": ["a", {"tag": "b"}]}]}]},
"sync_metadata": "abc"}}"""
POCKET = b"title,url,time_added,tags,status\nApp,https://a.example/app,1728576752,open|two words,unread\n"


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(
            "pins.json", json.dumps({"boards": [{"name": "K", "pins": [{"url": "https://example.org/a"}]}]})
        )
        made.writestr("boards.html", BOOKMARKS)
    return file.getvalue()


IMPORTS = {
    ".events.csv": lambda: (
        b"person,kind,pin,at\nada,click,a,2025-12-01T10:00:00Z\nbob,save,b,1767009600000\n"
    ),
    ".events.jsonl": lambda: b'{"person": "ada", "kind": "click", "pin": "a", "at": 1767009600000}\n',
    ".saves.parquet": lambda: _parquet({"person": ["ada"], "pin": ["a"], "board": ["K"]}),
    ".boards.html": lambda: BOOKMARKS,
    ".boards.json": lambda: (
        b'{"boards": [{"name": "K", "pins": [{"url": "https://example.org/a", "image": "https://i.pinimg.com/x"}]}]}'
    ),
    ".boards.zip": _zip,
    ".boards.csv": lambda: b"title,url,folder,created\nA,https://example.org/a,Kitchen,2025-01-02\n",
    ".pins.boards.html": lambda: PINTEREST,
    ".chrome.boards.json": lambda: CHROME,
    ".pocket.boards.csv": lambda: POCKET,
    ".follows.jsonl": lambda: b'{"person": "ada", "board": "K", "followed": "bob", "at": "2025-12-01"}\n',
    ".people.csv": lambda: b"person,name,created\nada,Ada,2025-12-01T10:00:00Z\n",
    ".boards.tsv": lambda: b"sep=;\npage;image;board;section\nhttps://a.example/;//a.example/p.png;K;S\n",
}


def import_(folder: Path) -> Made:
    """Files of people and boards that are imported. The first byte chooses the kind."""
    (folder / "import").mkdir()
    people = open_people(folder / "import")
    endings = list(IMPORTS)

    def take(data: bytes) -> None:
        if not data:
            return
        ending = endings[data[0] % len(endings)]
        path = folder / f"file{ending}"
        path.write_bytes(data[1:])
        try:
            if ".boards." in ending:
                people.import_boards("ada", path, "raindrop" if ending == ".boards.csv" else None)
            else:
                people.import_file(path, ending.split(".")[1])
        except VisualSearchError:
            pass

    return Made(take, [bytes([n]) + IMPORTS[ending]() for n, ending in enumerate(endings)])


REQUESTS: list[tuple[str, str, bytes]] = [
    (
        "POST",
        "/search",
        b'{"parts": [{"text": "red", "weight": 1}], "k": 5, "where": "price < 5", "rank": "fresh"}',
    ),
    ("POST", "/events", json.dumps({"events": [EVENT], "person": "ada"}).encode()),
    ("POST", "/saves", b'{"pin": "a.png", "board": "Kitchen", "note": "n", "section": "s"}'),
    ("POST", "/boards", b'{"title": "Kitchen", "secret": true, "kind": "project"}'),
    ("PUT", "/pins/x", b'{"image": "upload:abc", "attributes": {"price": 1.5}}'),
    ("GET", "/search?text=red&k=5&where=price%20%3C%205&offset=2&crop=0.1,0.2,0.9,0.8", b""),
    ("GET", "/pins/a.png/similar?k=3", b""),
    ("GET", "/feed?k=3&cursor=abc", b""),
    ("GET", "/attributes/counts?attribute=title&where=price%3C5", b""),
]


def http(folder: Path) -> Made:
    """Requests: a line with the method and the path, then the body."""
    from dataclasses import replace

    from campaign_work import Mosaic, paint
    from starlette.testclient import TestClient

    from visualsearch.server.app import create_app, open_service
    from visualsearch.server.keys import FILE, Scope, new_key
    from visualsearch.server.settings import Settings

    place = folder / "pins.index"
    index = vs.create(place, Mosaic())
    paint(folder / "pictures", "a")
    index.add(folder / "pictures")
    index.close()
    key = new_key(place / FILE, Scope.ACT)
    settings = replace(Settings(), hosts=("testserver",), rate=0, event_rate=0, upkeep_seconds=3600.0)
    app = create_app(open_service(place, settings, Mosaic()))
    web = TestClient(app, raise_server_exceptions=False).__enter__()  # until the process ends
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def take(data: bytes) -> None:
        line, _, body = data.partition(b"\n")
        method, _, path = line.decode("utf-8", "replace").partition(" ")
        if not path.startswith("/") or not method.isalpha() or not method.isascii():
            return
        try:
            answer = web.request(method, path, content=body, headers=headers, params=None)
        except (ValueError, UnicodeError) as error:  # the client refuses to send it
            if "httpx" in type(error).__module__ or isinstance(error, UnicodeError):
                return
            raise
        except Exception as error:
            if type(error).__module__.startswith("httpx"):
                return
            raise
        if answer.status_code >= 500:
            raise AssertionError(
                f"answered {answer.status_code} to {method} {path.partition('?')[0]}: {answer.text[:100]}"
            )
        if "Traceback" in answer.text:
            raise AssertionError("a traceback was sent")

    return Made(take, [f"{method} {path}\n".encode() + body for method, path, body in REQUESTS])


TARGETS: Mapping[str, Target] = {
    "picture": picture,
    "source": source,
    "filter": filter_,
    "event": event,
    "import": import_,
    "http": http,
    "page": fuzz_shops.page,
    "feed": fuzz_shops.feed,
    "where": fuzz_shops.where,
    "api": fuzz_http.api,
}
