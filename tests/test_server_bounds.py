"""What a stranger sends is measured before it is looked at, and an answer never repeats much of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

from pydantic import ValidationError
from starlette.requests import Request
from starlette.testclient import TestClient

from visualsearch.server import reading
from visualsearch.server.app import create_app
from visualsearch.server.bounds import DEEPEST, MOST_VALUES, parsed
from visualsearch.server.problems import LONGEST, Kind, RefusedError
from visualsearch.server.schemas import MOST_PARTS, SearchRequest

from .serving import catalogue, png, service
from .test_server_api import problem


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder: Path = catalogue(tmp_path_factory.mktemp("bounds"), 8)
    with TestClient(create_app(service(folder)), raise_server_exceptions=False) as made:
        yield made


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


LARGE: dict[str, tuple[Any, Kind, str]] = {
    "lists in a list": ({"text": [[]] * 80_000}, Kind.BAD_REQUEST, f"over {MOST_VALUES:,} values"),
    "nine megabytes": ({"text": [[]] * 3_000_000}, Kind.TOO_LARGE, "at most 256,000 bytes"),
    "one long text": ({"text": "x" * 300_000}, Kind.TOO_LARGE, "at most 256,000 bytes"),
    "unknown names": ({f"n{i}": 1 for i in range(4_000)}, Kind.BAD_REQUEST, "no such field"),
    "more unknown names": ({f"n{i}": 1 for i in range(12_000)}, Kind.BAD_REQUEST, "over 10,000 values"),
    "a long unknown name": ({"n" * 190: 1}, Kind.BAD_REQUEST, "nnn...: there is no such field. Known: also, crop"),
    "a very long name": ({"n" * 200_000: 1}, Kind.BAD_REQUEST, "a name in the body has over 200"),
    "many weights": ({"like": "m/07", "weights": {f"w{i}": 1 for i in range(4_000)}}, Kind.BAD_REQUEST, "weights"),
    "a weight's long name": ({"like": "m/07", "weights": {"w" * 150: 1}}, Kind.BAD_REQUEST, "weights"),
    "many words": ({"text": ["red"] * 5_000}, Kind.BAD_REQUEST, "text: List should have at most 64"),
    "many bad words": ({"text": [1] * 60}, Kind.BAD_REQUEST, "text.0: Input should be a valid string"),
    "a long id": ({"like": ["x" * 100_000]}, Kind.BAD_REQUEST, "like.0: String should have at most"),
    "a long crop": ({"like": "m/07", "crop": [0.5] * 9_000}, Kind.BAD_REQUEST, "crop: List should have at most"),
    "depth": ({"text": deep(900)}, Kind.BAD_REQUEST, f"nests deeper than {DEEPEST} levels"),
    "a large number": ({"like": "m/07", "k": 10**30}, Kind.BAD_REQUEST, "k: Input should be"),
    "a long where": ({"like": "m/07", "where": "x" * 100_000}, Kind.BAD_REQUEST, "where: String should have"),
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_what_is_too_much_is_refused_in_a_few_words(client: TestClient, name: str) -> None:
    sent, kind, said = LARGE[name]
    answer = client.post("/search", json=sent)
    assert said in problem(answer, kind)
    assert len(answer.content) < 2 * LONGEST


@pytest.mark.parametrize("path", ["/search", "/look", "/pins", "/session"])
def test_every_json_body_is_bounded(client: TestClient, path: str) -> None:
    body = json.dumps({"image": "x", "k": [[]] * 50_000})
    assert "over 10,000 values" in problem(
        client.post(path, content=body, headers={"Content-Type": "application/json"}), Kind.BAD_REQUEST
    )
    body = json.dumps({"image": "x" * 300_000})
    problem(client.post(path, content=body, headers={"Content-Type": "application/json"}), Kind.TOO_LARGE)


@pytest.mark.parametrize("text", [b'{"k": 1e999}', b'{"k": -Infinity}', b'{"k": NaN}', b"1" * 5_000])
def test_a_number_that_is_none_is_no_json(client: TestClient, text: bytes) -> None:
    answer = client.post("/search", content=text, headers={"Content-Type": "application/json"})
    assert "not JSON" in problem(answer, Kind.BAD_REQUEST)


def test_attributes_are_bounded_wherever_they_come_from(client: TestClient) -> None:
    for attributes in (deep(40), {f"n{i}": 1 for i in range(2_000)}, {"x": deep(40)}, {"x": float("nan")}):
        send = {
            "content": json.dumps({"attributes": attributes}),
            "headers": {"Content-Type": "application/json"},
        }
        problem(client.patch("/pins/m%2F07", **send), Kind.BAD_REQUEST)  # type: ignore[arg-type]
    for text in (json.dumps({"x": deep(40)}), '{"x": NaN}', "{", "[" * 15_000, '{"x": "\\ud800"}'):
        answer = client.post("/pins", params={"attributes": text}, content=png("red"))
        assert problem(answer, Kind.BAD_REQUEST).startswith("attributes: ")
    assert client.patch("/pins/m%2F07", json={"attributes": {"x": deep(20)}}).status_code == 200


def test_a_large_query_that_is_right_is_answered(client: TestClient) -> None:
    words = ["red"] * MOST_PARTS
    assert client.post("/search", json={"text": words, "k": 1}).status_code == 200
    where = " or ".join(["price < 5"] * 400)
    assert client.post("/search", json={"text": ["red"] * 5, "where": where}).status_code == 200


def test_a_body_is_read_no_further_than_it_may_be_long() -> None:
    """A sender without a Content-Length is not read to the end."""
    sent = 0

    async def chunks() -> AsyncIterator[dict[str, Any]]:
        nonlocal sent
        while True:
            sent += 100_000
            yield {"type": "http.request", "body": b" " * 100_000, "more_body": True}

    class App:
        class state:
            settings = service_settings()

    async def ask() -> None:
        stream = chunks()
        headers = [(b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "headers": headers, "app": App}
        await reading.read_json(Request(scope, stream.__anext__), SearchRequest)  # type: ignore[arg-type]

    with pytest.raises(RefusedError) as caught:
        asyncio.run(ask())
    assert caught.value.kind is Kind.TOO_LARGE
    assert sent == 300_000


def service_settings() -> Any:
    from visualsearch.server.settings import Settings

    return Settings()


def test_names_are_checked_before_values(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("validated")

    monkeypatch.setattr(SearchRequest, "model_validate", never)
    with pytest.raises(RefusedError, match="strange: there is no such field"):
        reading.checked(SearchRequest, {"strange": 1, "text": [1] * 9})


def test_the_first_bad_member_of_a_list_is_the_last_that_is_looked_at() -> None:
    with pytest.raises(ValidationError) as caught:
        SearchRequest.model_validate({"text": [1] * 60})
    assert caught.value.error_count() == 1
    with pytest.raises(ValidationError) as caught:
        SearchRequest.model_validate({"text": [1] * 1_000_000})
    assert caught.value.error_count() == 1


def test_values_are_counted_at_every_level() -> None:
    assert parsed(json.dumps([[1] * 99] * 99).encode())[98][98] == 1
    for values in ([[1] * 100] * 100, {"a": {str(i): i for i in range(5_100)}}):
        with pytest.raises(RefusedError, match="over 10,000 values"):
            parsed(json.dumps(values).encode())
