"""The compiled random walk over a graph of pins and boards. Imported by `walks` only. No loop here holds the GIL.

Arrays come from `recommend.walk`, which has checked them. A side of the graph, pins or boards, is a tuple. Of the built graph it
holds (n + 1,) unsigned offsets and int32 links. Of what came since it holds (m,) int64 ascending nodes, (m + 1,) int64 offsets
and int32 links. A link is weight << shift | node.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call"
from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .loader import loop

AHEAD = 16
"""Nodes whose links are asked for before they are read: the memory answers many requests at once."""
TRIES = 8
"""A link that a draw refuses is drawn anew so often."""
DEAD_BOARD = np.int64(1 << 62)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_UNIT = 2.0**-53


@intrinsic
def _ask(typingctx, array, at):
    """Ask for the cache line of element `at` of an array, and do not wait for it."""

    def code(context, builder, signature, args):
        values = context.make_array(signature.args[0])(context, builder, args[0])
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        place = builder.bitcast(builder.gep(values.data, [args[1]]), byte)
        wanted = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        prefetch = cgutils.get_or_insert_function(builder.module, wanted, "llvm.prefetch.p0i8")
        builder.call(prefetch, [place, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), code


@loop
def _draw(state):
    """The next 64 random bits (SplitMix64, Steele et al. 2014); `state` is (1,) uint64."""
    state[0] += _GOLDEN
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@loop
def _uniform(state):
    return np.float64(_draw(state) >> np.uint64(11)) * _UNIT


@loop
def _home(keys, key):
    return ((np.uint64(key) * _GOLDEN) >> np.uint64(40)) & np.uint64(len(keys) - 1)


@loop
def _enter(keys, values, key, fresh):
    """The value of a key in an open-addressing table of 2^n int64 keys (-1: free); `fresh` becomes it where the key is new."""
    at = _home(keys, key)
    while keys[at] != key:
        if keys[at] == -1:
            keys[at], values[at] = key, fresh
            return fresh
        at = (at + np.uint64(1)) & np.uint64(len(keys) - 1)
    return values[at]


@loop
def _empty(keys, names, count):
    """Take (count,) names, which are all there are, out of a table."""
    for i in range(count):
        at = _home(keys, names[i])
        while keys[at] != -1:
            keys[at] = -1
            at = (at + np.uint64(1)) & np.uint64(len(keys) - 1)


@loop
def _find(ordered, key):
    """The position of a key among ascending ones, or -1."""
    low, high = np.int64(0), np.int64(len(ordered))
    while low < high:
        middle = (low + high) >> 1
        if ordered[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low if low < len(ordered) and ordered[low] == key else np.int64(-1)


@loop
def _is_dead(dead, node, other, from_board):
    """Whether a link counts no more: (n,) ascending `dead` holds pin << 32 | board, and DEAD_BOARD | board."""
    pin, board = (other, node) if from_board else (node, other)
    return _find(dead, (pin << 32) | board) >= 0 or _find(dead, DEAD_BOARD | board) >= 0


@loop
def _span(side, node):
    """Where a node's links begin and how many there are: in the built graph, and in what came since."""
    offsets, _, fresh_nodes, fresh_offsets, _ = side
    begin, built, first, more = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    if node + 1 < len(offsets):
        begin = np.int64(offsets[node])
        built = np.int64(offsets[node + 1]) - begin
    at = _find(fresh_nodes, node)
    if at >= 0:
        first = fresh_offsets[at]
        more = fresh_offsets[at + 1] - first
    return begin, built, first, more


@loop
def _share_out(side, span, shift, dead, from_board, node, mass, to, froms, parts, at):
    """Hand walkers on to all links by weight; where the list of links handed on ends now."""
    begin, built, first, more = span
    _, links, _, _, fresh_links = side
    low = (np.int64(1) << shift) - 1
    total, end = 0.0, at
    for i in range(built + more):
        word = np.int64(links[begin + i]) if i < built else np.int64(fresh_links[first + i - built])
        other = word & low
        if len(dead) and _is_dead(dead, node, other, from_board):
            continue
        weight = np.float64((word >> shift) + 1)
        total += weight
        to[end], froms[end], parts[end] = other, node, weight
        end += 1
    for i in range(at, end):
        parts[i] = parts[i] * (mass / total)
    return end


@loop
def _draw_links(side, span, shift, dead, from_board, node, mass, to, froms, parts, at, state):
    """Hand each walker on to a link drawn by weight; where the list of links handed on ends now.

    First draws are spread evenly over the list: the i-th of n falls into its i-th part. A share of a walker walks with that
    chance.
    """
    begin, built, first, more = span
    _, links, _, _, fresh_links = side
    low, top = (np.int64(1) << shift) - 1, np.uint64((1 << (31 - shift)) - 1)
    size = built + more
    wanted = np.int64(mass)
    if _uniform(state) < mass - wanted:
        wanted += 1
    wanted = min(wanted, len(to) - at)
    end = at
    for i in range(wanted):
        for attempt in range(TRIES):
            # What is refused is drawn from the whole list: within its part it would have the weight of another link there.
            spread = (i + _uniform(state)) / wanted if attempt == 0 else _uniform(state)
            place = min(np.int64(spread * size), size - 1)
            word = (
                np.int64(links[begin + place])
                if place < built
                else np.int64(fresh_links[first + place - built])
            )
            other = word & low
            refused = np.int64(_draw(state) & top) > (word >> shift)
            if refused or (len(dead) and _is_dead(dead, node, other, from_board)):
                continue
            to[end], froms[end], parts[end] = other, node, max(mass, 1.0) / wanted
            end += 1
            break
    return end


@loop
def _hand_on(side, shift, dead, from_board, whole, nodes, masses, count, to, froms, parts, at, state):
    """Walkers wait at (count,) nodes: each goes on to a neighbour. Fills to, froms, parts from `at` on; where they end.

    A list of at most walkers / `whole` links is shared out, from a longer one links are drawn. Both have the same expectation,
    and a variance far below that of single walkers.
    """
    offsets, links = side[0], side[1]
    base = len(offsets) - 1
    for i in range(count):
        if i + AHEAD < count and nodes[i + AHEAD] < base:
            _ask(offsets, np.int64(nodes[i + AHEAD]))
        if i + AHEAD // 2 < count and nodes[i + AHEAD // 2] < base:
            _ask(links, np.int64(offsets[nodes[i + AHEAD // 2]]))
        node, mass = np.int64(nodes[i]), np.float64(masses[i])
        span = _span(side, node)
        size = span[1] + span[3]
        if size == 0:
            continue
        if size * whole <= mass and size <= len(to) - at:
            at = _share_out(side, span, shift, dead, from_board, node, mass, to, froms, parts, at)
        else:
            at = _draw_links(side, span, shift, dead, from_board, node, mass, to, froms, parts, at, state)
        if at == len(to):
            break
    return at


@loop
def _meet(to, parts, begin, end, keys, values, nodes, masses):
    """Walkers that came to the same node wait there together: fills nodes and masses; how many."""
    count = np.int64(0)
    for i in range(begin, end):
        at = _enter(keys, values, np.int64(to[i]), count)
        if at == count:
            nodes[count], masses[count] = to[i], 0.0
            count += 1
        masses[at] += parts[i]
    _empty(keys, nodes, count)
    return count


@loop
def walk(pin_side, board_side, shifts, dead, query, walkers, restart, whole, least, seed, scratch, log):
    """Let many walkers start at pin `query` at once, and go from pin to board to pin until each has met its restart.

    shifts: (2,) int64, of links to pins and to boards. scratch: an empty table as (2^n,) int64 keys and values, (m,) int32
    nodes and float32 masses, (m,) int32 to, from and float32 parts, with m below 2^n. log: (l,) int32 pins, int32 boards,
    float32 walkers: all visits. The walk ends when fewer than `least` walkers are left, or when the log is full. Returns how
    long the log is.
    """
    state = np.empty(1, np.uint64)
    state[0] = np.uint64(seed)
    keys, values, nodes, masses, to, froms, parts = scratch
    log_pins, log_boards, log_parts = log
    nodes[0], masses[0] = query, walkers
    count, logged, alive = np.int64(1), np.int64(0), float(walkers)
    stay = np.float32(1.0 - restart)
    while count > 0 and alive >= least and logged < len(log_pins):
        passed = _hand_on(
            pin_side, shifts[1], dead, False, whole, nodes, masses, count, to, froms, parts, 0, state
        )
        count = _meet(to, parts, 0, passed, keys, values, nodes, masses)
        begin = logged
        logged = _hand_on(
            board_side, shifts[0], dead, True, whole, nodes, masses, count,
            log_pins, log_boards, log_parts, begin, state,
        )  # fmt: skip
        if logged - begin > len(nodes):
            break
        count = _meet(log_pins, log_parts, begin, logged, keys, values, nodes, masses)
        alive = 0.0
        for i in range(count):
            masses[i] *= stay
            alive += masses[i]
    return logged


@loop
def totals(log_pins, log_parts, logged, scratch):
    """All visits of each pin: fills the scratch's nodes and masses; how many pins."""
    keys, values, nodes, masses = scratch[0], scratch[1], scratch[2], scratch[3]
    return _meet(log_pins, log_parts, 0, logged, keys, values, nodes, masses)
