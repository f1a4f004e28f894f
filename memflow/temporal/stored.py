"""A `DataConverter` as memflow's codec: payloads as Temporal's programs know them, kept as memflow keeps payloads.

What is plain JSON is stored as plain JSON, so that views, the command line and programs of memflow read it. Anything else, and
arguments that come with headers, is kept as JSON with the metadata in it, under an encoding of its own.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from memflow import errors
from memflow.codec import MAX_BYTES, SURROGATES
from memflow.errors import PayloadError
from memflow.failure import Failure
from memflow.payload import NO_ARGUMENTS, NOTHING
from memflow.payload import Payload as Stored
from memflow.temporal import failures
from memflow.temporal.api.common.v1 import Payload
from memflow.temporal.arguments import is_list
from memflow.temporal.common import RawValue
from memflow.temporal.converter import (
    AdvancedJSONEncoder,
    DataConverter,
    DefaultFailureConverter,
    DefaultPayloadConverter,
    SerializationContext,
)
from memflow.temporal.converter.transfer import transfer_of
from memflow.temporal.converter.values import EXACT, value_to_type

ONE: Final = "temporal"
"""Encoding of one payload that is no plain JSON."""

MANY: Final = "temporal/args"
"""Encoding of arguments that are not all plain JSON, or come with headers."""

_quoted = json.JSONEncoder().encode
_written = AdvancedJSONEncoder(separators=(",", ":"), sort_keys=True).encode

_JSON: Final = b"json/plain"
_NULL: Final = Payload(metadata={"encoding": b"binary/null"})


class Raw:
    """As a type hint: give the stored payload itself. The adapters decode when they know what for."""


@dataclass(slots=True)
class Arguments:
    """What a call carries: a payload for each argument, and headers."""

    payloads: list[Payload]
    headers: Mapping[str, Payload] = field(default_factory=dict[str, Payload])


class ConvertingCodec:
    """memflow's `Codec` over a data converter. Type hints matter for reading alone: the converter writes by the value.

    Raises (all methods):
        PayloadError: the converter refuses a value, or cannot read what is stored.
    """

    def __init__(self, converter: DataConverter) -> None:
        self.converter = converter
        self.payloads = converter.payload_converter
        self.plain = type(self.payloads) is DefaultPayloadConverter      # values that JSON knows are JSON to it
        self._own_failures = type(converter.failure_converter) is not DefaultFailureConverter

    def told(self, context: SerializationContext) -> ConvertingCodec:
        """The same for one workflow or activity, where converters care."""
        return self

    def own(self, payload: Stored) -> Stored:
        """A payload of this workflow or activity, for codecs that want to know."""
        return payload

    def here(self) -> ConvertingCodec:
        """The codec of who is served by the running task."""
        return self

    # ------------------------------------------------------------------------------------------------- memflow's protocol

    def encode(self, value: Any, hint: Any = Any) -> Stored:
        """One value."""
        if value is None:
            return NOTHING
        if isinstance(value, Stored):
            return value
        if is_list(value) and value and all(isinstance(each, RawValue) for each in value):
            return stored_arguments(Arguments([each.payload for each in value]))
        text = _simple_text(value) if self.plain else None
        if text is not None:
            return Stored(_sized(text))
        try:
            return stored(self._to_payload(value))
        except PayloadError:
            if not is_list(value):
                raise
            # Details of failures and heartbeats come as a list, whose members the converter may know one by one.
            return stored_arguments(Arguments(self._to_payloads(value)))

    def decode(self, payload: Stored, hint: Any = Any) -> Any:
        """The value of `encode`."""
        if hint is Raw:
            return payload
        if self.plain and payload.encoding is None:
            return self._typed(_loaded(payload.data), hint)
        if payload.encoding == MANY:
            return [self.read(one) for one in loaded_arguments(payload).payloads]
        return self.read(loaded(payload), hint)

    def encode_arguments(self, arguments: Sequence[Any], hints: Sequence[Any]) -> Stored:
        """Arguments; one that is a stored payload already is all of them."""
        if not arguments:
            return NO_ARGUMENTS
        if len(arguments) == 1 and isinstance(arguments[0], Stored):
            return arguments[0]
        return self.write_arguments(arguments)

    def decode_arguments(self, payload: Stored, hints: Sequence[Any], required: int) -> list[Any]:
        """Arguments for parameters with these hints. Too many are dropped; too few are the function's to complain of."""
        if len(hints) == 1 and hints[0] is Raw:
            return [payload]
        return self.read_arguments(payload, hints)

    # ------------------------------------------------------------------------------------------------- for the adapters

    def write_arguments(self, arguments: Sequence[Any], headers: Mapping[str, Payload] | None = None) -> Stored:
        """Arguments, with headers."""
        if not arguments and not headers:
            return NO_ARGUMENTS
        if self.plain and not headers:
            texts = [_simple_text(value) for value in arguments]
            if None not in texts:
                return Stored(_sized(b"[" + b",".join(cast("list[bytes]", texts)) + b"]"))
        return stored_arguments(Arguments(self._to_payloads(arguments), headers or {}))

    def read_arguments(self, payload: Stored, hints: Sequence[Any] | None) -> list[Any]:
        """Arguments. Hints count only when there are as many as arguments, or more."""
        if self.plain and payload.encoding is None:
            values: list[Any] = _loaded(payload.data)
            if type(values) is not list:
                raise PayloadError("the stored arguments are no JSON array")
            return values if hints is None else [self._typed(value, hint) for value, hint in _with_hints(values, hints)]
        payloads = loaded_arguments(payload).payloads
        return [self.read(one, hint) for one, hint in _with_hints(payloads, hints or ())]

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        """A payload for each, as the converter makes them.

        Raises:
            Exception: whatever the converter raises.
        """
        return self.payloads.to_payloads(values)

    def details(self, values: Sequence[Any]) -> Sequence[Any]:
        """Details of a heartbeat for memflow, which keeps them as one list: each of them as the converter makes it.

        Raises:
            Exception: whatever the converter raises.
        """
        return [RawValue(each) for each in self.to_payloads(values)] if values and not self.plain else values

    def read(self, payload: Payload, hint: Any = Any) -> Any:
        """The value of one payload."""
        try:
            return self.payloads.from_payloads([payload], None if hint is Any else [hint])[0]
        except (PayloadError, errors.FailureError):      # the latter is what the program's converter wants to be raised
            raise
        except Exception as problem:
            raise PayloadError(f"cannot be decoded: {problem}") from problem

    def _typed(self, value: Any, hint: Any) -> Any:
        if hint is Any or (type(value) is hint and hint in EXACT):
            return value
        try:
            if hint is RawValue or transfer_of(hint) is not None:
                return self.payloads.from_payloads([_payload_of(value)], [hint])[0]
            return value_to_type(hint, value)
        except Exception as problem:
            raise PayloadError(f"cannot be decoded: {problem}") from problem

    def _to_payload(self, value: Any) -> Payload:
        return self._to_payloads([value])[0]

    def _to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        try:
            payloads = self.payloads.to_payloads(values)
        except (PayloadError, errors.FailureError):
            raise
        except Exception as problem:
            raise PayloadError(f"cannot be encoded: {problem}") from problem
        return payloads

    # ------------------------------------------------------------------------------------------------- failures

    def describe(self, error: BaseException) -> Failure | None:
        """The failure of an error, where the failure converter is not the usual one."""
        return failures.described_by(self.converter, error) if self._own_failures else None

    def error_of(self, failure: Failure) -> errors.FailureError | None:
        """Temporal's error of a failure, without cause and stack."""
        return failures.error_of(failure, self)

    def whole_error_of(self, failure: Failure) -> errors.FailureError | None:
        """The error that a failure converter of the program's own makes."""
        return failures.made_by(self.converter, failure) if self._own_failures else None


def _payload_of(value: Any) -> Payload:
    """The payload of plain JSON."""
    if value is None:
        return _NULL
    text = json.dumps(value, separators=(",", ":"), sort_keys=True)
    return Payload(metadata={"encoding": _JSON}, data=text.encode())


def _with_hints(values: Sequence[Any], hints: Sequence[Any]) -> list[tuple[Any, Any]]:
    if len(hints) < len(values):                         # of a function with fewer parameters: none of its hints counts
        return [(value, Any) for value in values]
    return list(zip(values, hints, strict=False))


# ------------------------------------------------------------------------------------------------- payloads <-> bytes


def stored(payload: Payload) -> Stored:
    """One payload as memflow keeps it."""
    text = _plain_text(payload)
    if text is not None:
        return Stored(_sized(text), SURROGATES if _has_half_surrogate(text) else None)
    return Stored(_sized(json.dumps(_to_json(payload), separators=(",", ":")).encode()), ONE)


def stored_arguments(arguments: Arguments) -> Stored:
    """Several payloads and headers as memflow keeps them."""
    if not arguments.headers:
        texts = [_plain_text(payload) for payload in arguments.payloads]
        if all(text is not None for text in texts):
            data = b"[" + b",".join(cast("list[bytes]", texts)) + b"]"
            return Stored(_sized(data), SURROGATES if _has_half_surrogate(data) else None)
    body = {
        "args": [_to_json(payload) for payload in arguments.payloads],
        "headers": {name: _to_json(payload) for name, payload in arguments.headers.items()},
    }
    return Stored(_sized(json.dumps(body, separators=(",", ":")).encode()), MANY)


def loaded(payload: Stored) -> Payload:
    """The payload that `stored` was given."""
    if payload.encoding == ONE:
        return _from_json(_loaded(payload.data))
    _check_plain(payload)
    return _NULL if payload.data == b"null" else Payload(metadata={"encoding": _JSON}, data=payload.data)


def loaded_arguments(payload: Stored) -> Arguments:
    """The payloads and headers that `stored_arguments` was given. Also reads what programs of memflow wrote."""
    if payload.encoding == MANY:
        body = _loaded(payload.data)
        return Arguments(
            [_from_json(one) for one in body["args"]],
            {name: _from_json(one) for name, one in body.get("headers", {}).items()},
        )
    _check_plain(payload)
    values = _loaded(payload.data)
    if not is_list(values):
        raise PayloadError("the stored arguments are no JSON array")
    return Arguments([_payload_of(value) for value in values])


def stored_signal(arguments: Arguments) -> Stored:
    """What a signal carries: one value as it is where that is unambiguous, so that programs of memflow read it too."""
    if not arguments.headers:
        if not arguments.payloads:
            return NOTHING
        texts = [_plain_text(payload) for payload in arguments.payloads]
        if len(texts) == 1 and texts[0] is not None and texts[0] != b"null" and not texts[0].startswith(b"["):
            return stored(arguments.payloads[0])
    body = {
        "args": [_to_json(payload) for payload in arguments.payloads],
        "headers": {name: _to_json(payload) for name, payload in arguments.headers.items()},
    }
    return Stored(_sized(json.dumps(body, separators=(",", ":")).encode()), MANY)


def loaded_signal(payload: Stored, parameters: int) -> Arguments:
    """What a signal carries for a handler of that many parameters."""
    if payload.encoding == MANY:
        return loaded_arguments(payload)
    if payload.encoding == ONE:
        return Arguments([loaded(payload)])
    _check_plain(payload)
    if payload.data == b"null":
        return Arguments([])
    if payload.data.startswith(b"[") and parameters != 1:
        return loaded_arguments(payload)
    return Arguments([loaded(payload)])


def headers_in(payload: Stored) -> Mapping[str, Payload]:
    """The headers that arguments came with."""
    return loaded_arguments(payload).headers if payload.encoding == MANY else {}


def header_text(payload: Payload) -> str:
    """A payload as the text of one of memflow's headers."""
    return json.dumps(_to_json(payload), separators=(",", ":"))


def header_payload(text: str) -> Payload:
    """The payload that `header_text` was given."""
    return _from_json(json.loads(text))


_CARRIED: Final = "temporal-header:"


def carried(headers: Mapping[str, Payload]) -> dict[str, str]:
    """Headers as memflow's own, for what has no arguments to put them beside."""
    return {_CARRIED + name: header_text(payload) for name, payload in headers.items()}


def headers_of(carried: Mapping[str, str]) -> dict[str, Payload]:
    """The headers that `carried` was given."""
    return {
        name.removeprefix(_CARRIED): header_payload(text) for name, text in carried.items() if name.startswith(_CARRIED)
    }


def _simple_text(value: Any) -> bytes | None:
    """What the usual converter makes of a value, where that takes no converter to know; None for others."""
    if type(value) is str:
        text = _quoted(value).encode()
        return None if b"\\ud" in text else text
    if type(value) is int:
        return b"%d" % value
    if value is True or value is False:
        return b"true" if value else b"false"
    if type(value) is dict or type(value) is list:
        try:
            text = _written(value).encode()
        except (TypeError, ValueError):
            return None                                  # the converter says it better
        return None if b"\\ud" in text or b"NaN" in text or b"Infinity" in text else text
    return b"null" if value is None else None


def _plain_text(payload: Payload) -> bytes | None:
    """The JSON of a payload that is nothing but JSON; None for others."""
    encoding = payload.metadata.get("encoding")
    if len(payload.metadata) != 1:
        return None
    if encoding == b"binary/null" and not payload.data:
        return b"null"
    # Python's json writes NaN and the infinities as words that no other reader knows.
    if encoding != _JSON or b"NaN" in payload.data or b"Infinity" in payload.data:
        return None
    return payload.data


def _to_json(payload: Payload) -> dict[str, Any]:
    """A payload as JSON: text where the bytes are text, so that people can read it."""
    return {
        "metadata": {name: _text(value) for name, value in payload.metadata.items()},
        "data": _text(payload.data),
    }


def _from_json(body: Mapping[str, Any]) -> Payload:
    return Payload(
        metadata={name: _bytes(value) for name, value in body["metadata"].items()}, data=_bytes(body["data"])
    )


def _text(data: bytes) -> str | dict[str, str]:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(data).decode()}
    return {"base64": b64encode(data).decode()} if "\0" in text else text


def _bytes(value: str | Mapping[str, str]) -> bytes:
    return value.encode() if isinstance(value, str) else b64decode(value["base64"])


def _loaded(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError as problem:
        raise PayloadError(f"the stored bytes are no JSON: {problem}") from None


def _check_plain(payload: Stored) -> None:
    if payload.encoding not in (None, SURROGATES):
        raise PayloadError(f"the encoding {payload.encoding!r} is none of this client's; was another codec in use?")


def _has_half_surrogate(data: bytes) -> bool:
    if b"\\ud" not in data:
        return False
    try:
        json.dumps(json.loads(data), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except ValueError:
        return False
    return False


def _sized(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise PayloadError(
            f"the value takes {len(data):,} bytes, at most {MAX_BYTES:,} are possible; keep large data elsewhere and pass its key"
        )
    return data
