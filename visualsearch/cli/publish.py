"""`visualsearch insight plan | plans | cancel | publish`: pins and boards that come out at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from .common import AsJson, Folder, emit, note, open_index, plain
from .people import Address, Who

if TYPE_CHECKING:
    from visualsearch.people import Plan


def plan(
    folder: Folder,
    person: Who,
    board: Annotated[
        str,
        typer.Argument(
            metavar="BOARD", help="A board's id, or the title of one of theirs.", show_default=False
        ),
    ],
    when: Annotated[
        str,
        typer.Option("--at", metavar="TIME", help="When, as 2026-12-01T18:00; UTC unless it says +01:00."),
    ],
    pin: Annotated[
        str | None,
        typer.Option(
            "--pin", metavar="ID", help="The pin that goes there. Without one, the board itself opens."
        ),
    ] = None,
    remark: Annotated[str, typer.Option("--note", help="A note on the pin.")] = "",
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Let a pin go to a person's board later, or keep their board secret until then.

    A server publishes what is due within about a minute. Without a server, `visualsearch insight publish` does.

    Example: `visualsearch insight plan pins.index ada Kitchen --pin pin-17 --at 2026-12-01T18:00`
    """
    at = _milliseconds(when)
    with open_index(folder, people=address) as index:
        made = (
            index.people.plan_board(person, board, publish_at=at)
            if pin is None
            else index.people.plan_pin(person, pin, board=board, publish_at=at, note=remark)
        )
    _told([made], as_json)


def plans(
    folder: Folder,
    person: Annotated[
        str | None,
        typer.Argument(metavar="[PERSON]", help="A person's key or pseudonym; without one, everybody's."),
    ] = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """List what waits to come out, and what could not.

    Example: `visualsearch insight plans pins.index ada`
    """
    with open_index(folder, people=address) as index:
        found = index.people.plans(person)
    _told(found, as_json)
    if not found:
        note("nothing waits")


def cancel(
    folder: Folder,
    person: Who,
    number: Annotated[int, typer.Argument(metavar="PLAN", help="The plan's number.", show_default=False)],
    address: Address = None,
) -> None:
    """Cancel one of a person's plans. A board that was to open stays secret. Exit code 1: they have no such plan.

    Example: `visualsearch insight cancel pins.index ada 3`
    """
    with open_index(folder, people=address) as index:
        gone = index.people.unplan(person, number)
    note(f"plan {number} is cancelled" if gone else f"{plain(person)} has no plan {number}")
    if not gone:
        raise typer.Exit(1)


def publish(folder: Folder, address: Address = None, as_json: AsJson = False) -> None:
    """Let out what is due now. Servers do so by themselves; nothing comes out twice.

    Exit code 1 tells of plans that could not come out.

    Example: `visualsearch insight publish pins.index`
    """
    with open_index(folder, people=address) as index:
        done = index.people.publish_due()
        failed = [each for each in index.people.plans() if each.reason]
    if as_json:
        emit({"published": done, "failed": [each._asdict() for each in failed]})
    else:
        _told(failed, False)
    note(f"{done:,} came out")
    if failed:
        raise typer.Exit(1)


def _milliseconds(text: str) -> int:
    from visualsearch.errors import UsageError

    try:
        moment = datetime.fromisoformat(text)
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text!r} is no time", str(error), "Write it as 2026-12-01T18:00") from error


def _told(found: list[Plan], as_json: bool) -> None:
    if as_json:
        emit([each._asdict() for each in found])
        return
    for each in found:
        moment = datetime.fromtimestamp(each.publish_at / 1000, UTC).isoformat(timespec="minutes")
        what = "the board opens" if each.pin is None else plain(each.pin)
        why = f"  could not come out: {plain(each.reason)}" if each.reason else ""
        print(f"{each.plan:6}  {moment}  {plain(each.person)}  {plain(each.board)}  {what}{why}")


def register(group: typer.Typer) -> None:
    """Add the commands to the group `insight`."""
    for command in (plan, plans, cancel, publish):
        group.command()(command)
