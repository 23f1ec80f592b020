"""Visual search: pictures go in; any picture, part of a picture or sentence finds its look-alikes.

>>> import visualsearch as vs
>>> index = vs.create("pins.index")                      # doctest: +SKIP
>>> report = index.add("photos/")                        # doctest: +SKIP
>>> hits = index.search(image="query.jpg", k=5)          # doctest: +SKIP
>>> [(hit.id, round(hit.score, 3)) for hit in hits]      # doctest: +SKIP
"""

from visualsearch.encoders import load_encoder
from visualsearch.engine import Index, create, open, open_or_create
from visualsearch.errors import VisualSearchError
from visualsearch.types import Box, Encoder, EncoderSpec, Failure, Hit, Hits, IndexReport, Part, Query, Record

__all__ = [
    "Box",
    "Encoder",
    "EncoderSpec",
    "Failure",
    "Hit",
    "Hits",
    "Index",
    "IndexReport",
    "Part",
    "Query",
    "Record",
    "VisualSearchError",
    "create",
    "load_encoder",
    "open",
    "open_or_create",
]
__version__ = "0.1.0"
