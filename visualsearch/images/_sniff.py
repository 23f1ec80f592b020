"""What a file is, from its first bytes: which picture format, or which other thing it turned out to be.

Magic numbers: JPEG (ITU T.81 B.1), PNG (W3C PNG 5.2), GIF89a, WebP (RFC 9649), TIFF 6.0 and BigTIFF, BMP. ISO base media
brands: ISO 14496-12, of HEIF ISO 23008-12, of AVIF 1.1.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import PIL

from ._foreign import LOOKED_AT, document, other_format

PICTURE_SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".avif",
        ".heic",
        ".heif",
    ]
)
"""The suffixes, in lower case, of the files that are taken from folders and archives."""


@dataclass(frozen=True)
class Format:
    """One picture format.

    `open` reads the header and gives a lazy Pillow picture. `whole` says whether the bytes reach the
    format's own end, asked only after decoding failed. `canvas` gives (width, height) from the header where
    Pillow would allocate before we can look.
    """

    name: str
    starts: Callable[[bytes], bool]
    open: Callable[[BytesIO], Any]
    whole: Callable[[bytes], bool]
    canvas: Callable[[bytes], tuple[int, int] | None] = lambda _data: None


def sniff(data: bytes) -> Format | None:
    """The format whose magic number the bytes carry, or None."""
    head = data[:64]
    return next((form for form in FORMATS if form.starts(head)), None)


def explain_foreign(data: bytes) -> tuple[str, str]:
    """(why, remedy) for bytes that are in no format we read."""
    if not data:
        return "the file is empty (0 bytes)", "Copy or download it again"
    if not data.strip(b"\0"):
        return f"the file holds only zeros ({len(data)} bytes)", "Copy or download it again"
    if (other := other_format(data[:64])) is not None:
        return f"{other} is not a supported picture format", f"Convert it to one of {SUPPORTED}"
    if (known := document(data[:LOOKED_AT].lstrip(b"\xef\xbb\xbf \t\r\n"))) is not None:
        return known
    if _is_text(data[:LOOKED_AT]):
        return "it is a text file, not a picture", "Check what wrote it, or leave it out"
    return (
        f"its first bytes ({data[:8].hex(' ')}) belong to no supported format",
        f"Convert it to one of {SUPPORTED}",
    )


def _is_text(head: bytes) -> bool:
    try:
        text = head[: len(head) - 4 if len(head) == LOOKED_AT else None].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(char.isprintable() or char in "\t\r\n\f" for char in text)


# --- brands of the ISO base media container, which HEIC, AVIF and films share


def _brands(head: bytes) -> set[bytes]:
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12]} | {head[at : at + 4] for at in range(16, end - 3, 4)}


_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}


# --- one opener a format; plugins are imported at first use, and used directly: Image.open keeps a
# process-wide pixel limit


def _jpeg(stream: BytesIO) -> Any:
    from PIL.JpegImagePlugin import JpegImageFile

    return JpegImageFile(stream)


def _png(stream: BytesIO) -> Any:
    from PIL.PngImagePlugin import PngImageFile

    image = PngImageFile(stream)
    image.info["png_depth"] = stream.getbuffer()[
        24
    ]  # bits a sample; a transparent colour is given in this depth
    return image


def _webp(stream: BytesIO) -> Any:
    from PIL.WebPImagePlugin import WebPImageFile

    return WebPImageFile(stream)


def _gif(stream: BytesIO) -> Any:
    from PIL.GifImagePlugin import GifImageFile

    return GifImageFile(stream)


def _bmp(stream: BytesIO) -> Any:
    from PIL.BmpImagePlugin import BmpImageFile

    return BmpImageFile(stream)


def _tiff(stream: BytesIO) -> Any:
    from PIL.TiffImagePlugin import TiffImageFile

    _quiet_libtiff()
    return TiffImageFile(stream)


@lru_cache(maxsize=1)
def _quiet_libtiff() -> None:
    """Stop libtiff from printing its complaints to stderr: Pillow raises them as errors already.

    Pillow leaves libtiff's own handler in place and offers no switch, so the copy it has loaded is told
    directly. Where the library was linked in statically there is none to find, and damaged TIFFs stay
    noisy.
    """
    import ctypes
    import ctypes.util

    site = Path(PIL.__file__).parent
    bundled = [*site.parent.glob("[Pp]illow.libs/libtiff*"), *site.glob(".dylibs/libtiff*")]
    place = str(bundled[0]) if bundled else ctypes.util.find_library("tiff")
    if place is None:
        return
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(place)
        for name in ("TIFFSetErrorHandler", "TIFFSetErrorHandlerExt", "TIFFSetWarningHandler"):
            setter = getattr(library, name)
            setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
            setter(None)


def _avif(stream: BytesIO) -> Any:
    from PIL import features

    if not features.check("avif"):
        raise NotImplementedError(
            "this build of Pillow cannot read AVIF", "Run: pip install -U 'pillow>=11.3'"
        )
    from PIL.AvifImagePlugin import AvifImageFile

    return AvifImageFile(stream)


def _heif(stream: BytesIO) -> Any:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise NotImplementedError(
            "HEIC pictures need the extra 'heif', which is not installed",
            "Run: pip install 'visualsearch[heif]'",
        ) from None
    return HeifImageFile(stream)


# --- does the file reach its own end?


def _png_whole(data: bytes) -> bool:
    return b"IEND" in data[-64:]


def _riff_whole(data: bytes) -> bool:
    return len(data) >= 12 and int.from_bytes(data[4:8], "little") + 8 <= len(data)


def _bmp_whole(data: bytes) -> bool:
    if len(data) < 34:
        return False
    offset, width, height = struct.unpack_from("<I4xii", data, 10)
    bits, packing = struct.unpack_from("<HI", data, 28)
    stored = offset + (width * bits + 31) // 32 * 4 * abs(height)
    return packing in (1, 2, 4, 5) or stored <= len(data)


def _tiff_whole(data: bytes) -> bool:
    """Whether every strip or tile named by the first directory lies inside the file."""
    if len(data) < 8:
        return False
    try:
        tags = dict(_tiff(BytesIO(data)).tag_v2)
    except Exception:  # whatever is wrong with the directory: a cut file lost it, most often
        return int.from_bytes(data[4:8], "little" if data[:1] == b"I" else "big") + 2 <= len(data)
    starts: Any = tags.get(273, tags.get(324, ()))
    sizes: Any = tags.get(279, tags.get(325, ()))
    return all(start + size <= len(data) for start, size in zip(starts, sizes, strict=False))


def _boxes_whole(data: bytes) -> bool:
    """Whether the top-level boxes of an ISO base media file end with the file."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size == 0:
            return True
        if size < 8:
            return True  # damaged rather than cut
        at += size
    return at <= len(data)


# --- canvas sizes of the formats that Pillow allocates while opening


def _gif_canvas(data: bytes) -> tuple[int, int] | None:
    return struct.unpack_from("<HH", data, 6) if len(data) >= 10 else None


def _webp_canvas(data: bytes) -> tuple[int, int] | None:
    if len(data) < 30:
        return None
    chunk = data[12:16]
    if chunk == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


_TIFF_MAGIC = (b"II\x2a\x00", b"MM\x00\x2a", b"II\x2b\x00", b"MM\x00\x2b")

_BMP_HEADERS = {size.to_bytes(4, "little") for size in (12, 16, 40, 52, 56, 64, 108, 124)}

FORMATS = (
    Format(
        "JPEG", lambda head: head.startswith(b"\xff\xd8\xff"), _jpeg, lambda data: b"\xff\xd9" in data[-4096:]
    ),
    Format("PNG", lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"), _png, _png_whole),
    Format(
        "WebP", lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP", _webp, _riff_whole, _webp_canvas
    ),
    Format(
        "GIF",
        lambda head: head[:6] in (b"GIF87a", b"GIF89a"),
        _gif,
        lambda data: data.rstrip(b"\0")[-1:] == b";",
        _gif_canvas,
    ),
    # "BM" alone begins many a sentence: the header's size field must be one that exists
    Format("BMP", lambda head: head[:2] == b"BM" and head[14:18] in _BMP_HEADERS, _bmp, _bmp_whole),
    Format("TIFF", lambda head: head.startswith(_TIFF_MAGIC), _tiff, _tiff_whole),
    Format("AVIF", lambda head: bool(_brands(head) & _AVIF_BRANDS), _avif, _boxes_whole),
    Format("HEIC", lambda head: bool(_brands(head) & _HEIF_BRANDS), _heif, _boxes_whole),
)

SUPPORTED = ", ".join(form.name for form in FORMATS)
