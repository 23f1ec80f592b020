"""From candidates to an ordered page. Pure arrays: no SQL, no people.

`base` has the stage (Candidates, Context, Ranking, Ranker), `signals` numbers for each candidate and their weighted sum,
`diversity` variety and caps, `by_attribute` sorting, `names` the rankers that can be named. `lowered` puts pins last.
"""

from .adapted import ADAPTED_DEPTH, Adapted, Head
from .base import (
    BY_COSINE,
    DEPTH,
    ByCosine,
    Candidates,
    Context,
    Details,
    Held,
    Ranker,
    Ranking,
    Signal,
    ranked,
)
from .by_attribute import ByAttribute
from .diversity import SOURCE, Capped, Varied, capped, check_diversity, source_of, varied
from .learned import Trees, lightgbm
from .lowered import Lowered
from .names import KNOWN, RANKERS, ranker_of
from .signals import SIGNALS, Weighted, signal

__all__ = [
    "ADAPTED_DEPTH",
    "BY_COSINE",
    "DEPTH",
    "KNOWN",
    "RANKERS",
    "SIGNALS",
    "SOURCE",
    "Adapted",
    "ByAttribute",
    "ByCosine",
    "Candidates",
    "Capped",
    "Context",
    "Details",
    "Head",
    "Held",
    "Lowered",
    "Ranker",
    "Ranking",
    "Signal",
    "Trees",
    "Varied",
    "Weighted",
    "capped",
    "check_diversity",
    "lightgbm",
    "ranked",
    "ranker_of",
    "signal",
    "source_of",
    "varied",
]
