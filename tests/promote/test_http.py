"""Promotion over HTTP: campaigns with the write key, labelled results, conversions, hidden advertisers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

from visualsearch.promote import SURFACES, Rules
from visualsearch.server.keys import FILE, Scope, new_key

from ..people.web import Asker, person, serving
from ..serving import catalogue


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return catalogue(tmp_path_factory.mktemp("promoted"), 30)


@pytest.fixture(scope="module")
def app(folder: Path) -> Iterator[Any]:
    with serving(folder, promote=True, keys_needed=True) as made:
        # Mosaics look like nothing: no floor keeps them off the page.
        loose = {name: replace(each, floor=-1.0, near=-1.0) for name, each in SURFACES.items()}
        made.state.service.promotions.rules = Rules(loose)
        yield made


@pytest.fixture(scope="module")
def owner(app: Any, folder: Path) -> Asker:
    return Asker(app, {"Authorization": f"Bearer {new_key(folder / FILE, Scope.WRITE)}"})


CAMPAIGN = {
    "id": "mosaics", "advertiser": "Ada", "pins": [f"m/{n:02d}" for n in range(5, 30)],
    "bid": "0.50", "budget": "20", "currency": "EUR", "cap": 20,
}  # fmt: skip


def test_owners_make_list_stop_and_read_campaigns(app: Any, folder: Path, owner: Asker) -> None:
    assert Asker(app).get("/campaigns").status_code == 401
    reader = Asker(app, {"Authorization": f"Bearer {new_key(folder / FILE, Scope.READ)}"})
    assert reader.post("/campaigns", CAMPAIGN).status_code == 403
    made = owner.post("/campaigns", CAMPAIGN)
    assert (made.status_code, made.json()["bid"], made.json()["budget"]) == (201, 50, 2000)
    assert owner.post("/campaigns", {**CAMPAIGN, "budget": "40"}).status_code == 200
    assert [c["budget"] for c in owner.get("/campaigns").json()["campaigns"]] == [4000]
    for changes in ({"pins": []}, {"bid": "0"}, {"bid": "1e12"}, {"budget": "4 USD"}):
        assert owner.post("/campaigns", {**CAMPAIGN, **changes}).status_code == 422, changes

    asked = person(app, "ada")
    found = asked.get("/search", params={"like": "m/07", "k": 8}).json()["hits"]
    paid = [hit for hit in found if "promoted" in hit]
    assert (len(found), len(paid)) == (9, 1)
    assert paid[0]["promoted"] == "mosaics"
    assert paid[0]["why"]["sentence"].startswith("Promoted by Ada (campaign mosaics)")
    assert not any("why" in hit or "placement" in hit for hit in found if hit not in paid)
    related = asked.get("/pins/m%2F07/related", params={"k": 8}).json()["hits"]
    assert [hit["promoted"] for hit in related if "promoted" in hit] == ["mosaics"]

    event = {
        "kind": "click",
        "pin": paid[0]["id"],
        "variant": f"promoted:{paid[0]['placement']}",
        "event_id": "1",
    }
    assert asked.post("/events", {"events": [event]}).json()["accepted"] == 1
    sold = {"placement": paid[0]["placement"], "event": "order-1", "value": 19.9, "currency": "EUR"}
    assert [owner.post("/conversions", sold).json() for _ in range(2)] == [
        {"counted": True},
        {"counted": False},
    ]
    assert owner.post("/conversions", {**sold, "placement": "none"}).status_code == 404
    pixel = Asker(app).get("/pixel.gif", params={**sold, "event": "order-2"})
    assert (pixel.status_code, pixel.content[:6]) == (200, b"GIF89a")
    told = owner.get("/campaigns/report").json()
    assert told["sound"] is True
    held = told["campaigns"][0]
    assert (held["acted"], held["spent"], held["shown"]) == (1, 1, 2)
    assert held["conversions"] == [{"currency": "EUR", "count": 2, "value": 39.8}]
    bought = [row for row in app.state.people.open().events_of("ada") if row["kind"] == "purchase"]
    assert [(row["value"], row["currency"]) for row in bought] == [(19.9, "EUR"), (19.9, "EUR")]

    hidden = asked.ask("PUT", "/me/hidden-advertisers/Ada")
    assert hidden.json() == {"advertisers": ["Ada"]}
    again = asked.get("/search", params={"like": "m/07", "k": 8}).json()["hits"]
    assert not any("promoted" in hit for hit in again)
    assert asked.ask("DELETE", "/me/hidden-advertisers/Ada").json() == {"advertisers": []}
    assert owner.post("/campaigns/mosaics/stop").json()["state"] == "stopped"
    assert owner.post("/campaigns/nothing/stop").status_code == 404
    after = Asker(app, {"Authorization": asked.headers["Authorization"]}).get(
        "/search", params={"like": "m/07", "k": 8}
    )
    assert not any("promoted" in hit for hit in after.json()["hits"])
