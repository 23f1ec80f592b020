"""`visualsearch tune`: the index recipe and the search parameters for a recall."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from visualsearch.nearest import FAST_ENOUGH, Trial, Wish, fulfils

from .common import AsJson, Folder, emit, note, open_index, size_in_bytes


def tune(
    folder: Folder,
    recall: Annotated[
        float, typer.Option(help="The recall@k wanted, against exact search.", min=0.0, max=1.0)
    ] = 0.95,
    latency_ms: Annotated[
        float | None, typer.Option(help="Most milliseconds that half of the queries may take.", min=0.0)
    ] = None,
    memory: Annotated[
        str | None, typer.Option(help="Most memory that the index may take: 500MB, 1GB, 2GiB.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Tune this recipe only; see indexes/README.md.")] = None,
    k: Annotated[int, typer.Option("-k", "--k", help="Results per query.", min=1)] = 10,
    samples: Annotated[int, typer.Option(help="Stored vectors used as queries.", min=10)] = 200,
    seconds: Annotated[
        float, typer.Option(help="Begin no further recipe after this many seconds.", min=0.0)
    ] = 600.0,
    as_json: AsJson = False,
) -> None:
    """Choose the index recipe and the search parameters that reach a recall fastest on this index's own vectors.

    Every recipe is built, on a sample of a large collection, and measured against exact search. Exact search takes part itself:
    it is kept where half of its queries take 0.2 ms or less. The settings worth having are shown: the Pareto front of recall,
    time and memory. A recipe that beats the present one is built over all rows and takes its place. Exit code 1 when nothing
    reaches what you asked for: then the highest recall is kept.

    Example: `visualsearch tune pins.index --recall 0.98 --memory 1GB`
    """
    room = None if memory is None else size_in_bytes(memory)
    with open_index(folder) as opened:
        chosen, trials = opened.tune(
            recall,
            latency_ms=latency_ms,
            memory=room,
            preset=preset,
            k=k,
            samples=samples,
            seconds=seconds,
            say=note,
        )
        rows = int(opened.info()["rows"])
    exact = next(t for t in trials if t.exact)
    shown = [t for t in trials if t.best or t in (chosen, exact)]
    reached = fulfils(chosen, Wish(recall, latency_ms, room), rows)
    if as_json:
        emit(
            {
                "chosen": _values(chosen),
                "exact": _values(exact),
                "reached": reached,
                "front": [_values(t) for t in shown],
            }
        )
    else:
        print(f"  {'recall@' + str(k):>9} {'p50 ms':>8} {'p99 ms':>8} {'bytes/row':>9}  settings")
        for t in shown:
            mark = "*" if t == chosen else " "
            of = "" if t.rows == rows else f" (of a sample of {t.rows:,} rows)"
            words = ", ".join(
                f"{name} {value}" for name, value in t.search.items() if name != "foreign_below"
            )
            print(
                f"{mark} {t.recall:9.3f} {t.milliseconds:8.2f} {t.p99:8.2f} {t.bytes_per_row:9.0f}"
                f"  {t.preset}{': ' if words else ''}{words}{of}"
            )
    note(_why(chosen, exact))
    if not reached:
        note(
            f"nothing fulfils all of that: kept {chosen.preset}, recall {chosen.recall:.3f},"
            f" {chosen.milliseconds:.2f} ms. Allow more memory or time, or ask for less recall"
        )
        raise typer.Exit(1)


def _why(chosen: Trial, exact: Trial) -> str:
    """How the choice compares with the exact scan."""
    if chosen.exact and chosen.milliseconds <= FAST_ENOUGH:
        return f"exact: a scan of all rows takes {exact.milliseconds:.2f} ms, so nothing needs to be built"
    if chosen.exact:
        return f"exact: nothing that fulfils the wish is faster than a scan of all rows, {exact.milliseconds:.2f} ms"
    return f"{chosen.preset}: {chosen.milliseconds:.2f} ms, an exact scan of all rows {exact.milliseconds:.2f} ms"


def _values(trial: Trial) -> dict[str, Any]:
    return {
        "preset": trial.preset,
        "search": dict(trial.search),
        "recall": round(trial.recall, 4),
        "milliseconds": round(trial.milliseconds, 3),
        "p99_milliseconds": round(trial.p99, 3),
        "bytes_per_row": round(trial.bytes_per_row, 1),
        "rows": trial.rows,
    }


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(tune)
