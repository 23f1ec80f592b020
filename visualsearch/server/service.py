"""What the routes do, free of HTTP: queries, pictures and changes over one index, within the settings' limits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from visualsearch import compiled, images
from visualsearch.engine import Index
from visualsearch.errors import PictureError, UsageError
from visualsearch.fetch import shown, without_login
from visualsearch.images import sniff
from visualsearch.search import all_weights, query_of
from visualsearch.sources import read
from visualsearch.store import Pin, check_id, checked
from visualsearch.types import Failure, Hit, Hits, Part, Query, Record

from . import catalog, guard
from .batching import BatchingEncoder
from .deadline import check_filter, limited
from .kept import Attempt, Kept
from .metrics import Metrics
from .problems import Kind, RefusedError
from .schemas import (
    AttributeOut,
    HitOut,
    LookOut,
    LookRequest,
    ObjectOut,
    PinOut,
    SearchRequest,
    SearchResponse,
    ValueOut,
)
from .settings import CORES, Settings
from .stores import Store, Uploads, picture_bytes
from .work import Pool

if TYPE_CHECKING:
    from PIL.Image import Image

SIZES = (160, 240, 320, 480, 640, 960, 1280, 1920)
"""Longer sides, in pixels, that pictures are served in; what is asked for is rounded up to one of them."""
SORTED = 200
"""Sorting by an attribute orders so many of the best matches."""
MAX_SHOWN = 500
"""Characters of an unknown id that are repeated."""
LOOK_SECONDS = 20.0
"""Computing that finding objects may take, besides filtering."""
SILENT_SECONDS = 30.0
"""A host that let a picture wait for too long is not asked for so long."""
FORMATS = {"WEBP": "image/webp", "JPEG": "image/jpeg"}


@dataclass(frozen=True)
class Thumbnail:
    """A picture ready to send."""

    data: bytes
    media_type: str
    etag: str


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


class Service:
    """One index and what serves it. `index` uses a BatchingEncoder, which ends with `close`."""

    def __init__(self, index: Index, encoder: BatchingEncoder, settings: Settings, metrics: Metrics) -> None:
        self.index, self.encoder, self.settings, self.metrics = index, encoder, settings, metrics
        self.uploads = Uploads(settings.uploads_bytes, settings.uploads_seconds)
        self.decoded: Store[str, Image] = Store(settings.decoded_bytes, picture_bytes)
        self.thumbnails: Store[tuple[str, int, str], bytes] = Store(settings.thumbnail_bytes, len)
        self.fetch = guard.fetch
        self.pictures = Pool("picture", settings.threads, settings.queue)
        self.fetches = Pool("fetch", 8, settings.queue)
        self.remote = Pool("remote picture", 4, 64)
        self.silent: Store[str, float] = Store(10_000, lambda _: 1)
        self.light = Pool("search", 4, 4 * settings.queue)
        self.thumbs = Pool("thumbnail", 4, 512)
        self.writes = Pool("write", 1, 16)
        self.parsing = Pool("parse", 1, settings.queue)
        # A page full of thumbnails leaves a core to queries.
        self._shrinking = threading.Semaphore(max(1, CORES - 1))
        self.kept = Kept(index)
        self.ready = threading.Event()
        self._summary: tuple[int, list[AttributeOut]] | None = None
        self._info: tuple[int, dict[str, Any]] | None = None

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
            found = self.index.look(
                picture,
                wanted.k,
                boxes=wanted.boxes,
                most=wanted.most,
                where=wanted.where,
                min_score=wanted.min_score,
            )
        self.metrics.observe("look", found.seconds.get("total", 0.0))
        objects = [
            ObjectOut(
                box=list(one.box),
                score=one.score,
                label=one.label,
                label_from=one.label_from,
                hits=[hit_out(hit) for hit in one.hits],
            )
            for one in found
        ]
        width, height = found.size
        return LookOut(
            objects=objects,
            found=found.found,
            notes=list(found.notes),
            width=width,
            height=height,
            seconds={stage: round(seconds, 5) for stage, seconds in found.seconds.items()},
            upload=upload,
        )

    async def answer(self, wanted: SearchRequest, data: bytes | None = None) -> SearchResponse:
        """`search` in the threads that are for it; an address is fetched in threads of its own first."""
        self.check(wanted, data)
        if data is None:
            data = await self.brought(wanted.image)
            if data is not None:
                wanted = wanted.model_copy(update={"image": None})
        pool = self.light if data is None and wanted.image is None else self.pictures
        return await pool.run(images.in_hand()(self.search), wanted, data)

    def search(self, wanted: SearchRequest, data: bytes | None = None) -> SearchResponse:
        """Answer a query that `check` let pass; `data` is the file of its picture where that came with it."""
        check_filter(wanted.where, self.settings.max_tests)
        for name in {*wanted.like, *wanted.unlike}:
            self._known(name)
        upload, picture = self._picture(wanted, data)
        query = query_of(
            image=picture,
            crop=wanted.crop or None,
            text=wanted.text,
            not_text=wanted.not_text,
            like=wanted.like,
            unlike=wanted.unlike,
            weights=wanted.weights,
            where=wanted.where,
            k=wanted.k,
            offset=wanted.offset,
            min_score=wanted.min_score,
            include_seeds=wanted.include_seeds,
            group_by=wanted.group_by,
        )
        self.encoder.spent()
        with limited(self.index, self.settings.filter_seconds):
            hits = self._sorted(query, wanted.sort) if wanted.sort else self.index.run(query)
        self.metrics.observe("search", max(0.0, hits.seconds - self.encoder.spent()))
        reach = min(hits.total, SORTED) if wanted.sort else hits.total
        return SearchResponse(
            hits=[hit_out(hit) for hit in hits],
            total=hits.total,
            plan=hits.plan,
            seconds=round(hits.seconds, 5),
            upload=upload,
            best=hits.best,
            alike=hits.alike,
            noise=hits.noise,
            notes=list(hits.notes),
            more=len(hits) == wanted.k and wanted.offset + wanted.k < min(reach, self.settings.max_offset),
        )

    def check(self, wanted: SearchRequest, data: bytes | None) -> None:
        """Raise what can be known to be wrong with a query before anything is computed."""
        limits = self.settings
        words = [*wanted.text, *wanted.not_text]
        for what, given, most in (
            ("k", wanted.k, limits.max_k),
            ("offset", wanted.offset, limits.max_offset),
            ("characters of text", max(map(len, words), default=0), limits.max_text),
            ("parts of a query", len(words) + len(wanted.like) + len(wanted.unlike), limits.max_parts),
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

    def _sorted(self, query: Query, sort: str) -> Hits:
        with self.index.catalog.read() as reader:
            name, down = catalog.sort_key(sort, reader.names())
        hits = self.index.run(replace(query, k=SORTED, offset=0))
        having = [hit for hit in hits if _orderable(hit.attributes.get(name))]
        having.sort(key=lambda hit: _order(hit.attributes[name]), reverse=down)
        rest = [hit for hit in hits if not _orderable(hit.attributes.get(name))]
        page = slice(query.offset, query.offset + query.k)
        return replace(hits, items=tuple([*having, *rest][page]))

    # -- pictures -------------------------------------------------------------------------------------------------
    def _picture(self, wanted: SearchRequest, data: bytes | None) -> tuple[str | None, Image | None]:
        """Name and pixels of the query's picture; in full where it is going to be cropped."""
        whole = wanted.crop is not None
        if data is not None:
            picture = self.decode(data, whole)
            return self.uploads.keep(data), picture
        if wanted.image is None:
            return None, None
        scheme, _, name = wanted.image.partition(":")
        if scheme == "upload":
            return name, self.decode(self.uploads.get(name), whole)
        if scheme == "pin":
            return None, self.decode(self.pin_file(self.pin(name)), whole)
        raise UsageError(
            "the query's picture cannot be found",
            "`image` is neither an http(s) address nor upload:HASH nor pin:ID",
            "Send the picture itself, or its address",
        )

    async def brought(self, image: str | None) -> bytes | None:
        """The picture file of a query that lies elsewhere, fetched in threads for that; None for all others."""
        if image is None:
            return None
        if _is_web(image):
            return await self.fetches.run(self.fetched, image)
        scheme, _, name = image.partition(":")
        if scheme != "pin":
            return None
        pin = await self.light.run(self.pin, name)
        return await self.remote_file(pin) if _is_remote(pin.uri) else None

    def fetched(self, url: str, seconds: float | None = None) -> bytes:
        """The picture file at an address, never from inside the server's own network."""
        limits = self.settings
        allowed = (lambda _address: True) if limits.allow_private else guard.is_global
        return self.fetch(
            url, max_bytes=limits.max_body, timeout=seconds or limits.fetch_seconds, allowed=allowed
        )

    async def remote_file(self, pin: Pin) -> bytes:
        """The file of a pin whose picture lies elsewhere. Its threads are its own: a silent host stops nobody else."""
        try:
            return await self.remote.run(self._remote_file, pin)
        except RefusedError as error:
            if error.kind is Kind.BUSY:
                raise self._no_picture(pin, "many pictures of other hosts are being fetched") from error
            raise

    def _remote_file(self, pin: Pin) -> bytes:
        host = _host_of(pin.uri)
        if (self.silent.get(host) or 0.0) > time.monotonic():
            raise self._no_picture(pin, "its host did not answer a moment ago")
        started = time.monotonic()
        try:
            if _is_web(pin.uri):
                return self.fetched(pin.uri, self.settings.remote_seconds)
            return read(pin.uri)
        except PictureError as error:
            if time.monotonic() - started >= self.settings.remote_seconds:
                self.silent.put(host, time.monotonic() + SILENT_SECONDS)
            raise self._no_picture(pin, "its file is gone or its host does not answer") from error

    def decode(self, data: bytes, whole: bool) -> Image:
        """The picture in a file, in full where `whole`, else as large as the encoder needs."""
        key = sha256(data).hexdigest()
        kept = self.decoded.get(key)
        if kept is not None:
            return kept
        target = None if whole else self.encoder.spec.preprocessing.size
        with self.metrics.stage("decode"):
            picture = images.decode(data, max_pixels=self.settings.max_pixels, target=target)
        if whole:
            self.decoded.put(key, picture)
        return picture

    def upload(self, data: bytes) -> tuple[str, int, int]:
        """Keep a picture for queries to come: its name, width and height."""
        picture = self.decode(data, whole=True)
        return self.uploads.keep(data), picture.width, picture.height

    def upload_picture(self, name: str, size: int | None, form: str) -> Thumbnail:
        """An uploaded picture, scaled down and made anew."""
        data = self.uploads.get(name)
        return self._thumbnail(name, size, form, lambda: data)

    async def pin_picture(self, pin: Pin, size: int | None, form: str) -> Thumbnail:
        """A pin's picture, scaled down and made anew. Raises RefusedError when its file cannot be read."""
        load = partial(self.pin_file, pin)
        if _is_remote(pin.uri) and self.thumbnails.get((_version(pin), _rounded(size), form)) is None:
            data = await self.remote_file(pin)
            load = partial(bytes, data)
        return await self.thumbs.run(self._thumbnail, _version(pin), size, form, load)

    def etag(self, pin: Pin, size: int | None, form: str) -> str:
        """The ETag that `pin_picture` would have."""
        return _etag(_version(pin), _rounded(size), form)

    def pin_file(self, pin: Pin) -> bytes:
        """The bytes of a pin's picture. Raises RefusedError, which does not tell where it is."""
        if _is_remote(pin.uri):  # these go through `remote_file`, which guards and bounds them
            raise self._no_picture(pin, "it lies on another host")
        try:
            return read(pin.uri)
        except PictureError as error:
            raise self._no_picture(pin, "its file is gone") from error

    def _no_picture(self, pin: Pin, why: str) -> RefusedError:
        return RefusedError(
            Kind.NO_PICTURE,
            f"the picture of pin {pin.id[:MAX_SHOWN]!r} cannot be read",
            why,
            "Index its source again",
        )

    def _thumbnail(self, version: str, size: int | None, form: str, load: Any) -> Thumbnail:
        rounded = _rounded(size)
        key = (version, rounded, form)
        data = self.thumbnails.get(key)
        if data is None:
            with self.metrics.stage("thumbnail"):
                try:
                    source = load()
                    with self._shrinking:
                        data = images.thumbnail(
                            source, rounded, form, 82, max_pixels=self.settings.max_pixels
                        )
                except PictureError as error:
                    raise RefusedError(
                        Kind.NO_PICTURE, "the picture cannot be read", error.why, error.remedy
                    ) from error
            self.thumbnails.put(key, data)
        return Thumbnail(data, FORMATS[form], _etag(version, rounded, form))

    # -- pins -----------------------------------------------------------------------------------------------------
    def pin(self, name: str) -> Pin:
        """The pin of that id. Raises RefusedError."""
        with self.index.catalog.read() as reader:
            pin = reader.by_id(name)
        if pin is None:
            raise RefusedError(
                Kind.NOT_FOUND, f"there is no pin {name[:MAX_SHOWN]!r}", "", "Search first to learn the ids"
            )
        return pin

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


# -- at the edge --------------------------------------------------------------------------------------------------
def hit_out(hit: Hit) -> HitOut:
    """A hit as it is sent."""
    return HitOut(
        id=hit.id,
        score=hit.score,
        box=list(hit.box),
        attributes=dict(hit.attributes),
        uri=_public(hit.uri),
        picture=picture_url(hit.id),
    )


def pin_out(pin: Pin) -> PinOut:
    """A pin as it is sent."""
    return PinOut(
        id=pin.id,
        attributes=pin.attributes,
        uri=_public(pin.uri),
        picture=picture_url(pin.id),
        hash=pin.hash.hex() if pin.hash else None,
    )


def picture_url(name: str) -> str:
    """Where a pin's picture is served."""
    return f"/pins/{quote(name, safe='')}/picture"


def _public(uri: str) -> str | None:
    """A web address without what it keeps secret; a place on the server is nobody's business."""
    return shown(uri) if _is_web(uri) else None


def _is_web(image: str) -> bool:
    return image.lower().startswith(("http://", "https://"))


def _is_remote(uri: str) -> bool:
    """Whether reading a pin's picture asks another host."""
    return "://" in uri[:40] and not uri.lower().startswith(("file://", "memory://"))


def _host_of(uri: str) -> str:
    """The host in an address, for remembering that it is silent."""
    return without_login(uri).partition("://")[2].partition("/")[0].lower()


def _version(pin: Pin) -> str:
    return pin.hash.hex() if pin.hash else f"pin-{pin.pin}-{pin.row}"


def _rounded(size: int | None) -> int:
    return next((known for known in SIZES if size is not None and known >= size), SIZES[-1])


def _etag(version: str, size: int, form: str) -> str:
    return f'"{version[:20]}-{size}-{form.lower()}"'


def _orderable(value: object) -> bool:
    return isinstance(value, str | int | float)


def _order(value: Any) -> tuple[bool, Any]:
    """Numbers before texts, each in their own order."""
    return (isinstance(value, str), value.casefold() if isinstance(value, str) else value)
