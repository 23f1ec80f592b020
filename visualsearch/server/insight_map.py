"""`/insight/map`: the collection as a map in tiles, drawn when they are asked for. For the owner's keys of scope `insight`."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from visualsearch.insight import SCRIPT, Tiles, make_map, map_page
from visualsearch.pages import script

from .access import CAN_GAIN_INSIGHT, owners_only
from .openapi import refused
from .people.record import Record
from .routes import Serving
from .service import Service

map_routes = APIRouter(prefix="/insight/map", tags=["insight"], dependencies=[CAN_GAIN_INSIGHT])

NO_STORE = {"Cache-Control": "no-store"}
KEPT = {"Cache-Control": "private, max-age=300"}
POLICY = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; script-src 'self'; connect-src 'self';"
    " style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}
Level = Annotated[int, Path(ge=0, le=8, description="0 is the whole map in one tile.")]
Column = Annotated[int, Path(ge=0, le=255, description="From the left.")]
Line = Annotated[int, Path(ge=0, le=255, description="From the top.")]


class Maps:
    """The newest map of the served index. Who asks meanwhile waits for the one that is being made."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._held: tuple[Any, Tiles, list[str]] | None = None

    async def get(
        self, record: Record, serving: Service, fresh: bool, trends: bool = True
    ) -> tuple[Tiles, list[str]]:
        """The map and notes on it. `fresh`: of the index as it is now; tiles are of the page that named them."""
        async with self._lock:
            today = record.open().now() // 86_400_000 if record.exists else 0
            state = (serving.state, today, trends)
            if self._held is None or (fresh and self._held[0] != state):
                made = await record.insight_pool.run(lambda: make_map(serving.index, trends=trends))
                self._held = (state, *made)
            return self._held[1], self._held[2]


@map_routes.get(
    "",
    response_class=HTMLResponse,
    responses=refused(404, 409),
    summary="The collection as a map on which trends glow",
)
async def page(
    request: Request,
    serving: Serving,
    trends: Annotated[
        bool, Query(description="Let trends glow; new days are charged to their months.")
    ] = True,
) -> HTMLResponse:
    """What looks alike lies close together. The page also says everything as a table."""
    owners_only(request)
    tiles, notes = await _map(request, serving, True, trends)
    text = await serving.light.run(lambda: map_page(tiles, notes, "map/", "/pins/"))
    return HTMLResponse(text, headers={**NO_STORE, **POLICY})


@map_routes.get(f"/{SCRIPT}", include_in_schema=False)
async def page_script() -> Response:
    """The page's script."""
    return Response(script(SCRIPT), media_type="text/javascript", headers=KEPT)


@map_routes.get(
    "/{level}/{x}/{y}.png",
    response_class=Response,
    responses={**refused(404, 409), 200: {"content": {"image/png": {}}, "description": "256 x 256 pixels."}},
    summary="A tile of the map",
)
async def picture(request: Request, serving: Serving, level: Level, x: Column, y: Line) -> Response:
    """Grey where pins lie; green, amber or red where a look rises, peaks or fades."""
    owners_only(request)
    tiles, _ = await _map(request, serving, False)
    drawn = await serving.light.run(lambda: tiles.picture(level, x, y))
    return Response(drawn, media_type="image/png", headers=KEPT)


@map_routes.get(
    "/{level}/{x}/{y}.json", responses=refused(404, 409), summary="What lies in a tile of the map"
)
async def named(request: Request, serving: Serving, level: Level, x: Column, y: Line) -> JSONResponse:
    """How many pins, of which looks, and some of them with their places."""
    owners_only(request)
    tiles, _ = await _map(request, serving, False)
    return JSONResponse(await serving.light.run(lambda: tiles.named(level, x, y)), headers=KEPT)


async def _map(
    request: Request, serving: Service, fresh: bool, trends: bool = True
) -> tuple[Tiles, list[str]]:
    maps: Maps = request.app.state.maps
    return await maps.get(request.app.state.people, serving, fresh, trends)
