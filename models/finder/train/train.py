"""Trains finder.onnx: boxes and outlines of the objects of a scene, whatever they are.

A small head on the frozen first blocks of the bundled EfficientNet-Lite0 (ImageNet weights, Apache-2.0) learns from
composed scenes (visualsearch/quality/look_scenes.py): the features of `--scenes` scenes are computed once, then the head
is trained on them. Objects and grounds of the measuring split are never seen.

    apt-get install tuxpaint-stamps-default openclipart-png mate-backgrounds gnome-backgrounds plasma-workspace-wallpapers
    pip install torch onnx onnxruntime
    python models/finder/train/train.py features --data SETS --work DIR --part 0 --parts 2    # and --part 1, side by side
    python models/finder/train/train.py head --work DIR

Per cell of a 48 x 48 grid the head gives a centre score (a Gaussian peak around each object's centre, as in Zhou et al.
2019, "Objects as Points"), the distances to the four sides (as in Tian et al. 2019, "FCOS"), learnt with the generalised IoU
(Rezatofighi et al. 2019), and whether the cell belongs to an object.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

SIDE, GRID = 384, 48
TAPS = {
    "p3": ("_blocks.4.sum", 40, 48),
    "p4": ("_blocks.10.sum", 112, 24),
    "p5": ("_blocks.15._project_conv", 320, 12),
}
ROOT = Path(__file__).resolve().parents[3]
MOST = 8  # objects of a scene that the arrays have room for
WIDTH = 48


# -- features -----------------------------------------------------------------------------------------------------
def backbone():
    """The first blocks of the bundled graph, for pictures of 384 x 384; outputs p3, p4, p5."""
    import onnx
    from onnx import helper

    made = onnx.load(ROOT / "models/efficientnet-lite0/image.onnx")
    graph = made.graph
    names = {tap: key for key, (tap, _, _) in TAPS.items()}
    needed, nodes = set(names), []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            nodes.append(node)
    kept = [constant for constant in graph.initializer if constant.name in needed]
    outputs = [helper.make_tensor_value_info(k, 1, ["batch", c, s, s]) for k, (_, c, s) in TAPS.items()]
    for node in nodes:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    pixels = helper.make_tensor_value_info("pixels", 2, ["batch", 3, SIDE, SIDE])
    made.graph.CopyFrom(helper.make_graph(nodes[::-1], "finder", [pixels], outputs, kept))
    onnx.checker.check_model(made)
    return made


def examples(data_folder: Path, seed: int):
    """Endless (picture, boxes (m, 4) as fractions, mask (48, 48) 0..1) from the training split."""
    from visualsearch.quality import look_scenes as scenes
    from visualsearch.quality.data import Data

    data = Data(data_folder)
    kept = sample_scene_objects()
    pieces = [p for p in scenes.pieces(data, scenes.Split.TRAIN, kept) if p.group != "clothing"]
    clothes = [p for p in scenes.pieces(data, scenes.Split.TRAIN, kept) if p.group == "clothing"]
    clothes = [p for p in clothes[:600] if "train" in p.path.parts and scenes.cut(p) is not None]
    clipart = sorted(Path("/usr/share/openclipart/png").rglob("*.png"))
    rng = np.random.default_rng(seed)
    clipart = [clipart[i] for i in rng.permutation(len(clipart))[:700]]
    drawn = [scenes.Piece(f"clipart/{p.stem}", "tuxpaint", p) for p in clipart if p.stat().st_size < 400_000]
    walls, shops = scenes.grounds(data, scenes.Split.TRAIN)
    shops = [shops[i] for i in rng.permutation(len(shops))[:350]]
    pool = pieces * 3 + clothes * 2 + drawn
    print(
        f"{len(pieces)} pieces, {len(clothes)} clothes, {len(drawn)} drawings, {len(walls)} walls", flush=True
    )
    while True:
        tall = rng.random() < 0.25
        size = (432, 576) if tall else (640, 480)
        recipe = scenes.Recipe(
            width=size[0], height=size[1], fewest=1, most=7, low=0.07, high=0.75, photographs=0.4
        )
        scene = scenes.compose(pool, (walls, shops), rng, recipe)
        boxes = np.array([o.box for o in scene.objects], np.float32).reshape(-1, 4)
        picture, cover = scene.picture, Image.fromarray((scene.cover * 255).astype(np.uint8))
        if len(boxes) and rng.random() < 0.25:
            picture, cover, boxes = zoomed(picture, cover, boxes, rng)
        mask = np.asarray(cover.resize((GRID, GRID), Image.Resampling.BOX), np.float32) / 255
        yield picture, boxes, mask


def sample_scene_objects() -> list[str]:
    """Stamps in the scenes that ship with the package: kept for measuring."""
    import csv
    import json

    samples = ROOT / "visualsearch/samples"
    pins = {o["pin"] for s in json.loads((samples / "scenes.json").read_text()) for o in s["objects"]}
    with (samples / "manifest.csv").open() as file:
        return [Path(r["source"]).with_suffix("").as_posix() for r in csv.DictReader(file) if r["id"] in pins]


def zoomed(picture, cover, boxes, rng):
    """A close view of one object with a margin; other objects that it cuts are dropped when little of them is left."""
    width, height = picture.size
    x0, y0, x1, y1 = boxes[rng.integers(len(boxes))]
    w, h = x1 - x0, y1 - y0
    margin = rng.uniform(0.02, 0.5, 4)
    view = np.array([x0 - w * margin[0], y0 - h * margin[1], x1 + w * margin[2], y1 + h * margin[3]]).clip(
        0, 1
    )
    size = (view[2:] - view[:2]).astype(np.float32)
    scale = np.array([width, height, width, height])
    pixels = tuple((view * scale).tolist())
    clipped = (boxes.clip(np.tile(view[:2], 2), np.tile(view[2:], 2)) - np.tile(view[:2], 2)) / np.tile(
        size, 2
    )
    area = lambda b: (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])  # noqa: E731
    left = area(clipped) * size.prod() / area(boxes)
    out = (SIDE, SIDE)
    return (
        picture.resize(out, Image.Resampling.BICUBIC, box=pixels),
        cover.resize(out, Image.Resampling.BILINEAR, box=pixels),
        clipped[left > 0.4].astype(np.float32),
    )


def features(options: argparse.Namespace) -> None:
    import onnxruntime

    options.work.mkdir(parents=True, exist_ok=True)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        backbone().SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
    count = options.scenes // options.parts
    part = options.work / f"part{options.part}"
    stores = {
        key: np.lib.format.open_memmap(f"{part}.{key}.npy", "w+", np.float16, (count, channels, side, side))
        for key, (_, channels, side) in TAPS.items()
    }
    boxes = np.full((count, MOST, 4), -1, np.float32)
    masks = np.zeros((count, GRID, GRID), np.float16)
    made = examples(options.data, options.part)
    for n in range(count):
        picture, found, mask = next(made)
        small = picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        pixels = np.asarray(small, np.uint8).transpose(2, 0, 1)[None]
        for key, value in zip(TAPS, session.run(list(TAPS), {"pixels": pixels}), strict=True):
            stores[key][n] = value[0]
        boxes[n, : min(MOST, len(found))] = found[:MOST]
        masks[n] = mask
        if n % 100 == 99:
            print(f"part {options.part}: {n + 1} of {count}", flush=True)
            np.savez(f"{part}.truth.npz", boxes=boxes[: n + 1], masks=masks[: n + 1])
    np.savez(f"{part}.truth.npz", boxes=boxes, masks=masks)


# -- the head -----------------------------------------------------------------------------------------------------
def head():
    """p3, p4, p5 -> (b, 6, 48, 48): centre logit, distances to left, top, right, bottom (log, in cells), object logit."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    def block(width: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )

    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.sides = nn.ModuleList(
                nn.Sequential(nn.Conv2d(c, WIDTH, 1, bias=False), nn.BatchNorm2d(WIDTH))
                for _, c, _ in TAPS.values()
            )
            self.deep, self.mid = block(WIDTH), block(WIDTH)
            self.fine = nn.ModuleList(block(WIDTH) for _ in range(3))
            self.out = nn.Conv2d(WIDTH, 6, 1)
            with torch.no_grad():
                self.out.bias.copy_(torch.tensor([-4.0, 1.5, 1.5, 1.5, 1.5, -2.0]))

        def forward(self, p3, p4, p5):
            x = F.relu(self.sides[2](p5))
            x = x + self.deep(x)
            x = F.relu(self.sides[1](p4) + F.interpolate(x, scale_factor=2, mode="nearest"))
            x = x + self.mid(x)
            x = F.relu(self.sides[0](p3) + F.interpolate(x, scale_factor=2, mode="nearest"))
            for fine in self.fine:
                x = x + fine(x)
            return self.out(x)

    return Head()


def targets(boxes: np.ndarray):
    """(b, MOST, 4) fractions -> heat (b, 48, 48), box of each cell (b, 4, 48, 48) in cells, weight of each cell's box."""
    b = len(boxes)
    heat, weight = np.zeros((b, GRID, GRID), np.float32), np.zeros((b, GRID, GRID), np.float32)
    sides = np.zeros((b, 4, GRID, GRID), np.float32)
    at = np.arange(GRID) + 0.5
    for n in range(b):
        some = boxes[n][boxes[n, :, 0] >= 0] * GRID
        # small objects are written last: where centres meet they win
        for x0, y0, x1, y1 in some[np.argsort(-(some[:, 2] - some[:, 0]) * (some[:, 3] - some[:, 1]))]:
            w, h, cx, cy = x1 - x0, y1 - y0, (x0 + x1) / 2, (y0 + y1) / 2
            sx, sy = max(0.6, w / 9), max(0.6, h / 9)
            peak = np.exp(-((at[None] - cx) ** 2) / (2 * sx * sx) - (at[:, None] - cy) ** 2 / (2 * sy * sy))
            peak[int(min(cy, GRID - 1)), int(min(cx, GRID - 1))] = 1
            heat[n] = np.maximum(heat[n], peak)
            core = peak > 0.3
            sides[n][:, core] = np.array([x0, y0, x1, y1], np.float32)[:, None]
            weight[n][core] = peak[core] / peak[core].sum()
    return heat, sides, weight


def losses(out, heat, sides, weight, mask):
    """Focal loss of the centres, generalised IoU of the boxes, cross-entropy of the outline."""
    import torch
    from torch.nn import functional as F

    p = out[:, 0].sigmoid().clamp(1e-4, 1 - 1e-4)
    peak = heat > 0.999
    focal = -torch.where(peak, (1 - p) ** 2 * p.log(), (1 - heat) ** 4 * p**2 * (1 - p).log())
    centre = focal.sum() / peak.sum().clamp(min=1)
    n, y, x = (weight > 0).nonzero(as_tuple=True)
    share, true = weight[n, y, x], sides[n, :, y, x]
    d = out[n, 1:5, y, x].clamp(-4, 4.5).exp()
    at = torch.stack([x, y], 1) + 0.5
    low, high = at - d[:, :2], at + d[:, 2:]
    inner = (torch.minimum(high, true[:, 2:]) - torch.maximum(low, true[:, :2])).clamp(0).prod(1)
    both = (high - low).prod(1) + (true[:, 2:] - true[:, :2]).prod(1) - inner
    hull = (torch.maximum(high, true[:, 2:]) - torch.minimum(low, true[:, :2])).prod(1)
    gap = 1 - (inner / both.clamp(min=1e-4) - (hull - both) / hull.clamp(min=1e-4))
    box = (gap * share).sum() / share.sum().clamp(min=1)
    outline = F.binary_cross_entropy_with_logits(out[:, 5], mask)
    return centre, box, outline


def train(options: argparse.Namespace) -> None:
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(2)
    parts = sorted(options.work.glob("part*.truth.npz"))
    truth = [np.load(p) for p in parts]
    counts = [len(t["boxes"]) for t in truth]
    stores = {
        key: [np.load(str(p).replace("truth.npz", f"{key}.npy"), mmap_mode="r") for p in parts]
        for key in TAPS
    }
    where = [(i, j) for i, count in enumerate(counts) for j in range(count)]
    rng = np.random.default_rng(0)
    order = rng.permutation(len(where))
    held, learnt = order[:200], order[200:]
    net = head().to(memory_format=torch.channels_last)
    print(f"{len(learnt)} scenes, {sum(p.numel() for p in net.parameters()):,} parameters", flush=True)
    steps = options.epochs * (len(learnt) // options.batch)
    tuned = torch.optim.AdamW(net.parameters(), options.rate, weight_decay=1e-3)
    plan = torch.optim.lr_scheduler.OneCycleLR(tuned, options.rate, total_steps=steps, pct_start=0.1)

    def batch(chosen):
        maps = [
            torch.from_numpy(np.stack([stores[k][where[c][0]][where[c][1]] for c in chosen])) for k in TAPS
        ]
        maps = [m.to(torch.bfloat16).contiguous(memory_format=torch.channels_last) for m in maps]
        boxes = np.stack([truth[where[c][0]]["boxes"][where[c][1]] for c in chosen])
        mask = np.stack([truth[where[c][0]]["masks"][where[c][1]] for c in chosen]).astype(np.float32)
        heat, sides, weight = targets(boxes)
        return maps, [torch.from_numpy(v) for v in (heat, sides, weight, mask)]

    truth = [{k: t[k] for k in t.files} for t in truth]
    for epoch in range(options.epochs):
        order = rng.permutation(learnt)
        net.train()
        sums = np.zeros(3)
        for at in range(0, len(order) - options.batch + 1, options.batch):
            maps, wanted = batch(order[at : at + options.batch])
            with torch.autocast("cpu", torch.bfloat16):
                out = net(*maps)
            terms = losses(out.float(), *wanted)
            loss = terms[0] + 2 * terms[1] + terms[2]
            tuned.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            tuned.step()
            plan.step()
            sums += [t.item() for t in terms]
            if at % (25 * options.batch) == 0:
                print(f"  {at} of {len(order)}: {np.round(sums / (at // options.batch + 1), 3)}", flush=True)
        net.eval()
        with torch.inference_mode():
            scores = [
                losses(net(*(t.float() for t in m)), *w)
                for m, w in (batch(held[a : a + 50]) for a in range(0, 200, 50))
            ]
        print(
            f"epoch {epoch + 1}: learnt {np.round(sums / (len(order) // options.batch), 3)},"
            f" held {np.round(np.mean([[float(t) for t in s] for s in scores], 0), 3)}",
            flush=True,
        )
        torch.save(net.state_dict(), options.work / "head.pt")
    export(net, options.out)


# -- one graph ----------------------------------------------------------------------------------------------------
def export(net, out: Path) -> None:
    """Backbone and head as one graph, weights as float16: "pixels" uint8 (b, 3, 384, 384) -> "cells" (b, 6, 48, 48)."""
    import io

    import onnx
    import torch
    from onnx import compose, helper, numpy_helper

    net.eval()
    buffer = io.BytesIO()
    maps = tuple(torch.zeros(1, c, s, s) for _, c, s in TAPS.values())
    names = list(TAPS)
    torch.onnx.export(
        net, maps, buffer, input_names=names, output_names=["cells"], opset_version=18, dynamo=False,
        dynamic_axes={name: {0: "batch"} for name in [*names, "cells"]},
    )  # fmt: skip
    top = onnx.load_from_string(buffer.getvalue())
    top = compose.add_prefix(top, "head.", rename_inputs=False, rename_outputs=False)
    first = backbone()
    top.ir_version = first.ir_version
    whole = compose.merge_models(first, top, io_map=[(k, k) for k in names], outputs=["cells"])
    kept, casts = [], []
    for constant in whole.graph.initializer:
        value = numpy_helper.to_array(constant)
        if value.dtype == np.float32 and value.size > 64:
            kept.append(numpy_helper.from_array(value.astype(np.float16), f"{constant.name}.half"))
            casts.append(helper.make_node("Cast", [f"{constant.name}.half"], [constant.name], to=1))
        else:
            kept.append(constant)
    del whole.graph.initializer[:]
    whole.graph.initializer.extend(kept)
    nodes = [*casts, *whole.graph.node]
    del whole.graph.node[:]
    whole.graph.node.extend(nodes)
    whole.producer_name = "visualsearch"
    onnx.checker.check_model(whole)
    path = out / "finder.onnx"
    path.write_bytes(whole.SerializeToString())
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=("features", "head"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=5000)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1])
    options = parser.parse_args()
    (features if options.step == "features" else train)(options)


if __name__ == "__main__":
    main()
