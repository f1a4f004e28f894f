"""Converters that are told whose payloads they look at: a codec for each workflow and activity.

Who converts on behalf of one (a client's call, an attempt of an activity) says so with `serving`; a run of a workflow has a codec
of its own. Converters that do not care cost nothing: theirs is one codec for all.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final

from memflow import errors
from memflow.core.definition import RunInfo
from memflow.failure import Failure
from memflow.payload import Payload as Stored
from memflow.temporal import failures
from memflow.temporal.api.common.v1 import Payload
from memflow.temporal.converter import (
    CompositePayloadConverter,
    DataConverter,
    PayloadConverter,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)
from memflow.temporal.owners import OWNER, Owned, text_of
from memflow.temporal.stored import ConvertingCodec

_SERVED: Final = ContextVar[SerializationContext | None]("memflow_temporal_serialization", default=None)


@contextmanager
def serving(context: SerializationContext) -> Generator[None]:
    """What is converted inside belongs to this workflow or activity."""
    token = _SERVED.set(context)
    try:
        yield
    finally:
        _SERVED.reset(token)


@contextmanager
def serving_maybe(context: SerializationContext | None) -> Generator[None]:
    """The same, if it is said."""
    if context is None:
        yield
    else:
        with serving(context):
            yield


def serve(context: SerializationContext) -> None:
    """What this task converts from now on belongs to this workflow or activity."""
    _SERVED.set(context)


def codec_of(converter: DataConverter) -> ConvertingCodec:
    """memflow's codec over a data converter."""
    others = (converter.failure_converter, converter.payload_codec)
    cares = _cares(converter.payload_converter) or any(isinstance(each, WithSerializationContext) for each in others)
    return TellingCodec(converter) if cares else ConvertingCodec(converter)


def _cares(converter: PayloadConverter) -> bool:
    parts: Sequence[object] = (converter,)
    if isinstance(converter, CompositePayloadConverter) and _only_passes_on(type(converter)):
        parts = list(converter.converters.values())      # it only passes on what it is told
    return any(isinstance(part, WithSerializationContext) for part in parts)


def _only_passes_on(kind: type[CompositePayloadConverter]) -> bool:
    return kind.with_context is CompositePayloadConverter.with_context


class TellingCodec(ConvertingCodec):
    """A codec over converters that care. What it converts belongs to who is served where it is called."""

    def told(self, context: SerializationContext) -> ConvertingCodec:
        return _Told(self.converter.with_context(context), self, context)

    def for_run(self, info: RunInfo) -> ConvertingCodec:
        """The codec of a run: memflow's replay asks for it."""
        return self.told(WorkflowSerializationContext(info.namespace, info.workflow_id))

    def here(self) -> ConvertingCodec:
        return self._here() or self

    def _here(self) -> ConvertingCodec | None:
        context = _SERVED.get()
        return None if context is None else self.told(context)

    # ------------------------------------------------------------------------------------------------- all of it, told

    def encode(self, value: Any, hint: Any = Any) -> Stored:
        here = self._here()
        return super().encode(value, hint) if here is None else here.encode(value, hint)

    def decode(self, payload: Stored, hint: Any = Any) -> Any:
        here = self._here()
        return super().decode(payload, hint) if here is None else here.decode(payload, hint)

    def write_arguments(self, arguments: Sequence[Any], headers: Mapping[str, Payload] | None = None) -> Stored:
        here = self._here()
        return super().write_arguments(arguments, headers) if here is None else here.write_arguments(arguments, headers)

    def read_arguments(self, payload: Stored, hints: Sequence[Any] | None) -> list[Any]:
        here = self._here()
        return super().read_arguments(payload, hints) if here is None else here.read_arguments(payload, hints)

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        here = self._here()
        return super().to_payloads(values) if here is None else here.to_payloads(values)

    def read(self, payload: Payload, hint: Any = Any) -> Any:
        here = self._here()
        return super().read(payload, hint) if here is None else here.read(payload, hint)

    def describe(self, error: BaseException) -> Failure | None:
        here = self._here()
        return super().describe(error) if here is None else here.describe(error)

    def error_of(self, failure: Failure) -> errors.FailureError | None:
        here = self._here()
        return super().error_of(failure) if here is None else here.error_of(failure)

    def whole_error_of(self, failure: Failure) -> errors.FailureError | None:
        here = self._here()
        return super().whole_error_of(failure) if here is None else here.whole_error_of(failure)


class _Told(ConvertingCodec):
    """The codec of one workflow or activity. Told of another one, it is that one's."""

    def __init__(self, converter: DataConverter, origin: TellingCodec, context: SerializationContext) -> None:
        super().__init__(converter)
        self._origin = origin
        sealing = isinstance(origin.converter.payload_codec, WithSerializationContext)
        self._owner = text_of(context) if sealing else None

    def told(self, context: SerializationContext) -> ConvertingCodec:
        return self._origin.told(context)

    def own(self, payload: Stored) -> Stored:
        if self._owner is None or isinstance(payload, Owned):
            return payload
        return Owned(payload.data, payload.encoding, self._owner)

    def encode(self, value: Any, hint: Any = Any) -> Stored:
        return self.own(super().encode(value, hint))

    def write_arguments(self, arguments: Sequence[Any], headers: Mapping[str, Payload] | None = None) -> Stored:
        return self.own(super().write_arguments(arguments, headers))

    def describe(self, error: BaseException) -> Failure | None:
        if self._owner is None:
            return super().describe(error)
        made = failures.described_by(self.converter, error)
        return None if made is None else replace(made, facts={**made.facts, OWNER: self._owner})
