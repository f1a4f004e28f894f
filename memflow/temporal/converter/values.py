"""What JSON gives, as the type hint wants it: dataclasses, TypedDicts, NamedTuples, enums, UUIDs, unions, generics, ..."""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import types
import typing
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, Literal, NewType, TypeVar, cast, get_args, get_origin, get_type_hints

import typing_extensions

from memflow.temporal.arguments import is_iterable, is_mapping


class _Unhandled:
    """The answer of a type converter that leaves a value to others."""


_UNHANDLED = _Unhandled()

EXACT = frozenset({str, int, bool, float, dict, list})
"""Hints that a value of just that type meets as it is."""


JSONTypeConverterUnhandled = NewType("JSONTypeConverterUnhandled", object)


class JSONTypeConverter(ABC):
    """Makes values of types that JSON does not know."""

    Unhandled = JSONTypeConverterUnhandled(_UNHANDLED)
    """Answer this to leave a value to the usual conversion."""

    @abstractmethod
    def to_typed_value(self, hint: type, value: Any) -> Any | JSONTypeConverterUnhandled | None:
        """The value for a hint, or `JSONTypeConverter.Unhandled`."""


def value_to_type(hint: Any, value: Any, custom_converters: Sequence[JSONTypeConverter] = []) -> Any:
    """`value`, plain JSON, as `hint` wants it.

    Raises:
        TypeError: it does not fit.
        ValueError: it fits, but means nothing (a wrong date, an unknown member of an enum).
    """
    for converter in custom_converters:
        found = converter.to_typed_value(hint, value)
        if found is not _UNHANDLED:
            return found
    if hint is Any or hint is object:
        return value
    if hint is None or hint is type(None):
        if value is not None:
            raise TypeError(f"Value {value} could not be converted to None")
        return None
    if type(value) is hint and hint in EXACT:
        return value
    if isinstance(hint, TypeVar):
        return _of_type_var(hint, value, custom_converters)
    if hasattr(hint, "__supertype__"):
        return value_to_type(hint.__supertype__, value, custom_converters)
    if type(hint).__name__ == "TypeAliasType":   # since 3.12
        return value_to_type(hint.__value__, value, custom_converters)
    origin = get_origin(hint)
    arguments = get_args(hint)
    if origin in (typing.Annotated, typing_extensions.Required, typing_extensions.NotRequired, typing.Final):
        return value_to_type(arguments[0], value, custom_converters)
    if origin is Literal:
        if value not in arguments:
            raise TypeError(f"Value {value} not in literal values {arguments}")
        return value
    if origin in (typing.Union, types.UnionType):
        return _of_union(hint, arguments, value, custom_converters)
    if origin is None:
        return _of_class(hint, value, custom_converters)
    return _of_generic(hint, origin, arguments, value, custom_converters)


def _of_type_var(hint: Any, value: Any, custom: Sequence[JSONTypeConverter]) -> Any:
    if hint.__bound__ is not None:
        return value_to_type(hint.__bound__, value, custom)
    if hint.__constraints__:
        return _of_union(hint, hint.__constraints__, value, custom)
    return value


def _of_union(hint: Any, members: tuple[Any, ...], value: Any, custom: Sequence[JSONTypeConverter]) -> Any:
    if value is None and type(None) in members:
        return None
    # A member that the value is already goes before one that it can be made into.
    for member in members:
        if isinstance(member, type) and type(value) is member:
            return value
    for member in members:
        try:
            return value_to_type(member, value, custom)
        except Exception:
            continue
    raise TypeError(f"Failed converting to {hint} from {value}")


def _of_class(hint: Any, value: Any, custom: Sequence[JSONTypeConverter]) -> Any:
    if not inspect.isclass(hint):
        return value
    return _of_plain_class(hint, value, custom)


def _of_plain_class(hint: Any, value: Any, custom: Sequence[JSONTypeConverter]) -> Any:
    if dataclasses.is_dataclass(cast("object", hint)):
        return _of_dataclass(hint, value, custom)
    if typing_extensions.is_typeddict(hint):
        return _of_typed_dict(hint, value, custom)
    if issubclass(hint, datetime):
        return _instant(value)
    if issubclass(hint, uuid.UUID):
        return hint(value)
    if issubclass(hint, IntEnum):
        if not isinstance(value, int):
            raise TypeError(f"Cannot convert to enum {hint}, value not an integer, value is {type(value)}")
        return hint(value)
    if issubclass(hint, StrEnum) or (issubclass(hint, str) and hasattr(hint, "__members__")):
        if not isinstance(value, str):
            raise TypeError(f"Cannot convert to enum {hint}, value not a string, value is {type(value)}")
        return hint(value)
    parse = getattr(hint, "model_validate", None) or getattr(hint, "parse_obj", None)
    if callable(parse) and hint not in (str, int, float, bool):
        return parse(value)
    if issubclass(hint, tuple) and hasattr(cast("Any", hint), "_fields"):
        return _of_named_tuple(cast("Any", hint), value, custom)
    if hint in (int, float):
        if not isinstance(value, int | float):
            raise TypeError(f"Expected value to be int|float, was {type(value)}")
        return hint(value)
    if hint is bytes and isinstance(value, list):
        return bytes(cast("Any", value))
    if issubclass(hint, (list, dict, set, frozenset, tuple, collections.deque)) or hint in (
        collections.abc.Sequence, collections.abc.Mapping,
    ):
        return _of_generic(hint, hint, (), value, custom)
    if isinstance(value, hint):
        return value
    if hint in (str, int, bool, bytes) or not hasattr(hint, "__members__"):
        raise TypeError(f"Expected value to be {hint.__name__ if hint in (str, bool) else hint}, was {type(value)}")
    member: Any = hint
    return member(value)


def _instant(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError) as problem:
        raise TypeError(f"Failed parsing datetime string: {value}") from problem


def _of_dataclass(hint: Any, value: Any, custom: Sequence[JSONTypeConverter]) -> Any:
    if not isinstance(value, dict):
        raise TypeError(f"Cannot convert to dataclass {hint}, value is {type(value)} not dict")
    given = typing.cast("dict[str, Any]", value)
    hints = get_type_hints(hint, include_extras=True)
    fields: dict[str, Any] = {}
    for each in dataclasses.fields(hint):
        if each.init and each.name in given:
            fields[each.name] = _member(each.name, hint, hints[each.name], given[each.name], custom)
    return hint(**fields)


def _of_typed_dict(hint: Any, value: Any, custom: Sequence[JSONTypeConverter]) -> Any:
    if not isinstance(value, Mapping):
        raise TypeError(f"Cannot convert to {hint}, value is {type(value)} not a dict")
    given = typing.cast("Mapping[str, Any]", value)
    hints = typing_extensions.get_type_hints(hint)
    return {name: _member(name, hint, hints[name], each, custom) if name in hints else each for name, each in given.items()}


def _of_named_tuple(hint: Any, value: Any, custom: Sequence[JSONTypeConverter]) -> Any:
    if not isinstance(value, list | tuple):
        raise TypeError(f"Cannot convert to {hint}, value is {type(value)} not a list")
    hints = get_type_hints(hint)
    listed = typing.cast("Sequence[Any]", value)
    return hint(*[value_to_type(hints.get(name, Any), each, custom) for name, each in zip(hint._fields, listed, strict=False)])


def _member(name: str, hint: Any, of: Any, value: Any, custom: Sequence[JSONTypeConverter]) -> Any:
    try:
        return value_to_type(of, value, custom)
    except Exception as problem:
        kind = "dataclass " if dataclasses.is_dataclass(hint) else ""
        raise TypeError(f"Failed converting field {name} on {kind}{hint}") from problem


def _of_generic(hint: Any, origin: Any, arguments: tuple[Any, ...], value: Any, custom: Sequence[JSONTypeConverter]) -> Any:
    if dataclasses.is_dataclass(cast("object", origin)):
        return _of_dataclass(origin, value, custom)
    if inspect.isclass(origin) and hasattr(origin, "model_validate"):
        return hint.model_validate(value)
    if inspect.isclass(origin) and issubclass(origin, collections.abc.Mapping):
        return _of_mapping(hint, origin, arguments, value, custom)
    if inspect.isclass(origin) and issubclass(origin, tuple):
        return _of_tuple(hint, arguments, value, custom)
    if inspect.isclass(origin) and issubclass(origin, collections.abc.Iterable):
        if isinstance(value, str) or is_mapping(value) or not is_iterable(value):
            raise TypeError(f"Cannot convert to {hint}, value is {type(value)}")
        inner = arguments[0] if arguments else Any
        made: list[Any] = []
        for at, each in enumerate(typing.cast("Any", value)):
            try:
                made.append(value_to_type(inner, each, custom))
            except Exception as problem:
                raise TypeError(f"Failed converting {hint} index {at}") from problem
        if issubclass(origin, frozenset):
            return frozenset(made)
        if issubclass(origin, collections.abc.Set):
            return set(made)
        return collections.deque(made) if issubclass(origin, collections.deque) else made
    if inspect.isclass(origin) and issubclass(origin, type):
        raise TypeError(f"Unserializable type during conversion: {hint}")
    return value


def _of_mapping(hint: Any, origin: Any, arguments: tuple[Any, ...], value: Any, custom: Sequence[JSONTypeConverter]) -> Any:
    if not isinstance(value, Mapping):
        raise TypeError(f"Expected {hint}, value was {type(value)}")
    keys, values = arguments if len(arguments) == 2 else (Any, Any)
    made: dict[Any, Any] = {}
    for key, each in typing.cast("Mapping[str, Any]", value).items():
        try:
            read = _key(keys, key, custom)
        except Exception as problem:
            raise TypeError(f"Failed converting key {key!r} to type {keys} in mapping {hint}") from problem
        try:
            made[read] = value_to_type(values, each, custom)
        except Exception as problem:
            raise TypeError(f"Failed converting value for key {key!r} in mapping {hint}") from problem
    if inspect.isclass(origin) and issubclass(origin, collections.OrderedDict):
        return collections.OrderedDict(made)
    return made


def _key(hint: Any, key: Any, custom: Sequence[JSONTypeConverter]) -> Any:
    """JSON writes every key as text; some are read back as what they were. `dict[None, ...]`, spelled so, takes any."""
    if hint is None:
        return key
    if isinstance(key, str):
        if hint is int:
            return int(key)
        if hint is float:
            return float(key)
        if hint is bool and key in ("true", "false"):
            return key == "true"
        if hint is type(None) and key == "null":
            return None
        if inspect.isclass(hint) and issubclass(hint, IntEnum):
            return hint(int(key))
    return value_to_type(hint, key, custom)


def _of_tuple(hint: Any, arguments: tuple[Any, ...], value: Any, custom: Sequence[JSONTypeConverter]) -> Any:
    if isinstance(value, str) or is_mapping(value) or not is_iterable(value):
        raise TypeError(f"Cannot convert to {hint}, value is {type(value)}")
    listed = list(typing.cast("Any", value))
    if not arguments:
        return tuple(listed)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(value_to_type(arguments[0], each, custom) for each in listed)
    wanted = arguments if arguments != ((),) else ()
    made: list[Any] = []
    for at, (each, one) in enumerate(zip(wanted, listed, strict=False)):     # as Temporal's: those that there are
        try:
            made.append(value_to_type(each, one, custom))
        except Exception as problem:
            raise TypeError(f"Failed converting {hint} index {at}") from problem
    return tuple(made)
