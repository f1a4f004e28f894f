"""Payload converters: a value to a payload and back, tried in order of their encodings."""

from __future__ import annotations

import dataclasses
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Any, ClassVar, Final, Self, cast
from uuid import UUID

from memflow.temporal.api.common.v1 import Payload, Payloads, WorkflowExecution
from memflow.temporal.api.sdk.v1 import NAMES, READERS, as_json
from memflow.temporal.arguments import is_iterable, is_list
from memflow.temporal.common import RawValue
from memflow.temporal.converter.contexts import SerializationContext, WithSerializationContext
from memflow.temporal.converter.transfer import transfer_of
from memflow.temporal.converter.values import JSONTypeConverter, value_to_type


class PayloadConverter(ABC):
    """Values to payloads and back. Does no IO: workflow code uses it too."""

    default: ClassVar[PayloadConverter]
    """The usual one."""

    @abstractmethod
    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        """One payload for each value.

        Raises:
            Exception: a value cannot be encoded.
        """

    @abstractmethod
    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """One value for each payload; hints beyond the payloads are ignored.

        Raises:
            Exception: a payload cannot be decoded.
        """

    def to_payloads_wrapper(self, values: Sequence[Any]) -> Payloads:
        """`to_payloads` as one message."""
        return Payloads(payloads=self.to_payloads(values))

    def from_payloads_wrapper(self, payloads: Payloads | None) -> list[Any]:
        """`from_payloads` of one message."""
        return self.from_payloads(payloads.payloads) if payloads is not None and payloads.payloads else []

    def to_payload(self, value: Any) -> Payload:
        """One value."""
        return self.to_payloads([value])[0]

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        """One payload."""
        return self.from_payloads([payload], None if type_hint is None else [type_hint])[0]


class EncodingPayloadConverter(ABC):
    """A converter for one encoding."""

    @property
    @abstractmethod
    def encoding(self) -> str:
        """What the metadata's `encoding` says."""

    @abstractmethod
    def to_payload(self, value: Any) -> Payload | None:
        """The payload, or None for a value that is none of this encoding's."""

    @abstractmethod
    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        """The value."""


class CompositePayloadConverter(PayloadConverter, WithSerializationContext):
    """Asks several converters in turn; the encoding says which one reads."""

    converters: Mapping[bytes, EncodingPayloadConverter]

    def __init__(self, *converters: EncodingPayloadConverter) -> None:
        self._take(*converters)

    def _take(self, *converters: EncodingPayloadConverter) -> None:
        self.converters = {each.encoding.encode(): each for each in converters}

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        payloads: list[Payload] = []
        for at, value in enumerate(values):
            if isinstance(value, RawValue):
                payloads.append(value.payload)
                continue
            transfer = transfer_of(value.__class__)
            if transfer is not None:
                value = transfer.to_transfer_type(value)
            payload = next((made for each in self.converters.values() if (made := each.to_payload(value)) is not None), None)
            if payload is None:
                raise RuntimeError(f"Value at index {at} of type {type(value)} has no known converter")
            payloads.append(payload)
        return payloads

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[Any] | None = None) -> list[Any]:
        values: list[Any] = []
        for at, (payload, hint) in enumerate(zip_longest(payloads, (type_hints or [])[: len(payloads)])):
            if hint is RawValue:
                values.append(RawValue(payload))
                continue
            encoding = payload.metadata.get("encoding", b"<unknown>")
            converter = self.converters.get(encoding)
            if converter is None:
                raise KeyError(f"Unknown payload encoding {encoding.decode()}")
            transfer = transfer_of(hint)
            try:
                if transfer is None:
                    values.append(converter.from_payload(payload, hint))
                else:
                    travelled = converter.from_payload(payload, transfer.transfer_type)
                    values.append(transfer.from_transfer_type(travelled, hint))
            except RuntimeError as problem:
                raise RuntimeError(
                    f"Payload at index {at} with encoding {encoding.decode()} could not be converted"
                ) from problem
        return values

    def with_context(self, context: SerializationContext) -> Self:
        told = self.get_converters_with_context(context)
        if told is None:
            return self
        made = type(self).__new__(type(self))
        vars(made).update(vars(self))
        made._take(*told)
        return made

    def get_converters_with_context(self, context: SerializationContext) -> list[EncodingPayloadConverter] | None:
        """The converters for one workflow or activity; None if none of them cares."""
        listed = list(self.converters.values())
        if not any(isinstance(each, WithSerializationContext) for each in listed):
            return None
        return [
            cast("EncodingPayloadConverter", each.with_context(context)) if isinstance(each, WithSerializationContext) else each
            for each in listed
        ]


class BinaryNullPayloadConverter(EncodingPayloadConverter):
    """None."""

    @property
    def encoding(self) -> str:
        return "binary/null"

    def to_payload(self, value: Any) -> Payload | None:
        return Payload(metadata={"encoding": b"binary/null"}) if value is None else None

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        if payload.data:
            raise RuntimeError("Expected empty data set for binary/null")
        return None


class BinaryPlainPayloadConverter(EncodingPayloadConverter):
    """Bytes."""

    @property
    def encoding(self) -> str:
        return "binary/plain"

    def to_payload(self, value: Any) -> Payload | None:
        return Payload(metadata={"encoding": b"binary/plain"}, data=value) if isinstance(value, bytes) else None

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        return payload.data


_EXECUTION: Final = "temporal.api.common.v1.WorkflowExecution"
"""The message that programs hand on to name a run: it is read without protobuf."""


def _is_message(value: object) -> bool:
    return hasattr(type(value), "DESCRIPTOR") and hasattr(value, "SerializeToString")


class JSONProtoPayloadConverter(EncodingPayloadConverter):
    """Protobuf messages as JSON; needs protobuf where one is met."""

    def __init__(self, ignore_unknown_fields: bool = False) -> None:
        super().__init__()
        self._ignore_unknown_fields = ignore_unknown_fields

    @property
    def encoding(self) -> str:
        return "json/protobuf"

    def to_payload(self, value: Any) -> Payload | None:
        own = NAMES.get(value.__class__)
        if own is not None:
            text = json.dumps(as_json(value), separators=(",", ":"), sort_keys=True)
            return Payload(metadata={"encoding": b"json/protobuf", "messageType": own.encode()}, data=text.encode())
        if isinstance(value, WorkflowExecution):
            fields = {"runId": value.run_id, "workflowId": value.workflow_id}
            text = json.dumps({name: each for name, each in fields.items() if each}, separators=(",", ":"))
            return Payload(metadata={"encoding": b"json/protobuf", "messageType": _EXECUTION.encode()}, data=text.encode())
        if not _is_message(value):
            return None
        from google.protobuf import json_format  # type: ignore[import-untyped, unused-ignore]

        text = json_format.MessageToJson(value, indent=0, sort_keys=True).replace("\n", "")  # pyright: ignore
        return Payload(
            metadata={"encoding": b"json/protobuf", "messageType": value.DESCRIPTOR.full_name.encode()}, data=text.encode()
        )

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        read = READERS.get(payload.metadata.get("messageType", b"").decode())
        if read is not None:
            return read(json.loads(payload.data))
        if payload.metadata.get("messageType") == _EXECUTION.encode() and not hasattr(type_hint, "DESCRIPTOR"):
            fields: dict[str, str] = json.loads(payload.data)
            return WorkflowExecution(workflow_id=fields.get("workflowId", ""), run_id=fields.get("runId", ""))
        from google.protobuf import json_format  # type: ignore[import-untyped, unused-ignore]

        return json_format.Parse(  # pyright: ignore
            payload.data, _message_class(payload, type_hint)(), ignore_unknown_fields=self._ignore_unknown_fields
        )


class BinaryProtoPayloadConverter(EncodingPayloadConverter):
    """Protobuf messages as bytes."""

    @property
    def encoding(self) -> str:
        return "binary/protobuf"

    def to_payload(self, value: Any) -> Payload | None:
        own = isinstance(value, WorkflowExecution)
        if not own and not _is_message(value):
            return None
        name: str = _EXECUTION if own else value.DESCRIPTOR.full_name
        return Payload(
            metadata={"encoding": b"binary/protobuf", "messageType": name.encode()},
            data=value.SerializeToString(),
        )

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        if payload.metadata.get("messageType") == _EXECUTION.encode() and not hasattr(type_hint, "DESCRIPTOR"):
            return WorkflowExecution.FromString(payload.data)
        return _message_class(payload, type_hint).FromString(payload.data)


def _message_class(payload: Payload, hint: Any) -> Any:
    """The class of a message: the hint's, else the one that the process knows by that name."""
    if isinstance(hint, type) and hasattr(hint, "DESCRIPTOR"):
        return hint
    from google.protobuf import message_factory, symbol_database  # type: ignore[import-untyped, unused-ignore]

    name = payload.metadata.get("messageType", b"<unknown>").decode()
    try:
        descriptor = symbol_database.Default().pool.FindMessageTypeByName(name)  # pyright: ignore
    except KeyError:
        raise TypeError(f"Unknown Protobuf type {name}") from None
    return message_factory.GetMessageClass(descriptor)  # pyright: ignore


class AdvancedJSONEncoder(json.JSONEncoder):
    """JSON of dataclasses, pydantic models, datetimes, UUIDs and iterables too."""

    def default(self, o: Any) -> Any:
        if isinstance(o, datetime):
            return o.isoformat()
        if dataclasses.is_dataclass(o) and not isinstance(o, type):
            fields: Any = o
            return dataclasses.asdict(fields)
        dump = getattr(o, "model_dump", None) or getattr(o, "dict", None)
        if callable(dump):
            return dump()
        if not is_list(o) and is_iterable(o):
            return list(o)
        if isinstance(o, UUID):
            return str(o)
        return super().default(o)


class JSONPlainPayloadConverter(EncodingPayloadConverter):
    """Everything else, as JSON."""

    def __init__(
        self,
        *,
        encoder: type[json.JSONEncoder] | None = AdvancedJSONEncoder,
        decoder: type[json.JSONDecoder] | None = None,
        encoding: str = "json/plain",
        custom_type_converters: Sequence[JSONTypeConverter] = (),
    ) -> None:
        super().__init__()
        self._encoder = encoder
        self._decoder = decoder
        self._encoding = encoding
        self._custom_type_converters = custom_type_converters

    @property
    def encoding(self) -> str:
        return self._encoding

    def to_payload(self, value: Any) -> Payload | None:
        text = json.dumps(value, cls=self._encoder, separators=(",", ":"), sort_keys=True)
        return Payload(metadata={"encoding": self._encoding.encode()}, data=text.encode())

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        try:
            value = json.loads(payload.data, cls=self._decoder)
        except ValueError as problem:
            raise RuntimeError("Failed parsing") from problem
        return value if type_hint is None else value_to_type(type_hint, value, self._custom_type_converters)


class DefaultPayloadConverter(CompositePayloadConverter):
    """None, bytes, protobuf messages, and JSON for the rest."""

    default_encoding_payload_converters: tuple[EncodingPayloadConverter, ...]

    def __init__(self) -> None:
        super().__init__(*DefaultPayloadConverter.default_encoding_payload_converters)


DefaultPayloadConverter.default_encoding_payload_converters = (
    BinaryNullPayloadConverter(),
    BinaryPlainPayloadConverter(),
    JSONProtoPayloadConverter(),
    BinaryProtoPayloadConverter(),
    JSONPlainPayloadConverter(),
)
PayloadConverter.default = DefaultPayloadConverter()
