"""Spans for what clients, workflows and activities do, and their context in headers. Needs the extra `otel`.

Spans of workflows are made when they happen first and not when a workflow is replayed; they have no length, since a workflow
may last for months.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import opentelemetry.baggage.propagation
import opentelemetry.context
import opentelemetry.propagators.composite
import opentelemetry.trace
import opentelemetry.trace.propagation.tracecontext
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer

from memflow.temporal import activity, client, worker, workflow
from memflow.temporal.api.common.v1 import Payload
from memflow.temporal.converter import PayloadConverter
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

Headers = Mapping[str, Payload]
Attributes = Mapping[str, str]

_PROPAGATOR = opentelemetry.propagators.composite.CompositePropagator(
    [
        opentelemetry.trace.propagation.tracecontext.TraceContextTextMapPropagator(),
        opentelemetry.baggage.propagation.W3CBaggagePropagator(),
    ]
)
_KEY = "_tracer-data"
"""The header that carries the context, as Temporal's SDKs name it."""


@dataclass(init=False)
class TracingInterceptor(client.Interceptor, worker.Interceptor):
    """Give it to `Client.connect`: workers made from that client trace too.

    With `always_create_workflow_spans` workflows have spans also when nobody traced their start.
    """

    tracer: Tracer
    always_create_workflow_spans: bool = False
    header_key: str = field(default=_KEY, init=False)

    def __init__(self, tracer: Tracer | None = None, *, always_create_workflow_spans: bool = False) -> None:
        self.tracer = tracer or opentelemetry.trace.get_tracer(__name__)
        self.always_create_workflow_spans = always_create_workflow_spans
        self.header_key = _KEY
        self.payload_converter = PayloadConverter.default

    def intercept_client(self, next: client.OutboundInterceptor) -> client.OutboundInterceptor:
        return _Client(next, self)

    def intercept_activity(self, next: worker.ActivityInboundInterceptor) -> worker.ActivityInboundInterceptor:
        return _Activity(next, self)

    def workflow_interceptor_class(
        self, input: worker.WorkflowInterceptorClassInput
    ) -> type[TracingWorkflowInboundInterceptor]:
        root = self

        class Inbound(TracingWorkflowInboundInterceptor):
            tracing = root

        return Inbound

    def context_in(self, headers: Headers) -> Context | None:
        """The context that headers carry."""
        payload = headers.get(self.header_key)
        if payload is None:
            return None
        carrier: dict[str, str] = self.payload_converter.from_payloads([payload])[0]
        return _PROPAGATOR.extract(carrier) if carrier else None

    def with_context(self, headers: Headers, context: Context | None = None) -> Headers:
        """Headers that carry a context: that one, or the present."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, context)
        if not carrier:
            return headers
        return {**headers, self.header_key: self.payload_converter.to_payloads([carrier])[0]}

    @contextmanager
    def span(
        self, name: str, kind: SpanKind, attributes: Attributes, context: Context | None = None
    ) -> Generator[None]:
        """A span around what happens inside."""
        token = None if context is None else opentelemetry.context.attach(context)
        try:
            with self.tracer.start_as_current_span(
                name, attributes=dict(attributes), kind=kind, set_status_on_exception=False
            ) as span:
                try:
                    yield
                except Exception as error:
                    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
                    raise
        finally:
            if token is not None:
                opentelemetry.context.detach(token)


class _Client(client.OutboundInterceptor):
    def __init__(self, next: client.OutboundInterceptor, root: TracingInterceptor) -> None:
        super().__init__(next)
        self._root = root

    async def start_workflow(self, input: client.StartWorkflowInput) -> client.WorkflowHandle[Any, Any]:
        verb = "SignalWithStartWorkflow" if input.start_signal else "StartWorkflow"
        with self._root.span(f"{verb}:{input.workflow}", SpanKind.CLIENT, {"temporalWorkflowID": input.id}):
            input.headers = self._root.with_context(input.headers)
            return await super().start_workflow(input)

    async def signal_workflow(self, input: client.SignalWorkflowInput) -> None:
        with self._root.span(f"SignalWorkflow:{input.signal}", SpanKind.CLIENT, {"temporalWorkflowID": input.id}):
            input.headers = self._root.with_context(input.headers)
            await super().signal_workflow(input)

    async def query_workflow(self, input: client.QueryWorkflowInput) -> Any:
        with self._root.span(f"QueryWorkflow:{input.query}", SpanKind.CLIENT, {"temporalWorkflowID": input.id}):
            input.headers = self._root.with_context(input.headers)
            return await super().query_workflow(input)

    async def start_workflow_update(self, input: client.StartWorkflowUpdateInput) -> client.WorkflowUpdateHandle[Any]:
        with self._root.span(f"StartWorkflowUpdate:{input.update}", SpanKind.CLIENT, {"temporalWorkflowID": input.id}):
            input.headers = self._root.with_context(input.headers)
            return await super().start_workflow_update(input)


class _Activity(worker.ActivityInboundInterceptor):
    def __init__(self, next: worker.ActivityInboundInterceptor, root: TracingInterceptor) -> None:
        super().__init__(next)
        self._root = root

    async def execute_activity(self, input: worker.ExecuteActivityInput) -> Any:
        facts = activity.info()
        attributes = {
            "temporalWorkflowID": facts.workflow_id or "",
            "temporalRunID": facts.workflow_run_id or "",
            "temporalActivityID": facts.activity_id,
        }
        context = self._root.context_in(input.headers)
        with self._root.span(f"RunActivity:{facts.activity_type}", SpanKind.SERVER, attributes, context):
            return await super().execute_activity(input)


class TracingWorkflowInboundInterceptor(worker.WorkflowInboundInterceptor):
    """Spans of one workflow."""

    tracing: TracingInterceptor

    def __init__(self, next: worker.WorkflowInboundInterceptor) -> None:
        super().__init__(next)
        self.context: Context | None = None
        """The context that whatever this workflow asks for is a part of."""

    def init(self, outbound: worker.WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound, self))

    async def execute_workflow(self, input: worker.ExecuteWorkflowInput) -> Any:
        self.context = self.tracing.context_in(input.headers)
        name = workflow.info().workflow_type
        made = self.completed(f"RunWorkflow:{name}", SpanKind.SERVER, self.context)
        self.context = made or self.context
        try:
            result = await super().execute_workflow(input)
        except Exception as error:
            self.completed(f"CompleteWorkflow:{name}", SpanKind.INTERNAL, self.context, error)
            raise
        self.completed(f"CompleteWorkflow:{name}", SpanKind.INTERNAL, self.context)
        return result

    async def handle_signal(self, input: worker.HandleSignalInput) -> None:
        self.completed(f"HandleSignal:{input.signal}", SpanKind.SERVER, self.tracing.context_in(input.headers) or self.context)
        await super().handle_signal(input)

    async def handle_query(self, input: worker.HandleQueryInput) -> Any:
        context = self.tracing.context_in(input.headers) or self.context
        self.completed(f"HandleQuery:{input.query}", SpanKind.SERVER, context)
        return await super().handle_query(input)

    def handle_update_validator(self, input: worker.HandleUpdateInput) -> None:
        context = self.tracing.context_in(input.headers) or self.context
        self.completed(f"ValidateUpdate:{input.update}", SpanKind.SERVER, context)
        super().handle_update_validator(input)

    async def handle_update_handler(self, input: worker.HandleUpdateInput) -> Any:
        context = self.tracing.context_in(input.headers) or self.context
        self.completed(f"HandleUpdate:{input.update}", SpanKind.SERVER, context)
        return await super().handle_update_handler(input)

    def completed(
        self, name: str, kind: SpanKind, parent: Context | None, error: BaseException | None = None
    ) -> Context | None:
        """A span without a length, once: not when this turn is replayed. The context that it is in."""
        if workflow.unsafe.is_replaying_history_events():
            return None
        if parent is None and not self.tracing.always_create_workflow_spans:
            return None
        facts = workflow.info()
        at = workflow.time_ns()
        span = self.tracing.tracer.start_span(
            name,
            parent or Context(),
            kind=kind,
            attributes={"temporalWorkflowID": facts.workflow_id, "temporalRunID": facts.run_id},
            start_time=at,
        )
        if error is not None:
            span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        span.end(at)
        return opentelemetry.trace.set_span_in_context(span, parent or Context())

    def asked(self, name: str, headers: Headers) -> Headers:
        """Headers for something that this workflow asks for, with a span of it."""
        made = self.completed(name, SpanKind.CLIENT, self.context) or self.context
        return headers if made is None else self.tracing.with_context(headers, made)


class _Outbound(worker.WorkflowOutboundInterceptor):
    def __init__(self, next: worker.WorkflowOutboundInterceptor, inbound: TracingWorkflowInboundInterceptor) -> None:
        super().__init__(next)
        self._inbound = inbound

    def continue_as_new(self, input: worker.ContinueAsNewInput) -> NoReturn:
        if self._inbound.context is not None:
            input.headers = self._inbound.tracing.with_context(input.headers, self._inbound.context)
        super().continue_as_new(input)

    async def signal_child_workflow(self, input: worker.SignalChildWorkflowInput) -> None:
        input.headers = self._inbound.asked(f"SignalChildWorkflow:{input.signal}", input.headers)
        await super().signal_child_workflow(input)

    async def signal_external_workflow(self, input: worker.SignalExternalWorkflowInput) -> None:
        input.headers = self._inbound.asked(f"SignalExternalWorkflow:{input.signal}", input.headers)
        await super().signal_external_workflow(input)

    def start_activity(self, input: worker.StartActivityInput) -> workflow.ActivityHandle[Any]:
        input.headers = self._inbound.asked(f"StartActivity:{input.activity}", input.headers)
        return super().start_activity(input)

    def start_local_activity(self, input: worker.StartLocalActivityInput) -> workflow.ActivityHandle[Any]:
        input.headers = self._inbound.asked(f"StartActivity:{input.activity}", input.headers)
        return super().start_local_activity(input)

    async def start_child_workflow(
        self, input: worker.StartChildWorkflowInput
    ) -> workflow.ChildWorkflowHandle[Any, Any]:
        input.headers = self._inbound.asked(f"StartChildWorkflow:{input.workflow}", input.headers)
        return await super().start_child_workflow(input)
