"""What a reader who is a stranger may not learn, reach, or leave behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

from starlette.testclient import TestClient

import visualsearch as vs
from visualsearch.errors import NotAnIndexError, PictureError
from visualsearch.server import guard
from visualsearch.server.app import create_app
from visualsearch.server.kept import PICTURES, Kept
from visualsearch.server.problems import Kind
from visualsearch.server.service import Service
from visualsearch.store.lock import writing
from visualsearch.types import Record

from .serving import Speaker, catalogue, halves, png, service
from .test_server_api import ids, problem


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return catalogue(tmp_path, 8)


def with_remote(folder: Path, uris: dict[str, str]) -> Path:
    """The index with more pins, whose pictures lie elsewhere."""

    class Source:
        uri, kind = "elsewhere", "list"

        def count(self) -> int:
            return len(uris)

        def __iter__(self) -> Any:
            for number, (name, uri) in enumerate(uris.items()):
                data = png("green", (60 + number, 40))
                yield Record(name, uri, lambda data=data: data, {"kind": "far"}, named=True)

    with vs.open(folder, Speaker()) as index:
        index.add(Source())
    return folder


# -- pictures of other hosts --------------------------------------------------------------------------------------
def test_a_pins_picture_on_the_web_is_fetched_through_the_guard(folder: Path) -> None:
    with_remote(folder, {"inside": "http://127.0.0.1:1/x.png", "outside": "https://pins.example/a.png"})
    made = service(folder)
    asked: list[tuple[str, Any]] = []

    def fetched(url: str, **options: Any) -> bytes:
        asked.append((url, options["allowed"]))
        if "pins.example" in url:
            return png("green")
        return guard.fetch(url, **options)

    made.fetch = fetched
    with TestClient(create_app(made)) as client:
        assert client.get("/pins/outside/picture").status_code == 200
        assert client.get("/pins/outside/picture").status_code == 200
        assert [url for url, _ in asked] == ["https://pins.example/a.png"]  # the second time it is at hand
        detail = problem(client.get("/pins/inside/picture"), Kind.NO_PICTURE)
        assert "127.0.0.1" not in detail
        assert ids(client.post("/search", json={"image": "pin:outside", "k": 1})) == ["colours/green"]
        problem(client.post("/search", json={"image": "pin:inside"}), Kind.NO_PICTURE)
        problem(client.post("/look", json={"image": "pin:inside"}), Kind.NO_PICTURE)
    assert all(allowed is guard.is_global for _, allowed in asked)


def test_silent_hosts_stop_no_picture_of_this_machine_and_are_asked_once(folder: Path) -> None:
    with_remote(folder, {f"far/{n}": f"https://h{n % 2}.example/{n}.png" for n in range(20)})
    made = service(folder, remote_seconds=0.0)
    go, asked = threading.Event(), []

    def silent(url: str, **_: Any) -> bytes:
        asked.append(url)
        assert go.wait(30)
        raise PictureError(url, "no answer in time")

    made.fetch = silent
    with TestClient(create_app(made)) as client, ThreadPoolExecutor(20) as pool:
        far = [pool.submit(client.get, f"/pins/far%2F{n}/picture") for n in range(20)]
        while made.remote.pending < 20:
            threading.Event().wait(0.001)
        assert client.get("/pins/colours%2Fred/picture").status_code == 200
        assert client.get("/search?text=red&k=1").status_code == 200
        go.set()
        for answer in far:
            problem(answer.result(30), Kind.NO_PICTURE)
        before = len(asked)
        assert before <= made.remote.threads + 2
        assert "a moment ago" in problem(client.get("/pins/far%2F1/picture?size=640"), Kind.NO_PICTURE)
        assert len(asked) == before


# -- what is not shown --------------------------------------------------------------------------------------------
PATHS = ("/search?like=m/07&where={}", "/pins?where={}", "/pins/m%2F07/similar?where={}")


@pytest.mark.parametrize(
    "where", ["uri >= '/r'", "`uri` like '/%'", "not uri is null", "price < 3 or (uri contains 'tmp')"]
)
def test_nobody_filters_by_where_the_pictures_lie(folder: Path, where: str) -> None:
    with TestClient(create_app(service(folder))) as client:
        for path in PATHS:
            assert "`uri` cannot be used" in problem(client.get(path.format(where)), Kind.BAD_FILTER)
        problem(client.post("/search", json={"like": "m/07", "where": where}), Kind.BAD_FILTER)
        name = client.post("/uploads", content=halves("red", "blue")).json()["upload"]
        problem(client.post("/look", json={"image": f"upload:{name}", "where": where}), Kind.BAD_FILTER)
        for hidden in ("uri", "stamp", "source", "hash", "row"):
            problem(client.get(f"/pins?sort={hidden}"), Kind.BAD_REQUEST)
        for hidden in ("stamp", "source", "hash", "row"):
            problem(client.get(f"/pins?where={hidden} is null"), Kind.BAD_FILTER)


def test_no_answer_tells_a_login_or_a_signature(folder: Path) -> None:
    with_remote(folder, {"far": "https://ada:swordfish@pins.example/a.png?v=7&signature=0badcafe"})
    with TestClient(create_app(service(folder))) as client:
        shown = client.get("/pins/far").json()["uri"]
        assert shown == "https://pins.example/a.png?v=7&signature=..."
        for path in ("/pins", "/search?text=green&k=9", "/pins/colours%2Fred/similar", "/pins/far/picture"):
            text = client.get(path).text
            assert "swordfish" not in text
            assert "0badcafe" not in text


# -- time ---------------------------------------------------------------------------------------------------------
def test_a_filter_over_columns_ends_in_time(folder: Path) -> None:
    made = service(folder)
    with TestClient(create_app(made)) as client:
        for letter in "ab":  # from the second time on, columns answer
            client.get("/search", params={"text": "red", "where": f"title like '%{letter}%'"})
        object.__setattr__(made.settings, "filter_seconds", -1.0)  # whatever is looked at is late
        last = {"text": "red", "where": "title like '%c%'"}
        assert "takes too long" in problem(client.get("/search", params=last), Kind.SLOW_FILTER)
        object.__setattr__(made.settings, "filter_seconds", 60.0)
        assert client.get("/search", params=last).status_code == 200


def test_sqlite_itself_is_stopped_and_works_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visualsearch.server.deadline.STEPS", 10)
    made = service(folder, filter_seconds=-1.0)
    slow = {"where": "title like '%a%' or price < 3"}
    with TestClient(create_app(made)) as client:
        for _ in range(6):  # more than there are threads
            assert "takes too long" in problem(client.get("/pins", params=slow), Kind.SLOW_FILTER)
        assert "takes too long" in problem(client.get("/pins?sort=price"), Kind.SLOW_FILTER)
        object.__setattr__(made.settings, "filter_seconds", 60.0)
        for _ in range(6):
            assert client.get("/pins", params=slow).status_code == 200


def test_a_filter_makes_only_so_many_comparisons(folder: Path) -> None:
    with TestClient(create_app(service(folder))) as client:
        where = " or ".join(f"title like '%{n}%'" for n in range(501))
        assert "at most 500" in problem(client.get("/pins", params={"where": where}), Kind.BAD_FILTER)


def test_an_unknown_id_is_not_compared_with_all_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("compared")

    monkeypatch.setattr("difflib.get_close_matches", never)
    with TestClient(create_app(service(folder))) as client:
        assert "there is no pin" in problem(client.get("/search?like=" + "x" * 1900), Kind.BAD_REQUEST)


# -- kept pictures ------------------------------------------------------------------------------------------------
def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / PICTURES).glob("*"))


def test_refused_writes_leave_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = service(folder)
    with TestClient(create_app(made), raise_server_exceptions=False) as client:
        with writing(folder):
            for number in range(5):
                problem(client.put(f"/pins/{number}", content=png("red", (70 + number, 40))), Kind.LOCKED)
        assert kept(folder) == []

        def broken(*_: Any) -> Any:
            raise RuntimeError("out of order")

        with monkeypatch.context() as patch:
            patch.setattr(Speaker, "encode_images", broken)
            assert client.put("/pins/a", content=png("red", (99, 40))).status_code == 500
        assert kept(folder) == []

        with monkeypatch.context() as patch:
            patch.setattr("visualsearch.store.Writer.put_pin", broken, raising=False)
            patch.setattr("visualsearch.indexing.indexer.Indexer._commit", broken)
            assert client.put("/pins/a", content=png("red", (98, 40))).status_code == 500
        assert kept(folder) == []
        assert client.put("/pins/a", content=png("red", (97, 40))).status_code == 201
        assert len(kept(folder)) == 1


def test_a_failed_write_takes_no_picture_from_another_pin(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TestClient(create_app(service(folder)), raise_server_exceptions=False) as client:
        assert client.put("/pins/a", content=png("red", (97, 40))).status_code == 201

        def broken(*_: Any) -> Any:
            raise RuntimeError("out of order")

        with monkeypatch.context() as patch:
            patch.setattr("visualsearch.indexing.indexer.Indexer._commit", broken)
            assert client.put("/pins/b", content=png("red", (97, 40))).status_code == 500
        assert client.get("/pins/a/picture").status_code == 200


def test_what_a_killed_server_left_is_swept_by_the_next_write(folder: Path) -> None:
    with TestClient(create_app(service(folder))) as client:
        assert client.put("/pins/a", content=png("red", (97, 40))).status_code == 201
    (mine,) = kept(folder)
    script = f"""
import os, sys
from visualsearch.indexing.indexer import Indexer
from tests.serving import service, png
from pathlib import Path
Indexer._commit = lambda *_: os._exit(9)
service(Path({str(folder)!r})).put("b", png("blue", (77, 40)), {{}}, True)
"""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    assert subprocess.run([sys.executable, "-c", script], env=env, check=False).returncode == 9
    strays = [name for name in kept(folder) if name != mine]
    assert len(strays) == 1
    (folder / PICTURES / f".{'0' * 64}.png.123.tmp").write_bytes(b"half")
    (folder / PICTURES / "notes.txt").write_text("mine")
    with TestClient(create_app(service(folder))) as client:
        assert client.put("/pins/c", content=png("green", (66, 40))).status_code == 201
        left = kept(folder)
        assert "notes.txt" in left
        assert mine in left
        assert len(left) == 3
        assert client.get("/pins/a/picture").status_code == 200
        assert client.get("/pins/c/picture").status_code == 200


def test_a_moved_index_keeps_its_pictures(folder: Path, tmp_path: Path) -> None:
    with TestClient(create_app(service(folder))) as client:
        assert client.put("/pins/a", content=png("red", (97, 40))).status_code == 201
    moved = folder.rename(tmp_path / "moved.index")
    with TestClient(create_app(service(moved))) as client:
        assert client.put("/pins/b", content=png("blue", (96, 40))).status_code == 201
        assert len(kept(moved)) == 2


def test_a_picture_folder_that_is_a_link_is_neither_written_nor_swept(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / f"{'0' * 64}.png").write_bytes(b"mine")
    made: Service = service(folder)
    (folder / PICTURES).symlink_to(outside)  # while the index is open
    Kept(made.index).sweep()
    with TestClient(create_app(made), raise_server_exceptions=False) as client:
        assert client.put("/pins/a", content=png("red")).status_code >= 500
    with pytest.raises(NotAnIndexError, match="its pictures is a link"):
        service(folder)
    assert [path.name for path in outside.iterdir()] == [f"{'0' * 64}.png"]
    assert json.dumps(kept(folder)) == json.dumps([f"{'0' * 64}.png"])
