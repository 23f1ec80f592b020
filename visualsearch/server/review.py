"""The review queue over HTTP, the page of it, and the round that judges what came since the last one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from importlib.resources import files
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import unquote

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field
from starlette.responses import Response

from visualsearch.errors import LockedError, UnknownNameError, VisualSearchError
from visualsearch.people import People, Ruling, pseudonym_text
from visualsearch.trust import Limits, Trust

from .access import CAN_WRITE
from .openapi import json_body, refused
from .people.asking import SECURED, Caller, Named, ask
from .people.record import Record
from .people.schemas_me import AnswerIn, AppealIn, DecideIn
from .pictures import Thumbnail
from .problems import Kind, RefusedError
from .reading import read_json
from .routes import PinId, Serving, Size
from .work import Pool

if TYPE_CHECKING:
    from .service import Service

T = TypeVar("T")
log = logging.getLogger("visualsearch.server")
review_routes = APIRouter(tags=["trust"])
SAMPLE = 24
"""Pins of a case that its short form names."""
VerdictId = Annotated[int, Path(ge=1, le=2**53, description="A verdict's number.")]


class SignOut(BaseModel):
    """One piece of evidence."""

    signal: str
    value: float
    weight: float = Field(description="What it adds to the log-odds of spam.")
    sentence: str


class AppealOut(BaseModel):
    """What somebody says against a verdict on them, and the answer."""

    person: str = Field(description="A pseudonym.")
    text: str
    at: int
    outcome: str = Field(description="waiting, granted or refused.")
    why: str


class CaseOut(BaseModel):
    """A verdict with its evidence."""

    verdict: int
    kind: str = Field(description="burst, ring, clicks or reports.")
    title: str
    score: float = Field(description="The chance that it is spam, 0 to 1, by the evidence.")
    action: str = Field(description="What is done now: nothing, lower, hold, hide or remove.")
    state: str = Field(description="waiting, decided or undone.")
    spam: bool | None = Field(description="What a person said.")
    at: int
    until: int | None = Field(description="When it ends by itself, in milliseconds.")
    appeal: str = Field(description="The appeals that wait for an answer.")
    appeals: list[AppealOut]
    evidence: list[SignOut]
    pins: list[str] = Field(description=f"At most {SAMPLE} of its pins.")
    pin_count: int
    people: list[str] = Field(description="Pseudonyms.")
    sites: list[str]


class PrevalenceOut(BaseModel):
    """How much spam people saw: shares of the last day's impressions."""

    impressions: int
    spam: int
    waiting: int
    share: float
    highest: float


class CasesOut(BaseModel):
    """What waits for a person."""

    cases: list[CaseOut]
    prevalence: PrevalenceOut


class OwnVerdictOut(BaseModel):
    """A verdict on who asks: without its evidence, from which spammers would learn."""

    verdict: int
    action: str
    at: int
    pins: int
    appeal: str = Field(
        description="What became of an appeal of theirs: waiting, granted, refused, or empty."
    )


class OwnVerdictsOut(BaseModel):
    """The verdicts that do something to who asks."""

    verdicts: list[OwnVerdictOut]


class Judge:
    """Judges what came since the last round, every few seconds."""

    def __init__(self, service: Service, record: Record) -> None:
        self.service, self.record = service, record
        self.trust = Trust(service.index, Limits(act=service.settings.trust == "act"))
        self.pool = Pool("trust", 2, 64)

    async def run(self) -> None:
        """Go on until cancelled."""
        settings = self.service.settings
        while self.record.enabled and settings.trust != "off":
            await asyncio.sleep(settings.trust_seconds)
            try:
                await self.pool.run(self.round)
            except RefusedError:
                log.warning("judging still runs since the last time")
            except VisualSearchError as error:
                log.error("judging failed, and is tried again: %s: %s", type(error).__name__, error)
            except Exception as error:
                # Its text may name somebody.
                log.error("judging failed, and is tried again: %s", type(error).__name__)

    def round(self) -> bool:
        """One round, unless another server of this record is at it: whether it was done."""
        if not self.record.exists:
            return False
        people = self.record.open()
        metrics = self.service.metrics
        with people.store.leading() as leads:
            if not leads:
                return False
            with suppress(LockedError), metrics.stage("trust"):  # the next round does it
                found = self.trust.scan(learn=False)
                metrics.trust_judged.inc(found.judged)
                metrics.trust_verdicts.inc(len(found.made))
        self.measure()
        return True

    def measure(self) -> None:
        """Bring the gauges up to date."""
        if not self.record.exists:
            return
        metrics, seen = self.service.metrics, self.trust.prevalence()
        metrics.trust_hidden.set(len(self.record.open().shut().hidden))
        metrics.trust_impressions.set(seen.impressions)
        metrics.trust_prevalence.labels("judged").set(seen.share)
        metrics.trust_prevalence.labels("highest").set(seen.highest)

    def close(self) -> None:
        """Finish what runs."""
        self.pool.close()


def case_out(trust: Trust, case: Ruling) -> CaseOut:
    """A case as it is sent."""
    said = [
        AppealOut(
            person=pseudonym_text(each.person), text=each.text, at=each.at, outcome=each.outcome, why=each.why
        )
        for each in trust.appeals(case.number)
    ]
    return CaseOut(
        verdict=case.number,
        kind=case.kind,
        title=case.title,
        score=round(case.score, 4),
        action=case.action.name.lower(),
        state=case.state,
        spam=case.spam,
        at=case.at,
        until=case.until,
        appeal=case.appeal,
        appeals=said,
        evidence=[SignOut.model_validate(dict(each)) for each in case.evidence],
        pins=list(case.pins[:: max(1, len(case.pins) // SAMPLE)][:SAMPLE]),
        pin_count=len(case.pins),
        people=[pseudonym_text(number) for number in case.people[:100]],
        sites=list(case.sites),
    )


async def _judging(request: Request, work: Callable[[Trust], T]) -> T:
    judge: Judge = request.app.state.judge

    def run() -> T:
        judge.record.open()  # raises where the server keeps no record
        return work(judge.trust)

    return await judge.pool.run(run)


@review_routes.get("/review", include_in_schema=False)
async def page() -> FileResponse:
    """The page. It holds nothing: what it shows needs a key, where there are keys."""
    return FileResponse(FilePath(str(files("visualsearch.server") / "static" / "review.html")))


@review_routes.get(
    "/trust/cases", dependencies=[CAN_WRITE], responses=refused(404), summary="What waits for a person"
)
async def list_cases(
    request: Request,
    k: Annotated[int, Query(ge=1, le=200, description="How many.")] = 50,
    ask_first: Annotated[bool, Query(description="The case from which most is learnt comes first.")] = False,
) -> CasesOut:
    """Appeals first, then the largest clusters."""

    def work(trust: Trust) -> CasesOut:
        seen = PrevalenceOut.model_validate(trust.prevalence().to_dict())
        return CasesOut(
            cases=[case_out(trust, case) for case in trust.queue(k, ask=ask_first)], prevalence=seen
        )

    return await _judging(request, work)


@review_routes.get(
    "/trust/cases/{verdict}", dependencies=[CAN_WRITE], responses=refused(404), summary="One verdict"
)
async def get_case(request: Request, verdict: VerdictId) -> CaseOut:
    """With its evidence."""
    return await _judging(request, lambda trust: case_out(trust, _known(lambda: trust.case(verdict))))


@review_routes.post(
    "/trust/cases/{verdict}",
    dependencies=[CAN_WRITE],
    responses=refused(404, 415, 507),
    openapi_extra=json_body(DecideIn),
    summary="Decide a case",
)
async def decide(request: Request, verdict: VerdictId) -> CaseOut:
    """A person's word: fine, lower, hold, hide or remove. It counts at once. `reopen` takes the last word back."""
    given = await read_json(request, DecideIn)

    def work(trust: Trust) -> CaseOut:
        if given.verdict == "reopen":
            return case_out(trust, _known(lambda: trust.reopen(verdict)))
        return case_out(trust, _known(lambda: trust.decide(verdict, given.verdict, given.why)))

    return await _judging(request, work)


@review_routes.post(
    "/trust/cases/{verdict}/undo",
    dependencies=[CAN_WRITE],
    responses=refused(404, 409, 507),
    summary="Undo a verdict",
)
async def undo(request: Request, verdict: VerdictId) -> CaseOut:
    """Pins, saves, counts and boards are as they were."""
    return await _judging(request, lambda trust: case_out(trust, _known(lambda: trust.undo(verdict))))


@review_routes.post(
    "/trust/cases/{verdict}/appeals",
    dependencies=[CAN_WRITE],
    responses=refused(404, 415, 507),
    openapi_extra=json_body(AnswerIn),
    summary="Answer an appeal",
)
async def answer(request: Request, verdict: VerdictId) -> CaseOut:
    """One that is granted lets its author go, and the pins that they put up; the verdict goes on for the others."""
    given = await read_json(request, AnswerIn)

    def work(trust: Trust) -> CaseOut:
        return case_out(trust, _known(lambda: trust.answer(verdict, given.person, given.granted, given.why)))

    return await _judging(request, work)


@review_routes.get(
    "/trust/pins/{id}/picture",
    dependencies=[CAN_WRITE],
    responses={200: {"content": {"image/jpeg": {}}}, **refused(404)},
    response_class=Response,
    summary="A judged pin's picture",
)
async def judged_picture(name: PinId, serving: Serving, size: Size = None) -> Response:
    """For who decides, whatever a verdict does to the pin."""
    pin = await serving.light.run(serving.pin, unquote(name), True)
    made: Thumbnail = await serving.pin_picture(pin, size, "JPEG")
    return Response(made.data, media_type=made.media_type, headers={"Cache-Control": "private, max-age=60"})


@review_routes.get(
    "/me/verdicts", dependencies=[SECURED], responses=refused(404), summary="Verdicts on who asks"
)
async def own_verdicts(request: Request, person: Named = None) -> OwnVerdictsOut:
    """Those of which the person may know: a removal. Who is hidden is not told."""

    def work(_people: People, who: Caller) -> OwnVerdictsOut:
        trust: Trust = request.app.state.judge.trust
        found = [case for case in trust.about(who.name) if case.action.name in ("REMOVE", "HOLD")]
        outcomes = trust.outcomes(who.name)
        return OwnVerdictsOut(verdicts=[_own(case, outcomes.get(case.number, "")) for case in found])

    return await ask(request, person, work)


@review_routes.post(
    "/me/appeals",
    dependencies=[SECURED],
    responses=refused(404, 409, 415, 507),
    openapi_extra=json_body(AppealIn),
    summary="Appeal against a verdict",
)
async def appeal(request: Request, person: Named = None) -> OwnVerdictOut:
    """It comes first in the queue. Only who the verdict is about may."""
    given = await read_json(request, AppealIn)

    def work(_people: People, who: Caller) -> OwnVerdictOut:
        trust: Trust = request.app.state.judge.trust
        case = _known(lambda: trust.appeal(given.verdict, who.name, given.text))
        return _own(case, "waiting")

    return await ask(request, given.person or person, work, changes=True)


def _own(case: Ruling, outcome: str) -> OwnVerdictOut:
    return OwnVerdictOut(
        verdict=case.number, action=case.action.name.lower(), at=case.at, pins=len(case.pins), appeal=outcome
    )


def _known(find: Callable[[], Ruling]) -> Ruling:
    try:
        return find()
    except UnknownNameError as error:
        if error.kind in ("verdict", "appeal"):
            raise RefusedError(
                Kind.NOT_FOUND, f"there is no such {error.kind}", "", "GET /trust/cases lists them"
            ) from error
        raise


def install_judge(app: Any, service: Service, record: Record) -> Judge:
    """The judge of an application."""
    judge = Judge(service, record)
    app.state.judge = judge
    app.include_router(review_routes)
    return judge
