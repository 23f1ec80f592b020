"""`visualsearch promote`: campaigns in, their state, their money, and what came of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import SHOWN_FAILURES, AsJson, Folder, emit, note, open_index, plain
from .panels import Panels
from .people import Address

if TYPE_CHECKING:
    from visualsearch.promote import Campaign

promote = typer.Typer(
    name="promote",
    cls=Panels,
    help="Promoted pins: import campaigns, list, show and stop them, change budgets, report."
    "\n\nExample: `visualsearch promote import pins.index campaigns.csv`",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Name = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="A campaign's id.", show_default=False)]


def _values(campaign: Campaign) -> dict[str, Any]:
    row = campaign.to_row()
    plan = {
        name: value for name, value in row.pop("plan").items() if name not in ("looks", "taste", "encoder")
    }
    return {**row, **plan}


def _line(campaign: Campaign) -> str:
    from visualsearch.promote import written

    spent, budget = written(campaign.spent, campaign.currency), written(campaign.budget, campaign.currency)
    return (
        f"{plain(campaign.id)}  {campaign.state}  {plain(campaign.advertiser)}:"
        f" {len(campaign.pins):,} pins, {written(campaign.bid, campaign.currency)} for a {campaign.pay},"
        f" {spent} of {budget} spent"
    )


@promote.command(name="import")
def import_(
    folder: Folder,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Campaigns as CSV, TSV or JSONL.", show_default=False)
    ],
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Take campaigns from a file. One whose id is known is changed, and what it spent stays.

    Columns: id, advertiser, pins, bid, currency, budget; also daily, pay, start, end, cap, exclude, and the targets like,
    picture, crop, words, boards, attributes, audience. A list is separated by `;`. A bad row costs no other.

    Example: `visualsearch promote import pins.index campaigns.csv`
    """
    from visualsearch.promote import import_campaigns

    with open_index(folder, people=address) as index:
        done = import_campaigns(index, file)
    for row in done.refused[:SHOWN_FAILURES]:
        note(plain(f"line {row.line}: {row.reason}. {row.remedy}"))
    if as_json:
        refused = [{"line": row.line, "reason": row.reason, "remedy": row.remedy} for row in done.refused]
        emit({"new": list(done.new), "changed": list(done.changed), "refused": refused})
    else:
        note(f"{len(done.new):,} new, {len(done.changed):,} changed, {len(done.refused):,} rows refused")
    if done.refused:
        raise typer.Exit(1)


@promote.command(name="list")
def list_(folder: Folder, address: Address = None, as_json: AsJson = False) -> None:
    """The campaigns of an index, oldest first.

    Example: `visualsearch promote list pins.index`
    """
    from visualsearch.promote import open_promotions

    with open_index(folder, people=address) as index:
        found = open_promotions(index).campaigns()
    if as_json:
        emit({"campaigns": [_values(campaign) for campaign in found]})
        return
    for campaign in found:
        print(_line(campaign))
    if not found:
        note("no campaigns. Run: visualsearch promote import DIR campaigns.csv")


@promote.command()
def show(folder: Folder, name: Name, address: Address = None, as_json: AsJson = False) -> None:
    """One campaign: what it promotes, whom it wants to meet, what it pays.

    Example: `visualsearch promote show pins.index summer-shoes`
    """
    from visualsearch.promote import open_promotions

    with open_index(folder, people=address) as index:
        found = open_promotions(index).get(name)
    if as_json:
        emit(_values(found))
        return
    print(_line(found))
    for key, value in _values(found)["target"].items():
        if value:
            print(f"    {key}: {plain(str(value))}")
    if found.taste is not None:
        print(f"    audience of {found.taste['people']:,} people")


@promote.command()
def stop(
    folder: Folder,
    name: Name,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why.")] = "",
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Show a campaign no more. What was shown before is still billed; import it again to go on.

    Example: `visualsearch promote stop pins.index summer-shoes --reason "sold out"`
    """
    from visualsearch.promote import stop as stopped

    with open_index(folder, people=address) as index:
        found = stopped(index, name, reason)
    emit(_values(found)) if as_json else note(_line(found))


@promote.command()
def budget(
    folder: Folder,
    name: Name,
    amount: Annotated[
        str, typer.Argument(metavar="AMOUNT", help="The whole budget, such as 250 or '250 EUR'.")
    ],
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Give a campaign another budget. It counts at once, for what is shown already too.

    Example: `visualsearch promote budget pins.index summer-shoes 250`
    """
    from visualsearch.promote import set_budget

    with open_index(folder, people=address) as index:
        found = set_budget(index, name, amount)
    emit(_values(found)) if as_json else note(_line(found))


@promote.command()
def report(
    folder: Folder,
    campaigns: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CAMPAIGN]...", help="Ids of campaigns (default: all).", show_default=False),
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as a web page.")] = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """What was shown, what came of it, and what it cost, by the ledger.

    Example: `visualsearch promote report pins.index --html report.html`
    """
    from visualsearch.promote import lines
    from visualsearch.promote import report as reported

    with open_index(folder, people=address) as index:
        made = reported(index, campaigns or None)
    if html is not None:
        from visualsearch.promote import write_report

        write_report(made, html)
        note(f"{plain(str(html))}: written")
    if as_json:
        emit(made)
        return
    for line in lines(made):
        print(plain(line))


@promote.command()
def rebuild(folder: Folder, address: Address = None, as_json: AsJson = False) -> None:
    """Add up the ledger anew, and correct what differs from it.

    Example: `visualsearch promote rebuild pins.index`
    """
    with open_index(folder, people=address) as index:
        done = index.people.rebuild_ledger()
    wrong = {name: {"kept": kept, "ledger": added} for name, (kept, added) in done.wrong.items()}
    if as_json:
        emit({"entries": done.entries, "corrected": wrong})
        return
    note(f"{done.entries:,} entries; {len(wrong):,} sums corrected")


@promote.command()
def products(
    folder: Folder,
    feeds: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FEED]...", help="Google Merchant XML or TSV, Shopify CSV.", show_default=False
        ),
    ] = None,
    pages: Annotated[
        bool, typer.Option("--pages", help="Read the pages that pins lead to, by the attribute link or url.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring prices and availability of products up to date, from feeds or from their pages. Run it again to refresh.

    A pin that is a product gets is_product, price, currency, availability, brand, variants and link. What is out of stock is
    never promoted. A price that the page does not show is not believed.

    Example: `visualsearch promote products pins.index merchant.xml`
    """
    from visualsearch.errors import UsageError
    from visualsearch.promote import Refreshed, from_feed, from_pages

    if not feeds and not pages:
        raise UsageError("no products are named", "there is neither a feed nor --pages", "Give one of them")
    with open_index(folder) as index:
        done = Refreshed()
        for feed in feeds or ():
            done += from_feed(index, feed)
        if pages:
            done += from_pages(index)
    for place, reason in done.failures[:SHOWN_FAILURES]:
        note(plain(f"{place}: {reason}"))
    if as_json:
        failures = [{"place": place, "reason": reason} for place, reason in done.failures]
        emit({"changed": done.changed, "same": done.same, "unknown": done.unknown, "failures": failures})
    else:
        note(
            f"{done.changed:,} changed, {done.same:,} as they were, {done.unknown:,} rows without a pin,"
            f" {len(done.failures):,} failures"
        )
    if done.failures:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(promote, name="promote")
