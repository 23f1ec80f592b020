"""The compiled loop of the extra `fast` that resizes pictures.

Imported by `_fast` only, since numba takes half a second to load and some seconds to compile the first time on a
machine (the result is kept on disk). No loop here holds the GIL. They see pixels only, never a file's bytes.
"""

# mypy: disable-error-code="no-untyped-def,assignment"
from __future__ import annotations

import numpy as np

from visualsearch.compiled import loop

_PRECISION = 22
"""Bits after the point in Pillow's 8-bit resampling: 32 less 8 for the pixel and 2 for overshoot."""

_STRIP = 16  # rows turned at once: their lines stay in the first-level cache


@loop
def _weights(n_in, n_out, skip, count, cubic):
    """First input, number of inputs, and weights of the outputs skip..skip+count of n_in -> n_out pixels."""
    scale = n_in / n_out
    widen = max(scale, 1.0)
    support = (2.0 if cubic else 1.0) * widen
    first = np.empty(count, np.int64)
    length = np.empty(count, np.int64)
    weights = np.zeros((count, int(np.ceil(support)) * 2 + 1), np.int32)
    raw = np.empty(weights.shape[1])
    for i in range(count):
        centre = (i + skip + 0.5) * scale
        low = max(int(centre - support + 0.5), 0)
        high = min(int(centre + support + 0.5), n_in)
        total = 0.0
        for at in range(low, high):
            x = abs((at - centre + 0.5) * (1.0 / widen))
            if not cubic:
                value = max(1.0 - x, 0.0)
            elif x < 1.0:
                value = (1.5 * x - 2.5) * x * x + 1.0
            elif x < 2.0:
                value = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
            else:
                value = 0.0
            raw[at - low] = value
            total += value
        for j in range(high - low):
            value = raw[j] / total * (1 << _PRECISION) if total != 0.0 else 0.0
            weights[i, j] = int(value - 0.5) if value < 0.0 else int(value + 0.5)
        first[i], length[i] = low, high - low
    return first, length, weights


@loop
def turn(pixels, out):
    """Write the columns of `pixels`, (h, 3 w) uint8 of three bytes each, as the rows of `out`, (w, 3 h) uint8.

    In strips, so that what is written lies together; numpy goes through it byte by byte, six times as long.
    """
    high, wide = pixels.shape[0], out.shape[0]
    for y0 in range(0, high, _STRIP):
        for x in range(wide):
            source, line = np.uint64(3 * x), out[x]
            for y in range(y0, min(y0 + _STRIP, high)):
                row, target = pixels[y], np.uint64(3 * y)
                for i in range(3):
                    line[target + np.uint64(i)] = row[source + np.uint64(i)]


@loop
def _columns(rows, first, length, weights, begin, end):
    """The bytes begin..end of each row, scaled down the columns and turned: (end - begin, outputs) uint8."""
    high, span = len(first), end - begin
    half = np.int32(1 << (_PRECISION - 1))
    # Turned, so that the second pass runs over neighbouring bytes as the first one does.
    turned = np.empty((span, high), np.uint8)
    sums = np.empty(span, np.int32)
    strip = np.empty((_STRIP, span), np.uint8)
    for y0 in range(0, high, _STRIP):
        some = min(_STRIP, high - y0)
        for y in range(y0, y0 + some):
            for i in range(span):
                sums[i] = half
            for t in range(length[y]):
                weight = weights[y, t]
                row = rows[first[y] + t, begin:end]
                for i in range(span):
                    sums[i] += np.int32(row[i]) * weight
            line = strip[y - y0]
            for i in range(span):
                line[i] = min(max(sums[i] >> _PRECISION, 0), 255)
        for i in range(span):
            for j in range(some):
                turned[i, y0 + j] = strip[j, i]
    return turned


@loop
def _rows(turned, first, length, weights, begin, out):
    """Scale along the rows what `_columns` gave, into `out`, (3, h, w) uint8."""
    high, wide = out.shape[1], out.shape[2]
    half = np.int32(1 << (_PRECISION - 1))
    down = np.empty(high, np.int32)
    block = np.empty((_STRIP, high), np.uint8)
    for channel in range(3):
        for x0 in range(0, wide, _STRIP):
            some = min(_STRIP, wide - x0)
            for x in range(x0, x0 + some):
                for j in range(high):
                    down[j] = half
                for t in range(length[x]):
                    weight = weights[x, t]
                    column = turned[(first[x] + t) * 3 + channel - begin]
                    for j in range(high):
                        down[j] += np.int32(column[j]) * weight
                line = block[x - x0]
                for j in range(high):
                    line[j] = min(max(down[j] >> _PRECISION, 0), 255)
            for j in range(high):
                for i in range(some):
                    out[channel, j, x0 + i] = block[i, j]


@loop
def resample(rows, width, height, left, top, out, cubic):
    """Scale `rows`, (h, 3 w) uint8, to width x height and write the part at (left, top) to `out`, (3, h', w') uint8.

    First down the columns, then along the rows, both in Pillow's fixed-point arithmetic.
    """
    high, wide = out.shape[1], out.shape[2]
    first_y, length_y, weights_y = _weights(rows.shape[0], height, top, high, cubic)
    first_x, length_x, weights_x = _weights(rows.shape[1] // 3, width, left, wide, cubic)
    begin = first_x[0] * 3
    end = (first_x[wide - 1] + length_x[wide - 1]) * 3
    turned = _columns(rows, first_y, length_y, weights_y, begin, end)
    _rows(turned, first_x, length_x, weights_x, begin, out)
