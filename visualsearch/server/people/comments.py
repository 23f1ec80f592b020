"""`/pins/{id}/comments`: plain words about pins."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from visualsearch.people import Comment, People

from ..keys import Scope
from ..openapi import json_body, refused
from ..reading import read_json
from .asking import SECURED, Caller, Named, ask
from .cursors import opened, page
from .schemas import NUMBER, CommentIn, CommentOut, CommentsOut, RemovedOut, ReportIn
from .served import signer_of
from .words import After, K, part

routes = APIRouter(tags=["comments"], dependencies=[SECURED])
PinId = Annotated[
    str, Path(alias="id", max_length=12_288, description="A pin's id; write a slash in it as %2F.")
]
CommentId = Annotated[int, Path(ge=0, le=NUMBER)]


def comment_out(comment: Comment) -> CommentOut:
    """A comment as it is sent."""
    return CommentOut.model_validate(comment)


@routes.get("/pins/{id}/comments", responses=refused(404), summary="The comments on a pin")
async def list_comments(
    request: Request, name: PinId, person: Named = None, k: K = 50, cursor: After = None
) -> CommentsOut:
    """Oldest first."""

    def work(people: People, who: Caller) -> CommentsOut:
        pin = part(name)
        place = f"comments {pin}"
        after = opened(signer_of(request), place, cursor)
        found = people.comments(pin, viewer=who.person, k=k + 1, after=after[0] if after else 0)
        if not found:
            people.pin(pin)
        shown, more = page(signer_of(request), place, found, k, lambda comment: [comment.id])
        return CommentsOut(comments=[comment_out(each) for each in shown], cursor=more)

    return await ask(request, person, work)


@routes.post(
    "/pins/{id}/comments",
    status_code=201,
    responses=refused(404, 415, 507),
    openapi_extra=json_body(CommentIn),
    summary="Comment on a pin",
)
async def comment(request: Request, name: PinId, person: Named = None) -> CommentOut:
    """Markup stays the letters it is made of."""
    given = await read_json(request, CommentIn)

    def work(people: People, who: Caller) -> CommentOut:
        by_key = Scope.ACT in who.scopes
        made = people.comment(who.name, part(name), given.text, by_key=by_key)
        request.app.state.service.metrics.people_deeds.labels("comment").inc()
        return comment_out(made)

    return await ask(request, given.person or person, work, changes=True)


@routes.post(
    "/pins/{id}/comments/{comment}/report",
    status_code=204,
    responses=refused(404, 415, 507),
    openapi_extra=json_body(ReportIn),
    summary="Report a comment",
)
async def report(
    request: Request, name: PinId, number: Annotated[CommentId, Path(alias="comment")], person: Named = None
) -> Response:
    """It stays visible until somebody has looked at it."""
    given = await read_json(request, ReportIn)

    def work(people: People, who: Caller) -> None:
        people.report_comment(who.name, number, given.reason)

    await ask(request, given.person or person, work, changes=True)
    return Response(status_code=204)


@routes.delete(
    "/pins/{id}/comments/{comment}", responses=refused(404, 507), summary="Take a comment of one's own back"
)
async def delete_comment(
    request: Request, name: PinId, number: Annotated[CommentId, Path(alias="comment")], person: Named = None
) -> RemovedOut:
    """Its text is gone."""

    def work(people: People, who: Caller) -> RemovedOut:
        people.delete_comment(who.name, number)
        return RemovedOut(removed=True)

    return await ask(request, person, work, changes=True)
