"""`visualsearch trust`: find spam, look at what was found, decide, and undo."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import AsJson, Folder, emit, note, open_index, plain
from .panels import Panels
from .people import Address

if TYPE_CHECKING:
    from visualsearch.people import Appeal, Ruling
    from visualsearch.trust import Trust

trust = typer.Typer(
    name="trust",
    cls=Panels,
    help="Spam: find it, look at what was found, decide, and undo."
    "\n\nExample: `visualsearch trust scan pins.index`",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
SHOWN_PINS = 5

Number = Annotated[
    int,
    typer.Argument(
        metavar="VERDICT", help="The verdict's number, as `trust review` shows it.", show_default=False
    ),
]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, kept with the verdict.")]


@contextmanager
def _opened(folder: Path, address: str | None, act: bool = True) -> Iterator[Trust]:
    from visualsearch.trust import Limits, Trust

    with open_index(folder, people=address) as index:
        yield Trust(index, Limits(act=act))


def told(case: Ruling, appeals: Sequence[Appeal] = ()) -> dict[str, Any]:
    """A case as plain values. People are pseudonyms."""
    from visualsearch.people import pseudonym_text

    said = [{**each._asdict(), "person": pseudonym_text(each.person)} for each in appeals]
    return {
        "verdict": case.number,
        "kind": case.kind,
        "title": case.title,
        "score": round(case.score, 4),
        "action": case.action.name.lower(),
        "state": case.state,
        "spam": case.spam,
        "at": case.at,
        "until": case.until,
        "appeal": case.appeal,
        "appeals": said,
        "evidence": list(case.evidence),
        "pins": list(case.pins),
        "people": [pseudonym_text(number) for number in case.people],
        "sites": list(case.sites),
        "history": list(case.history),
    }


@trust.command()
def scan(
    folder: Folder,
    learn: Annotated[
        bool,
        typer.Option("--learn", help="Also use models of what was decided so far. Needs the extra `learn`."),
    ] = False,
    everything: Annotated[
        bool, typer.Option("--everything", help="Judge all that is kept, not only what is new.")
    ] = False,
    only_ask: Annotated[
        bool, typer.Option("--only-ask", help="Do nothing to anything found: everything waits in the queue.")
    ] = False,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Judge what people put up since the last scan: bursts, copies, sites, rings, clicks and reports.

    What is nearly sure is hidden at once, what is likely is held or ranked lower, and all of it waits for a person's word.
    A server does the same every 20 seconds.

    Example: `visualsearch trust scan pins.index`
    """
    with _opened(folder, address, act=not only_ask) as opened:
        found = opened.scan(learn=learn, everything=everything)
        waiting = len(opened.queue(10_000))
    if as_json:
        emit({**found.to_dict(), "waiting": waiting})
        return
    print(
        f"{found.judged:,} saves judged: {len(found.made)} new verdicts, {len(set(found.extended))} extended,"
        f" {found.followed:,} pins follow earlier ones; {waiting:,} wait for a person"
    )
    seen = found.prevalence
    if seen is not None and seen.impressions:
        print(
            f"spam had {seen.share:.3%} of the last day's {seen.impressions:,} impressions,"
            f" at most {seen.highest:.3%} with what waits"
        )
    if found.wrong:
        note(f"rules held and hid nothing: people found {found.wrong:.0%} of what they did lately to be fine")
    if found.credited or found.charged:
        print(f"promoted pins: {found.credited:,} billed events given back, {found.charged:,} billed again")
    for sentence in found.notes:
        note(plain(f"not learnt from {sentence}"))


@trust.command()
def review(
    folder: Folder,
    case: Annotated[
        int | None, typer.Option("--case", metavar="VERDICT", help="Decide this one.", show_default=False)
    ] = None,
    verdict: Annotated[
        str | None,
        typer.Option(
            "--verdict",
            metavar="WORD",
            help="Your word on --case: fine, lower, hold, hide or remove.",
            show_default=False,
        ),
    ] = None,
    why: Why = "",
    ask: Annotated[
        bool, typer.Option("--ask-first", help="The case from which most is learnt comes first.")
    ] = False,
    k: Annotated[int, typer.Option("-k", help="How many cases.", min=1)] = 20,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Show what waits for a person, appeals and the largest clusters first; or decide one case.

    Examples: `visualsearch trust review pins.index`,
    `visualsearch trust review pins.index --case 12 --verdict hide`
    """
    from visualsearch.errors import UsageError

    if (case is None) != (verdict is None):
        raise UsageError("cannot decide", "--case and --verdict belong together", "Give both, or neither")
    with _opened(folder, address) as opened:
        cases = (
            [opened.decide(case, verdict, why)]
            if case is not None and verdict is not None
            else opened.queue(k, ask=ask)
        )
        appeals = {each.number: opened.appeals(each.number) for each in cases}
    if as_json:
        emit({"cases": [told(each, appeals[each.number]) for each in cases]})
        return
    if not cases:
        note("nothing waits for a person")
    for each in cases:
        _show(each, appeals[each.number])


@trust.command()
def undo(
    folder: Folder, verdict: Number, why: Why = "", address: Address = None, as_json: AsJson = False
) -> None:
    """End what a verdict does: pins, saves, counts and boards are as they were, and so is what is learnt next.

    Example: `visualsearch trust undo pins.index 12`
    """
    with _opened(folder, address) as opened:
        case = opened.undo(verdict, why)
    if as_json:
        emit(told(case))
        return
    note(
        f"verdict {case.number} is undone: {len(case.pins):,} pins and {len(case.people):,} accounts are as before"
    )


@trust.command()
def appeal(
    folder: Folder,
    verdict: Number,
    person: Annotated[
        str,
        typer.Option("--person", metavar="PERSON", help="Whom the verdict is about.", show_default=False),
    ],
    text: Annotated[
        str | None,
        typer.Option("--text", metavar="TEXT", help="What they say against it.", show_default=False),
    ] = None,
    answer: Annotated[
        str | None,
        typer.Option(
            "--answer", metavar="WORD", help="Your word on their appeal: grant or refuse.", show_default=False
        ),
    ] = None,
    why: Why = "",
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Keep what somebody says against a verdict, or decide it. An appeal that is granted lets them go, and their pins.

    It comes first in `trust review`. The verdict goes on for the others that it is about.

    Examples: `visualsearch trust appeal pins.index 12 --person ada --text "These are my own lamps"`,
    `visualsearch trust appeal pins.index 12 --person ada --answer grant`
    """
    from visualsearch.errors import UnknownNameError, UsageError

    if (text is None) == (answer is None):
        raise UsageError("cannot appeal", "it takes one of --text and --answer", "Give one of them")
    if answer not in (None, "grant", "refuse"):
        raise UnknownNameError("answer", str(answer)[:40], ("grant", "refuse"))
    with _opened(folder, address) as opened:
        if text is not None:
            case = opened.appeal(verdict, person, text)
        else:
            case = opened.answer(verdict, person, answer == "grant", why)
        appeals = opened.appeals(verdict)
    if as_json:
        emit(told(case, appeals))
        return
    _show(case, appeals)


def _show(case: Ruling, appeals: Sequence[Appeal] = ()) -> None:
    from visualsearch.people import pseudonym_text

    when = datetime.fromtimestamp(case.at / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    doing = "nothing is done yet" if case.action == 0 else f"now: {case.action.name.lower()}"
    print(
        f"{case.number}  {plain(case.title)}  [{case.kind}, score {case.score:.2f}, {when} UTC; {doing}; {case.state}]"
    )
    for each in appeals:
        name = pseudonym_text(each.person)
        answered = f"{each.outcome}: {each.why}" if each.why else each.outcome
        print(f"    appeal of {name} [{plain(answered)}]: {plain(each.text)}")
    for sign in case.evidence:
        print(f"    {float(sign['weight']):+.1f}  {plain(str(sign['sentence']))}")
    if case.pins:
        more = f" and {len(case.pins) - SHOWN_PINS:,} more" if len(case.pins) > SHOWN_PINS else ""
        print(f"    pins: {', '.join(plain(pin) for pin in case.pins[:SHOWN_PINS])}{more}")


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(trust, name="trust")
