"""`arg` or `args`: how Temporal's programs give arguments; and signatures that show every option of a call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeGuard, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

UNSET: Final[Any] = object()
"""No argument was given."""


def arg_or_args(arg: Any, args: Sequence[Any]) -> Sequence[Any]:
    """The arguments.

    Raises:
        ValueError: both were given.
    """
    if arg is UNSET:
        return args
    if args:
        raise ValueError("Cannot have arg and args")
    return [arg]


def with_options(options: Mapping[str, Any], *required: str) -> Callable[[F], F]:
    """Give a function that ends in `**options` the signature with each of them, and refuse any other.

    `options` are the names with their defaults.
    """

    def give(fn: F) -> F:
        signature = inspect.signature(fn)
        shown = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
        for name, default in options.items():
            given = inspect.Parameter.empty if name in required else default
            shown.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=given))
        cast("Any", fn).__signature__ = signature.replace(parameters=shown)
        return fn

    return give


def checked(verb: str, given: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Every option: what was given, else its default.

    Raises:
        TypeError: an option is unknown.
    """
    unknown = given.keys() - options.keys()
    if unknown:
        raise TypeError(f"{verb}() got an unexpected keyword argument {sorted(unknown)[0]!r}")
    return {**options, **given}


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether it is a list; of its members type checkers know nothing."""
    return isinstance(value, list)


def is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether it is a mapping; those met here have names as keys."""
    return isinstance(value, Mapping)


def is_iterable(value: object) -> TypeGuard[Iterable[Any]]:
    """Whether one can go through it."""
    return isinstance(value, Iterable)
