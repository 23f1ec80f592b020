"""Insight over HTTP: for keys with its scope only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

from starlette.testclient import TestClient

import visualsearch as vs
from visualsearch.server.app import create_app, open_service
from visualsearch.server.keys import FILE, Scope, new_key
from visualsearch.server.settings import Settings

from ..fakes import FakeEncoder
from .conftest import SHOP


@pytest.fixture
def client(untold: vs.Index) -> Iterator[tuple[Any, dict[str, str]]]:
    folder: Path = untold.folder
    keys = {scope.value: new_key(folder / FILE, scope) for scope in (Scope.READ, Scope.INSIGHT, Scope.WRITE)}
    service = open_service(folder, Settings(keys_needed=True), FakeEncoder())
    with TestClient(create_app(service), base_url="http://127.0.0.1") as made:
        yield made, keys


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_only_a_key_for_insight_sees_it(client: tuple[Any, dict[str, str]]) -> None:
    asked, keys = client
    address = "/insight/timing?until=2026-06-28"
    assert asked.get(address).status_code == 401
    for scope in ("read", "write"):
        assert asked.get(address, headers=bearer(keys[scope])).status_code == 403
    assert asked.get("/info", headers=bearer(keys["insight"])).status_code == 200
    done = asked.get(address, headers=bearer(keys["insight"]))
    assert done.status_code == 200
    assert done.headers["cache-control"] == "no-store"
    assert done.json()["people"] == 398


def test_reports_come_as_json_and_as_pages(client: tuple[Any, dict[str, str]]) -> None:
    asked, keys = client
    head = bearer(keys["insight"])
    shop = asked.get(f"/insight/merchant/{SHOP}?until=2026-06-28&weeks=8", headers=head).json()
    assert shop["pins"] == 60
    page = asked.get(f"/insight/merchant/{SHOP}?until=2026-06-28&format=html", headers=head)
    assert page.headers["content-type"].startswith("text/html")
    assert "Funnel" in page.text
    trends = asked.get("/insight/trends?until=2026-06-28&days=5", headers=head).json()
    assert len(trends["days"]) == 5
    assert asked.get("/insight/merchant/nowhere.example", headers=head).status_code == 422
    assert asked.get("/insight/trends?until=soon", headers=head).status_code == 422


def test_a_browser_with_a_key_for_insight_reads_pages_and_no_other_site_sends_it(
    client: tuple[Any, dict[str, str]],
) -> None:
    asked, keys = client
    assert asked.post("/session", json={"key": keys["insight"]}).status_code in (200, 201, 204)
    address = "/insight/timing?until=2026-06-28&format=html"
    assert asked.get(address, headers={"sec-fetch-site": "same-origin"}).status_code == 200
    assert asked.get(address, headers={"sec-fetch-site": "cross-site"}).status_code == 403
