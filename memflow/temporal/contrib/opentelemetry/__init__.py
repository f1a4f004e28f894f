"""Spans for what clients, workflows and activities do, and their context in headers. Needs the extra `otel`.

Spans of workflows are made when they happen first and not when a workflow is replayed; they have no length, since a workflow
may last for months. `workflow.completed_span` makes one of a program's own.
"""

from __future__ import annotations

from memflow.temporal.contrib.opentelemetry.tracing import TracingInterceptor
from memflow.temporal.contrib.opentelemetry.workflows import TracingWorkflowInboundInterceptor
from memflow.temporal.missing import not_offered

__all__ = ["TracingInterceptor", "TracingWorkflowInboundInterceptor"]

_TRACING = "use TracingInterceptor, and OpenTelemetry's own providers"
__getattr__ = not_offered(
    __name__,
    {
        "MetricsExporter": "give OpenTelemetryConfig to TelemetryConfig: memflow uses OpenTelemetry's global meter provider",
        "OpenTelemetryInterceptor": _TRACING,
        "OpenTelemetryPlugin": _TRACING,
        "ReplaySafeLoggerProvider": "workflow.logger is silent on replay",
        "ReplaySafeMeterProvider": "workflow.metric_meter() is silent on replay",
        "ReplaySafeTracerProvider": _TRACING,
        "create_tracer_provider": _TRACING,
    },
)
