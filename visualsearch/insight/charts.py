"""Charts as inline SVG: with a title and a description, with their figures as a table and as CSV, and in print as on a screen."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

WIDE, HIGH = 640, 220
LEFT, BELOW, ABOVE, RIGHT = 56, 34, 14, 12
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class Chart:
    """A chart as a page takes it. `svg` is safe HTML; `head` and `rows` are its figures; `csv` is a data address."""

    title: str
    said: str
    svg: str = field(repr=False)
    head: Sequence[str]
    rows: Sequence[Sequence[Any]] = field(repr=False)
    name: str = "figures"

    @property
    def csv(self) -> str:
        """The figures as an address that a browser downloads."""
        held = io.StringIO()
        writer = csv.writer(held)
        writer.writerow([_cell(name) for name in self.head])
        writer.writerows([[_cell(value) for value in row] for row in self.rows])
        return "data:text/csv;charset=utf-8;base64," + base64.b64encode(held.getvalue().encode()).decode()


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula gets an apostrophe."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return "" if value is None else value


def _svg(title: str, said: str, body: str, wide: int = WIDE, high: int = HIGH) -> str:
    return (
        f'<svg viewBox="0 0 {wide} {high}" role="img" class="chart" preserveAspectRatio="xMidYMid meet">'
        f"<title>{escape(title)}</title><desc>{escape(said)}</desc>{body}</svg>"
    )


def _text(x: float, y: float, words: str, kind: str = "", end: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{end}" class="{kind}">{escape(words)}</text>'


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _axis(high: float, unit: str = "") -> str:
    lines = []
    for part in (0.0, 0.5, 1.0):
        y = ABOVE + (HIGH - ABOVE - BELOW) * (1 - part)
        lines.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDE - RIGHT}" y2="{y:.1f}"/>')
        lines.append(_text(LEFT - 6, y + 4, _number(high * part) + unit, "tick", "end"))
    return "".join(lines)


def lines(
    title: str,
    said: str,
    names: Sequence[str],
    series: Sequence[tuple[str, Sequence[float | None]]],
    name: str = "lines",
) -> Chart:
    """Lines over names such as weeks; None breaks a line. Each line has its own dashes, so that colour is never needed."""
    held = [value for _, values in series for value in values if value is not None]
    high = max([*held, 1e-9]) * 1.05  # noise may take a count below 0: the line then runs along the bottom
    step = (WIDE - LEFT - RIGHT) / max(len(names) - 1, 1)
    body = [_axis(high)]
    for number, (_, values) in enumerate(series):
        points: list[list[tuple[float, float]]] = [[]]
        for at, value in enumerate(values):
            if value is None:
                points.append([])
                continue
            points[-1].append(
                (LEFT + at * step, ABOVE + (HIGH - ABOVE - BELOW) * (1 - max(value, 0.0) / high))
            )
        for part in points:
            if len(part) > 1:
                path = " ".join(f"{x:.1f},{y:.1f}" for x, y in part)
                body.append(f'<polyline class="line s{number % 6}" points="{path}"/>')
            elif part:
                body.append(
                    f'<circle class="dot s{number % 6}" cx="{part[0][0]:.1f}" cy="{part[0][1]:.1f}" r="3"/>'
                )
    every = max(1, -(-len(names) // 6))
    for at in range(0, len(names), every):
        end = "end" if at == len(names) - 1 and at else "middle"
        body.append(_text(LEFT + at * step, HIGH - 12, names[at], "tick", end))
    rows = [[each, *(values[at] for _, values in series)] for at, each in enumerate(names)]
    return Chart(title, said, _svg(title, said, "".join(body)), ["", *(n for n, _ in series)], rows, name)


def bars(
    title: str, said: str, rows: Sequence[tuple[str, float | None]], unit: str = "", name: str = "bars"
) -> Chart:
    """Lying bars, longest scale for all; None is said in words."""
    high = max([value for _, value in rows if value is not None] + [1e-9])
    tall = 30 * max(len(rows), 1) + 10
    body = []
    for at, (label, value) in enumerate(rows):
        y = 6 + at * 30
        body.append(_text(150, y + 16, label[:26], "label", "end"))
        if value is None:
            body.append(_text(160, y + 16, "too few people to tell", "soft"))
            continue
        wide = max(0.0, (WIDE - 260) * value / high)
        body.append(f'<rect class="bar" x="160" y="{y}" width="{wide:.1f}" height="22" rx="3"/>')
        body.append(_text(166 + wide, y + 16, _number(value) + unit, "tick"))
    return Chart(title, said, _svg(title, said, "".join(body), high=tall), ["", "value"], rows, name)


def intervals(
    title: str,
    said: str,
    rows: Sequence[tuple[str, float, float, float]],
    usual: float = 1.0,
    name: str = "intervals",
) -> Chart:
    """A dot with its interval for each row, on one scale; a dashed line where nothing has changed."""
    low = min([row[2] for row in rows] + [usual])
    high = max([row[3] for row in rows] + [usual])
    span = max(high - low, 1e-9)
    tall = 26 * max(len(rows), 1) + 30

    def x(value: float) -> float:
        return 190 + (WIDE - 190 - 70) * (min(max(value, low), high) - low) / span

    body = [f'<line class="zero" x1="{x(usual):.1f}" y1="0" x2="{x(usual):.1f}" y2="{tall - 20}"/>']
    body.append(_text(x(usual), tall - 6, f"{usual:g} = as usual", "tick", "middle"))
    for at, (label, middle, left, right) in enumerate(rows):
        y = 16 + at * 26
        body.append(_text(180, y + 4, label[:28], "label", "end"))
        body.append(f'<line class="span" x1="{x(left):.1f}" y1="{y}" x2="{x(right):.1f}" y2="{y}"/>')
        body.append(f'<circle class="dot s0" cx="{x(middle):.1f}" cy="{y}" r="5"/>')
        body.append(_text(WIDE - 62, y + 4, f"× {middle:.2f}", "tick"))
    return Chart(
        title, said, _svg(title, said, "".join(body), high=tall), ["", "factor", "low", "high"], rows, name
    )


def heat(
    title: str, said: str, names: Sequence[str], columns: Sequence[str], cells: Sequence[Sequence[float | None]],
    percent: bool = False, name: str = "table",
) -> Chart:  # fmt: skip
    """A table of squares, darker for more; each says its figure on hover, and an empty one that too few people are behind it."""
    held = [value for row in cells for value in row if value is not None]
    high = max([*held, 1e-9])
    wide = (WIDE - 100) / max(len(columns), 1)
    tall = 26
    body = []
    for row, (label, values) in enumerate(zip(names, cells, strict=True)):
        y = 20 + row * tall
        body.append(_text(92, y + 17, label, "tick", "end"))
        for column, value in enumerate(values):
            said_cell = "too few people" if value is None else f"{value:.1%}" if percent else _number(value)
            shade = 0 if value is None else 0.08 + 0.92 * value / high
            kind = "none" if value is None else "cell"
            body.append(
                f'<rect class="{kind}" x="{100 + column * wide:.1f}" y="{y}" width="{wide - 1.5:.1f}" height="{tall - 2}"'
                f' fill-opacity="{shade:.2f}"><title>{escape(f"{label}, {columns[column]}: {said_cell}")}</title></rect>'
            )
            if percent and value is not None and wide > 40:
                kind = "light" if shade > 0.55 else "tick"
                body.append(_text(100 + (column + 0.5) * wide, y + 17, said_cell, kind, "middle"))
    every = max(1, len(columns) // 12)
    for column in range(0, len(columns), every):
        body.append(_text(100 + (column + 0.5) * wide, 14, columns[column], "tick", "middle"))
    rows = [[label, *values] for label, values in zip(names, cells, strict=True)]
    high_all = 24 + tall * max(len(names), 1)
    return Chart(title, said, _svg(title, said, "".join(body), high=high_all), ["", *columns], rows, name)


@dataclass(frozen=True)
class Spot:
    """A cluster on the map: where (0..1), its name, how large, and a class for its phase."""

    x: float
    y: float
    label: str
    size: float
    kind: str
    said: str


def mapped(title: str, said: str, points: Sequence[tuple[float, float, int]], spots: Sequence[Spot]) -> Chart:
    """The collection in the plane: a dot for each pin, a ring for each cluster; those of a trend are filled, and named."""
    side = 640
    body = [f'<rect class="ground" x="0" y="0" width="{side}" height="{side}" rx="8"/>']
    body += [
        f'<circle class="pin" cx="{10 + x * (side - 20):.0f}" cy="{10 + (1 - y) * (side - 20):.0f}" r="1.6"/>'
        for x, y, _ in points
    ]
    taken: list[tuple[float, float]] = []
    for spot in sorted(spots, key=lambda each: each.kind == "steady"):
        x, y = 10 + spot.x * (side - 20), 10 + (1 - spot.y) * (side - 20)
        body.append(
            f'<circle class="spot {spot.kind}" cx="{x:.1f}" cy="{y:.1f}" r="{4 + 12 * spot.size:.1f}">'
            f"<title>{escape(f'{spot.label}: {spot.said}')}</title></circle>"
        )
        crowded = any(abs(x - a) < 60 and abs(y - b) < 14 for a, b in taken)
        if spot.kind != "steady" or not crowded:
            taken.append((x, y))
            end = "end" if x > side - 90 else "start" if x < 90 else "middle"
            body.append(_text(x, max(12, y - 8 - 12 * spot.size), spot.label[:22], "label halo", end))
    rows = [[spot.label, spot.said, round(spot.x, 4), round(spot.y, 4)] for spot in spots]
    made = _svg(title, said, "".join(body), side, side)
    return Chart(title, said, made, ["look", "phase", "x", "y"], rows, "map")
