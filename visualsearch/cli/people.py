"""`visualsearch people`: who saved and did what; import it, show it, hand it out, forget it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import SHOWN_FAILURES, AsJson, Folder, emit, note, open_index, plain
from .panels import Panels

if TYPE_CHECKING:
    from visualsearch.people import People

people = typer.Typer(
    name="people",
    cls=Panels,
    help="People, boards, saves, follows and events of an index: import, show, export, forget, pause, tokens."
    "\n\nExample: `visualsearch people import pins.index events.parquet`",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Who = Annotated[
    str, typer.Argument(metavar="PERSON", help="A person's key or pseudonym.", show_default=False)
]
Address = Annotated[
    str | None,
    typer.Option(
        "--people",
        metavar="ADDRESS",
        help="postgresql://... (extra `postgres`) instead of the index's own file.",
    ),
]


EXPORTS = (".html", ".htm", ".json", ".zip")
"""Files of these kinds are an account's export from elsewhere."""


@contextmanager
def _opened(folder: Path, address: str | None) -> Iterator[People]:
    with open_index(folder, people=address) as index:
        yield index.people


def _pairs(given: Sequence[str] | None, option: str) -> dict[str, str]:
    from visualsearch.errors import UsageError

    pairs = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"cannot read {option} {text!r}", "it has no `=`", f"Write {option} FIELD=VALUE")
        pairs[name] = value
    return pairs


@people.command(name="import")
def import_(
    folder: Folder,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="CSV, TSV, JSONL (also .gz) or Parquet; of --from also HTML, JSON, ZIP."
        ),
    ],
    what: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="WHAT", help="events, saves, boards, follows or people (default: by the columns)."
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="SERVICE",
            help="An account's own export: pinterest, raindrop, pocket or bookmarks (of a browser). HTML, JSON and ZIP files are "
            "taken for one. Needs --set person=KEY.",
        ),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="With --from: list the pictures that the index lacks, for `visualsearch index`.",
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="FIELD=COLUMN", help="The file's column for a field. Repeatable."),
    ] = None,
    constant: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="One value for all rows. Repeatable."),
    ] = None,
    dates: Annotated[
        str | None,
        typer.Option(
            metavar="FORM",
            help="How dates are written, as 27.11.2026 is %d.%m.%Y (default: ISO 8601, or numbers since 1970).",
        ),
    ] = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Import people, boards, saves, follows or events. Bad rows are listed and cost no others; exit code 1 tells of them.

    Stopped, the same command goes on where it was. A file that was imported is passed over.

    Example: `visualsearch people import pins.index clicks.csv --as events --column person=user --set kind=click`

    Boards from elsewhere: `visualsearch people import pins.index bookmarks.html --set person=ada --manifest missing.csv`, then
    `visualsearch index missing.csv --to pins.index`.
    """
    columns, constants = _pairs(column, "--column"), _pairs(constant, "--set")
    if source is not None or manifest is not None or all(f.suffix.lower() in EXPORTS for f in files):
        _boards(folder, files, source, constants, manifest, address, as_json)
        return
    reports = []
    with _opened(folder, address) as opened:
        for file in files:
            report = opened.import_file(
                file,
                what,
                columns=columns,
                constants=constants,
                dates=dates,
                progress=lambda r: note(f"{plain(r.file)}: {r.rows:,} rows"),
            )
            reports.append(report)
            for bad in report.bad[:SHOWN_FAILURES]:
                note(f"  failed: line {bad.line}: {plain(bad.reason)}")
            if report.failed > SHOWN_FAILURES:
                note(f"  ... and {report.failed - SHOWN_FAILURES:,} more")
            note(
                f"{plain(report.file)}: {report.accepted:,} {report.what} imported, {report.duplicates:,} known,"
                f" {report.refused:,} kept out by consent, {report.failed:,} failed, {report.skipped:,} rows passed over,"
                f" {report.unknown_pins:,} pins not in the index"
            )
    if as_json:
        emit([{**asdict(r), "bad": [{"line": b.line, "reason": b.reason} for b in r.bad]} for r in reports])
    if any(report.failed for report in reports):
        raise typer.Exit(1)


def _boards(
    folder: Path,
    files: Sequence[Path],
    source: str | None,
    constants: dict[str, str],
    manifest: Path | None,
    address: str | None,
    as_json: bool,
) -> None:
    from visualsearch.errors import UsageError

    if "person" not in constants:
        raise UsageError("cannot import boards", "nobody was named to own them", "Add --set person=KEY")
    if manifest is not None and len(files) > 1:
        raise UsageError(
            "cannot write the manifest", "it lists one file's pictures", "Import one file at a time"
        )
    reports = []
    with _opened(folder, address) as opened:
        for file in files:
            report = opened.import_boards(
                constants["person"],
                file,
                source,
                board=constants.get("board"),
                manifest=manifest,
                progress=lambda r: note(f"{plain(r.file)}: {r.saved + r.waiting + r.known:,} of {r.rows:,}"),
            )
            reports.append(report)
            for bad in report.bad[:SHOWN_FAILURES]:
                note(f"  line {bad.line}: {plain(bad.reason)}")
            if len(report.bad) > SHOWN_FAILURES:
                note(f"  ... and {report.waiting + report.unmatched + report.failed - SHOWN_FAILURES:,} more")
            note(
                f"{plain(report.file)}: {report.boards:,} boards made, {report.saved:,} pins saved, {report.known:,} known,"
                f" {report.waiting:,} wait for their picture, {report.unmatched:,} without one, {report.failed:,} failed"
            )
    if manifest is not None:
        note(f"{plain(str(manifest))}: index it to fetch the pictures")
    if as_json:
        emit([{**asdict(r), "bad": [{"line": b.line, "reason": b.reason} for b in r.bad]} for r in reports])
    if any(report.failed or report.unmatched for report in reports):
        raise typer.Exit(1)


@people.command()
def show(folder: Folder, person: Who, address: Address = None, as_json: AsJson = False) -> None:
    """Show a person: consent, profile, boards, newest events.

    Example: `visualsearch people show pins.index ada`
    """
    with _opened(folder, address) as opened:
        found = opened.person(person)
        boards = opened.boards(person, viewer=person)
        events = opened.events_of(person, 10)
    if as_json:
        emit({**asdict(found), "boards": [asdict(board) for board in boards], "events": events})
        return
    allowed = ", ".join(f"{name} {value}" for name, value in asdict(found.consent).items())
    print(f"{found.pseudonym}  {plain(found.key or '-')}")
    print(f"consent: {allowed}")
    for name, value in found.profile.items():
        print(f"{name}: {plain(str(value))}")
    for board in boards:
        kind = "secret" if board.secret else "public"
        print(f"board {board.id}  {plain(board.title)}: {board.saves:,} pins, {kind}")
    for event in events:
        print(f"{event['at']}  {event['kind']}  {plain(event['pin_id'] or '')}")


@people.command()
def export(
    folder: Folder,
    person: Annotated[
        str | None,
        typer.Argument(metavar="[PERSON]", help="A person's key or pseudonym; without one, everything."),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="PATH", help="A file for a person's JSON, or a folder for everything."),
    ] = None,
    address: Address = None,
) -> None:
    """Hand out everything that is held of a person, as JSON; or the whole record as Parquet, for Spark, DuckDB or a notebook.

    Example: `visualsearch people export pins.index ada --to ada.json`
    """
    from visualsearch.errors import UsageError

    with _opened(folder, address) as opened:
        if person is None:
            if to is None:
                raise UsageError("cannot export everything", "no folder was named", "Add --to FOLDER")
            counts = opened.export_all(to)
            note(", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "nothing yet")
            return
        held = opened.export(person)
    if to is None:
        emit(held)
    else:
        to.write_text(json.dumps(held, ensure_ascii=False, indent=2), encoding="utf-8")
        note(f"{to}: written")


@people.command()
def forget(folder: Folder, person: Who, address: Address = None, as_json: AsJson = False) -> None:
    """Remove a person from every table and file, search the files for them, and print a receipt without their name.

    Example: `visualsearch people forget pins.index ada`
    """
    with _opened(folder, address) as opened:
        receipt = opened.forget(person)
    if as_json:
        emit(asdict(receipt))
        return
    removed = ", ".join(f"{count:,} {name}" for name, count in receipt.removed.items())
    note(f"forgotten: {removed}; {receipt.proof}. Receipt {receipt.id}")


@people.command()
def pause(
    folder: Folder,
    person: Who,
    resume: Annotated[bool, typer.Option("--resume", help="Go on recording.")] = False,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Stop recording a person's events, or go on. What was kept stays.

    Example: `visualsearch people pause pins.index ada`
    """
    with _opened(folder, address) as opened:
        consent = opened.pause(person, not resume)
    if as_json:
        emit(asdict(consent))
    else:
        note("events are recorded again" if resume else "no event is recorded any more")


@people.command()
def token(
    folder: Folder,
    person: Who,
    days: Annotated[
        float | None, typer.Option(help="Days until the token ends; default: never.", min=0)
    ] = None,
    revoke: Annotated[bool, typer.Option("--revoke", help="End all tokens of the person instead.")] = False,
    address: Address = None,
) -> None:
    """Make a token with which a person speaks for themselves over HTTP, and print it once; or end all they have.

    Example: `visualsearch people token pins.index ada --days 90`
    """
    with _opened(folder, address) as opened:
        if revoke:
            note(f"tokens ended: {opened.revoke_tokens(person):,}")
            return
        made = opened.issue_token(person, days=days)
    note("a token for one person; it is shown this once, the record has its hash only.")
    print(made)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(people, name="people")
