"""What the page asks of the server beside the record: sizes, the own order of a board, a beacon, what other sites may load."""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

from PIL import Image

from visualsearch.images import size_of

from ..serving import catalogue
from .web import Asker, serving, visitor


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with serving(catalogue(tmp_path_factory.mktemp("paged"), 12)) as made:
        yield made


def written(form: str, size: tuple[int, int], **options: Any) -> bytes:
    out = BytesIO()
    Image.new("RGB", size, "red").save(out, form, **options)
    return out.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_the_first_bytes_of_a_file_tell_the_size_of_its_upright_picture(form: str) -> None:
    assert size_of(written(form, (640, 480))[:4096]) == (640, 480)
    turned = Image.Exif()
    turned[0x0112] = 6
    if form == "JPEG":
        assert size_of(written(form, (640, 480), exif=turned)[:4096]) == (480, 640)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8\xff", b"GIF89a", b"RIFF\0\0\0\0WEBP", b"text", b"\x89PNG\r\n\x1a\n"]
)
def test_what_tells_no_size_gives_none(data: bytes) -> None:
    assert size_of(data) is None


def test_pins_and_hits_say_how_large_their_pictures_are(app: Any) -> None:
    stranger = Asker(app)
    assert [stranger.get("/pins/m%2F07").json()[side] for side in ("width", "height")] == [64, 48]
    asked = (
        ("/pins", {"k": 12}, "pins"),
        ("/search", {"like": "m/07", "k": 10}, "hits"),
        ("/pins/m%2F07/related", {}, "hits"),
    )
    for path, params, of in asked:
        found = stranger.get(path, params=params).json()[of]
        assert {(each["width"], each["height"]) for each in found} == {(64, 48), (48, 64)}


def test_a_picture_that_is_gone_or_no_file_has_no_size(tmp_path: Path) -> None:
    from visualsearch.server.sizes import size_at

    os.mkfifo(tmp_path / "pipe")
    for place in (
        "https://host/a.jpg",
        "s3://host/a.jpg",
        "/none.jpg",
        str(tmp_path / "pipe"),
        "a\0b",
        str(tmp_path),
    ):
        assert size_at(place) is None
    path = tmp_path / "a.png"
    path.write_bytes(written("PNG", (30, 20)))
    assert size_at(str(path)) == (30, 20)
    path.write_bytes(written("PNG", (20, 50)))
    os.utime(path, ns=(1, 1))
    assert size_at(str(path)) == (20, 50)


def test_a_board_has_its_own_order_notes_and_a_cover(app: Any) -> None:
    ada = visitor(app)
    boards = [ada.save(f"m/{n:02d}", board="Ordered")["board"] for n in (5, 6, 7, 8)]
    board = boards[0]

    def order(k: int = 3) -> list[str]:
        found, cursor = [], None
        while True:
            params = {"order": "own", "k": k, **({"cursor": cursor} if cursor else {})}
            page = ada.get(f"/boards/{board}/pins", params=params).json()
            assert [pin["id"] for pin in page["pins"]] == [save["pin"] for save in page["saves"]]
            found += [save["pin"] for save in page["saves"]]
            cursor = page["cursor"]
            if cursor is None:
                return found

    def change(pin: str, **values: Any) -> Any:
        return ada.ask("PATCH", f"/boards/{board}/pins/{pin.replace('/', '%2F')}", json=values)

    assert order() == ["m/08", "m/07", "m/06", "m/05"]
    assert change("m/05", before="m/07").status_code == 200
    assert change("m/08", before=None).status_code == 200
    assert order() == ["m/05", "m/07", "m/06", "m/08"] == order(1)
    assert change("m/06", note="the oak one").json()["note"] == "the oak one"
    assert change("m/06", section="Walls").json()["section"] == "Walls"
    moved = change("m/06", before="m/05").json()
    assert (moved["section"], moved["note"]) == ("Walls", "the oak one")  # what is not named stays
    assert change("m/06", before="m/99").status_code == 404
    assert ada.get(f"/boards/{board}").json()["covers"][0] == "/pins/m%2F08/picture"
    covered = ada.ask("PATCH", f"/boards/{board}", json={"cover": "m/05"}).json()
    assert covered["covers"][:2] == ["/pins/m%2F05/picture", "/pins/m%2F08/picture"]
    assert ada.get("/boards").json()["boards"][0]["covers"] == covered["covers"]
    assert ada.ask("PATCH", f"/boards/{board}", json={"cover": "m/99"}).status_code == 404


def test_a_beacon_carries_its_token_in_the_body(app: Any) -> None:
    ada = visitor(app)
    token = ada.headers.pop("X-CSRF-Token")
    events = [{"kind": "click", "pin": "m/07", "event_id": "beacon-1"}]
    assert ada.post("/events", {"events": events}).status_code == 403
    assert ada.post("/events", {"events": events, "csrf": "wrong"}).status_code == 403
    sent = ada.post("/events", {"events": events, "csrf": token})
    assert (sent.status_code, sent.json()["accepted"]) == (202, 1)
    again = ada.post("/events", {"events": events, "csrf": token})
    assert again.json()["duplicates"] == 1
    foreign = ada.post(
        "/events", {"events": events, "csrf": token}, headers={"Origin": "https://evil.example"}
    )
    assert foreign.status_code == 403


def test_only_the_save_button_may_be_loaded_by_other_sites(app: Any) -> None:
    stranger = Asker(app)
    policy = "Cross-Origin-Resource-Policy"
    assert stranger.get("/save.js").headers[policy] == "cross-origin"
    for path in ("/", "/sw.js", "/manifest.webmanifest", "/static/main.js", "/pins"):
        assert stranger.get(path).headers[policy] == "same-origin"
    packed = stranger.get("/static/app.css", headers={"Accept-Encoding": "gzip"}).headers
    assert (packed["Content-Encoding"], packed["Cache-Control"]) == ("gzip", "no-cache")
    assert stranger.get("/info").json()["people"] is True
