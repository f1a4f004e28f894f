"""The data converter: which payload converter, codec and failure converter a client and its workers use."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from memflow.temporal.api.common.v1 import Payload, Payloads
from memflow.temporal.api.failure.v1 import Failure
from memflow.temporal.converter.codecs import PayloadCodec
from memflow.temporal.converter.contexts import SerializationContext, WithSerializationContext
from memflow.temporal.converter.failures import DefaultFailureConverter, FailureConverter
from memflow.temporal.converter.payloads import DefaultPayloadConverter, PayloadConverter


@dataclass(frozen=True)
class DataConverter(WithSerializationContext):
    """Values to stored payloads and back. Change one with `dataclasses.replace(DataConverter.default, payload_codec=...)`."""

    payload_converter_class: type[PayloadConverter] = DefaultPayloadConverter
    payload_codec: PayloadCodec | None = None
    failure_converter_class: type[FailureConverter] = DefaultFailureConverter
    payload_converter: PayloadConverter = field(init=False)
    failure_converter: FailureConverter = field(init=False)
    default: ClassVar[DataConverter]

    def __post_init__(self) -> None:
        object.__setattr__(self, "payload_converter", self.payload_converter_class())
        object.__setattr__(self, "failure_converter", self.failure_converter_class())

    async def encode(self, values: Sequence[Any]) -> list[Payload]:
        """Payloads as they are stored."""
        payloads = self.payload_converter.to_payloads(values)
        return payloads if self.payload_codec is None else await self.payload_codec.encode(payloads)

    async def decode(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """Values of stored payloads."""
        if self.payload_codec is not None:
            payloads = await self.payload_codec.decode(payloads)
        return self.payload_converter.from_payloads(payloads, type_hints)

    async def encode_wrapper(self, values: Sequence[Any]) -> Payloads:
        """`encode` as one message."""
        return Payloads(payloads=await self.encode(values))

    async def decode_wrapper(self, payloads: Payloads | None, type_hints: list[type] | None = None) -> list[Any]:
        """`decode` of one message."""
        return await self.decode(payloads.payloads, type_hints) if payloads is not None and payloads.payloads else []

    async def encode_failure(self, exception: BaseException, failure: Failure) -> None:
        """Fill in `failure` as it is stored."""
        self.failure_converter.to_failure(exception, self.payload_converter, failure)
        if self.payload_codec is not None:
            await self.payload_codec.encode_failure(failure)

    async def decode_failure(self, failure: Failure) -> BaseException:
        """The error of a stored failure."""
        if self.payload_codec is not None:
            await self.payload_codec.decode_failure(failure)
        return self.failure_converter.from_failure(failure, self.payload_converter)

    def with_context(self, context: SerializationContext) -> DataConverter:
        parts: tuple[object, ...] = (self.payload_converter, self.payload_codec, self.failure_converter)
        if not any(isinstance(part, WithSerializationContext) for part in parts):
            return self
        told: list[Any] = [part.with_context(context) if isinstance(part, WithSerializationContext) else part for part in parts]
        if all(one is other for one, other in zip(told, parts, strict=True)):
            return self
        made = dataclasses.replace(self, payload_codec=told[1])
        object.__setattr__(made, "payload_converter", told[0])
        object.__setattr__(made, "failure_converter", told[2])
        return made


DataConverter.default = DataConverter()


def default() -> DataConverter:
    """The usual data converter."""
    return DataConverter.default
