"""Campaigns for those who may write, conversions, and the advertisers that a person hides."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from visualsearch.errors import UnknownNameError, UsageError
from visualsearch.people import People
from visualsearch.promote import Campaign, convert, from_values, put, report, stop

from .access import CAN_WRITE
from .openapi import json_body, refused
from .people.asking import SECURED, Caller, Named, ask
from .problems import Kind, RefusedError
from .reading import read_json
from .routes import Serving
from .service import Service

campaign_routes = APIRouter(tags=["campaigns"], dependencies=[CAN_WRITE])
hidden_routes = APIRouter(tags=["me"], dependencies=[SECURED])
pixel_routes = APIRouter(tags=["campaigns"])

PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_Text = Annotated[str, Field(max_length=200)]
_Texts = Annotated[list[Annotated[str, Field(max_length=1000)]], Field(max_length=500)]


class CampaignIn(BaseModel):
    """A campaign. Names and meaning are those of the columns of `visualsearch promote import`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    id: _Text
    advertiser: _Text
    pins: _Texts
    bid: _Text = Field(description="For one event, such as `0.50` or `0.50 EUR`.")
    budget: _Text
    currency: _Text | None = None
    daily: _Text | None = None
    pay: _Text = Field(default="click", description="click, visit or save.")
    start: _Text | None = None
    end: _Text | None = None
    cap: int = Field(default=3, ge=1, le=20, description="So often a day one person is shown it.")
    exclude: _Texts = []
    like: _Texts = []
    words: _Texts = []
    boards: _Texts = []
    attributes: dict[_Text, _Texts] = Field(default={}, max_length=50)
    audience: _Texts = []


class CampaignOut(BaseModel):
    """A campaign; amounts are minor units of its currency, times are milliseconds."""

    id: str
    advertiser: str
    state: str
    pins: list[str]
    pay: str
    currency: str
    bid: int
    budget: int
    daily: int | None
    spent: int
    start: int | None
    end: int | None
    cap: int
    reason: str


class CampaignsOut(BaseModel):
    """All campaigns, oldest first."""

    campaigns: list[CampaignOut]


class ReportOut(BaseModel):
    """As `visualsearch promote report --json`."""

    campaigns: list[dict[str, Any]]
    totals: dict[str, dict[str, int]]
    calibration: float | None
    sound: bool


class ConversionIn(BaseModel):
    """Something that was bought after a promoted pin was shown."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    placement: _Text
    event: _Text = Field(min_length=1, description="Your order's number: the same is counted once.")
    value: float = Field(ge=0, le=1e12)
    currency: _Text


class ConversionOut(BaseModel):
    """Whether it was new."""

    counted: bool


class HiddenOut(BaseModel):
    """The advertisers that somebody hid."""

    advertisers: list[str]


Id = Annotated[str, Path(alias="id", max_length=200, description="A campaign's id.")]
Advertiser = Annotated[str, Path(max_length=200)]


def _out(found: Campaign) -> CampaignOut:
    return CampaignOut(**{name: getattr(found, name) for name in CampaignOut.model_fields})


@campaign_routes.get("/campaigns", responses=refused(404), summary="All campaigns")
async def campaigns(request: Request, serving: Serving) -> CampaignsOut:
    """Oldest first."""
    request.app.state.people.open()
    found = await serving.light.run(serving.promotions.campaigns)
    return CampaignsOut(campaigns=[_out(each) for each in found])


@campaign_routes.post(
    "/campaigns",
    status_code=201,
    responses={
        200: {"model": CampaignOut, "description": "It was there, and is changed."},
        **refused(404, 409, 415, 507),
    },
    openapi_extra=json_body(CampaignIn),
    summary="Make or change a campaign",
)
async def put_campaign(request: Request, serving: Serving) -> JSONResponse:
    """What it has spent stays."""
    request.app.state.people.open()
    given = await read_json(request, CampaignIn)
    made, new = await serving.writes.run(_put, serving, given)
    return JSONResponse(_out(made).model_dump(), 201 if new else 200)


def _put(serving: Service, given: CampaignIn) -> tuple[Campaign, bool]:
    made = put(serving.index, from_values(given.model_dump(exclude_none=True)))
    serving.promotions.refresh()
    return made


@campaign_routes.post("/campaigns/{id}/stop", responses=refused(404, 507), summary="Show a campaign no more")
async def stop_campaign(
    request: Request, name: Id, serving: Serving, reason: Annotated[str, Query(max_length=500)] = ""
) -> CampaignOut:
    """What was shown before is still billed."""
    request.app.state.people.open()
    return _out(await serving.writes.run(_stop, serving, name, reason))


def _stop(serving: Service, name: str, reason: str) -> Campaign:
    try:
        found = stop(serving.index, name, reason)
    except UnknownNameError as error:
        raise RefusedError(
            Kind.NOT_FOUND, "there is no such campaign", "", "GET /campaigns lists them"
        ) from error
    serving.promotions.refresh()
    return found


@campaign_routes.get("/campaigns/report", responses=refused(404), summary="What campaigns cost and brought")
async def campaign_report(request: Request, serving: Serving) -> ReportOut:
    """By the ledger; money in minor units."""
    request.app.state.people.open()
    return ReportOut(**await serving.light.run(report, serving.index))


@campaign_routes.post(
    "/conversions",
    responses=refused(404, 415, 507),
    openapi_extra=json_body(ConversionIn),
    summary="Count what was bought",
)
async def conversion(request: Request, serving: Serving) -> ConversionOut:
    """After a promoted pin. The same order is counted once."""
    request.app.state.people.open()
    given = await read_json(request, ConversionIn)
    return ConversionOut(counted=await serving.writes.run(_convert, serving, given))


def _convert(serving: Service, given: ConversionIn) -> bool:
    try:
        return convert(serving.index, given.placement, given.event, given.value, given.currency)
    except UnknownNameError as error:
        raise RefusedError(
            Kind.NOT_FOUND, "there is no such placement", "", "Send the one that the pin was shown with"
        ) from error


@pixel_routes.get(
    "/pixel.gif",
    response_class=Response,
    responses={200: {"content": {"image/gif": {}}}, **refused()},
    summary="Count what was bought, from a shop's page",
)
async def pixel(
    request: Request,
    serving: Serving,
    placement: Annotated[str, Query(max_length=200)] = "",
    event: Annotated[str, Query(max_length=200)] = "",
    value: Annotated[float, Query(ge=0, le=1e12)] = 0.0,
    currency: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """It needs no key: the placement's id, which only the shop's visitor has, is what lets it count. It sets no cookie."""
    if request.app.state.people.exists and placement and event:
        with suppress(UsageError):  # a shop's page shows a picture, not an error
            await serving.writes.run(convert, serving.index, placement, event, value, currency)
    headers = {"Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "cross-origin"}
    return Response(PIXEL, media_type="image/gif", headers=headers)


# -- advertisers that a person hides ---------------------------------------------------------------------------------
@hidden_routes.put(
    "/me/hidden-advertisers/{advertiser}", responses=refused(404, 507), summary="Hide an advertiser for good"
)
async def hide(request: Request, advertiser: Advertiser, person: Named = None) -> HiddenOut:
    """None of its pins is promoted to this person again."""
    return await ask(
        request, person, lambda people, who: _hidden(people, who, advertiser, True), changes=True
    )


@hidden_routes.delete(
    "/me/hidden-advertisers/{advertiser}", responses=refused(404, 507), summary="Take that back"
)
async def unhide(request: Request, advertiser: Advertiser, person: Named = None) -> HiddenOut:
    """It may be shown again."""
    return await ask(
        request, person, lambda people, who: _hidden(people, who, advertiser, False), changes=True
    )


def _hidden(people: People, who: Caller, advertiser: str, hidden: bool) -> HiddenOut:
    people.hide_advertiser(who.name, advertiser, hidden)
    found: Sequence[str] = sorted(people.unwanted_by(who.name))
    return HiddenOut(advertisers=list(found))
