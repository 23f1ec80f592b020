"""Trust: spam and spammers told from honest people, by models that say why and that ask a person for what they need to know."""

from __future__ import annotations

from .accounts import AccountModel
from .domains import looks_like, shortened, site_of
from .findings import Finding, Limits, Sign
from .measure import Table, measure_accounts, measure_graph, measure_texts, read_table, recall_at_precision
from .pictures import text_like
from .prevalence import Prevalence
from .propagation import spread_labels
from .review import VERDICTS, Trust
from .scan import Report
from .texts import TextModel

__all__ = [
    "VERDICTS",
    "AccountModel",
    "Finding",
    "Limits",
    "Prevalence",
    "Report",
    "Sign",
    "Table",
    "TextModel",
    "Trust",
    "looks_like",
    "measure_accounts",
    "measure_graph",
    "measure_texts",
    "read_table",
    "recall_at_precision",
    "shortened",
    "site_of",
    "spread_labels",
    "text_like",
]
