"""Charts as SVG text that takes its colours from the page: lines over two axes, bars, and bars of parts.

Series are told apart by colour and by the shape of their marks. The page defines --s0 ... --s7, --ink, --faint and --paper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 74, 240, 16, 46
COLOURS = 8
MARKS = ("circle", "square", "triangle", "diamond")
Series = Mapping[str, Sequence[tuple[float, float]]]


@dataclass(frozen=True)
class Axis:
    """A label, and whether each step multiplies."""

    label: str
    log: bool = False


@dataclass(frozen=True)
class Scale:
    """Values `low`..`high` to pixels `start`..`end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    def at(self, value: float) -> float:
        """The pixel of a value."""
        low, high, value = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values within, four to ten of them."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for steps in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10))):
                found = [s * 10.0**d for d in decades for s in steps if self.low <= s * 10.0**d <= self.high]
                if len(found) >= 4:
                    return found
            return found or [self.low, self.high]
        raw = (self.high - self.low) / 5
        base = 10.0 ** math.floor(math.log10(raw))
        step = next(base * s for s in (1, 2, 5, 10) if base * s >= raw)
        first = math.ceil(self.low / step - 1e-9)
        return [n * step for n in range(first, math.floor(self.high / step + 1e-9) + 1)]


def fitted(values: Sequence[float], axis: Axis, start: float, end: float) -> Scale:
    """A scale that shows all values with a little room. Values on a logarithmic axis must be above 0."""
    low, high = min(values), max(values)
    if axis.log:
        room = (high / low) ** 0.06 if high > low else 2.0
        return Scale(low / room, high * room, start, end, True)
    room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return Scale(low - room if low < 0 or low > room else 0.0, high + room, start, end, False)


def number(value: float) -> str:
    """Short: 12k, 3.5M, 0.85."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{letter}"
    return f"{value:.4g}"


def lines(title: str, series: Series, x: Axis, y: Axis, *, joined: bool = True) -> str:
    """A chart of (x, y) points by series, joined in their order unless told otherwise."""
    points = [point for some in series.values() for point in some]
    across = fitted([p[0] for p in points], x, LEFT, WIDTH - RIGHT)
    up = fitted([p[1] for p in points], y, HEIGHT - BOTTOM, TOP)
    parts = [_grid(across, up, x.label, y.label)]
    for order, (name, some) in enumerate(series.items()):
        places = [(across.at(a), up.at(b)) for a, b in some]
        colour = f"var(--s{order % COLOURS})"
        if joined and len(places) > 1:
            path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for (a, b), (value_x, value_y) in zip(places, some, strict=True):
            told = f"{name}: {number(value_x)}, {number(value_y)}"
            parts.append(_mark(order, a, b, colour, told))
        height = TOP + 12 + 20 * order
        parts.append(_mark(order, WIDTH - RIGHT + 18, height - 4, colour, name))
        parts.append(_text(WIDTH - RIGHT + 30, height, _short(name), "start"))
    return _svg(title, HEIGHT, parts)


def bars(title: str, values: Sequence[tuple[str, float]], unit: str, ours: Sequence[str] = ()) -> str:
    """Horizontal bars from 0; those named in `ours` in the first colour, the others in a faint one."""
    return stacks(
        title,
        [(name, {"ours" if name in ours else "theirs": value}) for name, value in values],
        unit,
        {"ours": "var(--s0)", "theirs": "var(--faint)"},
        legend=False,
    )


def stacks(
    title: str,
    rows: Sequence[tuple[str, Mapping[str, float]]],
    unit: str,
    colours: Mapping[str, str] | None = None,
    *,
    legend: bool = True,
) -> str:
    """Horizontal bars made of parts, one row each; the sum is written at the end."""
    kinds = list(dict.fromkeys(kind for _, parts in rows for kind in parts))
    paint = colours or {kind: f"var(--s{order % COLOURS})" for order, kind in enumerate(kinds)}
    left, right, step = 250, 130, 30
    top = 34 if legend else 8
    across = Scale(0, max(sum(parts.values()) for _, parts in rows) or 1, left, WIDTH - right, False)
    out = []
    place = float(left)
    for kind in kinds if legend else ():
        out.append(f'<rect x="{place:.0f}" y="8" width="12" height="12" fill="{paint[kind]}"/>')
        out.append(_text(place + 17, 18, kind, "start"))
        place += 40 + 7 * len(kind)
    for order, (name, parts) in enumerate(rows):
        y, total = top + step * order, 0.0
        out.append(_text(left - 8, y + 16, _short(name, 36), "end"))
        for kind, value in parts.items():
            start, end = across.at(total), across.at(total + value)
            told = f"{name}, {kind}: {number(value)} {unit}" if legend else f"{name}: {number(value)} {unit}"
            out.append(
                f'<rect x="{start:.1f}" y="{y + 3}" width="{max(0.5, end - start):.1f}" height="19"'
                f' fill="{paint[kind]}"><title>{escape(told)}</title></rect>'
            )
            total += value
        out.append(_text(across.at(total) + 6, y + 17, f"{number(total)} {unit}", "start"))
    return _svg(title, top + step * len(rows) + 8, out)


def _grid(across: Scale, up: Scale, x_label: str, y_label: str) -> str:
    out = []
    for value in across.ticks():
        a = across.at(value)
        out.append(f'<line x1="{a:.1f}" y1="{up.start:.0f}" x2="{a:.1f}" y2="{up.end:.0f}" class="grid"/>')
        out.append(_text(a, up.start + 18, number(value), "middle"))
    for value in up.ticks():
        b = up.at(value)
        out.append(
            f'<line x1="{across.start:.0f}" y1="{b:.1f}" x2="{across.end:.0f}" y2="{b:.1f}" class="grid"/>'
        )
        out.append(_text(across.start - 8, b + 4, number(value), "end"))
    middle = (up.start + up.end) / 2
    out.append(_text((across.start + across.end) / 2, HEIGHT - 6, x_label, "middle"))
    out.append(
        f'<text x="16" y="{middle:.0f}" text-anchor="middle" transform="rotate(-90 16 {middle:.0f})">{escape(y_label)}</text>'
    )
    return "".join(out)


def _mark(order: int, x: float, y: float, colour: str, told: str) -> str:
    title = f"<title>{escape(told)}</title>"
    shape = MARKS[(order // COLOURS + order) % len(MARKS)]
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}">{title}</circle>'
    corners = {
        "square": ((-4, -4), (4, -4), (4, 4), (-4, 4)),
        "triangle": ((0, -5), (5, 4), (-5, 4)),
        "diamond": ((0, -6), (5, 0), (0, 6), (-5, 0)),
    }[shape]
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{points}" fill="{colour}">{title}</polygon>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _short(name: str, most: int = 30) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}"'
        f' xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )
