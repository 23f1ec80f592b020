"""Index: the facade. It opens an index, and every method hands on to the room that does the work.

`contents.py` has what an index holds, `searching.py` how it is searched, `recommending.py` what
is recommended from it, `changing.py` how it is changed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visualsearch import nearest
from visualsearch.changing import AddOptions, Editor
from visualsearch.encoders import loaded
from visualsearch.errors import VisualSearchError
from visualsearch.keywords import described_by, keywords_after
from visualsearch.look import LookOptions
from visualsearch.recommending import Recommending
from visualsearch.sources import read as read_uri
from visualsearch.store import Catalog, Identities, Writer, check_free, make_folder, writing
from visualsearch.types import Attributes, Encoder, EncoderSpec, Hits, IndexReport, Precision

if TYPE_CHECKING:
    from visualsearch.dedup import Found
    from visualsearch.indexing import PinSet, Progress, Settings
    from visualsearch.look import Look, Words
    from visualsearch.nearest import Trial
    from visualsearch.sources import Columns


log = logging.getLogger("visualsearch.people")


class Index(Recommending):
    """An index of pictures on disk. Make one with `create`, `open` or `open_or_create`.

    Safe to share between threads for searching; one thread or process at a time may change it.
    """

    def __init__(self, folder: Path, catalog: Catalog, encoder: Encoder | str | None, **options: Any) -> None:
        super().__init__(folder, catalog, encoder, options)
        self._words: dict[tuple[str, ...], Words] = {}
        self._editor = Editor(folder, catalog, self._own)

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
        check_free(folder)
        if preset != "auto":
            nearest.preset(preset)
        options = {"device": device, "precision": precision, "compiled": compiled}
        made = encoder if isinstance(encoder, EncoderSpec) else loaded(encoder, **options)
        make_folder(folder)
        with writing(folder):
            Catalog.create(folder, made if isinstance(made, EncoderSpec) else made.spec, preset)
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
        self._views.close()
        with self._guard:
            if self._people is not None:
                self._people.close()
            self.catalog.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Index({str(self.folder)!r}, {len(self):,} pins, encoder {self.spec.name!r})"

    def _tell_people(self, changes: Identities) -> None:
        """Saves of pins that are gone now wait for them; those of pictures that came back are restored.

        The pins have changed on disk by now. A record that does not answer follows at the next change, or at a server's upkeep.
        """
        if not self.has_people:
            return
        try:
            self.people.follow_index(*changes)
        except VisualSearchError as error:
            log.warning(
                "the pins were changed, but people's saves do not follow yet: %s The next change of the index brings them"
                " up to date, or people.reconcile().", error,
            )  # fmt: skip

    # -- changing -------------------------------------------------------------------------------------------------
    @described_by(AddOptions)
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

        Incremental: what did not change costs a look-up. `settings` or its fields as keywords (`prune=True`, `workers=4`,
        `batch=64` ...). A picture that fails is in the report and never stops the run. Raises SourceError, LockedError,
        StorageError; what was committed before is kept.
        """
        from visualsearch.indexing import Settings

        chosen = replace(settings or Settings(), **changes)
        asked = AddOptions(progress, preset, regions, columns, group_by, include, made_by, claimed)
        report, changed = self._editor.add(source, chosen, asked)
        self._tell_people(changed)
        return report

    def include(self, names: Iterable[str]) -> list[str]:
        """Let removed pins, by id or place, back in when their source is indexed next; the names that were not removed."""
        return self._editor.include(names)

    def remove(self, ids: Iterable[str]) -> list[str]:
        """Remove pins by id; the ids that were not in the index are returned. Space is freed by `compact`.

        The next run over their source leaves them out; `add(..., include=ids)` lets them back in.
        """
        missing, changed = self._editor.remove(ids)
        self._tell_people(changed)
        return missing

    def update(self, name: str, attributes: Attributes) -> None:
        """Replace the attributes of a pin; its picture and vectors stay.

        Attributes are JSON values (see `visualsearch.store.values`). Raises UsageError for others, such as NaN, UnknownNameError,
        LockedError.
        """
        self._editor.update({name: attributes})

    def update_many(self, changes: Mapping[str, Attributes]) -> None:
        """`update` for many pins, by id, in one commit: all of them or none."""
        self._editor.update(changes)

    def compact(self) -> None:
        """Drop dead rows, merge segments and build the approximate index anew, all in one commit.

        Attributes that cannot be used, as an older release let them in, are mended: what is not JSON becomes null.
        Readers go on with the state they have. Needs free space for a second copy of the vectors.
        """
        with self._writing() as writer:
            self._editor.upkeep.compact(writer)

    def _writing(self) -> AbstractContextManager[Writer]:
        return self._editor.open()

    # -- what it finds --------------------------------------------------------------------------------------------
    @keywords_after(LookOptions)
    def look(self, scene: Any, asked: LookOptions) -> Look:
        """Shop the look: find the objects of a scene and search each; large and sure ones come first.

        It reads as [(box, label, hits), ...]. `scene`: path, URL, bytes, PIL picture or (h, w, 3) uint8 array. When nothing is
        found the whole picture is searched and `found` is False.
        Raises UsageError, FilterError, PictureError, EncoderError, UnknownNameError.
        """
        from visualsearch.look import shop

        return shop(self, scene, asked)

    def complete(self, pin: str, k: int = 5, *, label_by: str = "category", where: str | None = None) -> Hits:
        """Pins of other categories that go with a stored pin: what people saved with it first, each with its reason, then of the
        board that the manifest names, then alike in colour and texture.

        It knows nothing of season or fit. Raises UnknownNameError, UsageError, FilterError.
        """
        from visualsearch.look import complete_pin

        return complete_pin(self, pin, k, label_by, where, self.saved_with(pin))

    def words(self, vocabulary: Sequence[str] | None = None) -> Words:
        """The vectors of a vocabulary (None: the built-in one), encoded at the first call. Raises EncoderError."""
        from visualsearch.look import VOCABULARY, Words

        chosen = tuple(VOCABULARY if vocabulary is None else vocabulary)
        with self._guard:
            if chosen not in self._words:
                self._words[chosen] = Words(self.encoder, chosen)
            return self._words[chosen]

    def dedup(
        self,
        similar: float | None = None,
        *,
        read: Callable[[str], bytes] = read_uri,
        say: Callable[[str], None] = lambda _: None,
    ) -> Found:
        """Groups of pins that show the same picture, proved on their pixels; see `visualsearch.dedup`. Nothing is removed.

        With `similar`, pairs of at least that cosine which are no duplicates make groups as well, of their own kind: they show
        like things, nothing more. `read` fetches a picture's bytes by its uri; `say` hears what is being done. Every picture is
        read once and decoded small; about 5 kB of memory are kept of each.
        """
        from visualsearch.dedup import find_groups

        return find_groups(self, similar, read=read, say=say)

    def export(
        self,
        uri: str,
        collection: str = "pins",
        *,
        token: str = "",
        batch: int = 1000,
        index: Mapping[str, Any] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> tuple[int, int]:
        """Make a Milvus collection hold just the rows of this index: (rows sent, rows removed). Extra `milvus`.

        `uri`: a server, or a file's name for Milvus Lite. `index` says how Milvus indexes the vectors. What is there already is
        replaced, so an interrupted export is simply run again. Raises EncoderMismatchError, StorageError, MissingExtraError.
        """
        from visualsearch.adapters.milvus import export

        return export(
            self.rows(batch), self.spec, uri, collection, token=token, index=index, progress=progress
        )

    # -- looking after --------------------------------------------------------------------------------------------
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
            return self._editor.upkeep.tune(writer, snapshot, wish, preset, k, samples, seconds, say)


create = Index.create
open = Index.open
open_or_create = Index.open_or_create
