"""Who may do what: keys, scopes, hosts, origins; and where a server may be bound."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

from starlette.testclient import TestClient

from visualsearch.errors import UsageError
from visualsearch.server.access import COOKIE
from visualsearch.server.app import create_app
from visualsearch.server.keys import FILE, Expired, Keys, Scope, digest_of, new_key
from visualsearch.server.problems import Kind
from visualsearch.server.run import address_of, check_proxies, is_local, settled
from visualsearch.server.sessions import Sessions
from visualsearch.server.settings import EXTENSION, Settings

from .serving import catalogue, png, service
from .test_server_api import problem


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return catalogue(tmp_path_factory.mktemp("keys"), 8)


@pytest.fixture(scope="module")
def tokens(folder: Path) -> dict[str, str]:
    return {
        "read": new_key(folder / FILE, Scope.READ),
        "write": new_key(folder / FILE, Scope.WRITE, days=1),
        "old": new_key(folder / FILE, Scope.WRITE, days=0),
    }


@pytest.fixture
def client(folder: Path, tokens: dict[str, str]) -> Iterator[TestClient]:
    with TestClient(create_app(service(folder, keys_needed=True))) as made:
        yield made


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_keys_are_kept_as_hashes_in_a_file_of_the_owner(folder: Path, tokens: dict[str, str]) -> None:
    text = (folder / FILE).read_text()
    entries = json.loads(text)
    assert [entry["hash"] for entry in entries] == [sha256(t.encode()).hexdigest() for t in tokens.values()]
    assert not any(token in text for token in tokens.values())
    assert stat.S_IMODE((folder / FILE).stat().st_mode) == 0o600
    assert len(set(tokens.values())) == 3
    assert all(len(token) >= 43 for token in tokens.values())


def test_reading_needs_a_key_and_writing_one_that_may_write(
    client: TestClient, tokens: dict[str, str]
) -> None:
    reads = (
        "/search?like=m/07",
        "/pins",
        "/pins/m%2F07",
        "/pins/m%2F07/picture",
        "/info",
        "/attributes",
        "/metrics",
    )
    for path in reads:
        answer = client.get(path)
        problem(answer, Kind.KEY_NEEDED)
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert client.get(path, headers=bearer(tokens["read"])).status_code == 200
        assert client.get(path, headers={"X-API-Key": tokens["write"]}).status_code == 200
    send: dict[str, Any] = {"content": png("red"), "params": {"id": "made"}}
    problem(client.post("/pins", **send), Kind.KEY_NEEDED)
    problem(client.post("/pins", **send, headers=bearer(tokens["read"])), Kind.FORBIDDEN)
    assert client.post("/pins", **send, headers=bearer(tokens["write"])).status_code == 201
    problem(client.delete("/pins/made", headers=bearer(tokens["read"])), Kind.FORBIDDEN)
    assert client.delete("/pins/made", headers=bearer(tokens["write"])).status_code == 204


def test_wrong_and_expired_keys_are_told_apart(client: TestClient, tokens: dict[str, str]) -> None:
    problem(client.get("/info", headers=bearer("vs_wrong")), Kind.KEY_NEEDED)
    problem(client.get("/info", headers=bearer(tokens["old"])), Kind.KEY_EXPIRED)
    problem(client.get("/info", headers={"X-API-Key": "é".encode("latin-1")}), Kind.KEY_NEEDED)


def test_health_and_the_page_need_no_key(client: TestClient) -> None:
    assert client.app.state.service.ready.wait(20)  # type: ignore[attr-defined]
    for path in ("/healthz", "/readyz", "/", "/docs", "/openapi.json", "/static/main.js"):
        assert client.get(path).status_code == 200
    assert client.get("/session").json() == {"needed": True, "scope": None, "owner": None}


def test_the_cookie_holds_no_key_and_ends_with_its_key_or_its_session(folder: Path) -> None:
    token = new_key(folder / FILE, Scope.WRITE)
    app = create_app(service(folder, keys_needed=True))
    with TestClient(app) as client:
        client.cookies.set("visualsearch_key", token)
        problem(client.get("/info"), Kind.KEY_NEEDED)  # the cookie of earlier releases opens nothing
        answer = client.post("/session", json={"key": token})
        sent = [value for name, value in answer.headers.multi_items() if name == "set-cookie"]
        assert not any(token in value for value in sent)
        assert any(value.startswith('visualsearch_key=""') for value in sent)  # and is taken away
        kept = client.cookies[COOKIE]
        assert client.get("/info").status_code == 200
        assert "secure" not in sent[0].lower()
        client.delete("/session")
        client.cookies.set(COOKIE, kept)
        problem(client.get("/info"), Kind.KEY_NEEDED)  # copied before, and worth nothing now

        client.cookies.clear()
        client.post("/session", json={"key": token})
        entries = json.loads((folder / FILE).read_text())
        (folder / FILE).write_text(json.dumps([e for e in entries if e["hash"] != digest_of(token)]))
        problem(client.get("/info"), Kind.KEY_NEEDED)
    with TestClient(app, base_url="https://testserver") as client:
        token = new_key(folder / FILE, Scope.READ)
        assert "secure" in client.post("/session", json={"key": token}).headers["set-cookie"].lower()


def test_sessions_end_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("visualsearch.server.sessions.MOST", 3)
    sessions = Sessions(60, clock=lambda: now[0])
    first = sessions.begin("a" * 64)
    others = [sessions.begin("b" * 64) for _ in range(2)]
    assert sessions.key_of(first) == "a" * 64
    sessions.begin("c" * 64)
    assert [sessions.key_of(one) for one in (first, *others)] == ["a" * 64, None, "b" * 64]
    now[0] = 60
    assert sessions.key_of(first) is None


def test_a_cookie_may_read_and_never_write(client: TestClient, tokens: dict[str, str]) -> None:
    problem(client.post("/session", json={"key": "nonsense"}), Kind.KEY_NEEDED)
    answer = client.post("/session", json={"key": tokens["write"]})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/info").status_code == 200
    assert client.get("/session").json()["scope"] == "read"
    problem(client.post("/pins", content=png("red")), Kind.FORBIDDEN)
    client.delete("/session")
    problem(client.get("/info"), Kind.KEY_NEEDED)


def test_public_servers_read_without_a_key_and_write_with_one(folder: Path, tokens: dict[str, str]) -> None:
    with TestClient(create_app(service(folder, keys_needed=True, public=True))) as client:
        assert client.get("/info").status_code == 200
        assert client.get("/session").json()["needed"] is False
        problem(client.delete("/pins/m%2F07"), Kind.KEY_NEEDED)
        problem(client.get("/metrics"), Kind.KEY_NEEDED)
        assert client.get("/metrics", headers=bearer(tokens["read"])).status_code == 200


def test_a_new_key_counts_at_once(folder: Path, client: TestClient) -> None:
    assert client.get("/info", headers=bearer(new_key(folder / FILE, Scope.READ))).status_code == 200


def test_a_first_key_closes_a_server_that_runs_without_one(tmp_path: Path) -> None:
    folder = catalogue(tmp_path, 6)
    made = service(folder)
    made.settings = settled(folder, "127.0.0.1", made.settings)
    with TestClient(create_app(made)) as client:
        assert client.get("/info").status_code == 200
        assert client.get("/session").json() == {"needed": False, "scope": None, "owner": "open"}
        token = new_key(folder / FILE, Scope.READ)
        problem(client.get("/info"), Kind.KEY_NEEDED)
        problem(client.post("/pins", content=png("red")), Kind.KEY_NEEDED)
        problem(client.post("/pins", content=png("red"), headers=bearer(token)), Kind.FORBIDDEN)
        assert client.get("/info", headers=bearer(token)).status_code == 200
        (folder / FILE).unlink()
        problem(client.get("/info"), Kind.KEY_NEEDED)  # what is closed stays closed


def test_keys_come_from_the_environment_too(tmp_path: Path) -> None:
    keys = Keys(tmp_path / FILE, {"VISUALSEARCH_KEYS": f"write:{sha256(b'k').hexdigest()}"})
    assert len(keys) == 1
    assert keys.scope_of("k") == ("environment-1", Scope.WRITE)
    assert keys.scope_of("other") is None
    for bad in ("read", "read:abc", f"admin:{'0' * 64}"):
        with pytest.raises(UsageError, match="entry 1 of VISUALSEARCH_KEYS"):
            Keys(tmp_path / FILE, {"VISUALSEARCH_KEYS": bad})


def test_a_key_ends_when_it_says(tmp_path: Path) -> None:
    token = new_key(tmp_path / FILE, Scope.READ, days=2)
    keys = Keys(tmp_path / FILE, {})
    assert keys.scope_of(token, now=time.time() + 86_400) is not None
    with pytest.raises(Expired):
        keys.scope_of(token, now=time.time() + 3 * 86_400)


HASH = "0" * 64
DAMAGED = {
    "no JSON": "[{]",
    "an object": '{"a": 1}',
    "texts": '["a"]',
    "nothing": "",
    "null": "null",
    "deep": "[" * 100_000,
    "binary": "\udcff",
    "a number for a hash": '[{"name": "a", "hash": 5, "scope": "read"}]',
    "no hash": '[{"name": "a", "scope": "read"}]',
    "a short hash": '[{"name": "a", "hash": "abc", "scope": "read"}]',
    "an unknown scope": f'[{{"name": "a", "hash": "{HASH}", "scope": "admin"}}]',
    "an end that is a text": f'[{{"name": "a", "hash": "{HASH}", "scope": "read", "expires": "soon"}}]',
    "more than a key has": f'[{{"name": "a", "hash": "{HASH}", "scope": "read", "x": 1}}]',
    "two of one name": "[" + ", ".join([f'{{"name": "a", "hash": "{HASH}", "scope": "read"}}'] * 2) + "]",
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_key_file_opens_nothing_and_is_left_as_it_is(tmp_path: Path, kind: str) -> None:
    path = tmp_path / FILE
    path.write_bytes(DAMAGED[kind].encode("utf-8", "surrogateescape"))
    before = path.read_bytes()
    for use in (
        lambda: Keys(path, {}).scope_of("x"),
        lambda: new_key(path, Scope.READ),
        lambda: settled(tmp_path, "127.0.0.1", Settings()),
    ):
        with pytest.raises(UsageError, match="not a list of keys"):
            use()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_file_that_is_damaged_while_serving_lets_nobody_in(tmp_path: Path) -> None:
    folder = catalogue(tmp_path, 6)
    token = new_key(folder / FILE, Scope.READ)
    with TestClient(create_app(service(folder, keys_needed=True))) as client:
        assert client.get("/info", headers=bearer(token)).status_code == 200
        (folder / FILE).write_text("[{]")
        answer = client.get("/info", headers=bearer(token))
        assert "keys cannot be read" in problem(answer, Kind.STARTING)


def test_off_the_loopback_keys_are_a_must(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--new-key"):
        settled(tmp_path, "0.0.0.0", Settings())
    local = settled(tmp_path, "127.0.0.1", Settings())
    assert (local.keys_needed, set(local.hosts)) == (False, {"localhost", "127.0.0.1", "::1"})
    assert "127.0.0.2" in settled(tmp_path, "127.0.0.2", Settings()).hosts
    assert "127.1" in settled(tmp_path, "127.1", Settings()).hosts
    new_key(tmp_path / FILE, Scope.READ)
    assert settled(tmp_path, "0.0.0.0", Settings()).keys_needed is True
    assert settled(tmp_path, "127.0.0.1", Settings()).keys_needed is True


HOSTS = {
    "127.0.0.1": True,
    "127.3.2.1": True,
    "::1": True,
    "localhost": True,
    "LOCALHOST": True,
    "[::1]": True,
    "::ffff:127.0.0.1": True,
    "127.1": True,
    "0x7f000001": True,
    "::ffff:10.0.0.1": False,
    "localhost.evil.example": False,
    "127.0.0.1.evil.example": False,
    "": False,
    "0": False,
    "0.0.0.0": False,
    "::": False,
    "192.168.0.4": False,
    "example.org": False,
}


@pytest.mark.parametrize(("host", "local"), HOSTS.items())
def test_only_the_loopback_is_local(host: str, local: bool) -> None:
    assert is_local(host) is local


SHOWN = {
    "127.0.0.1": "http://127.0.0.1:8000/",
    "127.0.0.2": "http://127.0.0.2:8000/",
    "::1": "http://[::1]:8000/",
    "[::1]": "http://[::1]:8000/",
    "0.0.0.0": "http://127.0.0.1:8000/",
    "::": "http://[::1]:8000/",
    "pins.example": "http://pins.example:8000/",
}


@pytest.mark.parametrize(("host", "address"), SHOWN.items())
def test_the_address_that_is_told_can_be_opened(host: str, address: str) -> None:
    assert address_of(host, 8000) == address


def test_a_proxy_is_named_by_address(tmp_path: Path) -> None:
    check_proxies(("10.0.0.2", "10.0.0.0/24", "::1"))
    for bad in ("proxy.example", "*", "10.0.0.1/24"):
        with pytest.raises(UsageError, match="no IP address or network"):
            check_proxies((bad,))


def test_a_host_that_is_none_is_refused_where_any_name_is_served(folder: Path) -> None:
    with TestClient(create_app(service(folder, hosts=()))) as client:
        for host in ("[", "http://[", "[::1", "a]b"):
            problem(client.post("/session", json={"key": "x"}, headers={"Host": host}), Kind.FORBIDDEN)
        assert client.get("/info", headers={"Host": "any.example"}).status_code == 200


def test_a_foreign_host_name_is_refused(folder: Path) -> None:
    with TestClient(create_app(service(folder))) as client:
        for host in ("evil.example", "127.0.0.1.evil.example", "", "["):
            problem(client.get("/info", headers={"Host": host}), Kind.FORBIDDEN)
        for host in ("localhost:8000", "[::1]:8000", "127.0.0.1"):
            assert client.get("/info", headers={"Host": host}).status_code == 200


FOREIGN = (
    "https://evil.example",
    "null",
    "http://testserver.evil.example",
    "http://[",
    "http://[::1",
    "",
    "testserver",
    "//",
    "chrome-extension://abcdefgh",
    f"chrome-extension://{EXTENSION}.evil.example",
)


def test_a_page_of_another_site_changes_nothing(folder: Path) -> None:
    with TestClient(create_app(service(folder))) as client:
        for origin in FOREIGN:
            answer = client.delete("/pins/m%2F07", headers={"Origin": origin})
            problem(answer, Kind.FORBIDDEN)
        assert client.get("/pins/m%2F07").status_code == 200
        for origin in ("http://testserver", f"chrome-extension://{EXTENSION}"):
            answer = client.post("/search", json={"like": "m/07"}, headers={"Origin": origin})
            assert answer.status_code == 200
            assert "access-control-allow-origin" not in answer.headers


def test_an_extension_of_firefox_may_search_once_its_uuid_is_allowed(folder: Path) -> None:
    uuid = "0b6c1f2e-5a77-4c39-8f3b-2d1d0a9b7c11"
    for allowed, status in (((), 403), ((uuid,), 200)):
        with TestClient(create_app(service(folder, extensions=(EXTENSION, *allowed)))) as client:
            headers = {"Origin": f"moz-extension://{uuid}"}
            assert client.post("/search", json={"like": "m/07"}, headers=headers).status_code == status


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        replace(Settings(), queue=3).queue = 4  # type: ignore[misc]
