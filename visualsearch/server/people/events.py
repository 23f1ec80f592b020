"""`POST /events`: what people did, in batches; each event gets a verdict, and what is accepted is on disk."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from fastapi import APIRouter, Request
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json
from starlette.responses import Response

from visualsearch.people import Event, Status, Verdict

from ..bounds import bad
from ..keys import Scope
from ..openapi import json_body, refused
from ..problems import Kind, RefusedError, explained
from ..reading import bounded, check_json_type
from .asking import SECURED, Caller, Named, caller_of, speaks_for
from .record import Record
from .schemas_me import EventIn, EventsIn, LooseEvents, VerdictsOut

routes = APIRouter(tags=["events"], dependencies=[SECURED])
LONGEST = 200
_BATCH = TypeAdapter(EventsIn)
_LOOSE = TypeAdapter(LooseEvents)
_REMEDY = "Correct the event"


@routes.post(
    "/events",
    status_code=202,
    response_model=VerdictsOut,
    responses=refused(404, 409, 415, 507),
    openapi_extra=json_body(EventsIn),
    summary="Record events",
)
async def record(request: Request, person: Named = None) -> Response:
    """Up to 1,000 in a batch. An event that is sent again under its `event_id` is stored once. A bad one costs no other."""
    check_json_type(request)
    kept: Record = request.app.state.people
    body = await bounded(
        request, kept.settings.max_events, "the batch of events", "Send fewer events at once"
    )
    return await kept.pool.run(_record, request, kept, body, person)


def _record(request: Request, kept: Record, body: bytes, person: str | None) -> Response:
    batch, events, refusals = _read(body)
    who = caller_of(request, batch.person or person, changes=True, token=batch.csrf)
    if who.person is None and Scope.ACT not in who.scopes:
        assert who.name  # raises: nobody is named
    people = kept.open()
    _check_rate(request, kept, who, len(batch.events))
    named = _Named(kept, who)
    given: list[Event] = []
    places: list[int] = []
    for at, event in enumerate(events):
        if event is None:
            continue
        why = named.fault(event)
        if why:
            refusals[at] = Verdict(str(event.event_id or "")[:LONGEST], Status.REFUSED, *why)
            continue
        given.append(named.event(event))
        places.append(at)
    verdicts = dict(zip(places, people.record(given, sent=batch.sent), strict=True)) | refusals
    return _answer(kept, [verdicts[at] for at in range(len(events))])


def _answer(kept: Record, verdicts: Sequence[Verdict]) -> Response:
    counts = Counter(verdict.status for verdict in verdicts)
    for status, count in counts.items():
        kept.service.metrics.people_events.labels(status.value).inc(count)
    said = {
        "verdicts": [
            {"event_id": v.event_id, "status": v.status.value, "reason": v.reason, "remedy": v.remedy}
            for v in verdicts
        ],
        "accepted": counts[Status.ACCEPTED],
        "duplicates": counts[Status.DUPLICATE],
        "refused": counts[Status.REFUSED],
    }
    return Response(to_json(said), 202, media_type="application/json")


def _read(body: bytes) -> tuple[EventsIn | LooseEvents, list[EventIn | None], dict[int, Verdict]]:
    """The batch, its events, and a verdict in the place of each that is none. Raises RefusedError."""
    try:
        batch = _BATCH.validate_json(body)
        return batch, list(batch.events), {}
    except ValidationError:
        return _read_loose(body)


def _read_loose(body: bytes) -> tuple[LooseEvents, list[EventIn | None], dict[int, Verdict]]:
    try:
        batch = _LOOSE.validate_json(body)
    except ValidationError as error:
        raise bad(*_said(error)) from None
    events: list[EventIn | None] = []
    refusals: dict[int, Verdict] = {}
    for at, value in enumerate(batch.events):
        try:
            events.append(EventIn.model_validate(value))
        except ValidationError as error:
            name = value.get("event_id") if isinstance(value, dict) else None
            shown = name[:LONGEST] if isinstance(name, str) else ""
            refusals[at] = Verdict(shown, Status.REFUSED, _said(error)[0].rstrip("."), _REMEDY)
            events.append(None)
    return batch, events, refusals


def _said(error: ValidationError) -> tuple[str]:
    return explained(error.errors(include_url=False, include_context=False, include_input=False))


def _check_rate(request: Request, kept: Record, who: Caller, count: int) -> None:
    rates = kept.own_rates if Scope.ACT in who.scopes else kept.rates
    wait = rates.wait(request.client.host if request.client else "", count)
    if wait > 0:
        kept.service.metrics.refused.labels("events").inc()
        raise RefusedError(
            Kind.RATE,
            "too many events",
            f"at most {rates.rate:g} a second are taken",
            f"Send them again in {math.ceil(wait)} s; none of these was kept",
            retry_after=math.ceil(wait),
        )


class _Named:
    """Whose the events of a batch are."""

    def __init__(self, kept: Record, who: Caller) -> None:
        self._kept, self._who = kept, who
        self._acts = Scope.ACT in who.scopes
        self._allowed: dict[str, bool] = {}
        self._names: dict[str, str] = {}

    def fault(self, event: EventIn) -> tuple[str, str] | None:
        """Why the asker may not send it, and the remedy; None where they may."""
        who, name = self._who, event.person
        if name is None:
            return None if who.person is not None else ("`person` is missing", "Say whose event it is")
        if name == who.person:
            return None
        if not self._acts:
            return "it is of another person", "Leave `person` out"
        if name not in self._allowed:
            self._allowed[name] = speaks_for(self._kept, name)
        return None if self._allowed[name] else ("a visitor speaks for themselves", "Claim the visitor first")

    def event(self, given: EventIn) -> Event:
        """The event as the record takes it."""
        name = given.person or self._who.name
        if self._who.limited:
            name = self._limited(name)
        made = object.__new__(
            Event
        )  # its fields are the same, and setting 18 of them one by one costs as much as parsing
        made.__dict__.update(given.__dict__)
        made.__dict__["person"] = name
        return made

    def _limited(self, name: str) -> str:
        if name not in self._names:
            self._names[name] = self._kept.session_of(name)
        return self._names[name]
