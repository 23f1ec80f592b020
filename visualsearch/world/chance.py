"""Chance that can be asked again: streams by name, and draws that depend on nothing but what they are about.

A reaction's draw is a hash of person, pin, time and what is drawn. So the same list that is served at the same time meets the
same luck, in whatever order and company it is asked for. The hash is splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visualsearch.types import Float64

UInt64 = NDArray[np.uint64]
_STEP, _FIRST, _SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_30, _27, _31, _11 = (np.uint64(n) for n in (30, 27, 31, 11))


def stream(seed: int, name: str, *numbers: int) -> np.random.Generator:
    """A random generator of its own for a purpose."""
    return np.random.Generator(np.random.PCG64([seed, zlib.crc32(name.encode()), *numbers]))


class Chance:
    """Draws about things, each named by whole numbers: (n,) arrays that broadcast."""

    def __init__(self, seed: int, *things: Any) -> None:
        state: UInt64 = _mixed(np.array([seed], np.uint64))
        for thing in things:
            state = _mixed(state ^ np.asarray(thing).astype(np.uint64))
        self._state = state

    def of(self, what: str) -> Float64:
        """Uniform draws in [0, 1), one for each thing; `what` names what is drawn."""
        mixed = _mixed(self._state ^ np.uint64(zlib.crc32(what.encode())))
        drawn: Float64 = np.multiply(mixed >> _11, 2.0**-53, dtype=np.float64)
        return drawn


def _mixed(value: UInt64) -> UInt64:
    value = value + _STEP
    value ^= value >> _30
    value *= _FIRST
    value ^= value >> _27
    value *= _SECOND
    value ^= value >> _31
    return value


def normal(uniform: Float64) -> Float64:
    """Draws of about a standard normal from uniform ones: the logistic of the same variance, which needs no library."""
    safe = np.clip(uniform, 1e-12, 1 - 1e-12)
    drawn: Float64 = np.asarray(np.log(safe / (1 - safe)) * (3**0.5 / np.pi), np.float64)
    return drawn
