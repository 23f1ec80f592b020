"""`visualsearch tune`: search parameters for a recall."""

from __future__ import annotations

from typing import Annotated

import typer

from .common import AsJson, Folder, emit, note, open_index


def tune(
    folder: Folder,
    recall: Annotated[
        float, typer.Option(help="The recall@k wanted, against exact search.", min=0.0, max=1.0)
    ] = 0.95,
    k: Annotated[int, typer.Option("-k", "--k", help="Results a query.", min=1)] = 10,
    samples: Annotated[int, typer.Option(help="Stored vectors used as queries.", min=10)] = 200,
    as_json: AsJson = False,
) -> None:
    """Choose the fastest search parameters that reach a recall on this index's own vectors, and keep them.

    Every setting is measured against exact search; the ones worth having (the Pareto front) are shown. Exit code 1 when none
    reaches the recall: then the best one is kept.

    Example: `visualsearch tune pins.index --recall 0.98`
    """
    with open_index(folder) as opened:
        chosen, trials = opened.tune(recall, k=k, samples=samples)
    if chosen is None:
        note(f"{folder}: every row is compared (preset exact), so recall is 1 and there is nothing to tune")
        if as_json:
            emit({"chosen": None, "front": []})
        return
    front = [t for t in trials if t.best]
    shown = [
        {"search": dict(t.search), "recall": round(t.recall, 4), "milliseconds": round(t.milliseconds, 3)}
        for t in front
    ]
    kept = {
        "search": dict(chosen.search),
        "recall": chosen.recall,
        "milliseconds": round(chosen.milliseconds, 3),
    }
    if as_json:
        emit({"chosen": kept, "reached": chosen.recall >= recall, "front": shown})
    else:
        for t in front:
            mark = "*" if t.search == chosen.search else " "
            words = ", ".join(f"{name} {value}" for name, value in t.search.items())
            print(f"{mark} recall@{k} {t.recall:.3f}  {t.milliseconds:7.2f} ms  {words}")
    if chosen.recall < recall:
        note(
            f"no setting reaches {recall}: kept the best, {chosen.recall:.3f}. A larger preset may: see indexes/README.md"
        )
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(tune)
