"""Compiled inner loops of the extra `fast`: the resize, and JPEGs decoded at 1/8 without their detail.

Imported by `_fast` only, since numba takes half a second to load and some seconds to compile the first time on a
machine (the result is kept on disk). No loop here holds the GIL.
"""

# ruff: noqa: PLR0912, PLR0915 (a call that is not inlined costs more here than it clears up)
# mypy: disable-error-code="no-untyped-def,assignment"
from __future__ import annotations

import numpy as np

from visualsearch.compiled import loop

WINDOW = 12
"""Bits that one look-up of the skip table sees; 4096 entries of 4 bytes stay in the first-level cache."""

SPARE = 256
"""Bytes after a scan that may be read: more than one block can take (64 codes of 16 bits with values of 11)."""

_PRECISION = (
    22  # bits after the point in Pillow's 8-bit resampling: 32 less 8 for the pixel and 2 for overshoot
)
_STRIP = 16  # rows turned at once: their lines stay in the first-level cache


# --- resize


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
def resample(rows, width, height, left, top, out, cubic):
    """Scale `rows`, (h, 3 w) uint8, to width x height and write the part at (left, top) to `out`, (3, h', w') uint8.

    First down the columns, then along the rows, both in Pillow's fixed-point arithmetic.
    """
    high, wide = out.shape[1], out.shape[2]
    half = np.int32(1 << (_PRECISION - 1))
    first_y, length_y, weights_y = _weights(rows.shape[0], height, top, high, cubic)
    first_x, length_x, weights_x = _weights(rows.shape[1] // 3, width, left, wide, cubic)
    begin = first_x[0] * 3
    end = (first_x[wide - 1] + length_x[wide - 1]) * 3
    span = end - begin
    # Turned, so that the second pass runs over neighbouring bytes as the first one does.
    turned = np.empty((span, high), np.uint8)
    sums = np.empty(span, np.int32)
    strip = np.empty((_STRIP, span), np.uint8)
    for y0 in range(0, high, _STRIP):
        some = min(_STRIP, high - y0)
        for y in range(y0, y0 + some):
            for i in range(span):
                sums[i] = half
            for t in range(length_y[y]):
                weight = weights_y[y, t]
                row = rows[first_y[y] + t, begin:end]
                for i in range(span):
                    sums[i] += np.int32(row[i]) * weight
            line = strip[y - y0]
            for i in range(span):
                line[i] = min(max(sums[i] >> _PRECISION, 0), 255)
        for i in range(span):
            for j in range(some):
                turned[i, y0 + j] = strip[j, i]
    down = np.empty(high, np.int32)
    block = np.empty((_STRIP, high), np.uint8)
    for channel in range(3):
        for x0 in range(0, wide, _STRIP):
            some = min(_STRIP, wide - x0)
            for x in range(x0, x0 + some):
                for j in range(high):
                    down[j] = half
                for t in range(length_x[x]):
                    weight = weights_x[x, t]
                    column = turned[(first_x[x] + t) * 3 + channel - begin]
                    for j in range(high):
                        down[j] += np.int32(column[j]) * weight
                line = block[x - x0]
                for j in range(high):
                    line[j] = min(max(down[j] >> _PRECISION, 0), 255)
            for j in range(high):
                for i in range(some):
                    out[channel, j, x0 + i] = block[i, j]


# --- JPEG: the mean of every 8 x 8 block (its DC coefficient), and nothing else
#
# Huffman codes must be read one after another, so this is the floor of every decoder. Where only the means are
# wanted, however, the codes of the details need no values, only their lengths: a table over the next WINDOW bits
# tells how many bits and coefficients the whole codes in them take, two or three codes at a time.


@loop
def skip_table(codes):
    """(2^WINDOW,) uint32 from `codes`, (65536,) uint16 of length << 8 | symbol by the next 16 bits.

    An entry holds bits | coefficients << 8 | end of block << 16; 0 bits where the first code is longer than WINDOW.
    """
    table = np.zeros(1 << WINDOW, np.uint32)
    for window in range(1 << WINDOW):
        bits, coefficients, end = 0, 0, 0
        while bits < WINDOW:
            code = codes[((window << bits) & ((1 << WINDOW) - 1)) << (16 - WINDOW)]
            length, run, size = code >> 8, (code >> 4) & 15, code & 15
            if length == 0 or bits + length > WINDOW:
                break
            bits += length + size
            if size:
                coefficients += run + 1
            elif run == 15:
                coefficients += 16
            else:
                end = 1
                break
        table[window] = bits | coefficients << 8 | end << 16
    return table


@loop
def entropy_bytes(data, start, marks, out, starts):
    """Copy a scan's bytes from `data` to `out` without stuffing; (bytes written, restart intervals), -1 intervals when
    there are more than `starts` holds.

    `marks` are the places of all bytes 255 from `start` on; `starts` receives where in `out` each restart interval begins.
    """
    at, put, intervals = start, 0, 1
    starts[0] = 0
    size = len(data)
    for mark in marks:
        if mark < at:  # one of several before a marker
            continue
        source, target = data[at:mark], out[put : put + mark - at]
        for i in range(len(source)):  # counted from 0, or the compiler sees indices that may be negative
            target[i] = source[i]
        put += mark - at
        after = mark + 1
        while after < size and data[after] == 255:
            after += 1
        if after >= size:
            return put, intervals
        code = data[after]
        if code == 0:
            out[put] = 255
            put += 1
        elif 0xD0 <= code <= 0xD7:
            if intervals == len(starts):
                return put, -1
            starts[intervals] = put
            intervals += 1
        else:
            return put, intervals
        at = after + 1
    source, target = data[at:], out[put : put + size - at]
    for i in range(len(source)):
        target[i] = source[i]
    return put + size - at, intervals


@loop
def _bits_at(data, place):
    """The next 57 bits or more, at the upper end of a uint64; one load and one swap when compiled."""
    at = np.uint64(place >> 3)
    word = np.uint64(0)
    for i in range(8):
        word |= np.uint64(data[at + np.uint64(i)]) << np.uint64(56 - 8 * i)
    return word << np.uint64(place & 7)


@loop
def block_means(data, size, starts, interval, grid, layout, codes, skips, shift, out):
    """Fill `out`, int16, with the DC coefficients of a scan; False where the data does not fit its tables or ends early.

    `data` holds `size` bytes without stuffing and SPARE more; `interval` is in MCUs, 0 for none; `grid` is MCUs across
    and down; `layout`, (n, 3), gives each component's blocks across and down an MCU and where its plane begins in `out`.
    `codes`, (2, n, 65536), are the DC and AC codes, `skips`, (n, 2^WINDOW), the tables of `skip_table`. `shift` is how many
    low bits the scan leaves out; a progressive scan has no details to skip, and then `skips` has no rows.
    """
    across, down = grid
    detailed = len(skips) > 0
    blocks = 0
    for c in range(len(layout)):
        blocks += layout[c, 0] * layout[c, 1]
    which = np.empty(blocks, np.int64)
    place = np.empty(
        (blocks, 3), np.int64
    )  # first block in `out`, step to the next MCU, step to the next row of MCUs
    i = 0
    for c in range(len(layout)):
        h, v = layout[c, 0], layout[c, 1]
        for y in range(v):
            for x in range(h):
                which[i] = c
                place[i, 0], place[i, 1], place[i, 2] = layout[c, 2] + y * across * h + x, h, across * h * v
                i += 1
    means = np.zeros(len(layout), np.int64)
    at, current, left = 0, 0, interval
    for my in range(down):
        for mx in range(across):
            if interval and left == 0:
                current += 1
                if current == len(starts):
                    return False
                if at > starts[current] * 8:
                    return False
                at, left = starts[current] * 8, interval
                means[:] = 0
            left -= 1
            for i in range(blocks):
                if at > size * 8:
                    return False
                c = which[i]
                word = _bits_at(data, at)
                code = np.int64(codes[0, c, word >> np.uint64(48)])
                length, bits = code >> 8, code & 15
                if length == 0:
                    return False
                word <<= np.uint64(length)
                value = np.int64((word >> np.uint64(1)) >> np.uint64(63 - bits))
                top = np.int64(1) << bits
                value -= np.int64(value < (top >> 1)) * (top - 1)  # T.81 F.2.2.1, without a branch
                means[c] += value
                out[place[i, 0] + mx * place[i, 1] + my * place[i, 2]] = means[c] << shift
                at += length + bits
                if not detailed:
                    continue
                word <<= np.uint64(bits)
                known = 57 - length - bits
                table, longer = skips[c], codes[1, c]
                k = 1
                while True:
                    entry = np.int64(table[word >> np.uint64(64 - WINDOW)])
                    length, step, end = entry & 255, (entry >> 8) & 255, entry >> 16
                    # After coefficient 63 comes the next block, not an end: the codes are then taken one at a time.
                    if length and k + step + end <= 64:
                        if end:
                            at += length
                            break
                    else:
                        code = np.int64(longer[word >> np.uint64(48)])
                        length, step, bits = code >> 8, (code >> 4) & 15, code & 15
                        if length == 0:
                            return False
                        length += bits
                        if bits == 0 and step != 15:
                            at += length
                            break
                        step += 1
                    at += length
                    k += step
                    if k >= 64:
                        break
                    word <<= np.uint64(length)
                    known -= length
                    if known < 27:  # the longest code and its value
                        word = _bits_at(data, at)
                        known = 57
    return at <= size * 8


@loop
def _between(x, part, most, size):
    """The two neighbours of pixel x in a plane of `size` pixels, coarser by part / most, and the second's weight of 256."""
    place = ((2 * x + 1) * part - most) * 256 // (2 * most)
    low = place >> 8
    return min(max(low, 0), size - 1), min(max(low + 1, 0), size - 1), place & 255


@loop
def paint(means, layout, quants, grid, out):
    """Write `out`, (h, w, 3) uint8, from the DC coefficients of `block_means`: YCbCr to RGB by JFIF's equations.

    Coarser colours are interpolated between their blocks.
    """
    high, wide = out.shape[0], out.shape[1]
    most_h, most_v = 1, 1
    for c in range(len(layout)):
        most_h, most_v = max(most_h, layout[c, 0]), max(most_v, layout[c, 1])
    line = np.zeros((3, wide), np.int32)
    beside = np.empty((len(layout), 3, wide), np.int32)
    for c in range(len(layout)):
        for x in range(wide):
            left, right, along = _between(x, layout[c, 0], most_h, grid[0] * layout[c, 0])
            beside[c, 0, x], beside[c, 1, x], beside[c, 2, x] = left, right, along
    mixed = np.empty(grid[0] * most_h, np.int32)
    for y in range(high):
        for c in range(len(layout)):
            h, v = layout[c, 0], layout[c, 1]
            stride = grid[0] * h
            above, below, down = _between(y, v, most_v, grid[1] * v)
            first = means[layout[c, 2] + above * stride : layout[c, 2] + (above + 1) * stride]
            second = means[layout[c, 2] + below * stride : layout[c, 2] + (below + 1) * stride]
            quant = quants[c]
            if h == most_h and v == most_v:
                for x in range(wide):
                    line[c, x] = min(max(((first[x] * quant + 4) >> 3) + 128, 0), 255)
                continue
            for x in range(stride):
                mixed[x] = np.int32(first[x]) * np.int32(256 - down) + np.int32(second[x]) * np.int32(down)
            lefts, rights, alongs = beside[c, 0], beside[c, 1], beside[c, 2]
            for x in range(wide):
                along = np.int64(alongs[x])
                dc = mixed[lefts[x]] * (256 - along) + mixed[rights[x]] * along
                line[c, x] = min(max(((dc * quant + (1 << 18)) >> 19) + 128, 0), 255)
        if len(layout) == 1:
            for x in range(wide):
                out[y, x, 0] = out[y, x, 1] = out[y, x, 2] = line[0, x]
            continue
        for x in range(wide):
            # 1.402, 0.344136, 0.714136 and 1.772 with 16 bits after the point
            luma, blue, red = line[0, x], line[1, x] - 128, line[2, x] - 128
            out[y, x, 0] = min(max(luma + ((91881 * red + 32768) >> 16), 0), 255)
            out[y, x, 1] = min(max(luma + ((-22554 * blue - 46802 * red + 32768) >> 16), 0), 255)
            out[y, x, 2] = min(max(luma + ((116130 * blue + 32768) >> 16), 0), 255)
