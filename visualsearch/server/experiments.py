"""Experiments for those who may write: what runs, what it says, and going on or stopping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field

from visualsearch.errors import UnknownNameError
from visualsearch.experiments import Experiment, Experiments, open_experiments

from .access import CAN_WRITE
from .openapi import refused
from .people.record import Record
from .problems import Kind, RefusedError

experiment_routes = APIRouter(prefix="/experiments", tags=["experiments"], dependencies=[CAN_WRITE])
T = TypeVar("T")
Name = Annotated[str, Path(max_length=200, description="The experiment's name.")]
Why = Annotated[str, Query(max_length=500, description="Why; it stays beside the experiment.")]


class ExperimentOut(BaseModel):
    """A version of an experiment."""

    name: str
    version: int
    state: str = Field(description="draft, running or stopped.")
    ramp: float = Field(description="The share of people who are in, 0 to 1.")
    arms: list[str] = Field(description="The control first.")
    reason: str


class ExperimentsOut(BaseModel):
    """The newest version of every experiment, oldest first."""

    experiments: list[ExperimentOut]


class ExperimentReport(BaseModel):
    """What an experiment says; `visualsearch experiment report --json` gives more."""

    experiment: ExperimentOut
    units: dict[str, int] = Field(description="How many people, or sessions, each arm has.")
    alarm: bool = Field(description="No figure can be trusted: the arms do not hold their planned shares.")
    sentences: list[str] = Field(description="The report in plain words, the most important first.")


def _out(found: Experiment) -> ExperimentOut:
    return ExperimentOut(
        name=found.name,
        version=found.version,
        state=found.state.value,
        ramp=found.ramp,
        arms=[arm.name for arm in found.plan.arms],
        reason=found.reason,
    )


async def _ask(request: Request, work: Callable[[Experiments], T]) -> T:
    record: Record = request.app.state.people

    def asked() -> T:
        try:
            return work(open_experiments(record.open()))
        except UnknownNameError as error:
            raise RefusedError(
                Kind.NOT_FOUND, "there is no such experiment", "", "GET /experiments lists them"
            ) from error

    return await record.pool.run(asked)


@experiment_routes.get("", responses=refused(404), summary="All experiments")
async def experiments(request: Request) -> ExperimentsOut:
    """The newest version of each, oldest first."""

    def work(opened: Experiments) -> ExperimentsOut:
        newest = {each.name: each for each in opened.all()}
        return ExperimentsOut(experiments=[_out(each) for each in newest.values()])

    record: Record = request.app.state.people
    if record.enabled and not record.exists:  # asking makes no record
        return ExperimentsOut(experiments=[])
    return await _ask(request, work)


@experiment_routes.get("/{name}", responses=refused(404, 409), summary="What an experiment says")
async def report(request: Request, name: Name) -> ExperimentReport:
    """It may be read every day: the intervals hold at all times."""

    def work(opened: Experiments) -> ExperimentReport:
        found = opened.report(name)
        units = {arm: int(count) for arm, count in found.units.items()}
        return ExperimentReport(
            experiment=_out(found.experiment), units=units, alarm=found.alarm, sentences=found.sentences()
        )

    return await _ask(request, work)


@experiment_routes.post("/{name}/ramp", responses=refused(404, 409, 507), summary="Let more people in")
async def ramp(
    request: Request,
    name: Name,
    to: Annotated[
        float | None, Query(gt=0, le=1, description="The share of people; default: the plan's next step.")
    ] = None,
    reason: Why = "",
) -> ExperimentOut:
    """Whoever is in stays in, and in their arm."""
    return _out(await _ask(request, lambda opened: opened.ramp(name, to, reason)))


@experiment_routes.post("/{name}/stop", responses=refused(404, 409, 507), summary="End an experiment")
async def stop(request: Request, name: Name, reason: Why = "") -> ExperimentOut:
    """What was seen stays, and can be reported."""
    return _out(await _ask(request, lambda opened: opened.stop(name, reason)))
