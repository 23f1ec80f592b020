"""People over HTTP, for the tests: a small served index, visitors with their cookies, applications with their keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from visualsearch.server.app import create_app
from visualsearch.server.keys import FILE, Scope, new_key

from ..serving import service

HOST = "http://testserver"
PIN, OTHER = "colours/red", "colours/blue"


class Asker:
    """Somebody who asks, with headers and cookies of their own; `person` is added to each request."""

    def __init__(self, app: Any, headers: dict[str, str] | None = None, person: str | None = None) -> None:
        self.web = TestClient(app, raise_server_exceptions=False)
        self.headers, self.person = headers or {}, person

    def ask(self, method: str, path: str, **more: Any) -> Any:
        headers = {**self.headers, **more.pop("headers", {})}
        params = {**({"person": self.person} if self.person else {}), **more.pop("params", {})}
        return self.web.request(method, path, headers=headers, params=params, **more)

    def get(self, path: str, **more: Any) -> Any:
        return self.ask("GET", path, **more)

    def post(self, path: str, values: Any = None, **more: Any) -> Any:
        return self.ask("POST", path, json={} if values is None else values, **more)

    def save(self, pin: str = PIN, board: str = "Kitchen", **more: Any) -> dict[str, Any]:
        answer = self.post("/saves", {"pin": pin, "board": board, **more})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())


def visitor(app: Any, **headers: str) -> Asker:
    """Somebody with a browser on the server's own page."""
    made = Asker(app, {"Origin": HOST, **headers})
    me = made.get("/me")
    assert me.status_code == 200, me.text
    made.headers["X-CSRF-Token"] = me.json()["csrf"]
    return made


def person(app: Any, name: str) -> Asker:
    """A person with a token."""
    token = app.state.people.open().issue_token(name)
    return Asker(app, {"Authorization": f"Bearer {token}"})


def application(app: Any, folder: Path, name: str | None = None) -> Asker:
    """An application that speaks for a person."""
    return Asker(app, {"Authorization": f"Bearer {new_key(folder / FILE, Scope.ACT)}"}, name)


@contextmanager
def serving(folder: Path, address: str | None = None, **changes: Any) -> Iterator[Any]:
    """The application over an index; its upkeep runs only where a test asks for it."""
    changes = {"people": address, "upkeep_seconds": 3600.0, **changes}
    app = create_app(service(folder, **changes))
    with TestClient(app):
        yield app
