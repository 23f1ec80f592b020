"""Item-item models in closed form. Each is a matrix B (pins, pins): a person's scores are their row of saves times B.

All of them work on saves that are divided by a power of each pin's popularity, and give the power back at the end:
B = D^-a M D^a. A small power keeps the popular pins from filling every list.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from visualsearch.types import Float32

from .matrix import Matrix

BLOCK = 1024


@dataclass(frozen=True)
class Counts:
    """How much each person saved, and how often each pin was saved; (n,) float32, at least 1."""

    persons: Float32
    pins: Float32


def counts(matrix: Matrix) -> Counts:
    """The sums of rows and columns."""
    persons = np.maximum(np.diff(matrix.indptr), 1).astype(np.float32)
    pins = np.maximum(np.bincount(matrix.indices, minlength=matrix.shape[1]), 1).astype(np.float32)
    return Counts(persons, pins)


def normalised(matrix: Matrix, persons: float, pins: float) -> Matrix:
    """The matrix with rows and columns divided by these powers of their counts."""
    c = counts(matrix)
    left, right = sparse.diags(c.persons**-persons), sparse.diags(c.pins**-pins)
    return (left @ matrix @ right).tocsr().astype(np.float32)


def gram(matrix: Matrix) -> Float32:
    """matrix.T @ matrix, dense (pins, pins) float32; made block by block, so that it alone takes memory."""
    n = matrix.shape[1]
    turned = matrix.T.tocsr()
    made = np.empty((n, n), dtype=np.float32)
    for at in range(0, n, BLOCK):
        made[at : at + BLOCK] = (turned[at : at + BLOCK] @ matrix).toarray()
    return made


def scaled(weights: Float32, popularity: Float32, power: float) -> Float32:
    """D^-power weights D^power, in place."""
    weights *= (popularity**-power)[:, None]
    weights *= (popularity**power)[None, :]
    return weights


def ease(matrix: Matrix, power: float, strength: float) -> Float32:
    """EASE (Steck, arXiv 1905.03375) on saves divided by popularity^power; its ridge is `strength` times the mean diagonal.

    (pins, pins) float32 with a zero diagonal. It needs memory for one such matrix and solves it in place by Cholesky.
    """
    inner = gram(normalised(matrix, 0.0, power))
    diagonal = np.einsum("ii->i", inner)
    diagonal += strength * float(diagonal.mean())
    inverse = _inverted(inner)
    solved = np.diag(inverse).copy()
    inverse /= -solved[None, :]
    np.fill_diagonal(inverse, 0.0)
    return scaled(inverse, counts(matrix).pins, power)


def solving_seconds(pins: int) -> float:
    """About how long `ease` takes on this machine as busy as it is now: pins^3 operations at half the speed of a product."""
    some = np.ones((768, 768), dtype=np.float32)
    some @ some
    started = time.perf_counter()
    some @ some
    rate = 2 * 768**3 / max(time.perf_counter() - started, 1e-6)
    return float(pins**3 / (0.5 * rate))


def _inverted(positive: Float32) -> Float32:
    """The inverse of a symmetric positive definite matrix, in place of it."""
    # LAPACK counts in columns: the transpose of a symmetric matrix is the same numbers without a copy.
    factor, failed = lapack.spotrf(positive.T, lower=1, overwrite_a=1, clean=0)
    if not failed:
        factor, failed = lapack.spotri(factor, lower=1, overwrite_c=1)
    if failed:
        raise np.linalg.LinAlgError(f"the ridge is too small for float32 (LAPACK {failed})")
    whole: Float32 = factor.T  # its upper triangle is filled
    for at in range(0, len(whole), BLOCK):
        end = at + BLOCK
        corner = np.triu(whole[at:end, at:end])
        whole[at:end, at:end] = corner + np.triu(corner, 1).T
        whole[end:, at:end] = whole[at:end, end:].T
    return whole


def graph_filter(matrix: Matrix, power: float, persons: float = 0.5) -> Float32:
    """The linear graph filter: the normalised Gram matrix, two steps of a walk from pin to pin (GF-CF, arXiv 2108.07567).

    Rows are divided by their counts to the power `persons`: the smaller it is, the more those count who saved much.
    """
    made = gram(normalised(matrix, persons, 0.5))
    np.fill_diagonal(made, 0.0)
    return scaled(made, counts(matrix).pins, power)


def directions(matrix: Matrix, k: int, seed: int = 0, passes: int = 4) -> Float32:
    """The k strongest directions among the pins, (pins, k) float32, orthonormal, strongest first: a randomised SVD.

    Halko et al., arXiv 0909.4061, on the normalised matrix.
    """
    wide = normalised(matrix, 0.5, 0.5)
    n = wide.shape[1]
    k = min(k, n, wide.shape[0])
    rng = np.random.default_rng(seed)
    basis = rng.standard_normal((n, min(n, k + 16)), dtype=np.float32)
    turned = wide.T.tocsr()
    for _ in range(passes):
        basis = _orthonormal(turned @ (wide @ basis))
    seen = wide @ basis
    values, vectors = np.linalg.eigh(seen.T @ seen)
    strongest = np.argsort(-values, kind="stable")[:k]
    found: Float32 = np.ascontiguousarray(basis @ vectors[:, strongest], dtype=np.float32)
    return found


def _orthonormal(basis: Float32) -> Float32:
    """An orthonormal basis of the same columns, by the eigenvectors of their small Gram matrix: one product of matrices, which
    uses all cores where a QR decomposition would wait for one.
    """
    inner = (basis.T @ basis).astype(np.float64)
    values, vectors = np.linalg.eigh(inner)
    kept = values > values[-1] * 1e-10
    made: Float32 = basis @ (vectors[:, kept] / np.sqrt(values[kept])).astype(np.float32)
    return made


def projected(found: Float32, k: int, popularity: Float32, power: float) -> tuple[Float32, Float32]:
    """The ideal low-pass filter as two factors (pins, k): B = left @ right.T keeps what the k strongest directions explain."""
    kept = found[:, :k]
    return kept * (popularity**-power)[:, None], kept * (popularity**power)[:, None]


def neighbours(matrix: Matrix, alpha: float, beta: float, most: int) -> Matrix:
    """RP3beta (Paudel et al. 2017): walks pin -> person -> pin of three steps, by popularity^beta; the `most` best of each pin.

    Sparse (pins, pins): for collections whose dense matrix does not fit.
    """
    c = counts(matrix)
    to_pin = (sparse.diags(c.persons**-alpha) @ matrix).tocsr().astype(np.float32)
    to_person = (sparse.diags(c.pins**-alpha) @ matrix.T).tocsr().astype(np.float32)
    parts = []
    for block in _blocks(to_person):
        walked = (block @ to_pin @ sparse.diags(c.pins**-beta)).tocsr()
        parts.append(strongest(walked, most + 1))
    found = sparse.vstack(parts).tocsr().astype(np.float32)
    found.setdiag(0.0)
    found.eliminate_zeros()
    return found


def _blocks(matrix: Matrix) -> Iterator[Matrix]:
    for at in range(0, matrix.shape[0], BLOCK):
        yield matrix[at : at + BLOCK]


def strongest(matrix: Matrix, most: int) -> Matrix:
    """The `most` largest entries of each row of a sparse matrix; of equals, those that stand first."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, rows))
    rank = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1].astype(np.int64), np.diff(matrix.indptr))
    kept = order[rank < most]
    return sparse.csr_matrix((matrix.data[kept], (rows[kept], matrix.indices[kept])), shape=matrix.shape)
