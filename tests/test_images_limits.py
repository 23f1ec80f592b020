"""No picture takes more memory or time than it may, whatever its header claims; a missing end marker is no cut."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from visualsearch import images, resources
from visualsearch.cli import app
from visualsearch.errors import PictureError, UsageError
from visualsearch.images import check_box, decode, in_hand, limit_memory, memory_limit
from visualsearch.images._budget import Budget
from visualsearch.images._jpeg import claims


def photo(side: int = 320) -> Image.Image:
    small = np.random.default_rng(7).integers(0, 255, (side // 8, side // 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


def encode(picture: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def why(data: bytes, **options: int) -> str:
    with pytest.raises(PictureError) as caught:
        decode(data, **options)
    return str(caught.value)


def claiming_webp(width: int, height: int) -> bytes:
    """An animated WebP of one pixel on a canvas of any size."""
    pixel = encode(Image.new("RGB", (1, 1)), "WEBP", lossless=True)[12:]
    canvas = (
        struct.pack("<I", 10)
        + b"\2\0\0\0"
        + (width - 1).to_bytes(3, "little")
        + (height - 1).to_bytes(3, "little")
    )
    frame = bytes(12) + (100).to_bytes(3, "little") + b"\0" + pixel
    body = b"WEBPVP8X" + canvas + b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    body += b"ANMF" + struct.pack("<I", len(frame)) + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(width)) * height)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + b"".join(chunks)
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )


# -- one budget of memory -------------------------------------------------------------------------------------------
@pytest.fixture
def small_budget():
    limit_memory(40 << 20)
    yield memory_limit()
    limit_memory(None)


def test_a_picture_over_the_budget_is_refused_with_the_option_that_helps(small_budget: int) -> None:
    text = why(claiming_webp(7000, 7000))
    assert "takes about 1226MB, over the 42MB" in text
    assert "--memory" in text
    assert decode(encode(photo(), "WEBP")).size == (320, 320)


def test_a_scaled_jpeg_takes_what_its_small_self_takes(small_budget: int) -> None:
    data = encode(Image.new("RGB", (4000, 4000)), "JPEG")
    assert decode(data, target=224).size == (500, 500)
    assert "--memory" in why(data)


def test_pictures_wait_for_one_another_and_all_are_decoded(small_budget: int) -> None:
    """Each takes over half of the budget: never two at once, in whichever order they come."""
    data = encode(Image.new("RGB", (1500, 1500), (9, 9, 9)), "PNG")
    inside, most, sizes, guard = 0, 0, [], threading.Lock()

    def work() -> None:
        nonlocal inside, most
        with in_hand():
            picture = decode(data)
            with guard:
                inside += 1
                most = max(most, inside)
            sizes.append(np.asarray(picture).shape)
            with guard:
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sizes == [(1500, 1500, 3)] * 8
    assert most == 1


def test_a_thread_that_holds_a_picture_gets_another_without_waiting(small_budget: int) -> None:
    """Two threads, each with one picture in hand that half fills the budget, and each wants one more."""
    data = encode(Image.new("RGB", (1200, 1200)), "PNG")
    both, done = threading.Barrier(2), []

    def work() -> None:
        with in_hand():
            decode(data)
            both.wait(60)
            decode(data)
            done.append(True)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert done == [True, True]


def test_a_refused_or_broken_picture_gives_its_memory_back(small_budget: int) -> None:
    whole = encode(photo(1000), "PNG")
    for _ in range(30):
        with pytest.raises(PictureError):
            decode(whole[: len(whole) // 2])
    assert decode(whole).size == (1000, 1000)


def test_first_come_first_served_and_the_largest_runs_alone() -> None:
    budget, order = Budget(100, 1000), []
    budget.take(60, "a")
    entered = threading.Event()

    def large() -> None:
        entered.set()
        budget.take(500, "large")
        order.append(("large", budget.held))
        budget.give(500)

    def small() -> None:
        budget.take(30, "small")
        order.append(("small", budget.held))
        budget.give(30)

    first = threading.Thread(target=large)
    first.start()
    entered.wait(60)
    while not budget._queue:
        pass
    second = threading.Thread(target=small)
    second.start()
    budget.give(60)
    first.join(60)
    second.join(60)
    assert order == [("large", 500), ("small", 30)]
    with pytest.raises(PictureError, match="over the"):
        budget.take(1001, "too large")


def test_the_budget_refuses_what_no_photograph_fits_in() -> None:
    with pytest.raises(UsageError, match="too little"):
        limit_memory(1000)


def test_the_limits_of_a_container_count(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/a/b\n")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "memory.max").write_text("3000000\n")
    (tmp_path / "a" / "b" / "memory.max").write_text("max\n")
    assert resources._container_memory(tmp_path, own) == [3_000_000]
    own.write_text("7:cpu,memory:/x\n")
    (tmp_path / "memory" / "x").mkdir(parents=True)
    (tmp_path / "memory" / "x" / "memory.limit_in_bytes").write_text("2000000")
    assert resources._container_memory(tmp_path, own) == [2_000_000]
    assert 0 < resources.memory() <= resources._machine_memory()


def test_six_claims_at_once_take_the_memory_of_one(tmp_path: Path) -> None:
    """16 million pixels in 90 bytes: 250 MB each."""
    place = tmp_path / "claim.webp"
    place.write_bytes(claiming_webp(4000, 4000))
    code = (
        "import sys, threading\nfrom pathlib import Path\nfrom visualsearch import images\n"
        "images.limit_memory(450_000_000)\ndata = Path(sys.argv[1]).read_bytes()\n"
        "threads = [threading.Thread(target=images.decode, args=(data,)) for _ in range(6)]\n"
        "[t.start() for t in threads]\n[t.join() for t in threads]\n"
        "import resource\npeak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "status = Path('/proc/self/status')\n"  # there the peak is not that of the process that started this one
        "if status.exists():\n    peak = int(status.read_text().partition('VmHWM:')[2].split()[0])\n"
        "print(peak // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(place)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 900  # one takes 256, freed blocks linger; six at once take over 1,500


# -- sides, scans, chunks, tags --------------------------------------------------------------------------------------
def test_a_side_is_bounded_too() -> None:
    assert "65,535" in why(png(70_000, 1))
    assert "65,535" in why(png(1, 70_000))
    assert decode(png(65_535, 1)).size == (65_535, 1)


def scans_added(number: int) -> bytes:
    data = encode(photo(64), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * number + b"\xff\xd9"


def test_a_jpeg_of_a_thousand_scans_is_refused_before_it_is_decoded() -> None:
    assert "over 100 scans" in why(scans_added(1000))
    assert "over 100 scans" in why(scans_added(91))
    assert decode(scans_added(90)).size == (64, 64)


def test_large_pictures_may_have_fewer_scans() -> None:
    assert "40 scans, and 20 is the limit for 64x64" in why(scans_added(30), max_pixels=64 * 64)
    assert decode(scans_added(10), max_pixels=64 * 64).size == (64, 64)


def test_scans_are_counted_where_the_decoder_reads_them() -> None:
    inside_metadata = b"\xff\xe1" + struct.pack(">H", 402) + b"\xff\xda" * 200
    once, several = encode(photo(64), "JPEG"), encode(photo(64), "JPEG", progressive=True)
    count = lambda data: claims(data, 10_000, 65_536, 100).scans  # noqa: E731
    assert count(once[:2] + inside_metadata + once[2:]) == 1
    assert count(several[:2] + inside_metadata + several[2:]) == 10
    assert count(several + b"\xff\xda" * 200) == 10  # what follows the end is another file's
    assert decode(once[:2] + inside_metadata + once[2:] + b"\xff\xda" * 200).size == (64, 64)


def test_a_file_of_empty_parts_is_refused() -> None:
    jpeg, gif = encode(photo(64), "JPEG"), encode(Image.new("P", (4, 4)), "GIF")
    assert "segments" in why(jpeg[:2] + b"\xff\xfe\0\2" * 20_000 + jpeg[2:])
    assert "mean nothing" in why(jpeg[:20] + bytes(100_000) + jpeg[20:])
    assert "chunks" in why(png(4, 4, *[chunk(b"tEXt", b"a\0")] * 20_000))
    start = 13 + (6 << (gif[10] & 7) if gif[10] & 0x80 else 0)
    assert "blocks" in why(gif[:start] + b"\x21\xfe\x01a\0" * 30_000 + gif[start:])


def test_tags_that_claim_the_same_bytes_many_times_are_refused() -> None:
    entries = b"".join(struct.pack("<HHII", 40_000 + i, 7, 100_000, 8) for i in range(500))
    body = bytes(100_000)
    data = b"II*\0" + struct.pack("<I", 8 + len(body)) + body + struct.pack("<H", 500) + entries + bytes(4)
    assert "claim more bytes" in why(data)


def test_a_tile_larger_than_the_picture_may_be_is_refused() -> None:
    tags = [(256, 10), (257, 10), (258, 8), (259, 5), (262, 1), (322, 60_000), (323, 60_000)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    data = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(64)
    assert "tile" in why(data)


def test_an_animation_of_many_frames_costs_one() -> None:
    frames = [Image.new("P", (8, 8), i % 256) for i in range(2000)]
    for form in ("GIF", "WEBP"):
        data = encode(frames[0], form, save_all=True, append_images=frames[1:], duration=20)
        assert decode(data).size == (8, 8)


# -- the end of a JPEG ----------------------------------------------------------------------------------------------
KINDS = [{}, {"progressive": True}, {"restart_marker_blocks": 4}, {"subsampling": 0}]


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("target", [None, 32])
def test_a_jpeg_without_its_end_marker_is_whole(options: dict, target: int | None) -> None:
    data = encode(photo(), "JPEG", quality=90, **options)
    wanted = np.asarray(decode(data, target=target))
    for cut in (1, 2):
        assert np.array_equal(np.asarray(decode(data[:-cut], target=target)), wanted)


@pytest.mark.parametrize("options", KINDS)
def test_a_jpeg_that_lacks_pixels_is_cut(options: dict) -> None:
    data = encode(photo(), "JPEG", quality=90, **options)
    for share in (0.1, 0.5, 0.9):
        assert "truncated" in why(data[: int(len(data) * share)])


def test_a_jpeg_that_lacks_its_last_blocks_only_is_taken_and_a_row_of_them_is_not() -> None:
    data = encode(photo(640), "JPEG", quality=95)
    assert decode(data[:-6]).size == (640, 640)
    assert "truncated" in why(data[: -len(data) // 30])


def test_a_progressive_jpeg_cut_between_two_scans_is_cut() -> None:
    data = encode(photo(), "JPEG", progressive=True)
    assert "truncated" in why(data[: data.rindex(b"\xff\xda")])


# -- options --------------------------------------------------------------------------------------------------------
def test_a_pixel_crop_of_a_few_pixels_says_what_it_was_taken_for() -> None:
    with pytest.raises(UsageError) as caught:
        check_box((0, 0, 2, 5), (640, 480))
    text = str(caught.value)
    assert "5 is above 1, so its numbers are pixels" in text
    assert '"0,0,0.2,0.5"' in text
    with pytest.raises(UsageError, match="8 a side"):
        check_box((0, 0, 100, 7), (640, 480))
    assert check_box((0, 0, 8, 8), (640, 480)) == (0, 0, 0.0125, 8 / 480)
    assert check_box((0, 0, 4, 4), (4, 4)) == (0, 0, 1, 1)  # all there is
    assert check_box((0, 0, 0.01, 0.01), (640, 480)).x1 == 0.01


@pytest.mark.parametrize("command", ["index", "embed", "search", "look", "serve"])
def test_every_command_that_decodes_takes_both_limits(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    assert "--max-pixels" in shown
    assert "--memory" in shown


def test_the_error_over_the_limit_names_the_option() -> None:
    assert "--max-pixels" in why(png(100, 100), max_pixels=99)


def test_a_thumbnail_obeys_the_limit() -> None:
    with pytest.raises(PictureError, match="over the limit"):
        images.thumbnail(png(100, 100), 10, max_pixels=99)
