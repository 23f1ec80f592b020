"""Trust: spam and spammers told from honest people, by models that say why and that ask a person for what they need to know."""

from __future__ import annotations

from .accounts import AccountModel
from .measure import Table, measure_accounts, measure_graph, measure_texts, read_table, recall_at_precision
from .propagation import spread_labels
from .texts import TextModel

__all__ = [
    "AccountModel",
    "Table",
    "TextModel",
    "measure_accounts",
    "measure_graph",
    "measure_texts",
    "read_table",
    "recall_at_precision",
    "spread_labels",
]
