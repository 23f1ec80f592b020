"""Arguments that stand in one place: a method takes keywords, and they are the fields of one dataclass."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
Self = TypeVar("Self")
Given = TypeVar("Given")
Options = TypeVar("Options")
Result = TypeVar("Result")


def keywords_of(
    options: Callable[P, Options],
) -> Callable[[Callable[[Self, Options], Result]], Callable[Concatenate[Self, P], Result]]:
    """Let `method(self, options)` be called as `method(**fields of options)`.

    Type checkers and `help()` see the fields and what the dataclass says of them.
    """

    def around(method: Callable[[Self, Options], Result]) -> Callable[Concatenate[Self, P], Result]:
        @functools.wraps(method)
        def call(self: Self, /, *given: P.args, **named: P.kwargs) -> Result:
            return method(self, options(*given, **named))

        _describe(call, method, options, 1)
        return call

    return around


def keywords_after(
    options: Callable[P, Options],
) -> Callable[[Callable[[Self, Given, Options], Result]], Callable[Concatenate[Self, Given, P], Result]]:
    """The same for `method(self, thing, options)`: the thing comes first."""

    def around(
        method: Callable[[Self, Given, Options], Result],
    ) -> Callable[Concatenate[Self, Given, P], Result]:
        name = list(inspect.signature(method).parameters)[1]

        @functools.wraps(method)
        def call(self: Any, /, *given: Any, **named: Any) -> Any:
            first = (named.pop(name),) if name in named and not given else given[:1]
            if not first:
                raise TypeError(f"{method.__name__}() needs {name!r}")
            return method(self, first[0], options(*given[1:], **named))

        _describe(call, method, options, 2)
        return call

    return around


def _describe(call: Any, method: Any, options: Any, own: int) -> None:
    """Give `call` the signature that it has for a caller, and the words of the options."""
    mine = inspect.signature(method)
    fields = inspect.signature(options).parameters.values()
    first = list(mine.parameters.values())[:own]
    call.__signature__ = mine.replace(parameters=[*first, *fields])
    described_by(options)(call)


def described_by(options: Any) -> Callable[[Any], Any]:
    """Let `help()` of a method say what the arguments mean: the dataclass's own words follow the method's."""

    def around(method: Any) -> Any:
        own, more = inspect.cleandoc(method.__doc__ or ""), inspect.cleandoc(options.__doc__ or "")
        method.__doc__ = f"{own}\n\n{more.partition(chr(10))[2].strip()}"
        return method

    return around
