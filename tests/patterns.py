"""Every regular expression of the package, and texts made from each that are hard for it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

import visualsearch

PACKAGE = Path(visualsearch.__file__).parent
FUNCTIONS = {"compile", "match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"}
PUMPED = 100_000
"""Repetitions: what is linear takes milliseconds, what is quadratic takes hours."""


@dataclass(frozen=True)
class Found:
    """A pattern in the source: where, and its text; None where it is put together while running."""

    place: str
    pattern: str | bytes | None
    flags: int
    methods: frozenset[str] = frozenset()


def found() -> list[Found]:
    """All patterns of the package."""
    return [
        one
        for path in sorted(PACKAGE.rglob("*.py"))
        if "_data" not in path.parts
        for one in _of(path.read_text(encoding="utf-8"), path.relative_to(PACKAGE).as_posix())
    ]


def _of(source: str, place: str) -> Iterator[Found]:
    tree = ast.parse(source)
    names = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "re"
        for alias in node.names
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        is_re = (
            isinstance(called, ast.Attribute)
            and ast.unparse(called.value) == "re"
            and called.attr in FUNCTIONS
        )
        if not is_re and not (isinstance(called, ast.Name) and called.id in names & FUNCTIONS):
            continue
        flags = 0
        for word in re.findall(r"re\.([A-Z]+)", ast.unparse(node)):
            flags |= int(getattr(re, word))
        first = node.args[0] if node.args else None
        value = first.value if isinstance(first, ast.Constant) else None
        method = called.attr if isinstance(called, ast.Attribute) else called.id
        methods = {method} if method != "compile" else _methods(tree, node, source)
        pattern = value if isinstance(value, (str, bytes)) else None
        yield Found(f"{place}:{node.lineno}", pattern, flags, frozenset(methods))


def _methods(tree: ast.Module, call: ast.Call, source: str) -> set[str]:
    """How a compiled pattern is used: by the name that it is assigned to, else in every way."""
    names = [
        ast.unparse(node.targets[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and node.value is call
    ]
    used = {word for name in names for word in re.findall(rf"\b{name}\.(\w+)", source)}
    return used & FUNCTIONS or FUNCTIONS - {"compile"}


def attacks(pattern: str | bytes, flags: int, pumped: int = PUMPED) -> list[str]:
    """Texts in which one repeated piece of the pattern comes `pumped` times and then does not go on as it must."""
    tree = _parser.parse(pattern, flags)
    texts = set()
    for before, body in _repeats(list(tree), ""):
        for piece in _samples(body):
            for pump in {piece, before + piece}:
                if pump:
                    texts |= {f"{before}{pump * pumped}{end}" for end in ("", "\0", "!", "<", "a", "0")}
    return sorted(texts, key=len)


def _repeats(tree: list[Any], before: str) -> Iterator[tuple[str, list[Any]]]:
    """(a text that leads there, what is repeated) for every repetition without a small bound."""
    for kind, value in tree:
        if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            _least, most, body = value
            if most > 100:
                yield before, list(body)
            yield from _repeats(list(body), before)
        for inner in _inner(kind, value):
            yield from _repeats(inner, before)
        before += next(iter(_samples([(kind, value)])), "")


def _inner(kind: Any, value: Any) -> list[list[Any]]:
    if kind is sre.SUBPATTERN:
        return [list(value[-1])]
    if kind is sre.BRANCH:
        return [list(branch) for branch in value[1]]
    if kind is sre.ATOMIC_GROUP:
        return [list(value)]
    return []


def _samples(tree: list[Any]) -> list[str]:
    """Some texts that fit, the shortest of each branch."""
    texts = [""]
    for kind, value in tree:
        texts = [text + end for text in texts for end in _ends(kind, value)][:40]
    return texts


def _ends(kind: Any, value: Any) -> list[str]:
    if kind is sre.LITERAL:
        return [chr(value)]
    if kind in (sre.ANY, sre.NOT_LITERAL):
        return ["a"] if value != ord("a") else ["b"]
    if kind is sre.IN:
        return _of_class(value)
    if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
        least, _most, body = value
        once = _samples(list(body))
        return [text * max(1, least) for text in once] + ([""] if least == 0 else [])
    inner = _inner(kind, value)
    return [text for tree in inner for text in _samples(tree)] if inner else [""]


_CLASSES = {
    sre.CATEGORY_DIGIT: "0",
    sre.CATEGORY_SPACE: " ",
    sre.CATEGORY_WORD: "a",
    sre.CATEGORY_NOT_SPACE: "a",
    sre.CATEGORY_NOT_WORD: " ",
    sre.CATEGORY_NOT_DIGIT: "a",
}


def _of_class(members: list[Any]) -> list[str]:
    if members and members[0][0] is sre.NEGATE:
        taken = {value for kind, value in members[1:] if kind is sre.LITERAL}
        return [sign for sign in "a,.0 '" if ord(sign) not in taken][:3]
    texts = []
    for kind, value in members:
        if kind is sre.LITERAL:
            texts.append(chr(value))
        elif kind is sre.RANGE:
            texts.append(chr(value[0]))
        elif kind is sre.CATEGORY:
            texts.append(_CLASSES[value])
    return texts[:4] or ["a"]


def run(one: Found) -> None:
    """Use the pattern as the package does on its attacks."""
    assert one.pattern is not None
    made = re.compile(one.pattern, one.flags)
    for text in attacks(one.pattern, one.flags):
        given: Any = text.encode("latin-1") if isinstance(one.pattern, bytes) else text
        for method in one.methods & {"match", "fullmatch", "search"}:
            getattr(made, method)(given)
        if one.methods - {"match", "fullmatch", "search"}:
            sum(1 for _ in made.finditer(given))


if __name__ == "__main__":
    for each in found():
        if each.pattern is not None:
            print(each.place, *sorted(each.methods), flush=True)
            run(each)
    print("all are linear")
