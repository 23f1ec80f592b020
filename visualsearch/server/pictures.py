"""Pictures of queries and pins: fetched, decoded, kept and scaled down within the settings' limits."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from visualsearch import images
from visualsearch.engine import Index
from visualsearch.errors import PictureError, UsageError
from visualsearch.fetch import without_login
from visualsearch.sources import read
from visualsearch.store import Pin

from . import guard
from .batching import BatchingEncoder
from .metrics import Metrics
from .problems import Kind, RefusedError
from .schemas import SearchRequest
from .sent import is_web
from .settings import CORES, Settings
from .stores import Store, Uploads, picture_bytes
from .work import Pool

if TYPE_CHECKING:
    from PIL.Image import Image

SIZES = (160, 240, 320, 480, 640, 960, 1280, 1920)
"""Longer sides, in pixels, that pictures are served in; what is asked for is rounded up to one of them."""
SILENT_SECONDS = 30.0
"""A host that let a picture wait for too long is not asked for so long."""
FORMATS = {"WEBP": "image/webp", "JPEG": "image/jpeg"}
MAX_SHOWN = 500
"""Characters of an unknown id that are repeated."""


@dataclass(frozen=True)
class Thumbnail:
    """A picture ready to send."""

    data: bytes
    media_type: str
    etag: str


class Pictures:
    """What serves pictures of one index. `index` uses a BatchingEncoder."""

    def __init__(self, index: Index, encoder: BatchingEncoder, settings: Settings, metrics: Metrics) -> None:
        self.index, self.encoder, self.settings, self.metrics = index, encoder, settings, metrics
        self.uploads = Uploads(settings.uploads_bytes, settings.uploads_seconds)
        self.decoded: Store[str, Image] = Store(settings.decoded_bytes, picture_bytes)
        self.thumbnails: Store[tuple[str, int, str], bytes] = Store(settings.thumbnail_bytes, len)
        self.fetch = guard.fetch
        self.pictures = Pool("picture", settings.threads, settings.queue)
        self.fetches = Pool("fetch", 8, settings.queue)
        self.light = Pool("search", 4, 4 * settings.queue)
        self.remote = Pool("remote picture", 4, 64)
        self.silent: Store[str, float] = Store(10_000, lambda _: 1)
        self.thumbs = Pool("thumbnail", 4, 512)
        # A page full of thumbnails leaves a core to queries.
        self._shrinking = threading.Semaphore(max(1, CORES - 1))

    def pin(self, name: str, removed: bool = False) -> Pin:
        """The pin of that id. Raises RefusedError, unless `removed` also for one that a verdict removed."""
        with self.index.catalog.read() as reader:
            pin = reader.by_id(name)
        if pin is None or (not removed and self.index.has_people and name in self.index.shut().removed):
            raise RefusedError(
                Kind.NOT_FOUND, f"there is no pin {name[:MAX_SHOWN]!r}", "", "Search first to learn the ids"
            )
        return pin

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
        if is_web(image):
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
            if is_web(pin.uri):
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
