"""Logging in with a key: a cookie for the page, and its end."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from visualsearch.people import TOKEN

from .access import COOKIE, OWNERS, caller, check, mark_of, needed, owner_by
from .openapi import json_body, refused
from .problems import RefusedError
from .reading import read_json
from .routes import OLD_COOKIE, Serving
from .schemas_session import SessionIn, SessionOut
from .sessions import Sessions
from .settings import Settings

session_routes = APIRouter(tags=["server"])


@session_routes.get("/session", responses=refused(), summary="Whether a key is needed")
async def session(request: Request) -> SessionOut:
    """And what the caller's key allows."""
    settings: Settings = request.app.state.settings
    try:
        scope = caller(request)
    except RefusedError:
        scope = None
    return SessionOut(needed=needed(request) and not settings.public, scope=scope, owner=owner_by(request))


@session_routes.post(
    "/session", responses=refused(415), openapi_extra=json_body(SessionIn), summary="Keep a key as a cookie"
)
async def log_in(request: Request, serving: Serving) -> JSONResponse:
    """For the web page: the cookie may read, whatever the key may do, and with a person's token it acts for the person. It
    holds a random token, never the key.
    """
    mark = mark_of((await read_json(request, SessionIn)).key)
    person = mark.startswith(TOKEN)  # looked up in the record
    scope = await serving.light.run(check, request, mark) if person else check(request, mark)
    settings: Settings = request.app.state.settings
    sessions: Sessions = request.app.state.sessions
    owner = OWNERS.get(scope) if needed(request) else "open"
    answer = JSONResponse(SessionOut(needed=needed(request), scope=scope, owner=owner).model_dump())
    secure = settings.secure_cookie or request.scope["scheme"] == "https"
    answer.set_cookie(
        COOKIE,
        sessions.begin(mark),
        max_age=int(sessions.seconds),
        secure=secure,
        httponly=True,
        samesite="strict",
    )
    answer.delete_cookie(OLD_COOKIE)
    return answer


@session_routes.delete("/session", status_code=204, responses=refused(), summary="Forget the cookie")
async def log_out(request: Request) -> Response:
    """The key itself stays good."""
    sessions: Sessions = request.app.state.sessions
    sessions.forget(request.cookies.get(COOKIE, ""))
    answer = Response(status_code=204)
    for name in (COOKIE, OLD_COOKIE):
        answer.delete_cookie(name)
    return answer
