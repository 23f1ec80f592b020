"""The API against its own OpenAPI document: whatever is sent, the answer is one that the document names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")
pytest.importorskip("schemathesis", reason="schemathesis is not installed")

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from visualsearch.server.app import create_app

from .serving import catalogue, served, service

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder: Path = catalogue(tmp_path_factory.mktemp("contract"), 8)
    with served(service(folder)) as address:
        yield schemathesis.openapi.from_url(f"{address}/openapi.json")


ROUTES = [
    (method, path)
    for path, methods in {
        "/search": ("GET", "POST"),
        "/look": ("POST",),
        "/uploads": ("POST",),
        "/uploads/{name}/picture": ("GET",),
        "/pins": ("GET", "POST"),
        "/pins/{id}": ("GET", "PUT", "PATCH", "DELETE"),
        "/pins/{id}/similar": ("GET",),
        "/pins/{id}/related": ("GET",),
        "/pins/{id}/picture": ("GET",),
        "/info": ("GET",),
        "/attributes": ("GET",),
        "/attributes/counts": ("GET",),
        "/healthz": ("GET",),
        "/readyz": ("GET",),
        "/metrics": ("GET",),
        "/session": ("GET", "POST", "DELETE"),
        "/boards": ("GET", "POST"),
        "/boards/{id}": ("GET", "PATCH", "DELETE"),
        "/boards/{id}/pins": ("GET",),
        "/boards/{id}/pins/{pin}": ("PATCH", "DELETE"),
        "/boards/{id}/sections": ("POST",),
        "/boards/{id}/sections/{title}": ("DELETE",),
        "/boards/{id}/collaborators": ("POST",),
        "/boards/{id}/collaborators/{collaborator}": ("DELETE",),
        "/saves": ("GET", "POST", "DELETE"),
        "/follows": ("GET", "POST", "DELETE"),
        "/pins/{id}/comments": ("GET", "POST"),
        "/pins/{id}/comments/{comment}": ("DELETE",),
        "/pins/{id}/comments/{comment}/report": ("POST",),
        "/plans": ("GET", "POST"),
        "/plans/{id}": ("DELETE",),
        "/events": ("POST",),
        "/feed": ("GET",),
        "/less": ("POST", "DELETE"),
        "/boards/{id}/ideas": ("GET",),
        "/boards/{id}/similar": ("GET",),
        "/me/ideas": ("GET",),
        "/me/similar": ("GET",),
        "/me": ("GET", "PATCH", "DELETE"),
        "/me/export": ("GET",),
        "/me/consent": ("GET", "PUT"),
        "/me/signals": ("GET", "PUT"),
        "/me/pause": ("PUT",),
        "/me/claim": ("POST",),
        "/me/hidden-advertisers/{advertiser}": ("PUT", "DELETE"),
        "/campaigns": ("GET", "POST"),
        "/campaigns/{id}/stop": ("POST",),
        "/campaigns/report": ("GET",),
        "/conversions": ("POST",),
        "/pixel.gif": ("GET",),
        "/experiments": ("GET",),
        "/experiments/{name}": ("GET",),
        "/experiments/{name}/ramp": ("POST",),
        "/experiments/{name}/stop": ("POST",),
        "/insight/trends": ("GET",),
        "/insight/merchant/{domain}": ("GET",),
        "/insight/timing": ("GET",),
        "/insight/map": ("GET",),
        "/insight/map/{level}/{x}/{y}.png": ("GET",),
        "/insight/map/{level}/{x}/{y}.json": ("GET",),
        "/me/verdicts": ("GET",),
        "/me/appeals": ("POST",),
        "/trust/cases": ("GET",),
        "/trust/cases/{verdict}": ("GET", "POST"),
        "/trust/cases/{verdict}/appeals": ("POST",),
        "/trust/cases/{verdict}/undo": ("POST",),
        "/trust/pins/{id}/picture": ("GET",),
    }.items()
    for method in methods
]


def test_the_routes_below_are_all_there_are(schema: Any) -> None:
    named = [(m.upper(), path) for path, methods in schema.raw_schema["paths"].items() for m in methods]
    assert sorted(named) == sorted(ROUTES)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_answer_is_one_that_the_document_names(schema: Any, method: str, path: str) -> None:
    @given(case=schema[path][method].as_strategy())
    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    check()


def test_every_reference_of_the_document_leads_somewhere(tmp_path: Path) -> None:
    document = create_app(service(catalogue(tmp_path))).openapi()
    names = re.findall(r"#/components/schemas/(\w+)", json.dumps(document))
    assert len(names) > 50
    assert set(names) <= set(document["components"]["schemas"])
