"""The sample pins that ship with the package, and a few scenes composed from them.

Where they come from and under which licence is told by README.md in this folder.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from visualsearch.types import Box

__all__ = ["Scene", "manifest", "samples_dir", "scenes"]


@dataclass(frozen=True)
class SceneObject:
    """One object of a scene: the pin it was cut from, and its true place."""

    pin: str
    box: Box


@dataclass(frozen=True)
class Scene:
    """A photograph with sample pins placed in it. `image` is an absolute path to a JPEG."""

    id: str
    title: str
    image: Path
    objects: tuple[SceneObject, ...]


def samples_dir() -> Path:
    """The folder of the samples: `manifest.csv`, `scenes.json`, `pins/`, `scenes/`, README.md and LICENSE."""
    return Path(__file__).resolve().parent


def manifest() -> Path:
    """The CSV manifest of the pins; its `image` column is relative to its own folder."""
    return samples_dir() / "manifest.csv"


def scenes() -> list[Scene]:
    """The scenes, in the order of `scenes.json`."""
    folder = samples_dir()
    entries = json.loads((folder / "scenes.json").read_text(encoding="utf-8"))
    return [
        Scene(
            id=entry["id"],
            title=entry["title"],
            image=folder / entry["image"],
            objects=tuple(SceneObject(item["pin"], Box(*item["box"])) for item in entry["objects"]),
        )
        for entry in entries
    ]
