"""Vectors of targets as text that a record can keep."""

from __future__ import annotations

import base64

import numpy as np

from visualsearch.types import Float32


def packed(vectors: Float32) -> str:
    """(n, d) unit vectors as text, rounded to float16."""
    return base64.b64encode(np.asarray(vectors, "<f2").tobytes()).decode()


def unpacked(text: str, dim: int) -> Float32:
    """What `packed` wrote, of unit length again."""
    rows = np.frombuffer(base64.b64decode(text), "<f2").astype(np.float32).reshape(-1, dim)
    return unit(rows)


def unit(rows: Float32) -> Float32:
    """(n, d) rows of unit length; a row of zeros stays one."""
    made: Float32 = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12))
    return made
