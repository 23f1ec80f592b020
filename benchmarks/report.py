"""All results as one page: goals reached or not and what limits them, plots, every figure.

    python benchmarks/report.py [--results benchmarks/results] [--to FOLDER]

Writes report.html (self-contained: no script, nothing from the network, light and dark) and report.md beside the results.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import views
from goals import GOALS, KNOWN, Verdict, judged, limits
from plots import number

HERE = Path(__file__).resolve().parent
STYLE = HERE / "report.css"
FOLDED = 12
"""A table of more rows is folded away."""


def results(folder: Path) -> list[dict[str, Any]]:
    """The results of a folder, by name. Raises ValueError for a file that is none."""
    found = []
    for file in sorted(folder.glob("*.json")):
        try:
            result = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{file}: not JSON: {error}") from error
        if not isinstance(result, dict) or "benchmark" not in result:
            raise ValueError(f"{file} is no result of a benchmark: it does not say which")
        found.append(result)
    return found


def amount(value: Any, unit: str = "") -> str:
    """A figure and its unit; a dash for none."""
    if value is None:
        return "–"
    if unit == "s" and value < 0.1:
        value, unit = value * 1000, "ms"
    return f"{number(float(value))} {unit}".strip()


def settings(entry: Mapping[str, Any]) -> str:
    """What else an entry says, recall first."""
    more = {key: entry[key] for key in entry if key == "recall" or key not in KNOWN}
    ordered = sorted(more, key=lambda key: key != "recall")
    return ", ".join(f"{key.replace('_', ' ')} {more[key]}" for key in ordered)


def state(verdict: Verdict) -> tuple[str, str]:
    """CSS class and words: a smoke run decides nothing."""
    if verdict.smoke:
        return "soft", "smoke run"
    return ("yes", "✓ reached") if verdict.reached else ("no", "✗ not reached")


def goal_rows(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """For each goal and peer: class, goal, peer, theirs, ours, ratio, wanted, state, what limits it."""
    why, verdicts, rows = limits(), judged(found), []
    for key, goal in GOALS.items():
        for verdict in verdicts[key]:
            entry, (kind, words) = verdict.entry, state(verdict)
            note = settings(entry)
            rows.append(
                (
                    kind,
                    goal.what + (f" ({note})" if note else ""),
                    str(entry["peer"] or goal.peer),
                    amount(entry["theirs"], entry["unit"]),
                    amount(entry["ours"], entry["unit"]),
                    "–" if verdict.ratio is None else f"{verdict.ratio:.2f} ×",
                    goal.wanted + (f" at recall ≥ {goal.recall}" if goal.recall else ""),
                    words,
                    why[key],
                )
            )
        if not verdicts[key]:
            rows.append(
                ("no", goal.what, goal.peer, "–", "–", "–", goal.wanted, "not measured", why[key]),
            )
    return rows


GOAL_HEAD = ("goal", "peer", "peer's figure", "ours", "better by", "wanted", "state", "what limits it now")


def origin(result: Mapping[str, Any]) -> str:
    """Where a result comes from, in a line."""
    machine = result.get("hardware", {})
    commit = f"commit {result.get('commit')}{' with changes' if result.get('modified') else ''}"
    words = " ".join(str(word) for word in result.get("arguments", []))
    place = f"{machine.get('processor')}, {machine.get('cores')} cores, {machine.get('memory_gib')} GiB"
    return f"{result.get('date')} · {commit} · {place} · arguments: {words or 'none'}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], classes: Sequence[str] = ()) -> str:
    """An HTML table; columns of figures stand to the right. `classes` colours the cell named state."""
    figures = [all(_is_figure(row[at]) for row in rows) for at in range(len(head))]
    kinds = [" class=n" if figure else "" for figure in figures]
    top = "".join(f'<th scope="col"{k}>{escape(name)}</th>' for name, k in zip(head, kinds, strict=True))
    body = []
    for order, row in enumerate(rows):
        cells = []
        for name, text, kind in zip(head, row, kinds, strict=True):
            shown = f" class={classes[order]}" if classes and name == "state" else kind
            cells.append(f"<td{shown}>{escape(text)}</td>")
        body.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'
    )


def _is_figure(text: str) -> bool:
    return not text or text == "–" or (text[0] in "-0123456789" and len(text) < 24)


def flat_rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The rows of a result as a table: columns are the figures that any row has and that are single values."""
    rows = [row for row in result.get("rows", []) if isinstance(row, dict)]
    names = [
        key
        for key in dict.fromkeys(key for row in rows for key in row)
        if any(isinstance(row.get(key), (int, float, str)) for row in rows)
    ]
    return names, [[cell(row.get(name)) for name in names] for row in rows]


def cell(value: Any) -> str:
    """A value as a table shows it."""
    if isinstance(value, bool) or value is None or isinstance(value, (dict, list)):
        return {True: "yes", False: "no"}.get(value, "") if isinstance(value, bool) else ""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def page(found: Sequence[Mapping[str, Any]]) -> str:
    """The whole HTML page."""
    rows = goal_rows(found)
    figures = "".join(
        f"<figure><figcaption><b>{escape(view.title)}</b> {escape(view.about)}</figcaption>{svg}</figure>"
        for view, svg in views.drawn(found)
    )
    sections = []
    for result in found:
        head, body = flat_rows(result)
        shown = table(head, body) if head else ""
        if len(body) > FOLDED:
            shown = f"<details><summary>{len(body)} rows</summary>{shown}</details>"
        everything = escape(json.dumps(result, indent=1, ensure_ascii=False))
        name = escape(str(result["benchmark"]))
        sections.append(
            f'<h3 id="{name}">{name}</h3><p class="soft">{escape(origin(result))}</p>{shown}'
            f"<details><summary>everything that was recorded</summary><pre>{everything}</pre></details>"
        )
    style = STYLE.read_text(encoding="utf-8")
    goals = table(GOAL_HEAD, [row[1:] for row in rows], [row[0] for row in rows])
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>visualsearch: benchmarks</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head><body>'
        f'<main><h1>visualsearch: benchmarks</h1><p class="soft">{escape(summary(found, rows))}</p>'
        f'<h2>Goals</h2><div id="goals">{goals}</div>'
        f'<h2>Plots</h2><div class="figures">{figures}</div><h2>Every figure</h2>{"".join(sections)}</main></body></html>\n'
    )


def summary(found: Sequence[Mapping[str, Any]], rows: Sequence[Sequence[str]]) -> str:
    """How many goals are reached, and of what the figures are."""
    states = [row[7] for row in rows]
    counts = ", ".join(f"{states.count(name)} {name.lstrip('✓✗ ')}" for name in dict.fromkeys(states))
    commits = sorted({str(result["commit"]) for result in found if result.get("commit")})
    machines = sorted({str(r["hardware"]["processor"]) for r in found if "hardware" in r})
    return (
        f"{counts}. Contestants of a benchmark ran in the same call, in turn; medians. {len(found)} results,"
        f" {'commit' if len(commits) == 1 else 'commits'} {', '.join(commits)}, on {', '.join(machines)}."
    )


def markdown(found: Sequence[Mapping[str, Any]]) -> str:
    """The goals as Markdown, and where each result comes from."""
    rows = goal_rows(found)
    lines = [
        "# Benchmarks: what was reached",
        "",
        summary(found, rows),
        "Written by `python benchmarks/report.py` from the files beside it; `report.html` has plots and every figure.",
        "",
        f"| {' | '.join(GOAL_HEAD)} |",
        f"|{' --- |' * len(GOAL_HEAD)}",
        *(f"| {' | '.join(part.replace('|', chr(92) + '|') for part in row[1:])} |" for row in rows),
        "",
        "## Results",
        "",
        *(f"- `{result['benchmark']}`: {origin(result)}" for result in found),
        "",
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Write both documents."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--results", type=Path, default=HERE / "results")
    options.add_argument("--to", type=Path, help="folder of the report (that of the results)")
    given = options.parse_args(argv)
    found = results(given.results)
    if not found:
        raise SystemExit(f"no results in {given.results}. Run: python benchmarks/run.py")
    to = given.to or given.results
    to.mkdir(parents=True, exist_ok=True)
    (to / "report.html").write_text(page(found), encoding="utf-8")
    (to / "report.md").write_text(markdown(found), encoding="utf-8")
    print(to / "report.html")


if __name__ == "__main__":
    main()
