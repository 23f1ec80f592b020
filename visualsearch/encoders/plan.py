"""Which way the pictures of one open_clip model are embedded on this CPU: recalled, or settled by measuring once.

A plan is settled when pictures are about to be indexed (`OpenClipEncoder.calibrate`). Only then is there something to
calibrate with and something to win. What was settled is kept in the user's cache by weights, processor, threads and library
versions. Converted models are kept there too. A query uses what was settled and never waits for a conversion.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import numpy as np

from visualsearch.errors import EncoderError, MissingExtraError
from visualsearch.types import EncoderSpec, Precision, UInt8

from . import kept, openvino, trials
from .towers import ImageTower, TorchTower
from .trials import EXACT, Backend, Choice, Trial, Way

log = logging.getLogger("visualsearch.encoders")

INT8 = Way(Backend.OPENVINO, Precision.INT8)
_KINDS: Mapping[Precision, str] = MappingProxyType(
    {Precision.FP32: "float", Precision.BF16: "float", Precision.INT8: "int8"}
)
CALIBRATING = 128
"""Pictures that quantisation sees; the others judge it, so that it is not judged by what it was fitted to."""
FEWEST = 64
"""With fewer pictures of the user's own, the sample pins calibrate too."""
WORTH_MEASURING = 1000
"""A smaller source is embedded before the measurement would be over."""
_GAIN = 1.5  # int8 against the fastest float way, where a guess is needed: measured 1.5 (ViT-B/32, Zen 5) and 1.9 (Zen 4)
_RECIPE = 1  # changes when conversion or guards change, so that what was kept is made again


@dataclass(frozen=True)
class Model:
    """What a plan needs of a model: its spec, the precision torch runs it in, and how to build it anew in float32."""

    spec: EncoderSpec
    torch_precision: Precision
    torch_tower: ImageTower
    exact: Callable[[], Any]
    threads: int


class Plan:
    """The way for one model; `asked` is AUTO or INT8.

    Raises MissingExtraError when INT8 is asked for and OpenVINO or nncf is not installed.
    """

    def __init__(self, model: Model, asked: Precision) -> None:
        self.model, self.asked = model, asked
        self._absent = openvino.missing()
        if asked is Precision.INT8 and self._absent is not None:
            raise MissingExtraError(f"--precision int8 needs {self._absent}", openvino.EXTRA)
        self.choice: Choice | None = None
        self._tower: ImageTower | None = None
        self._recall()

    @property
    def way(self) -> Way:
        """What runs now: what was settled, else torch."""
        return self.choice.way if self.choice else Way(Backend.TORCH, self.model.torch_precision)

    @property
    def tower(self) -> ImageTower:
        """The tower of `way`."""
        return self._tower or self.model.torch_tower

    def worthwhile(self, count: int | None) -> bool:
        """Whether settling (again) is worth its time for a source of about `count` pictures, None for unknown."""
        if self.asked is Precision.INT8:
            # What sample pins calibrated is made again with the user's own pictures, once there are enough.
            return self.choice is None or (not self.choice.own and (count is None or count >= FEWEST))
        if count is not None and count < WORTH_MEASURING:
            return False
        return self.choice is None or (self.choice.postponed and self._pays(self.choice.trials, count))

    def settle(self, pixels: UInt8, shipped: Callable[[], UInt8], count: int | None) -> Choice:
        """Measure, choose, keep and apply.

        `pixels` are (n, 3, s, s) pictures of the user, `shipped` gives sample pins to use where they are too few,
        `count` says how many will be embedded. Raises EncoderError when int8 was asked for and cannot be had.
        """
        own = len(pixels) >= FEWEST
        if not own:
            pixels = np.concatenate([pixels, shipped()])
        log.info(
            "%s: measuring how this processor embeds pictures fastest, on %s; once, then it is remembered",
            self.model.spec.name,
            f"{len(pixels)} of them" if own else f"{len(pixels)} pictures, mostly sample pins",
        )
        if own and self.choice is not None and not self.choice.own:
            kept.drop(self._model_key("int8"))
        settle = self._int8 if self.asked is Precision.INT8 else self._auto
        choice = settle(pixels, own, count)
        if not self._apply(choice):
            raise EncoderError(
                f"the converted model of {self.model.spec.name} is gone",
                "its folder in the cache was deleted while it was measured",
                "Run the command again",
            )
        kept.write(self._choice_key(), choice.to_values())
        for line in choice.lines():
            log.info("%s", line)
        return choice

    # -- the two kinds of settling -----------------------------------------------------------------------------------
    def _int8(self, pixels: UInt8, own: bool, count: int | None) -> Choice:
        network = self.model.exact()
        judged = _judging(pixels)
        towers = {EXACT: self._torch(network, Precision.FP32), INT8: self._quantised(network, pixels)}
        found = self._measured(towers, judged, pixels)
        int8 = next(t for t in found if t.way == INT8)
        try:
            trials.check_usable(self.model.spec.name, int8.agreement)
        except EncoderError:
            kept.drop(self._model_key("int8"))
            raise
        if int8.refused:
            a = int8.agreement
            log.warning(
                "%s in int8: top-%d overlap with fp32 is %.3f among %d pictures, mean cosine %.4f (%s);"
                " as asked, it is used. --precision auto keeps to its guards",
                self.model.spec.name,
                trials.NEIGHBOURS,
                a.overlap,
                a.pictures,
                a.mean_cosine,
                int8.refused,
            )
        return Choice(self.model.spec.name, self.asked, INT8, found, own)

    def _auto(self, pixels: UInt8, own: bool, count: int | None) -> Choice:
        network = self.model.exact()
        judged = _judging(pixels)
        towers: dict[Way, ImageTower] = {EXACT: self._torch(network, Precision.FP32)}
        base = Way(Backend.TORCH, self.model.torch_precision)
        towers.setdefault(base, self.model.torch_tower)
        left_out: list[str] = []
        postponed = converted = False
        if self._absent is not None:
            left_out.append(
                f"OpenVINO and int8, often twice as fast: pip install 'visualsearch[{openvino.EXTRA}]'"
            )
        else:
            try:
                towers |= {
                    Way(Backend.OPENVINO, p): self._converted(network, p)
                    for p in dict.fromkeys((Precision.FP32, self.model.torch_precision))
                }
                converted = True
            except EncoderError as error:
                left_out.append(f"OpenVINO: {error.why}")
        found = self._measured(towers, judged, pixels)
        if converted:
            postponed = not self._pays(found, count)
            if postponed:
                left_out.append("int8: for so few pictures its conversion takes longer than it saves")
            else:
                try:
                    quantised = {INT8: self._quantised(network, pixels)}
                    found += self._measured(quantised, judged, pixels, towers[EXACT])
                except EncoderError as error:
                    left_out.append(f"int8: {error.why}")
        chosen = trials.fastest(found)
        if chosen.backend is Backend.TORCH or chosen not in towers:  # nothing runs the float graph
            kept.drop(self._model_key("float"))
        return Choice(self.model.spec.name, self.asked, chosen, found, own, tuple(left_out), postponed)

    def _measured(
        self, towers: dict[Way, ImageTower], judged: UInt8, pixels: UInt8, reference: ImageTower | None = None
    ) -> tuple[Trial, ...]:
        exact = trials.vectors_of(reference or towers[EXACT], judged)
        speed = trials.speeds(towers, pixels)
        found = []
        for way, tower in towers.items():
            near = trials.agreement(exact, exact if way == EXACT else trials.vectors_of(tower, judged))
            found.append(Trial(way, speed[way], near, trials.refusal(way, near)))
        return tuple(found)

    def _pays(self, found: tuple[Trial, ...], count: int | None) -> bool:
        """Whether int8 would win back the time of its conversion on `count` pictures; yes where that is unknown.

        An estimate: conversion and judging take as long as running the float model over the sample four times.
        """
        if count is None:
            return True
        exact = next(t.per_second for t in found if t.way == EXACT)
        best = max(t.per_second for t in found)
        conversion = 4 * (CALIBRATING + found[0].agreement.pictures) / exact
        return count * (1 / best - 1 / (_GAIN * best)) > conversion

    # -- towers ------------------------------------------------------------------------------------------------------
    def _torch(self, network: Any, precision: Precision) -> ImageTower:
        import torch

        how = self.model.spec.preprocessing
        return TorchTower(network.encode_image, how, torch.device("cpu"), precision)

    def _converted(self, network: Any, precision: Precision) -> ImageTower:
        return openvino.OpenVinoTower(self._graph(network), precision, self.model.threads)

    def _graph(self, network: Any) -> Path:
        return kept.keep(self._model_key("float"), lambda to: self._convert(network, to)) / "image.xml"

    def _convert(self, network: Any, folder: Path) -> None:
        import torch

        class Pictures(torch.nn.Module):  # type: ignore[misc]
            """The image half as a module of its own, which is what the converter takes."""

            def __init__(self) -> None:
                super().__init__()
                self.network = network

            def forward(self, pixels: Any) -> Any:
                return self.network.encode_image(pixels)

        openvino.convert(Pictures().eval(), self.model.spec.preprocessing, folder / "image.xml")

    def _quantised(self, network: Any, pixels: UInt8) -> ImageTower:
        def make(folder: Path) -> None:
            log.info("%s: converting to int8, which takes a minute or more", self.model.spec.name)
            with TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}-float-") as scratch:
                known = kept.find(self._model_key("float"))
                if known is None:
                    self._convert(network, Path(scratch))
                openvino.quantise(
                    (known or Path(scratch)) / "image.xml", _calibrating(pixels), folder / "image.xml"
                )

        path = kept.keep(self._model_key("int8"), make) / "image.xml"
        return openvino.OpenVinoTower(path, Precision.INT8, self.model.threads)

    def _apply(self, choice: Choice) -> bool:
        """Run the choice's way from now on; False, and nothing changes, when its converted model is not there."""
        tower: ImageTower | None = None
        if choice.way.backend is Backend.OPENVINO:
            folder = None if self._absent else kept.find(self._model_key(_KINDS[choice.way.precision]))
            if folder is None:
                return False
            tower = openvino.OpenVinoTower(folder / "image.xml", choice.way.precision, self.model.threads)
        elif choice.way.precision is not self.model.torch_precision:
            tower = self._torch(self.model.exact(), choice.way.precision)
        self.choice, self._tower = choice, tower
        return True

    # -- memory ------------------------------------------------------------------------------------------------------
    def _recall(self) -> None:
        """Apply what was settled before, unless its converted model is gone."""
        values = kept.read(self._choice_key())
        if values is None:
            return
        try:
            choice = Choice.from_values(values)
        except (KeyError, TypeError, ValueError):
            return
        self._apply(choice)

    def _model_key(self, kind: str) -> str:
        packages = ("openvino", "nncf", "torch", "open_clip_torch")
        return f"{kind}-" + kept.key(
            {"model": self.model.spec.fingerprint, "recipe": _RECIPE, "versions": _versions(packages)}
        )

    def _choice_key(self) -> str:
        packages = ("openvino", "nncf", "torch", "open_clip_torch", "visualsearch")
        return f"{self.asked.value}-" + kept.key(
            {
                "model": self.model.spec.fingerprint,
                "recipe": _RECIPE,
                "versions": _versions(packages),
                "processor": processor(),
                "threads": self.model.threads,
                "torch": self.model.torch_precision.value,
            }
        )


def _calibrating(pixels: UInt8) -> UInt8:
    """The pictures that quantisation sees: up to a half, spread over all of them."""
    found: UInt8 = pixels[_chosen(len(pixels))]
    return found


def _judging(pixels: UInt8) -> UInt8:
    """The pictures that quantisation does not see."""
    found: UInt8 = pixels[~_chosen(len(pixels))]
    return found


def _chosen(count: int) -> Any:
    mask = np.zeros(count, np.bool_)
    mask[np.linspace(0, count - 1, min(CALIBRATING, count // 2)).round().astype(int)] = True
    return mask


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "-"
    return found


def processor() -> str:
    """What tells one processor from another: its name, family, model and instruction sets."""
    wanted = ("vendor_id", "cpu family", "model", "model name", "flags", "Features")
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return ";".join(line for line in lines if line.partition(":")[0].strip() in wanted)
