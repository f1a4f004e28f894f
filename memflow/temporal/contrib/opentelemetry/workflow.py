"""Spans that workflow code makes itself."""

from __future__ import annotations

import warnings

from opentelemetry.trace import get_tracer
from opentelemetry.util.types import Attributes

from memflow.temporal.contrib.opentelemetry.workflows import TracingWorkflowInboundInterceptor

__all__ = ["completed_span"]


def completed_span(name: str, *, attributes: Attributes = None, exception: Exception | None = None) -> None:
    """A span without a length in the workflow's trace, once: not when this turn is replayed.

    Needs a `TracingInterceptor` on the worker, and a start that was traced; `exception` is recorded in it.
    """
    interceptor = TracingWorkflowInboundInterceptor.of_context()
    if interceptor is not None:
        interceptor.completed(name, attributes=attributes, error=exception)
        return
    warnings.warn(
        "When using OpenTelemetryPlugin, you should prefer using opentelemetry directly.", DeprecationWarning, stacklevel=2
    )
    span = get_tracer(__name__).start_span(name, attributes=attributes)
    if exception is not None:
        span.record_exception(exception)
    span.end()
