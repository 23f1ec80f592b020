"""Filters as Milvus writes them."""

from __future__ import annotations

import json

from visualsearch.errors import FilterError
from visualsearch.search import COLUMNS, Both, Check, Node, Not, Test

_TURNED = {
    Check.LESS: Check.AT_LEAST,
    Check.AT_LEAST: Check.LESS,
    Check.MORE: Check.AT_MOST,
    Check.AT_MOST: Check.MORE,
    Check.EQUAL: Check.UNEQUAL,
    Check.UNEQUAL: Check.EQUAL,
}


def condition(node: Node, turned: bool = False) -> str:
    """A filter's tree, or its opposite, as a filter of Milvus that leaves the same pins.

    A test of Milvus is false, never unknown, where a value is missing; so opposites are taken of the tests, not of what they
    say. Raises FilterError for `like`, in which Milvus tells large letters from small ones, for `contains` with % or _, and for
    `not contains` of an attribute.
    """
    if isinstance(node, Not):
        return condition(node.part, not turned)
    if isinstance(node, Test):
        return f"({_test(node, turned)})"
    word = "and" if isinstance(node, Both) != turned else "or"
    return f"({condition(node.left, turned)} {word} {condition(node.right, turned)})"


def _test(test: Test, turned: bool) -> str:
    field = test.name if test.name in COLUMNS else f"attributes[{json.dumps(test.name, ensure_ascii=False)}]"
    if test.check is Check.NULL:
        if test.name in COLUMNS:
            return "row >= 0" if turned else "row < 0"
        return f"{'' if turned else 'not '}exists {field}"
    if test.check is Check.TRUE:
        return (
            f"{field} == false or {field} == 0"
            if turned
            else f"{field} == true or {field} < 0 or {field} > 0"
        )
    if test.check is Check.LIKE:
        raise FilterError(
            "Milvus cannot filter by `like`",
            "in its own large letters differ from small ones",
            "Use =, in or contains",
        )
    if test.check is Check.CONTAINS:
        return _contains(field, test, turned)
    if test.check is Check.AMONG:
        return _among(test, turned)
    value = test.values[0]
    check = _TURNED[test.check] if turned else test.check
    if isinstance(value, bool):
        # true is 1 and false is 0 wherever numbers are compared
        one = _test(Test(test.name, check, (int(value),)), False)
        if check not in (Check.EQUAL, Check.UNEQUAL):
            return one
        same = "true" if value == (check is Check.EQUAL) else "false"
        return f"{field} == {same} or {one}"
    written = json.dumps(value, ensure_ascii=False)
    if check is Check.UNEQUAL:
        return f"{field} < {written} or {field} > {written}"
    return f"{field} {'==' if check is Check.EQUAL else check.value} {written}"


def _among(test: Test, turned: bool) -> str:
    """A value is compared with the members of its own type only: Milvus holds a test across types for false."""
    parts = []
    for texts in (False, True):
        some = [v for v in test.values if isinstance(v, str) is texts]
        each = (f"({_test(Test(test.name, Check.EQUAL, (value,)), turned)})" for value in some)
        if some:
            parts.append((" and " if turned else " or ").join(each))
    return " or ".join(f"({part})" for part in parts) if len(parts) > 1 else parts[0]


def _contains(field: str, test: Test, turned: bool) -> str:
    value = test.values[0]
    text = str(value)
    if set(text) & set("%_\\"):
        raise FilterError(
            "Milvus cannot filter by this `contains`", f"{text!r} holds one of % _ \\", "Use = or in"
        )
    part = f"{field} like {json.dumps(f'%{text}%', ensure_ascii=False)}"
    if test.name in COLUMNS:
        return f"not ({part})" if turned else part
    if turned:
        raise FilterError(
            "Milvus cannot filter by `not contains`",
            f"it does not tell whether {test.name!r} is a list",
            "Ask for what the pins should contain",
        )
    return f"json_contains({field}, {json.dumps(value, ensure_ascii=False)}) or {part}"
