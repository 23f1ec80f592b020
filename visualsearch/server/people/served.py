"""Ids of served lists: what an event names when it says what was seen."""

from __future__ import annotations

from fastapi import Request

from visualsearch.errors import VisualSearchError
from visualsearch.people import TOKEN, ConsentLevel

from ..access import COOKIE, header_token, mark_of, person_of
from ..sessions import Sessions
from .asking import VISITOR, VISITOR_COOKIE, visitor_of
from .record import Record
from .signing import Signer


def signer_of(request: Request) -> Signer:
    """The server's signatures."""
    signer: Signer = request.app.state.people.signer
    return signer


async def answer_of(request: Request) -> str | None:
    """A new id for a list that is served; None where there is no record, or where the person lets nothing be kept."""
    record: Record = request.app.state.people
    if not record.enabled:
        return None
    if _anonymous(request):
        return record.new_answer()
    return await record.pool.run(_answer, request, record)


def _anonymous(request: Request) -> bool:
    cookies = request.cookies
    token = header_token(request)
    return not token.startswith(TOKEN) and VISITOR_COOKIE not in cookies and COOKIE not in cookies


def _answer(request: Request, record: Record) -> str | None:
    try:
        person = _person(request)
        allowed = person is None or record.level(person) is not ConsentLevel.OFF
    except VisualSearchError:
        return None  # the record cannot be reached: no event could name the list
    return record.new_answer() if allowed else None


def _person(request: Request) -> str | None:
    token = header_token(request)
    sessions: Sessions = request.app.state.sessions
    mark = mark_of(token) if token else sessions.key_of(request.cookies.get(COOKIE, "")) or ""
    if mark.startswith(TOKEN):
        return person_of(request, mark)
    visitor = visitor_of(request)
    return None if visitor is None else VISITOR + visitor
