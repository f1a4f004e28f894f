"""A data converter for pydantic's models, and whatever else pydantic knows."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import SchemaSerializer, to_json
from pydantic_core.core_schema import any_schema

from memflow.temporal.api.common.v1 import Payload
from memflow.temporal.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultPayloadConverter,
    EncodingPayloadConverter,
    JSONPlainPayloadConverter,
)

_ANY = SchemaSerializer(any_schema())


@dataclass
class ToJsonOptions:
    """How models are written."""

    exclude_unset: bool = False


class PydanticJSONPlainPayloadConverter(EncodingPayloadConverter):
    """JSON by pydantic, both ways."""

    def __init__(
        self, to_json_options: ToJsonOptions | None = None, *, max_cached_type_adapters: int | None = 1024
    ) -> None:
        self._options = to_json_options
        self._most = max_cached_type_adapters
        self._adapters: OrderedDict[Any, TypeAdapter[Any]] = OrderedDict()

    @property
    def encoding(self) -> str:
        return "json/plain"

    def to_payload(self, value: Any) -> Payload | None:
        if self._options is not None and self._options.exclude_unset:
            data = _ANY.to_json(value, exclude_unset=True)
        else:
            data = to_json(value)
        return Payload(metadata={"encoding": b"json/plain"}, data=data)

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        return self._adapter(Any if type_hint is None else type_hint).validate_json(payload.data)

    def _adapter(self, hint: Any) -> TypeAdapter[Any]:
        try:
            known = self._adapters.get(hint)
        except TypeError:                        # an unhashable hint
            return TypeAdapter(hint)
        if known is None:
            known = self._adapters[hint] = TypeAdapter(hint)
            if self._most is not None and len(self._adapters) > self._most:
                self._adapters.popitem(last=False)
        return known


class PydanticPayloadConverter(CompositePayloadConverter):
    """The usual converters, with pydantic for JSON."""

    def __init__(
        self, to_json_options: ToJsonOptions | None = None, *, max_cached_type_adapters: int | None = 1024
    ) -> None:
        own = PydanticJSONPlainPayloadConverter(to_json_options, max_cached_type_adapters=max_cached_type_adapters)
        super().__init__(
            *(
                own if isinstance(each, JSONPlainPayloadConverter) else each
                for each in DefaultPayloadConverter.default_encoding_payload_converters
            )
        )


pydantic_data_converter = DataConverter(payload_converter_class=PydanticPayloadConverter)
"""A data converter for models: give it to `Client.connect`."""
