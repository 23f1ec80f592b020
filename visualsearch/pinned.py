"""The catalog as the people half sees it: pins by id and by picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from visualsearch.people import PinRef
from visualsearch.store import Catalog


class CatalogPins:
    """Finds pins for `visualsearch.people`; see its `Pins`."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def find(self, ids: Sequence[str]) -> Mapping[str, PinRef]:
        """The pins of those ids; unknown ids are left out."""
        with self._catalog.read() as reader:
            return {pin.id: PinRef(pin.pin, pin.id, pin.hash) for pin in reader.by_ids(ids)}

    def find_pictures(self, hashes: Sequence[bytes]) -> Mapping[bytes, PinRef]:
        """A pin for each picture hash that the index holds."""
        found = {}
        with self._catalog.read() as reader:
            for digest in hashes:
                for pin in reader.by_hash(digest)[:1]:
                    found[digest] = PinRef(pin.pin, pin.id, pin.hash)
        return found
