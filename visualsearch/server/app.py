"""The application: routes, limits, errors and the page over one open index."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from visualsearch import __version__
from visualsearch.engine import Index

from .batching import BatchingEncoder
from .experiments import experiment_routes
from .guards import Guards
from .insight import insight_routes
from .insight_map import Maps, map_routes
from .keys import FILE, Keys
from .limits import Gate, Watched
from .login import session_routes
from .metrics import Metrics
from .openapi import describe
from .people import boards, comments, events, feed, me, plans, saves
from .people.record import Record
from .problems import install
from .promote import campaign_routes, hidden_routes, pixel_routes
from .related import related_routes
from .review import install_judge
from .routes import pin_routes, search_routes, system_routes
from .service import Service
from .sessions import Sessions
from .settings import Settings

_FRESH = {"Cache-Control": "no-cache"}
people_routes = tuple(each.routes for each in (feed, boards, saves, comments, events, me, plans))

log = logging.getLogger("visualsearch.server")


def open_service(folder: Path, settings: Settings, encoder: Any = None, **options: Any) -> Service:
    """The service over the index in `folder`; its encoder is loaded now. `options` as for `Index.open`."""
    metrics = Metrics()
    with Index.open(folder, encoder, **options) as index:
        inner = index.encoder
    batching = BatchingEncoder(inner, settings.batch, metrics.observe, metrics.batches.observe)
    return Service(Index.open(folder, batching), batching, settings, metrics)


def create_app(service: Service, keys: Keys | None = None) -> FastAPI:
    """The application over `service`, which it closes at the end. `keys`: default those of the index folder."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        rounds = (_background(service), record.run(), judge.run(), guards.run())
        tasks = [asyncio.create_task(each) for each in rounds]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await asyncio.to_thread(judge.close)
            await asyncio.to_thread(guards.close)
            await asyncio.to_thread(record.close)
            await asyncio.to_thread(service.close)

    record = Record(service)
    guards = Guards(service, record)

    app = FastAPI(
        title="visualsearch",
        version=__version__,
        summary="Find pictures by picture, part of a picture, words, stored pins, or any mix.",
        description="Names and meaning are those of the command line and of Python. Errors are RFC 9457 problem documents.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    app.state.settings = service.settings
    app.state.keys = Keys(service.index.folder / FILE) if keys is None else keys
    app.state.keys_came = False
    app.state.sessions = Sessions()
    app.state.people = record
    app.state.maps = Maps()
    install(app)
    promoting = (campaign_routes, pixel_routes, hidden_routes)
    for router in (
        *(search_routes, pin_routes, related_routes, *people_routes, *promoting),
        *(experiment_routes, insight_routes, map_routes, system_routes, session_routes),
    ):
        app.include_router(router)
    judge = install_judge(app, service, record)
    _add_pages(app)
    describe(app)
    app.add_middleware(Gate, settings=service.settings, metrics=service.metrics)
    app.add_middleware(Watched, metrics=service.metrics)  # the last added is the outermost
    return app


def _add_pages(app: FastAPI) -> None:
    folder = Path(str(files("visualsearch.server") / "static"))

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(folder / "index.html")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(folder / "docs.html")

    @app.get("/favicon.ico", include_in_schema=False)
    async def icon() -> FileResponse:
        return FileResponse(folder / "icon.svg")

    @app.get("/sw.js", include_in_schema=False)
    async def worker() -> FileResponse:
        return FileResponse(folder / "sw.js", headers=_FRESH)

    @app.get("/manifest.webmanifest", include_in_schema=False)
    async def manifest() -> FileResponse:
        return FileResponse(
            folder / "manifest.webmanifest", media_type="application/manifest+json", headers=_FRESH
        )

    @app.get("/save.js", include_in_schema=False)
    async def save_button() -> FileResponse:
        # The one file that pages of other sites may load: it holds nothing of anybody.
        return FileResponse(
            folder / "save.js", headers={**_FRESH, "Cross-Origin-Resource-Policy": "cross-origin"}
        )

    app.mount("/static", GZipMiddleware(_Shell(directory=folder), minimum_size=1000), "static")


class _Shell(StaticFiles):
    """The page's files: a browser asks whether its copy is the newest, and is sent only what is not."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        answer = super().file_response(*args, **options)
        answer.headers.update(_FRESH)
        return answer


async def _background(service: Service) -> None:
    """Warm up, then keep the gauges (live recall among them) up to date."""
    try:
        await service.pictures.run(service.warm)
    except Exception:
        log.exception("the model could not be warmed up; the server is not ready")
        return
    while True:
        try:
            await service.light.run(service.measure)
        except Exception:
            log.exception("the index could not be measured")
        await asyncio.sleep(service.settings.recall_seconds)
