"""Pydantic at the edge: one adapter per hint, and its complaints as `PayloadError` with a path in the value."""

from __future__ import annotations

import sys
import typing
from collections.abc import Sequence
from types import GenericAlias, UnionType
from typing import Any

import typing_extensions
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core import from_json

from memflow.errors import PayloadError
from memflow.fidelity import name_of, step, type_of

_CONFIG = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="strings", ser_json_timedelta="iso8601")
_CACHED_HINTS = 4096


_NO_MEMBER: Any = object()
_UNION: Any = typing.Union


class Adapters:
    """One pydantic adapter per hint, built on first use. It is for `tuple[hint]`: a bare class takes no config."""

    def __init__(self) -> None:
        self._by_identity: dict[int, tuple[Any, TypeAdapter[Any]]] = {}
        # Union[int, str] == Union[str, int], but they read differently: hence the text in the key.
        self._by_text: dict[tuple[Any, str], TypeAdapter[Any]] = {}
        self._many: dict[tuple[int, ...], tuple[tuple[Any, ...], TypeAdapter[Any]]] = {}

    def try_dump(self, value: Any, hint: Any) -> tuple[bytes | None, str | None]:
        """The bytes, or why there are none."""
        adapter = self._of(hint)
        try:
            return adapter.dump_json((value,), warnings="error", round_trip=True, by_alias=True)[1:-1], None
        except Exception as problem:             # serializers may be the user's own code
            return None, " ".join(str(problem).split())

    def dump_loosely(self, value: Any, hint: Any) -> bytes:
        """What the hint makes of a value that does not conform. For error messages; raises what serializers raise."""
        return self._of(hint).dump_json((value,), warnings="none", round_trip=True, by_alias=True)[1:-1]

    def load(self, data: bytes, hint: Any, *, many: bool = False) -> Any:
        """Read a value, or with `many` an array of values with one hint each."""
        adapter = self._of_many(hint) if many else self._of(hint)
        try:
            values = adapter.validate_json(data if many else b"[" + data + b"]")
        except ValidationError as problem:
            raise _unreadable(problem, data, many) from None
        except RecursionError as problem:
            raise PayloadError(str(problem)) from None
        return values if many else values[0]

    def check(self, value: Any, hint: Any) -> Any:
        """A value that is plain JSON already, as its hint sees it."""
        try:
            return self._of(hint).validate_python((value,), strict=True)[0]
        except ValidationError as problem:
            error = problem.errors(include_url=False, include_input=False)[0]
            raise PayloadError(error["msg"], path="$" + _path_of(error["loc"][1:], value)) from None

    def misfit(self, value: Any, hint: Any) -> tuple[str, str] | None:
        """Where and why a Python value does not conform to its hint; None if that is not what is wrong."""
        try:
            self._of(hint).validate_python((value,), strict=True)
        except ValidationError as problem:
            error = problem.errors(include_url=False)[0]
            return _path_of(error["loc"][1:], value), f"{error['msg']}, this is {name_of(error['input'])}"
        except Exception:
            return None
        return None

    def _of(self, hint: Any) -> TypeAdapter[Any]:
        known = self._by_identity.get(id(hint))
        if known is not None and known[0] is hint:
            return known[1]
        try:
            key = (hint, "" if isinstance(hint, type) else repr(hint))
            adapter = self._by_text.get(key)
            if adapter is None:
                adapter = self._by_text[key] = _build(GenericAlias(tuple, (hint,)), hint)
        except TypeError:                        # an unhashable hint, as Annotated[int, [1]]
            adapter = _build(GenericAlias(tuple, (hint,)), hint)
        if len(self._by_identity) >= _CACHED_HINTS:
            self._by_identity.clear()
        self._by_identity[id(hint)] = (hint, adapter)
        return adapter

    def _of_many(self, hints: tuple[Any, ...]) -> TypeAdapter[Any]:
        key = tuple(map(id, hints))
        known = self._many.get(key)
        if known is None:
            if len(self._many) >= _CACHED_HINTS:
                self._many.clear()
            # The entry holds the hints, so that none of the ids can be given to another object.
            known = self._many[key] = (hints, _build(GenericAlias(tuple, hints), hints))
        return known[1]


def _build(wrapped: Any, hint: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(wrapped if sys.version_info >= (3, 12) else _portable(wrapped, {}), config=_CONFIG)
    except (PydanticUndefinedAnnotation, PydanticUserError, TypeError, ValueError, NameError) as problem:
        reason = str(problem).split("\n")[0]
        raise PayloadError(
            f"values of the type {hint_name(hint)} cannot be stored: {reason}; use a dataclass, a pydantic model or plain values"
        ) from None


def _portable(hint: Any, known: dict[Any, Any]) -> Any:
    """On Python 3.11 pydantic refuses `typing.TypedDict`: the same hint with the one of typing_extensions.

    Reaches into generics and other TypedDicts, not into the fields of classes.
    """
    if typing.is_typeddict(hint):
        if hint not in known:
            known[hint] = hint                       # one that holds itself stays as it is
            hints = typing.get_type_hints(hint, include_extras=True)
            fields = {name: _field(name, one, hint, known) for name, one in hints.items()}
            known[hint] = typing_extensions.TypedDict(hint.__name__, fields)  # type: ignore[operator]  # made from data
        return known[hint]
    arguments = typing.get_args(hint)
    if not arguments or typing.get_origin(hint) is typing.Literal:
        return hint
    changed = tuple(_portable(one, known) for one in arguments)
    if all(new is old for new, old in zip(changed, arguments, strict=True)):
        return hint
    if isinstance(hint, UnionType):
        return _UNION[changed]
    if isinstance(hint, GenericAlias):
        return GenericAlias(typing.get_origin(hint), changed)
    return hint.copy_with(changed) if hasattr(hint, "copy_with") else hint


def _field(name: str, hint: Any, holder: Any, known: dict[Any, Any]) -> Any:
    if typing.get_origin(hint) in (typing.Required, typing.NotRequired):
        marker, (inner,) = typing.get_origin(hint), typing.get_args(hint)
    else:
        marker, inner = (typing.Required if name in holder.__required_keys__ else typing.NotRequired), hint
    return marker[_portable(inner, known)]


def _unreadable(problem: ValidationError, data: bytes, many: bool) -> PayloadError:
    error = problem.errors(include_url=False)[0]
    location = error["loc"]
    if error["type"] == "json_invalid" or not location:
        return PayloadError(f"the stored bytes do not fit: {error['msg']}")
    try:
        raw = from_json(data)
    except ValueError:
        raw = None
    path = _path_of(location if many else location[1:], raw)
    given = "" if error["type"] == "missing" else f", this is {_shown(error['input'])}"
    return PayloadError(error["msg"] + given, path="$" + path)


def _path_of(location: Sequence[int | str], value: Any) -> str:
    """Pydantic's location as a path; it also names union members and the like, which are no steps in the value."""
    path = ""
    here = value
    for at in location:
        inner = _member(here, at, last=at == location[-1])
        if inner is not _NO_MEMBER:
            path = f"{path}[{at}]" if isinstance(at, int) else step(path, at)
            here = inner
    return path


def _member(value: Any, at: int | str, *, last: bool) -> Any:
    """The member of a value that a location names; where it ends, also one that is missing."""
    kind = type_of(value)
    if issubclass(kind, list | tuple):
        if isinstance(at, int):
            return value[at] if at < len(value) else None
        return _NO_MEMBER
    if issubclass(kind, dict):
        return value.get(at) if at in value or last else _NO_MEMBER
    if issubclass(kind, str | int | float | type) or not isinstance(at, str):
        return _NO_MEMBER
    return getattr(value, at, _NO_MEMBER)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def hint_name(hint: Any) -> str:
    """A declared type as a person wrote it."""
    if type_of(hint) is tuple:
        return ", ".join(hint_name(one) for one in hint)
    return hint.__qualname__ if isinstance(hint, type) and not hasattr(hint, "__args__") else repr(hint).replace("typing.", "")
