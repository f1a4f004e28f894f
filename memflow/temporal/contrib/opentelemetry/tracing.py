"""Spans of clients and activities, and what spans of workflows are made with."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import opentelemetry.trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer

from memflow.temporal import activity, client, worker
from memflow.temporal.contrib.opentelemetry.carriers import Carrying, attached
from memflow.temporal.contrib.opentelemetry.workflows import MAKER, Completed, TracingWorkflowInboundInterceptor
from memflow.temporal.exceptions import ApplicationError, ApplicationErrorCategory


class TracingInterceptor(Carrying, client.Interceptor, worker.Interceptor):
    """Give it to `Client.connect`: workers made from that client trace too.

    With `always_create_workflow_spans` workflows have spans also when nobody traced their start.
    """

    def __init__(self, tracer: Tracer | None = None, *, always_create_workflow_spans: bool = False) -> None:
        super().__init__()
        self.tracer = tracer or opentelemetry.trace.get_tracer(__name__)
        self._always_create_workflow_spans = always_create_workflow_spans

    def intercept_client(self, next: client.OutboundInterceptor) -> client.OutboundInterceptor:
        return _Client(next, self)

    def intercept_activity(self, next: worker.ActivityInboundInterceptor) -> worker.ActivityInboundInterceptor:
        return _Activity(next, self)

    def workflow_interceptor_class(
        self, input: worker.WorkflowInterceptorClassInput
    ) -> type[TracingWorkflowInboundInterceptor]:
        input.unsafe_extern_functions[MAKER] = self.complete
        return TracingWorkflowInboundInterceptor

    @contextmanager
    def span(
        self, name: str, kind: SpanKind, attributes: Mapping[str, str], context: Context | None = None
    ) -> Generator[None]:
        """A span around what happens inside."""
        with attached(context), self.tracer.start_as_current_span(
            name, attributes=dict(attributes), kind=kind, set_status_on_exception=False
        ) as span:
            try:
                yield
            except Exception as error:
                if not isinstance(error, ApplicationError) or error.category is not ApplicationErrorCategory.BENIGN:
                    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
                raise

    def complete(self, asked: Completed) -> Context | None:
        """A span of a workflow, begun and ended at once. The context that it is in; None where there is to be none."""
        orphan = opentelemetry.trace.get_current_span(asked.parent) is opentelemetry.trace.INVALID_SPAN
        if orphan and not self._always_create_workflow_spans:
            return None
        linked = opentelemetry.trace.get_current_span(asked.linked or Context())
        links = [] if linked is opentelemetry.trace.INVALID_SPAN else [opentelemetry.trace.Link(linked.get_span_context())]
        span = self.tracer.start_span(
            asked.name,
            asked.parent,
            kind=asked.kind,
            attributes=asked.attributes,
            links=links,
            start_time=asked.at,
        )
        if asked.error is not None:
            span.record_exception(asked.error)
        span.end(asked.at)
        return opentelemetry.trace.set_span_in_context(span, asked.parent)


class _Client(client.OutboundInterceptor):
    def __init__(self, next: client.OutboundInterceptor, root: TracingInterceptor) -> None:
        super().__init__(next)
        self._root = root

    @contextmanager
    def _calling(self, name: str, input: Any, attributes: Mapping[str, str]) -> Generator[None]:
        with self._root.span(name, SpanKind.CLIENT, attributes):
            input.headers = self._root.with_context(input.headers)
            yield

    async def start_workflow(self, input: client.StartWorkflowInput) -> client.WorkflowHandle[Any, Any]:
        verb = "SignalWithStartWorkflow" if input.start_signal else "StartWorkflow"
        with self._calling(f"{verb}:{input.workflow}", input, {"temporalWorkflowID": input.id}):
            return await super().start_workflow(input)

    async def signal_workflow(self, input: client.SignalWorkflowInput) -> None:
        with self._calling(f"SignalWorkflow:{input.signal}", input, {"temporalWorkflowID": input.id}):
            await super().signal_workflow(input)

    async def query_workflow(self, input: client.QueryWorkflowInput) -> Any:
        with self._calling(f"QueryWorkflow:{input.query}", input, {"temporalWorkflowID": input.id}):
            return await super().query_workflow(input)

    async def start_workflow_update(self, input: client.StartWorkflowUpdateInput) -> client.WorkflowUpdateHandle[Any]:
        with self._calling(f"StartWorkflowUpdate:{input.update}", input, {"temporalWorkflowID": input.id}):
            return await super().start_workflow_update(input)

    async def start_update_with_start_workflow(
        self, input: client.StartWorkflowUpdateWithStartInput
    ) -> client.WorkflowUpdateHandle[Any]:
        start, update = input.start_workflow_input, input.update_workflow_input
        attributes = {"temporalWorkflowID": start.id}
        if update.update_id is not None:
            attributes["temporalUpdateID"] = update.update_id
        with self._calling(f"StartUpdateWithStartWorkflow:{start.workflow}", start, attributes):
            update.headers = self._root.with_context(update.headers)
            return await super().start_update_with_start_workflow(input)

    async def start_activity(self, input: client.StartActivityInput) -> client.ActivityHandle[Any]:
        attributes = {"temporalActivityID": input.id, "temporalActivityType": input.activity_type}
        with self._calling(f"StartActivity:{input.activity_type}", input, attributes):
            return await super().start_activity(input)


class _Activity(worker.ActivityInboundInterceptor):
    def __init__(self, next: worker.ActivityInboundInterceptor, root: TracingInterceptor) -> None:
        super().__init__(next)
        self._root = root

    async def execute_activity(self, input: worker.ExecuteActivityInput) -> Any:
        facts = activity.info()
        attributes = {"temporalActivityID": facts.activity_id}
        if facts.workflow_id:
            attributes["temporalWorkflowID"] = facts.workflow_id
        if facts.workflow_run_id:
            attributes["temporalRunID"] = facts.workflow_run_id
        context = self._root.context_in(input.headers)
        with self._root.span(f"RunActivity:{facts.activity_type}", SpanKind.SERVER, attributes, context):
            return await super().execute_activity(input)
