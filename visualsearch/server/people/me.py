"""`/me`: what is kept of who asks, what they allow, and how it is forgotten."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from visualsearch.errors import UnknownNameError, UsageError
from visualsearch.people import Consent, ConsentLevel, People, Person

from ..openapi import json_body, refused
from ..problems import Kind, RefusedError
from ..reading import read_json
from .asking import (
    READ,
    SECURED,
    VISITOR,
    VISITOR_COOKIE,
    Caller,
    Named,
    ask,
    caller_of,
    csrf_token,
    visitor_in,
    welcome,
)
from .record import Record
from .schemas_me import (
    ClaimIn,
    ClaimOut,
    ConsentIn,
    ConsentOut,
    MeOut,
    PauseIn,
    ProfileIn,
    ReceiptOut,
    SignalsIn,
    SignalsOut,
)
from .served import signer_of

routes = APIRouter(tags=["me"], dependencies=[SECURED])


def _known(people: People, who: Caller) -> Person:
    """The caller; of a visitor who did nothing yet, what would be true of them."""
    try:
        return people.person(who.name)
    except UnknownNameError as error:
        if error.kind != "person":
            raise
        level = ConsentLevel.SESSION if who.limited else ConsentLevel.ON
        return Person("", None, Consent(level))


@routes.get("/me", responses=refused(404), summary="Who is asking")
async def me(request: Request, person: Named = None) -> Response:
    """A visitor without a cookie gets one: it is what speaks for them from then on. Nothing is stored by asking."""
    record: Record = request.app.state.people

    def work() -> Response:
        people = record.open()
        who = caller_of(request, person, changes=False)
        answer = Response(media_type="application/json")
        if who.person is None or who.person.startswith(VISITOR):
            visitor = welcome(request, answer)
            who = Caller(VISITOR + visitor, READ, who.limited, csrf_token(request, visitor))
        found = _known(people, who)
        said = MeOut(
            pseudonym=found.pseudonym or None,
            visitor=who.name.startswith(VISITOR),
            consent=ConsentOut.model_validate(found.consent),
            limited=who.limited,
            profile=dict(found.profile),
            csrf=who.csrf,
        )
        answer.body = said.model_dump_json().encode()
        answer.headers["content-length"] = str(len(answer.body))
        return answer

    return await record.pool.run(work)


@routes.patch(
    "/me",
    responses=refused(404, 415, 507),
    openapi_extra=json_body(ProfileIn),
    summary="Declare a profile",
)
async def declare(request: Request, person: Named = None) -> MeOut:
    """The fields that are named; null removes one."""
    given = await read_json(request, ProfileIn)

    def work(people: People, who: Caller) -> MeOut:
        found = people.declare(who.name, **given.model_dump(exclude_unset=True, exclude={"person"}))
        return MeOut(
            pseudonym=found.pseudonym,
            visitor=who.name.startswith(VISITOR),
            consent=ConsentOut.model_validate(found.consent),
            limited=who.limited,
            profile=dict(found.profile),
            csrf=who.csrf,
        )

    return await ask(request, given.person or person, work, changes=True)


@routes.delete("/me", responses=refused(404, 409, 507), summary="Be forgotten")
async def forget(request: Request, person: Named = None) -> JSONResponse:
    """From every table and file, proved by a search of them. The receipt names nobody; a visitor's cookie ends."""

    def work(people: People, who: Caller) -> ReceiptOut:
        receipt = people.forget(who.name)
        request.app.state.people.forgotten(who.name)
        return ReceiptOut.model_validate(receipt)

    receipt = await ask(request, person, work, changes=True, stores=False)
    answer = JSONResponse(receipt.model_dump())
    answer.delete_cookie(VISITOR_COOKIE)
    return answer


@routes.get(
    "/me/export",
    responses={200: {"content": {"application/json": {}}}, **refused(404)},
    response_class=Response,
    summary="Everything that is held of the caller",
)
async def export(request: Request, person: Named = None) -> Response:
    """As a file of JSON."""

    def work(people: People, who: Caller) -> bytes:
        return json.dumps(people.export(who.name), ensure_ascii=False, indent=2).encode()

    data = await ask(request, person, work)
    headers = {"Content-Disposition": 'attachment; filename="visualsearch-me.json"'}
    return Response(data, media_type="application/json", headers=headers)


# -- consent -------------------------------------------------------------------------------------------------------
@routes.get("/me/consent", responses=refused(404), summary="What the caller allows")
async def get_consent(request: Request, person: Named = None) -> ConsentOut:
    """Level, switches, and whether the recording is paused."""

    def work(people: People, who: Caller) -> ConsentOut:
        return ConsentOut.model_validate(_known(people, who).consent)

    return await ask(request, person, work)


@routes.put(
    "/me/consent",
    responses=refused(404, 409, 415, 507),
    openapi_extra=json_body(ConsentIn),
    summary="Change what the caller allows",
)
async def put_consent(request: Request, person: Named = None) -> ConsentOut:
    """`off` deletes at once what was kept, but the refusal itself."""
    given = await read_json(request, ConsentIn)
    changes = given.model_dump(exclude_unset=True, exclude={"person"})
    return await _choose(request, given.person or person, changes)


@routes.get("/me/signals", responses=refused(404), summary="The switches")
async def get_signals(request: Request, person: Named = None) -> SignalsOut:
    """Which kinds of events and facts may be kept."""

    def work(people: People, who: Caller) -> SignalsOut:
        return SignalsOut.model_validate(_known(people, who).consent)

    return await ask(request, person, work)


@routes.put(
    "/me/signals",
    responses=refused(404, 409, 415, 507),
    openapi_extra=json_body(SignalsIn),
    summary="Turn switches",
)
async def put_signals(request: Request, person: Named = None) -> SignalsOut:
    """Those that are named."""
    given = await read_json(request, SignalsIn)
    changes = given.model_dump(exclude_unset=True, exclude={"person"})
    return SignalsOut.model_validate(await _choose(request, given.person or person, changes))


@routes.put(
    "/me/pause",
    responses=refused(404, 409, 415, 507),
    openapi_extra=json_body(PauseIn),
    summary="Stop the recording of events, or go on",
)
async def pause(request: Request, person: Named = None) -> ConsentOut:
    """What was kept stays, and the caller can still save."""
    given = await read_json(request, PauseIn)
    return await _choose(request, given.person or person, {"paused": given.paused})


async def _choose(request: Request, person: str | None, changes: dict[str, Any]) -> ConsentOut:
    record: Record = request.app.state.people

    def work(people: People, who: Caller) -> ConsentOut:
        if not changes:
            raise UsageError("nothing is to change", "the body names no switch", "Name what changes")
        chosen = people.consent(who.name, **changes)
        record.changed()
        return ConsentOut.model_validate(chosen)

    return await ask(request, person, work, changes=True, stores=False)


# -- claiming ------------------------------------------------------------------------------------------------------
@routes.post(
    "/me/claim",
    responses=refused(404, 409, 415, 507),
    openapi_extra=json_body(ClaimIn),
    summary="Claim what a visitor kept",
)
async def claim(request: Request, person: Named = None) -> JSONResponse:
    """A person takes over boards, saves and events of the visitor they were; the visitor's cookie ends."""
    given = await read_json(request, ClaimIn)

    def work(people: People, who: Caller) -> ClaimOut:
        if who.name.startswith(VISITOR):
            raise RefusedError(
                Kind.PERSON_NEEDED,
                "a visitor cannot claim a visitor",
                "the request has no person's token and no `person`",
                "Send the person's token along with the visitor's cookie",
            )
        cookie = given.visitor or request.cookies.get(VISITOR_COOKIE, "")
        visitor = visitor_in(signer_of(request), cookie)
        if visitor is None:
            raise UsageError(
                "there is no visitor to claim", "the request has no valid visitor's cookie", "Send it along"
            )
        try:
            return ClaimOut(moved=people.claim(VISITOR + visitor, who.name))
        except UnknownNameError:
            return ClaimOut(moved={})  # nothing was kept of the visitor, or it was claimed already

    found = await ask(request, given.person or person, work, changes=True)
    answer = JSONResponse(found.model_dump())
    answer.delete_cookie(VISITOR_COOKIE)
    return answer
