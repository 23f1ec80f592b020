"""Pictures in: every format and oddity ends as the right upright RGB, every bad file as one clear error."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from visualsearch.errors import PictureError, UsageError
from visualsearch.fetch import fetch
from visualsearch.images import check_box, crop, decode, load, parse_crop, thumbnail
from visualsearch.types import Box

RED, WHITE = (255, 0, 0), (255, 255, 255)


def encode(picture, form, **options):
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def near(got, wanted, tolerance):
    assert np.abs(np.array(got, int) - np.array(wanted, int)).max() <= tolerance, (
        f"{got} is not near {wanted}"
    )


def noise(size=(300, 200)):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def why(data, **options):
    with pytest.raises(PictureError) as caught:
        decode(data, name="x.jpg", **options)
    assert caught.value.what == "x.jpg"
    assert caught.value.remedy
    return caught.value.why


# --- formats and modes


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"])
def test_every_format_decodes_to_the_colours_it_was_given(form):
    if form == "AVIF":
        from PIL import features

        if not features.check("avif"):
            pytest.skip("Pillow was built without AVIF")
    if form == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    picture = Image.new("RGB", (64, 48), (200, 40, 90))
    got = decode(encode(picture, form))
    assert (got.mode, got.size) == ("RGB", (64, 48))
    near(got.getpixel((20, 20)), (200, 40, 90), 0 if form in ("PNG", "GIF", "BMP", "TIFF") else 6)


def test_red_stays_red_through_cmyk_jpeg_and_tiff():
    picture = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    near(decode(encode(picture, "JPEG", quality=95)).getpixel((8, 8)), RED, 3)
    assert decode(encode(picture, "TIFF")).getpixel((8, 8)) == RED


def test_sixteen_bit_grey_is_scaled_by_its_full_range():
    values = np.array([[0, 257, 32768, 65535]], np.uint16)
    for form in ("PNG", "TIFF"):
        got = np.asarray(decode(encode(Image.fromarray(values), form)))[0, :, 0]
        assert got.tolist() == [0, 1, 128, 255]


def test_a_transparent_sixteen_bit_grey_becomes_white():
    data = encode(Image.fromarray(np.array([[7, 0]], np.uint16)), "PNG", transparency=7)
    got = decode(data)
    assert [got.getpixel((0, 0)), got.getpixel((1, 0))] == [WHITE, (0, 0, 0)]


def test_white_is_zero_holds_for_sixteen_bit_tiffs():
    data = bytearray(encode(Image.fromarray(np.array([[0, 65535]], np.uint16)), "TIFF"))
    at = data.index(struct.pack("<HHI", 262, 3, 1))
    data[at + 8 : at + 10] = struct.pack("<H", 0)
    assert np.asarray(decode(bytes(data)))[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 51.0, 255.0], [0, 51, 255]),
        ([float("nan"), 0.0, 1.0], [0, 0, 255]),
        ([-10.0, 0.0, 10.0], [0, 128, 255]),
    ],
)
def test_float_tiffs_are_scaled_by_what_their_values_speak_of(values, wanted):
    data = encode(Image.fromarray(np.array([values], np.float32)), "TIFF")
    assert np.asarray(decode(data))[0, :, 0].tolist() == wanted


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_png_mode_keeps_black_and_white(mode):
    picture = Image.fromarray(np.array([[0, 255]], np.uint8)).convert(mode)
    assert np.asarray(decode(encode(picture, "PNG"))).tolist() == [[[0, 0, 0], [255, 255, 255]]]


def test_alpha_is_laid_on_white():
    picture = Image.new("RGBA", (3, 1))
    picture.putdata([(255, 0, 0, 0), (255, 0, 0, 255), (0, 0, 0, 128)])
    for form, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})):
        got = decode(encode(picture, form, **options))
        assert [got.getpixel((x, 0)) for x in range(3)] == [WHITE, RED, (127, 127, 127)]


@pytest.mark.parametrize(("mode", "key"), [("L", 10), ("RGB", (10, 10, 10)), ("P", 10)])
def test_a_colour_key_is_transparent_and_other_colours_are_not(mode, key):
    picture = Image.new(mode, (2, 1), key)
    if mode == "P":
        picture.putpalette([value for grey in range(256) for value in (grey, grey, grey)])
    picture.putpixel((1, 0), 11 if mode != "RGB" else (10, 10, 11))
    got = decode(encode(picture, "PNG", transparency=key))
    assert got.getpixel((0, 0)) == WHITE
    assert max(got.getpixel((1, 0))) == 11


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, depth, colour, *chunks, rows=b""):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = b"".join(chunks) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


def test_a_colour_key_counts_in_the_depth_of_the_file():
    grey = png(4, 1, 2, 0, chunk(b"tRNS", b"\0\1"), rows=b"\0" + bytes([0b00_01_10_11]))
    assert np.asarray(decode(grey))[0, :, 0].tolist() == [0, 255, 170, 255]
    wide = png(
        2,
        1,
        16,
        2,
        chunk(b"tRNS", b"\x12\0\x34\0\x56\0"),
        rows=b"\0" + b"\x12\0\x34\0\x56\0" + b"\x12\0\x34\0\x57\0",
    )
    got = decode(wide)
    assert [got.getpixel((0, 0)), got.getpixel((1, 0))] == [WHITE, (0x12, 0x34, 0x57)]


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_frame(form):
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, (0, 255, 0), (0, 0, 255))]
    data = encode(frames[0], form, save_all=True, append_images=frames[1:], duration=100)
    near(decode(data).getpixel((10, 10)), RED, 4)


# --- orientation


def marked():
    """30x20, black, its upper left 10x10 red."""
    picture = Image.new("RGB", (30, 20))
    picture.paste(RED, (0, 0, 10, 10))
    return picture


_UNTURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_puts_the_marked_corner_back(form, orientation):
    if form == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = marked().transpose(_UNTURN[orientation]) if orientation > 1 else marked()
    got = decode(
        encode(stored, form, exif=exif.tobytes(), **({} if form in ("PNG", "TIFF") else {"quality": 95}))
    )
    assert got.size == (30, 20)
    near(got.getpixel((5, 5)), RED, 30)
    near([got.getpixel((25, 5)), got.getpixel((5, 15)), got.getpixel((25, 15))], [(0, 0, 0)] * 3, 30)


def test_orientation_survives_a_scaled_decode():
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = marked().resize((900, 600)).transpose(_UNTURN[6])
    got = decode(encode(stored, "JPEG", exif=exif), target=100)
    assert got.size == (450, 300)
    near(got.getpixel((50, 50)), RED, 30)
    near(got.getpixel((400, 50)), (0, 0, 0), 30)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")
def test_damaged_exif_does_not_cost_the_picture():
    data = encode(Image.new("RGB", (8, 8), RED), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert decode(data).getpixel((4, 4)) == RED


# --- colour profiles


def profile(red, green, blue, gamma):
    """A matrix profile (ICC.1:2001-04, 6.3.1.1) from D50-adapted columns and one gamma."""

    def s15(value):
        return struct.pack(">i", round(value * 65536))

    def xyz(values):
        return b"XYZ \0\0\0\0" + b"".join(map(s15, values))

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + b"\0" * 78
    tags = {
        b"desc": text + b"\0" * (-len(text) % 4),
        b"wtpt": xyz((0.9642, 1.0, 0.8249)),
        b"rXYZ": xyz(red),
        b"gXYZ": xyz(green),
        b"bXYZ": xyz(blue),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    table, body, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content
    head = (
        struct.pack(">I4xI", at + len(body), 0x02400000) + b"mntrRGB XYZ " + b"\0" * 12 + b"acsp" + b"\0" * 28
    )
    head += s15(0.9642) + s15(1.0) + s15(0.8249)
    return head.ljust(128, b"\0") + table + body


ADOBE = profile(
    (0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457), 563 / 256
)
P3 = profile((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407), 2.2)


@pytest.mark.parametrize(
    ("icc", "stored"), [(ADOBE, (100, 150, 100)), (P3, (180, 90, 60))], ids=["adobe", "p3"]
)
@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_a_colour_profile_is_turned_into_srgb(icc, stored, form):
    columns = {
        id(ADOBE): ((0.60974, 0.20528, 0.14919), (0.31111, 0.62567, 0.06322), (0.01947, 0.06087, 0.74457)),
        id(P3): ((0.51512, 0.29198, 0.15710), (0.24120, 0.69225, 0.06657), (-0.00105, 0.04189, 0.78407)),
    }[id(icc)]
    gamma = 563 / 256 if icc is ADOBE else 2.2
    # sRGB's own D50-adapted matrix and transfer curve: IEC 61966-2-1, adapted by Bradford
    srgb = np.array([(0.43607, 0.38515, 0.14307), (0.22249, 0.71687, 0.06061), (0.01392, 0.09708, 0.71410)])
    linear = np.linalg.inv(srgb) @ np.array(columns) @ (np.array(stored) / 255) ** gamma
    wanted = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.abs(linear) ** (1 / 2.4) - 0.055) * 255
    assert np.abs(wanted - stored).max() > 8  # the profile matters for this colour
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(form, {})
    data = encode(Image.new("RGB", (32, 32), stored), form, icc_profile=icc, **options)
    near(decode(data).getpixel((16, 16)), wanted.round(), 3)


def test_a_profile_applies_after_a_scaled_decode_too():
    data = encode(Image.new("RGB", (800, 800), (100, 150, 100)), "JPEG", icc_profile=ADOBE, quality=100)
    got = decode(data, target=100)
    assert got.size == (200, 200)
    near(got.getpixel((100, 100)), decode(data).getpixel((400, 400)), 1)


def test_an_srgb_profile_leaves_every_pixel_alone():
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = noise()
    assert np.array_equal(np.asarray(decode(encode(picture, "PNG", icc_profile=icc))), np.asarray(picture))


@pytest.mark.parametrize("icc", [b"not a profile", ADOBE[:200], ADOBE[:140] + b"\xff" * 400])
def test_a_broken_profile_is_ignored(icc):
    data = encode(Image.new("RGB", (8, 8), (100, 150, 100)), "PNG", icc_profile=icc)
    assert decode(data).getpixel((4, 4)) == (100, 150, 100)


def test_a_grey_picture_with_an_rgb_profile_stays_grey():
    data = encode(Image.new("L", (8, 8), 120), "PNG", icc_profile=ADOBE)
    red, green, blue = decode(data).getpixel((4, 4))
    assert max(red, green, blue) - min(red, green, blue) <= 1


# --- scaled decoding


@pytest.mark.parametrize(
    ("size", "target", "wanted"),
    [
        ((2000, 1000), 100, (500, 250)),
        ((2000, 1000), 156, (500, 250)),
        ((2000, 1000), 157, (1000, 500)),
        ((1601, 801), 100, (401, 201)),
        ((400, 533), 224, (400, 533)),
        ((10000, 1), 224, (10000, 1)),
    ],
)
def test_a_target_scales_jpegs_down_but_keeps_a_margin(size, target, wanted):
    assert decode(encode(Image.new("RGB", size), "JPEG"), target=target).size == wanted


@pytest.mark.parametrize("size", [(1, 1), (10000, 1), (1, 10000)])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "TIFF", "GIF"])
def test_thin_pictures_decode_and_crop(form, size):
    got = decode(encode(Image.new("RGB", size, RED), form), target=224)
    assert got.size == size
    assert crop(got, Box(0.4, 0.4, 0.5, 0.5)).size[1 if size[1] == 1 else 0] == 1
    assert max(load(thumbnail(got, 64)).size) == min(64, max(size))


# --- bad input


def test_an_empty_file_says_so():
    assert "empty (0 bytes)" in why(b"")


def test_a_file_of_zeros_says_so():
    assert "only zeros" in why(bytes(5000))


def test_renamed_text_says_so():
    assert "text file" in why("Not a picture, grüße.\n".encode() * 200)
    assert "text file" in why(b"BMX is a sport")


@pytest.mark.parametrize(
    "page", [b"<!DOCTYPE html><p>404", b"\n <html lang=en>", b'<?xml version="1.0"?>\n<!DOCTYPE html>']
)
def test_an_error_page_says_so(page):
    assert "web page (HTML)" in why(page)


@pytest.mark.parametrize(
    "drawing",
    [b"<svg xmlns='x'/>", b'<?xml version="1.0"?>\n<!-- a -->\n<svg >', b"<!DOCTYPE svg PUBLIC 'a'><svg>"],
)
def test_svg_says_so(drawing):
    assert "SVG" in why(drawing)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"%PDF-1.7", "PDF"),
        (b"8BPS\0\1", "Photoshop"),
        (b"\0\0\0\x0cjP  \r\n", "JPEG 2000"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "film"),
        (b"PK\3\4abc", "zip"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS"),
        (b"\x01\x02\x03\xff\xfe\xfd\0\0", "no supported format"),
    ],
)
def test_other_formats_are_named(data, name):
    assert name in why(data)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
@pytest.mark.parametrize("part", [0.05, 0.5, 0.95])
def test_a_truncated_file_says_so(form, part):
    data = encode(noise(), form)
    assert "truncated" in why(data[: int(len(data) * part)])


def scramble(data, start):
    damaged = bytearray(data)
    for at in range(start, len(data) - 64, 7):
        damaged[at] ^= 0x5A
    return bytes(damaged)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF"])
def test_corrupt_data_says_so(form):
    data = encode(noise(), form)
    assert "corrupt" in why(scramble(data, len(data) // 3))


def test_a_bomb_is_refused_from_its_header():
    assert "over the limit of 100,000,000" in why(png(30000, 30000, 8, 2))
    assert "over the limit of 50" in why(encode(Image.new("RGB", (10, 10)), "PNG"), max_pixels=50)
    gif = b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b"\x2c" + bytes(9) + b";"
    assert "65535x65535" in why(gif)
    webp = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\x3f\0\xff\x3f\0"
    assert "16384x16384" in why(webp)


def test_a_raised_limit_lets_large_pictures_through_without_a_warning(recwarn):
    data = png(12000, 9000, 1, 0, rows=(b"\0" + bytes(1500)) * 9000)
    assert decode(data, max_pixels=200_000_000).size == (12000, 9000)
    assert "over the limit" in why(data)
    assert not recwarn.list


def test_a_text_bomb_is_refused():
    bomb = b"key\0\0" + zlib.compress(bytes(20_000_000), 9)
    assert "expands without end" in why(png(1, 1, 8, 0, chunk(b"zTXt", bomb), rows=b"\0\0"))


def test_a_profile_bomb_is_refused():
    bomb = b"icc\0\0" + zlib.compress(bytes(20_000_000), 9)
    assert "expands without end" in why(png(1, 1, 8, 0, chunk(b"iCCP", bomb), rows=b"\0\0"))


def test_an_empty_canvas_is_refused():
    gif = b"GIF89a" + struct.pack("<HHBBB", 0, 0, 0, 0, 0) + b";"
    assert "0x0" in why(gif)


def test_heic_without_its_extra_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(PictureError) as caught:
        decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    assert "pip install 'visualsearch[heif]'" in str(caught.value)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")
def test_any_damage_gives_a_picture_error_or_a_picture():
    rng = np.random.default_rng(1)
    for form in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"):
        data = encode(noise((40, 30)), form)
        for _ in range(60):
            damaged = bytearray(data)
            for at in rng.integers(0, len(data), 4):
                damaged[at] = rng.integers(256)
            try:
                got = decode(bytes(damaged), max_pixels=1_000_000)
            except PictureError:
                continue
            assert got.mode == "RGB"


def test_bad_pictures_write_nothing_to_stderr(tmp_path):
    picture = noise()
    files = [
        scramble(encode(picture, "TIFF", compression=kind), 200)
        for kind in ("tiff_lzw", "tiff_deflate", "jpeg")
    ]
    files += [
        encode(picture, "TIFF")[:-300],
        scramble(encode(picture, "JPEG"), 700),
        png(10000, 9500, 8, 2, rows=b""),
    ]
    bad = len(files)
    files.append(encode(picture, "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage"))
    paths = []
    for number, data in enumerate(files):
        path = tmp_path / str(number)
        path.write_bytes(data)
        paths.append(str(path))
    code = (
        "import json, sys\n"
        "from visualsearch.errors import PictureError\n"
        "from visualsearch.images import load\n"
        "failed = 0\n"
        "for path in json.loads(sys.argv[1]):\n"
        "    try: load(path)\n"
        "    except PictureError: failed += 1\n"
        "print(failed)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, json.dumps(paths)], capture_output=True, text=True, check=True
    )
    assert (run.stdout.strip(), run.stderr) == (str(bad), "")


def test_many_threads_decode_alike():
    files = [
        encode(noise(), "PNG", icc_profile=ADOBE),
        encode(noise(), "JPEG", icc_profile=P3),
        encode(noise(), "WEBP"),
    ]
    wanted = [np.asarray(decode(data)) for data in files]
    with ThreadPoolExecutor(8) as pool:
        for number, got in enumerate(pool.map(lambda at: np.asarray(decode(files[at % 3])), range(60))):
            assert np.array_equal(got, wanted[number % 3])


# --- load


def test_load_takes_paths_bytes_pictures_and_arrays(tmp_path):
    path = tmp_path / "a b.png"
    picture = Image.new("RGB", (4, 3), RED)
    picture.save(path)
    array = np.asarray(picture)
    rgba = np.dstack([array, np.zeros((3, 4), np.uint8)])
    for given in (path, str(path), path.as_uri(), path.read_bytes(), picture, array):
        got = load(given)
        assert (got.size, got.mode, got.getpixel((1, 1))) == ((4, 3), "RGB", RED)
    assert load(rgba).getpixel((1, 1)) == WHITE
    assert load(np.full((3, 4), 9, np.uint8)).getpixel((0, 0)) == (9, 9, 9)


def test_load_does_not_change_or_share_the_callers_picture():
    picture = Image.new("RGB", (2, 2))
    load(picture).putpixel((0, 0), RED)
    assert picture.getpixel((0, 0)) == (0, 0, 0)


def test_load_turns_a_pillow_picture_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    marked().transpose(_UNTURN[6]).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as opened:
        got = load(opened)
    assert (got.size, got.getpixel((2, 2))) == ((30, 20), RED)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "JPEG"])
def test_profile_and_orientation_are_applied_once_however_often_a_picture_is_loaded(form):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.new("RGB", (20, 30), (100, 150, 100))
    once = decode(encode(stored, form, exif=exif.tobytes(), icc_profile=ADOBE, quality=95))
    assert once.size == (30, 20)
    assert np.array_equal(np.asarray(load(once)), np.asarray(once))
    for kind in ("WEBP", "JPEG"):
        again = load(thumbnail(once, 30, kind, 95))
        assert again.size == (30, 20)
        near(again.getpixel((9, 9)), once.getpixel((9, 9)), 4)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2, 3)),
        np.zeros((2, 2, 2), np.uint8),
        np.zeros((0, 2, 3), np.uint8),
        np.zeros(3, np.uint8),
    ],
)
def test_load_refuses_arrays_that_are_no_pictures(array):
    with pytest.raises(UsageError, match="is not a picture"):
        load(array)


def test_load_refuses_other_values():
    with pytest.raises(UsageError, match="a int is not a picture"):
        load(3)


def test_load_says_what_is_wrong_with_a_path(tmp_path):
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"x")
    secret.chmod(0)
    os.mkfifo(tmp_path / "pipe.jpg")
    cases = {
        tmp_path / "none.jpg": "no such file",
        tmp_path: "it is a folder",
        secret / "x.jpg": "no such file",
        "a\0b.jpg": "not a valid path",
        tmp_path / "pipe.jpg": "not a regular file",
    }
    if os.geteuid():  # root reads everything
        cases[secret] = "no permission"
    for path, reason in cases.items():
        with pytest.raises(PictureError, match=reason) as caught:
            load(path)
        assert caught.value.remedy


def test_thumbnail_has_the_size_and_format_asked_for():
    for form, magic in (("JPEG", b"\xff\xd8\xff"), ("WEBP", b"RIFF")):
        data = thumbnail(Image.new("RGB", (400, 100), RED), 64, form, 80)
        assert data.startswith(magic)
        assert load(data).size == (64, 16)
    with pytest.raises(UsageError, match="only JPEG and WEBP"):
        thumbnail(Image.new("RGB", (4, 4)), 64, "PNG")


# --- boxes


def test_crops_are_fractions_or_pixels():
    assert parse_crop("0.1, 0.2,0.6,0.9", None) == Box(0.1, 0.2, 0.6, 0.9)
    assert parse_crop("0,0,1,1", (400, 200)) == Box(0.0, 0.0, 1.0, 1.0)
    assert parse_crop("100,50,300,200", (400, 200)) == Box(0.25, 0.25, 0.75, 1.0)
    assert check_box((100, 50, 300, 200), (400, 200)) == Box(0.25, 0.25, 0.75, 1.0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0.1,0.2,0.6", "3 numbers"),
        ("", "1 number,"),
        ("a,b,c,d", "not a number"),
        ("nan,0,1,1", "finite"),
        ("0,0,inf,1", "finite"),
        ("-0.1,0,1,1", "outside"),
        ("0.6,0,0.1,1", "reversed"),
        ("0.5,0.5,0.5,0.9", "empty"),
        ("0,0,401,200", "outside"),
        ("500,10,600,20", "outside"),
        ("0.5,0.5,0.5001,0.5001", "no pixel"),
    ],
)
def test_impossible_crops_say_why_and_show_the_size(text, reason):
    with pytest.raises(UsageError, match=reason) as caught:
        parse_crop(text, (400, 200))
    assert "400x200" in caught.value.remedy
    assert "0.1,0.2,0.6,0.9" in caught.value.remedy


def test_pixels_need_the_size():
    with pytest.raises(UsageError, match="size is not known"):
        parse_crop("10,10,20,20", None)


def test_a_pixel_crop_cuts_exactly_those_pixels():
    picture = noise((317, 211))
    box = parse_crop("13,29,200,190", picture.size)
    assert np.array_equal(np.asarray(crop(picture, box)), np.asarray(picture)[29:190, 13:200])


def test_a_crop_has_at_least_one_pixel():
    picture = noise((5, 5))
    for box in (Box(0.99, 0.99, 1.0, 1.0), Box(0.0, 0.0, 0.001, 0.001), Box(1.0, 1.0, 1.0, 1.0)):
        assert crop(picture, box).size == (1, 1)


# --- fetching


@pytest.fixture(scope="module")
def server():
    picture = encode(Image.new("RGB", (10, 8), RED), "PNG")
    hold = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path
            if path == "/moved":
                return self.answer(302, b"", Location="/a.png")
            if path == "/loop":
                return self.answer(302, b"", Location="/loop")
            if path == "/away":
                return self.answer(302, b"", Location="ftp://127.0.0.1/a.png")
            if path == "/slow":
                hold.wait(10)
                return self.answer(200, picture)
            if path == "/page":
                return self.answer(200, b"<html>hello", **{"Content-Type": "text/html; charset=utf-8"})
            if path == "/odd":
                return self.answer(200, picture, **{"Content-Type": "text/plain"})
            if path == "/endless":
                self.send_response(200)
                self.end_headers()
                try:
                    while True:
                        self.wfile.write(bytes(10_000))
                except OSError:
                    return None
            if path == "/cut":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"short")
                return None
            status = {"/a.png": 200, "/secret": 403, "/broken": 503}.get(path, 404)
            return self.answer(status, picture if status == 200 else b"no")

        def answer(self, status, body, **headers):
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{web.server_port}"
    hold.set()
    web.shutdown()
    web.server_close()


@pytest.mark.parametrize("path", ["/a.png", "/moved", "/odd"])
def test_a_picture_is_fetched_from_an_address(server, path):
    assert load(server + path).getpixel((3, 3)) == RED


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/none", "404"),
        ("/secret", "forbids it .status 403"),
        ("/broken", "server failed .status 503"),
        ("/loop", "redirects more than 5 times"),
        ("/away", "not http"),
        ("/page", "a page .text/html., not a picture"),
        ("/cut", "connection failed"),
    ],
)
def test_each_failed_fetch_has_its_reason(server, path, reason):
    with pytest.raises(PictureError, match=reason) as caught:
        fetch(server + path)
    assert caught.value.what == server + path
    assert caught.value.remedy


def test_a_fetch_is_limited_in_time_and_size(server):
    with pytest.raises(PictureError, match=r"no answer within 0\.2 seconds"):
        fetch(server + "/slow", timeout=0.2)
    with pytest.raises(PictureError, match="over the limit of 20 bytes"):
        fetch(server + "/a.png", max_bytes=20)
    with pytest.raises(PictureError, match="over the limit of 100,000 bytes"):
        fetch(server + "/endless", max_bytes=100_000)


@pytest.mark.parametrize("address", ["ftp://host/a.png", "http://", "https:///a.png", "http://host:port/a"])
def test_what_is_no_web_address_is_refused(address):
    with pytest.raises(PictureError, match="not a web address"):
        fetch(address)


def test_nobody_there_is_said_plainly():
    with pytest.raises(PictureError, match=r"cannot connect to '127\.0\.0\.1'"):
        fetch("http://127.0.0.1:9/a.png")
    with pytest.raises(PictureError, match=r"not known|cannot connect"):
        fetch("http://no-such-host.invalid/a.png")


def test_importing_pictures_is_cheap():
    heavy = "{'torch', 'httpx', 'pyarrow', 'fsspec', 'faiss'}"
    code = f"import sys, visualsearch.images; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_no_machine_is_needed_for_a_local_path(tmp_path):
    (tmp_path / "http").mkdir()
    path = Path(tmp_path, "http", "a.png")
    Image.new("RGB", (2, 2), RED).save(path)
    assert load(path).size == (2, 2)
