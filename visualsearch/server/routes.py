"""The addresses that the API answers."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar
from urllib.parse import unquote

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import Field

from visualsearch import __version__
from visualsearch.store import MAX_ID_BYTES

from . import catalog
from .access import CAN_READ, CAN_WATCH, CAN_WRITE
from .openapi import PICTURES, SEARCH_BODY, json_body, query_parameters, refused
from .people.served import Session, answer_of, reader_of
from .pictures import Thumbnail
from .problems import Kind, problem
from .reading import form_attributes, from_words, read_file, read_json, read_search
from .schemas import (
    AttributesOut,
    Changes,
    CountsOut,
    Health,
    InfoOut,
    LookOut,
    LookRequest,
    NewPin,
    PinOut,
    PinsOut,
    SearchRequest,
    SearchResponse,
    UploadOut,
)
from .sent import pin_out
from .service import Service
from .settings import Settings

Served = TypeVar("Served", SearchResponse, LookOut, PinsOut)
OLD_COOKIE = "visualsearch_key"
"""Held the key itself in earlier releases: taken away from browsers that still have it."""

search_routes = APIRouter(tags=["search"], dependencies=[CAN_READ])
pin_routes = APIRouter(tags=["pins"])
system_routes = APIRouter(tags=["server"])


def service(request: Request) -> Service:
    """The application's service."""
    found: Service = request.app.state.service
    return found


Serving = Annotated[Service, Depends(service)]
PinId = Annotated[
    str, Path(alias="id", description="A pin's id; write a slash in it as %2F.", max_length=3 * MAX_ID_BYTES)
]
Size = Annotated[
    int | None, Query(ge=1, le=4096, description="Longer side in pixels, rounded up to one that is kept.")
]
Accept = Annotated[str, Header(description="WebP where image/webp is among it, else JPEG.")]
Match = Annotated[str, Header(alias="If-None-Match", include_in_schema=False)]
Where = Annotated[str | None, Query(max_length=20_000, description="Only pins whose attributes fit.")]
Names = Annotated[
    list[Annotated[str, Field(max_length=200)]] | None,
    Query(max_length=100, description="Only these attributes; may be repeated."),
]
Sort = Annotated[
    str | None, Query(max_length=200, description="An attribute; with a leading - from high to low.")
]


# -- search -------------------------------------------------------------------------------------------------------
@search_routes.get(
    "/search",
    responses=refused(404, 410),
    openapi_extra={"parameters": query_parameters()},
    summary="Search by address, text, stored pins or a mix",
)
async def search_get(request: Request, serving: Serving, session: Session = None) -> SearchResponse:
    """The query is in the address, so that it can be shared."""
    wanted = await for_reader(request, from_words(request.query_params))
    return await _answered(request, await serving.answer(wanted, session=session))


@search_routes.post(
    "/search", responses=refused(404, 410, 415), openapi_extra=SEARCH_BODY, summary="Search by any query"
)
async def search_post(request: Request, serving: Serving, session: Session = None) -> SearchResponse:
    """The query as JSON, as a form with the picture as `image`, or the picture itself with the query in the address."""
    wanted, data = await read_search(request)
    return await _answered(request, await serving.answer(await for_reader(request, wanted), data, session))


@search_routes.post(
    "/look",
    responses=refused(404, 410, 415),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/LookRequest"}},
                **PICTURES,
            },
        }
    },
    summary="Find the objects in a picture",
)
async def look(request: Request, serving: Serving) -> LookOut:
    """And search each of them. The body is JSON, or the picture itself."""
    if request.headers.get("content-type", "").startswith("application/json"):
        return await _answered(request, await serving.look(await read_json(request, LookRequest)))
    return await _answered(request, await serving.look(LookRequest(image=""), await read_file(request)))


@search_routes.post(
    "/uploads",
    responses=refused(415),
    openapi_extra={"requestBody": {"required": True, "content": PICTURES}},
    summary="Keep a picture for queries to come",
)
async def upload(request: Request, serving: Serving) -> UploadOut:
    """The body is a picture file. It stays in memory for a while, named by its content."""
    data = await read_file(request)
    name, width, height = await serving.pictures.run(serving.upload, data)
    return UploadOut(upload=name, width=width, height=height, seconds=serving.settings.uploads_seconds)


@search_routes.get(
    "/uploads/{name}/picture",
    responses={200: {"content": {"image/webp": {}, "image/jpeg": {}}}, **refused(410)},
    response_class=Response,
    summary="An uploaded picture",
)
async def upload_picture(
    name: Annotated[str, Path(max_length=200)], serving: Serving, size: Size = None, accept: Accept = "*/*"
) -> Response:
    """While it is kept."""
    made = await serving.thumbs.run(serving.upload_picture, name, size, _format(accept))
    return _picture(made)


# -- pins ---------------------------------------------------------------------------------------------------------
@pin_routes.get("/pins", dependencies=[CAN_READ], responses=refused(), summary="Stored pins, page by page")
async def list_pins(
    request: Request,
    serving: Serving,
    where: Where = None,
    sort: Sort = None,
    k: Annotated[int, Query(ge=1, le=200)] = 40,
    offset: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0,
) -> PinsOut:
    """Without `sort` they come well mixed, always in the same order."""
    found, total = await serving.light.run(
        catalog.pins, serving.index, where, sort, k, offset, serving.settings
    )
    sent = await serving.light.run(lambda: [pin_out(pin) for pin in found])
    return await _answered(request, PinsOut(pins=sent, total=total, more=offset + len(found) < total))


@pin_routes.get("/pins/{id}", dependencies=[CAN_READ], responses=refused(404), summary="One pin")
async def get_pin(name: PinId, serving: Serving) -> PinOut:
    """What is known of it."""
    return await serving.light.run(lambda: pin_out(serving.pin(unquote(name))))


@pin_routes.get(
    "/pins/{id}/similar", dependencies=[CAN_READ], responses=refused(404), summary="Pins like this one"
)
async def similar(
    request: Request,
    name: PinId,
    serving: Serving,
    where: Where = None,
    k: Annotated[int, Query(ge=1, le=200)] = 10,
    offset: Annotated[int, Query(ge=0, le=10_000)] = 0,
) -> SearchResponse:
    """A search with `like` this pin."""
    pin = await serving.light.run(serving.pin, unquote(name))
    wanted = await for_reader(
        request, SearchRequest(like=[pin.id], where=where, k=k, offset=offset, personal=0)
    )
    return await _answered(request, await serving.answer(wanted))


@pin_routes.get(
    "/pins/{id}/picture",
    dependencies=[CAN_READ],
    responses={
        200: {"content": {"image/webp": {}, "image/jpeg": {}}},
        304: {"description": "It is the one with that ETag."},
        **refused(404),
    },
    response_class=Response,
    summary="A pin's picture",
)
async def pin_picture(
    name: PinId, serving: Serving, size: Size = None, accept: Accept = "*/*", match: Match = ""
) -> Response:
    """Scaled down, decoded and encoded anew, without metadata."""
    form = _format(accept)
    pin = await serving.light.run(serving.pin, unquote(name))
    etag = serving.etag(pin, size, form)
    if etag in (one.strip().removeprefix("W/") for one in match.split(",")):
        return Response(status_code=304, headers=_picture_headers(etag))
    return _picture(await serving.pin_picture(pin, size, form))


@pin_routes.post(
    "/pins",
    status_code=201,
    dependencies=[CAN_WRITE],
    responses=refused(409, 410, 415),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewPin"}}, **PICTURES},
        }
    },
    summary="Add a pin",
)
async def add_pin(
    request: Request,
    serving: Serving,
    name: Annotated[str | None, Query(alias="id", max_length=MAX_ID_BYTES)] = None,
    attributes: Annotated[
        str | None, Query(description="A JSON object, with a picture as body.", max_length=20_000)
    ] = None,
) -> PinOut:
    """The body is a picture file, or JSON with its address. Without an id its content gives one."""
    data, values = await _pin_body(request, serving, attributes)
    pin, _ = await serving.writes.run(serving.put, name, data, values, True)
    return pin_out(pin)


@pin_routes.put(
    "/pins/{id}",
    dependencies=[CAN_WRITE],
    responses={201: {"model": PinOut, "description": "It is new."}, **refused(409, 410, 415)},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewPin"}}, **PICTURES},
        }
    },
    summary="Add or replace a pin",
)
async def put_pin(
    request: Request,
    name: PinId,
    serving: Serving,
    attributes: Annotated[
        str | None, Query(description="A JSON object, with a picture as body.", max_length=20_000)
    ] = None,
) -> JSONResponse:
    """Picture and attributes become the given ones."""
    data, values = await _pin_body(request, serving, attributes)
    pin, new = await serving.writes.run(serving.put, unquote(name), data, values, False)
    return JSONResponse(pin_out(pin).model_dump(), 201 if new else 200)


@pin_routes.patch(
    "/pins/{id}",
    dependencies=[CAN_WRITE],
    responses=refused(404, 409, 415),
    openapi_extra=json_body(Changes),
    summary="Change a pin's attributes",
)
async def change_pin(request: Request, name: PinId, serving: Serving) -> PinOut:
    """Those that are named; null removes one."""
    changes = await read_json(request, Changes)
    return pin_out(await serving.writes.run(serving.change, unquote(name), changes.attributes))


@pin_routes.delete(
    "/pins/{id}",
    status_code=204,
    dependencies=[CAN_WRITE],
    responses=refused(404, 409),
    summary="Remove a pin",
)
async def delete_pin(name: PinId, serving: Serving) -> None:
    """It is found no more from now on; the picture is deleted only where this server kept it."""
    await serving.writes.run(serving.remove, unquote(name))


async def _pin_body(
    request: Request, serving: Service, attributes: str | None
) -> tuple[bytes, dict[str, Any]]:
    """The picture and the attributes of a pin to add."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        values = form_attributes(attributes)
        return await read_file(request), values
    wanted = await read_json(request, NewPin)
    scheme, _, rest = wanted.image.partition(":")
    if scheme == "upload":
        return serving.uploads.get(rest), wanted.attributes
    return await serving.fetches.run(serving.fetched, wanted.image), wanted.attributes


# -- the server ---------------------------------------------------------------------------------------------------
@system_routes.get("/info", dependencies=[CAN_READ], responses=refused(), summary="The index in figures")
async def info(request: Request, serving: Serving) -> InfoOut:
    """As `visualsearch info --json`, without places of the server."""
    values = await serving.light.run(serving.info)
    limits = serving.settings
    return InfoOut(
        **{name: values[name] for name in InfoOut.model_fields if name in values},
        version=__version__,
        people=request.app.state.people.enabled,
        limits={
            "body_bytes": limits.max_body,
            "pixels": limits.max_pixels,
            "k": limits.max_k,
            "offset": limits.max_offset,
            "text": limits.max_text,
        },
    )


@system_routes.get(
    "/attributes", dependencies=[CAN_READ], responses=refused(), summary="What can be filtered by"
)
async def attributes(serving: Serving) -> AttributesOut:
    """Names, ranges and common values of the pins' attributes."""
    return AttributesOut(attributes=await serving.light.run(serving.attributes))


@system_routes.get(
    "/attributes/counts",
    dependencies=[CAN_READ],
    responses=refused(),
    summary="How many pins each value leaves",
)
async def counts(serving: Serving, where: Where = None, name: Names = None) -> CountsOut:
    """For the values that can be chosen, how many of the pins that fit the filter have them."""
    return CountsOut(counts=await serving.light.run(serving.counts, where, name or ()))


@system_routes.get("/healthz", summary="Whether the process lives")
async def healthz() -> Health:
    """Answers as long as the event loop turns."""
    return Health(status="ok")


@system_routes.get("/readyz", responses={503: refused()[400]}, summary="Whether queries are answered")
async def readyz(serving: Serving) -> Response:
    """The model and the vectors are loaded."""
    if not serving.ready.is_set():
        return problem(Kind.STARTING, "The model is being loaded.", {"Retry-After": "2"})
    return JSONResponse({"status": "ok"})


@system_routes.get(
    "/metrics",
    dependencies=[CAN_WATCH],
    responses=refused(),
    response_class=PlainTextResponse,
    summary="For Prometheus",
)
async def metrics(request: Request, serving: Serving) -> Response:
    """Latency of every stage, queue lengths, recall as last measured, the index's size. Where there are keys it needs
    one, on public servers too.
    """
    await serving.light.run(serving.measure)
    request.app.state.people.measure()
    return Response(serving.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def for_reader(request: Request, wanted: SearchRequest) -> SearchRequest:
    """The query with the person for whom it is asked, as the request's key, token or cookie allows."""
    settings: Settings = request.app.state.settings
    if wanted.personal == 0 and wanted.person is None and not settings.promote:
        return wanted
    return wanted.model_copy(update={"person": await reader_of(request, wanted.person)})


async def _answered(request: Request, found: Served) -> Served:
    """The list with an id that events can name, where there is a record of people and the asker lets events be kept."""
    found.answer = found.answer or await answer_of(request)
    return found


def _format(accept: str) -> str:
    return "WEBP" if "image/webp" in accept.lower() else "JPEG"


def _picture_headers(etag: str) -> dict[str, str]:
    return {"ETag": etag, "Vary": "Accept", "Cache-Control": "private, max-age=60"}


def _picture(made: Thumbnail) -> Response:
    return Response(made.data, media_type=made.media_type, headers=_picture_headers(made.etag))
