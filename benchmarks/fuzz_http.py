"""What the fuzzer sends to a server: short talks by its own OpenAPI document, which use what was answered before."""

from __future__ import annotations

import json
import logging
import random
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fuzz_made import Made

STEPS = 6
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
POOL = 300
"""So many names that were answered are kept for later requests."""
KNOWN = frozenset(
    ("id", "pin", "board", "person", "cursor", "answer", "verdict", "upload", "name", "claim", "title", "section", "comment",
     "campaign", "event_id", "placement", "collaborator", "owner")
)  # fmt: skip
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 2**31, 2**63, 2**64, -(2**63) - 1, 1e308, 0.1, float("nan"), float("inf"), "", " ", "\x00", "a\x00b",
    "\ud800", "\u202e", "👗" * 100, "a" * 5_000, "../../etc/passwd", "%00", "'", '"', "`", "<script>", "=1+1", "9" * 400,
    [], {}, [[]], [None], {"": None}, "2025-13-01", "1e999", "true", "null", "-0", "١",
)  # fmt: skip
WORDS = ("red", "a-1.png", "ada", "Kitchen", "price < 5", "2025-12-01", "de", "https://shop.example/p", "EUR", "save", "search",
         "click", "project", "name", "-price", "0.1,0.2,0.9,0.8", "text")  # fmt: skip

HINTS: Mapping[str, tuple[str, ...]] = {
    "person": ("ada", "bob"), "where": ("price < 5", "not (price > 1)", "title is null"), "sort": ("price", "-title", "name"),
    "crop": ("0.1,0.2,0.9,0.8",), "image": ("@3", "upload:x"), "like": ("a-1.png", "@5"), "unlike": ("a-2.png",),
    "pin": ("a-1.png", "a-2.png", "@9"), "weight": ("1", "-0.5"), "until": ("2025-12-01",), "domain": ("shop.example",),
    "board": ("Kitchen", "@1"),
    "group_by": ("title", "price"), "rank": ("fresh", "cosine"), "id": ("a-1.png", "@2", "@4"), "cursor": ("@8", "x"),
    "section": ("S",), "title": ("Kitchen", "Oak"), "event_id": ("e1", "e2", "e3"), "currency": ("EUR", "JPY"),
    "placement": ("@11",), "verdict": ("@12", "1"), "format": ("json", "html"),
}  # fmt: skip
"""What parameters and fields of these names usually are."""


LOG: deque[str] = deque(maxlen=5)
"""What the server said last of errors: answers leave the reasons out."""


class _Kept(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        LOG.append(record.getMessage())


class Writer:
    """Writes requests by an OpenAPI document, most of them right, some of them odd."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.schemas = document["components"]["schemas"]
        self.operations = [
            (method.upper(), path, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        ]

    def talk(self, chance: random.Random) -> bytes:
        """A few requests, one a line."""
        return b"\n".join(self.request(chance) for _ in range(chance.randint(1, STEPS)))

    def request(self, chance: random.Random) -> bytes:
        """One request as a line of JSON; `@7` stands for a name that was answered before."""
        method, path, operation = chance.choice(self.operations)
        query, headers = [], {}
        for each in operation.get("parameters", []):
            if each["in"] != "path" and not each.get("required") and chance.random() < 0.75:
                continue
            value = self.named(chance, each["name"], each.get("schema", {}))
            if each["in"] == "path":
                path = path.replace("{" + each["name"] + "}", _word(value))
            elif each["in"] == "query":
                many = value if isinstance(value, list) else [value]
                query += [[each["name"], _word(one)] for one in many[:4]]
            else:
                headers[each["name"]] = _word(value)
        said: dict[str, Any] = {
            "m": method,
            "p": path,
            "q": query,
            "h": headers,
            "key": chance.choice((0, 0, 0, 1, 1, 1, 2, 3)),
        }
        content = operation.get("requestBody", {}).get("content", {})
        if content:
            said |= self._body(chance, content)
        return json.dumps(said).encode()

    def _body(self, chance: random.Random, content: Mapping[str, Any]) -> dict[str, Any]:
        kind = chance.choice(list(content))
        if kind == "application/json" and chance.random() < 0.97:
            return {"json": self.value(chance, content[kind].get("schema", {}))}
        if kind == "multipart/form-data":
            schema = self._whole(content[kind].get("schema", {}))
            fields = {name: self.value(chance, each) for name, each in schema.get("properties", {}).items()}
            return {"form": {name: value for name, value in fields.items() if chance.random() < 0.6}}
        return {"picture": chance.randrange(20), "type": kind.replace("*", "png")}

    def _whole(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in schema:
            schema = self.schemas[schema["$ref"].rpartition("/")[2]]
        return schema

    def named(self, chance: random.Random, name: str, schema: Mapping[str, Any], depth: int = 0) -> Any:
        """A value for a name: often one that such a name usually has."""
        if name in HINTS and chance.random() < 0.7:
            return chance.choice(HINTS[name])
        return self.value(chance, schema, depth)

    def value(self, chance: random.Random, schema: Mapping[str, Any], depth: int = 0) -> Any:
        """A value that a schema allows, or an odd one."""
        if chance.random() < 0.06 or depth > 6:
            return chance.choice(ODD)
        schema = self._whole(schema)
        for name in ("anyOf", "oneOf", "allOf"):
            if name in schema:
                return self.value(chance, chance.choice(schema[name]), depth + 1)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return chance.choice(schema["enum"])
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = chance.choice(kind)
        return self._typed(chance, schema, kind, depth)

    def _typed(self, chance: random.Random, schema: Mapping[str, Any], kind: str | None, depth: int) -> Any:
        if kind == "object":
            return self._object(chance, schema, depth)
        if kind == "array":
            items = schema.get("items", {})
            return [self.value(chance, items, depth + 1) for _ in range(chance.choice((0, 1, 1, 2, 3)))]
        if kind in ("integer", "number"):
            low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
            high = schema.get("maximum", schema.get("exclusiveMaximum", low + 20))
            found = chance.choice((low, high, low - 1, high + 1, chance.uniform(low, high), 5, 5, 3))
            return int(found) if kind == "integer" else found
        if kind == "boolean":
            return chance.random() < 0.5
        if kind == "null":
            return None
        if chance.random() < 0.6:
            return f"@{chance.randrange(POOL)}"
        return chance.choice(WORDS)

    def _object(self, chance: random.Random, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        needed = schema.get("required", ())
        made = {
            name: self.named(chance, name, each, depth + 1)
            for name, each in schema.get("properties", {}).items()
            if chance.random() < (0.95 if name in needed else 0.4)
        }
        more = schema.get("additionalProperties")
        if more and chance.random() < 0.6:
            made[chance.choice(WORDS)] = self.value(chance, more if isinstance(more, dict) else {}, depth + 1)
        elif chance.random() < 0.03:
            made["unknown"] = chance.choice(ODD)
        return made


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


class Sender:
    """Sends the requests of a talk in process, and remembers the names in the answers."""

    def __init__(self, web: Any, keys: list[str], pictures: list[bytes]) -> None:
        self.web, self.keys, self.pictures = web, keys, pictures
        self.pool: deque[str] = deque(("a-1.png", "a-2.png", "ada", "Kitchen"), maxlen=POOL)

    def send(self, said: Mapping[str, Any]) -> Any:
        """The answer to a request; None where no client would send it."""
        import httpx

        options: dict[str, Any] = {"headers": {}}
        if said.get("key", 3) < len(self.keys):
            options["headers"]["Authorization"] = f"Bearer {self.keys[said['key']]}"
        if "json" in said:
            options["content"] = json.dumps(self._filled(said["json"])).encode()
            options["headers"]["Content-Type"] = "application/json"
        elif "form" in said:
            options["files"] = [
                (name, self._part(value)) for name, value in self._filled(said["form"]).items()
            ]
        elif "picture" in said:
            options["content"] = self.pictures[said["picture"] % len(self.pictures)]
            options["headers"]["Content-Type"] = said.get("type", "image/png")
        options["headers"] |= {name: self._filled(text) for name, text in said.get("h", {}).items()}
        path = re.sub(
            r"[^/]+", lambda part: quote(self._filled(part[0]), safe="", errors="replace"), said["p"]
        )
        try:
            return self.web.request(said["m"], path, params=self._filled(said.get("q", [])), **options)
        except (httpx.InvalidURL, httpx.ProtocolError, UnicodeError, TypeError) as error:
            if "httpx" in type(error).__module__ or isinstance(error, UnicodeError):
                return None
            raise

    def _part(self, value: Any) -> tuple[str | None, bytes, str]:
        if value == "@0" or (isinstance(value, str) and len(value) % 2):
            return "a.png", self.pictures[len(value) % len(self.pictures)], "image/png"
        return None, _word(value).encode("utf-8", "replace"), "text/plain"

    def _filled(self, value: Any) -> Any:
        if isinstance(value, str):
            found = re.fullmatch(r"@(\d{1,3})", value)
            return self.pool[int(found[1]) % len(self.pool)] if found else value
        if isinstance(value, list):
            return [self._filled(each) for each in value]
        if isinstance(value, dict):
            return {name: self._filled(each) for name, each in value.items()}
        return value

    def learn(self, value: Any, depth: int = 0) -> None:
        """Keep the names of an answer."""
        if isinstance(value, dict):
            for name, each in value.items():
                if name in KNOWN and isinstance(each, (str, int)) and len(str(each)) < 500:
                    self.pool.append(str(each))
                elif depth < 6:
                    self.learn(each, depth + 1)
        elif isinstance(value, list):
            for each in value[:5]:
                self.learn(each, depth + 1)


def judged(said: Mapping[str, Any], answer: Any) -> None:
    """Raise AssertionError where an answer is none that a client may get."""
    where = f"{said.get('m')} {said.get('p')}"
    if answer.status_code >= 500:
        told = LOG[-1] if LOG else answer.text
        raise AssertionError(f"answered {answer.status_code} to {where}: {told[:180]}")
    if "Traceback (most recent" in answer.text:
        raise AssertionError(f"a traceback was sent to {where}")
    kind = answer.headers.get("content-type", "")
    if answer.status_code >= 400 and answer.content and "json" not in kind:
        raise AssertionError(f"answered {answer.status_code} to {where} as {kind or 'nothing'}")


def api(folder: Path) -> Made:
    """Talks of up to six requests to a server with people, promoted pins and judging; each a line of JSON."""
    from campaign_work import Mosaic, paint
    from fuzz_targets import _pictures
    from starlette.testclient import TestClient

    import visualsearch as vs
    from visualsearch.server.app import create_app, open_service
    from visualsearch.server.keys import FILE, Scope, new_key
    from visualsearch.server.settings import Settings

    place = folder / "pins.index"
    index = vs.create(place, Mosaic())
    paint(folder / "pictures", "a")
    index.add(folder / "pictures")
    index.close()
    keys = [new_key(place / FILE, scope) for scope in (Scope.ACT, Scope.WRITE, Scope.INSIGHT)]
    settings = replace(
        Settings(), hosts=("testserver",), rate=0, event_rate=0, upkeep_seconds=3600.0, trust_seconds=3600.0, promote=True
    )  # fmt: skip
    app = create_app(open_service(place, settings, Mosaic()))
    web = TestClient(app, raise_server_exceptions=False).__enter__()  # until the process ends
    sender = Sender(web, keys, _pictures())
    logging.getLogger("visualsearch").addHandler(_Kept(logging.ERROR))
    writer = Writer(app.openapi())

    def take(data: bytes) -> None:
        for line in data.split(b"\n"):
            try:
                said = json.loads(line)
                good = said["m"] in METHODS and said["p"].startswith("/")
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue
            if not good:
                continue
            answer = sender.send(said)
            if answer is None:
                continue
            judged(said, answer)
            if answer.content and "json" in answer.headers.get("content-type", ""):
                sender.learn(answer.json())

    start = b'{"m": "POST", "p": "/boards", "key": 0, "q": [["person", "ada"]], "json": {"title": "Kitchen"}}'
    return Made(take, [start], write=writer.talk)
