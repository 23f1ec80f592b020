"""`/feed`, `/less`, and ideas: what is recommended to who asks, each with its reason."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response

from visualsearch.errors import UsageError
from visualsearch.people import People
from visualsearch.recommend import BoardHit, check_cursor
from visualsearch.types import WHOLE, Evidence, Hit, Hits, Reason

from ..deadline import check_filter, limited
from ..openapi import json_body, refused
from ..problems import Kind, RefusedError
from ..reading import read_json
from ..routes import Serving, Where
from ..sent import reason_out, reasoned
from ..service import Service
from .asking import SECURED, Caller, Named, ask, caller_of, own
from .boards import BoardId, board_out
from .schemas import RemovedOut
from .schemas_feed import FeedOut, IdeasOut, LessIn, LessName, SimilarBoard, SimilarBoards
from .served import Session, answer_of
from .words import PLAIN, Diversity, K, part

routes = APIRouter(tags=["recommendations"], dependencies=[SECURED])
LONGEST = 16_000
"""Characters of a cursor: twenty pages of a hundred pins take about a third of it."""
Section = Annotated[
    str | None, Query(max_length=600, pattern=PLAIN, description="Only for this section of the board.")
]


@routes.get("/feed", responses=refused(404), summary="A page of pins for the caller")
async def feed(
    request: Request,
    serving: Serving,
    person: Named = None,
    k: Annotated[int, Query(ge=1, le=100, description="How many on a page.")] = 25,
    cursor: Annotated[
        str | None,
        Query(max_length=LONGEST, description="The `cursor` of the page before; without one, the first."),
    ] = None,
    looked: Annotated[
        list[Annotated[str, Field(max_length=4096, pattern=PLAIN)]] | None,
        Query(
            max_length=50,
            description="Pins that were looked at in this session, the newest first; may be repeated. They count for"
            " somebody of whom nothing is known, and are not kept.",
        ),
    ] = None,
    session: Session = None,
) -> FeedOut:
    """Twenty pages repeat nothing. Saves, hides and consent count from the next page on.

    Strangers, and who allows nothing, get what everybody gets.
    """
    found = await serving.light.run(_feed, request, serving, person, k, cursor, looked or [], session)
    found.answer = found.answer or await answer_of(request)
    return found


def _feed(
    request: Request,
    serving: Service,
    person: str | None,
    k: int,
    cursor: str | None,
    looked: list[str],
    session: str | None,
) -> FeedOut:
    who = caller_of(request, person, changes=False)
    try:
        check_cursor(cursor)
    except UsageError as error:
        raise RefusedError(Kind.BAD_CURSOR, error.what, error.why, error.remedy) from error
    if who.limited:
        hits = serving.index.feed(who.person, k, cursor=cursor, looked=looked)
    else:
        hits = serving.live.feed(who.person, k, cursor=cursor, looked=looked, session=session)
    serving.metrics.observe("feed", hits.seconds)
    if serving.settings.promote:
        hits = serving.promotions.beside_feed(hits, None if who.limited else who.person)
    return FeedOut(
        hits=reasoned(hits),
        total=hits.total,
        seconds=round(hits.seconds, 5),
        notes=list(hits.notes),
        plan=hits.plan,
        cursor=hits.cursor,
        answer=hits.listed,
        variant=hits.variant,
    )


@routes.post(
    "/less",
    status_code=204,
    responses=refused(404, 409, 415, 507),
    openapi_extra=json_body(LessIn),
    summary="Less like this",
)
async def less(request: Request, serving: Serving, person: Named = None) -> Response:
    """Hide a pin, and undo just the evidence that brought it: a saved pin stays saved and counts for no interest, a board or
    somebody followed brings no more pins. It is the caller's own word, so it is kept as long as their saves are.
    """
    given = await read_json(request, LessIn)
    why = None
    if given.why is not None:
        held = tuple(Evidence(each.kind, each.id, each.weight) for each in given.why.evidence)
        why = Reason(given.why.kind, given.why.sentence, held)

    def work(people: People, who: Caller) -> None:
        if who.limited:
            people.for_session(who.name)
        people.pin(given.pin)
        serving.index.less(who.name, Hit(given.pin, "", 0.0, WHOLE, {}, why=why), given.id)
        serving.metrics.people_deeds.labels("less").inc()

    await ask(request, given.person or person, work, changes=True, stores=False)
    return Response(status_code=204)


@routes.delete("/less", responses=refused(404, 507), summary="Take a wish for less back")
async def take_back(
    request: Request, name: Annotated[LessName, Query(alias="id")], person: Named = None
) -> RemovedOut:
    """By the id that it was sent with, as long as its day has not been closed."""

    def work(people: People, who: Caller) -> RemovedOut:
        return RemovedOut(removed=people.take_back(who.name, name) > 0)

    return await ask(request, person, work, changes=True, stores=False)


# -- ideas ---------------------------------------------------------------------------------------------------------
@routes.get("/boards/{id}/ideas", responses=refused(404), summary="Ideas for a board")
async def board_ideas(
    request: Request,
    serving: Serving,
    name: BoardId,
    person: Named = None,
    section: Section = None,
    where: Where = None,
    k: K = 20,
    diversity: Diversity = 0.0,
) -> IdeasOut:
    """What people saved with its pins, blended with what looks like them. What is on the board never comes back."""

    def work(people: People, who: Caller) -> Hits:
        board = people.board(part(name), viewer=who.person).id
        check_filter(where, serving.settings.max_tests)
        with limited(serving.index, serving.settings.filter_seconds):
            return serving.index.ideas(
                board, k, person=who.person, section=section, where=where, diversity=diversity
            )

    return await _ideas(request, serving, await ask(request, person, work))


@routes.get("/me/ideas", responses=refused(404), summary="Ideas by all that the caller saved")
async def my_ideas(
    request: Request,
    serving: Serving,
    person: Named = None,
    where: Where = None,
    k: K = 20,
    diversity: Diversity = 0.0,
) -> IdeasOut:
    """Of all their boards together."""

    def work(people: People, who: Caller) -> Hits:
        if not own(lambda: people.boards(who.name, viewer=who.name, k=1)):
            return Hits((), 0, "sight", notes=("nothing is saved yet",))
        check_filter(where, serving.settings.max_tests)
        with limited(serving.index, serving.settings.filter_seconds):
            return serving.index.ideas(None, k, person=who.name, where=where, diversity=diversity)

    return await _ideas(request, serving, await ask(request, person, work))


async def _ideas(request: Request, serving: Service, hits: Hits) -> IdeasOut:
    serving.metrics.observe("ideas", hits.seconds)
    return IdeasOut(
        hits=reasoned(hits),
        total=hits.total,
        seconds=round(hits.seconds, 5),
        notes=list(hits.notes),
        plan=hits.plan,
        answer=await answer_of(request),
    )


@routes.get("/boards/{id}/similar", responses=refused(404), summary="Public boards like this one")
async def similar_boards(
    request: Request, serving: Serving, name: BoardId, person: Named = None, k: K = 20
) -> SimilarBoards:
    """By the pins that they share, and by pins that look alike."""

    def work(people: People, who: Caller) -> SimilarBoards:
        board = people.board(part(name), viewer=who.person).id
        return _boards(people, serving.index.boards_like(board, k, person=who.person))

    return await ask(request, person, work)


@routes.get("/me/similar", responses=refused(404), summary="Boards of others with the caller's taste")
async def similar_taste(request: Request, serving: Serving, person: Named = None, k: K = 20) -> SimilarBoards:
    """Public boards that hold what the caller saved, or what looks like it."""

    def work(people: People, who: Caller) -> SimilarBoards:
        return _boards(people, own(lambda: serving.index.boards_like(None, k, person=who.name)))

    return await ask(request, person, work)


def _boards(people: People, found: list[BoardHit]) -> SimilarBoards:
    covers = people.covers([hit.board.id for hit in found])
    return SimilarBoards(
        boards=[
            SimilarBoard(
                **board_out(hit.board, covers.get(hit.board.id, ())).model_dump(),
                score=hit.score,
                why=reason_out(hit.why),
            )
            for hit in found
        ]
    )
