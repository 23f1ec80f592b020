"""A map of clusters in the plane: what looks alike lies close together (t-SNE, van der Maaten and Hinton 2008)."""

from __future__ import annotations

import numpy as np

from visualsearch.types import Bool, Float32, Float64

ROUNDS = 400
PERPLEXITY = 8.0
STEP = 0.2


def laid_out(centres: Float32, known: Float64 | None = None) -> Float64:
    """(c, 2) places in 0..1 for (c, d) unit vectors. `known` (c, 2) are places of a run before, NaN for what is new.

    Known ones stay where they were; the new ones find their places among them.
    """
    count = len(centres)
    if count < 3:
        return np.stack([np.linspace(0.25, 0.75, count), np.full(count, 0.5)], axis=1)
    fixed: Bool = np.zeros(count, bool)
    if known is not None:
        fixed = np.asarray(~np.isnan(known).any(axis=1), bool)
    place = _flat(centres)
    if known is not None and fixed.sum() >= 3:
        place[fixed] = (known[fixed] - 0.5) * 20
        near = np.where(fixed, centres @ centres.T, -2.0)
        place[~fixed] = place[near[~fixed].argmax(1)] + 0.1
    if known is None or fixed.sum() < 3:
        fixed = np.zeros(count, bool)
    if not fixed.all():
        place = _settled(centres, place, fixed)
    if fixed.any():
        return np.clip(place / 20 + 0.5, 0.0, 1.0)
    low, high = place.min(0), place.max(0)
    made: Float64 = 0.03 + 0.94 * (place - low) / np.maximum(high - low, 1e-9)
    return made


def _flat(centres: Float32) -> Float64:
    """The two main directions, signs fixed so that a map does not flip."""
    away = centres.astype(np.float64) - centres.mean(0)
    u, s, v = np.linalg.svd(away, full_matrices=False)
    place = u[:, :2] * s[:2] * np.where(v[:2, np.abs(v[:2]).argmax(1)].diagonal() < 0, -1, 1)
    if place.shape[1] < 2:
        place = np.concatenate([place, np.zeros((len(place), 1))], axis=1)
    return np.asarray(place / max(float(place.std()), 1e-9))


def _settled(centres: Float32, place: Float64, fixed: Bool) -> Float64:
    near = _neighbourhood(centres)
    moved = np.zeros_like(place)
    for number in range(ROUNDS):
        away = place[:, None] - place[None]
        heat = 1 / (1 + (away**2).sum(2))
        np.fill_diagonal(heat, 0)
        force = near * (4 if number < 80 else 1) - heat / heat.sum()
        moved = 0.8 * moved - STEP * len(place) * ((force * heat)[:, :, None] * away).sum(1)
        moved[fixed] = 0
        place = place + np.clip(moved, -2, 2)
    return place


def _neighbourhood(centres: Float32) -> Float64:
    """(c, c) shares of neighbourhood, each row's bandwidth found by halving so that it has about `PERPLEXITY` neighbours."""
    far = np.maximum(2 - 2 * (centres @ centres.T).astype(np.float64), 0)
    wanted = np.log(min(PERPLEXITY, (len(centres) - 1) / 2))
    shares = np.zeros_like(far)
    for row, distances in enumerate(far):
        low, high, beta = 0.0, np.inf, 10.0
        for _ in range(40):
            weight = np.exp(-(distances - np.delete(distances, row).min()) * beta)
            weight[row] = 0
            share = weight / weight.sum()
            entropy = -(share[share > 0] * np.log(share[share > 0])).sum()
            if entropy > wanted:
                low, beta = beta, beta * 2 if np.isinf(high) else (beta + high) / 2
            else:
                high, beta = beta, (beta + low) / 2
        shares[row] = share
    made: Float64 = np.maximum((shares + shares.T) / (2 * len(far)), 1e-12)
    return made
