"""Insight over HTTP: for keys with its scope only."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

from starlette.testclient import TestClient

import visualsearch as vs
from visualsearch.errors import UsageError
from visualsearch.insight import claim, verify
from visualsearch.server.app import create_app, open_service
from visualsearch.server.keys import FILE, Scope, new_key, read_keys
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


# -- keys of merchants -----------------------------------------------------------------------------------------------
OTHER = "other.example"


@pytest.fixture
def merchants(client: tuple[Any, dict[str, str]], untold: vs.Index) -> tuple[Any, dict[str, dict[str, str]]]:
    """Keys of the owner and of two merchants who proved a domain each."""
    asked, keys = client
    heads = {"owner": bearer(keys["insight"])}
    for name, domain in (("acme", SHOP), ("bolt", OTHER)):
        claim(untold.people, name, domain, "dns")
        verify(untold.people, name, domain, texts=lambda each: [each.proof])
        heads[name] = bearer(new_key(untold.folder / FILE, Scope.INSIGHT, merchant=name))
    return asked, heads


def test_a_merchant_sees_its_own_report_and_timing_only(
    merchants: tuple[Any, dict[str, dict[str, str]]],
) -> None:
    asked, heads = merchants
    ways = ("/insight/merchant/{}?until=2026-06-28", "/insight/timing?until=2026-06-28&domain={}")
    for address in ways:
        seen = {
            (who, domain): asked.get(address.format(domain), headers=heads[who]).status_code
            for who in heads
            for domain in (SHOP, OTHER, f"www.{SHOP}")
        }
        assert {pair for pair, code in seen.items() if code == 200} == {
            *(("owner", domain) for domain in (SHOP, OTHER, f"www.{SHOP}")),
            *(("acme", SHOP), ("acme", f"www.{SHOP}"), ("bolt", OTHER)),
        }
        assert set(seen.values()) == {200, 403}
    for address in ("/insight/timing?until=2026-06-28", "/insight/trends?until=2026-06-28&days=5"):
        assert asked.get(address, headers=heads["owner"]).status_code == 200
        assert asked.get(address, headers=heads["acme"]).status_code == 403
    below = asked.get(f"/insight/merchant/a.{SHOP}", headers=heads["acme"])
    assert (below.status_code, "it sees shop.example" in below.text) == (403, True)


def test_a_merchant_cannot_lower_the_least_people_behind_a_figure(
    merchants: tuple[Any, dict[str, dict[str, str]]],
) -> None:
    asked, heads = merchants
    address = f"/insight/merchant/{SHOP}?until=2026-06-28&fewest=5"
    assert asked.get(address, headers=heads["owner"]).json()["fewest"] == 5
    assert asked.get(address, headers=heads["acme"]).json()["fewest"] == 10


def test_who_gives_a_domain_up_sees_nothing_of_it_any_more(
    merchants: tuple[Any, dict[str, dict[str, str]]], untold: vs.Index
) -> None:
    asked, heads = merchants
    untold.people.drop_domain("acme", SHOP)
    claim(untold.people, "bolt", SHOP, "dns")
    address = f"/insight/merchant/{SHOP}?until=2026-06-28"
    assert {who: asked.get(address, headers=heads[who]).status_code for who in ("acme", "bolt")} == {
        "acme": 403,
        "bolt": 403,  # claimed, and not proved
    }
    verify(untold.people, "bolt", SHOP, texts=lambda each: [each.proof])
    assert asked.get(address, headers=heads["bolt"]).status_code == 200
    assert "has proved no domain" in asked.get(address, headers=heads["acme"]).text


def test_a_browser_with_a_merchants_key_sees_no_more_than_the_key(
    merchants: tuple[Any, dict[str, dict[str, str]]],
) -> None:
    asked, heads = merchants
    assert asked.post("/session", json={"key": heads["bolt"]["Authorization"][7:]}).status_code == 200
    codes = [asked.get(f"/insight/merchant/{name}?until=2026-06-28").status_code for name in (SHOP, OTHER)]
    assert codes == [403, 200]


def test_a_merchants_key_is_made_once_a_domain_is_proved(untold: vs.Index, run: Callable[..., Any]) -> None:
    making = ("serve", untold.folder, "--new-key", "insight", "--merchant", "acme")
    refused = run(*making)
    assert (refused.code, "proved no domain" in refused.err) == (2, True)
    claim(untold.people, "acme", SHOP, "dns")
    verify(untold.people, "acme", SHOP, texts=lambda each: [each.proof])
    assert run(*making).code == 0
    assert [key.merchant for key in read_keys(untold.folder / FILE)] == ["acme"]
    assert run("serve", untold.folder, "--new-key", "read", "--merchant", "acme").code == 2
    run("serve", untold.folder, "--new-key", "read")
    assert "merchant" not in json.loads((untold.folder / FILE).read_text())[1]
    (untold.folder / FILE).write_text((untold.folder / FILE).read_text().replace('"insight"', '"read"'))
    with pytest.raises(UsageError, match="for a merchant"):
        read_keys(untold.folder / FILE)
