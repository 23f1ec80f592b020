"""What several commands share: options, output, progress."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from visualsearch.engine import Index
    from visualsearch.types import Failure, Hits, IndexReport

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The index folder.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Encoder: `bundled`, a name that `visualsearch models` lists, any open_clip name, or a checkpoint.",
    ),
]
Device = Annotated[str, typer.Option(help="Where the model runs: auto, cpu, cuda, cuda:1, mps.")]
PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision",
        help="Number format of the model: fp32, bf16, fp16 (GPUs), int8 (CPUs; extra `accelerate`). auto: the fastest on"
        " this machine that agrees with fp32, measured once.",
    ),
]
Compiled = Annotated[
    bool,
    typer.Option(
        "--compile",
        help="Run an open_clip model through torch.compile. It takes a minute, and pays on a GPU with many pictures.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(help="Threads that read and decode pictures (default: one per processor core).", min=1),
]
Batch = Annotated[int, typer.Option(help="Pictures embedded at once.", min=1)]
MaxPixels = Annotated[
    int,
    typer.Option(
        "--max-pixels", help="Pictures with more pixels fail: protection against decompression bombs.", min=1
    ),
]

Memory = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="Most memory for pictures being decoded, such as 500MB or 2GB. Further pictures wait; one that needs more fails."
        " Default: a quarter of the machine's or container's, at most 2 GiB.",
    ),
]
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}

SHOWN_FAILURES = 20
STOPPED = 130
"""The exit code of what was stopped by Ctrl-C."""


def settle_streams() -> None:
    """Make the three standard streams safe to use, whatever the caller closed and however they are encoded.

    A closed descriptor is opened on the null device: else the next file that is opened, such as the catalog, would get its
    number and be written to as stderr. What a stream cannot encode is written as \\xNN or \\uNNNN.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        if getattr(sys, name) is None and name != "stdin":
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def size_in_bytes(text: str) -> int:
    """A size such as 500MB, 1.5G or 2GiB in bytes. Raises UsageError."""
    from visualsearch.errors import UsageError

    word = text.strip().upper().removesuffix("B")
    number = word.rstrip("KMGI")
    unit = word[len(number) :]
    try:
        value = float(number) if len(text) <= 30 and unit in UNITS else -1.0
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e15:
        raise UsageError(
            f"{text[:40]!r} is not a size",
            "a number and a unit are expected",
            "Write it as 500MB, 1GB or 2GiB",
        )
    return int(value * UNITS[unit])


def limit_pictures(memory: str | None) -> None:
    """Obey --memory."""
    if memory is not None:
        from visualsearch.images import limit_memory

        limit_memory(size_in_bytes(memory))


def note(text: str) -> None:
    """A line on stderr. Nobody reads it where stderr is closed, and then nothing is lost."""
    with suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def stdin_bytes() -> bytes:
    """All of stdin. Raises UsageError where it is closed or empty."""
    from visualsearch.errors import UsageError

    remedy = "Pipe a picture into the command: cat shoe.jpg | visualsearch search pins.index -"
    if sys.stdin is None:
        raise UsageError("cannot read the picture from stdin", "stdin is closed", remedy)
    data = sys.stdin.buffer.read()
    if not data:
        raise UsageError("cannot read the picture from stdin", "nothing came", remedy)
    return data


def ids_of(given: Sequence[str] | None) -> list[str]:
    """Pin ids of the command line: bytes that are not UTF-8 are written %XX, as ids of such files are."""
    from visualsearch.sources import printable

    return [printable(name) for name in given or ()]


@cache
def tell_choices() -> None:
    """From here on, show on stderr how an encoder was measured and what was chosen."""
    import logging

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            note(record.getMessage())

    log = logging.getLogger("visualsearch.encoders")
    log.addHandler(Notes())
    log.setLevel(logging.INFO)
    log.propagate = False


def emit(value: Any) -> None:
    """One JSON document on stdout."""
    ascii_only = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    print(json.dumps(value, ensure_ascii=ascii_only, indent=2, default=str, allow_nan=False))


def open_index(folder: Path, model: str | None = None, *, people: str | None = None, **options: Any) -> Index:
    """The index of a command's DIR argument; `people` is where its record of people is, None for beside it."""
    from visualsearch.engine import Index

    index = Index.open(folder, model, **options)
    index.people_address = people
    return index


def show_hits(hits: Hits) -> None:
    """Results for people, one line each: score, id, title and place."""
    if not hits and hits.alike is False:
        return  # the verdict was told
    if not hits:
        note("nothing found: no pin fits the filter and the minimum score")
        return
    lines = []
    for hit in hits:
        title = next(
            (str(hit.attributes[c]) for c in ("title", "name", "caption") if hit.attributes.get(c)), ""
        )
        lines.append((f"{hit.score:.3f}", plain(hit.id), plain(title), plain(hit.uri)))
    widths = [min(60, max(len(line[c]) for line in lines)) for c in range(4)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True) if width)
        print("  ".join(cells).rstrip())


def plain(text: str) -> str:
    """Text without control characters, which a terminal would obey."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def show_failures(failures: Sequence[Failure], total: int, folder: Path | None = None) -> None:
    """The pictures that failed, with reasons, on stderr."""
    for failure in failures[:SHOWN_FAILURES]:
        sentences = (f"{part.rstrip('.')}." for part in (failure.reason, failure.remedy) if part)
        note(f"  failed: {plain(failure.uri)}: {plain(' '.join(sentences))}")
    if total > SHOWN_FAILURES:
        more = f"; all of them: visualsearch info {folder} --failures" if folder else ""
        note(f"  ... and {total - SHOWN_FAILURES:,} more{more}")


def show_left_out(report: IndexReport) -> None:
    """What a run left out or could not tell, on stderr."""
    if report.passed_over:
        kinds = [f"{count:,} {plain(reason)}" for reason, count in report.passed_over.items()]
        more = f" and {len(kinds) - 8} other kinds" if len(kinds) > 8 else ""
        note(f"  passed over, not pictures: {', '.join(kinds[:8])}{more}")
    if report.excluded:
        note(f"  left out because they were removed: {report.excluded:,}; --include ID lets one back in")
    if report.kept:
        note(
            f"  not pruned: {report.kept:,} that were not seen, because a part of the source could not be read;"
            " mend what failed and run again"
        )
    elif report.incomplete:
        note("  a part of the source could not be read: what it holds is neither new nor gone")
    if report.gone:
        note(f"  gone from the source: {report.gone:,}; --prune drops their embeddings")


def report_values(report: IndexReport) -> dict[str, Any]:
    """A run's report as plain values."""
    return {
        "seen": report.seen,
        "added": report.added,
        "updated": report.updated,
        "moved": report.moved,
        "unchanged": report.unchanged,
        "removed": report.removed,
        "failed": report.failed,
        "embedded": report.embedded,
        "excluded": report.excluded,
        "kept": report.kept,
        "gone": report.gone,
        "incomplete": report.incomplete,
        "passed_over": dict(report.passed_over),
        "seconds": round(report.seconds, 3),
        "per_second": round(report.rate, 1),
        "stages": {k: round(v, 3) for k, v in report.stages.items()},
        "bottleneck": report.bottleneck,
        "failures": [
            {"uri": f.uri, "id": f.id, "reason": f.reason, "remedy": f.remedy} for f in report.failures
        ],
    }


class Lines:
    """Progress where stderr is no terminal: a line every few seconds, for logs."""

    EVERY = 5.0

    def __init__(self, title: str, now: Callable[[], float] = time.monotonic) -> None:
        self._title, self._now = title, now
        self._start = self._last = now()

    def update(self, seen: int, failed: int, total: int | None, stages: dict[str, float]) -> None:
        """Show a moment of a run, unless the last line is younger than EVERY seconds."""
        now = self._now()
        if now - self._last < self.EVERY:
            return
        self._last = now
        of = f" of about {total:,}" if total else ""
        rate = seen / (now - self._start)
        left = f", about {(total - seen) / rate:,.0f} s left" if total and total > seen and rate else ""
        note(f"{self._title}: {seen:,}{of} pictures, {rate:,.0f}/s, {failed:,} failed{left}")


class Bar:
    """A progress bar on stderr: pictures, pictures/s, time left, and the stage that the others wait for."""

    def __init__(self, bar: Any, task: Any) -> None:
        self._bar, self._task = bar, task

    def update(self, seen: int, failed: int, total: int | None, stages: dict[str, float]) -> None:
        """Show a moment of a run."""
        slowest = max(stages, key=lambda k: stages[k]) if stages else "-"
        self._bar.update(self._task, completed=seen, total=total, failed=failed, slowest=slowest)


@contextmanager
def progress(title: str, quiet: bool) -> Iterator[Bar | Lines | None]:
    """Progress on stderr while the block runs: a line every few seconds where it is no terminal, else a bar.

    `quiet` leaves out the bar, and then yields None.
    """
    if quiet or not sys.stderr.isatty():
        yield None if sys.stderr.isatty() else Lines(plain(title))
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(f"{task.finished_speed or task.speed or 0:,.0f}/s")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Speed(),
        TimeRemainingColumn(),
        TextColumn("[dim]slowest: {task.fields[slowest]}, failed: {task.fields[failed]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield Bar(bar, bar.add_task(title, total=None, slowest="-", failed=0))
