"""`/plans`: what a person lets out later. The server publishes what is due, about once a minute."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field

from visualsearch.people import People, Plan

from ..openapi import json_body, refused
from ..reading import read_json
from .asking import SECURED, Caller, Named, ask, own
from .schemas import NUMBER, PinName, RemovedOut, Text, Time, Word
from .schemas import Named as Body

routes = APIRouter(tags=["plans"], dependencies=[SECURED])


class PlanIn(Body):
    """What shall come out later."""

    board: Word = Field(description="A board's id, or the title of one of the caller's own.")
    pin: PinName | None = Field(
        default=None, description="The pin that goes there; without one, the board itself opens."
    )
    note: Text = ""
    publish_at: Time


class PlanOut(BaseModel):
    """What waits, or could not come out."""

    id: int
    person: str
    board: str
    pin: str | None
    note: str
    publish_at: int = Field(description="Milliseconds since 1970, UTC.")
    reason: str = Field(description="Why it could not come out; empty while it waits.")


class PlansOut(BaseModel):
    """A person's plans, by time."""

    plans: list[PlanOut]


def plan_out(plan: Plan) -> PlanOut:
    """A plan as it is sent."""
    values = plan._asdict()
    return PlanOut(id=values.pop("plan"), **values)


@routes.get("/plans", responses=refused(404), summary="What the caller lets out later")
async def list_plans(request: Request, person: Named = None) -> PlansOut:
    """What waits, and what could not come out, by time. What came out is on its board."""

    def work(people: People, who: Caller) -> PlansOut:
        return PlansOut(plans=[plan_out(each) for each in own(lambda: people.plans(who.name))])

    return await ask(request, person, work)


@routes.post(
    "/plans",
    status_code=201,
    responses=refused(404, 409, 415, 507),
    openapi_extra=json_body(PlanIn),
    summary="Let a pin or a board out later",
)
async def plan(request: Request, person: Named = None) -> PlanOut:
    """A pin goes to a board that the caller may change; a board of the caller's own is secret until its time."""
    given = await read_json(request, PlanIn)

    def work(people: People, who: Caller) -> PlanOut:
        if given.pin is None:
            made = people.plan_board(who.name, given.board, publish_at=given.publish_at)
        else:
            made = people.plan_pin(
                who.name, given.pin, board=given.board, publish_at=given.publish_at, note=given.note
            )
        return plan_out(made)

    return await ask(request, given.person or person, work, changes=True)


@routes.delete("/plans/{id}", responses=refused(404, 507), summary="Cancel a plan")
async def cancel(
    request: Request,
    number: Annotated[int, Path(alias="id", ge=0, le=NUMBER, description="A plan's id.")],
    person: Named = None,
) -> RemovedOut:
    """Of the caller's own plans; another's is not there. A board that was to open stays secret."""

    def work(people: People, who: Caller) -> RemovedOut:
        return RemovedOut(removed=people.unplan(who.name, number))

    return await ask(request, person, work, changes=True)
