"""What the routes do, free of HTTP: queries, pictures and changes over one index, within the settings' limits."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from io import BytesIO
from typing import TYPE_CHECKING, Any

from visualsearch import compiled, images
from visualsearch.engine import Index
from visualsearch.errors import PictureError, UsageError
from visualsearch.images import sniff
from visualsearch.live import Live, LiveSettings
from visualsearch.look import shop
from visualsearch.promote import open_promotions
from visualsearch.ranking import DEPTH, ByAttribute, ranker_of
from visualsearch.search import SearchOptions, all_weights
from visualsearch.store import Pin, check_id, checked
from visualsearch.types import Failure, Hit, Part, Query, Record

from . import catalog
from .batching import BatchingEncoder
from .deadline import check_filter, limited
from .kept import Attempt, Kept
from .metrics import Metrics
from .pictures import MAX_SHOWN, SIZES, Pictures
from .problems import Kind, RefusedError
from .schemas import AttributeOut, LookOut, LookRequest, SearchRequest, SearchResponse, ValueOut
from .sent import hit_out, look_out
from .settings import Settings
from .work import Pool

if TYPE_CHECKING:
    from PIL.Image import Image

LOOK_SECONDS = 20.0
"""Computing that finding objects may take, besides filtering."""


@dataclass(frozen=True)
class _Uploaded:
    """A source of one picture that is at hand."""

    record: Record
    uri: str = "http uploads"
    kind: str = "upload"

    def count(self) -> int | None:
        return 1

    def __iter__(self) -> Iterator[Record | Failure]:
        yield self.record


class Service(Pictures):
    """One index and what serves it. `index` uses a BatchingEncoder, which ends with `close`."""

    def __init__(self, index: Index, encoder: BatchingEncoder, settings: Settings, metrics: Metrics) -> None:
        super().__init__(index, encoder, settings, metrics)
        self.writes = Pool("write", 1, 16)
        self.parsing = Pool("parse", 1, settings.queue)
        self.kept = Kept(index)
        self.ready = threading.Event()
        self._summary: tuple[int, list[AttributeOut]] | None = None
        self._info: tuple[int, dict[str, Any]] | None = None
        self.promotions = open_promotions(index)
        on = LiveSettings(settings.swaps, settings.explore, settings.explore_floor)
        self.live = Live(index, on, saw=lambda what: metrics.live_lists.labels(what).inc())

    @property
    def pools(self) -> tuple[Pool, ...]:
        """All pools of threads."""
        return (self.pictures, self.fetches, self.light, self.thumbs, self.writes, self.parsing, self.remote)

    def warm(self) -> None:
        """Load the model, the vectors and the compiled search, so that no visitor waits for them."""
        from PIL import Image as Pillow

        size = self.encoder.spec.preprocessing.size
        out = BytesIO()
        Pillow.new("RGB", (size, size), (128, 128, 128)).save(out, "JPEG")
        images.thumbnail(out.getvalue(), SIZES[0], "WEBP")
        compiled.accelerate()
        self.index.run(Query((Part(image=images.decode(out.getvalue())),), k=1))
        if self.index.spec.text:
            self.index.run(Query((Part(text="a picture"),), k=1))
        self.ready.set()

    def close(self) -> None:
        """Finish what runs."""
        for pool in self.pools:
            pool.close()
        self.encoder.close()
        self.index.close()

    # -- searching ------------------------------------------------------------------------------------------------
    async def look(self, wanted: LookRequest, data: bytes | None = None) -> LookOut:
        """The objects of a scene."""
        image: str | None = wanted.image
        if data is None:
            data = await self.brought(image)
            image = image if data is None else None
        scene = SearchRequest(image=None if data else image, crop=[0, 0, 1, 1])  # a crop: decoded in full
        return await self.pictures.run(images.in_hand()(self._looked), wanted, scene, data)

    def _looked(self, wanted: LookRequest, scene: SearchRequest, data: bytes | None) -> LookOut:
        check_filter(wanted.where, self.settings.max_tests)
        upload, picture = self._picture(scene, data)
        with limited(self.index, LOOK_SECONDS + self.settings.filter_seconds):
            found = shop(self.index, picture, wanted.options())
        self.metrics.observe("look", found.seconds.get("total", 0.0))
        return look_out(found, upload)

    async def answer(
        self, wanted: SearchRequest, data: bytes | None = None, session: str | None = None
    ) -> SearchResponse:
        """`search` in the threads that are for it; an address is fetched in threads of its own first.

        `person` of the query is believed.
        """
        self.check(wanted, data)
        if data is None:
            data = await self.brought(wanted.image)
            if data is not None:
                wanted = wanted.model_copy(update={"image": None})
        pool = self.light if data is None and wanted.image is None and not wanted.also else self.pictures
        return await pool.run(images.in_hand()(self.search), wanted, data, session)

    def search(
        self, wanted: SearchRequest, data: bytes | None = None, session: str | None = None
    ) -> SearchResponse:
        """Answer a query that `check` let pass; `data` is the file of its picture where that came with it."""
        check_filter(wanted.where, self.settings.max_tests)
        for name in {*wanted.like, *wanted.unlike}:
            self._known(name)
        upload, picture = self._picture(wanted, data)
        asked = self._asked(wanted, picture, self._further(wanted))
        self.encoder.spent()
        with limited(self.index, self.settings.filter_seconds):
            hits = self.live.asked(asked, session)
        self.metrics.observe("search", max(0.0, hits.seconds - self.encoder.spent()))
        reach = min(hits.total, DEPTH) if wanted.sort else hits.total
        own = hits[: max(0, reach - wanted.offset)]
        shown: Sequence[Hit] = own
        if self.settings.promote:
            asker = replace(asked, person=wanted.person)
            shown = self.promotions.beside_search(asker, replace(hits, items=own))
        return SearchResponse(
            hits=[hit_out(hit) for hit in shown],
            total=hits.total,
            plan=hits.plan,
            seconds=round(hits.seconds, 5),
            upload=upload,
            best=hits.best,
            alike=hits.alike,
            noise=hits.noise,
            notes=list(hits.notes),
            more=len(own) == wanted.k and wanted.offset + wanted.k < min(reach, self.settings.max_offset),
            answer=hits.listed,
            variant=hits.variant,
        )

    def _further(self, wanted: SearchRequest) -> list[Part]:
        """The parts of the query's further pictures."""
        weight = all_weights(wanted.weights)["image"]
        named = [SearchRequest(image=name) for name in wanted.also]
        return [Part(weight, image=self._picture(one, None)[1]) for one in named]

    def _asked(self, wanted: SearchRequest, picture: Image | None, further: Sequence[Part]) -> SearchOptions:
        """The search that a request stands for. `sort` is the ranker that sorts by an attribute."""
        options = replace(wanted.options(picture), parts=further)
        if not wanted.sort:
            return options
        if wanted.rank != "cosine":
            raise UsageError("two orders were given", "`sort` and `rank` each name one", "Give one of them")
        with self.index.catalog.read() as reader:
            ranker = ByAttribute(*catalog.sort_key(wanted.sort, reader.names()))
        return replace(options, ranker=ranker, person=None)

    def check(self, wanted: SearchRequest, data: bytes | None) -> None:
        """Raise what can be known to be wrong with a query before anything is computed."""
        limits = self.settings
        words = [*wanted.text, *wanted.not_text]
        for what, given, most in (
            ("k", wanted.k, limits.max_k),
            ("offset", wanted.offset, limits.max_offset),
            ("characters of text", max(map(len, words), default=0), limits.max_text),
            (
                "parts of a query",
                len(words) + len(wanted.like) + len(wanted.unlike) + len(wanted.also),
                limits.max_parts,
            ),
        ):
            if given > most:
                raise UsageError(
                    f"{what}: {given:,} asked for", f"at most {most:,} are taken", "Ask for less"
                )
        if data is not None and wanted.image is not None:
            raise UsageError(
                "two pictures were given", "the body and `image` each have one", "Give one of them"
            )
        all_weights(wanted.weights)
        ranker_of(wanted.rank, wanted.diversity)
        if words and not self.index.spec.text:
            raise UsageError(
                "this index cannot be searched by words",
                f"its encoder {self.index.spec.name!r} reads pictures only",
                "Search by picture, or index with a model that knows words (run: visualsearch models)",
            )
        if wanted.crop is not None and data is None and wanted.image is None:
            raise UsageError("a crop without a picture", "there is nothing to cut from", "Give a picture too")

    def _known(self, name: str) -> None:
        """Raise RefusedError for an id that no pin has, without comparing it with all that there are."""
        with self.index.catalog.read() as reader:
            if reader.by_id(name) is None:
                raise RefusedError(
                    Kind.BAD_REQUEST,
                    f"there is no pin {name[:MAX_SHOWN]!r}",
                    "",
                    "Search first to learn the ids",
                )

    # -- pins -----------------------------------------------------------------------------------------------------
    def put(
        self, name: str | None, data: bytes, attributes: Mapping[str, Any], new: bool
    ) -> tuple[Pin, bool]:
        """Add a pin, or replace its picture and attributes; the pin, and whether it is new.

        The picture is kept in the index folder, named by its content. Without a name the content gives one.
        """
        digest = sha256(data).hexdigest()
        name = f"upload-{digest[:16]}" if name is None else name
        check_id(name)
        if not name.isprintable():
            raise UsageError("this id cannot be used", "it has characters that do not show", "Choose another")
        attributes = checked(attributes)
        form = sniff(data)
        picture = images.decode(data, max_pixels=self.settings.max_pixels)  # before anything is written
        del picture
        with self.index.catalog.read() as reader:
            old = reader.by_id(name)
        if old is not None and new:
            raise RefusedError(
                Kind.EXISTS, f"there is a pin {name!r} already", "", "Use PUT /pins/ID to replace it"
            )
        path = self.kept.path(f"{digest}.{form.name.lower() if form else 'picture'}")
        self.kept.sweep()
        with self.metrics.stage("write"), Attempt(self.kept, path, data) as attempt:
            record = Record(name, str(path), attempt.read, attributes, named=True, stamp=digest)
            self.index.include([name])
            report = self.index.add(
                _Uploaded(record), max_pixels=self.settings.max_pixels, workers=1, replace=True
            )
            if report.failed:
                failure = report.failures[0]
                raise PictureError("the picture", failure.reason, failure.remedy)
        # A pin that was there as it is now is not read again, and its file may be gone.
        self.kept.write(path, data)
        if old is not None and old.uri != str(path):
            self.kept.tidy(old.uri)
        return self.pin(name), old is None

    def change(self, name: str, attributes: Mapping[str, Any]) -> Pin:
        """Set attributes of a pin; None removes one."""
        checked(attributes)
        pin = self.pin(name)
        merged = {**pin.attributes, **attributes}
        kept = {key: value for key, value in merged.items() if key not in attributes or value is not None}
        with self.metrics.stage("write"):
            self.index.update(name, kept)
        return self.pin(name)

    def remove(self, name: str) -> None:
        """Remove a pin, and its picture where that is kept here."""
        pin = self.pin(name)
        with self.metrics.stage("write"):
            self.index.remove([name])
        self.kept.tidy(pin.uri)

    # -- the whole index ------------------------------------------------------------------------------------------
    @property
    def state(self) -> int:
        """The index's state; it grows with every change."""
        with self.index.catalog.read() as reader:
            return reader.state

    def attributes(self) -> list[AttributeOut]:
        """What the attributes hold; remembered until the index changes."""
        state = self.state
        if self._summary is None or self._summary[0] != state:
            self._summary = (state, catalog.summaries(self.index))
        return self._summary[1]

    def counts(self, where: str | None, names: Sequence[str]) -> dict[str, list[ValueOut]]:
        """How many pins each value has that can be chosen, under a filter; of all attributes where none are named."""
        chosen = [
            one.name
            for one in self.attributes()
            if one.kind in ("category", "boolean") and (not names or one.name in names)
        ]
        return catalog.counts(self.index, where, chosen, self.settings)

    def info(self) -> dict[str, Any]:
        """Figures of the index, recall measured; remembered until the index changes."""
        state = self.state
        if self._info is None or self._info[0] != state:
            self._info = (state, self.index.info())
        return self._info[1]

    def measure(self) -> None:
        """Bring the gauges up to date."""
        info, gauges = self.info(), self.metrics
        gauges.pins.set(info["pins"])
        gauges.rows.set(info["rows"])
        gauges.disk.set(info["disk_bytes"])
        gauges.recall.set(1.0 if info["recall"] is None else info["recall"])
        for pool in self.pools:
            gauges.pending.labels(pool.name).set(pool.pending)
        for name, store in (
            ("uploads", self.uploads.store),
            ("decoded", self.decoded),
            ("thumbnails", self.thumbnails),
        ):
            gauges.cache.labels(name).set(store.bytes)
