"""Ids of served lists: what an event names when it says what was seen."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Header, Request

from visualsearch.errors import LockedError, UnreachableError, VisualSearchError
from visualsearch.people import TOKEN, ConsentLevel

from ..access import COOKIE, header_token, mark_of, person_of
from ..sessions import Sessions
from .asking import VISITOR, caller_of, visitor_of
from .record import Record
from .signing import Signer
from .words import PLAIN

Session = Annotated[
    str | None,
    Header(
        alias="X-Session",
        max_length=200,
        pattern=PLAIN,
        description="The label of the client's session, as its events have it: for experiments that assign sessions.",
    ),
]
PATIENCE = 1.0
"""Seconds that a list waits for what its reader allows: a slow database must not slow searches."""


def signer_of(request: Request) -> Signer:
    """The server's signatures."""
    signer: Signer = request.app.state.people.signer
    return signer


async def answer_of(request: Request) -> str | None:
    """A new id for a list that is served; None where there is no record, or where the person lets nothing be kept."""
    record: Record = request.app.state.people
    if not record.enabled:
        return None
    mark = _mark(request)
    visitor = None if mark else visitor_of(request)
    if not mark and visitor is None:
        return record.new_answer()
    person = mark or f"{VISITOR}{visitor}"
    level = record.remembered(person)
    if level is None:
        if not record.reachable:
            return None
        try:
            async with asyncio.timeout(PATIENCE):
                level = await record.pool.run(_level, request, record, person)
        except (VisualSearchError, TimeoutError):
            record.lost()
            return None  # no event could name the list
    return None if level is ConsentLevel.OFF else record.new_answer()


async def reader_of(request: Request, named: str | None) -> str | None:
    """For whom a search is: who asks, or the person that an application names. None for strangers, and for who asks that
    nothing be kept. Raises RefusedError for a person that the request may not speak for.

    A record that does not answer in time must not cost a search: it is then nobody's.
    """
    record: Record = request.app.state.people
    if named is None and not _mark(request) and visitor_of(request) is None:
        return None
    if not record.enabled or (named is None and not record.reachable):
        return None
    try:
        async with asyncio.timeout(PATIENCE):
            who = await record.pool.run(caller_of, request, named, False)
    except (UnreachableError, LockedError, TimeoutError):
        record.lost()
        return None
    return None if who.limited else who.person


def _level(request: Request, record: Record, person: str) -> ConsentLevel:
    return record.level(person_of(request, person) if person.startswith(TOKEN) else person, person)


def _mark(request: Request) -> str:
    """What stands for a person's token; empty where none speaks."""
    token = header_token(request)
    sessions: Sessions = request.app.state.sessions
    mark = mark_of(token) if token else sessions.key_of(request.cookies.get(COOKIE, "")) or ""
    return mark if mark.startswith(TOKEN) else ""
