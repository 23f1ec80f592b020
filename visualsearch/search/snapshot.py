"""What a reader has open of one state of an index."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from visualsearch.nearest import Rows

from .columns import Columns
from .planner import Plan
from .scales import SAMPLE, Sample


@dataclass(frozen=True)
class Snapshot(Rows):
    """What a reader has open: the rows of one state of the index, and what was kept of its filters and plans."""

    state: int
    columns: Columns = field(default_factory=Columns, compare=False)
    plans: dict[int, Plan] = field(init=False, default_factory=dict, compare=False)
    """The plans of searches without a filter, by the number of candidates wanted."""
    group_by: str | None = None
    """The attribute by which results are grouped where a query does not say."""

    @cached_property
    def sample(self) -> Sample:
        """Live vectors to measure scales on, evenly spread over the index."""
        live = np.flatnonzero(self.alive)
        if len(live) > SAMPLE:
            live = live[np.linspace(0, len(live) - 1, SAMPLE).astype(np.int64)]
        return Sample(self.vectors.gather(live))
