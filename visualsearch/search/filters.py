"""`where` expressions over attributes: parsed here to a tree (tree.py), which runs as SQL or over columns (columns.py).

Values never become a part of the SQL; they travel beside it.

Grammar (keywords in any case)::

    expr    := and ("or" and)*
    and     := not ("and" not)*
    not     := "not" not | "(" expr ")" | test
    test    := name                                        a true boolean (or non-zero number)
             | name ("=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">=") value
             | name ["not"] "in" "(" value ("," value)* ")"
             | name ["not"] "between" value "and" value
             | name ["not"] "like" text                    % any run, _ any one character; ASCII case ignored
             | name ["not"] "contains" value               member of a list, or part of a text
             | name "is" ["not"] "null"
    value   := number | 'text' | "text" | true | false
    name    := letters, digits, _ . -  or any characters between backticks

`id` and `uri` are the pin's own columns; every other name is an attribute. As in SQL, a comparison with a missing value
is neither true nor false: `not price < 5` leaves out pins without a price, and `price is null` finds them. Numbers are
compared with numbers and texts with texts only; true and false count as 1 and 0. A list of both compares a number with its
numbers and a text with its texts, so `size not in (10, 'L')` finds every other number and every other text.
"""

from __future__ import annotations

import difflib
import re
import sqlite3
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass

from visualsearch.errors import FilterError

from .tree import COLUMNS, Both, Check, Either, Filter, Node, Not, Test, Value

_HALVES = re.compile("[\ud800-\udfff]")
IS_PRODUCT = "is_product"
"""The attribute that is true of pins which are products."""
MAX_LENGTH = 20_000
MAX_DEPTH = 60
SHALLOW, SHORT = 8, 100
"""Every SQLite compiles a filter of so few levels and tokens; a larger one is tried first."""
KEYWORDS = frozenset(["and", "or", "not", "in", "between", "like", "contains", "is", "null", "true", "false"])

# Possessive (++): giving digits back finds no other number, and would be tried for every pair of them.
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>[-+]?(?:\d++\.?+\d*+|\.\d++)(?:[eE][-+]?\d++)?+)(?![\w.])
    | (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
    | (?P<quoted>`[^`]+`)
    | (?P<name>[^\W\d][\w.\-]*)
    | (?P<op><=|>=|<>|!=|==|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE,
)
_EXAMPLE = "Example: \"price < 50 and category in ('shoe', 'bag') and not sold\""

_COMPARE = {
    "=": Check.EQUAL,
    "==": Check.EQUAL,
    "!=": Check.UNEQUAL,
    "<>": Check.UNEQUAL,
    "<": Check.LESS,
    "<=": Check.AT_MOST,
    ">": Check.MORE,
    ">=": Check.AT_LEAST,
}


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


def parse(text: str, known: Collection[str] | None = None) -> Filter:
    """Parse a `where` expression.

    `known` are the index's attribute names; with it, a name outside is an error that lists the near ones.
    Raises FilterError with the position of the first thing that does not fit.
    """
    if _HALVES.search(text):
        raise FilterError(
            "cannot read the filter", "it has half of a surrogate pair, which is no text", _EXAMPLE
        )
    if len(text) > MAX_LENGTH:
        raise FilterError(
            "filter too long",
            f"{len(text):,} characters, at most {MAX_LENGTH:,} are read",
            "Put the values in an attribute and filter by that",
        )
    parser = _Parser(text, known)
    found = Filter(text, parser.parse())
    if (parser.deepest > SHALLOW or len(parser.tokens) > SHORT) and not _compiles(found):
        raise parser.too_deep()
    return found


def _compiles(chosen: Filter) -> bool:
    """Whether SQLite can compile the condition: how deep it may nest depends on SQLite's release."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE pins (id, uri, attributes)")
        try:
            db.execute(f"EXPLAIN SELECT 1 FROM pins p WHERE {chosen.sql}", chosen.values)
        except sqlite3.Error:
            return False
    return True


class _Parser:
    def __init__(self, text: str, known: Collection[str] | None) -> None:
        self.text, self.known = text, known
        self.tokens = self._scan(text)
        self.next = 0
        self.depth = self.deepest = self.deepest_at = 0

    # -- tokens ---------------------------------------------------------------------------------------------------
    def _scan(self, text: str) -> list[_Token]:
        tokens, at = [], 0
        end = len(text.rstrip())
        while at < end:
            match = _TOKEN.match(text, at)
            if not match:
                at += len(text[at:]) - len(text[at:].lstrip())
                why = "a text is not closed" if text[at] in "'\"`" else f"{text[at]!r} is not understood"
                raise FilterError(
                    f"cannot read the filter {text!r}", f"{why} at character {at + 1}", _EXAMPLE
                )
            kind = str(match.lastgroup)
            word, start = match.group(kind), match.start(kind)
            if kind == "name" and word.lower() in KEYWORDS:
                kind, word = "key", word.lower()
            tokens.append(_Token(kind, word, start))
            at = match.end()
        return tokens

    def _peek(self, *words: str) -> bool:
        if self.next >= len(self.tokens):
            return False
        token = self.tokens[self.next]
        return token.kind in ("key", "op") and token.text in words

    def _take(self, *words: str) -> str | None:
        if not self._peek(*words):
            return None
        self.next += 1
        return self.tokens[self.next - 1].text

    def _need(self, *words: str) -> str:
        taken = self._take(*words)
        if taken is None:
            raise self._unexpected(" or ".join(repr(w) for w in words))
        return taken

    def too_deep(self) -> FilterError:
        """The error for a filter that nests too deep, with the place of its deepest level."""
        return FilterError(
            "cannot read the filter",
            f"it nests deeper than can be read, {self.deepest} levels at character {self.deepest_at + 1}",
            "Write it flatter, with `in`",
        )

    def _unexpected(self, wanted: str) -> FilterError:
        if self.next >= len(self.tokens):
            why = f"it ends where {wanted} should follow"
        else:
            token = self.tokens[self.next]
            why = f"{token.text!r} at character {token.at + 1}, where {wanted} should stand"
        return FilterError(f"cannot read the filter {self.text!r}", why, _EXAMPLE)

    # -- grammar --------------------------------------------------------------------------------------------------
    def parse(self) -> Node:
        if not self.tokens:
            raise FilterError("empty filter", "there is nothing to compare", _EXAMPLE)
        tree = self._or()
        if self.next < len(self.tokens):
            raise self._unexpected("'and', 'or' or the end")
        return tree

    def _or(self) -> Node:
        return self._chain("or", self._and, Either)

    def _and(self) -> Node:
        return self._chain("and", self._not, Both)

    def _chain(self, word: str, part: Callable[[], Node], joined: type[Both] | type[Either]) -> Node:
        parts = [part()]
        while self._take(word):
            parts.append(part())
        # A balanced tree keeps long chains within SQLite's expression depth.
        while len(parts) > 1:
            pairs = [parts[i : i + 2] for i in range(0, len(parts), 2)]
            parts = [joined(p[0], p[1]) if len(p) > 1 else p[0] for p in pairs]
        return parts[0]

    def _not(self) -> Node:
        self.depth += 1
        if self.depth > self.deepest:
            self.deepest = self.depth
            self.deepest_at = self.tokens[self.next].at if self.next < len(self.tokens) else len(self.text)
        if self.depth > MAX_DEPTH:
            raise self.too_deep()
        try:
            if self._take("not"):
                inner = self._not()
                return inner.part if isinstance(inner, Not) else Not(inner)
            if self._take("("):
                inner = self._or()
                self._need(")")
                return inner
            return self._test()
        finally:
            self.depth -= 1

    def _test(self) -> Node:
        name = self._name()
        if self._take("is"):
            negate = bool(self._take("not"))
            self._need("null")
            missing = Test(name, Check.NULL)
            return Not(missing) if negate else missing
        if self._peek(*_COMPARE):
            check = _COMPARE[self._need(*_COMPARE)]
            return Test(name, check, (self._value(),))
        negate = bool(self._take("not"))
        found: Node
        if self._take("in"):
            found = self._in(name)
        elif self._take("between"):
            low = self._value()
            self._need("and")
            high = self._value()
            found = Both(Test(name, Check.AT_LEAST, (low,)), Test(name, Check.AT_MOST, (high,)))
        elif self._take("like"):
            found = Test(name, Check.LIKE, (self._text_value(),))
        elif self._take("contains"):
            found = Test(name, Check.CONTAINS, (self._value(),))
        elif negate:
            raise self._unexpected("'in', 'between', 'like' or 'contains'")
        else:
            return Test(name, Check.TRUE)
        return Not(found) if negate else found

    def _in(self, name: str) -> Node:
        self._need("(")
        values = [self._value()]
        while self._take(","):
            values.append(self._value())
        self._need(")")
        return Test(name, Check.AMONG, tuple(values))

    # -- leaves ---------------------------------------------------------------------------------------------------
    def _name(self) -> str:
        if self.next >= len(self.tokens) or self.tokens[self.next].kind not in ("name", "quoted"):
            raise self._unexpected("an attribute's name")
        token = self.tokens[self.next]
        self.next += 1
        name = token.text.strip("`")
        if self.known is not None and name not in COLUMNS and name not in self.known:
            if name == IS_PRODUCT:
                raise FilterError(
                    "cannot search among products alone",
                    "no pin of this index is known to be a product",
                    "Read a feed or pages first: visualsearch promote products",
                )
            near = (
                difflib.get_close_matches(name, list(self.known), n=5, cutoff=0.5) or sorted(self.known)[:12]
            )
            raise FilterError(
                f"unknown attribute {name!r} in the filter",
                "no pin of this index has it",
                f"Known: {', '.join(near)}" if near else "This index's pins have no attributes",
            )
        return name

    def _value(self) -> Value:
        if word := self._take("true", "false"):
            return word == "true"
        if self.next < len(self.tokens):
            token = self.tokens[self.next]
            if token.kind == "number":
                self.next += 1
                return _number(token.text, self.text)
            if token.kind == "text":
                self.next += 1
                quote = token.text[0]
                return token.text[1:-1].replace(quote * 2, quote)
        raise self._unexpected("a number, a quoted text, true or false")

    def _text_value(self) -> str:
        value = self._value()
        if not isinstance(value, str):
            self.next -= 1
            raise self._unexpected("a quoted text")
        return value


def _number(text: str, whole: str) -> int | float:
    try:
        value: int | float = int(text)
    except ValueError:
        value = float(text)
    if abs(value) > 2**63 - 1:
        value = float(text)
    if value in (float("inf"), float("-inf")):
        raise FilterError(f"cannot read the filter {whole!r}", f"the number {text} is too large", _EXAMPLE)
    return value
