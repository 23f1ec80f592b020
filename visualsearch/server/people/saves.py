"""`/saves` and `/follows`: what a person keeps, and whom they follow."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request

from visualsearch.people import Follow, People, Save

from ..openapi import json_body, refused
from ..reading import read_json
from ..sent import picture_url
from .asking import SECURED, Caller, Named, ask, own, theirs
from .cursors import opened, page
from .schemas import (
    FollowedOut,
    FollowIn,
    FollowKind,
    FollowOut,
    FollowsOut,
    RemovedOut,
    SaveIn,
    SaveOut,
    SavesOut,
)
from .served import signer_of
from .words import PLAIN, After, K

routes = APIRouter(tags=["saves"], dependencies=[SECURED])
_SEEN = ("surface", "answer", "slot", "row", "column", "variant", "session")


def save_out(save: Save) -> SaveOut:
    """A save as it is sent."""
    values = asdict(save)
    del values["number"]
    return SaveOut(**values, picture=picture_url(save.pin))


@routes.get("/saves", responses=refused(404), summary="Saves of a pin, or of the caller")
async def list_saves(
    request: Request,
    person: Named = None,
    pin: Annotated[
        str | None,
        Query(max_length=4096, pattern=PLAIN, description="A pin's id; default: the caller's own saves."),
    ] = None,
    k: K = 50,
    cursor: After = None,
) -> SavesOut:
    """On boards that the caller may see; newest first."""

    def work(people: People, who: Caller) -> SavesOut:
        place = f"saves of {pin}" if pin is not None else f"saves by {who.name}"
        after = opened(signer_of(request), place, cursor)
        last = after[0] if after else None
        count = None
        if pin is not None:
            found = people.saves_of(pin, viewer=who.person, k=k + 1, after=last)
            count = people.save_counts([pin])[pin]
            if not count and not found:
                people.pin(pin)
        else:
            found = own(lambda: people.saves_by(who.name, viewer=who.person, k=k + 1, after=last))
        shown, more = page(signer_of(request), place, found, k, lambda save: [save.id])
        return SavesOut(saves=[save_out(save) for save in shown], cursor=more, count=count)

    return await ask(request, person, work)


@routes.post(
    "/saves",
    status_code=201,
    responses=refused(404, 409, 415, 507),
    openapi_extra=json_body(SaveIn),
    summary="Put a pin on a board",
)
async def save(request: Request, person: Named = None) -> SaveOut:
    """A pin that is on the board stays as it is: sent again, the same save is the answer."""
    given = await read_json(request, SaveIn)

    def work(people: People, who: Caller) -> SaveOut:
        seen = given.model_dump(include=set(_SEEN), exclude_none=True)
        made = people.save(
            who.name,
            given.pin,
            board=given.board,
            section=given.section,
            note=given.note,
            site=given.site,
            repin_of=given.repin_of,
            **seen,
        )
        request.app.state.service.metrics.people_deeds.labels("save").inc()
        return save_out(made)

    return await ask(request, given.person or person, work, changes=True)


@routes.delete("/saves", responses=refused(404, 507), summary="Take a pin off a board")
async def unsave(
    request: Request,
    pin: Annotated[str, Query(max_length=4096, pattern=PLAIN)],
    board: Annotated[str, Query(max_length=200, pattern=PLAIN)],
    person: Named = None,
) -> RemovedOut:
    """Who saved it may, and the board's owner."""

    def work(people: People, who: Caller) -> RemovedOut:
        return RemovedOut(removed=people.unsave(who.name, pin, board=board))

    return await ask(request, person, work, changes=True)


# -- follows -------------------------------------------------------------------------------------------------------
@routes.get("/follows", responses=refused(404), summary="What the caller follows")
async def list_follows(request: Request, person: Named = None, k: K = 50, cursor: After = None) -> FollowsOut:
    """Newest first."""

    def work(people: People, who: Caller) -> FollowsOut:
        place = f"follows of {who.name}"
        after = opened(signer_of(request), place, cursor)
        last = None if after is None else (int(after[0]), str(after[1]), str(after[2]))
        found: list[Follow] = own(lambda: people.followed(who.name, k=k + 1, after=last))
        shown, more = page(signer_of(request), place, found, k, lambda f: [f.at, f.kind, f.target])
        return FollowsOut(follows=[FollowOut.model_validate(asdict(f)) for f in shown], cursor=more)

    return await ask(request, person, work)


@routes.post(
    "/follows",
    status_code=201,
    responses=refused(404, 409, 415, 507),
    openapi_extra=json_body(FollowIn),
    summary="Follow a person, a board or a topic",
)
async def follow(request: Request, person: Named = None) -> FollowedOut:
    """Followed already, it stays so."""
    given = await read_json(request, FollowIn)

    def work(people: People, who: Caller) -> FollowedOut:
        new = people.follow(who.name, given.kind, _target(who, given.kind, given.target))
        request.app.state.service.metrics.people_deeds.labels("follow").inc(new)
        return FollowedOut(new=new)

    return await ask(request, given.person or person, work, changes=True)


@routes.delete("/follows", responses=refused(404, 507), summary="Follow no more")
async def unfollow(
    request: Request,
    kind: FollowKind,
    target: Annotated[str, Query(max_length=200, pattern=PLAIN)],
    person: Named = None,
) -> RemovedOut:
    """Whether it was followed."""

    def work(people: People, who: Caller) -> RemovedOut:
        return RemovedOut(removed=people.unfollow(who.name, kind, _target(who, kind, target)))

    return await ask(request, person, work, changes=True)


def _target(who: Caller, kind: str, target: str) -> str:
    return theirs(who, target) if kind == "person" else target
