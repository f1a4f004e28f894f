"""The context of a span as a header, which Temporal's SDKs in all languages read."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Final

import opentelemetry.context
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from memflow.temporal.api.common.v1 import Payload
from memflow.temporal.converter import PayloadConverter

Headers = Mapping[str, Payload]

HEADER: Final = "_tracer-data"
PROPAGATOR: Final[TextMapPropagator] = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])


class Carrying:
    """How the context goes into headers. Subclasses may set these anew."""

    def __init__(self) -> None:
        self.header_key: str = HEADER
        self.text_map_propagator: TextMapPropagator = PROPAGATOR
        self.payload_converter: PayloadConverter = PayloadConverter.default

    def context_in(self, headers: Headers) -> Context | None:
        """The context that headers carry."""
        payload = headers.get(self.header_key)
        if payload is None:
            return None
        carrier: dict[str, str] = self.payload_converter.from_payloads([payload])[0]
        return self.text_map_propagator.extract(carrier) if carrier else None

    def with_context(self, headers: Headers, context: Context | None = None) -> Headers:
        """Headers that carry a context: that one, or the present."""
        carrier: dict[str, str] = {}
        self.text_map_propagator.inject(carrier, context)  # pyright: ignore[reportArgumentType]  # its default is typed narrower
        if not carrier:
            return headers
        return {**headers, self.header_key: self.payload_converter.to_payloads([carrier])[0]}


@contextmanager
def attached(context: Context | None) -> Generator[None]:
    """Inside, that context is the present one; None leaves it as it is."""
    if context is None:
        yield
        return
    token = opentelemetry.context.attach(context)
    try:
        yield
    finally:
        opentelemetry.context.detach(token)
