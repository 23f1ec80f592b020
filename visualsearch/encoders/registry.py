"""models/registry.toml: the bundled model's folder and the encoders we recommend."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from visualsearch.errors import EncoderError
from visualsearch.resources import models_dir


@dataclass(frozen=True)
class ModelEntry:
    """A recommended open_clip model.

    Parameters are in millions, `image_size` in pixels; `imagenet` is the published ImageNet-1k zero-shot
    top-1 accuracy in per cent and `source` says who published it. `research_only` weights may not be used
    commercially.
    """

    name: str
    architecture: str
    tag: str
    license: str
    image_params: float
    text_params: float
    dim: int
    image_size: int
    imagenet: float
    source: str
    purpose: str
    research_only: bool = False


def recommended() -> list[ModelEntry]:
    """The recommended models in the file's order. Raises EncoderError when the file cannot be used."""
    return list(_read()[1])


def bundled_name() -> str:
    """The folder under models/ that the name "bundled" stands for."""
    return _read()[0]


def folder_names() -> list[str]:
    """The models that come with the package: folders of models/ that have a model.toml."""
    return sorted(path.parent.name for path in models_dir().glob("*/model.toml"))


@cache
def _read() -> tuple[str, tuple[ModelEntry, ...]]:
    path = models_dir() / "registry.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return str(table["bundled"]), tuple(_entry(values) for values in table.get("model", []))
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise EncoderError(
            f"{path} cannot be used", str(error), "Restore the file, or reinstall visualsearch"
        ) from error


def _entry(values: dict[str, Any]) -> ModelEntry:
    known = {field.name for field in fields(ModelEntry)}
    # "for" reads best in the file and is a reserved word here
    return ModelEntry(
        **{
            "purpose" if key == "for" else key: value
            for key, value in values.items()
            if key == "for" or key in known
        }
    )
