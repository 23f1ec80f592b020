"""Vectors of targets as text that a record can keep."""

from __future__ import annotations

import base64

import numpy as np

from visualsearch.types import Float32

FEW = 4


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


def cosines(rows: Float32, vectors: Float32) -> Float32:
    """(n, q) cosines of (n, d) with (q, d) unit vectors.

    A few columns are done by this thread alone: BLAS would start threads, and wait longer for them than the product takes.
    """
    if len(vectors) > FEW:
        return np.asarray(rows @ vectors.T, np.float32)
    return np.stack([np.einsum("ij,j->i", rows, vector) for vector in vectors], axis=1)
