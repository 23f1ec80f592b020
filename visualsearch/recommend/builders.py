"""The table of what `learn` builds, in this order. A new part is one line here."""

from __future__ import annotations

from collections.abc import Mapping

from .graph_part import GRAPH
from .items_part import ITEMS_BUILDER
from .learning import Builder

_ALL: tuple[Builder, ...] = (GRAPH, ITEMS_BUILDER)
BUILDERS: Mapping[str, Builder] = {builder.name: builder for builder in _ALL}
