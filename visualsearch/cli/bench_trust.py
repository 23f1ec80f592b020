"""`visualsearch bench trust` and `bench experiments`: how well spam is found, and whether experiments keep their promise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .common import AsJson, emit, note

Pair = tuple[Path, Path]


def trust(
    accounts: Annotated[
        Pair | None,
        typer.Option(
            "--accounts",
            metavar="TRAIN TEST",
            help="Labelled accounts to learn from and to judge: CSV of counts, and a column spam, fake or label.",
        ),
    ] = None,
    texts: Annotated[
        Pair | None,
        typer.Option(
            "--texts",
            metavar="TRAIN TEST",
            help="Labelled texts to learn from and to judge: CSV with the columns text and spam.",
        ),
    ] = None,
    graph: Annotated[
        Pair | None,
        typer.Option(
            "--graph",
            metavar="EDGES LABELS",
            help="Who knows whom (two columns), and labels with a column split (train or test).",
        ),
    ] = None,
    ask: Annotated[
        int, typer.Option("--ask", help="Labels of TEST's texts that the review queue asks for first.", min=0)
    ] = 0,
    wrong: Annotated[
        float, typer.Option("--wrong", help="Share of the graph's labels to turn around.", min=0, max=0.49)
    ] = 0.0,
    world: Annotated[
        Path | None,
        typer.Option(
            "--world",
            metavar="DIR",
            help="Simulate an attack and honest heavy users on a copy of this index.",
        ),
    ] = None,
    attack: Annotated[int, typer.Option("--attack", help="With --world: pins of the attack.", min=50)] = 3000,
    heavy: Annotated[
        int, typer.Option("--heavy", help="With --world: shops and planners; a fifth are shops.", min=10)
    ] = 2000,
    as_json: AsJson = False,
) -> None:
    """Measure how much spam is found while few honest ones are hit. Needs the extra `learn`.

    Give one of --accounts, --texts, --graph and --world. What is judged is never learnt from.

    Examples: `visualsearch bench trust --accounts train.csv test.csv`,
    `visualsearch bench trust --texts train.csv test.csv --ask 100`
    """
    from visualsearch.errors import UsageError
    from visualsearch.trust import measure_accounts, measure_graph, measure_texts, read_table

    if [accounts, texts, graph, world].count(None) != 3:
        raise UsageError(
            "nothing single to measure",
            "it takes one of --accounts, --texts, --graph and --world",
            "Give one of them",
        )
    if world is not None:
        from visualsearch.quality import WorldAttack, measure_trust_world

        asked = WorldAttack(pins=attack, shops=heavy // 5, planners=heavy - heavy // 5)
        _show(measure_trust_world(world, asked, note), as_json)
        return
    if accounts:
        found = measure_accounts(read_table(accounts[0]), read_table(accounts[1]))
    elif texts:
        found = measure_texts(read_table(texts[0]), read_table(texts[1]), ask=ask)
    else:
        assert graph is not None
        found = measure_graph(*graph, wrong=wrong)
    _show(found, as_json)


def experiments(
    runs: Annotated[int, typer.Option("--runs", help="Simulated experiments per row.", min=10)] = 1000,
    effect: Annotated[
        float, typer.Option("--effect", help="The true effect in the power row, relative.")
    ] = 0.45,
    people: Annotated[int, typer.Option("--people", help="People in an experiment.", min=100)] = 600,
    seed: Annotated[int, typer.Option("--seed", help="Where the random numbers start.", min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure false alarms and power of experiments that are looked at every day for 30 days. All data is simulated.

    Beside ours: a z-test looked at daily, and one look at the planned end.

    Example: `visualsearch bench experiments --runs 1000`
    """
    from visualsearch.experiments import Plan, looked_at

    same = looked_at(Plan(people=people), runs, seed)
    real = looked_at(Plan(people=people, effect=effect), runs, seed + 1)
    loss = 1 - real.always_valid / real.fixed if real.fixed else None
    _show(
        {
            "simulated": True,
            "runs": runs,
            "false_alarms": {
                "always_valid": same.always_valid,
                "daily_z": same.daily_z,
                "one_look": same.fixed,
            },
            "power": {"always_valid": real.always_valid, "daily_z": real.daily_z, "one_look": real.fixed},
            "power_loss": loss,
        },
        as_json,
    )


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit(found)
        return
    for name, value in found.items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        for part, figure in inner:
            label = f"{name} {part}".strip()
            print(f"{label:32} {figure:.4f}" if isinstance(figure, float) else f"{label:32} {figure}")
