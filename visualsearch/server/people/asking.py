"""Who is asking: an application that speaks for its people, a person with a token, or a visitor with a cookie."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from fastapi import Depends, Query, Request
from starlette.responses import Response

from visualsearch.errors import UnknownNameError
from visualsearch.people import TOKEN, People, pseudonym_number

from ..access import COOKIE, Bearer, Header, check, header_token, mark_of, missing, needed, person_of
from ..keys import Scope, digest_of
from ..limits import from_extension
from ..problems import Kind, RefusedError
from ..sessions import Sessions
from ..settings import Settings
from .record import Record
from .signing import VALID, Signer
from .words import PLAIN

T = TypeVar("T")

VISITOR_COOKIE = "visualsearch_visitor"
VISITOR = "visitor:"
"""How the key of a visitor begins."""
NOBODYS = (VISITOR, "guest:")
CSRF = "X-CSRF-Token"
RENEWED = 86_400
EVERYTHING = frozenset(Scope)
READ = frozenset({Scope.READ})
UNKNOWN = {
    "board": "Name a board's id, or the title of one of the person's own",
    "person": "A person is known from their first save or event on",
    "pin": "Search first to learn the ids",
    "save": "Name a pin that is on the board",
    "comment": "It may have been deleted",
    "section": "The board lists its sections",
}
"""Things of which a request may name one that is not there, or not for the asker: both get the same answer."""


@dataclass(frozen=True)
class Caller:
    """Who asks and what they may do. `person` is a key or pseudonym, None of a stranger.

    `limited`: the browser asks (`Sec-GPC`, `DNT`) that nothing be kept for longer than the session. `csrf`: the token that
    changes need where a cookie speaks for the person.
    """

    person: str | None
    scopes: frozenset[Scope]
    limited: bool = False
    csrf: str | None = None

    @property
    def name(self) -> str:
        """The person. Raises RefusedError of a stranger."""
        if self.person is None:
            raise RefusedError(
                Kind.PERSON_NEEDED,
                "nobody is named",
                "the request has no person's token, no `person` and no visitor's cookie",
                "Ask GET /me first: it begins a visitor's session",
            )
        return self.person


async def secured(_bearer: Bearer, _header: Header) -> None:
    """Tells the OpenAPI document of the keys; `caller_of` looks at them."""


SECURED = Depends(secured)

Named = Annotated[
    str | None,
    Query(
        alias="person",
        max_length=200,
        pattern=PLAIN,
        description="For whom an application with a key of scope `act` speaks.",
    ),
]


async def ask(
    request: Request,
    named: str | None,
    work: Callable[[People, Caller], T],
    changes: bool = False,
    stores: bool | None = None,
) -> T:
    """`work(people, caller)` in a thread. `changes`: a cookie alone is not enough. `stores` (default: as `changes`): what
    the caller does may be kept only as their browser's signals let it.
    """
    record: Record = request.app.state.people
    return await record.pool.run(_asked, request, named, work, changes, changes if stores is None else stores)


def _asked(
    request: Request,
    named: str | None,
    work: Callable[[People, Caller], T],
    changes: bool,
    stores: bool,
) -> T:
    record: Record = request.app.state.people
    who = caller_of(request, named, changes)
    people = record.storing(who.name, who.limited) if stores else record.open()
    try:
        return work(people, who)
    except UnknownNameError as error:
        raise known_as(error) from error


def theirs(who: Caller, name: str) -> str:
    """A person whom somebody may name: applications by key, others by pseudonym, lest they learn whose it is.

    Raises UnknownNameError.
    """
    if Scope.ACT in who.scopes or pseudonym_number(name) is not None or name == who.person:
        return name
    raise UnknownNameError("person", "", [])


def own(find: Callable[[], list[T]], unknown_too: bool = True) -> list[T]:
    """A person's own list: empty of somebody of whom nothing is kept yet."""
    try:
        return find()
    except UnknownNameError as error:
        if error.kind == "person" and unknown_too:
            return []
        raise


def known_as(error: UnknownNameError) -> Exception:
    """An unknown thing as the answer to a request: the same for one that is hidden and one that is not there."""
    if error.kind not in UNKNOWN:
        return error
    return RefusedError(Kind.NOT_FOUND, f"there is no such {error.kind}", "", UNKNOWN[error.kind])


def caller_of(request: Request, named: str | None, changes: bool, token: str | None = None) -> Caller:
    """Who asks; `token` is the CSRF token where the body brought it. Raises RefusedError for a wrong key, for a person that
    the asker may not speak for, and for forgery.
    """
    scopes, person, subject = _granted(request)
    limited = request.headers.get("sec-gpc") == "1" or request.headers.get("dnt") == "1"
    if named is not None:
        _may_speak(request, scopes, person, named)
        person = person or named
    if person is None:
        visitor = visitor_of(request)
        person = None if visitor is None else VISITOR + visitor
        subject = visitor
    csrf = None if subject is None else csrf_token(request, subject)
    if changes and subject is not None:
        _check_forgery(request, subject, token)
    return Caller(person, scopes, limited, csrf)


def _granted(request: Request) -> tuple[frozenset[Scope], str | None, str | None]:
    """What the request's key allows; the person whose token it is; and the cookie, if it was one that said so."""
    settings: Settings = request.app.state.settings
    token = header_token(request)
    if token:
        scopes, person = _by_mark(request, mark_of(token))
        return scopes, person, None
    cookie = request.cookies.get(COOKIE, "")
    sessions: Sessions = request.app.state.sessions
    mark = sessions.key_of(cookie) if cookie else None
    if mark is not None:
        person = _by_mark(request, mark)[1]
        return READ, person, cookie if person else None
    if not needed(request):
        return EVERYTHING, None, None
    if not settings.public:
        raise missing("read")
    return READ, None, None


def _by_mark(request: Request, mark: str) -> tuple[frozenset[Scope], str | None]:
    if mark.startswith(TOKEN):
        return READ, person_of(request, mark)
    return READ | {check(request, mark)}, None


def _may_speak(request: Request, scopes: frozenset[Scope], person: str | None, named: str) -> None:
    """Raise RefusedError unless the asker may speak for the person that the request names."""
    record: Record = request.app.state.people
    if person is not None:
        if person not in (named, _pseudonym(record, named)):
            raise RefusedError(
                Kind.FORBIDDEN,
                "this token may not speak for another person",
                "",
                "Leave `person` out: it acts for its own person",
            )
        return
    if Scope.ACT not in scopes:
        raise RefusedError(
            Kind.FORBIDDEN,
            "the request may not speak for a person",
            "it has no key with the scope `act`",
            "The owner makes one with: visualsearch serve DIR --new-key act",
        )
    if not speaks_for(record, named):
        raise RefusedError(
            Kind.FORBIDDEN, "a visitor speaks for themselves", "", "Claim the visitor: POST /me/claim"
        )


def speaks_for(record: Record, named: str) -> bool:
    """Whether an application may speak for somebody: for anybody but visitors."""
    key: str | None = named
    if pseudonym_number(named) is not None and record.exists:
        try:
            key = record.open().key_of(named)
        except UnknownNameError:
            return True  # and unknown to whatever is asked next
    return key is None or not key.startswith(NOBODYS)


def _pseudonym(record: Record, named: str) -> str | None:
    try:
        return record.open().pseudonym(named)
    except UnknownNameError:
        return None


# -- visitors ------------------------------------------------------------------------------------------------------
def visitor_of(request: Request) -> str | None:
    """The id in a visitor's cookie; None where it is not ours or too old."""
    return visitor_in(request.app.state.people.signer, request.cookies.get(VISITOR_COOKIE, ""))


def visitor_in(signer: Signer, cookie: str) -> str | None:
    """The id in the value of a visitor's cookie."""
    text, _, signature = cookie.rpartition(".")
    name, _, issued = text.partition(".")
    if not name or not issued.isdigit() or len(issued) > 12 or not signer.check("visitor", text, signature):
        return None
    return name if time.time() < int(issued) + VALID else None


def welcome(request: Request, answer: Response) -> str:
    """Give a visitor without a cookie one, and renew one that is a day old. The visitor's id."""
    signer: Signer = request.app.state.people.signer
    settings: Settings = request.app.state.settings
    cookie = request.cookies.get(VISITOR_COOKIE, "")
    visitor = visitor_in(signer, cookie)
    now = int(time.time())
    if visitor is not None and now < int(cookie.split(".")[1]) + RENEWED:
        return visitor
    visitor = visitor or secrets.token_urlsafe(18)
    text = f"{visitor}.{now}"
    answer.set_cookie(
        VISITOR_COOKIE,
        f"{text}.{signer.sign('visitor', text)}",
        max_age=int(VALID),
        secure=settings.secure_cookie or request.scope["scheme"] == "https",
        httponly=True,
        samesite="lax",
    )
    return visitor


def csrf_token(request: Request, subject: str) -> str:
    """What a page must send along with changes in the name of a cookie. Only the server's own page can read it."""
    signer: Signer = request.app.state.people.signer
    return signer.sign("csrf", digest_of(subject))


def _check_forgery(request: Request, subject: str, token: str | None) -> None:
    """Raise RefusedError unless the server's own page sent this: a browser adds the cookie whoever asks."""
    if not _same_origin(request):
        raise RefusedError(
            Kind.FORBIDDEN,
            "a cookie acts only for the server's own page",
            "neither Origin nor Sec-Fetch-Site says that the request is from it",
            "A program sends a person's token instead, or an Origin header with the server's address",
        )
    signer: Signer = request.app.state.people.signer
    if not signer.check("csrf", digest_of(subject), request.headers.get(CSRF, token or "")):
        raise RefusedError(
            Kind.FORBIDDEN,
            f"the header {CSRF} is missing or wrong",
            "a cookie alone changes nothing",
            "Send what GET /me gives as `csrf`",
        )


def _same_origin(request: Request) -> bool:
    settings: Settings = request.app.state.settings
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if origin is not None and from_extension(origin, settings):
        return True
    if site not in (None, "same-origin", "none"):
        return False
    if origin is None:
        return site == "same-origin"
    try:
        return urlsplit(origin).netloc == request.headers.get("host", "")
    except ValueError:
        return False
