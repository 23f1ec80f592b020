"""What a target of the fuzzer is made of."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple


class Made(NamedTuple):
    """`take` reads bytes and lets the package's own errors pass; `seeds` are sound inputs to start from; `pieces` are put in
    now and then; `write` makes an input of its own, by a grammar.
    """

    take: Callable[[bytes], None]
    seeds: Sequence[bytes]
    pieces: Sequence[bytes] = ()
    write: Callable[[random.Random], bytes] | None = None


Target = Callable[[Path], Made]
