"""Compiled inner loops of the search: filters, the walk through a graph, and the cosines of stored rows.

Imported by `search` only. No loop here holds the GIL. Indices into the arrays of the innermost loops are unsigned, since
numba would otherwise look for negative ones, and the loops would not use lanes.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call"
from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .loader import loop

SEEN = np.int64(1 << 31)
"""The bit of a key that says that its node's neighbours were looked at; below it is the node, above it the score."""
NODE = np.int64(SEEN - 1)
LINE = 64  # bytes that the processor fetches at once
AHEAD = 4  # rows that are asked for before they are read
_LEAST = np.int64(-(1 << 63))


@intrinsic
def _fetch_ahead(typingctx, array, at):
    """Ask for the cache line of element `at` of a uint8 or uint16 array, and do not wait for it."""

    def code(context, builder, signature, args):
        values = context.make_array(signature.args[0])(context, builder, args[0])
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        place = builder.bitcast(builder.gep(values.data, [args[1]]), byte)
        wanted = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        prefetch = cgutils.get_or_insert_function(builder.module, wanted, "llvm.prefetch.p0i8")
        builder.call(prefetch, [place, number(0), number(3), number(1)])  # to read, to keep, data
        return context.get_dummy_value()

    return types.void(array, types.intp), code


@loop
def _score(codes, begin, weights):
    """Inner product of the (d,) uint8 code at `begin` with (d,) int16 weights, in int32."""
    code = codes[begin : begin + len(weights)]
    total = np.int32(0)
    for i in range(len(weights)):
        product = np.int32(code[np.uint64(i)]) * np.int32(weights[np.uint64(i)])
        total = np.int32(total + np.int32(product))
    return total


@loop
def _weights(query, span):
    """(d,) int16: what the codes are multiplied with, query times span, as large as sums of d products in 32 bits allow.

    A code stands for (code + 0.5) / 255 * span; what is the same for all rows, and a common factor, change no order.
    """
    largest = np.float32(0.0)
    for i in range(len(query)):
        largest = max(largest, abs(query[i] * span[i]))
    most = min(32_767.0, (2**31 - 1) / 255 / len(query))
    scale = most / largest if largest > 0.0 else 0.0
    weights = np.empty(len(query), np.int16)
    for i in range(len(query)):
        weights[i] = np.int16(np.rint(query[i] * span[i] * scale))
    return weights


@loop
def _enter(keys, count, key):
    """Put a key in its place among the first `count` of falling `keys`; the last falls out where all are taken.

    Returns how many there are now, and the place.
    """
    low, high = np.int64(0), np.int64(count)
    while low < high:
        middle = (low + high) >> 1
        if keys[np.uint64(middle)] < key:
            high = middle
        else:
            low = middle + 1
    count = min(count + 1, len(keys))
    for i in range(count - 1, low, -1):
        keys[np.uint64(i)] = keys[np.uint64(i - 1)]
    keys[np.uint64(low)] = key
    return count, low


@loop
def _nearest_above(codes, neighbours, starts, levels, entry, weights):
    """The node of the lowest of the upper levels that no neighbour betters, and its score: greedy descent."""
    node, best = np.int64(entry), _score(codes, np.int64(entry) * len(weights), weights)
    for level in range(len(levels) - 2, 0, -1):
        better = True
        while better:
            better = False
            begin = starts[node]
            for at in range(begin + levels[level], begin + levels[level + 1]):
                other = np.int64(neighbours[at])
                if other < 0:
                    break
                score = _score(codes, other * len(weights), weights)
                if score > best:
                    node, best, better = other, score, True
    return node, best


@loop
def walk(codes, neighbours, starts, levels, entry, query, span, visited, mark, keys, fresh):
    """Beam search of a navigable small-world graph (Malkov and Yashunin 2016, algorithm 5): fills falling `keys`.

    codes: (n * d,) uint8. neighbours: int32, ended by -1; those of a node at a level lie at starts[node] + levels[level]
    up to levels[level + 1]. query, span: (d,) float32, see `_weights`. visited: (n,) uint8 that nowhere equals `mark`.
    keys: (beam,) int64, each score << 32 | node. fresh: (most neighbours,) int64. Returns how many keys there are.

    The beam is one array in order, not two heaps: what has to be looked at next is the first key without SEEN.
    """
    weights = _weights(query, span)
    size, width = len(weights), levels[1]
    node, best = _nearest_above(codes, neighbours, starts, levels, entry, weights)
    count, at = np.int64(1), np.int64(0)
    keys[0] = (np.int64(best) << 32) | node
    visited[node] = mark
    while at < count:
        key = keys[np.uint64(at)]
        if key & SEEN:
            at += 1
            continue
        keys[np.uint64(at)] = key | SEEN
        begin = starts[key & NODE]
        if at + 1 < count:  # most often the next to be looked at
            after = starts[keys[np.uint64(at + 1)] & NODE]
            for ahead in range(0, width, LINE // 4):
                _fetch_ahead(neighbours, after + ahead)
        found = 0
        for place in range(begin, begin + width):
            other = np.int64(neighbours[np.uint64(place)])
            if other < 0:
                break
            if visited[np.uint64(other)] != mark:
                visited[np.uint64(other)] = mark
                fresh[np.uint64(found)] = other
                found += 1
                for ahead in range(0, size, LINE):
                    _fetch_ahead(codes, other * size + ahead)
        least = keys[np.uint64(len(keys) - 1)] if count == len(keys) else _LEAST
        first = at + 1
        for i in range(found):
            other = fresh[np.uint64(i)]
            key = (np.int64(_score(codes, other * size, weights)) << 32) | other
            if key > least:
                count, place = _enter(keys, count, key)
                first = min(first, place)
                if count == len(keys):
                    least = keys[np.uint64(count - 1)]
        at = first
    return count


@loop
def mark_range(codes, low, high, value, out):
    """Write a uint8 value to (n,) uint8 `out` wherever (n,) int32 `codes` is at least `low` and below `high`."""
    first, width = np.uint32(low), np.uint32(high - low)
    for i in range(len(codes)):
        # What is below `low` wraps around to the largest numbers.
        place = np.uint32(np.uint32(codes[np.uint64(i)]) - first)
        out[np.uint64(i)] = value if place < width else out[np.uint64(i)]


@loop
def best_codes(codes, allowed, query, span, keys, fresh):
    """Fill falling `keys` with the nodes that (n,) uint8 `allowed` leaves and whose codes score best; see `walk`.

    fresh: (some,) int64, of which as many codes are asked for before the first of them is read. Returns how many keys there are.
    """
    weights = _weights(query, span)
    size, count, node = len(weights), np.int64(0), 0
    least = _LEAST
    words = allowed[: len(allowed) // 8 * 8].view(np.uint64)
    while node < len(allowed):
        found = 0
        while node < len(allowed) and found < len(fresh):
            if node & 7 == 0:  # a filter that leaves few leaves out most words of eight
                word = node >> 3
                while word < len(words) and words[np.uint64(word)] == 0:
                    word += 1
                node = word << 3
            if node < len(allowed) and allowed[node]:
                fresh[found] = node
                found += 1
                for ahead in range(0, size, LINE):
                    _fetch_ahead(codes, node * size + ahead)
            node += 1
        for i in range(found):
            other = fresh[np.uint64(i)]
            key = (np.int64(_score(codes, other * size, weights)) << 32) | other
            if key > least:
                count, _ = _enter(keys, count, key)
                if count == len(keys):
                    least = keys[np.uint64(count - 1)]
    return count


@loop(reorder=True)
def cosines(rows, positions, query, out):
    """Cosines of float16 rows with a float32 query.

    rows: (n, d) uint16, the bits of float16 values. positions: (m,) int64 row numbers. out: (m,) float32.
    The bits of a half, moved to a float's places, are its value times 2^-112; see `vectors.widened`.
    """
    size = rows.shape[1]
    bits = np.empty(size, np.int32)
    floats = bits.view(np.float32)
    back = np.float32(2.0**112)
    for i in range(-AHEAD, len(positions)):
        if i + AHEAD < len(positions):
            after = rows[positions[i + AHEAD]]
            for ahead in range(0, size, LINE // 2):
                _fetch_ahead(after, ahead)
        if i < 0:
            continue
        row = rows[positions[i]]
        for j in range(size):
            half = np.int32(row[np.uint64(j)])
            bits[np.uint64(j)] = ((half & np.int32(0x8000)) << 16) | ((half & np.int32(0x7FFF)) << 13)
        product, square = np.float32(0.0), np.float32(0.0)
        for j in range(size):
            value = floats[np.uint64(j)] * back
            product += value * query[np.uint64(j)]
            square += value * value
        out[i] = product / max(np.sqrt(square), np.float32(1e-12))
