"""Ray Data takes over where one machine is too slow to embed on: the pictures go to a cluster, the vectors come back.

The source is listed here. Its records travel in chunks to actors that read, decode and embed them. So every node must have
this package installed, and must reach the pictures: a shared folder, URLs, `s3://`, `gs://`.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from visualsearch.encoders import BaseEncoder, batches, load_encoder
from visualsearch.errors import MissingExtraError, UsageError
from visualsearch.images import MAX_PIXELS, limit_memory
from visualsearch.resources import keep_freed_memory

from .clip_retrieval import Item, Outcome, embed_records, no_bytes

if TYPE_CHECKING:
    from visualsearch.sources import Source

CHUNK = 256  # pictures that travel together
WAVE = 2_000  # chunks in one run of Ray Data: what this process keeps in mind at once
LOCAL = "local"


@dataclass(frozen=True)
class Cluster:
    """Embeds records on a Ray cluster: a `Work` of `clip_retrieval.write_embeddings`.

    `address` is that of a cluster (`auto`, `ray://host:10001`), or `local` for one on this machine. `actors` embed at
    the same time, each with `cpus` processors and `gpus` cards (fractions share one); `model` and `options` are what they
    load by `load_encoder`. `memory`: bytes that the pictures decoded in one actor may take together. `source` and `count`
    let them measure or calibrate where the options ask for it.
    """

    model: str
    options: dict[str, Any]
    address: str = LOCAL
    actors: int = 1
    cpus: float = 1
    gpus: float = 0
    batch: int = 64
    max_pixels: int = MAX_PIXELS
    memory: int | None = None
    source: Source | None = None
    count: int | None = None

    def __call__(self, items: Iterable[Item]) -> Iterator[list[Outcome]]:
        """Outcomes in the order in which they come back. Raises MissingExtraError, UsageError."""
        try:
            import ray
            from ray import cloudpickle
        except ImportError as error:
            raise MissingExtraError("cannot embed on a cluster", "ray") from error
        ours = not ray.is_initialized()
        if ours:
            self._connect(ray)
        try:
            ray.data.DataContext.get_current().enable_progress_bars = False
            logging.getLogger("ray.data").setLevel(logging.WARNING)
            chunks = ({"records": cloudpickle.dumps(chunk)} for chunk in batches(items, CHUNK))
            for wave in batches(chunks, WAVE):
                done = ray.data.from_items(wave, override_num_blocks=len(wave)).map_batches(
                    Embedder,
                    fn_constructor_args=(self,),
                    batch_size=1,
                    compute=ray.data.ActorPoolStrategy(size=self.actors),
                    num_cpus=self.cpus,
                    num_gpus=self.gpus,
                )
                for row in done.iter_rows():
                    yield cloudpickle.loads(row["outcomes"])
        finally:
            if ours:
                ray.shutdown()

    def _connect(self, ray: Any) -> None:
        here = {"include_dashboard": False} if self.address == LOCAL else {}
        try:
            ray.init(address=self.address, log_to_driver=False, logging_level="ERROR", **here)
        except Exception as error:  # Ray raises many kinds, some of them bare
            raise UsageError(
                f"cannot join the Ray cluster {self.address!r}",
                str(error).partition("\n")[0],
                "Start one (ray start --head), or use the address `local`",
            ) from error


class Embedder:
    """An actor: chunks of pickled records in, their pickled outcomes out. For `ray.data.Dataset.map_batches`."""

    def __init__(self, cluster: Cluster) -> None:
        keep_freed_memory()
        if cluster.memory is not None:
            limit_memory(cluster.memory)
        self.cluster = cluster
        self.encoder = load_encoder(cluster.model, **cluster.options)
        if cluster.source is not None and isinstance(self.encoder, BaseEncoder):
            self.encoder.calibrate(cluster.source, cluster.count)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        """{"records": one chunk} -> {"outcomes": what became of them}."""
        from ray import cloudpickle

        records = itertools.chain.from_iterable(cloudpickle.loads(chunk) for chunk in batch["records"])
        groups = embed_records(
            records,
            self.encoder,
            batch=self.cluster.batch,
            workers=max(1, round(self.cluster.cpus)),
            max_pixels=self.cluster.max_pixels,
        )
        outcomes = [
            replace(one, record=replace(one.record, read=no_bytes)) for group in groups for one in group
        ]
        return {"outcomes": [cloudpickle.dumps(outcomes)]}
