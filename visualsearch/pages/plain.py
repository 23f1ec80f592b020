"""Any template as a file: written whole, or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from visualsearch.storage import storage_error

from .templates import template


def render_template(name: str, **values: Any) -> str:
    """The template `name`, filled with values."""
    return template(name).render(**values)


def script(name: str) -> str:
    """The script `name` that a template refers to."""
    return (files("visualsearch.pages.templates") / name).read_text(encoding="utf-8")


def write_template(path: str | Path, name: str, **values: Any) -> Path:
    """Write the template `name`, filled with values, to `path`. Raises StorageError when the file cannot be written."""
    path = Path(path)
    aside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        aside.write_text(template(name).render(**values), encoding="utf-8", errors="replace")
        aside.replace(path)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
    return path
