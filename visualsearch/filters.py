"""`where` expressions over attributes: parsed here, run by SQLite, never pasted into SQL.

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
compared with numbers and texts with texts only.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from .errors import FilterError

MAX_LENGTH = 20_000
MAX_DEPTH = 60
COLUMNS = {"id": "p.id", "uri": "p.uri"}
KEYWORDS = frozenset(["and", "or", "not", "in", "between", "like", "contains", "is", "null", "true", "false"])

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?![\w.])
    | (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
    | (?P<quoted>`[^`]+`)
    | (?P<name>[^\W\d][\w.\-]*)
    | (?P<op><=|>=|<>|!=|==|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE,
)
_COMPARE = {"=": "=", "==": "=", "!=": "<>", "<>": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_EXAMPLE = "Example: \"price < 50 and category in ('shoe', 'bag') and not sold\""

Value = str | int | float | bool


@dataclass(frozen=True)
class Filter:
    """A parsed filter: a SQL condition over `pins p` with `?` marks, and the values that go with them."""

    text: str
    sql: str
    values: tuple[Value, ...]
    names: frozenset[str]


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
    if len(text) > MAX_LENGTH:
        raise FilterError(
            "filter too long",
            f"{len(text):,} characters, at most {MAX_LENGTH:,} are read",
            "Put the values in an attribute and filter by that",
        )
    parser = _Parser(text, known)
    sql = parser.parse()
    return Filter(text, sql, tuple(parser.values), frozenset(parser.names))


class _Parser:
    def __init__(self, text: str, known: Collection[str] | None) -> None:
        self.text, self.known = text, known
        self.tokens = self._scan(text)
        self.next = 0
        self.depth = 0
        self.values: list[Value] = []
        self.names: set[str] = set()

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

    def _unexpected(self, wanted: str) -> FilterError:
        if self.next >= len(self.tokens):
            why = f"it ends where {wanted} should follow"
        else:
            token = self.tokens[self.next]
            why = f"{token.text!r} at character {token.at + 1}, where {wanted} should stand"
        return FilterError(f"cannot read the filter {self.text!r}", why, _EXAMPLE)

    # -- grammar --------------------------------------------------------------------------------------------------
    def parse(self) -> str:
        if not self.tokens:
            raise FilterError("empty filter", "there is nothing to compare", _EXAMPLE)
        sql = self._or()
        if self.next < len(self.tokens):
            raise self._unexpected("'and', 'or' or the end")
        return sql

    def _or(self) -> str:
        return self._chain("or", self._and)

    def _and(self) -> str:
        return self._chain("and", self._not)

    def _chain(self, word: str, part: Callable[[], str]) -> str:
        parts = [part()]
        while self._take(word):
            parts.append(part())
        # A balanced tree keeps long chains within SQLite's expression depth.
        while len(parts) > 1:
            pairs = [parts[i : i + 2] for i in range(0, len(parts), 2)]
            parts = [f"({p[0]} {word.upper()} {p[1]})" if len(p) > 1 else p[0] for p in pairs]
        return parts[0]

    def _not(self) -> str:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise FilterError(
                "cannot read the filter",
                f"it nests deeper than {MAX_DEPTH} levels",
                "Write it flatter, with `in`",
            )
        try:
            if self._take("not"):
                return f"(NOT {self._not()})"
            if self._take("("):
                inner = self._or()
                self._need(")")
                return inner
            return self._test()
        finally:
            self.depth -= 1

    def _test(self) -> str:
        name = self._name()
        if self._take("is"):
            negate = bool(self._take("not"))
            self._need("null")
            return self._sql(name, "{} IS NOT NULL" if negate else "{} IS NULL")
        if self._peek(*_COMPARE):
            sign = _COMPARE[self._need(*_COMPARE)]
            return self._compare(name, sign, self._value())
        negate = bool(self._take("not"))
        if self._take("in"):
            sql = self._in(name)
        elif self._take("between"):
            low = self._value()
            self._need("and")
            high = self._value()
            sql = f"({self._compare(name, '>=', low)} AND {self._compare(name, '<=', high)})"
        elif self._take("like"):
            sql = self._sql(name, "{} LIKE ?", self._text_value())
        elif self._take("contains"):
            sql = self._contains(name)
        elif negate:
            raise self._unexpected("'in', 'between', 'like' or 'contains'")
        else:
            return self._sql(name, "CASE WHEN typeof({0}) IN ('integer', 'real') THEN {0} <> 0 END")
        return f"(NOT {sql})" if negate else sql

    def _in(self, name: str) -> str:
        self._need("(")
        values = [self._value()]
        while self._take(","):
            values.append(self._value())
        self._need(")")
        kinds = {isinstance(v, str) for v in values}
        parts = []
        for kind in sorted(kinds):
            chosen = [v for v in values if isinstance(v, str) is kind]
            marks = ", ".join("?" * len(chosen))
            parts.append(self._sql(name, _TYPED[kind].format(f"IN ({marks})"), *chosen))
        return f"({' OR '.join(parts)})"

    def _compare(self, name: str, sign: str, value: Value) -> str:
        return self._sql(name, _TYPED[isinstance(value, str)].format(f"{sign} ?"), value)

    def _contains(self, name: str) -> str:
        value = self._value()
        if name in COLUMNS:
            return self._sql(name, "instr({}, ?) > 0", str(value))
        path = _path(name)
        self.names.add(name)
        self.values += [path, path, value, path, str(value)]
        return (
            "(CASE json_type(p.attributes, ?) WHEN 'array' THEN"
            " EXISTS (SELECT 1 FROM json_each(p.attributes, ?) AS e WHERE e.value = ?)"
            " WHEN 'text' THEN instr(json_extract(p.attributes, ?), ?) > 0 END)"
        )

    # -- leaves ---------------------------------------------------------------------------------------------------
    def _name(self) -> str:
        if self.next >= len(self.tokens) or self.tokens[self.next].kind not in ("name", "quoted"):
            raise self._unexpected("an attribute's name")
        token = self.tokens[self.next]
        self.next += 1
        name = token.text.strip("`")
        if self.known is not None and name not in COLUMNS and name not in self.known:
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

    def _sql(self, name: str, pattern: str, *values: Value) -> str:
        """`pattern` with the column for every `{}` / `{0}`, its values in the order of their marks."""
        uses = max(pattern.count("{}"), pattern.count("{0}"))
        if name in COLUMNS:
            self.values += values
            return f"({pattern.replace('{0}', '{}').format(*[COLUMNS[name]] * uses)})"
        self.names.add(name)
        self.values += [_path(name)] * uses
        self.values += values
        return f"({pattern.replace('{0}', '{}').format(*['json_extract(p.attributes, ?)'] * uses)})"


# A text never equals or orders against a number: SQLite alone would put every text above every number.
_TYPED = {
    False: "CASE WHEN typeof({{0}}) IN ('integer', 'real') THEN {{0}} {} END",
    True: "CASE WHEN typeof({{0}}) = 'text' THEN {{0}} {} END",
}


def _path(name: str) -> str:
    if '"' in name or "\\" in name:
        raise FilterError(f"cannot filter by the attribute {name!r}", "its name holds a quote or backslash")
    return f'$."{name}"'


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
