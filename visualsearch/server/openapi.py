"""The parts of the OpenAPI document that FastAPI cannot see: bodies read by hand, and problems."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from . import problems
from .people.schemas_feed import LessIn
from .people.schemas_me import BODIES
from .schemas import Changes, LookRequest, NewPin, ProblemOut, SearchRequest
from .schemas_session import SessionIn

MODELS: tuple[type[BaseModel], ...] = (
    SearchRequest,
    LookRequest,
    NewPin,
    Changes,
    SessionIn,
    ProblemOut,
    LessIn,
    *BODIES,
)
_TAKEN: dict[str, type[BaseModel]] = {}
"""Bodies of routes that other rooms of the server brought."""
PICTURE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
PICTURES = {"image/*": PICTURE, "application/octet-stream": PICTURE}
PROBLEM = {
    "description": "A problem document (RFC 9457); its type names the kind.",
    "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}},
}
RETRY = {
    **PROBLEM,
    "headers": {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}},
}
_LISTED: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
SPELLED: dict[str, tuple[str, dict[str, Any], str]] = {
    "weights": ("weight", _LISTED, "PART=W, such as text=0.5; may be repeated."),
    "crop": ("crop", {"type": "string"}, "X0,Y0,X1,Y1: the part of the picture to search."),
}
"""Fields that an address spells in another way than JSON: name, schema, description."""


def refused(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer these problems, besides those that any route may."""
    always = (400, 401, 403, 408, 413, 422, 503)
    return {**dict.fromkeys((*always, *statuses), PROBLEM), 429: RETRY}


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """The `openapi_extra` of a route that takes `model` as JSON."""
    _TAKEN[model.__name__] = model
    return {"requestBody": {"required": True, "content": {"application/json": _ref(model)}}}


def _ref(model: type[BaseModel]) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}


def query_parameters() -> list[dict[str, Any]]:
    """The fields of a query as parameters of an address."""
    fields = SearchRequest.model_json_schema()["properties"]
    found = []
    for name, schema in fields.items():
        text = schema.pop("description", "")
        options = [one for one in schema.get("anyOf", []) if one.get("type") != "null"]
        plain = options[0] if options else {key: schema[key] for key in schema if key != "title"}
        renamed, shape, note = SPELLED.get(name, (name, plain, text))
        found.append(
            {"name": renamed, "in": "query", "required": False, "description": note, "schema": shape}
        )
    return found


def form_body() -> dict[str, Any]:
    """A query as a form: the same fields, and the picture as the file `image`."""
    fields = {p["name"]: {**p["schema"], "description": p["description"]} for p in query_parameters()}
    fields["image"] = {"type": "string", "format": "binary", "description": "The query picture."}
    return {"schema": {"type": "object", "properties": fields, "additionalProperties": False}}


SEARCH_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": _ref(SearchRequest),
            "multipart/form-data": form_body(),
            **PICTURES,
        },
    },
}


def describe(app: FastAPI) -> None:
    """Make `app.openapi()` complete."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                description=app.description,
                routes=app.routes,
            )
            _, models = models_json_schema(
                [(model, "validation") for model in dict.fromkeys((*MODELS, *_TAKEN.values()))],
                ref_template="#/components/schemas/{model}",
            )
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(models["$defs"])
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
