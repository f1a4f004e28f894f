"""Plain JSON values: what may be stored without a type hint, and what may not although JSON could write it."""

from __future__ import annotations

import math
from typing import Any

from memflow.errors import PayloadError
from memflow.fidelity import name_of, step, type_of

PLAIN = "None, bool, int, float, str, list, and dict with str keys"

DEEPEST = 200
"""Levels of nesting that pydantic's parser reads."""

MOST_DIGITS = 4300
"""Digits of an int that pydantic's parser reads; Python's own limit between int and text is the same."""


def refuse_unless_plain(value: Any, path: str, depth: int = 0) -> None:
    """Refuse what JSON would not give back as it is."""
    kind = type_of(value)
    if kind is str or kind is int or kind is bool or value is None:
        return
    if kind is dict:
        if depth >= DEEPEST:
            raise _too_deep(path)
        for key, inner in value.items():
            if type(key) is not str:
                raise PayloadError(
                    f"a key of the type {name_of(key)} would come back as str; annotate the value as dict[{name_of(key)}, ...]",
                    path=step(path, key),
                )
            inner_kind = type_of(inner)
            if inner_kind is not str and inner_kind is not int:
                refuse_unless_plain(inner, step(path, key), depth + 1)
    elif kind is list:
        if depth >= DEEPEST:
            raise _too_deep(path)
        for at, inner in enumerate(value):
            inner_kind = type_of(inner)
            if inner_kind is not str and inner_kind is not int:
                refuse_unless_plain(inner, f"{path}[{at}]", depth + 1)
    elif kind is float:
        if not math.isfinite(value):
            raise PayloadError(f"JSON has no {value}; annotate the parameter as float", path=path)
    else:
        raise PayloadError(
            f"without a type hint only plain JSON values can be stored ({PLAIN}), this is {name_of(value)};"
            f" annotate the parameter or result as {name_of(value)}, or pass its plain form",
            path=path,
        )


def _too_deep(path: str) -> PayloadError:
    return PayloadError(f"nested deeper than {DEEPEST} levels, or it holds itself", path=path[:100] + "...")


def refuse_huge_ints(value: Any, path: str) -> None:
    """A number that could be written, but not read again."""
    kind = type_of(value)
    if kind is int:
        if value.bit_length() > 3.3219 * MOST_DIGITS:
            raise PayloadError(f"an int of over {MOST_DIGITS} digits cannot be read back; pass it as hexadecimal text", path=path)
    elif kind is dict:
        for key, inner in value.items():
            refuse_huge_ints(inner, step(path, key))
    elif kind is list:
        for at, inner in enumerate(value):
            refuse_huge_ints(inner, f"{path}[{at}]")


def has_half_surrogate(value: Any) -> bool:
    """Whether some text in a plain value cannot be written as UTF-8."""
    return any("\ud800" <= character <= "\udfff" for text in _texts(value) for character in text)


def _texts(value: Any) -> list[str]:
    found: list[str] = []
    waiting: list[Any] = [value]
    while waiting:
        one = waiting.pop()
        kind = type_of(one)
        if kind is str:
            found.append(one)
        elif kind is dict:
            waiting.extend(one)
            waiting.extend(one.values())
        elif kind is list:
            waiting.extend(one)
    return found
