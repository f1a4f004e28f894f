"""Values to bytes and back, driven by type hints.

JSON written and read by pydantic's core. What goes in comes out, or is refused at the call with the path of the offending
value: encoding with a hint reads the bytes back and compares, because only that shows what JSON and the hint make of a value.
What is plain stands in `plain`, pydantic in `adapters`, the comparison in `fidelity`. What changes the bytes on their way to
Postgres (`Encryption`, `Compression`, your own `PayloadCodec`) stands in `payload_codecs`, and is public here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any, Protocol

from pydantic_core import PydanticSerializationError, from_json, to_json

from memflow.adapters import Adapters, hint_name
from memflow.errors import PayloadError, UnreadablePayloadError
from memflow.fidelity import Difference, difference, name_of, type_of
from memflow.payload import NO_ARGUMENTS, NOTHING, Payload, Unreadable
from memflow.payload_codecs import BoundPayloadCodec, Compression, Encryption, PayloadCodec
from memflow.plain import MOST_DIGITS, has_half_surrogate, refuse_huge_ints, refuse_unless_plain

log = logging.getLogger(__name__)

__all__ = ["BoundPayloadCodec", "Codec", "Compression", "Encryption", "JsonCodec", "Payload", "PayloadCodec", "PayloadError"]

MAX_BYTES = 2 * 1024 * 1024
"""Bytes of one payload that are refused by default: larger things belong in a table or file, and the workflow keeps their key."""

WARN_BYTES = 256 * 1024
"""Bytes of one payload that are warned about by default: each replay reads them again."""

SURROGATES = "json-ascii"
"""Encoding of JSON whose texts hold half surrogates, escaped as \\udXXX: JSON, but neither UTF-8 nor jsonb holds them."""

_SCALARS: tuple[Any, ...] = (str, int, bool)


class Codec(Protocol):
    """How values become payloads. `hint` is the declared type; without one only plain JSON values are taken."""

    def encode(self, value: Any, hint: Any = Any) -> Payload: ...
    def decode(self, payload: Payload, hint: Any = Any) -> Any: ...
    def encode_arguments(self, arguments: Sequence[Any], hints: Sequence[Any]) -> Payload: ...
    def decode_arguments(self, payload: Payload, hints: Sequence[Any], required: int) -> list[Any]: ...


class JsonCodec:
    """The codec of memflow: JSON, one pydantic adapter per hint.

    `max_bytes` refuses larger payloads, `warn_bytes` logs a warning. A hint may be whatever pydantic knows: dataclasses,
    models, enums, dates, UUID, Decimal, bytes, tuples, sets, TypedDict, NamedTuple, generics, unions, Literal, None.

    Raises (all methods):
        PayloadError: the value, or the bytes, do not fit; `path` says where.
    """

    def __init__(self, *, max_bytes: int = MAX_BYTES, warn_bytes: int = WARN_BYTES) -> None:
        self.max_bytes = max_bytes
        self.warn_bytes = warn_bytes
        self._adapters = Adapters()

    def encode(self, value: Any, hint: Any = Any) -> Payload:
        """One value. With the hint Any only plain JSON values are taken."""
        if value is None and (hint is None or hint is Any or hint is type(None)):
            return NOTHING
        try:
            return self._sized(self._dump(value, hint, "$"))
        except _HalfSurrogate:
            return self._sized(self._dump_escaped(value, hint, "$"), SURROGATES)

    def decode(self, payload: Payload, hint: Any = Any) -> Any:
        """The value of `encode`. Without a hint, plain JSON values."""
        return self._load(_checked(payload), payload.encoding, hint)

    def encode_arguments(self, arguments: Sequence[Any], hints: Sequence[Any]) -> Payload:
        """Arguments as one JSON array. Arguments beyond the hints are taken as without a hint."""
        if not arguments:
            return NO_ARGUMENTS
        if len(arguments) == 1 and hints:
            try:
                return self._sized(b"[" + self._dump(arguments[0], hints[0], "$[0]") + b"]")
            except _HalfSurrogate:
                pass
        pairs = [(value, hints[at] if at < len(hints) else Any, f"$[{at}]") for at, value in enumerate(arguments)]
        try:
            return self._sized(b"[" + b",".join([self._dump(*pair) for pair in pairs]) + b"]")
        except _HalfSurrogate:
            return self._sized(b"[" + b",".join([self._dump_escaped(*pair) for pair in pairs]) + b"]", SURROGATES)

    def decode_arguments(self, payload: Payload, hints: Sequence[Any], required: int) -> list[Any]:
        """The arguments for a function whose parameters have these hints, `required` of them without a default."""
        data = _checked(payload)
        values: list[Any] = self._load(data, payload.encoding, Any)
        if type_of(values) is not list:
            raise PayloadError(f"arguments are a JSON array, this is {name_of(values)}")
        if not required <= len(values) <= len(hints):
            wanted = str(required) if required == len(hints) else f"{required} to {len(hints)}"
            raise PayloadError(f"{wanted} argument{'' if wanted == '1' else 's'} expected, {len(values)} given")
        for value, hint in _zip(values, hints):
            if hint is not Any and not (hint in _SCALARS and type(value) is hint):
                break
        else:
            return values
        if payload.encoding is None:
            return list(self._adapters.load(data, tuple(hints[: len(values)]), many=True))
        return [self._load(json.dumps(value).encode(), payload.encoding, hint) for value, hint in _zip(values, hints)]

    # --------------------------------------------------------------------------------------------- one value

    def _dump(self, value: Any, hint: Any, path: str) -> bytes:
        kind = type_of(value)
        if hint is Any:
            refuse_unless_plain(value, path)
        elif hint is kind and kind in _SCALARS:
            pass
        elif value is None and (hint is None or hint is type(None)):
            return b"null"
        else:
            return self._dump_typed(value, hint, path)
        try:
            data = to_json(value)
            if len(data) > MOST_DIGITS:
                refuse_huge_ints(value, path)
            return data
        except PydanticSerializationError as problem:
            if has_half_surrogate(value):
                raise _HalfSurrogate from None
            raise PayloadError(str(problem), path=path) from None
        except (ValueError, RecursionError) as problem:
            raise PayloadError(str(problem), path=path) from None

    def _dump_typed(self, value: Any, hint: Any, path: str) -> bytes:
        data, problem = self._adapters.try_dump(value, hint)
        if data is None:
            if problem is not None and "surrogates not allowed" in problem:
                raise _HalfSurrogate
            raise self._explained(value, hint, path, problem or "cannot be stored")
        try:
            back = self._adapters.load(data, hint)
        except PayloadError as unreadable:
            found = unreadable.path
            raise PayloadError(
                f"would not come back from storage: {_message(unreadable)}", path=path + found.removeprefix("$")
            ) from None
        unlike = difference(value, back, path)
        if unlike is not None:
            raise _refused(unlike)
        return data

    def _dump_escaped(self, value: Any, hint: Any, path: str) -> bytes:
        """The slow way, for texts with half surrogates: only where the JSON form is the value itself."""
        if hint is Any:
            refuse_unless_plain(value, path)
        data = json.dumps(value, ensure_ascii=True, separators=(",", ":"), default=_refuse_surrogates).encode("ascii")
        unlike = difference(value, self._load(data, SURROGATES, hint), path)
        if unlike is not None:
            raise PayloadError("a text beside this value holds half of a surrogate pair; " + unlike.problem, path=unlike.path)
        return data

    def _load(self, data: bytes, encoding: str | None, hint: Any) -> Any:
        if encoding is not None:
            try:
                value = json.loads(data)
            except ValueError as problem:
                raise PayloadError(f"the stored bytes are no JSON: {problem}") from None
            return value if hint is Any else self._adapters.check(value, hint)
        if hint is Any or hint in (str, bool, int):
            try:
                value = from_json(data)
            except ValueError as problem:
                raise PayloadError(f"the stored bytes are no JSON: {problem}") from None
            if hint is Any or type(value) is hint:
                return value
        return self._adapters.load(data, hint)

    def _explained(self, value: Any, hint: Any, path: str, problem: str) -> PayloadError:
        """Why a value does not fit its hint, with the path that a serializer does not tell."""
        found = self._adapters.misfit(value, hint)
        if found is not None:
            where, what = found
            return PayloadError(f"{what}; the declared type is {hint_name(hint)}", path=path + where)
        # Instances pass that check whatever their fields hold: look at what would come back instead.
        try:
            back = self._adapters.load(self._adapters.dump_loosely(value, hint), hint)
            unlike = difference(value, back, path)
            if unlike is not None:
                return _refused(unlike)
        except PayloadError as unreadable:
            return PayloadError(_message(unreadable), path=path + unreadable.path.removeprefix("$"))
        except Exception:
            log.debug("no path found for a refused value", exc_info=True)
        return PayloadError(f"{name_of(value)} cannot be stored as {hint_name(hint)}: {problem}", path=path)

    def _sized(self, data: bytes, encoding: str | None = None) -> Payload:
        size = len(data)
        if size > self.warn_bytes:
            if size > self.max_bytes:
                raise PayloadError(
                    f"the value takes {size:,} bytes, at most {self.max_bytes:,} are possible;"
                    " keep large data in a table or file and pass its key, or raise max_bytes of the codec"
                )
            log.warning("large payload", extra={"payload_bytes": size, "warn_bytes": self.warn_bytes})
        return Payload(data, encoding)


class _HalfSurrogate(Exception):
    """A text holds half of a surrogate pair, which UTF-8 cannot; the value takes the slow way."""


def _refused(unlike: Difference) -> PayloadError:
    return PayloadError(unlike.problem, path=unlike.path)


def _message(error: PayloadError) -> str:
    return str(error).removesuffix(f" (at {error.path})")


def _checked(payload: Payload) -> bytes:
    if isinstance(payload, Unreadable):
        raise UnreadablePayloadError(payload.reason)
    if payload.encoding not in (None, SURROGATES):
        raise UnreadablePayloadError(
            f"the encoding {payload.encoding!r} is not one of this codec; was another in use when it was written?"
        )
    return payload.data


def _zip(values: list[Any], hints: Sequence[Any]) -> list[tuple[Any, Any]]:
    return list(zip(values, hints, strict=False))


def _refuse_surrogates(value: Any) -> Any:
    raise PayloadError(
        f"a text holds half of a surrogate pair, which {name_of(value)} cannot carry; such texts go in str, list and dict alone"
    )
