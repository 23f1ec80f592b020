"""The report as a web page, with every interval drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from visualsearch.pages import write_template

from .report import Line, Report, signed

HALF = 125
"""Pixels from the middle of a drawing to its edge."""
CENTRE = 130


@dataclass(frozen=True)
class _Row:
    """A comparison as the template takes it. `bar` has the places of the interval's ends and of the figure."""

    name: str
    arm: str
    control: str
    treatment: str
    difference: str
    said: str
    verdict: str
    bar: tuple[float, float, float] | None


@dataclass(frozen=True)
class _Block:
    title: str
    note: str
    first: str
    rows: Sequence[_Row]


def write_report(report: Report, path: str | Path) -> Path:
    """Write a report as one HTML page that stands alone. Raises StorageError."""
    found = report.experiment
    counted = ", ".join(f"{count:,} in {name}" for name, count in report.units.items())
    left = f"; {report.left_out:,} bots left out" if report.left_out else ""
    day = datetime.fromtimestamp(report.at / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    first = found.plan.metrics[0]
    blocks = [
        _Block(
            "Every metric", "The arm against the control, so far.", "metric", _rows(report.lines, "metric")
        ),
        _Block(
            "After a day, 14 and 28 days",
            "Only those who were exposed so long ago. An early gain can turn.",
            "when and metric",
            _rows(report.views, "both"),
        ),
        _Block("Day by day", f"{first}, as it stood at each day's end.", "day", _rows(report.days, "label")),
        _Block(
            "Parts of the people",
            f"{first} by what people declared, corrected for looking in many places.",
            "part",
            _rows(report.subgroups, "label"),
        ),
    ]
    return write_template(
        path,
        "experiment.html",
        title=f"Experiment {found.name}, version {found.version}",
        lead=f"{found.state.value} at {found.ramp:.0%}; {counted}{left}. {day}.",
        report=report,
        blocks=blocks,
    )


def _rows(lines: Sequence[Line], by: str) -> list[_Row]:
    widest: dict[str, float] = {}
    for line in lines:
        reach = [abs(v) for v in (line.estimate.low, line.estimate.high) if math.isfinite(v)]
        widest[line.metric] = max([widest.get(line.metric, 0.0), *reach])
    return [_row(line, by, widest[line.metric]) for line in lines]


def _row(line: Line, by: str, widest: float) -> _Row:
    found = line.estimate
    names = {"metric": line.metric, "label": line.label, "both": f"{line.label}: {line.metric}"}
    said, verdict, bar = "we cannot tell yet: too few", "", None
    if found.enough:
        said = f"{signed(found, found.low)} to {signed(found, found.high)}"
        if not line.stands or not (found.wins or found.loses):
            said += ", we cannot tell yet"
        elif line.good is not None:
            verdict = "good" if found.wins == line.good else "bad"
            said += ", better" if verdict == "good" else ", worse"
        if widest:
            low, middle, high = (
                round(CENTRE + HALF * value / widest, 1)
                for value in (found.low, found.difference, found.high)
            )
            bar = (low, middle, high)
    return _Row(
        names[by],
        line.arm,
        f"{found.control:.4g}",
        f"{found.treatment:.4g}",
        signed(found, found.difference),
        said,
        verdict,
        bar,
    )
