"""The addresses of insight: trends, shops and timing, as JSON and as pages, for keys with the scope `insight`.

A key that is a merchant's sees the report and the timing of domains which that merchant has proved, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from visualsearch.errors import MissingExtraError, UsageError
from visualsearch.experiments import open_experiments
from visualsearch.insight import FEWEST, Holdout, find_trends, merchant_report, report_page, timing_report
from visualsearch.people import domain_name

from .access import CAN_GAIN_INSIGHT, merchants_own, owners_only
from .openapi import refused
from .people.record import Record
from .problems import Kind, RefusedError
from .routes import Serving

insight_routes = APIRouter(prefix="/insight", tags=["insight"], dependencies=[CAN_GAIN_INSIGHT])

Day = Annotated[str | None, Query(description="The last day to look at, as 2026-11-28.", max_length=10)]
Form = Annotated[Literal["json", "html"], Query(description="JSON, or a page to read.", alias="format")]
Weeks = Annotated[int, Query(ge=1, le=520, description="Whole weeks to look at.")]
Fewest = Annotated[int, Query(ge=5, le=10_000, description="People behind each figure that is told.")]
POLICY = {
    # The page brings its own style, and runs no script.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
}
BOTH: dict[int | str, dict[str, Any]] = {
    **refused(404, 409),
    200: {
        "description": "The report.",
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "text/html": {"schema": {"type": "string"}},
        },
    },
}


@insight_routes.get("/trends", responses=BOTH, summary="Looks that rise, peak and fade")
async def trends(
    request: Request,
    serving: Serving,
    days: Annotated[int, Query(ge=1, le=1200, description="Days to look at.")] = 60,
    until: Day = None,
    by: Annotated[list[Literal["region", "age", "interest"]] | None, Query(max_length=3)] = None,
    form: Form = "json",
) -> Response:
    """Counts have noise. A new day is charged to its month's budget; what was told before costs nothing."""
    owners_only(request)
    asked = lambda: find_trends(serving.index, days=days, until=until, by=by or ())  # noqa: E731
    return await _report(request, asked, form)


@insight_routes.get("/merchant/{domain}", responses=BOTH, summary="What a shop's pins did")
async def merchant(
    request: Request,
    serving: Serving,
    domain: Annotated[str, Path(max_length=253, description="The shop's domain.")],
    weeks: Weeks = 12,
    until: Day = None,
    fewest: Fewest = 10,
    utm: Annotated[bool, Query(description="List the pins' links with UTM tags.")] = False,
    experiment: Annotated[
        str | None, Query(max_length=200, description="Who was held out, by this experiment's holdback.")
    ] = None,
    arm: Annotated[
        str | None, Query(max_length=200, description="Who was held out, by this arm of the experiment.")
    ] = None,
    form: Form = "json",
) -> Response:
    """Every figure has at least `fewest` people behind it; null stands for those that have not. A merchant's key: 10 at least."""

    def asked() -> Any:
        least = _own(request, domain, fewest)
        held: Holdout | tuple[()] = ()
        if arm is not None and experiment is None:
            raise UsageError("an arm of what?", "no experiment is named", "Name it: experiment=NAME")
        if experiment is not None:
            owners_only(request)  # the names of experiments are not for merchants
            held = open_experiments(serving.index.people).held_out(experiment, arm)
        return merchant_report(
            serving.index, domain, weeks=weeks, until=until, fewest=least, held_out=held, utm=utm
        )

    return await _report(request, asked, form)


@insight_routes.get("/timing", responses=BOTH, summary="When people look, and when to publish")
async def timing(
    request: Request,
    serving: Serving,
    domain: Annotated[
        str | None, Query(max_length=253, description="Only people who touched its pins.")
    ] = None,
    weeks: Weeks = 8,
    until: Day = None,
    slots: Annotated[int, Query(ge=1, le=8, description="Times to suggest.")] = 5,
    fewest: Fewest = 10,
    form: Form = "json",
) -> Response:
    """Busy hours of the week, the half-life of new pins, and a schedule with its expected gain."""

    def asked() -> Any:
        least = _own(request, domain, fewest)
        return timing_report(
            serving.index, domain=domain, weeks=weeks, until=until, slots=slots, fewest=least
        )

    return await _report(request, asked, form)


def _own(request: Request, domain: str | None, fewest: int) -> int:
    """The least people behind a figure. Raises RefusedError where a merchant's key asks for what is not proved to be theirs.

    The record is asked each time: who gives a domain up sees nothing of it from then on.
    """
    merchant: str | None = request.state.merchant
    if merchant is None:
        return fewest
    record: Record = request.app.state.people
    claims = record.open().domain_claims(merchant)
    proved = [claim.domain for claim in claims if claim.verified is not None]
    if domain is None or domain_name(domain) not in proved:
        raise merchants_own(f"it sees {', '.join(proved)}" if proved else "its merchant has proved no domain")
    return max(fewest, FEWEST)


async def _report(request: Request, asked: Callable[[], Any], form: str) -> Response:
    record: Record = request.app.state.people
    if not record.exists:
        raise RefusedError(
            Kind.NOT_FOUND, "there is nothing to see yet", "this server keeps no record of people so far", ""
        )
    try:
        found = await record.insight_pool.run(asked)
    except MissingExtraError as error:
        raise RefusedError(Kind.STARTING, error.what, error.why, error.remedy) from error
    headers = {"Cache-Control": "no-store"}
    if form == "html":
        return HTMLResponse(report_page(found), headers={**headers, **POLICY})
    return JSONResponse(found.to_dict(), headers=headers)
