"""Scores of trained trees (LightGBM), and what each signal adds to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from visualsearch.errors import MissingExtraError
from visualsearch.types import Float32


@dataclass(frozen=True)
class Trees:
    """Trained trees. `gains` is what each signal adds, as a share; `texts` are LightGBM's own form, one a model of the mean."""

    names: tuple[str, ...]
    texts: tuple[str, ...] = field(repr=False)
    gains: Mapping[str, float] = field(default_factory=dict)
    _boosters: list[Any] = field(default_factory=list, repr=False, compare=False)

    def boosters(self) -> list[Any]:
        """The models, read at first use. Raises MissingExtraError."""
        if not self._boosters:
            library = lightgbm()
            self._boosters.extend(library.Booster(model_str=text) for text in self.texts)
        return self._boosters

    def scores(self, signals: Float32) -> Float32:
        """(n, f) signals -> (n,) scores; higher is better."""
        made = [each.predict(signals, num_threads=1) for each in self.boosters()]
        return np.asarray(np.mean(made, 0), np.float32)

    def contributions(self, signals: Float32) -> Float32:
        """(n, f): what each signal adds to each score (Lundberg and Lee 2017, as LightGBM computes it)."""
        made = [each.predict(signals, pred_contrib=True, num_threads=1)[:, :-1] for each in self.boosters()]
        return np.asarray(np.mean(made, 0), np.float32)


def lightgbm() -> Any:
    """The library. Raises MissingExtraError."""
    try:
        import lightgbm as library
    except ImportError as error:
        raise MissingExtraError("cannot rank by what was learnt from clicks", "learn") from error
    return library
