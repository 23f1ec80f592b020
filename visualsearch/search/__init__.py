"""From a query to hits: query parts, filters, columns, plans, mixing."""

from .alike import PINS_SHARE, UNRELATED, WORDS_SHARE, Judge, Level, Noise, plain_pictures
from .columns import columns_after
from .filters import parse
from .mixing import DEFAULT_WEIGHTS, all_weights, encoded, mixed, query_of, unread
from .query import NO_GROUPS, Snapshot, find
from .query_checks import check_query, unit_rows
from .scales import SAMPLE, Sample, blended
from .tree import COLUMNS, Both, Check, Node, Not, Test, tests
from .truth import ahead_of_tests

__all__ = [
    "COLUMNS",
    "DEFAULT_WEIGHTS",
    "NO_GROUPS",
    "PINS_SHARE",
    "SAMPLE",
    "UNRELATED",
    "WORDS_SHARE",
    "Both",
    "Check",
    "Judge",
    "Level",
    "Node",
    "Noise",
    "Not",
    "Sample",
    "Snapshot",
    "Test",
    "ahead_of_tests",
    "all_weights",
    "blended",
    "check_query",
    "columns_after",
    "encoded",
    "find",
    "mixed",
    "parse",
    "plain_pictures",
    "query_of",
    "tests",
    "unit_rows",
    "unread",
]
