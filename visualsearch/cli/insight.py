"""`visualsearch insight`: trends, a shop's report, and when to publish."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, Any

import typer

from . import publish
from .common import AsJson, Folder, emit, note, open_index, plain
from .panels import Panels
from .people import Address

insight = typer.Typer(
    name="insight",
    cls=Panels,
    help="What people turn to, what a shop's pins do, and when to publish. No figure tells of one person."
    "\n\nExample: `visualsearch insight trends pins.index --html trends.html`",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Until = Annotated[
    str | None, typer.Option("--until", metavar="DAY", help="The last day to look at, as 2026-11-28.")
]
Weeks = Annotated[int, typer.Option("--weeks", help="Whole weeks to look at.", min=1, max=520)]
Fewest = Annotated[
    int, typer.Option("--fewest", help="People who must be behind a figure that is told.", min=5)
]
Page = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write the report as a web page.")]


def _told(found: Any, html: Path | None, as_json: bool) -> None:
    from visualsearch.insight import write_report

    if html is not None:
        write_report(found, html)
        note(f"{plain(str(html))}: written")
    if as_json:
        emit(found.to_dict())
        return
    from visualsearch.insight import sentences

    for sentence in sentences(found):
        print(plain(sentence))


@insight.command()
def trends(
    folder: Folder,
    days: Annotated[int, typer.Option("--last", help="Days to look at.", min=1, max=1200)] = 60,
    until: Until = None,
    by: Annotated[
        list[str] | None,
        typer.Option("--by", metavar="FIELD", help="Also by what people declared: region, age or interest."),
    ] = None,
    epsilon: Annotated[
        float, typer.Option("--epsilon", help="What each new day costs of its month's budget.")
    ] = 1.0,
    html: Page = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Say which looks rise, peak and fade. Needs the extra `insight`.

    Counts have noise, and each new day is charged to the privacy budget of its month. Days that were told before cost nothing.

    Example: `visualsearch insight trends pins.index --by region --html trends.html`
    """
    from visualsearch.insight import find_trends

    with open_index(folder, people=address) as index:
        found = find_trends(index, days=days, until=until, by=by or (), epsilon=epsilon, say=note)
    _told(found, html, as_json)


@insight.command(name="map")
def map_(
    folder: Folder,
    to: Annotated[
        Path, typer.Option("--to", help="A folder for the page and its tiles.", show_default=False)
    ],
    glow: Annotated[
        bool, typer.Option("--trends/--no-trends", help="Let what rises, peaks and fades glow on the map.")
    ] = True,
    days: Annotated[int, typer.Option("--last", help="Days to look at.", min=1, max=1200)] = 60,
    until: Until = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Draw the collection as a map in tiles, for any number of pins, on which trends glow. Any web server can hand it out.

    Trends need the extra `insight`, and cost what `visualsearch insight trends` costs. A map that is in the folder is replaced.

    Example: `visualsearch insight map pins.index --to map/`
    """
    from visualsearch.insight import make_map, write_map

    with open_index(folder, people=address) as index:
        tiles, notes = make_map(index, trends=glow, days=days, until=until)
    made = write_map(tiles, to, notes, note)
    for each in notes:
        note(plain(each))
    if as_json:
        emit({**vars(made), "place": str(made.place)})
        return
    print(
        f"{plain(str(made.place))}: {made.pins:,} pins, {made.levels} levels, {made.tiles:,} tiles, {made.bytes:,} bytes"
    )


@insight.command()
def merchant(
    folder: Folder,
    domain: Annotated[str, typer.Argument(metavar="DOMAIN", help="The shop's domain.", show_default=False)],
    weeks: Weeks = 12,
    until: Until = None,
    held_out: Annotated[
        Path | None,
        typer.Option(
            "--holdout",
            metavar="FILE",
            help="CSV with a column `person`: people who were kept from the shop's pins by chance.",
        ),
    ] = None,
    held_by: Annotated[
        str | None,
        typer.Option(
            "--holdout-of",
            metavar="NAME[:ARM]",
            help="Who was held out by this experiment: by its holdback, or by the arm that did not see the pins.",
        ),
    ] = None,
    fewest: Fewest = 10,
    utm: Annotated[bool, typer.Option("--utm", help="List the pins' links with UTM tags.")] = False,
    html: Page = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Say what a shop's pins did: saves, reach, visits, revenue by several models, and what is wanted.

    Example: `visualsearch insight merchant pins.index shop.example --html shop.html`
    """
    from visualsearch.errors import UsageError
    from visualsearch.experiments import open_experiments
    from visualsearch.insight import Holdout, merchant_report

    if held_out is not None and held_by is not None:
        raise UsageError("held out by whom?", "--holdout and --holdout-of are both given", "Give one of them")
    people: list[str] | Holdout = _people(held_out)
    with open_index(folder, people=address) as index:
        if held_by is not None:
            name, _, arm = held_by.partition(":")
            people = open_experiments(index.people).held_out(name, arm or None)
        found = merchant_report(
            index, domain, weeks=weeks, until=until, fewest=fewest, held_out=people, utm=utm
        )
    _told(found, html, as_json)


@insight.command()
def timing(
    folder: Folder,
    domain: Annotated[
        str | None,
        typer.Option("--domain", metavar="DOMAIN", help="Only people who touched this shop's pins."),
    ] = None,
    weeks: Weeks = 8,
    until: Until = None,
    slots: Annotated[int, typer.Option("--slots", help="Times to suggest.", min=1, max=8)] = 5,
    fewest: Fewest = 10,
    html: Page = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Say when people look, how fast new pins fade, and when to publish.

    Example: `visualsearch insight timing pins.index --html timing.html`
    """
    from visualsearch.insight import timing_report

    with open_index(folder, people=address) as index:
        found = timing_report(index, domain=domain, weeks=weeks, until=until, slots=slots, fewest=fewest)
    _told(found, html, as_json)


@insight.command()
def claim(
    folder: Folder,
    domain: Annotated[str, typer.Argument(metavar="DOMAIN", help="The domain to claim.", show_default=False)],
    merchant_name: Annotated[
        str, typer.Option("--merchant", metavar="NAME", help="Who claims it.", show_default=False)
    ],
    dns: Annotated[bool, typer.Option("--dns", help="Prove it by a DNS record instead of a file.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Look whether the proof is there.")] = False,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Claim a domain for a merchant, then prove it.

    Example: `visualsearch insight claim pins.index shop.example --merchant acme`
    """
    from visualsearch.insight import claim as begin
    from visualsearch.insight import instructions, verify

    with open_index(folder, people=address) as index:
        made = begin(index.people, merchant_name, domain, "dns" if dns else "file")
        if check:
            made = verify(index.people, merchant_name, domain)
    if as_json:
        emit({**made._asdict(), "proof": made.proof, "instructions": instructions(made)})
    elif made.verified is not None:
        print(f"{plain(made.domain)} is proved to be {plain(made.merchant)}'s")
    else:
        print(plain(instructions(made)))


@insight.command()
def budget(
    folder: Folder,
    month: Annotated[
        str | None, typer.Option("--month", metavar="MONTH", help="The month whose bound to set, as 2026-11.")
    ] = None,
    limit: Annotated[
        float | None, typer.Option("--limit-epsilon", help="The most epsilon to spend of that month.")
    ] = None,
    living: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="INDEX",
            help="DIR was restored: bring over what this index, from which the backup came, has spent since.",
        ),
    ] = None,
    nothing_since: Annotated[
        bool,
        typer.Option(
            "--nothing-since", help="DIR was restored: your word that no figure was told since the backup."
        ),
    ] = False,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Show what is spent of each month's privacy budget, or set a month's bound.

    A restored index has its budgets closed, unless `restore --after` named the index as it was. `--from` names it later.

    Example: `visualsearch insight budget pins.index --month 2026-11 --limit-epsilon 8`
    """
    from visualsearch.errors import UsageError

    if (month is None) != (limit is None):
        raise UsageError("nothing to set", "--month and --limit-epsilon go together", "Give both or none")
    if living is not None:
        from visualsearch.people import carry_ledger

        note(f"{carry_ledger(living, folder)} releases were brought over")
    with open_index(folder, people=address) as index:
        if nothing_since and index.people.reopen_ledger():
            note("the budgets are open, on your word")
        if month is not None and limit is not None:
            index.people.set_budget(f"people {month}", limit)
        found = index.people.budgets()
    if as_json:
        emit([{**vars(each), "left": each.left} for each in found])
        return
    for each in found:
        why = f"; closed: restored on {each.closed}" if each.closed else ""
        print(f"{plain(each.data_set):24} {each.spent:6.2f} of {each.limit:g}, {each.releases} releases{why}")
    if not found:
        note("nothing was told yet")


def _people(path: Path | None) -> list[str]:
    """The column `person` of a CSV file."""
    from visualsearch.errors import UsageError

    if path is None:
        return []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [row["person"] for row in csv.DictReader(file) if row["person"]]
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise UsageError(
            f"cannot read the people of {path}", str(error), "Write a CSV with a column person"
        ) from error


def register(app: typer.Typer) -> None:
    """Add the group."""
    publish.register(insight)
    app.add_typer(insight, name="insight")
