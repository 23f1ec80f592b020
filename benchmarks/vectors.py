"""Realistic vectors for index benchmarks: embeddings of random crops of real pictures, expanded to any number of rows.

python benchmarks/vectors.py PICTURES... --cache DIR [--embed 50000] [--rows 100000 1000000] [--check]

1. Every tenth picture (by the hash of its name) is held out. Of every picture several views are embedded with the bundled
   encoder: the whole picture, then random crops, mirrored and with changed light. A stopped run goes on where it was.
2. Rows beyond the real ones are made from them by `expand`; `--check` measures how like the real ones they are.
3. Queries: views of held-out pictures; and words (what a `.txt` file beside a picture says, else the words of its file
   name) through the encoder's text tower. The bundled model's text vectors fill only the second half of the dimensions,
   so they lie far from every picture: queries out of distribution, harder for every index.

The cache then holds real.npy, held_out.npy, queries_image.npy, queries_text.npy (float16) and rows_N.npy (float16, (N, d));
about.json says what they were made from (the encoder's fingerprint among it).
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import report
from numpy.typing import NDArray

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
PART = 256  # pictures a part file: what a stopped run loses at most
QUERIES = 1000


@dataclass(frozen=True)
class View:
    """How a view of a picture is made: its box as fractions of the picture, mirroring, and factors of light."""

    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    mirrored: bool = False
    brightness: float = 1.0
    contrast: float = 1.0
    colour: float = 1.0


def views(seed: int, name: str, count: int) -> list[View]:
    """The whole picture and `count` - 1 random crops (15-100 % of the area, aspect 3:4 to 4:3), the same at every run."""
    random = np.random.default_rng([seed, int(_digest(name)[:12], 16)])
    made = [View()]
    for _ in range(count - 1):
        area, aspect = random.uniform(0.15, 1.0), np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3)))
        width, height = min(1.0, np.sqrt(area * aspect)), min(1.0, np.sqrt(area / aspect))
        left, top = random.uniform(0, 1 - width), random.uniform(0, 1 - height)
        light = random.uniform(0.7, 1.3, 3)
        made.append(View((left, top, left + width, top + height), bool(random.random() < 0.5), *light))
    return made


def rendered(picture: Any, view: View) -> Any:
    """The view of an RGB Pillow picture."""
    from PIL import Image, ImageEnhance

    if view == View():
        return picture
    width, height = picture.size
    left, top, right, bottom = view.box
    edges = (int(left * width), int(top * height), int(np.ceil(right * width)), int(np.ceil(bottom * height)))
    picture = picture.crop((edges[0], edges[1], max(edges[2], edges[0] + 1), max(edges[3], edges[1] + 1)))
    if view.mirrored:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for enhancer, factor in (
        (ImageEnhance.Brightness, view.brightness),
        (ImageEnhance.Contrast, view.contrast),
        (ImageEnhance.Color, view.colour),
    ):
        picture = enhancer(picture).enhance(factor)
    return picture


def pictures_of(places: Sequence[Path]) -> list[Path]:
    """All picture files below the places, in an order that mixes the folders and is the same at every run."""
    found = {p for place in places for p in place.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()}
    return sorted(found, key=lambda p: _digest(p.name + str(p.stat().st_size)))


def is_held_out(path: Path) -> bool:
    """Every tenth picture, by the hash of its name."""
    return int(_digest("held out " + path.name)[:8], 16) % 10 == 0


def caption(path: Path) -> str | None:
    """Words for a picture: the first line of the `.txt` file beside it, else of its name; None when it has none."""
    beside = path.with_suffix(".txt")
    if beside.exists():
        first = beside.read_text(encoding="utf-8", errors="replace").splitlines()[:1]
        if first and first[0].strip():
            return first[0].strip()
    words = re.findall(r"[^\W\d_]{3,}", re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "", path.stem))
    return " ".join(words).lower() or None


def embed(encoder: Any, pictures: list[Path], each: int, folder: Path, seed: int) -> None:
    """Embed `each` views of every picture into part files of `folder`; parts that exist are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        for number, at in enumerate(range(0, len(pictures), PART)):
            part = folder / f"{number:05d}.npz"
            if part.exists():
                continue
            start = time.perf_counter()
            squares, owners, failed = [], [], 0
            batch = pictures[at : at + PART]
            for place, made in enumerate(
                pool.map(lambda p: _squares(encoder, p, views(seed, p.name, each)), batch)
            ):
                failed += made is None
                squares += made or []
                owners += [at + place] * len(made or [])
            vectors = encoder.encode_images(np.stack(squares)).astype(np.float16)
            _whole(part, vectors=vectors, owners=np.array(owners, np.int32))
            rate = len(vectors) / (time.perf_counter() - start)
            print(
                f"{at + len(batch):,} of {len(pictures):,} pictures, {rate:.0f} views/s, {failed} unreadable"
            )


def _squares(encoder: Any, path: Path, wanted: list[View]) -> list[Any] | None:
    from visualsearch.errors import PictureError
    from visualsearch.images import load

    try:
        picture = load(path, target=2 * encoder.spec.preprocessing.size)
    except PictureError:
        return None  # counted by the caller
    return [encoder.preprocess(rendered(picture, view)) for view in wanted]


def gathered(folder: Path) -> tuple[NDArray[np.float16], NDArray[np.int32]]:
    """All part files: (m, d) float16 vectors and the (m,) picture each is a view of."""
    parts = [np.load(p) for p in sorted(folder.glob("*.npz"))]
    return np.concatenate([p["vectors"] for p in parts]), np.concatenate([p["owners"] for p in parts])


@dataclass(frozen=True)
class Recipe:
    """How rows are made from real ones; the values in use are those that `--check` found most like real rows.

    A row is the unit vector along (1 - t) a + t b + the sum of s (c - d) over `terms` terms: `a` a real row, `b` a real row
    of one of the `pictures` pictures most like a's, t uniform in 0..`between`; c and d two views of one of those pictures,
    and s normal with deviation `shift` / sqrt(terms). So a new row lies among rows that are alike and differs from them as
    real views of such things do.
    """

    pictures: int = 24
    between: float = 0.5
    shift: float = 1.3
    terms: int = 3


class Maker:
    """Makes rows from real ones, (m, d) float32 of unit length, and the (m,) picture each is a view of."""

    def __init__(self, real: NDArray[Any], owners: NDArray[Any], recipe: Recipe, seed: int) -> None:
        self.real = real.astype(np.float32)
        self.recipe, self.seed = recipe, seed
        _, self.owner, counts = np.unique(owners, return_inverse=True, return_counts=True)
        self.count = counts
        self.first = np.cumsum(counts) - counts  # rows of a picture are consecutive
        if (np.diff(self.owner) < 0).any():
            raise ValueError("the rows of a picture must be consecutive")
        self.near = self._near()

    def _near(self) -> NDArray[np.int64]:
        """(pictures, p) the pictures most like each, by the mean of their views."""
        means = np.add.reduceat(self.real, self.first)
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        wanted = min(self.recipe.pictures, len(means) - 1)
        found = []
        for at in range(0, len(means), 2048):
            scores = means[at : at + 2048] @ means.T
            scores[np.arange(len(scores)), np.arange(at, at + len(scores))] = -np.inf
            found.append(np.argpartition(scores, -wanted)[:, -wanted:])
        return np.concatenate(found)

    def block(self, number: int, rows: int) -> NDArray[np.float16]:
        """(rows, d) made rows; the same for the same number, however many blocks are made."""
        random, how = np.random.default_rng([self.seed, number]), self.recipe
        a = random.integers(len(self.real), size=rows)
        near = self.near[self.owner[a]]

        def neighbour() -> NDArray[np.int64]:
            return near[np.arange(rows), random.integers(near.shape[1], size=rows)]

        def view(picture: NDArray[np.int64]) -> NDArray[np.float32]:
            return self.real[self.first[picture] + random.integers(self.count[picture])]

        t = random.uniform(0, how.between, (rows, 1)).astype(np.float32)
        made = (1 - t) * self.real[a] + t * view(neighbour())
        for _ in range(how.terms):
            picture = neighbour()
            s = random.normal(0, how.shift / np.sqrt(how.terms), (rows, 1)).astype(np.float32)
            made += s * (view(picture) - view(picture))
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        return made.astype(np.float16)


MAKE = 50_000


def expand(maker: Maker, rows: int, path: Path) -> None:
    """Write rows_N.npy: the real rows, then made ones, in an order that does not tell which is which.

    A stopped run goes on at the block where it was.
    """
    if path.exists():
        return
    aside, state = path.with_suffix(".tmp"), path.with_suffix(".done")
    dim = maker.real.shape[1]
    done = int(state.read_text()) if state.exists() and aside.exists() else 0
    out = np.lib.format.open_memmap(aside, mode="r+" if done else "w+", dtype=np.float16, shape=(rows, dim))
    place = (
        np.random.default_rng(maker.seed).permutation(rows)[: len(maker.real)]
        if rows > len(maker.real)
        else None
    )
    for number, at in enumerate(range(0, rows, MAKE)):
        if at < done:
            continue
        out[at : at + MAKE] = maker.block(number, min(MAKE, rows - at))
        state.write_text(str(at + MAKE))
    if place is None:
        out[:] = maker.real[:rows]
    else:
        out[np.sort(place)] = maker.real[np.argsort(np.argsort(place))]
    out.flush()
    del out
    aside.replace(path)
    state.unlink(missing_ok=True)


def _whole(path: Path, **arrays: NDArray[Any]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    aside = path.with_suffix(".tmp")
    aside.write_bytes(buffer.getvalue())
    aside.replace(path)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def main(argv: Sequence[str] | None = None) -> None:
    """Make the vectors."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("pictures", type=Path, nargs="*")
    options.add_argument("--cache", type=Path, help="folder of the vectors; kept between runs")
    options.add_argument("--embed", type=int, default=50_000, help="views embedded, about")
    options.add_argument("--views", type=int, default=4, help="views a picture")
    options.add_argument("--rows", type=int, nargs="*", default=[100_000, 1_000_000])
    options.add_argument("--seed", type=int, default=7)
    options.add_argument(
        "--check", action="store_true", help="measure how like the real rows the made ones are"
    )
    options.add_argument("--smoke", action="store_true", help="a few sample pins, checks only")
    options.add_argument("--to", type=Path, help="folder for vectors.json, what --check measured")
    given = options.parse_args(argv)
    if given.smoke:
        smoke(given.to)
        return
    if given.cache is None or not given.pictures:
        options.error("give PICTURES... and --cache DIR")
    make(given)
    if given.check:
        report("vectors", {"check": check(given.cache, given.seed)}, given.to)


def make(given: argparse.Namespace) -> None:
    """Embed, split, expand; what exists is kept."""
    from visualsearch import load_encoder

    encoder = load_encoder("bundled")
    pictures = pictures_of(given.pictures)[: max(1, given.embed // given.views)]
    about = {
        "encoder": encoder.spec.name,
        "fingerprint": encoder.spec.fingerprint,
        "pictures": len(pictures),
        "views": given.views,
        "seed": given.seed,
        "names": _digest("\n".join(p.name for p in pictures)),
        "expansion": asdict(Recipe()),
    }
    given.cache.mkdir(parents=True, exist_ok=True)
    told = given.cache / "about.json"
    if told.exists() and (kept := json.loads(told.read_text())) != about:
        changed = [key for key in about if kept.get(key) != about[key]]
        raise SystemExit(
            f"{given.cache} was made otherwise ({', '.join(changed)} differ): choose another folder, or empty it"
        )
    embed(encoder, pictures, given.views, given.cache / "parts", given.seed)
    told.write_text(json.dumps(about, indent=2) + "\n")
    if not (given.cache / "real_owners.npy").exists():
        _split(encoder, pictures, given.cache, given.seed)
    real, owners = np.load(given.cache / "real.npy"), np.load(given.cache / "real_owners.npy")
    maker = Maker(real, owners, Recipe(), given.seed)
    for rows in given.rows:
        expand(maker, rows, given.cache / f"rows_{rows}.npy")
        print(f"{given.cache / f'rows_{rows}.npy'}: {min(rows, len(real)):,} real rows of {rows:,}")


def _split(encoder: Any, pictures: list[Path], folder: Path, seed: int) -> None:
    """real.npy, held_out.npy, the queries, and last real_owners.npy, which says that all are there."""
    vectors, owners = gathered(folder / "parts")
    out = np.isin(owners, [n for n, p in enumerate(pictures) if is_held_out(p)])
    random = np.random.default_rng(seed)
    held = vectors[out]
    np.save(folder / "held_out.npy", held)
    np.save(folder / "queries_image.npy", held[random.permutation(len(held))[:QUERIES]])
    words = sorted({said for p in pictures if (said := caption(p))})
    chosen = [words[n] for n in sorted(random.permutation(len(words))[:QUERIES])]
    if chosen and encoder.spec.text:
        np.save(folder / "queries_text.npy", encoder.embed_texts(chosen).astype(np.float16))
        (folder / "queries_text.txt").write_text("\n".join(chosen) + "\n", encoding="utf-8")
    np.save(folder / "real.npy", vectors[~out])
    np.save(folder / "real_owners.npy", owners[~out])


# -- how like real rows made ones are -----------------------------------------------------------------------------
def check(folder: Path, seed: int) -> dict[str, Any]:
    """Real rows against as many made from a quarter of their pictures, seen from held-out rows and from within.

    Distances are Euclidean between unit vectors, medians; `dimension` is the local intrinsic one, the maximum-likelihood
    estimator over the k nearest (Levina and Bickel, NIPS 2004; Amsaleg et al., KDD 2015), median over queries. `recall`:
    recall@10 of the same index (IVF and HNSW, built on each) at rising effort. Held-out pictures have nothing of their own
    among the rows, and no expansion can invent pictures, so they are a little farther from made rows than from real ones.
    """
    real, owners = np.load(folder / "real.npy").astype(np.float32), np.load(folder / "real_owners.npy")
    queries = np.load(folder / "queries_image.npy").astype(np.float32)
    few = owners % 4 == 0
    maker = Maker(real[few], owners[few], Recipe(), seed)
    made = np.concatenate([real[few], maker.block(0, len(real) - int(few.sum())).astype(np.float32)])
    return {
        "rows": len(real),
        "real among the made": int(few.sum()),
        "real": _figures(real, queries, seed),
        "made": _figures(made, queries, seed),
    }


def _figures(rows: NDArray[np.float32], queries: NDArray[np.float32], seed: int) -> dict[str, Any]:
    own = rows[np.random.default_rng(seed).permutation(len(rows))[: len(queries)]]
    return {
        "from held-out rows": _distances(_nearest(rows, queries, 100)),
        "from its own rows": _distances(_nearest(rows, own, 101)[:, 1:]),
        "recall": _recalls(rows, queries),
    }


def _nearest(rows: NDArray[np.float32], queries: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """(q, k) distances, nearest first."""
    found = []
    for at in range(0, len(queries), 250):
        scores = queries[at : at + 250] @ rows.T
        best = np.sort(np.partition(scores, -min(k, len(rows)), axis=1)[:, -k:], axis=1)[:, ::-1]
        found.append(np.sqrt(np.maximum(0, 2 - 2 * best)))
    return np.concatenate(found)


def _distances(near: NDArray[np.float32]) -> dict[str, float]:
    out = {f"d{k}": float(np.median(near[:, k - 1])) for k in (1, 10, 100) if k <= near.shape[1]}
    for k in (20, 100):
        if k <= near.shape[1]:
            logs = np.log(near[:, k - 1 : k] / np.maximum(near[:, : k - 1], 1e-3))
            out[f"dimension{k}"] = float(np.median(1 / np.maximum(logs.mean(1), 1e-9)))
    return {name: round(value, 3) for name, value in out.items()}


def _recalls(rows: NDArray[np.float32], queries: NDArray[np.float32]) -> dict[str, float]:
    import faiss

    exact = faiss.IndexFlatIP(rows.shape[1])
    exact.add(rows)
    truth = exact.search(queries, 10)[1]
    out = {}
    for factory, knob, values in (
        (f"IVF{max(1, min(128, len(rows) // 40))},Flat", "nprobe", (1, 4, 16)),
        ("HNSW16,Flat", "efSearch", (16, 32, 64)),
    ):
        index = faiss.index_factory(rows.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        index.train(rows)
        index.add(rows)
        for value in values:
            faiss.ParameterSpace().set_index_parameter(index, knob, value)
            found = index.search(queries, 10)[1]
            shared = np.mean([len(set(f) & set(t)) for f, t in zip(found, truth, strict=True)]) / 10
            out[f"{factory} {knob} {value}"] = round(float(shared), 3)
    return out


def make_small(cache: Path, rows: int) -> None:
    """A few rows from the sample pins that ship with the package."""
    from visualsearch.samples import samples_dir

    make(
        argparse.Namespace(
            pictures=[samples_dir() / "pins"], cache=cache, embed=320, views=4, rows=[rows], seed=7
        )
    )


def smoke(to: Path | None) -> None:
    """The whole way over a few sample pins: sizes, unit length, and the same rows at a second run."""
    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch) / "v"
        make_small(cache, 1000)
        rows = np.load(cache / "rows_1000.npy")
        queries = np.load(cache / "queries_image.npy")
        lengths = np.linalg.norm(rows.astype(np.float32), axis=1)
        if rows.shape[0] != 1000 or not np.allclose(lengths, 1, atol=2e-3) or not len(queries):
            raise SystemExit("the made rows are not 1000 vectors of unit length")
        (cache / "rows_1000.npy").unlink()
        make_small(cache, 1000)
        if not np.array_equal(rows, np.load(cache / "rows_1000.npy")):
            raise SystemExit("a second run made other rows")
        report("vectors", {"smoke": True, "check": check(cache, 7)}, to)


if __name__ == "__main__":
    main()
