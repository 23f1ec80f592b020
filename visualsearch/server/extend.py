"""The browser extension, written out for one server."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image, ImageDraw

from visualsearch import __version__
from visualsearch.errors import UsageError
from visualsearch.vectors import storage_error

ICON_SIZES = (16, 48, 128)
MARK = "manifest.json"
_FINE = 4  # icons are drawn larger and scaled down


def write_extension(folder: Path, server: str) -> Path:
    """Write the extension that searches `server`, ready to be loaded unpacked; returns the folder.

    Raises UsageError for an address that is no http(s) origin or a folder that holds something else.
    """
    origin = _origin(server)
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / MARK).is_file())):
        raise UsageError(
            f"cannot write to {folder}", "it exists and is not an extension", "Choose a new or empty folder"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in files("visualsearch.server").joinpath("extension").iterdir():
            if file.name != MARK:
                (folder / file.name).write_bytes(file.read_bytes())
        for size in ICON_SIZES:
            _icon(size).save(folder / f"icon-{size}.png")
        (folder / "config.js").write_text(f"export const SERVER = {json.dumps(origin)};\n", encoding="utf-8")
        (folder / MARK).write_text(_manifest(origin), encoding="utf-8")
    except OSError as error:
        raise storage_error(folder, error) from error
    return folder


def _origin(server: str) -> str:
    try:
        parts = urlsplit(server)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.path in ("", "/")
        _ = parts.port  # raises when it is no number
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or parts.username is not None:
        raise UsageError(
            f"{server!r} is no server's address",
            "expected http(s)://host or http(s)://host:port",
            "Example: --server http://127.0.0.1:8000",
        )
    return f"{parts.scheme}://{parts.netloc}"


def _manifest(origin: str) -> str:
    text = files("visualsearch.server").joinpath("extension", MARK).read_text(encoding="utf-8")
    manifest = json.loads(text)
    manifest["version"] = __version__
    manifest["host_permissions"] = [f"{origin}/*"]
    return json.dumps(manifest, indent=2) + "\n"


def _icon(size: int) -> Image.Image:
    """The magnifying glass of the page, in pixels."""
    side = size * _FINE
    unit = side / 32  # the drawing is 32 units wide
    icon = Image.new("RGBA", (side, side))
    draw = ImageDraw.Draw(icon)
    draw.rounded_rectangle((0, 0, side - 1, side - 1), 9 * unit, fill="#d6264f")
    draw.line((19 * unit, 19 * unit, 25 * unit, 25 * unit), fill="white", width=round(3.4 * unit))
    draw.ellipse((6.5 * unit, 6.5 * unit, 22.5 * unit, 22.5 * unit), outline="white", width=round(3 * unit))
    draw.ellipse((12.5 * unit, 12.5 * unit, 16.5 * unit, 16.5 * unit), fill="white")
    return icon.resize((size, size), Image.Resampling.LANCZOS)
