"""Lists as they are served: the arm of an experiment, two rankers in one list, swapped neighbours, fresh pins that are tried.

Everything is off until an owner starts an experiment or turns a setting on. It counts for people alone who let what they look at
be kept: everybody else gets, byte for byte, what they get without it.
"""

from __future__ import annotations

from .asked import LiveSettings
from .costs import Costs, SwapCost, costs_of
from .serving import Live, open_live

__all__ = ["Costs", "Live", "LiveSettings", "SwapCost", "costs_of", "open_live"]
