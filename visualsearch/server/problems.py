"""Errors as RFC 9457 problem documents: one body for whatever goes wrong, and nothing of the machine in it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from visualsearch import errors

log = logging.getLogger("visualsearch.server")

MEDIA_TYPE = "application/problem+json"
LONGEST = 1_400
"""Characters of a problem's detail."""


class Kind(StrEnum):
    """What kind of thing went wrong: the last part of a problem's `type`."""

    BAD_REQUEST = "bad-request"
    BAD_FILTER = "bad-filter"
    SLOW_FILTER = "slow-filter"
    BAD_PICTURE = "bad-picture"
    KEY_NEEDED = "key-needed"
    KEY_EXPIRED = "key-expired"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    UPLOAD_GONE = "upload-gone"
    NO_PICTURE = "no-picture"
    NOT_ALLOWED = "method-not-allowed"
    EXISTS = "exists"
    LOCKED = "locked"
    TOO_LARGE = "too-large"
    TOO_SLOW = "too-slow"
    UNSUPPORTED = "unsupported-media-type"
    BUSY = "busy"
    RATE = "rate-limited"
    NO_ROOM = "no-room"
    STARTING = "not-ready"
    UNREACHABLE = "people-unreachable"
    PERSON_NEEDED = "person-needed"
    NO_CONSENT = "no-consent"
    BAD_CURSOR = "bad-cursor"
    INTERNAL = "internal"


class Shape(NamedTuple):
    """Status and title of a kind."""

    status: int
    title: str


SHAPES: Mapping[Kind, Shape] = {
    Kind.BAD_REQUEST: Shape(422, "The request cannot be understood"),
    Kind.BAD_FILTER: Shape(422, "The filter cannot be used"),
    Kind.SLOW_FILTER: Shape(422, "The filter takes too long"),
    Kind.BAD_PICTURE: Shape(422, "The picture cannot be read"),
    Kind.KEY_NEEDED: Shape(401, "An API key is needed"),
    Kind.KEY_EXPIRED: Shape(401, "The API key has expired"),
    Kind.FORBIDDEN: Shape(403, "Not allowed"),
    Kind.NOT_FOUND: Shape(404, "There is no such thing"),
    Kind.UPLOAD_GONE: Shape(410, "The uploaded picture is no longer kept"),
    Kind.NO_PICTURE: Shape(404, "The pin's picture cannot be read"),
    Kind.NOT_ALLOWED: Shape(405, "This address does not take that method"),
    Kind.EXISTS: Shape(409, "It exists already"),
    Kind.LOCKED: Shape(409, "Another process is writing to the index"),
    Kind.TOO_LARGE: Shape(413, "The body is too large"),
    Kind.TOO_SLOW: Shape(408, "The body took too long"),
    Kind.UNSUPPORTED: Shape(415, "This kind of body is not taken"),
    Kind.BUSY: Shape(429, "The server is busy"),
    Kind.RATE: Shape(429, "Too many requests"),
    Kind.NO_ROOM: Shape(507, "The index cannot be written"),
    Kind.STARTING: Shape(503, "Not ready"),
    Kind.UNREACHABLE: Shape(503, "The record of people cannot be reached"),
    Kind.PERSON_NEEDED: Shape(401, "The request names no person"),
    Kind.NO_CONSENT: Shape(403, "The person's consent does not allow it"),
    Kind.BAD_CURSOR: Shape(400, "The cursor cannot be used"),
    Kind.INTERNAL: Shape(500, "The server failed"),
}

BY_ERROR: tuple[tuple[type[errors.VisualSearchError], Kind], ...] = (
    (errors.FilterError, Kind.BAD_FILTER),
    (errors.ForbiddenError, Kind.FORBIDDEN),
    (errors.ConsentError, Kind.NO_CONSENT),
    (errors.ConflictError, Kind.EXISTS),
    (errors.UsageError, Kind.BAD_REQUEST),
    (errors.PictureError, Kind.BAD_PICTURE),
    (errors.SourceError, Kind.BAD_REQUEST),
    (errors.LockedError, Kind.LOCKED),
    (errors.UnreachableError, Kind.UNREACHABLE),
    (errors.StorageError, Kind.NO_ROOM),
)
"""The first that fits says what an error of the library is to a client. Others are internal."""

PRIVATE = frozenset({Kind.LOCKED, Kind.NO_ROOM, Kind.UNREACHABLE, Kind.INTERNAL})
"""Kinds whose messages name folders of the server: the log gets them, the client does not."""

BY_STATUS = {404: Kind.NOT_FOUND, 405: Kind.NOT_ALLOWED, 413: Kind.TOO_LARGE, 415: Kind.UNSUPPORTED}


class RefusedError(errors.VisualSearchError):
    """A request that the server will not or cannot answer; `retry_after` is in seconds."""

    def __init__(
        self, kind: Kind, what: str, why: str = "", remedy: str = "", retry_after: int | None = None
    ) -> None:
        super().__init__(what, why, remedy)
        self.kind, self.retry_after = kind, retry_after


def problem(
    kind: Kind, detail: str = "", headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """The response for a problem of that kind."""
    status, title = SHAPES[kind]
    body = {
        "type": f"/docs#{kind.value}",
        "title": title,
        "status": status,
        "detail": _cut(detail) or title,
        **more,
    }
    return JSONResponse(body, status, dict(headers or {}), MEDIA_TYPE)


def _cut(text: str) -> str:
    """What is said, without the megabytes that an error may repeat."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"


def from_error(error: errors.VisualSearchError) -> JSONResponse:
    """The response for an error of the library or of this server."""
    if isinstance(error, RefusedError):
        headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        if SHAPES[error.kind].status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="visualsearch"'
        return problem(error.kind, str(error), headers)
    kind = next((kind for base, kind in BY_ERROR if isinstance(error, base)), Kind.INTERNAL)
    if kind not in PRIVATE:
        return problem(kind, str(error))
    log.error("%s: %s", type(error).__name__, error, exc_info=kind is Kind.INTERNAL and error)
    headers = {"Retry-After": "5"} if kind in (Kind.LOCKED, Kind.UNREACHABLE) else {}
    return problem(kind, "The server's log has the reason. Try again later.", headers)


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document."""

    async def ours(_: Request, error: Exception) -> Response:
        assert isinstance(error, errors.VisualSearchError)
        return from_error(error)

    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kind = BY_STATUS.get(error.status_code, Kind.BAD_REQUEST)
        return problem(kind, "See /docs for what this server answers.", error.headers)

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem(Kind.BAD_REQUEST, *explained(error.errors()))

    async def gone(_: Request, __: Exception) -> Response:
        return Response(status_code=400)  # nobody is left to read it

    async def unforeseen(_: Request, error: Exception) -> Response:
        log.error("unforeseen %s", type(error).__name__, exc_info=error)
        return problem(Kind.INTERNAL, "The server's log has the reason.")

    app.add_exception_handler(errors.VisualSearchError, ours)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, unforeseen)


def explained(found: Any) -> tuple[str]:
    """What pydantic found wrong, in one sentence; what was sent is not repeated."""
    said = []
    for one in list(found)[:5]:
        parts = (str(part)[:40] for part in one.get("loc", ())[:8] if part not in ("body", "query", "path"))
        place = ".".join(parts)
        said.append(f"{place}: {one['msg']}" if place else str(one["msg"]))
    return ("; ".join(said) + ".",)
