"""`learn`: build what is due from people's saves, and say what came of it.

A builder is one row of BUILDERS. It names its part, fingerprints what the part would be made from, and makes it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from visualsearch.errors import StorageError, UnknownNameError, VersionError

from .base import Gallery
from .learnt import Learnt, Part, open_learnt, write_learnt

if TYPE_CHECKING:
    from visualsearch.people import Material

Say = Callable[[str], None]


@dataclass(frozen=True)
class Built:
    """A part that was made, and the figures that held-out saves give it."""

    part: Part
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Builder:
    """How one part is learnt. `version` rises when the same saves would give another part."""

    name: str
    version: int
    build: Callable[[Material, Gallery, int, Say], Built | None]
    """(material, gallery, seed, say) -> what was built; None where there is too little to learn from."""

    def inputs(self, material: Material, seed: int) -> str:
        """The fingerprint of all that the part is made from."""
        text = json.dumps([self.name, self.version, material.fingerprint, seed])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Outcome:
    """What became of one part: `built`, `kept` because nothing changed, or `nothing` where there is too little to learn from."""

    part: str
    state: str
    seconds: float = 0.0
    figures: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class LearnReport:
    """What one run of `learn` did. `number` is the generation that counts now; None where nothing was ever learnt."""

    number: int | None
    saves: int
    persons: int
    pins: int
    boards: int
    follows: int
    outcomes: Sequence[Outcome]
    seconds: float


def learn(
    gallery: Gallery,
    builders: Mapping[str, Builder],
    *,
    only: Sequence[str] = (),
    seed: int = 0,
    again: bool = False,
    say: Say = lambda _: None,
) -> LearnReport:
    """Build the parts whose saves have changed, all in one new generation. `again` builds them in any case.

    `only` names the parts that are looked at; the others stay as they are. Raises UnknownNameError, LockedError, StorageError.
    """
    started = time.perf_counter()
    for name in only:
        if name not in builders:
            raise UnknownNameError("part", name, builders)
    material = gallery.people.material()
    before = _readable(gallery, say)
    outcomes, parts, keep = [], [], []
    for name, builder in builders.items():
        inputs = builder.inputs(material, seed)
        same = before is not None and before.inputs(name) == inputs
        if (only and name not in only) or (same and not again):
            if before is not None and name in before:
                keep.append(name)
                outcomes.append(Outcome(name, "kept", figures=figures_of(before, name) or {}))
            continue
        outcome, part = _built(builder, inputs, material, gallery, seed, say, before)
        outcomes.append(outcome)
        parts += [] if part is None else [part]
    changed = bool(parts) or (before is not None and set(before.names) != set(keep))
    after = before
    if changed:
        after = write_learnt(gallery.folder, parts, watermark=material.watermark, seed=seed, keep=keep)
    return LearnReport(
        None if after is None else after.number,
        len(material),
        material.persons,
        len(material.pins),
        len(material.boards),
        len(material.follows),
        tuple(outcomes),
        time.perf_counter() - started,
    )


def figures_of(learnt: Learnt, name: str) -> Mapping[str, Any] | None:
    """The held-out figures that a part was kept with; None where there is no such part."""
    return learnt.values(name).get("figures") if name in learnt else None


def _built(
    builder: Builder,
    inputs: str,
    material: Material,
    gallery: Gallery,
    seed: int,
    say: Say,
    before: Learnt | None,
) -> tuple[Outcome, Part | None]:
    started = time.perf_counter()
    say(f"learning {builder.name} ...")
    built = builder.build(material, gallery, seed, say)
    seconds = time.perf_counter() - started
    earlier = None if before is None else figures_of(before, builder.name)
    if built is None:
        return Outcome(builder.name, "nothing", seconds, before=earlier), None
    values = {**built.part.values, "figures": dict(built.figures)}
    part = Part(builder.name, inputs, built.part.arrays, values)
    return Outcome(builder.name, "built", seconds, built.figures, earlier), part


def _readable(gallery: Gallery, say: Say) -> Learnt | None:
    """What was learnt before. A damaged one is a cache like any other: it is said, and built again."""
    try:
        before = open_learnt(gallery.folder)
        if before is not None and (wrong := before.verify()):
            say(f"what was learnt before is damaged ({wrong[0]}): it is built again")
            return None
        return before
    except VersionError:
        raise
    except StorageError as error:
        say(f"{error} It is built again now.")
        return None
