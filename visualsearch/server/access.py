"""Who may do what: keys in a header, or in a cookie that may only read."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from .keys import Expired, Keys, Scope
from .problems import Kind, RefusedError
from .settings import Settings

COOKIE = "visualsearch_key"

Bearer = Annotated[
    HTTPAuthorizationCredentials | None,
    Security(HTTPBearer(auto_error=False, description="An API key: Authorization: Bearer KEY")),
]
Header = Annotated[str | None, Security(APIKeyHeader(name="X-API-Key", auto_error=False))]


def caller(request: Request) -> Scope | None:
    """What the request's key allows; None without a key. Raises RefusedError for a wrong or expired one."""
    keys: Keys = request.app.state.keys
    header = request.headers.get("authorization", "")
    token = header[7:].strip() if header[:7].lower() == "bearer " else request.headers.get("x-api-key", "")
    cookie = "" if token else request.cookies.get(COOKIE, "")
    if not token and not cookie:
        return None
    scope = check(keys, token or cookie)
    # A cookie comes along with whatever a browser sends, so it must not be enough to change anything.
    return Scope.READ if cookie else scope


def check(keys: Keys, token: str) -> Scope:
    """The scope of a key. Raises RefusedError."""
    try:
        found = keys.scope_of(token)
    except Expired:
        raise RefusedError(
            Kind.KEY_EXPIRED, "this API key has expired", "", "Ask the server's owner for a new one"
        ) from None
    if found is None:
        raise RefusedError(
            Kind.KEY_NEEDED, "this API key is not known here", "", "Ask the server's owner for one"
        )
    return found[1]


def reading(request: Request, _bearer: Bearer, _header: Header) -> None:
    """Let pass who may read."""
    settings: Settings = request.app.state.settings
    if settings.keys_needed and not settings.public and caller(request) is None:
        raise _needed("read")


def writing(request: Request, _bearer: Bearer, _header: Header) -> None:
    """Let pass who may write."""
    settings: Settings = request.app.state.settings
    if not settings.keys_needed:
        return
    scope = caller(request)
    if scope is None:
        raise _needed("write")
    if scope is not Scope.WRITE:
        raise RefusedError(
            Kind.FORBIDDEN, "this key may only read", "", "Use a write key, in a header and not as a cookie"
        )


def _needed(scope: str) -> RefusedError:
    return RefusedError(
        Kind.KEY_NEEDED,
        "an API key is needed here",
        "the request has none",
        f"Send Authorization: Bearer KEY; the owner makes keys with: visualsearch serve DIR --new-key {scope}",
    )


CAN_READ = Depends(reading)
CAN_WRITE = Depends(writing)
