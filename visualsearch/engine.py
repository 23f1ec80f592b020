"""Index: the facade over catalog, vectors, approximate index and encoder.

A search runs inside one read transaction: parts -> one unit vector -> filter to a bitmap -> exact scan or approximate
search -> rescore from the stored vectors -> best row of each pin -> attributes of the pins returned only.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from visualsearch import nearest
from visualsearch.errors import EncoderMismatchError, NotAnIndexError, UnknownNameError, UsageError
from visualsearch.images import STYLE, CropStyle
from visualsearch.look import FINDER, region_boxes
from visualsearch.nearest import measured_recall
from visualsearch.people import FILE as PEOPLE_FILE
from visualsearch.search import (
    NO_GROUPS,
    Judge,
    Noise,
    Snapshot,
    check_query,
    columns_after,
    encoded,
    find,
    mixed,
    query_of,
    unit_rows,
    unread,
)
from visualsearch.storage import gone, storage_error, stored_file
from visualsearch.store import (
    Catalog,
    Excluded,
    Exclusions,
    Identities,
    Problem,
    Reader,
    Vectors,
    Writer,
    alive_rows,
    check,
    checked,
    writing,
)
from visualsearch.types import (
    MAX_PIXELS,
    Attributes,
    Box,
    Encoder,
    EncoderSpec,
    Failure,
    Float32,
    Hits,
    IndexReport,
    Part,
    Precision,
    Query,
    Stored,
    StoredPin,
)
from visualsearch.upkeep import Upkeep

if TYPE_CHECKING:
    from visualsearch.indexing import PinSet, Progress, Settings
    from visualsearch.look import Look, Words
    from visualsearch.nearest import Trial
    from visualsearch.people import People
    from visualsearch.recommend import BoardHit
    from visualsearch.sources import Columns


class Index:
    """An index of pictures on disk. Make one with `create`, `open` or `open_or_create`.

    Safe to share between threads for searching; one thread or process at a time may change it.
    """

    def __init__(self, folder: Path, catalog: Catalog, encoder: Encoder | str | None, **options: Any) -> None:
        self.folder = folder
        self.catalog = catalog
        self._wanted = encoder
        self._options = options
        self._encoder: Encoder | None = None
        self._snapshot: Snapshot | None = None
        self._guard = threading.RLock()
        self._people: People | None = None
        self.people_address: str | None = None
        self._words: dict[tuple[str, ...], Words] = {}
        self._noise = Noise()
        with catalog.read() as reader:
            self.spec = reader.spec()
        self.upkeep = Upkeep(folder, self.spec.dim)
        if encoder is not None and not isinstance(encoder, str):
            self._encoder = self._checked(encoder)

    # -- opening --------------------------------------------------------------------------------------------------
    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        encoder: Encoder | EncoderSpec | str = "bundled",
        *,
        preset: str = "auto",
        device: str = "auto",
        precision: str | Precision = "auto",
        compiled: bool = False,
    ) -> Index:
        """A new, empty index.

        `encoder` is the bundled one, an open_clip name, or an object; or the spec of one, which is not loaded before a query
        or a picture needs it (finished embeddings do not). `preset` a recipe of `indexes/` or `auto` (by size).
        `device`, `precision` and `compiled` are those of `load_encoder`.
        Raises UsageError when the folder holds something, EncoderError, UnknownNameError, StorageError.
        """
        folder = Path(path)
        if (folder / "catalog.sqlite").exists():
            raise UsageError(
                f"cannot create {folder}", "it is an index already", "Open it, or choose another folder"
            )
        if folder.exists() and (not folder.is_dir() or any(f for f in folder.iterdir() if not _ours(f))):
            raise UsageError(
                f"cannot create {folder}", "it exists and is not empty", "Choose a new or empty folder"
            )
        if preset != "auto":
            nearest.preset(preset)
        options = {"device": device, "precision": precision, "compiled": compiled}
        made = encoder if isinstance(encoder, EncoderSpec) else _load(encoder, **options)
        spec = made if isinstance(made, EncoderSpec) else made.spec
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(folder, error) from error
        with writing(folder):
            Catalog.create(folder, spec, preset)
        return cls(folder, Catalog.open(folder), None if isinstance(made, EncoderSpec) else made, **options)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        encoder: Encoder | str | None = None,
        *,
        device: str = "auto",
        precision: str | Precision = "auto",
        compiled: bool = False,
    ) -> Index:
        """An existing index. Its encoder is loaded at the first query that needs one.

        `encoder` overrides the name that the index recorded (a moved checkpoint, say); its fingerprint must be the same.
        The recorded name alone never starts a download: weights that are not on this machine need `encoder`.
        Raises NotAnIndexError, VersionError, EncoderMismatchError.
        """
        folder = Path(path)
        options = {"device": device, "precision": precision, "compiled": compiled}
        return cls(folder, Catalog.open(folder), encoder, **options)

    @classmethod
    def open_or_create(
        cls, path: str | os.PathLike[str], encoder: Encoder | EncoderSpec | str | None = None, **options: Any
    ) -> Index:
        """`open` what exists, else `create`. `preset`, and the spec of an encoder, count for a new index only."""
        if (Path(path) / "catalog.sqlite").exists():
            options.pop("preset", None)
            return cls.open(path, None if isinstance(encoder, EncoderSpec) else encoder, **options)
        return cls.create(path, encoder or "bundled", **options)

    def close(self) -> None:
        """Close files and connections; the object cannot be used afterwards."""
        with self._guard:
            self._snapshot = None
            if self._people is not None:
                self._people.close()
            self.catalog.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        with self.catalog.read() as reader:
            return reader.count()

    def __contains__(self, pin: str) -> bool:
        with self.catalog.read() as reader:
            return reader.by_id(pin) is not None

    def __repr__(self) -> str:
        return f"Index({str(self.folder)!r}, {len(self):,} pins, encoder {self.spec.name!r})"

    @property
    def people(self) -> People:
        """Who saved and did what with these pins; see `visualsearch.people`. Opened, and made if new, at first use.

        It lies in `people.sqlite` beside the catalog, or where `people_address`, a PostgreSQL address set before, points to.
        """
        with self._guard:
            if self._people is None:
                from visualsearch.people import open_people
                from visualsearch.pinned import CatalogPins

                pins = CatalogPins(self.catalog)
                self._people = open_people(self.folder, self.people_address, pins=pins)
            return self._people

    def _tell_people(self, changes: Identities) -> None:
        """Saves of pins that are gone now wait for them; those of pictures that came back are restored."""
        kept = self._people is not None or self.people_address is not None
        if kept or (self.folder / PEOPLE_FILE).exists():
            self.people.follow_index(*changes)

    @property
    def encoder(self) -> Encoder:
        """The encoder, loaded at first use. Raises EncoderMismatchError when it is not the one the index was built with."""
        with self._guard:
            if self._encoder is None:
                named = isinstance(self._wanted, str)
                name = self._wanted if isinstance(self._wanted, str) else self.spec.name
                try:
                    # Whoever made the index chose its name: it must not decide what is downloaded here.
                    self._encoder = self._checked(_load(name, download=named, **self._options))
                except UnknownNameError as error:
                    raise UnknownNameError(
                        "encoder", name, [], f"The index was built with it. {error.remedy}"
                    ) from error
            return self._encoder

    def _checked(self, encoder: Encoder) -> Encoder:
        if encoder.spec.fingerprint != self.spec.fingerprint:
            ours, theirs = self.spec, encoder.spec
            why = f"it was built with {ours.name!r} ({ours.fingerprint}), not {theirs.name!r} ({theirs.fingerprint})"
            raise EncoderMismatchError(
                f"cannot use {self.folder}",
                why,
                f"Leave the model out to use {ours.name!r}, or build another index:"
                f" visualsearch index PICTURES --to NEW.index --model {theirs.name}",
            )
        return encoder

    # -- changing -------------------------------------------------------------------------------------------------
    def add(
        self,
        source: Any,
        *,
        settings: Settings | None = None,
        progress: Callable[[Progress], None] | None = None,
        preset: str | None = None,
        regions: bool | None = None,
        columns: Columns | None = None,
        group_by: str | None = None,
        include: Iterable[str] = (),
        made_by: str | None = None,
        claimed: PinSet | None = None,
        **changes: Any,
    ) -> IndexReport:
        """Index a source: a folder, glob, manifest, tar, URL list, folder of embeddings, a Source, or what Python holds: a list
        or an iterator of paths, Records, dictionaries (id, image and attributes), Pillow pictures, arrays or bytes, or a table
        of Arrow, pandas or Polars.

        `regions` says whether the objects inside the pictures get rows of their own, so that a query finds a pin in which
        the object is small; the index remembers it, and None keeps what it remembers (at first: no). Pictures indexed
        before regions were turned on are embedded again when their source is indexed next.

        `columns` names the columns of a manifest: `visualsearch.sources.Columns(id="sku", image="photo", price="cost")`. Where
        several pictures show one product, `group_by` is the attribute that they share: a manifest's ids may then repeat, and
        search gives one hit for each product. The index remembers it; "none" forgets it. A shop's export, or a manifest with
        lists of pictures, sets it where nothing is remembered yet.

        Pins that were removed stay out; `include` names those (by id or place) that may come back. `made_by` is the model
        that made a folder of embeddings which does not say so itself. Two pictures never share an id: one whose id is that of
        a picture from another place is a failure. `claimed`, one `PinSet` for several calls, lets none of their sources change
        what another of them described.

        Incremental: what did not change costs a look-up. `settings` or its fields as keywords (`prune=True`, `workers=4`,
        `batch=64` ...). A picture that fails is in the report and never stops the run. Raises SourceError, LockedError,
        StorageError; what was committed before is kept.
        """
        from visualsearch.adapters.clip_retrieval import open_embeddings
        from visualsearch.encoders import BaseEncoder
        from visualsearch.indexing import Indexer, Settings
        from visualsearch.sources import Columns, Source, open_source

        chosen = replace(settings or Settings(), **changes)
        wanted = columns or Columns()
        wanted = wanted if group_by is None else replace(wanted, group=group_by)
        opened = (
            source
            if isinstance(source, Source)
            else open_embeddings(source, self.spec, self._made_by(made_by))
            or open_source(source, columns=wanted)
        )
        if chosen.prune and opened.kind in ("given", "table"):
            raise UsageError(
                "cannot prune what Python handed over",
                "such a source has no name, so nothing tells which pins came from it before",
                "Use index.remove(ids), or index a folder or a manifest",
            )
        if preset is not None and preset != "auto":
            nearest.preset(preset)
        with self._writing() as writer:
            self._include(writer, list(include))
            if preset is not None:
                with writer.commit():
                    writer.set_meta("preset", preset)
            if regions is not None and regions != (writer.meta("regions") is not None):
                with writer.commit():
                    writer.set_meta("regions", int(writer.meta("next_row")) if regions else None)
            _remember_group(writer, wanted.group, getattr(opened, "group_by", None))
            encoder = self.encoder if opened.kind != "embeddings" else _Finished(self.spec)
            count = opened.count()
            if isinstance(encoder, BaseEncoder) and not getattr(opened, "once", False):
                encoder.calibrate(opened, count)
            since = writer.meta("regions")
            propose = None if since is None else region_boxes
            run = Indexer(
                self.folder, self.catalog, writer, encoder, chosen, progress, propose, since or 0, claimed
            )
            report = run.run(opened, opened.uri, opened.kind, count)
            self.upkeep.maintain(writer)
            changed = writer.identities()
        self._tell_people(changed)
        return report

    def _made_by(self, name: str | None) -> EncoderSpec | None:
        """The spec of the model that made embeddings, by the name that the user gave. Raises EncoderMismatchError."""
        if name is None:
            return None
        return self.spec if name == self.spec.name else self._checked(_load(name, **self._options)).spec

    def include(self, names: Iterable[str]) -> list[str]:
        """Let removed pins, by id or place, back in when their source is indexed next; the names that were not removed."""
        wanted = list(names)
        with self.catalog.read() as reader:
            if not len(Exclusions(reader.db)):
                return wanted
        with self._writing() as writer, writer.commit():
            return Exclusions(writer.db).lift(wanted)

    def _include(self, writer: Writer, names: list[str]) -> None:
        listed = Exclusions(writer.db)
        with writer.commit():
            missing = listed.lift(names)
            if missing:
                raise UnknownNameError(
                    "removed pin",
                    missing[0],
                    (each.id for each in listed),
                    "`visualsearch info DIR --excluded` lists the pins that were removed",
                )

    def remove(self, ids: Iterable[str]) -> list[str]:
        """Remove pins by id; the ids that were not in the index are returned. Space is freed by `compact`.

        The next run over their source leaves them out; `add(..., include=ids)` lets them back in.
        """
        missing, pins = [], []
        with self._writing() as writer:
            for name in dict.fromkeys(ids):
                pin = writer.by_id(name)
                if pin is None:
                    missing.append(name)
                else:
                    pins.append(pin)
            with writer.commit():
                Exclusions(writer.db).add(pins)
                writer.delete_pins(pin.pin for pin in pins)
            changes = writer.identities()
        self._tell_people(changes)
        return missing

    def update(self, name: str, attributes: Attributes) -> None:
        """Replace the attributes of a pin; its picture and vectors stay.

        Attributes are JSON values (see `visualsearch.store.values`). Raises UsageError for others, such as NaN, UnknownNameError,
        LockedError.
        """
        plain = checked(attributes)
        with self._writing() as writer:
            pin = _pin(writer, name)
            with writer.commit():
                writer.touch_pin(pin.pin, pin.id, pin.uri, pin.source, pin.stamp, plain, True)

    def compact(self) -> None:
        """Drop dead rows, merge segments and build the approximate index anew, all in one commit.

        Attributes that cannot be used, as an older release let them in, are mended: what is not JSON becomes null.
        Readers go on with the state they have. Needs free space for a second copy of the vectors.
        """
        with self._writing() as writer:
            self.upkeep.compact(writer)

    @contextmanager
    def _writing(self) -> Iterator[Writer]:
        with ExitStack() as stack:
            stack.enter_context(writing(self.folder))
            writer = self.catalog.writer()
            stack.callback(writer.close)
            self.upkeep.sweep(writer)
            yield writer

    # -- searching ------------------------------------------------------------------------------------------------
    def search(
        self,
        *,
        image: Any = None,
        crop: Box | Sequence[float] | None = None,
        text: str | Sequence[str] | None = None,
        not_text: str | Sequence[str] | None = None,
        like: str | Sequence[str] | None = None,
        unlike: str | Sequence[str] | None = None,
        parts: Sequence[Part] = (),
        weights: Mapping[str, float] | None = None,
        where: str | None = None,
        k: int = 10,
        offset: int = 0,
        min_score: float | Literal["auto"] | None = None,
        include_seeds: bool = False,
        group_by: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> Hits:
        """Find pins by a picture, a part of it, words, stored pins, or a weighted mix.

        `image`: path, URL, bytes, PIL picture or (h, w, 3) uint8 array; `crop`: x0, y0, x1, y1 as fractions, or pixels when any
        is above 1. `text`, `not_text`: words wanted and not wanted; `like`, `unlike`: ids of stored pins. `weights` changes
        DEFAULT_WEIGHTS; `parts` adds finished parts. Of a mix, each part counts on its own scale (`visualsearch.search.scales`).
        `where`: see visualsearch.filters. With a filter that leaves at least offset + k pins, k come back. `min_score` leaves
        out hits below that cosine; "auto": below `noise` of the hits, what queries that mean nothing reach here, so that
        nothing is left where `alike` is False. Stored pins of the query are left out of the results unless `include_seeds`.
        `group_by`: of the pins that share this attribute's value, such as the pictures of a product, only the best comes back,
        and `total` counts products; None takes what the index remembers, "none" gives every pin for itself.
        A picture of more than `max_pixels` pixels is refused.
        Raises UsageError, FilterError, PictureError, EncoderError, UnknownNameError.
        """
        return self.run(
            query_of(
                image=image,
                crop=crop,
                text=text,
                not_text=not_text,
                like=like,
                unlike=unlike,
                parts=parts,
                weights=weights,
                where=where,
                k=k,
                offset=offset,
                min_score=min_score,
                include_seeds=include_seeds,
                group_by=group_by,
                max_pixels=max_pixels,
            )
        )

    def run(self, query: Query) -> Hits:
        """Answer a Query; `search` is the friendly form."""
        started = time.perf_counter()
        made = encoded(query, lambda: self.encoder, self.spec)
        with self._open() as (reader, snapshot):
            vector, seeds = _vector(query, made, reader, snapshot)
            judge = Judge(query, made, snapshot, self._noise, lambda: self.encoder)
            own = set() if query.include_seeds else seeds
            hits = judge.said(find(reader, snapshot, vector, judge.settled(query), own))
        notes = (*hits.notes, *unread(query, lambda: self.encoder))
        return replace(hits, notes=notes, seconds=time.perf_counter() - started)

    def vector(self, query: Query) -> Float32:
        """The (d,) float32 unit vector that a query stands for."""
        made = encoded(query, lambda: self.encoder, self.spec)
        with self._open() as (reader, snapshot):
            return _vector(query, made, reader, snapshot)[0]

    def vectors(self, ids: Sequence[str]) -> Float32:
        """Stored vectors of whole pictures, (n, d) float32, in the order of `ids`. Raises UnknownNameError."""
        with self._open() as (reader, snapshot):
            known = reader.look_up("row", "id", list(dict.fromkeys(ids)))
            rows = [known[name] if name in known else _pin(reader, name).row for name in ids]
            return snapshot.vectors.gather(snapshot.vectors.positions(np.array(rows, dtype=np.int64)))

    def rows(self, size: int = 1000) -> Iterator[list[Stored]]:
        """All that is stored, in order, at most `size` rows at a time, from one state of the index."""
        with self._open() as (reader, snapshot):
            live = np.flatnonzero(snapshot.alive)
            for at in range(0, len(live), size):
                positions = live[at : at + size]
                rows = snapshot.vectors.rows(positions).tolist()
                numbers = snapshot.vectors.pins[positions].tolist()
                pins, boxes = reader.pins(set(numbers)), reader.boxes(rows)
                yield [
                    Stored(row, n, pins[n].id, pins[n].uri, boxes.get(row), pins[n].attributes, vector)
                    for row, n, vector in zip(rows, numbers, snapshot.vectors.gather(positions), strict=True)
                ]

    def nearest(
        self,
        vectors: Float32,
        *,
        k: int = 10,
        where: str | None = None,
        min_score: float | None = None,
        group_by: str | None = None,
    ) -> list[Hits]:
        """The hits of several finished query vectors, (n, d), all from one state of the index.

        They are scaled to unit length. Raises UsageError for vectors of another dimension, and for one that is zero or not
        finite.
        """
        wanted = Query((), k, 0, where, min_score, group_by=group_by)
        check_query(wanted)
        units = unit_rows(vectors, self.spec.dim)
        found = []
        with self._open() as (reader, snapshot):
            for vector in units:
                started = time.perf_counter()
                hits = find(reader, snapshot, vector, wanted, set())
                found.append(replace(hits, seconds=time.perf_counter() - started))
        return found

    def search_many(
        self,
        images: Iterable[Any],
        *,
        k: int = 10,
        where: str | None = None,
        min_score: float | None = None,
        on_error: str = "raise",
    ) -> list[Hits]:
        """The hits of many query pictures, embedded in batches: one Hits for each, in their order, from one state of the index.

        `images`: paths, URLs, bytes, Pillow pictures, arrays or tensors. `on_error="skip"` gives an empty Hits with the plan
        "unreadable" for a picture that cannot be read. Raises UsageError, FilterError, PictureError, EncoderError.
        """
        from visualsearch.encoders import BaseEncoder

        encoder = self.encoder
        if not isinstance(encoder, BaseEncoder):
            raise UsageError(
                "this index's encoder cannot embed many pictures",
                f"a {type(encoder).__name__} has no embed_images",
                "Use search for each",
            )
        vectors = encoder.embed_images(images, on_error=on_error)
        fine = np.logical_and.reduce(np.isfinite(vectors), axis=1)
        found = iter(self.nearest(vectors[fine], k=k, where=where, min_score=min_score))
        return [next(found) if readable else Hits((), 0, "unreadable") for readable in fine.tolist()]

    def look(
        self,
        scene: Any,
        k: int = 5,
        *,
        boxes: Sequence[Sequence[float]] | None = None,
        most: int = 8,
        finder: str = FINDER,
        sure: float | None = None,
        where: str | None = None,
        min_score: float | None = None,
        label_by: str = "category",
        vocabulary: Sequence[str] | None = None,
        prefer: float | None = None,
        repeat: bool = False,
        diversity: float = 0.0,
        style: CropStyle = STYLE,
        goes_with: int = 0,
        max_pixels: int = MAX_PIXELS,
        unsure: bool = False,
    ) -> Look:
        """Shop the look: find the objects of a scene and search each; large and sure ones come first.

        It reads as [(box, label, hits), ...]. `scene`: path, URL, bytes, PIL picture or (h, w, 3) uint8 array. `boxes` are
        searched instead of what `finder` finds (fractions, or pixels when any number is above 1); `most` bounds what it
        finds, `sure` (0..1) drops what it is less sure of. `where` and `min_score` as in `search`. A label is the nearest
        word of `vocabulary` where one is given and the encoder knows words; else the value of the attribute `label_by` on
        which most neighbours agree; else a word of a general vocabulary. An object gets no label and no hits where these
        are not clearly better than those of parts that hold nothing (see `visualsearch.look.ground`); `unsure` gives them all
        the same. `prefer` adds to the score of hits of that value when ranking (None: what was measured to be best). A pin
        comes back for one object only unless `repeat`; `diversity` (0..1) trades likeness for variety. `goes_with` asks for
        that many pins of other categories that go with the scene. When nothing is found the whole picture is searched and
        `found` is False. A scene of more than `max_pixels` pixels is refused.
        Raises UsageError, FilterError, PictureError, EncoderError, UnknownNameError.
        """
        from visualsearch.look import PREFER, shop

        return shop(
            self,
            scene,
            k,
            boxes=boxes,
            most=most,
            finder=finder,
            sure=sure,
            where=where,
            min_score=min_score,
            label_by=label_by,
            vocabulary=vocabulary,
            prefer=PREFER if prefer is None else prefer,
            repeat=repeat,
            diversity=diversity,
            style=style,
            goes_with=goes_with,
            max_pixels=max_pixels,
            unsure=unsure,
        )

    def complete(self, pin: str, k: int = 5, *, label_by: str = "category", where: str | None = None) -> Hits:
        """Pins of other categories that go with a stored pin: of its board first, then alike in colour and texture.

        A first version: it knows nothing of taste, season or fit. Raises UnknownNameError, UsageError, FilterError.
        """
        from visualsearch.look import complete_pin

        return complete_pin(self, pin, k, label_by, where)

    def related(
        self, pins: str | Sequence[str], k: int = 20, *, weights: Sequence[float] | None = None, seed: int = 0
    ) -> Hits:
        """Pins that people saved together with one pin, or with several; blended with what looks alike.

        Each hit has `why`, a true reason. `score` is the cosine; `signals` has what the hits are ordered by, `related`, and its
        parts, `walk` and `sight`. A pin that nobody saved is answered through its look-alikes, and without a record of people
        by sight alone; `plan` says which. Saves count within a second; those on secret boards, and of people whose consent is
        not on or who paused, do not. `weights` says how much each pin counts. The same `seed` walks the same way.
        Raises UnknownNameError, UsageError.
        """
        from visualsearch.recommend import related

        return related(self, pins, k, weights=weights, seed=seed)

    def ideas(
        self,
        board: str | None = None,
        k: int = 20,
        *,
        person: str | None = None,
        section: str | None = None,
        where: str | None = None,
    ) -> Hits:
        """Ideas for a board, a section of it, or without a board for all that `person` saved.

        What people saved with its pins, as `visualsearch learn` learnt it, is blended with what looks like them; `signals` has
        the order, `idea`, and its parts, `together` and `sight`. Each hit has `why`. What is on the board never comes back, nor
        what `person`, who asks, hid. A secret board answers those alone who may see it.
        Raises UnknownNameError, UsageError, FilterError.
        """
        from visualsearch.recommend import ideas

        return ideas(self, board, k, person=person, section=section, where=where)

    def boards_like(
        self, board: str | None = None, k: int = 20, *, person: str | None = None
    ) -> list[BoardHit]:
        """Public boards like one, or without a board those of other people with the taste of `person`; each with its reason.

        Only boards of people who allow that their saves count are looked at. Raises UnknownNameError, UsageError.
        """
        from visualsearch.recommend import boards_like

        return boards_like(self, board, k, person=person)

    def words(self, vocabulary: Sequence[str] | None = None) -> Words:
        """The vectors of a vocabulary (None: the built-in one), encoded at the first call. Raises EncoderError."""
        from visualsearch.look import VOCABULARY, Words

        chosen = tuple(VOCABULARY if vocabulary is None else vocabulary)
        with self._guard:
            if chosen not in self._words:
                self._words[chosen] = Words(self.encoder, chosen)
            return self._words[chosen]

    def has_regions(self) -> bool:
        """Whether objects inside pictures are indexed too."""
        with self.catalog.read() as reader:
            return reader.has_regions()

    def attributes(self) -> list[str]:
        """Names of the attributes that pins have."""
        with self.catalog.read() as reader:
            return list(reader.names())

    def pin(self, name: str) -> StoredPin:
        """What the index knows of the pin with this id. Raises UnknownNameError."""
        with self.catalog.read() as reader:
            pin = _pin(reader, name)
            boxes = tuple(box for _, box in reader.rows_of(pin) if box is not None)
        digest = None if pin.hash is None else pin.hash.hex()
        return StoredPin(pin.id, pin.pin, pin.uri, pin.attributes, pin.named, digest, boxes)

    def attributes_of(self, pin: str) -> Mapping[str, Any]:
        """The attributes of a stored pin. Raises UnknownNameError."""
        with self.catalog.read() as reader:
            return dict(_pin(reader, pin).attributes)

    def uris(self, ids: Sequence[str]) -> dict[str, str]:
        """Where the pictures of these pins are: id -> uri. Raises UnknownNameError."""
        with self.catalog.read() as reader:
            return {name: _pin(reader, name).uri for name in ids}

    @contextmanager
    def _open(self) -> Iterator[tuple[Reader, Snapshot]]:
        """A read transaction and the snapshot that belongs to it."""
        for attempt in range(5):
            with ExitStack() as stack:
                reader = stack.enter_context(self.catalog.read())
                try:
                    snapshot = self._current(reader)
                except FileNotFoundError as error:
                    if not self.catalog.path.exists():
                        raise gone(self.folder) from error
                    # A compaction ended between the transaction and the opening of its files: look again.
                    if attempt == 4:
                        raise NotAnIndexError(
                            f"cannot read {self.folder}",
                            f"{error.filename or error} is missing",
                            f"Run: visualsearch verify {self.folder}",
                        ) from error
                    continue
                yield reader, snapshot
                return

    def _current(self, reader: Reader) -> Snapshot:
        state = reader.state
        with self._guard:
            now = self._snapshot
            if now is not None and now.state == state:
                return now
            segments = reader.segments()
            vectors = Vectors(self.folder, segments, self.spec.dim, now.vectors if now else None)
            alive = alive_rows(vectors, reader.dead())
            generation = reader.generation()
            loaded = None
            if generation is not None:
                same = (
                    now is not None and now.generation is not None and now.generation.file == generation.file
                )
                reuse = now.ann if same and now is not None else None
                path = stored_file(self.folder, generation.file)
                loaded = nearest.load(path) if reuse is None else reuse
            group = reader.meta("group_by")
            live = int(alive.sum())
            columns = columns_after(reader, None if now is None else now.columns)
            snapshot = Snapshot(vectors, alive, generation, loaded, live, state, columns, group_by=group)
            # A reader that lags behind must not take the newer snapshot away from the others.
            if now is None or state > now.state:
                self._snapshot = snapshot
            return snapshot

    # -- looking after --------------------------------------------------------------------------------------------
    def excluded(self) -> list[Excluded]:
        """Pins that were removed and stay out of later runs."""
        with self.catalog.read() as reader:
            return list(Exclusions(reader.db))

    def failures(self) -> list[Failure]:
        """Pictures that the last run over their source could not index, with reasons."""
        with self.catalog.read() as reader:
            return reader.failures()

    def tune(
        self,
        recall: float = 0.95,
        *,
        latency_ms: float | None = None,
        memory: int | None = None,
        preset: str | None = None,
        k: int = 10,
        samples: int = 200,
        seconds: float = 600.0,
        say: Callable[[str], None] = lambda _: None,
    ) -> tuple[Trial, list[Trial]]:
        """Choose the recipe and the search parameters that reach `recall`@k fastest on stored vectors, and keep them.

        The exact scan takes part in every case, and is kept where it is fast enough (`tuning.FAST_ENOUGH`).
        `latency_ms` bounds the median of a query, `memory` the bytes of the index. `preset` allows that recipe alone. Recipes
        are compared on a sample of a large collection; no new one is begun after `seconds`. Where another recipe than the
        present one wins, it is built over all rows, which may take longer, and takes the other's place in one commit. `say`
        hears what is being done. Returns the chosen trial, measured over all rows, and all trials that led to it, fastest
        first. Where nothing fulfils the wish, the highest recall is kept: see `tuning.fulfils`. Raises LockedError,
        UnknownNameError, UsageError for an empty index.
        """
        wish = nearest.Wish(recall, latency_ms, memory)
        with self._writing() as writer, self._open() as (_, snapshot):
            return self.upkeep.tune(writer, snapshot, wish, preset, k, samples, seconds, say)

    def recall(self, k: int = 10, samples: int = 64) -> float:
        """recall@k of the index as it is searched now, against exact search, on stored vectors as queries."""
        with self._open() as (_, snapshot):
            return measured_recall(snapshot, k, samples)

    def info(self) -> dict[str, Any]:
        """Figures of the index as plain values: pins, rows, encoder, recall (recall@10, None when empty), bytes ..."""
        with self._open() as (reader, snapshot):
            generation = snapshot.generation
            return {
                "path": str(self.folder),
                "pins": reader.count(),
                "rows": snapshot.live,
                "regions": reader.count("regions"),
                "dead_rows": reader.count("dead"),
                "fresh_rows": len(snapshot.vectors) - snapshot.covers if generation else 0,
                "failures": reader.count("failures"),
                "excluded": len(Exclusions(reader.db)),
                "encoder": self.spec.name,
                "fingerprint": self.spec.fingerprint,
                "dim": self.spec.dim,
                "precision": self.spec.precision.value,
                "text": self.spec.text,
                "preset": generation.preset if generation else "exact",
                "preset_wanted": reader.meta("preset", "auto"),
                "factory": generation.factory if generation else None,
                "recall": measured_recall(snapshot) if snapshot.live else None,
                "vector_bytes": snapshot.vectors.bytes,
                "ann_bytes": generation.bytes if generation else 0,
                "disk_bytes": sum(f.stat().st_size for f in self.folder.rglob("*") if f.is_file()),
                "segments": len(snapshot.vectors.segments),
                "attributes": reader.names(),
                "group_by": snapshot.group_by,
                "sources": reader.sources(),
                "created": reader.meta("created"),
            }

    def verify(self) -> list[Problem]:
        """Check the catalog, every vector file and the approximate index against one another; [] when all is well."""
        with self.catalog.read() as reader:
            return check(reader, self.folder, self.spec.dim, nearest.load)


def _remember_group(writer: Writer, wanted: str | None, found: str | None) -> None:
    """Keep the attribute by which results are grouped: what the user wants, else what a source groups by, once."""
    known: str | None = writer.meta("group_by")
    chosen = wanted if wanted is not None else known or found
    if wanted is not None and wanted != NO_GROUPS and found is not None:
        chosen = found  # a manifest keeps a column such as "id" under another name
    if chosen != known:
        with writer.commit():
            writer.set_meta("group_by", chosen)


# -- helpers ------------------------------------------------------------------------------------------------------
class _Finished:
    """Stands for the encoder where a source brings finished vectors: nothing is left to encode."""

    def __init__(self, spec: EncoderSpec) -> None:
        self.spec = spec

    def preprocess(self, picture: Any) -> Any:
        raise UsageError("this source holds embeddings only", "it has no pictures to encode")

    def encode_images(self, pixels: Any) -> Any:
        raise UsageError("this source holds embeddings only", "it has no pictures to encode")

    def encode_texts(self, texts: Sequence[str]) -> Any:
        raise UsageError("this source holds embeddings only", "it has no text to encode")


def _load(encoder: Encoder | str, **options: Any) -> Encoder:
    if not isinstance(encoder, str):
        return encoder
    from visualsearch.encoders import load_encoder

    return load_encoder(encoder, **options)


def _vector(
    query: Query, made: Mapping[int, Float32], reader: Reader, snapshot: Snapshot
) -> tuple[Float32, set[int]]:
    """The query's unit vector, and the stored pins it is made of."""
    seeds = set()

    def stored(name: str) -> Float32:
        pin = _pin(reader, name)
        seeds.add(pin.pin)
        position = snapshot.vectors.positions(np.array([pin.row], dtype=np.int64))
        vector: Float32 = snapshot.vectors.gather(position)[0]
        return vector

    return mixed(query, made, stored, lambda: snapshot.sample), seeds


def _pin(reader: Reader, name: str) -> Any:
    pin = reader.by_id(name)
    if pin is None:
        raise UnknownNameError("pin", name, reader.some_ids(20_000), "Search first to learn the ids")
    return pin


def _ours(path: Path) -> bool:
    """True for what a killed `create` may have left."""
    return path.name.startswith((".catalog", "writer."))


create = Index.create
open = Index.open
open_or_create = Index.open_or_create
