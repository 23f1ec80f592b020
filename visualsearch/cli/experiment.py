"""`visualsearch experiment`: plan one, start it, ramp it, stop it, and read what it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import AsJson, Folder, emit, note, open_index, plain
from .panels import Panels
from .people import Address

if TYPE_CHECKING:
    from visualsearch.experiments import Arm, Experiment, Experiments, Guardrail

experiment = typer.Typer(
    name="experiment",
    cls=Panels,
    help="Experiments on people: create, start, ramp, stop, report, costs."
    "\n\nExample: `visualsearch experiment create pins.index warm-feed --expect 2000`",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The experiment's name.", show_default=False)]


@contextmanager
def _opened(folder: Path, address: str | None) -> Iterator[Experiments]:
    from visualsearch.experiments import open_experiments

    with open_index(folder, people=address) as index:
        yield open_experiments(index.people)


def _wrong(what: str, text: str, form: str) -> Exception:
    from visualsearch.errors import UsageError

    return UsageError(f"cannot read {what} {text!r}", "it has another form", f"Write {what} {form}")


def _arms(given: list[str] | None, sets: list[str] | None) -> tuple[Arm, ...] | None:
    """NAME or NAME=WEIGHT, and ARM:SETTING=VALUE."""
    from visualsearch.errors import UnknownNameError
    from visualsearch.experiments import Arm

    found = _sets(sets)
    arms = []
    for text in given or (("control", "treatment") if found else ()):
        name, equals, weight = text.partition("=")
        try:
            arms.append(Arm(name, float(weight) if equals else 1.0, found.pop(name, {})))
        except ValueError as error:
            raise _wrong("--arm", text, "NAME or NAME=WEIGHT") from error
    for name in found:
        raise UnknownNameError("arm", name, [arm.name for arm in arms])
    return tuple(arms) or None


def _sets(given: list[str] | None) -> dict[str, dict[str, float | str]]:
    found: dict[str, dict[str, float | str]] = {}
    for text in given or ():
        arm, colon, rest = text.rpartition(":")
        name, equals, value = rest.partition("=")
        if not colon or not equals:
            raise _wrong("--set", text, "ARM:SETTING=VALUE, such as treatment:diversity=0.5")
        held = found.setdefault(arm, {})
        try:
            held[name] = float(value)
        except ValueError:
            held[name] = value
    return found


def _guards(given: list[str] | None) -> tuple[Guardrail, ...] | None:
    """METRIC=TOLERANCE, with a minus before the metric where less is worse; `none` for no guardrail."""
    from visualsearch.experiments import METRICS, Guardrail

    if given == ["none"]:
        return ()
    rails = []
    for text in given or ():
        name, equals, tolerance = text.partition("=")
        try:
            allowed = float(tolerance) if equals else 0.0
        except ValueError as error:
            raise _wrong("--guard", text, "METRIC or METRIC=0.02") from error
        known = METRICS.get(name)
        rails.append(Guardrail(name, allowed, known is not None and known.good is not False))
    return tuple(rails) or None


def _told(made: Experiment, as_json: bool) -> None:
    if as_json:
        emit({name: value for name, value in made.to_row().items() if name != "experiment"})
        return
    why = f": {plain(made.reason)}" if made.reason else ""
    note(f"{plain(made.name)}, version {made.version}: {made.state.value}, {made.ramp:.0%} are in{why}")


@experiment.command()
def create(
    folder: Folder,
    name: Name,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=WEIGHT]", help="An arm, the control first. Default: control and treatment."
        ),
    ] = None,
    unit: Annotated[str, typer.Option(help="What is assigned: person or session.")] = "person",
    group: Annotated[
        str, typer.Option(metavar="GROUP", help="Nobody is in two experiments of one group at a time.")
    ] = "",
    share: Annotated[float, typer.Option(help="The experiment's part of its group.", min=0, max=1)] = 1.0,
    holdback: Annotated[
        float, typer.Option(help="The share of all people who stay out.", min=0, max=1)
    ] = 0.0,
    metric: Annotated[
        list[str] | None, typer.Option(metavar="METRIC", help="A metric, the one that decides first.")
    ] = None,
    guard: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC[=SHARE]",
            help="It stops when METRIC gets worse by more than SHARE. `none`: nothing stops it.",
        ),
    ] = None,
    subgroup: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD", help="Tell effects apart by a declared field, such as region."),
    ] = None,
    surface: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SURFACE", help="Where the server gives people their arm: feed, related, search."
        ),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="ARM:SETTING=VALUE",
            help="What an arm does otherwise, such as learnt:ranker=learnt. An unknown setting lists all.",
        ),
    ] = None,
    kind: Annotated[
        str,
        typer.Option(help="split: each person has one arm. interleave: lists are drafted from two arms."),
    ] = "split",
    expect: Annotated[int, typer.Option(help="How many people it shall meet.", min=1)] = 10_000,
    per_person_days: Annotated[
        float, typer.Option("--days", help="For how many days each person is watched.", min=0.01)
    ] = 28.0,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why a new version begins of one that has met people.")
    ] = "",
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Keep an experiment as a draft. One that has met people is not changed: with --reason a new version begins.

    With --surface, `visualsearch serve` gives people their arm. It measures latency, errors and variety, and stops by itself.

    Example: `visualsearch experiment create pins.index warm-feed --expect 2000 --days 28 --guard hides=0.05`.
    On a server: `visualsearch experiment create pins.index learnt-feed --surface feed --arm plain --arm ranker`
    """
    given: dict[str, Any] = {
        "arms": _arms(arm, sets),
        "surfaces": tuple(surface or ()),
        "metrics": metric and tuple(metric),
        "guardrails": _guards(guard),
    }
    given["subgroups"] = subgroup and tuple(subgroup)
    given = {field: value for field, value in given.items() if value is not None}
    with _opened(folder, address) as opened:
        made = opened.create(
            name,
            reason=reason,
            unit=unit,
            kind=kind,
            group=group,
            share=share,
            holdback=holdback,
            people=expect,
            days=per_person_days,
            **given,
        )
    _told(made, as_json)


Ramp = Annotated[
    float | None,
    typer.Option("--ramp", help="The share of people who are in; default: the plan's next step.", max=1),
]


@experiment.command()
def start(
    folder: Folder, name: Name, ramp: Ramp = None, address: Address = None, as_json: AsJson = False
) -> None:
    """Let a draft meet people: 1 in 100 at first, or --ramp.

    Example: `visualsearch experiment start pins.index warm-feed`
    """
    with _opened(folder, address) as opened:
        _told(opened.start(name, ramp), as_json)


@experiment.command(name="ramp")
def ramp_(
    folder: Folder,
    name: Name,
    ramp: Ramp = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why.")] = "",
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Let more people in. Whoever is in stays in, and in their arm.

    Example: `visualsearch experiment ramp pins.index warm-feed --ramp 0.5`
    """
    with _opened(folder, address) as opened:
        _told(opened.ramp(name, ramp, reason), as_json)


@experiment.command()
def stop(
    folder: Folder,
    name: Name,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why.")] = "",
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """End an experiment. What was seen stays, and can be reported.

    Example: `visualsearch experiment stop pins.index warm-feed --reason "it won"`
    """
    with _opened(folder, address) as opened:
        _told(opened.stop(name, reason), as_json)


@experiment.command()
def report(
    folder: Folder,
    name: Name,
    number: Annotated[int | None, typer.Option("--version", help="An older version.", min=1)] = None,
    numbers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help='Measurements of your own, as JSON: {"latency_ms": {"control": [12.5]}}.'
        ),
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Do what the report decides: ramp, stop, or nothing. For cron.")
    ] = False,
    interleaving: Annotated[
        bool,
        typer.Option("--interleaving", help="Instead: which of two rankers mixed in one list people prefer."),
    ] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as a web page.")] = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Say what an experiment found, in plain words, and what to do next. It may be read every day.

    Example: `visualsearch experiment report pins.index warm-feed --html report.html --apply`
    """
    with _opened(folder, address) as opened:
        if interleaving:
            _preference(opened, name, as_json)
            return
        found = opened.report(name, number, numbers=_numbers(numbers))
        after = opened.apply(found) if apply else None
    if html is not None:
        from visualsearch.experiments import write_report

        write_report(found, html)
        note(f"{plain(str(html))}: written")
    if as_json:
        applied = None if after is None else {"state": after.state.value, "ramp": after.ramp}
        emit({**found.to_dict(), "applied": applied})
        return
    counted = ", ".join(f"{count:,} in {plain(arm)}" for arm, count in found.units.items())
    print(f"{plain(name)}, version {found.experiment.version}: {found.experiment.state.value}; {counted}")
    for sentence in found.sentences():
        print(plain(sentence))
    if after is not None:
        note(f"now: {after.state.value}, {after.ramp:.0%} are in")


@experiment.command()
def costs(
    folder: Folder,
    since: Annotated[float, typer.Option("--days", help="How many days back.", min=0.01)] = 28.0,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Say what swapped neighbours and tried fresh pins have cost: see --swaps and --explore of `visualsearch serve`.

    Example: `visualsearch experiment costs pins.index --days 7`
    """
    from visualsearch.live import costs_of

    with open_index(folder, people=address) as index:
        found = costs_of(index.people, since)
    if as_json:
        emit(found.to_dict())
        return
    for sentence in found.sentences():
        print(sentence)


def _preference(opened: Experiments, name: str, as_json: bool) -> None:
    from dataclasses import asdict

    found = opened.interleaving(name)
    if as_json:
        emit({**asdict(found), "winner": found.winner})
        return
    said = "we cannot tell yet" if found.winner is None else f"ranker {found.winner} is preferred"
    print(
        f"{plain(name)}: {said}. {found.decided:,} of {found.sessions:,} sessions decided,"
        f" {found.share:.0%} for ranker 1 ({found.low:.0%} to {found.high:.0%})"
    )


def _numbers(path: Path | None) -> dict[str, dict[str, list[float]]] | None:
    from visualsearch.errors import UsageError

    if path is None:
        return None
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return {
            metric: {arm: [float(value) for value in values] for arm, values in by_arm.items()}
            for metric, by_arm in held.items()
        }
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UsageError(
            f"cannot read the numbers of {path}",
            str(error),
            'Write {"latency_ms": {"control": [12.5, 13.1]}}',
        ) from error


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(experiment, name="experiment")
