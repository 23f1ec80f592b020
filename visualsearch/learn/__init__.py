"""Learning from what people do, guarded: what was learnt counts only where it wins on data that it never saw."""

from __future__ import annotations

from .adapt import Adaptation, adapt
from .explore import Cost, Explorer
from .feed import FEWEST_CLICKS, Judged, Lesson, ranker_builder, ranker_builders, teach
from .offline import Logged, Value, value_of
from .places import Examined, Swap, examined, fit_places, swap_cost, swapped
from .ranker import WAYS, Deeds, train_full, train_ranker
from .shown import EXPLORED, Shown, shown_of
from .together import Together, by_boards, by_clicks, by_labels, by_variants

__all__ = [
    "EXPLORED",
    "FEWEST_CLICKS",
    "WAYS",
    "Adaptation",
    "Cost",
    "Deeds",
    "Examined",
    "Explorer",
    "Judged",
    "Lesson",
    "Logged",
    "Shown",
    "Swap",
    "Together",
    "Value",
    "adapt",
    "by_boards",
    "by_clicks",
    "by_labels",
    "by_variants",
    "examined",
    "fit_places",
    "ranker_builder",
    "ranker_builders",
    "shown_of",
    "swap_cost",
    "swapped",
    "teach",
    "train_full",
    "train_ranker",
    "value_of",
]
