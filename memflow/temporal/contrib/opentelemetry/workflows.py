"""Spans of one workflow: of what comes to it, and of what it asks for.

All of them are children of the span that started it. A message's own span is linked, since its sender has another trace; a
query is part of its sender's trace, and the workflow is linked.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import opentelemetry.context
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AttributeValue

from memflow.temporal import worker, workflow
from memflow.temporal.contrib.opentelemetry.carriers import Carrying, Headers, attached
from memflow.temporal.exceptions import FailureError

MAKER: Final = "__temporal_opentelemetry_completed_span"
"""The extern function that makes spans: what the worker's interceptor lends to workflows."""

_SELF: Final = opentelemetry.context.create_key("__temporal_opentelemetry_workflow_interceptor")


@dataclass(frozen=True)
class Completed:
    """A span that begins and ends at once."""

    name: str
    kind: SpanKind
    at: int
    parent: Context
    linked: Context | None
    attributes: Mapping[str, AttributeValue]
    error: BaseException | None


class TracingWorkflowInboundInterceptor(Carrying, worker.WorkflowInboundInterceptor):
    """Spans of one workflow."""

    def __init__(self, next: worker.WorkflowInboundInterceptor) -> None:
        worker.WorkflowInboundInterceptor.__init__(self, next)
        Carrying.__init__(self)
        self._make: Callable[[Completed], Context | None] | None = workflow.extern_functions().get(MAKER)
        self._own: Context | None = None

    @staticmethod
    def of_context() -> TracingWorkflowInboundInterceptor | None:
        """The one of the workflow whose code runs here."""
        found = opentelemetry.context.get_value(_SELF)
        return found if isinstance(found, TracingWorkflowInboundInterceptor) else None

    def init(self, outbound: worker.WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound, self))

    async def execute_workflow(self, input: worker.ExecuteWorkflowInput) -> Any:
        with self._running(completes=True):
            self.completed(f"RunWorkflow:{workflow.info().workflow_type}", SpanKind.SERVER)
            return await super().execute_workflow(input)

    async def handle_signal(self, input: worker.HandleSignalInput) -> None:
        with self._running():
            self.completed(f"HandleSignal:{input.signal}", SpanKind.SERVER, linked=self.context_in(input.headers))
            await super().handle_signal(input)

    async def handle_query(self, input: worker.HandleQueryInput) -> Any:
        asker = self.context_in(input.headers)
        with attached(opentelemetry.context.set_value(_SELF, self, asker or Context())):
            linked = None if asker is None else self._started_in()
            self.completed(f"HandleQuery:{input.query}", SpanKind.SERVER, linked=linked, on_replay=True)
            return await super().handle_query(input)

    def handle_update_validator(self, input: worker.HandleUpdateInput) -> None:
        with self._running():
            self.completed(f"ValidateUpdate:{input.update}", SpanKind.SERVER, linked=self.context_in(input.headers))
            super().handle_update_validator(input)

    async def handle_update_handler(self, input: worker.HandleUpdateInput) -> Any:
        with self._running():
            self.completed(f"HandleUpdate:{input.update}", SpanKind.SERVER, linked=self.context_in(input.headers))
            return await super().handle_update_handler(input)

    def completed(
        self,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        *,
        linked: Context | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        error: BaseException | None = None,
        on_replay: bool = False,
    ) -> Context | None:
        """A span without a length, once: not when this turn is replayed. The context that it is in."""
        if self._make is None or (workflow.unsafe.is_replaying_history_events() and not on_replay):
            return None
        facts = workflow.info()
        known: dict[str, AttributeValue] = {"temporalWorkflowID": facts.workflow_id, "temporalRunID": facts.run_id}
        present = opentelemetry.context.get_current()
        return self._make(
            Completed(name, kind, workflow.time_ns(), present, linked, {**known, **(attributes or {})}, error)
        )

    def asked(self, name: str, headers: Headers, kind: SpanKind = SpanKind.CLIENT) -> Headers:
        """Headers for something that this workflow asks for, with a span of it."""
        made = self.completed(name, kind)
        return headers if made is None else self.with_context(headers, made)

    def _started_in(self) -> Context | None:
        if self._own is None:
            self._own = self.context_in(workflow.info().headers)
        return self._own

    @contextmanager
    def _running(self, *, completes: bool = False) -> Generator[None]:
        """Inside, what happens belongs to this workflow. Its end has a span, also when a handler brings it about."""
        with attached(opentelemetry.context.set_value(_SELF, self, self._started_in() or Context())):
            name = f"CompleteWorkflow:{workflow.info().workflow_type}"
            try:
                yield
            except FailureError as error:
                self.completed(name, error=error)
                raise
            if completes:
                self.completed(name)


class _Outbound(worker.WorkflowOutboundInterceptor):
    def __init__(self, next: worker.WorkflowOutboundInterceptor, root: TracingWorkflowInboundInterceptor) -> None:
        super().__init__(next)
        self._root = root

    def continue_as_new(self, input: worker.ContinueAsNewInput) -> NoReturn:
        input.headers = self._root.with_context(input.headers)
        super().continue_as_new(input)

    async def signal_child_workflow(self, input: worker.SignalChildWorkflowInput) -> None:
        input.headers = self._root.asked(f"SignalChildWorkflow:{input.signal}", input.headers, SpanKind.SERVER)
        await super().signal_child_workflow(input)

    async def signal_external_workflow(self, input: worker.SignalExternalWorkflowInput) -> None:
        input.headers = self._root.asked(f"SignalExternalWorkflow:{input.signal}", input.headers)
        await super().signal_external_workflow(input)

    def start_activity(self, input: worker.StartActivityInput) -> workflow.ActivityHandle[Any]:
        input.headers = self._root.asked(f"StartActivity:{input.activity}", input.headers)
        return super().start_activity(input)

    def start_local_activity(self, input: worker.StartLocalActivityInput) -> workflow.ActivityHandle[Any]:
        input.headers = self._root.asked(f"StartActivity:{input.activity}", input.headers)
        return super().start_local_activity(input)

    async def start_child_workflow(
        self, input: worker.StartChildWorkflowInput
    ) -> workflow.ChildWorkflowHandle[Any, Any]:
        input.headers = self._root.asked(f"StartChildWorkflow:{input.workflow}", input.headers)
        return await super().start_child_workflow(input)
