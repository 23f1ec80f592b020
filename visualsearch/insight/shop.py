"""What one shop's pins did, in arrays: its pins, what people did with them, and saves of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import numpy as np

from visualsearch.types import Float64, Int64

if TYPE_CHECKING:
    from visualsearch.engine import Index
    from visualsearch.people import Counted, People

PAGES = ("url", "link", "product_url", "page")
"""Attributes that may hold a pin's own page."""
COLUMNS = ("person", "at", "kind", "pin", "surface", "value", "currency")
KINDS = ("impression", "click", "visit", "save", "share", "purchase")
TOUCHES = ("click", "visit", "save", "share")
"""What counts as a touch. An impression does not: it says what was shown."""


@dataclass(frozen=True)
class Deeds:
    """What people did with a shop's pins, sorted by person and time, (n,) each. `person` is a place among the counted.

    `kind` and `surface` are codes into `kinds` and `surfaces`; `value` is 0 without one, `currency` a code, -1 for none.
    """

    person: Int64
    at: Int64
    kind: Int64
    pin: Int64
    surface: Int64
    value: Float64
    currency: Int64
    kinds: Sequence[str]
    surfaces: Sequence[str]
    currencies: Sequence[str]

    def __len__(self) -> int:
        return len(self.person)

    def of(self, *names: str) -> Any:
        """(n,) which deeds are of those kinds."""
        return np.isin(self.kind, [self.kinds.index(name) for name in names if name in self.kinds])


@dataclass(frozen=True)
class Pages:
    """A shop's pins: numbers and ids, and the page of each where the index knows it."""

    numbers: Int64
    ids: list[str] = field(repr=False)
    pages: list[str] = field(repr=False)
    names: list[str] = field(repr=False)


@dataclass(frozen=True)
class Asked:
    """What the parts of a report share."""

    who: Counted
    pages: Pages
    deeds: Deeds
    since: int
    until: int
    fewest: int


def host_of(address: object) -> str:
    """The host of an address in lower case without `www.`; empty where it has none."""
    if not isinstance(address, str):
        return ""
    try:
        return (urlsplit(address).hostname or "").lower().removeprefix("www.")
    except ValueError:
        return ""


def belongs(host: str, domain: str) -> bool:
    """Whether a host is the domain or below it."""
    return host == domain or host.endswith(f".{domain}")


def pages_of(index: Index, domain: str) -> Pages:
    """The pins whose page or picture lies at a domain; where the index knows none, those that people saved or visited there."""
    found: list[tuple[int, str, str, str]] = []
    with index.catalog.read() as reader:
        for pin in reader.mentioning(domain):  # most pins do not: nothing of them is read
            pages = [pin.attributes[name] for name in PAGES if isinstance(pin.attributes.get(name), str)]
            if any(belongs(host_of(each), domain) for each in (*pages, pin.uri)):
                name = next(
                    (str(pin.attributes[n]) for n in ("title", "name") if pin.attributes.get(n)), pin.id
                )
                page = next((page for page in pages if belongs(host_of(page), domain)), "")
                found.append((pin.pin, pin.id, str(page), name))
        if not found and index.has_people:
            ids = _seen_at(index.people, domain)
            known = reader.look_up("id", "pin", ids)
            found = [(int(number), str(name), "", str(name)) for number, name in known.items()]
    found.sort()
    return Pages(
        np.array([each[0] for each in found], np.int64),
        [each[1] for each in found],
        [each[2] for each in found],
        [each[3] for each in found],
    )


def _seen_at(people: People, domain: str) -> list[int]:
    """Numbers of pins of which most events and saves that name a site name this one. What judged people say does not count."""
    import pyarrow as pa
    import pyarrow.compute as pc

    mine: dict[int, int] = {}
    others: dict[int, int] = {}
    shut = pa.array(sorted(people.shut_people()), pa.int64())
    columns = ("pin", "site", "person")
    for table in people.event_tables(0, people.now() + 1, columns, kinds=("visit", "save", "purchase")):
        counts = pc.invert(pc.is_in(table.column("person"), value_set=shut))
        for name in ("site", "pin"):
            counts = pc.and_(counts, pc.is_valid(table.column(name)))
        held = table.filter(counts)
        coded = pc.dictionary_encode(held.column("site").combine_chunks().cast("string"))
        names = [
            belongs(str(name).lower().removeprefix("www."), domain) for name in coded.dictionary.to_pylist()
        ]
        fits = np.array(names, bool)[coded.indices.to_numpy()] if names else np.zeros(0, bool)
        pin = held.column("pin").to_numpy()
        for counts, which in ((mine, fits), (others, ~fits)):
            for number, count in zip(*np.unique(pin[which], return_counts=True), strict=True):
                counts[int(number)] = counts.get(int(number), 0) + int(count)
    return [number for number, count in mine.items() if count > others.get(number, 0)]


def deeds_of(people: People, who: Counted, pins: Int64, since: int, until: int) -> Deeds:
    """What counted people did with those pins from `since` to before `until`. Values that are no number count as 0."""
    import pyarrow as pa
    import pyarrow.compute as pc

    tables = [
        pa.table(
            {
                name: column.cast(pa.string()) if name in ("kind", "surface", "currency") else column
                for name, column in zip(table.column_names, table.columns, strict=True)
            }
        )
        for table in people.event_tables(since, until, COLUMNS, kinds=KINDS, pins=pins)
        if len(table)
    ]
    if not tables:
        none, real = np.zeros(0, np.int64), np.zeros(0)
        return Deeds(none, none, none, none, none, real, none, (), (), ())
    table = pa.concat_tables(tables)
    person = who.places(table.column("person").to_numpy())
    kept = person >= 0
    codes: dict[str, Int64] = {}
    names: dict[str, list[str]] = {}
    for name in ("kind", "surface", "currency"):
        coded = pc.dictionary_encode(table.column(name).combine_chunks())
        codes[name] = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)[kept]
        names[name] = coded.dictionary.to_pylist()
    value = np.nan_to_num(pc.fill_null(table.column("value"), 0.0).to_numpy()[kept], posinf=0, neginf=0)
    at, pin = table.column("at").to_numpy()[kept], table.column("pin").to_numpy()[kept]
    person = person[kept]
    order = np.lexsort((at, person))
    return Deeds(
        person[order],
        at[order],
        codes["kind"][order],
        pin[order],
        codes["surface"][order],
        value[order],
        codes["currency"][order],
        names["kind"],
        names["surface"],
        names["currency"],
    )


def with_utm(
    page: str, *, source: str = "visualsearch", medium: str = "pin", campaign: str = "", content: str = ""
) -> str:
    """A page's address with UTM tags, so that a shop's own analytics see where a visit came from. Tags that are there stay."""
    parts = urlsplit(page)
    held = parse_qsl(parts.query, keep_blank_values=True)
    there = {name for name, _ in held}
    tags = {"utm_source": source, "utm_medium": medium, "utm_campaign": campaign, "utm_content": content}
    held += [(name, value) for name, value in tags.items() if value and name not in there]
    return urlunsplit(parts._replace(query=urlencode(held)))
