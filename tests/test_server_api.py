"""The HTTP API: the same answers as Python gives, one problem document for whatever goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

from PIL import Image
from starlette.testclient import TestClient

import visualsearch as vs
from visualsearch.errors import PictureError
from visualsearch.server.app import create_app
from visualsearch.server.problems import SHAPES, Kind
from visualsearch.server.service import Service
from visualsearch.storage import PICTURES
from visualsearch.store import Reader
from visualsearch.types import Part

from .fakes import FakeEncoder, paint
from .serving import PINS, Speaker, catalogue, halves, png, service


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return catalogue(tmp_path_factory.mktemp("api"))


@pytest.fixture(scope="module")
def serving(folder: Path) -> Service:
    return service(folder)


@pytest.fixture(scope="module")
def client(serving: Service) -> Iterator[TestClient]:
    """Over an index that these tests only read."""
    with TestClient(create_app(serving), raise_server_exceptions=False) as made:
        yield made


@pytest.fixture
def writable(tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(create_app(service(catalogue(tmp_path, 8))), raise_server_exceptions=False) as made:
        yield made


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [hit["id"] for hit in answer.json()["hits"]]


def problem(answer: Any, kind: Kind) -> str:
    """Check that the answer is a problem document of that kind, and return its detail."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert body["type"] == f"/docs#{kind.value}", body
    assert body["status"] == answer.status_code == SHAPES[kind].status
    assert body["title"] == SHAPES[kind].title
    assert str(Path(__file__).parent) not in answer.text
    return str(body["detail"])


# -- searching ----------------------------------------------------------------------------------------------------
def test_a_stored_pin_a_text_and_a_mix_find_what_python_finds(client: TestClient, folder: Path) -> None:
    index = vs.open(folder, Speaker())
    wanted: list[dict[str, Any]] = [
        {"like": ["m/07"], "k": 5},
        {"text": ["red"], "k": 5},
        {"text": ["red"], "not_text": ["white"], "unlike": ["m/09"], "weights": {"not_text": 0.25}, "k": 7},
        {"like": ["colours/red", "m/11"], "where": "price < 20 and category = 'odd'", "k": 3, "offset": 2},
        {"text": ["blue"], "min_score": 0.2, "k": 50},
        {"text": ["blue"], "min_score": "auto", "k": 50},
        {"like": ["m/07"], "include_seeds": True, "k": 3},
    ]
    for query in wanted:
        answer = client.post("/search", json=query)
        expected = index.search(**query)
        assert ids(answer) == expected.ids
        assert [hit["score"] for hit in answer.json()["hits"]] == pytest.approx(
            expected.scores.tolist(), abs=1e-5
        )
        assert answer.json()["total"] == expected.total
        assert answer.json()["alike"] is expected.alike
        assert answer.json()["notes"] == list(expected.notes)


def test_several_pictures_are_one_query_of_equal_parts(client: TestClient, folder: Path) -> None:
    index = vs.open(folder, Speaker())
    names = [client.post("/uploads", content=png(color)).json()["upload"] for color in ("red", "blue")]
    query: dict[str, Any] = {
        "image": f"upload:{names[0]}",
        "also": [f"upload:{names[1]}", "pin:colours/green"],
        "k": 6,
    }
    pictures = [png("red"), png("blue"), str(folder.parent / "pictures" / "green.png")]
    expected = index.search(parts=[Part(1.0, image=picture) for picture in pictures], k=6)
    answer = client.post("/search", json=query)
    assert ids(answer) == expected.ids
    assert [hit["score"] for hit in answer.json()["hits"]] == pytest.approx(
        expected.scores.tolist(), abs=1e-5
    )
    assert ids(client.get("/search", params=query)) == expected.ids
    assert len(ids(client.post("/search", json={"also": query["also"], "k": 4}))) == 4
    problem(client.post("/search", json={"also": ["upload:gone"]}), Kind.UPLOAD_GONE)
    problem(client.post("/search", json={"also": ["pin:nothing"]}), Kind.NOT_FOUND)
    problem(client.post("/search", json={"also": ["http://x.example/a.png"]}), Kind.BAD_REQUEST)
    many = client.post("/search", json={"also": ["pin:m/07"] * 9})
    assert "at most 8" in problem(many, Kind.BAD_REQUEST)


def test_a_query_means_the_same_in_an_address_in_json_and_in_a_form(client: TestClient) -> None:
    plain = client.get(
        "/search", params={"like": "m/07", "unlike": ["m/09", "m/11"], "weight": "unlike=0.2", "k": 4}
    )
    as_json = client.post(
        "/search", json={"like": "m/07", "unlike": ["m/09", "m/11"], "weights": {"unlike": 0.2}, "k": 4}
    )
    fields = [("like", "m/07"), ("unlike", "m/09"), ("unlike", "m/11"), ("weight", "unlike=0.2"), ("k", "4")]
    body = (
        "".join(f'--x\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields)
        + "--x--\r\n"
    )
    as_form = client.post(
        "/search", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert ids(plain) == ids(as_json) == ids(as_form)
    assert len(ids(plain)) == 4


def test_a_picture_is_taken_as_a_body_a_form_an_upload_and_a_pins_own(client: TestClient) -> None:
    data = png("green")
    body = client.post("/search", params={"k": 1}, content=data, headers={"Content-Type": "image/png"})
    form = client.post("/search", data={"k": "1"}, files={"image": ("x.png", data, "image/png")})
    kept = client.post("/uploads", content=data, headers={"Content-Type": "application/octet-stream"}).json()
    again = client.post("/search", json={"image": f"upload:{kept['upload']}", "k": 1})
    pin = client.post("/search", json={"image": "pin:colours/green", "k": 1})
    assert ids(body) == ids(form) == ids(again) == ids(pin) == ["colours/green"]
    assert body.json()["upload"] == kept["upload"] == form.json()["upload"]
    assert (kept["width"], kept["height"]) == (64, 48)


def test_a_crop_searches_that_part_in_fractions_and_in_pixels(client: TestClient) -> None:
    data = halves("red", "blue")
    for crop, found in (("0,0,0.5,1", "red"), ("0.5,0,1,1", "blue"), ("64,0,128,64", "blue")):
        answer = client.post("/search", data={"crop": crop, "k": "1"}, files={"image": ("x", data)})
        assert ids(answer) == [f"colours/{found}"]
        name = answer.json()["upload"]
        numbers = [float(number) for number in crop.split(",")]
        assert ids(client.post("/search", json={"image": f"upload:{name}", "crop": numbers, "k": 1})) == [
            f"colours/{found}"
        ]


def test_a_crop_of_a_few_pixels_is_refused(client: TestClient) -> None:
    data = halves("red", "blue")
    answer = client.post("/search", data={"crop": "0,0,2,5"}, files={"image": ("x", data)})
    assert answer.status_code == 422
    assert "its numbers are pixels" in answer.text


def test_bytes_made_to_freeze_a_pattern_are_refused_at_once(client: TestClient) -> None:
    body = b"<!---->" * 60 + b"<"
    assert client.post("/search", files={"image": ("x", body)}).status_code in (400, 415, 422)


def test_pages_follow_one_another_without_gap_or_repeat(client: TestClient) -> None:
    whole = ids(client.get("/search", params={"text": "red", "k": PINS}))
    pages = [ids(client.get("/search", params={"text": "red", "k": 20, "offset": at})) for at in (0, 20, 40)]
    assert [name for page in pages for name in page] == whole
    assert len(set(whole)) == PINS
    assert client.get("/search", params={"text": "red", "k": 20, "offset": 20}).json()["more"] is True
    assert client.get("/search", params={"text": "red", "k": 20, "offset": 40}).json()["more"] is False


def test_sorting_orders_the_best_matches_by_an_attribute(client: TestClient) -> None:
    rising = client.get("/search", params={"text": "red", "sort": "price", "k": 10}).json()["hits"]
    falling = client.get("/search", params={"text": "red", "sort": "-price", "k": 3, "offset": 1}).json()[
        "hits"
    ]
    assert [hit["attributes"]["price"] for hit in rising] == [
        0.5,
        1.5,
        2.5,
        3.5,
        4.5,
        5.0,
        6.0,
        7.0,
        8.0,
        9.0,
    ]
    assert [hit["attributes"]["price"] for hit in falling] == [PINS - 2, PINS - 3, PINS - 4]
    assert "Known: category, price, title" in problem(
        client.get("/search?text=red&sort=size"), Kind.BAD_REQUEST
    )


def test_a_hit_has_what_python_gives_and_no_place_of_the_server(client: TestClient, folder: Path) -> None:
    answer = client.get("/search", params={"text": "red", "k": 1})
    (hit,) = answer.json()["hits"]
    assert hit["id"] == "colours/red"
    assert hit["attributes"] == {"title": "Plain red", "category": "plain", "price": 0.5}
    assert hit["box"] == [0, 0, 1, 1]
    assert hit["uri"] is None
    assert hit["picture"] == "/pins/colours%2Fred/picture"
    assert str(folder.parent) not in answer.text


def test_look_finds_the_boxes_it_is_given(client: TestClient) -> None:
    name = client.post("/uploads", content=halves("red", "blue")).json()["upload"]
    wanted = {"image": f"upload:{name}", "boxes": [[0, 0, 0.5, 1], [0.5, 0, 1, 1]], "k": 1}
    answer = client.post("/look", json=wanted)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert [one["hits"][0]["id"] for one in body["objects"]] == ["colours/red", "colours/blue"]
    assert (body["width"], body["height"], body["upload"]) == (128, 64, name)


def test_words_for_an_encoder_without_words_say_why(folder: Path, tmp_path: Path) -> None:
    class Wordless(FakeEncoder):
        def __init__(self) -> None:
            super().__init__("wordless")
            from dataclasses import replace

            self.spec = replace(self.spec, text=False)

    index = vs.create(tmp_path / "pins.index", Wordless())
    index.add([paint(tmp_path / "a.png", "red")])
    index.close()
    with TestClient(create_app(service(tmp_path / "pins.index", Wordless()))) as client:
        detail = problem(client.get("/search?text=red"), Kind.BAD_REQUEST)
        assert "cannot be searched by words" in detail
        assert client.get("/info").json()["text"] is False


# -- pictures -----------------------------------------------------------------------------------------------------
def test_thumbnails_are_sized_negotiated_and_answered_by_etag(client: TestClient) -> None:
    path = "/pins/colours%2Fred/picture"
    webp = client.get(path, params={"size": 30}, headers={"Accept": "image/avif,image/webp,*/*"})
    jpeg = client.get(path, params={"size": 30}, headers={"Accept": "*/*"})
    assert webp.headers["content-type"] == "image/webp"
    assert jpeg.headers["content-type"] == "image/jpeg"
    assert Image.open(BytesIO(webp.content)).size == Image.open(BytesIO(jpeg.content)).size == (64, 48)
    assert webp.headers["vary"] == "Accept"
    assert webp.headers["etag"] != jpeg.headers["etag"]
    again = client.get(path, params={"size": 30}, headers={"If-None-Match": f'"x", {jpeg.headers["etag"]}'})
    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["etag"] == jpeg.headers["etag"]


def test_a_large_picture_is_scaled_down_and_keeps_no_metadata(writable: TestClient) -> None:
    out = BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    Image.new("RGB", (900, 600), (9, 99, 199)).save(out, "JPEG", exif=exif)
    writable.put("/pins/big", content=out.getvalue(), headers={"Content-Type": "image/jpeg"})
    sent = writable.get("/pins/big/picture", params={"size": 300}).content
    assert Image.open(BytesIO(sent)).size == (320, 213)
    assert b"secret" not in sent


def test_pictures_are_served_by_id_only(client: TestClient, folder: Path) -> None:
    file = folder.parent / "pictures" / "red.png"
    assert file.is_file()
    for path in (str(file), f"..%2F..%2F{file.name}", "%2e%2e/%2e%2e/pictures/red.png"):
        answer = client.get(f"/pins/{path}/picture")
        assert answer.status_code == 404
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py"):
        assert client.get(path).status_code == 404


def test_a_pin_whose_file_is_gone_says_so_and_not_where_it_was(tmp_path: Path) -> None:
    index = catalogue(tmp_path, 6)
    (tmp_path / "pictures" / "red.png").unlink()
    with TestClient(create_app(service(index))) as client:
        assert "colours/red" in problem(client.get("/pins/colours%2Fred/picture"), Kind.NO_PICTURE)
        assert str(tmp_path) not in client.get("/pins/colours%2Fred/picture").text
        assert client.get("/pins/colours%2Fred").json()["attributes"]["title"] == "Plain red"


# -- pins ---------------------------------------------------------------------------------------------------------
def test_a_pin_is_added_found_changed_replaced_and_removed(writable: TestClient) -> None:
    added = writable.post(
        "/pins",
        params={"id": "new/one", "attributes": json.dumps({"title": "New", "price": 3})},
        content=halves("green", "white"),
        headers={"Content-Type": "image/png"},
    )
    assert added.status_code == 201
    assert added.json()["attributes"] == {"title": "New", "price": 3}
    found = writable.post(
        "/search", content=halves("green", "white"), params={"k": 1}, headers={"Content-Type": "image/png"}
    )
    assert ids(found) == ["new/one"]
    assert found.json()["hits"][0]["score"] == pytest.approx(1, abs=1e-3)

    changed = writable.patch("/pins/new%2Fone", json={"attributes": {"price": 4, "title": None, "tag": "x"}})
    assert changed.json()["attributes"] == {"price": 4, "tag": "x"}
    assert ids(writable.get("/search", params={"text": "green", "where": "tag = 'x'"})) == ["new/one"]

    name = writable.post("/uploads", content=halves("black", "red")).json()["upload"]
    replaced = writable.put("/pins/new%2Fone", json={"image": f"upload:{name}", "attributes": {"n": 1}})
    assert replaced.status_code == 200
    assert writable.get("/pins/new%2Fone").json()["attributes"] == {"n": 1}
    assert ids(writable.post("/search", json={"image": f"upload:{name}", "k": 1})) == ["new/one"]

    assert writable.delete("/pins/new%2Fone").status_code == 204
    problem(writable.get("/pins/new%2Fone"), Kind.NOT_FOUND)
    problem(writable.delete("/pins/new%2Fone"), Kind.NOT_FOUND)
    assert "new/one" not in ids(writable.post("/search", json={"image": f"upload:{name}", "k": 9}))


def test_adding_what_is_there_is_refused_and_its_content_names_it(writable: TestClient) -> None:
    send = {"content": png("white"), "headers": {"Content-Type": "image/png"}}
    problem(writable.post("/pins", params={"id": "colours/red"}, **send), Kind.EXISTS)
    first = writable.post("/pins", **send)
    assert first.status_code == 201
    assert first.json()["id"] == f"upload-{first.json()['hash'][:16]}"
    problem(writable.post("/pins", **send), Kind.EXISTS)


def test_a_pin_that_was_removed_can_be_put_again_and_replaces_what_a_manifest_gave(
    writable: TestClient,
) -> None:
    index = writable.app.state.service.index  # type: ignore[attr-defined]
    send = {"content": halves("red", "white"), "headers": {"Content-Type": "image/png"}}
    assert writable.put("/pins/colours%2Fred", **send).status_code == 200  # a manifest gave it
    assert writable.delete("/pins/colours%2Fblue").status_code == 204
    assert index.info()["excluded"] == 1
    assert writable.put("/pins/colours%2Fblue", **send).status_code == 201
    assert writable.delete("/pins/colours%2Fblue").status_code == 204
    assert index.info()["excluded"] == 0  # no source would bring an upload back


def test_kept_pictures_are_named_by_content_and_go_with_their_last_pin(writable: TestClient) -> None:
    folder = writable.app.state.service.index.folder / PICTURES  # type: ignore[attr-defined]
    send = {"content": halves("red", "white"), "headers": {"Content-Type": "image/png"}}
    for name in ("a", "b"):
        assert writable.put(f"/pins/{name}", **send).status_code == 201
    (kept,) = folder.iterdir()
    assert kept.name == f"{writable.get('/pins/a').json()['hash']}.png"
    writable.delete("/pins/a")
    assert list(folder.iterdir()) == [kept]
    assert writable.get("/pins/b/picture").status_code == 200
    writable.delete("/pins/b")
    assert list(folder.iterdir()) == []


def test_a_bad_picture_adds_nothing(writable: TestClient) -> None:
    before = writable.get("/info").json()["pins"]
    problem(writable.post("/pins", params={"id": "x"}, content=b"words"), Kind.BAD_PICTURE)
    problem(
        writable.post("/pins", params={"id": "x", "attributes": "[1]"}, content=png("red")), Kind.BAD_REQUEST
    )
    problem(writable.post("/pins", params={"id": "a\nb"}, content=png("red")), Kind.BAD_REQUEST)
    assert writable.get("/info").json()["pins"] == before
    assert not (writable.app.state.service.index.folder / PICTURES).exists()  # type: ignore[attr-defined]


def test_an_index_that_another_process_changes_is_searched_as_it_is_now(tmp_path: Path) -> None:
    folder = catalogue(tmp_path, 8)
    with TestClient(create_app(service(folder))) as client, vs.open(folder, FakeEncoder()) as other:
        assert ids(client.get("/search?text=red&k=1")) == ["colours/red"]
        other.remove(["colours/red"])
        assert "colours/red" not in ids(client.get("/search?text=red&k=8"))
        other.compact()
        assert len(ids(client.get("/search?text=red&k=8"))) == 7
        assert client.get("/info").json()["pins"] == 7


def test_pins_are_listed_in_pages_filtered_and_sorted(client: TestClient) -> None:
    first = client.get("/pins", params={"k": 25}).json()
    rest = client.get("/pins", params={"k": 200, "offset": 25}).json()
    listed = [pin["id"] for pin in first["pins"] + rest["pins"]]
    assert len(listed) == len(set(listed)) == PINS
    assert (first["more"], rest["more"], first["total"]) == (True, False, PINS)
    assert listed != sorted(listed)
    cheap = client.get("/pins", params={"where": "price < 4", "sort": "-price"}).json()
    assert [pin["attributes"]["price"] for pin in cheap["pins"]] == [3.5, 2.5, 1.5, 0.5]


def test_similar_pins_are_those_of_a_like_query(client: TestClient) -> None:
    assert ids(client.get("/pins/m%2F07/similar?k=4")) == ids(client.get("/search?like=m/07&k=4"))
    problem(client.get("/pins/nope/similar"), Kind.NOT_FOUND)


def test_attributes_are_summed_up_for_filters(client: TestClient) -> None:
    found = {one["name"]: one for one in client.get("/attributes").json()["attributes"]}
    assert set(found) == {"title", "category", "price"}
    assert (found["price"]["kind"], found["price"]["low"], found["price"]["high"]) == (
        "number",
        0.5,
        PINS - 1,
    )
    assert found["category"]["kind"] == "category"
    assert {one["value"]: one["count"] for one in found["category"]["values"]} == {
        "odd": 28,
        "even": 27,
        "plain": 5,
    }
    assert found["title"]["kind"] == "text"


# -- the server ---------------------------------------------------------------------------------------------------
def test_info_has_figures_and_no_places(client: TestClient, folder: Path) -> None:
    answer = client.get("/info")
    assert answer.json()["pins"] == answer.json()["rows"] == PINS
    assert answer.json()["recall"] == 1.0
    assert str(folder.parent) not in answer.text


def test_ready_comes_with_the_model(folder: Path) -> None:
    made = service(folder)
    client = TestClient(create_app(made))  # not started: nothing is warmed up
    answer = client.get("/readyz")
    assert "loaded" in problem(answer, Kind.STARTING)
    assert answer.headers["retry-after"] == "2"
    assert client.get("/healthz").json() == {"status": "ok"}
    made.warm()
    assert client.get("/readyz").json() == {"status": "ok"}
    made.close()


def test_metrics_count_requests_stages_and_the_index(client: TestClient) -> None:
    client.post("/search", params={"k": 1}, content=png("red"), headers={"Content-Type": "image/png"})
    client.get("/pins/nope")
    text = client.get("/metrics").text
    values = {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line[0] != "#"
    }
    assert values["visualsearch_index_pins"] == PINS
    assert values["visualsearch_index_recall"] == 1.0
    for stage in ("decode", "preprocess", "encode", "search"):
        assert values[f'visualsearch_stage_seconds_count{{stage="{stage}"}}'] >= 1
    assert values['visualsearch_request_seconds_count{method="POST",route="/search",status="200"}'] >= 1
    assert values['visualsearch_request_seconds_count{method="GET",route="/pins/{id}",status="404"}'] >= 1


def test_every_answer_has_the_security_headers(client: TestClient) -> None:
    for path in ("/", "/docs", "/static/main.js", "/search", "/nope", "/pins/colours%2Fred/picture"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith(
            "default-src 'self'; img-src 'self' data: blob:;"
        )
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_the_page_needs_nothing_from_elsewhere_and_is_light(client: TestClient) -> None:
    import gzip
    import re

    seen: dict[str, int] = {}
    queue = ["/"]
    while queue:
        path = queue.pop()
        if path in seen:
            continue
        answer = client.get(path)
        text = answer.text
        packed = answer.headers.get("content-encoding") == "gzip"
        assert packed or path == "/" or len(text.encode()) < 1000, path
        seen[path] = len(gzip.compress(text.encode(), 6) if packed else text.encode())
        assert "://" not in re.sub(r"https?://(www\.w3\.org|host/)\S*", "", text).replace(
            "https?:\\/\\/", ""
        ), path
        queue += re.findall(r'(?:src|href|from)[= ]"(/static/[^"]+)"', text)
        assert "innerHTML" not in text
    assert {"/static/main.js", "/static/app.css", "/static/stage.js", "/static/theme.js"} <= set(seen)
    assert sum(seen.values()) <= 75_000  # compressed, as it is sent


# -- bad input ----------------------------------------------------------------------------------------------------
def damaged() -> bytes:
    out = BytesIO()
    Image.effect_noise((300, 200), 90).save(out, "JPEG")
    return out.getvalue()[:900]


def bomb() -> bytes:
    """A PNG header that promises 900 million pixels."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


BAD_PICTURES = {
    "text": (b"This is a text, whatever its name says.", "not a picture"),
    "truncated": (damaged(), "truncated"),
    "bomb": (bomb(), "over the limit"),
    "empty": (b"", "empty"),
    "page": (b"<!doctype html><script>alert(1)</script>", ""),
}


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_a_bad_picture_is_one_clear_problem(client: TestClient, name: str) -> None:
    data, said = BAD_PICTURES[name]
    for answer in (
        client.post("/search", content=data, headers={"Content-Type": "image/jpeg"}),
        client.post("/uploads", content=data, headers={"Content-Type": "image/jpeg"}),
        client.post("/search", files={"image": ("photo.jpg", data, "image/jpeg")}),
    ):
        assert said in problem(answer, Kind.BAD_PICTURE)


BAD_QUERIES: dict[str, tuple[Any, Kind]] = {
    "nothing": ({}, Kind.BAD_REQUEST),
    "long text": ({"text": "x" * 10_000}, Kind.BAD_REQUEST),
    "unknown pin": ({"like": "nope"}, Kind.BAD_REQUEST),
    "unknown pin's picture": ({"image": "pin:nope"}, Kind.NOT_FOUND),
    "upload that is gone": ({"image": f"upload:{'0' * 64}"}, Kind.UPLOAD_GONE),
    "bad filter": ({"like": "m/07", "where": "price <"}, Kind.BAD_FILTER),
    "filter by what is not there": ({"like": "m/07", "where": "size < 3"}, Kind.BAD_FILTER),
    "file": ({"image": "file:///etc/passwd"}, Kind.BAD_REQUEST),
    "path": ({"image": "/etc/passwd"}, Kind.BAD_REQUEST),
    "loopback": ({"image": "http://127.0.0.1:1/x.jpg"}, Kind.BAD_PICTURE),
    "crop alone": ({"like": "m/07", "crop": [0, 0, 1, 1]}, Kind.BAD_REQUEST),
    "reversed crop": ({"image": "pin:m/07", "crop": [0.5, 0, 0.2, 1]}, Kind.BAD_REQUEST),
    "weight of nothing": ({"like": "m/07", "weights": {"color": 1}}, Kind.BAD_REQUEST),
    "endless weight": ({"like": "m/07", "weights": {"like": 1e9}}, Kind.BAD_REQUEST),
    "too many": ({"like": "m/07", "k": 100_000}, Kind.BAD_REQUEST),
    "none": ({"like": "m/07", "k": 0}, Kind.BAD_REQUEST),
    "too far": ({"like": "m/07", "offset": 10_000_000}, Kind.BAD_REQUEST),
    "another field": ({"like": "m/07", "limit": 3}, Kind.BAD_REQUEST),
    "parts without end": ({"like": ["m/07"] * 1000}, Kind.BAD_REQUEST),
    "list": ([1], Kind.BAD_REQUEST),
    "cancelled out": ({"text": ["red"], "not_text": ["red"], "weights": {"not_text": 1}}, Kind.BAD_REQUEST),
}


@pytest.mark.parametrize("name", BAD_QUERIES)
def test_a_bad_query_is_one_clear_problem(client: TestClient, name: str) -> None:
    query, kind = BAD_QUERIES[name]
    detail = problem(client.post("/search", json=query), kind)
    assert len(detail) < 1500


@pytest.mark.parametrize(
    "body", [b'{"text', b"\xff\xfe", b'{"text": "\\ud800"}', b"[" * 100_000, b"NaN", b""]
)
def test_malformed_json_is_one_clear_problem(client: TestClient, body: bytes) -> None:
    problem(
        client.post("/search", content=body, headers={"Content-Type": "application/json"}), Kind.BAD_REQUEST
    )


def test_a_broken_form_is_one_clear_problem(client: TestClient) -> None:
    for body, boundary in (
        (b"--x\r\nbroken", "; boundary=x"),
        (b"zzz", ""),
        (b"--x\r\n\r\n\r\n--x--", "; boundary=x"),
    ):
        answer = client.post(
            "/search", content=body, headers={"Content-Type": f"multipart/form-data{boundary}"}
        )
        problem(answer, Kind.BAD_REQUEST)


def test_other_bodies_methods_and_parameters_are_refused(client: TestClient) -> None:
    problem(client.post("/search", content=b"x=1", headers={"Content-Type": "text/plain"}), Kind.UNSUPPORTED)
    assert client.delete("/search").headers["allow"]
    problem(client.delete("/search"), Kind.NOT_ALLOWED)
    assert "limit" in problem(client.get("/search?like=m/07&limit=3"), Kind.BAD_REQUEST)
    problem(client.get("/search?like=m/07&k=many"), Kind.BAD_REQUEST)
    problem(client.get("/pins?k=0"), Kind.BAD_REQUEST)


def test_an_address_is_fetched_once_and_kept_for_the_next_query(folder: Path) -> None:
    made = service(folder)
    asked: list[str] = []

    def fetched(url: str, **_: Any) -> bytes:
        asked.append(url)
        if "gone" in url:
            raise PictureError(url, "the server there answered with status 404", "Check the address")
        return png("blue")

    made.fetch = fetched
    with TestClient(create_app(made)) as client:
        first = client.get("/search", params={"image": "https://example.org/a.png", "k": 1})
        assert ids(first) == ["colours/blue"]
        assert ids(client.post("/search", json={"image": f"upload:{first.json()['upload']}", "k": 1})) == [
            "colours/blue"
        ]
        assert asked == ["https://example.org/a.png"]
        assert "404" in problem(client.get("/search?image=https://example.org/gone.png"), Kind.BAD_PICTURE)


def test_uploads_never_touch_the_disk(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    def refused(*_: Any, **__: Any) -> Any:
        raise AssertionError("a file was made")

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    monkeypatch.setattr(tempfile, "_TemporaryFileWrapper", refused)
    out = BytesIO()
    Image.effect_noise((1500, 1500), 99).convert("RGB").save(out, "PNG")
    assert len(out.getvalue()) > 2_000_000  # beyond what a form parser would hold by default
    assert len(ids(client.post("/search", data={"k": "2"}, files={"image": ("x.png", out.getvalue())}))) == 2


def test_an_unforeseen_error_tells_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = service(folder)
    monkeypatch.setattr(made, "info", lambda: 1 / 0)
    with TestClient(create_app(made), raise_server_exceptions=False) as client:
        detail = problem(client.get("/info"), Kind.INTERNAL)
        assert "division" not in detail
        assert ids(client.get("/search?text=red&k=1")) == ["colours/red"]


def test_values_are_counted_under_a_filter(client: Any) -> None:
    every = client.get("/attributes/counts").json()["counts"]
    assert every == {
        "category": [
            {"value": "odd", "count": 28},
            {"value": "even", "count": 27},
            {"value": "plain", "count": 5},
        ]
    }
    few = client.get(
        "/attributes/counts", params={"where": "price < 2", "name": ["category", "title", "nope"]}
    )
    assert few.json()["counts"] == {"category": [{"value": "plain", "count": 2}]}
    assert client.get("/attributes/counts", params={"where": "category ="}).status_code == 422
    assert client.get("/attributes/counts", params={"where": "uri = 'x'"}).status_code == 422


def test_values_are_counted_again_only_once_a_pin_has_changed(
    writable: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    filters: list[object] = []
    plain = Reader.value_counts

    def counting(self: Reader, names: Any, most_pins: int, chosen: Any = None, most: int = -1) -> Any:
        filters.extend([] if chosen is None else [chosen])
        return plain(self, names, most_pins, chosen, most)

    monkeypatch.setattr(Reader, "value_counts", counting)
    where = {"where": "price < 2", "name": "category"}
    first = writable.get("/attributes/counts", params=where).json()
    assert first["counts"] == {"category": [{"value": "plain", "count": 2}]}
    assert writable.get("/attributes/counts", params=where).json() == first
    assert len(filters) == 1
    assert writable.patch("/pins/colours%2Fred", json={"attributes": {"price": 5}}).status_code == 200
    changed = writable.get("/attributes/counts", params=where).json()
    assert changed["counts"] == {"category": [{"value": "plain", "count": 1}]}
    assert len(filters) == 2
