"""From a query to hits: options, mixing, filters, columns, plans, the shortlist and the page."""

from .alike import PINS_SHARE, UNRELATED, WORDS_SHARE, Judge, Level, Noise, plain_pictures
from .columns import columns_after
from .filters import IS_PRODUCT, parse
from .heads import Heads
from .hidden import Hidden
from .mixing import encoded, mixed, unread, vector_of
from .options import DEFAULT_WEIGHTS, SearchOptions, all_weights, products_only
from .page import answered, answered_each, stored_rows
from .query_checks import check_query, unit_rows
from .scales import SAMPLE, Sample, blended
from .shortlist import NO_GROUPS
from .snapshot import Snapshot
from .tree import COLUMNS, Both, Check, Node, Not, Test, tests
from .truth import ahead_of_tests
from .views import Views

__all__ = [
    "COLUMNS",
    "DEFAULT_WEIGHTS",
    "IS_PRODUCT",
    "NO_GROUPS",
    "PINS_SHARE",
    "SAMPLE",
    "UNRELATED",
    "WORDS_SHARE",
    "Both",
    "Check",
    "Heads",
    "Hidden",
    "Judge",
    "Level",
    "Node",
    "Noise",
    "Not",
    "Sample",
    "SearchOptions",
    "Snapshot",
    "Test",
    "Views",
    "ahead_of_tests",
    "all_weights",
    "answered",
    "answered_each",
    "blended",
    "check_query",
    "columns_after",
    "encoded",
    "mixed",
    "parse",
    "plain_pictures",
    "products_only",
    "stored_rows",
    "tests",
    "unit_rows",
    "unread",
    "vector_of",
]
