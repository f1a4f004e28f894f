"""Whether what came back from storage is what went in: one walk over both, which names the first place where it is not."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Set
from enum import Enum
from itertools import zip_longest
from typing import Any

from pydantic import BaseModel

type_of: Callable[[object], Any] = type
"""`type` for values of which nothing is known yet."""

_PLAIN: frozenset[type] = frozenset({str, int, bool, bytes, type(None)})
_MISSING: Any = object()
_NO_EQUALITY: Any = object.__eq__


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """The first place where two values differ, and how."""

    path: str
    problem: str


def difference(value: Any, back: Any, path: str = "$") -> Difference | None:
    """None if `back` is as good as `value`: same types, same content.

    Two things are let through: an int where a float is declared (as Python's typing does), and an instance of a subclass
    of a builtin that is equal to what comes back and has no fields of its own, such as a `defaultdict` or a `StrEnum`
    member where a dict or a str is declared.
    """
    kind = type_of(value)
    if kind is not type(back):
        return _across_types(value, back, path)
    if kind in _PLAIN:
        return None if value == back else _changed(value, back, path)
    if issubclass(kind, dict):
        return _mappings(value, back, path)
    if issubclass(kind, list | tuple | deque):
        return _items(value, back, path)
    if issubclass(kind, set | frozenset):
        return _sets(value, back, path)
    if issubclass(kind, BaseModel):
        return _models(value, back, path)
    if issubclass(kind, Enum):
        return None if value is back else _changed(value, back, path)
    if dataclasses.is_dataclass(kind):
        return _fields(value, back, [field.name for field in dataclasses.fields(kind)], path)
    return _leaves(value, back, path)


def step(path: str, key: object) -> str:
    """The path of a member: `$.price`, or `$['unit price']` where the key is no word."""
    return f"{path}.{key}" if isinstance(key, str) and key.isidentifier() else f"{path}[{_short(key)}]"


def name_of(value: object) -> str:
    """The name of a value's type, with its module where that tells more."""
    kind = type(value)
    if value is None:
        return "None"
    return kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"


def _across_types(value: Any, back: Any, path: str) -> Difference | None:
    lost = Difference(path, f"{name_of(value)} would come back as {name_of(back)}; annotate it as {name_of(value)}")
    kind = type_of(value)
    back_kind = type_of(back)
    if back_kind is float and kind is int:
        return None if value == back else _changed(value, back, path)
    if kind is bool or not issubclass(kind, back_kind) or _has_own_fields(value):
        return lost
    if issubclass(kind, dict):
        return _mappings(value, back, path)
    if issubclass(kind, list | tuple):
        return _items(value, back, path)
    if back_kind.__module__ in ("builtins", "datetime", "decimal", "uuid", "pathlib", "collections"):
        return None if value == back else lost
    return lost


def _has_own_fields(value: Any) -> bool:
    if isinstance(value, Enum):
        return False
    return bool(getattr(value, "__dict__", None)) or hasattr(value, "_fields")


def _mappings(value: Mapping[Any, Any], back: Mapping[Any, Any], path: str) -> Difference | None:
    # Not by look-up: 1 and True are one key, and JSON keeps the order.
    for (key, inner), (back_key, back_inner) in zip_longest(value.items(), back.items(), fillvalue=(_MISSING, _MISSING)):
        if key is _MISSING or back_key is _MISSING:
            return _changed_keys(value, back, path)
        unlike = difference(key, back_key, path)
        if unlike is not None:
            return Difference(step(path, key), f"the key {_short(key)}: {unlike.problem}")
        unlike = difference(inner, back_inner, step(path, key))
        if unlike is not None:
            return unlike
    return None


def _changed_keys(value: Mapping[Any, Any], back: Mapping[Any, Any], path: str) -> Difference:
    unlike = [key for key in value if key not in back] or [key for key in back if key not in value]
    where = step(path, unlike[0]) if unlike else path
    return Difference(where, "the declared type does not keep this key, it would be lost")


def _items(value: Iterable[Any], back: Iterable[Any], path: str) -> Difference | None:
    for at, (inner, back_inner) in enumerate(zip_longest(value, back, fillvalue=_MISSING)):
        if inner is _MISSING or back_inner is _MISSING:
            return Difference(f"{path}[{at}]", "the declared type keeps another number of items")
        unlike = difference(inner, back_inner, f"{path}[{at}]")
        if unlike is not None:
            return unlike
    return None


def _sets(value: Set[Any], back: Set[Any], path: str) -> Difference | None:
    by_value = {item: item for item in back}
    if len(value) != len(back):
        return Difference(path, "the declared type keeps another number of items")
    for item in value:
        other = by_value.get(item, _MISSING)
        if other is _MISSING:
            if item != item:
                continue                       # NaN equals nothing; the count has been compared
            return Difference(path, f"the item {_short(item)} would be changed")
        unlike = difference(item, other, path)
        if unlike is not None:
            return unlike
    return None


def _models(value: BaseModel, back: BaseModel, path: str) -> Difference | None:
    unlike = _fields(value, back, type(value).model_fields, path)
    if unlike is None and (value.__pydantic_extra__ or back.__pydantic_extra__):
        return _mappings(value.__pydantic_extra__ or {}, back.__pydantic_extra__ or {}, path)
    return unlike


def _fields(value: Any, back: Any, names: Iterable[str], path: str) -> Difference | None:
    for name in names:
        mine, theirs = getattr(value, name, _MISSING), getattr(back, name, _MISSING)
        if mine is _MISSING and theirs is _MISSING:
            continue
        if mine is _MISSING or theirs is _MISSING:
            return Difference(step(path, name), "the field would not be kept")
        unlike = difference(mine, theirs, step(path, name))
        if unlike is not None:
            return unlike
    return None


def _leaves(value: Any, back: Any, path: str) -> Difference | None:
    try:
        if value == back or (value != value and back != back):      # the second: NaN
            return None
    except Exception:                                               # a signalling NaN, or the user's own __eq__
        return Difference(path, f"{name_of(value)} cannot be compared with what would come back")
    kind = type_of(value)
    if kind.__eq__ is _NO_EQUALITY and hasattr(value, "__dict__"):
        return _mappings(value.__dict__, back.__dict__, path)
    return _changed(value, back, path)


def _changed(value: Any, back: Any, path: str) -> Difference:
    return Difference(path, f"{_short(value)} would come back as {_short(back)}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
