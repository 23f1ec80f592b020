"""The address of related pins."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from .access import CAN_READ
from .openapi import refused
from .people.served import Session, answer_of, reader_of
from .people.words import Diversity
from .routes import PinId, Serving
from .schemas import Answer, ReasonedHit, Variant
from .sent import reasoned
from .service import Service

related_routes = APIRouter(tags=["pins"], dependencies=[CAN_READ])


class RelatedOut(BaseModel):
    """Related pins, best first."""

    hits: list[ReasonedHit]
    total: int = Field(description="How many pins were candidates.")
    plan: str = Field(description="walk-compiled, walk-numpy, or sight where nothing was saved.")
    seconds: float = Field(description="Time in the engine.")
    notes: list[str] = Field(default=[], description="What else to know.")
    answer: Answer = None
    variant: Variant = None


@related_routes.get("/pins/{id}/related", responses=refused(404), summary="Pins related to this one")
async def related(
    request: Request,
    name: PinId,
    serving: Serving,
    k: Annotated[int, Query(ge=1, le=200)] = 20,
    diversity: Diversity = 0.0,
    session: Session = None,
) -> RelatedOut:
    """What people saved together with it, blended with what looks alike; each with a reason."""
    pin = await serving.light.run(serving.pin, unquote(name))
    asks = serving.settings.promote or await serving.light.run(serving.live.asks, "related")
    reader = await reader_of(request, None) if asks else None
    found = await serving.light.run(_related, serving, pin.id, k, diversity, reader, session)
    found.answer = found.answer or await answer_of(request)
    return found


def _related(
    serving: Service, name: str, k: int, diversity: float, reader: str | None, session: str | None
) -> RelatedOut:
    hits = serving.live.related(name, k, diversity=diversity, person=reader, session=session)
    serving.metrics.observe("related", hits.seconds)
    if serving.settings.promote:
        hits = serving.promotions.beside_related(name, hits, reader)
    return RelatedOut(
        hits=reasoned(hits),
        total=hits.total,
        plan=hits.plan,
        seconds=round(hits.seconds, 5),
        notes=list(hits.notes),
        answer=hits.listed,
        variant=hits.variant,
    )
