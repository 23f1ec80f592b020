"""Files that a fuzzer damaged until something gave way, each as small as it goes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visualsearch.errors import SourceError, UsageError
from visualsearch.people import People


@pytest.mark.parametrize("page", ["<![1", "<![ x [1-", "<![if"])
def test_an_odd_marked_section_costs_no_bookmark(people: People, tmp_path: Path, page: str) -> None:
    path = tmp_path / "boards.html"
    path.write_text(f'<!DOCTYPE NETSCAPE-Bookmark-file-1><DL><DT><A HREF="https://example.org/a">A</A>{page}')
    assert people.import_boards("ada", path).rows == 1


def test_an_address_that_is_none_costs_no_other_bookmark(people: People, tmp_path: Path) -> None:
    path = tmp_path / "boards.html"
    path.write_text(
        '<!DOCTYPE NETSCAPE-Bookmark-file-1><DL><DT><A HREF="http://[" DATA-COVER="/p.jpg">A</A>'
        '<DT><A HREF="https://example.org/a">A</A>'
    )
    report = people.import_boards("ada", path)
    assert (report.rows, report.failed) == (2, 1)


@pytest.mark.parametrize("name", ["idna", "punycode", "undefined"])
def test_a_file_that_names_no_encoding_of_text_is_read(people: People, tmp_path: Path, name: str) -> None:
    path = tmp_path / "boards.html"
    path.write_bytes(
        f'<META charset={name}><DL><DT><A HREF="https://example.org/a">'.encode() + b"\xe4\xff</A></DL>"
    )
    assert people.import_boards("ada", path).rows == 1


def test_a_damaged_member_of_a_zip_is_an_error_with_its_reason(people: People, tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("boards.html", "<DL>" + "abcdefghij" * 50)
    data = bytearray(file.getvalue())
    start = data.index(b"boards.html") + len(b"boards.html")
    data[start : start + 8] = b"\xff" * 8
    (tmp_path / "boards.zip").write_bytes(data)
    with pytest.raises(SourceError, match="cannot read"):
        people.import_boards("ada", tmp_path / "boards.zip")


def test_a_time_that_fits_no_64_bits_is_a_bad_row(people: People, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(
        "person,kind,pin,at\nada,click,a,9999999999999999999999600\nada,click,a,2025-12-01T10:00:00Z\n"
    )
    report = people.import_file(path, "events")
    assert report.accepted == 1
    assert [bad.line for bad in report.bad] == [2]


@pytest.mark.parametrize(
    ("at", "kept"),
    [
        (pa.array([1e30, float("nan"), 1764583200.5], pa.float64()), 1),
        (pa.array([2**64 - 1, 1764583200], pa.uint64()), 1),
        (pa.array([1764583200000000123, 1764583200000000000], pa.timestamp("ns")), 2),
    ],
    ids=["float", "unsigned", "nanoseconds"],
)
def test_odd_times_of_a_parquet_file_cost_their_own_rows(
    people: People, tmp_path: Path, at: pa.Array, kept: int
) -> None:
    names = [f"e{n}" for n in range(len(at))]
    table = pa.table({"person": ["ada"] * len(at), "kind": ["click"] * len(at), "pin": ["pin-1"] * len(at),
                      "event_id": names, "at": at})  # fmt: skip
    pq.write_table(table, tmp_path / "events.parquet")
    assert people.import_file(tmp_path / "events.parquet", "events").accepted == kept


@pytest.mark.parametrize(
    "call",
    [
        lambda people: people.save("ada", "pin-1", board="\ud800"),
        lambda people: people.declare("ada", locale="\ud800"),
        lambda people: list(people.pins_of("\ud800", viewer="ada")),
    ],
    ids=["board", "profile", "asked"],
)
def test_half_a_character_is_refused_and_costs_no_other(
    people: People, call: Callable[[People], Any]
) -> None:
    people.save("ada", "pin-2", board="K")
    with pytest.raises(UsageError, match="half a character"):
        call(people)
    assert [save.pin for save in people.pins_of("K", viewer="ada")] == ["pin-2"]
