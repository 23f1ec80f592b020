"""Reports as web pages that stand alone: no script, nothing from elsewhere, readable by a screen reader and in print."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from visualsearch.pages import render_template, write_template

from .charts import Chart, Spot, bars, heat, intervals, lines, mapped
from .growth import Phase
from .merchants import MerchantReport, Money
from .timing import DAYS, TimingReport
from .trends import Trend, TrendReport

SHOWN = 12
MOVING = (Phase.RISING, Phase.PEAKING, Phase.FADING)
STEPS = {
    "impression": "seen",
    "click": "clicked",
    "save": "saved",
    "visit": "visited the shop",
    "purchase": "bought",
}


@dataclass(frozen=True)
class Table:
    """A table of a page; cells are texts."""

    title: str
    note: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Sheet:
    """A page: its parts in the order in which they are read."""

    title: str
    lead: str
    says: Sequence[str]
    parts: Sequence[Chart | Table] = field(repr=False)
    foot: str


def write_report(report: TrendReport | MerchantReport | TimingReport, path: str | Path) -> Path:
    """Write a report as one HTML page. Raises StorageError."""
    return write_template(path, "insight.html", sheet=sheet_of(report))


def report_page(report: TrendReport | MerchantReport | TimingReport) -> str:
    """The same page as text."""
    return render_template("insight.html", sheet=sheet_of(report))


def sentences(report: TrendReport | MerchantReport | TimingReport) -> list[str]:
    """What a report says, in plain words."""
    sheet = sheet_of(report)
    return [f"{sheet.title}. {sheet.lead}", *sheet.says]


def sheet_of(report: TrendReport | MerchantReport | TimingReport) -> Sheet:
    """What a report's page says."""
    if isinstance(report, TrendReport):
        return _trends(report)
    return _merchant(report) if isinstance(report, MerchantReport) else _timing(report)


def _said(value: Any, form: Callable[[Any], str] = str) -> str:
    return "too few to tell" if value is None else form(value)


# -- trends ----------------------------------------------------------------------------------------------------------
def _trend_line(trend: Trend) -> str:
    factor = "" if trend.factor is None else f", × {trend.factor:.2f} ({trend.low:.2f} to {trend.high:.2f})"
    again = "; it rose at this time of last year too" if trend.returns else ""
    return f"{trend.name}: {trend.phase.value}{factor}{again}{'; new' if trend.new else ''}."


def _trends(report: TrendReport) -> Sheet:
    moving = report.of(*MOVING)
    known = [trend for trend in report.trends if trend.factor is not None]
    says = [_trend_line(trend) for trend in moving[:SHOWN]] or [
        "No look grows or fades more than chance explains."
    ]
    shown = moving[:6] or known[:3]
    parts: list[Chart | Table] = []
    if shown:
        series = [(trend.name, trend.level) for trend in shown]
        parts.append(
            lines(
                "Growth",
                "People a day by look, with days of the week and seasons taken out. " + _ends(series),
                report.days,
                series,
                "growth",
            )
        )
    if known:
        rows = [
            (trend.name, trend.factor or 0.0, trend.low or 0.0, min(trend.high or 0.0, 20.0))
            for trend in known[:SHOWN]
        ]
        parts.append(
            intervals(
                "Against what is usual", "The last 3 days over the weeks before, with 95 % intervals.", rows
            )
        )
    spots = [
        Spot(
            *trend.place,
            trend.name,
            min(1.0, (trend.pins / max(each.pins for each in report.trends)) ** 0.5),
            trend.phase.name.lower() if trend.phase in MOVING else "steady",
            trend.phase.value,
        )
        for trend in report.trends
    ]
    parts.append(
        mapped(
            "Map of the collection",
            "What looks alike lies close together. Filled: a trend.",
            report.points,
            spots,
        )
    )
    parts.append(
        Table(
            "Every look",
            "People a week are counted with noise. A small dash: too few to tell.",
            ["look", "id", "phase", "factor", "interval", "people, last week", "pins that lead"],
            [
                [
                    trend.name,
                    str(trend.id),
                    trend.phase.value,
                    "–" if trend.factor is None else f"{trend.factor:.2f}",
                    "–" if trend.low is None else f"{trend.low:.2f} to {trend.high:.2f}",
                    "–" if not trend.weeks or trend.weeks[-1] is None else f"{trend.weeks[-1]:,}",
                    ", ".join(trend.leaders[:3]),
                ]
                for trend in report.trends
            ],
        )
    )
    if report.groups:
        parts.append(
            Table(
                "By what people declared",
                "The last week against the weeks before, within a group.",
                ["field", "group", "look", "factor", "interval"],
                [
                    [g.field, g.group, g.name, f"{g.factor:.2f}", f"{g.low:.2f} to {g.high:.2f}"]
                    for g in report.groups[:30]
                ],
            )
        )
    spent = "; ".join(f"{b['data_set']}: {b['spent']:.2f} of {b['limit']:g}" for b in report.budgets)
    return Sheet(
        f"Trends up to {report.last_day}",
        f"{len(report.days)} days, {len(report.trends)} looks.",
        [*says, *report.notes],
        parts,
        f"Each person adds 1 to a few counts of a release, and each count of a day has noise of {report.noise:.0f}. Epsilon is"
        f" {report.epsilon:g} a release. Spent so far: {spent}. Leading pins are on public boards of people who let them count.",
    )


def _ends(series: Sequence[tuple[str, Sequence[float | None]]]) -> str:
    found = []
    for name, values in series:
        held = [value for value in values if value is not None]
        if held:
            found.append(f"{name} goes from {held[0]:.0f} to {held[-1]:.0f}.")
    return " ".join(found)


# -- merchants -------------------------------------------------------------------------------------------------------
def _merchant(report: MerchantReport) -> Sheet:
    steps = [(STEPS[row["step"]], row["people"]) for row in report.funnel]
    parts: list[Chart | Table] = [
        bars(
            "Funnel",
            f"People at each step. {'; '.join(f'{n}: {_said(v)}' for n, v in steps)}.",
            steps,
            name="funnel",
        ),
        lines(
            "Week by week",
            "Saves, visits and clicks in each week.",
            [row["week"] for row in report.weeks],
            [(name, [row[name] for row in report.weeks]) for name in ("click", "save", "visit")],
            "weeks",
        ),
    ]
    told = [row for row in report.cohorts if row["people"]]
    if any(share is not None for row in told for share in row["bought"]):
        longest = max(len(row["bought"]) for row in told)
        parts.append(
            heat(
                "Cohorts",
                "Of the people who first touched a pin in a week, the share who had bought after so many weeks.",
                [row["week"] for row in told],
                [f"+{number} wk" for number in range(longest)],
                [[*row["bought"], *[None] * (longest - len(row["bought"]))] for row in told],
                percent=True,
                name="cohorts",
            )
        )
    parts += [_money(money) for money in report.money]
    parts += [_lift(money) for money in report.money if money.lift is not None]
    parts += _shares(report)
    says = [
        f"{report.pins:,} pins; {report.coverage['never']:,} of them were never pinned.",
        f"{_said(report.funnel[2]['times'], lambda v: f'{v:,}')} saves, by {_said(report.funnel[2]['people'], str)} people.",
    ]
    says += [f"{m.currency}: {_said(m.net, lambda v: f'{v:,.2f}')} net revenue." for m in report.money]
    assumes = " ".join(f"{name}: {text}" for name, text in report.assumes.items())
    return Sheet(
        f"Pins of {report.domain}",
        f"{report.first_day} to {report.last_day}, whole weeks.",
        [*says, *report.notes],
        parts,
        f"A figure is told where at least {report.fewest} people are behind it. What the models assume. {assumes}",
    )


def _money(money: Money) -> Table:
    surfaces = list(dict.fromkeys(surface for row in money.models.values() for surface in row))
    rows = [
        [model, *(_said(row.get(surface, 0.0), lambda v: f"{v:,.2f}") for surface in surfaces)]
        for model, row in money.models.items()
    ]
    return Table(
        f"Revenue credited, {money.currency}",
        f"By where the touch happened. Without any touch: {_said(money.untouched, lambda v: f'{v:,.2f}')}."
        f" Refunded: {_said(money.refunded, lambda v: f'{v:,.2f}')}.",
        ["model", *surfaces],
        rows,
    )


def _lift(money: Money) -> Table:
    lift = money.lift
    assert lift is not None
    said = _said(lift.caused, lambda v: f"{v:,.2f} ({lift.low:,.2f} to {lift.high:,.2f})")
    bias = "" if lift.bias is None else f" Last touch claims {lift.bias:.2f} times as much."
    return Table(
        f"Revenue caused, {money.currency}",
        f"From people who were held out by chance{f', by the experiment {lift.by}' if lift.by else ''}.{bias}",
        ["people who could see", "held out", "caused, with 95 % interval", "last touch claims"],
        [[f"{lift.treated:,}", f"{lift.held_out:,}", said, _said(lift.last_touch, lambda v: f"{v:,.2f}")]],
    )


def _shares(report: MerchantReport) -> list[Chart | Table]:
    def span(row: dict[str, Any]) -> str:
        return f"{row['from']}" if row["to"] == row["from"] else f"{row['from']} to {row['to'] or '...'}"

    tables = [
        Table("Spheres of influence", "How many saves came from each saver's saves.", ["saves that followed", "savers"],
              [[span(row), f"{row['count']:,}"] for row in report.reach]),
        Table("Chains of repins", "How deep the saves stand: 0 was found by the saver.", ["depth", "saves"],
              [[span(row), f"{row['count']:,}"] for row in report.chains]),
        Table("Boards they stand on", "Words that titles share.", ["word", "people"],
              [[row["word"], f"{row['people']:,}"] for row in report.boards]),
        Table("Seen beside", "Pins of others on the same boards.", ["pin", "people"],
              [[row["pin"], f"{row['people']:,}"] for row in report.beside]),
        Table("Kinds of people", "Groups of savers, by what else they save.", ["people", "looks"],
              [[f"{row['people']:,}", ", ".join(row["looks"])] for row in report.personas]),
        Table("Saved and not bought yet", "By product.", ["pin", "people"],
              [[row["pin"], f"{row['people']:,}"] for row in report.wanted]),
        Table("Saved and not bought yet, by look", "", ["look", "people"],
              [[row["look"], f"{row['people']:,}"] for row in report.wanted_looks]),
        Table("Never pinned", "And the look-alike of others that people save most.", ["pin", "look-alike", "cosine"],
              [[row["pin"], row["wins"] or "–", "–" if row["likeness"] is None else f"{row['likeness']:.2f}"]
               for row in report.never_pinned]),
        Table("Links with UTM tags", "For the shop's own analytics.", ["pin", "link"],
              [[row["pin"], row["link"]] for row in report.links]),
    ]  # fmt: skip
    return [table for table in tables if table.rows]


# -- timing ----------------------------------------------------------------------------------------------------------
def _timing(report: TimingReport) -> Sheet:
    parts: list[Chart | Table] = []
    if any(value is not None for value in report.activity):
        parts.append(
            heat(
                "Busy hours",
                "How busy each hour of the week is, UTC; 1 is usual.",
                DAYS,
                [f"{hour:02d}" for hour in range(24)],
                [report.activity[day * 24 : day * 24 + 24] for day in range(7)],
                name="hours",
            )
        )
    if report.curve:
        parts.append(
            lines(
                "How new pins fade",
                "Views of a new pin by its age in days, over what is usual at that hour; and the fit.",
                [f"{row['age_days']:.1f} d" for row in report.curve],
                [
                    ("views", [row["views"] for row in report.curve]),
                    ("fit", [row["fit"] for row in report.curve]),
                ],
                "decay",
            )
        )
    if report.schedule:
        parts.append(
            Table(
                "When to publish",
                "What a pin gains in its first week over a random hour. UTC.",
                ["day", "hour", "gain", "interval"],
                [
                    [
                        slot.day,
                        f"{slot.hour:02d}:00",
                        f"{slot.gain:+.1%}",
                        f"{slot.low:+.1%} to {slot.high:+.1%}",
                    ]
                    for slot in report.schedule
                ],
            )
        )
    says = [f"{_said(report.people, lambda v: f'{v:,}')} people."]
    if report.half_life_days is not None:
        says.append(
            f"Views of a new pin halve every {report.half_life_days:.2f} days"
            f" ({report.half_life_low:.2f} to {report.half_life_high:.2f}; {report.new_pins} new pins)."
        )
    return Sheet(
        f"Timing: {report.audience}",
        f"{report.first_day} to {report.last_day}, whole weeks.",
        [*says, *report.notes],
        parts,
        f"An hour is told where at least {report.fewest} people looked in it.",
    )
