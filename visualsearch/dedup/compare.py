"""Whether two aligned pictures show the same, block by block and in colour, and what was done to one of them.

A block agrees when its difference stays within what saving anew at a low quality does: a share of its texture and a few
levels. One gain and one offset are taken out before, the same for all three colours. So another brightness agrees. Another
colour does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from visualsearch.types import Bool, Float32, Int64

from .align import Box, Padded, Place, grid, inside, turned

SIDE = 192
"""Pictures are compared at this longer side, or at the smaller one's own."""
BLOCKS = 12
"""Blocks along each side."""
OFF_TEXTURE, OFF_LEVELS = 0.6, 6.0
"""A block's root mean square difference may be this share of its texture (standard deviation) plus these levels of 255."""
SHIFT, SHIFT_TEXTURE = 8.0, 0.1
"""Levels by which a block's mean colour may differ in one channel, and what its texture adds."""
FEW = 0.01
"""Share of blocks that may differ without a cause in an edited picture: one in 144. In one that was saved anew, none."""
COVERED = 0.14
"""Share of blocks that a text or logo may cover."""
LAID_ON = 0.15
"""How much more texture one picture must have than the other in covered blocks: a text adds some, another print does not."""
UNEXPLAINED, UNEXPLAINED_BESIDE = 0.3, 0.12
"""Mean square difference against the texture, over the blocks that agree; and over those beside a text or logo."""
PLAIN = 6.0
"""A block with less texture proves nothing."""
PROOF = 0.1
"""Share of blocks that must have texture."""
IN_PHASE = ((6.0, 0.8, 0.85, 0), (12.0, 0.95, 0.92, 160))
"""(texture, correlation, share, side): this share of the blocks with more texture must correlate so in brightness. Two pieces
of one plaster or weave differ little and are not in phase; a second photograph of a still scene is not quite. The second is
asked of pictures compared at that longer side: in smaller ones JPEG leaves less."""
PHASED_BESIDE = 0.85
"""The share where some blocks are covered: a text reaches into the blocks beside it."""
GREY, GREY_SHARE = 6.0, 0.25
"""A picture is grey when its channels differ by less than this (mean), and by this share of what the other's do."""
TONE = 12.0
"""Levels by which dark or bright pixels may change before it counts as another brightness or contrast."""
PATCH, PATCH_CHROMA, PATCH_LIGHT, CHANGED = 5, 10.0, 12.0, 0.004
"""Over patches of this many pixels a side: levels by which the colour beside its brightness, and the brightness, may differ,
and the share of patches that may differ by more."""
CLIPPED = 250
EVEN = 4.0
"""Variance of brightness below which no contrast can be measured."""
STRUCTURE = 0.75
"""Correlation of brightness in covered blocks above which they show the same in another colour, and nothing covers them."""
WITHIN = 0.7
"""Share of a block that must lie in both pictures."""
GAINS = (0.4, 2.5)
EDGE = 0.012
"""Share of a side that rounding in a resize may cost."""


class Edit(StrEnum):
    """What was done to a picture, as its pixels show."""

    TURNED = "turned"
    MIRRORED = "mirrored"
    CROPPED = "cropped or framed"
    STRETCHED = "stretched"
    TONE = "brightness or contrast"
    GREY = "without colour"
    COVERED = "text or logo"


@dataclass(frozen=True)
class Evidence:
    """What the comparison of two pictures showed.

    `agree` is the share of blocks that agree, `difference` the mean of the root mean square differences of those blocks in
    levels of 255, `edits` what was done; none for a picture that was only saved anew. `box` is where one lies in the other.
    """

    agree: float
    difference: float
    edits: tuple[Edit, ...] = ()
    box: Box = (0.0, 0.0, 1.0, 1.0)


def compare(first: Image.Image, second: Image.Image, place: Place) -> Evidence | None:
    """What was done to `second`, which lies in `first` at `place`; None when the two do not show the same picture."""
    seen, wanted, fits = _aligned(first, second, place)
    grey = _one_is_grey(seen[fits], wanted[fits])
    if grey:
        seen, wanted = (x @ np.array([[0.299], [0.587], [0.114]], np.float32) for x in (seen, wanted))
    gain, offset = tone(seen[fits], wanted[fits])
    if not GAINS[0] <= gain <= GAINS[1]:
        return None
    # The darker one is made brighter: what was clipped in the brighter one cannot be had back.
    if gain >= 1:
        seen = np.clip(gain * seen + offset, 0, 255)
    else:
        wanted = np.clip((wanted - offset) / gain, 0, 255)
    blocks, chosen = _measured(seen, wanted, fits)
    covered = _judged(blocks, max(fits.shape))
    if covered is None or _changed(seen, wanted, fits & ~_pixels(covered, chosen, fits.shape)):
        return None
    edits = _edits(first, second, place)
    if max(abs(gain * level + offset - level) for level in (32, 224)) > TONE:
        edits.append(Edit.TONE)
    if grey:
        edits.append(Edit.GREY)
    if covered.mean() > FEW or (covered.any() and not edits):
        if edits or not _laid_on(blocks, covered):
            return None  # two things at once prove too little
        edits.append(Edit.COVERED)
    return Evidence(float(1 - covered.mean()), float(blocks.off[~covered].mean()), tuple(edits), place.box)


def colourless(picture: Image.Image) -> bool:
    """Whether a picture has no colour."""
    small = np.asarray(picture.resize((64, 64)), np.float32)
    return float((small.max(2) - small.min(2)).mean()) < GREY


def tone(seen: Float32, wanted: Float32) -> tuple[float, float]:
    """(gain, offset) that take the first pixels to the second, whatever few of them do otherwise; clipped pixels are left out."""
    a, b = seen.ravel(), wanted.ravel()
    use = (np.minimum(a, b) > 4) & (np.maximum(a, b) < 251)
    if use.sum() < 32:
        return 1.0, 0.0
    a, b = a[use], b[use]
    weights = np.ones_like(a)
    gain, offset = 1.0, 0.0
    for _ in range(3):
        total = float(weights.sum())
        mean_a, mean_b = float((weights * a).sum()) / total, float((weights * b).sum()) / total
        spread = float((weights * (a - mean_a) ** 2).sum()) / total
        if spread < EVEN:
            return 1.0, mean_b - mean_a
        gain = float((weights * (a - mean_a) * (b - mean_b)).sum()) / total / spread
        offset = mean_b - gain * mean_a
        left = np.abs(b - gain * a - offset)
        weights = 1 / (1 + (left / (2.5 * np.median(left[::7]) + 2)) ** 2)
    return gain, offset


# -- parts --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Blocks:
    """(n,) for each block inside both pictures, in levels of 255."""

    off: Float32  # root mean square difference
    shift: Float32  # difference of the mean colours, in the channel where it is largest
    texture: Float32  # standard deviation, mean of both
    busier: Float32  # texture of the second less that of the first
    structure: Float32  # correlation of the brightness


def _aligned(first: Image.Image, second: Image.Image, place: Place) -> tuple[Float32, Float32, Bool]:
    """Both as (h, w, 3) on the second's grid, and which pixels both have."""
    target, box = turned(second, place.turn), place.box
    held = max((box[2] - box[0]) * first.width, (box[3] - box[1]) * first.height)
    size = grid(target, min(SIDE, max(2 * BLOCKS, round(held))))
    seen = np.asarray(Padded(first).cut(box, size), np.float32)
    wanted = np.asarray(target.resize(size, Image.Resampling.BICUBIC), np.float32)
    return seen, wanted, inside(box, size)


def _one_is_grey(seen: Float32, wanted: Float32) -> bool:
    chroma = [float((x.max(1) - x.min(1)).mean()) if len(x) else 0.0 for x in (seen, wanted)]
    return min(chroma) < GREY and min(chroma) < GREY_SHARE * max(chroma)


def _edges(side: int) -> Int64:
    """Where blocks begin, and where the last one ends."""
    return np.linspace(0, side, BLOCKS + 1).round().astype(np.int64)


def _pixels(covered: Bool, chosen: Bool, shape: tuple[int, ...]) -> Bool:
    """(h, w): the pixels of the covered blocks, and of those around them, into which a text may reach.

    `chosen` says where in the grid the blocks lie.
    """
    whole = np.zeros(chosen.shape, bool)
    whole[chosen] = covered
    around: Bool = sliding_window_view(np.pad(whole, 1), (3, 3)).max((2, 3))
    down, across = (np.diff(_edges(side)) for side in shape)
    return around.repeat(down, 0).repeat(across, 1)


def _measured(seen: Float32, wanted: Float32, fits: Bool) -> tuple[_Blocks, Bool]:
    """The blocks that lie in both pictures, and which of the grid they are."""
    starts = [_edges(side)[:-1] for side in fits.shape]

    def summed(values: Float32) -> Float32:
        """(h, w) or (h, w, channels) -> the same over the blocks."""
        return np.add.reduceat(np.add.reduceat(values, starts[0], axis=0), starts[1], axis=1)

    held = fits.astype(np.float32)
    mask = held[..., None]
    size = summed(np.ones_like(held))
    count = np.maximum(summed(held), 1)[..., None]
    off = (wanted - seen) * mask
    means = [summed(x * mask) / count for x in (seen, wanted)]
    squares = [summed(x * x * mask) / count for x in (seen, wanted)]
    textures = [
        np.sqrt(np.maximum(square - mean**2, 0).mean(2)) for mean, square in zip(means, squares, strict=True)
    ]
    chosen = summed(held) >= WITHIN * size
    light = [x.mean(2) for x in (seen, wanted)]
    middle = [mean.mean(2) for mean in means]
    together = summed(light[0] * light[1] * held) / count[..., 0] - middle[0] * middle[1]
    alone = [summed(x * x * held) / count[..., 0] - m * m for x, m in zip(light, middle, strict=True)]
    structure = together / np.sqrt(np.maximum(alone[0] * alone[1], 1.0))
    fields = (
        np.sqrt((summed(off * off) / count).mean(2)),
        np.abs(means[1] - means[0]).max(2),
        (textures[0] + textures[1]) / 2,
        textures[1] - textures[0],
        structure,
    )
    return _Blocks(*(field[chosen].astype(np.float32) for field in fields)), chosen


def _changed(seen: Float32, wanted: Float32, fits: Bool) -> bool:
    """Whether a small thing is another, or of another colour: too small for its block to show it.

    Where a channel is clipped in one of them, the colour is lost and says nothing.
    """
    whole = fits & (np.maximum(seen, wanted).max(2) < CLIPPED)
    high, wide = (side // PATCH * PATCH for side in fits.shape)
    patches = ((wanted - seen) * whole[..., None])[:high, :wide]
    colour = patches.reshape(high // PATCH, PATCH, wide // PATCH, PATCH, -1).mean((1, 3))
    light = colour.mean(2)
    chroma = np.abs(colour - light[..., None]).max(2)
    changed = (chroma > PATCH_CHROMA) | (np.abs(light) > PATCH_LIGHT)
    return float(changed.mean()) > CHANGED


def _judged(blocks: _Blocks, side: int) -> Bool | None:
    """Which blocks are covered by something; None when the pictures do not show the same."""
    count = len(blocks.off)
    if count < BLOCKS * BLOCKS // 3:
        return None
    differs: Bool = (blocks.off > OFF_TEXTURE * blocks.texture + OFF_LEVELS) | (
        blocks.shift > SHIFT + SHIFT_TEXTURE * blocks.texture
    )
    agree = ~differs
    telling = agree & (blocks.texture > PLAIN)
    if differs.mean() > COVERED or telling.mean() < PROOF:
        return None
    if not _in_phase(blocks, agree, side) or _unexplained(blocks, agree) > UNEXPLAINED:
        return None
    return differs


def _in_phase(blocks: _Blocks, agree: Bool, side: int) -> bool:
    limit = 1.0 if agree.all() else PHASED_BESIDE
    for texture, correlation, share, least in IN_PHASE:
        those = blocks.structure[agree & (blocks.texture > texture)]
        if side >= least and len(those) and (those > correlation).mean() < min(share, limit):
            return False
    return True


def _unexplained(blocks: _Blocks, agree: Bool) -> float:
    return float((blocks.off[agree] ** 2).sum() / max(float((blocks.texture[agree] ** 2).sum()), 1e-6))


def _laid_on(blocks: _Blocks, covered: Bool) -> bool:
    """Whether something was laid on the covered blocks and all beside them is the same. A print of its own looks alike."""
    added = abs(float(blocks.busier[covered].sum())) / max(float(blocks.texture[covered].sum()), 1e-6)
    shown = float(blocks.structure[covered].mean())
    beside = _unexplained(blocks, ~covered)
    return added >= LAID_ON and shown <= STRUCTURE and beside <= UNEXPLAINED_BESIDE


def _edits(first: Image.Image, second: Image.Image, place: Place) -> list[Edit]:
    edits = []
    if place.turn in (3, 4, 5):
        edits.append(Edit.TURNED)
    elif place.turn:
        edits.append(Edit.MIRRORED)
    x0, y0, x1, y1 = place.box
    if max(abs(x0), abs(y0), abs(1 - x1), abs(1 - y1)) > EDGE + 1.0 / min(*first.size, *second.size):
        edits.append(Edit.CROPPED)
    target = turned(second, place.turn)
    shape = (x1 - x0) * first.width / ((y1 - y0) * first.height)
    # a side of few pixels is rounded
    if abs(np.log(shape * target.height / target.width)) > 0.03 + 1.5 / min(*first.size, *second.size):
        edits.append(Edit.STRETCHED)
    return edits
