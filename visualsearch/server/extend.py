"""The browser extension, written out for one server."""

from __future__ import annotations

import json
from enum import StrEnum
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from PIL import Image, ImageDraw

from visualsearch import __version__
from visualsearch.errors import UsageError
from visualsearch.storage import storage_error

ICON_SIZES = (16, 48, 128)
MARK = "manifest.json"
CONFIG = "config.js"
_SERVER = "export const SERVER = "
_FINE = 4  # icons are drawn larger and scaled down


class Browser(StrEnum):
    """For which browser the manifest is."""

    CHROMIUM = "chromium"
    FIREFOX = "firefox"


def write_extension(folder: Path, server: str, browser: Browser = Browser.CHROMIUM) -> Path:
    """Write the extension that searches `server`, ready to be loaded unpacked; returns the folder.

    Raises UsageError for an address that is no http(s) origin or a folder that holds something else.
    """
    origin = _origin(server)
    made = _files(origin, browser)
    try:
        strange = _strange(folder, made)
        if strange:
            raise UsageError(
                f"cannot write to {folder}",
                f"it exists and is not an extension that was written here ({strange})",
                "Choose a new or empty folder",
            )
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in made.items():
            aside = folder / f".{name}.tmp"
            aside.unlink(missing_ok=True)
            aside.write_bytes(data)
            aside.replace(folder / name)  # a link of that name is replaced, not followed
    except OSError as error:
        raise storage_error(folder, error) from error
    return folder


def _files(origin: str, browser: Browser) -> dict[str, bytes]:
    """The extension's files by name; the manifest comes last, so that half an extension is none."""
    shipped = files("visualsearch.server").joinpath("extension").iterdir()
    made = {file.name: file.read_bytes() for file in shipped if file.name != MARK}
    for size in ICON_SIZES:
        out = BytesIO()
        _icon(size).save(out, "PNG")
        made[f"icon-{size}.png"] = out.getvalue()
    made[CONFIG] = f"{_SERVER}{json.dumps(origin)};\n".encode()
    made[MARK] = _manifest(origin, browser).encode()
    return made


def _strange(folder: Path, made: dict[str, bytes]) -> str:
    """What stands in a folder and was not written by `write_extension`; "" for a new, empty or written one."""
    if not folder.exists():
        return ""
    if not folder.is_dir():
        return "it is a file"
    names = {path.name for path in folder.iterdir()}
    names -= {f".{name}.tmp" for name in made}  # of a run that was killed
    if not names:
        return ""
    foreign = sorted(names - made.keys())
    if foreign:
        return f"it holds {foreign[0]!r}"
    # Earlier releases wrote these two as well; somebody else's folder may have one of them, not both.
    try:
        name = json.loads((folder / MARK).read_text(encoding="utf-8")).get("name")
        config = (folder / CONFIG).read_text(encoding="utf-8")
    except (OSError, ValueError, AttributeError):
        name, config = None, ""
    if name != "visualsearch" or not config.startswith(_SERVER):
        return f"its {MARK} or {CONFIG} is another's"
    return ""


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


def _manifest(origin: str, browser: Browser) -> str:
    text = files("visualsearch.server").joinpath("extension", MARK).read_text(encoding="utf-8")
    manifest = json.loads(text)
    manifest["version"] = __version__
    manifest["host_permissions"] = [f"{origin}/*"]
    if browser is Browser.FIREFOX:
        manifest = _for_firefox(manifest)
    return json.dumps(manifest, indent=2) + "\n"


def _for_firefox(manifest: dict[str, Any]) -> dict[str, Any]:
    """The same manifest as Firefox has it: a sidebar, a script that comes when it is needed, and an id of its own."""
    chromium = ("key", "minimum_chrome_version", "side_panel")
    kept = {name: value for name, value in manifest.items() if name not in chromium}
    panel = manifest["side_panel"]["default_path"]
    return {
        **kept,
        "permissions": [name for name in manifest["permissions"] if name != "sidePanel"],
        "background": {"scripts": [manifest["background"]["service_worker"]], "type": "module"},
        "sidebar_action": {
            "default_title": manifest["name"],
            "default_panel": panel,
            "default_icon": manifest["icons"],
            "open_at_install": False,
        },
        # Firefox's own default would turn the address of a server in the house into https.
        "content_security_policy": {"extension_pages": "script-src 'self'; object-src 'none'"},
        "browser_specific_settings": {
            "gecko": {
                "id": "visualsearch@visualsearch.org",
                "strict_min_version": "140.0",
                "data_collection_permissions": {"required": ["websiteContent"]},
            },
            "gecko_android": {"strict_min_version": "142.0"},
        },
    }


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
