"""Editor to an index: pictures added, removed and described anew. One writer at a time; each change is one commit or more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visualsearch import nearest
from visualsearch.encoders import Finished, OwnEncoder
from visualsearch.errors import UnknownNameError, UsageError
from visualsearch.look import region_boxes
from visualsearch.search import NO_GROUPS
from visualsearch.store import Catalog, Exclusions, Identities, Writer, checked, pin_named, writing
from visualsearch.types import Attributes, IndexReport
from visualsearch.upkeep import Upkeep

if TYPE_CHECKING:
    from visualsearch.indexing import PinSet, Progress, Settings
    from visualsearch.sources import Columns


@dataclass(frozen=True)
class AddOptions:
    """The arguments of adding a source, beside the settings of the run.

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
    """

    progress: Callable[[Progress], None] | None = None
    preset: str | None = None
    regions: bool | None = None
    columns: Columns | None = None
    group_by: str | None = None
    include: Iterable[str] = ()
    made_by: str | None = None
    claimed: PinSet | None = None


class Editor:
    """What changes one index. `open` makes a writer that holds the lock."""

    def __init__(self, folder: Path, catalog: Catalog, own: OwnEncoder) -> None:
        self.folder, self.catalog, self.own = folder, catalog, own
        self.upkeep = Upkeep(folder, own.spec.dim)

    @contextmanager
    def open(self) -> Iterator[Writer]:
        """The writer, while nobody else writes. Raises LockedError."""
        with ExitStack() as stack:
            stack.enter_context(writing(self.folder))
            writer = self.catalog.writer()
            stack.callback(writer.close)
            self.upkeep.sweep(writer)
            yield writer

    def add(self, source: Any, settings: Settings, asked: AddOptions) -> tuple[IndexReport, Identities]:
        """See `Index.add`; and which pins came, went or changed."""
        from visualsearch.encoders import BaseEncoder
        from visualsearch.indexing import Indexer

        opened = self._opened(source, asked)
        if settings.prune and opened.kind in ("given", "table"):
            raise UsageError(
                "cannot prune what Python handed over",
                "such a source has no name, so nothing tells which pins came from it before",
                "Use index.remove(ids), or index a folder or a manifest",
            )
        if asked.preset is not None and asked.preset != "auto":
            nearest.preset(asked.preset)
        with self.open() as writer:
            _let_in(writer, list(asked.include))
            _remember(writer, asked, getattr(opened, "group_by", None))
            encoder = self.own.get() if opened.kind != "embeddings" else Finished(self.own.spec)
            count = opened.count()
            if isinstance(encoder, BaseEncoder) and not getattr(opened, "once", False):
                encoder.calibrate(opened, count)
            since = writer.meta("regions")
            propose = None if since is None else region_boxes
            run = Indexer(
                self.folder,
                self.catalog,
                writer,
                encoder,
                settings,
                asked.progress,
                propose,
                since or 0,
                asked.claimed,
            )
            report = run.run(opened, opened.uri, opened.kind, count)
            self.upkeep.maintain(writer)
            return report, writer.identities()

    def _opened(self, source: Any, asked: AddOptions) -> Any:
        """The source that is meant: embeddings are known by their folder's files."""
        from visualsearch.adapters.clip_retrieval import open_embeddings
        from visualsearch.sources import Columns, Source, open_source

        if isinstance(source, Source):
            return source
        embeddings = open_embeddings(source, self.own.spec, self.own.spec_of(asked.made_by))
        return embeddings or open_source(source, columns=_columns(asked) or Columns())

    def include(self, names: Iterable[str]) -> list[str]:
        """See `Index.include`."""
        wanted = list(names)
        with self.catalog.read() as reader:
            if not len(Exclusions(reader.db)):
                return wanted
        with self.open() as writer, writer.commit():
            return Exclusions(writer.db).lift(wanted)

    def remove(self, ids: Iterable[str]) -> tuple[list[str], Identities]:
        """See `Index.remove`; and which pins went."""
        missing, pins = [], []
        with self.open() as writer:
            for name in dict.fromkeys(ids):
                pin = writer.by_id(name)
                if pin is None:
                    missing.append(name)
                else:
                    pins.append(pin)
            with writer.commit():
                Exclusions(writer.db).add(pins)
                writer.delete_pins(pin.pin for pin in pins)
            return missing, writer.identities()

    def update(self, changes: Mapping[str, Attributes]) -> None:
        """See `Index.update` and `Index.update_many`."""
        plain = {name: checked(attributes) for name, attributes in changes.items()}
        with self.open() as writer:
            pins = [pin_named(writer, name) for name in plain]
            with writer.commit():
                for pin in pins:
                    writer.touch_pin(pin.pin, pin.id, pin.uri, pin.source, pin.stamp, plain[pin.id], True)


def _columns(asked: AddOptions) -> Columns | None:
    """The columns that the user named, the one to group by included."""
    if asked.group_by is None:
        return asked.columns
    from visualsearch.sources import Columns

    return replace(asked.columns or Columns(), group=asked.group_by)


def _let_in(writer: Writer, names: list[str]) -> None:
    """Lift the exclusion of removed pins. Raises UnknownNameError."""
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


def _remember(writer: Writer, asked: AddOptions, found_group: str | None) -> None:
    """Keep what the index remembers of a run: preset, regions, and the attribute that groups results."""
    if asked.preset is not None:
        with writer.commit():
            writer.set_meta("preset", asked.preset)
    regions = asked.regions
    if regions is not None and regions != (writer.meta("regions") is not None):
        with writer.commit():
            writer.set_meta("regions", int(writer.meta("next_row")) if regions else None)
    columns = _columns(asked)
    _remember_group(writer, columns.group if columns is not None else None, found_group)


def _remember_group(writer: Writer, wanted: str | None, found: str | None) -> None:
    """Keep the attribute by which results are grouped: what the user wants, else what a source groups by, once."""
    known: str | None = writer.meta("group_by")
    chosen = wanted if wanted is not None else known or found
    if wanted is not None and wanted != NO_GROUPS and found is not None:
        chosen = found  # a manifest keeps a column such as "id" under another name
    if chosen != known:
        with writer.commit():
            writer.set_meta("group_by", chosen)
