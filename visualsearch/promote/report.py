"""What campaigns were shown, what came of it, and what it cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visualsearch.pages import write_template

from . import money
from .campaign import Campaign

if TYPE_CHECKING:
    from visualsearch.engine import Index

Row = dict[str, Any]


def report(index: Index, names: Iterable[str] | None = None) -> Row:
    """Figures of all campaigns, or of those named, from the ledger and the placements; money in minor units.

    `shown` is counted, `acted` are the events that the campaign pays for, `rate` is acted / shown. `calibration` is acted /
    foretold over all of them. `sound` says that every kept sum is that of the ledger.
    """
    people = index.people
    wanted = None if names is None else set(names)
    campaigns = [Campaign.from_row(row) for row in people.campaign_rows()]
    tallies: dict[str, Row] = {}
    for row in people.tally_rows():
        held = tallies.setdefault(
            row["campaign"], dict.fromkeys(("shown", "acted", "hidden", "fresh", "predicted"), 0)
        )
        for name in held:
            held[name] += row[name]
    entries = people.charged_by_day()
    bought = people.conversion_rows()
    made = [
        _campaign(each, tallies.get(each.id, {}), entries, bought)
        for each in campaigns
        if wanted is None or each.id in wanted
    ]
    foretold = sum(held["predicted"] for held in tallies.values())
    acted = sum(held["acted"] for held in tallies.values())
    return {
        "campaigns": made,
        "totals": _totals(made),
        "calibration": round(acted / foretold, 4) if foretold else None,
        "sound": all(each["spent"] == each["charged"] for each in made),
    }


def _campaign(each: Campaign, tally: Mapping[str, Any], entries: list[Row], bought: list[Row]) -> Row:
    own = [row for row in entries if row["campaign"] == each.id]
    count = {
        kind: sum(row["count"] for row in own if row["kind"] == kind)
        for kind in ("charge", "over", "invalid", "refund", "credit", "debit")
    }
    shown, acted = tally.get("shown", 0), tally.get("acted", 0)
    days: dict[str, int] = {}
    for row in own:
        days[row["day"]] = days.get(row["day"], 0) + row["amount"]
    return {
        "id": each.id,
        "advertiser": each.advertiser,
        "state": each.state,
        "currency": each.currency,
        "pay": each.pay,
        "bid": each.bid,
        "budget": each.budget,
        "spent": each.spent,
        "charged": sum(row["amount"] for row in own),
        "shown": shown,
        "acted": acted,
        "rate": round(acted / shown, 6) if shown else None,
        "foretold": round(float(tally.get("predicted", 0)), 4),
        "hidden": tally.get("hidden", 0),
        "explored": tally.get("fresh", 0),
        "paid": count["charge"],
        "over": count["over"],
        "invalid": count["invalid"],
        "refunded": count["refund"],
        "credited": count["credit"] - count["debit"],
        "days": {day: amount for day, amount in sorted(days.items()) if amount},
        "conversions": [
            {"currency": row["currency"], "count": row["count"], "value": round(float(row["value"]), 4)}
            for row in bought
            if row["campaign"] == each.id
        ],
        "audience": None if each.taste is None else each.taste["people"],
    }


def _totals(made: list[Row]) -> dict[str, Row]:
    """Sums by currency: amounts of two currencies are never added."""
    found: dict[str, Row] = {}
    for row in made:
        held = found.setdefault(row["currency"], {"campaigns": 0, "spent": 0, "shown": 0, "acted": 0})
        held["campaigns"] += 1
        for name in ("spent", "shown", "acted"):
            held[name] += row[name]
    return found


def lines(made: Row) -> list[str]:
    """The report as text."""
    said = []
    for row in made["campaigns"]:
        rate = "-" if row["rate"] is None else f"{100 * row['rate']:.2f} %"
        said.append(
            f"{row['id']}  {row['state']}  {row['advertiser']}: shown {row['shown']:,}, {row['pay']}s {row['acted']:,} ({rate}),"
            f" spent {money.written(row['spent'], row['currency'])} of {money.written(row['budget'], row['currency'])}"
        )
        odd = [f"{row[name]:,} {what}" for name, what in _ODD if row[name]]
        said += [f"    {', '.join(odd)}"] if odd else []
        for bought in row["conversions"]:
            said.append(f"    {bought['count']:,} bought for {bought['value']:,.2f} {bought['currency']}")
    for currency, held in made["totals"].items():
        said.append(
            f"total {currency}: {held['campaigns']} campaigns, spent {money.written(held['spent'], currency)}"
        )
    if made["calibration"] is not None:
        said.append(f"predicted events: {made['calibration']:.2f} came for each that was foretold")
    said.append(
        "every sum is that of the ledger"
        if made["sound"]
        else "a sum differs from the ledger: run promote rebuild"
    )
    return said


_ODD = (
    ("invalid", "were invalid and not billed"),
    ("over", "came when the budget was used up, and were not billed in full"),
    ("refunded", "were refunded"),
    ("credited", "were given back, as a verdict is on who did it"),
    ("hidden", "people hid or reported it"),
)


def write_report(made: Row, path: str | Path) -> Path:
    """Write a report as one HTML page that stands alone. Raises StorageError."""
    rows = [
        {
            **{name: row[name] for name in ("id", "advertiser", "state", "pay")},
            "shown": f"{row['shown']:,}",
            "acted": f"{row['acted']:,}",
            "rate": "-" if row["rate"] is None else f"{100 * row['rate']:.2f} %",
            "foretold": f"{row['foretold']:,.1f}",
            "invalid": f"{row['invalid'] + row['refunded'] + row['credited']:,}",
            "spent": money.written(row["spent"], row["currency"]),
            "budget": money.written(row["budget"], row["currency"]),
            "bought": "; ".join(
                f"{b['count']:,} for {b['value']:,.2f} {b['currency']}" for b in row["conversions"]
            ),
        }
        for row in made["campaigns"]
    ]
    said = ". ".join(line for line in lines({**made, "campaigns": []}))
    return write_template(path, "promote.html", rows=rows, said=said)
