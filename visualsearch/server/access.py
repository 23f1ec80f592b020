"""Who may do what: keys in a header, or a session's cookie, which stands for a key and may only read."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from visualsearch.errors import UsageError
from visualsearch.people import TOKEN

from .keys import Expired, Key, Keys, Scope, digest_of
from .problems import Kind, RefusedError
from .sessions import Sessions
from .settings import Settings

log = logging.getLogger("visualsearch.server")

COOKIE = "visualsearch_session"
OWNERS: dict[Scope, Literal["write", "insight"]] = {Scope.WRITE: "write", Scope.INSIGHT: "insight"}
T = TypeVar("T")

Bearer = Annotated[
    HTTPAuthorizationCredentials | None,
    Security(HTTPBearer(auto_error=False, description="An API key: Authorization: Bearer KEY")),
]
Header = Annotated[str | None, Security(APIKeyHeader(name="X-API-Key", auto_error=False))]


def caller(request: Request) -> Scope | None:
    """What the request's key or person's token allows; None without a key. Raises RefusedError for a wrong or expired one."""
    token = header_token(request)
    cookie = "" if token else request.cookies.get(COOKIE, "")
    if not token and not cookie:
        return None
    if token:
        return check(request, mark_of(token))
    sessions: Sessions = request.app.state.sessions
    mark = sessions.key_of(cookie)
    if mark is None:
        raise RefusedError(Kind.KEY_NEEDED, "this session is over", "", "Give the key again")
    check(request, mark)
    # A cookie comes along with whatever a browser sends, so it must not be enough to change anything.
    return Scope.READ


def header_token(request: Request) -> str:
    """The key or token in the request's headers; empty without one."""
    header = request.headers.get("authorization", "")
    return header[7:].strip() if header[:7].lower() == "bearer " else request.headers.get("x-api-key", "")


def mark_of(token: str) -> str:
    """What stands for a key or a person's token without telling it: a SHA-256, and which of the two it is."""
    return (TOKEN if token.startswith(TOKEN) else "") + digest_of(token)


def person_of(request: Request, mark: str) -> str:
    """The pseudonym of the person whose token has that mark. Raises RefusedError."""
    found: str | None = request.app.state.people.holder(mark.removeprefix(TOKEN))
    if found is None:
        raise RefusedError(
            Kind.KEY_NEEDED,
            "this token is not known here",
            "it was revoked, has ended or never was",
            "Ask the server's owner for one",
        )
    return found


def check(request: Request, mark: str) -> Scope:
    """The scope of the key, or of the person's token, with that mark. Raises RefusedError."""
    if mark.startswith(TOKEN):
        person_of(request, mark)
        return Scope.READ
    return key_of(request, mark).scope


def key_of(request: Request, mark: str) -> Key:
    """The key with that mark. Raises RefusedError for one that is not known or has ended."""
    keys: Keys = request.app.state.keys
    try:
        found = _read(lambda: keys.key_of_hash(mark))
    except Expired:
        raise RefusedError(
            Kind.KEY_EXPIRED, "this API key has expired", "", "Ask the server's owner for a new one"
        ) from None
    if found is None:
        raise RefusedError(
            Kind.KEY_NEEDED, "this API key is not known here", "", "Ask the server's owner for one"
        )
    return found


def needed(request: Request) -> bool:
    """Whether keys are needed here. Once they are, they stay so: a file that vanishes opens nothing."""
    state = request.app.state
    settings: Settings = state.settings
    if settings.keys_needed or state.keys_came:
        return True
    if settings.watch_keys and _read(lambda: len(state.keys)):
        state.keys_came = True
        return True
    return False


def _read(question: Callable[[], T]) -> T:
    """The answer to a question to the keys; while their file is damaged, nobody is let in."""
    try:
        return question()
    except UsageError as error:
        log.error("%s", error)
        raise RefusedError(
            Kind.STARTING, "the server's keys cannot be read", "their file is damaged", "Tell its owner"
        ) from error


def reading(request: Request, _bearer: Bearer, _header: Header) -> None:
    """Let pass who may read."""
    settings: Settings = request.app.state.settings
    if not settings.public:
        watching(request, _bearer, _header)


def watching(request: Request, _bearer: Bearer, _header: Header) -> None:
    """Let pass who has a key, on public servers too: what the server tells of itself is not for strangers."""
    if needed(request) and caller(request) is None:
        raise missing("read")


def writing(request: Request, _bearer: Bearer, _header: Header) -> None:
    """Let pass who may write."""
    if not needed(request):
        return
    scope = caller(request)
    if scope is None:
        raise missing("write")
    if scope is not Scope.WRITE:
        raise RefusedError(
            Kind.FORBIDDEN,
            "this key may not write",
            f"its scope is {scope.value}",
            "Use a write key, in a header and not as a cookie",
        )


def gaining_insight(request: Request, _bearer: Bearer, _header: Header) -> None:
    """Let pass who has a key with the scope `insight`: in a header, or in a browser that this site's own page sent here.

    `request.state.merchant` is then the merchant whose domains the key is bound to, None where it sees all.
    """
    request.state.merchant = None
    if not needed(request):
        return
    token = header_token(request)
    cookie = "" if token else request.cookies.get(COOKIE, "")
    sessions: Sessions = request.app.state.sessions
    mark = mark_of(token) if token else sessions.key_of(cookie) if cookie else None
    if mark is None:
        raise missing(Scope.INSIGHT.value)
    foreign = request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
    if check(request, mark) is not Scope.INSIGHT or (not token and foreign):
        raise RefusedError(
            Kind.FORBIDDEN,
            "this key may not see figures about people",
            "its scope is not insight" if token else "the session has another key, or another site led here",
            "The owner makes a key with: visualsearch serve DIR --new-key insight",
        )
    request.state.merchant = key_of(request, mark).merchant


def owners_only(request: Request) -> None:
    """Raise RefusedError where a key for insight is a merchant's: after `gaining_insight`."""
    if request.state.merchant is not None:
        raise merchants_own("it is a merchant's, and sees that merchant's own report and timing")


def merchants_own(why: str) -> RefusedError:
    """The error for what a merchant's key does not see."""
    return RefusedError(
        Kind.FORBIDDEN,
        "this key does not see that",
        why,
        "Prove a domain: visualsearch insight claim DIR DOMAIN --merchant NAME --check; or ask the server's owner",
    )


def owner_by(request: Request) -> Literal["open", "write", "insight"] | None:
    """Why the owner's pages are for the caller. It opens nothing: each page and change asks for a key of its own."""
    token = header_token(request)
    sessions: Sessions = request.app.state.sessions
    try:
        if not needed(request):
            return "open"
        mark = mark_of(token) if token else sessions.key_of(request.cookies.get(COOKIE, ""))
        # A person's token is no owner's key; looking it up would wait for the record.
        found = None if mark is None or mark.startswith(TOKEN) else check(request, mark)
    except RefusedError:
        return None
    return OWNERS.get(found) if found else None


def missing(scope: str) -> RefusedError:
    """The error for a request without a key."""
    return RefusedError(
        Kind.KEY_NEEDED,
        "an API key is needed here",
        "the request has none",
        f"Send Authorization: Bearer KEY; the owner makes keys with: visualsearch serve DIR --new-key {scope}",
    )


CAN_READ = Depends(reading)
CAN_WRITE = Depends(writing)
CAN_WATCH = Depends(watching)
CAN_GAIN_INSIGHT = Depends(gaining_insight)
