"""The catalog as the people half sees it: pins by id and by picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from visualsearch.people import PinRef, same_place
from visualsearch.store import Catalog, Reader


class CatalogPins:
    """Finds pins for `visualsearch.people`; see its `Pins`."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._places: tuple[int, dict[str, int]] = (-1, {})

    def find(self, ids: Sequence[str]) -> Mapping[str, PinRef]:
        """The pins of those ids; unknown ids are left out."""
        with self._catalog.read() as reader:
            return {name: PinRef(number, name, digest) for number, name, digest in reader.known(ids)}

    def find_pictures(self, hashes: Sequence[bytes]) -> Mapping[bytes, PinRef]:
        """A pin for each picture hash that the index holds."""
        found = {}
        with self._catalog.read() as reader:
            for digest in hashes:
                for pin in reader.by_hash(digest)[:1]:
                    found[digest] = PinRef(pin.pin, pin.id, pin.hash)
        return found

    def find_places(self, addresses: Sequence[str]) -> Mapping[str, PinRef]:
        """A pin for each address that is one's id, place, or attribute `url`, in the sense of `same_place`."""
        wanted = {address: place for address in addresses if (place := same_place(address))}
        with self._catalog.read() as reader:
            if self._places[0] != reader.state:
                self._places = (reader.state, _places(reader))
            known = self._places[1]
            numbers = {known[place] for place in wanted.values() if place in known}
            pins = reader.pins(numbers)
        refs = {number: PinRef(number, pin.id, pin.hash) for number, pin in pins.items()}
        return {address: refs[known[place]] for address, place in wanted.items() if place in known}


def _places(reader: Reader) -> dict[str, int]:
    """The number of the pin at each address: of several, that whose id or place it is, then the first."""
    found: dict[str, int] = {}
    pages: dict[str, int] = {}
    for pin in reader.each_pin():
        for name in (pin.id, pin.uri):
            if place := same_place(name):
                found.setdefault(place, pin.pin)
        page = pin.attributes.get("url")
        if isinstance(page, str) and (place := same_place(page)):
            pages.setdefault(place, pin.pin)
    return pages | found
