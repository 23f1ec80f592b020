"""Records as they can be stored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from visualsearch.errors import UsageError
from visualsearch.search import unit_rows
from visualsearch.store import check_id, tidied
from visualsearch.types import Failure, Float32, Record


def usable(record: Record, dim: int) -> Record | Failure:
    """A record as it can be stored: attributes tidied, a finished vector of unit length. A Failure says why it cannot be."""
    try:
        check_id(record.id)
        attributes = tidied(record.attributes)
        vector = record.vector
        if vector is not None:
            vector = unit_rows(np.asarray(vector)[None], dim, "its vector")[0]
    except UsageError as error:
        uri, name = (text.encode("utf-8", "replace").decode() for text in (record.uri, record.id))
        return Failure(uri, name, f"{error.what}: {error.why}", error.remedy)
    return replace(record, attributes=attributes, vector=vector)


def not_finite(record: Record, vectors: Float32 | None) -> Failure | None:
    """The failure of a picture for which the model gave no usable vector."""
    if vectors is None or np.isfinite(vectors).all():
        return None
    return Failure(
        record.uri,
        record.id,
        "the model gave numbers that are not finite",
        "Use another precision: --precision fp32",
    )
