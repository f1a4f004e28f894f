"""Context variables that travel along: from the caller into runs, handlers, activities and children."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, TypeVar

from memflow.interceptors.client import (
    CreateScheduleInput,
    OutboundClient,
    QueryWorkflowInput,
    SignalWorkflowInput,
    StartStandaloneActivityInput,
    StartUpdateInput,
    StartWorkflowInput,
)
from memflow.interceptors.worker import (
    ActivityInbound,
    ExecuteActivityInput,
    HandleQueryInput,
    HandleSignalInput,
    HandleUpdateInput,
    Interceptor,
    SignalOtherInput,
    StartActivityInput,
    StartChildWorkflowInput,
    WorkflowInbound,
    WorkflowOutbound,
)

I = TypeVar("I", bound=Any)  # noqa: E741 - an input


class ContextPropagator(Interceptor):
    """Carries context variables along: from the caller to the run, its handlers, activities, children, and so on.

        TENANT: ContextVar[str] = ContextVar("tenant")
        client = await Client.connect(interceptors=[ContextPropagator({"x-tenant": TENANT})])

    Variables without a value are left out. For other values than text override `to_headers` and `from_headers`; in workflow code
    they must be deterministic.
    """

    def __init__(self, variables: Mapping[str, ContextVar[str]] | None = None) -> None:
        self._variables = dict(variables or {})

    def to_headers(self) -> Mapping[str, str]:
        """The headers of a call that is made here and now."""
        return {name: value for name, each in self._variables.items() if (value := each.get(None)) is not None}

    def from_headers(self, headers: Mapping[str, str]) -> None:
        """Take over what came with a call, before its code runs."""
        for name, variable in self._variables.items():
            if name in headers:
                variable.set(headers[name])

    def outgoing(self, input: I) -> I:
        """The input with the headers of here and now; those that were given with the call go before."""
        return replace(input, headers={**self.to_headers(), **(input.headers or {})})

    def intercept_client(self, next: OutboundClient) -> OutboundClient:
        return _PropagatingClient(next, self)

    def intercept_activity(self, next: ActivityInbound) -> ActivityInbound:
        return _PropagatingActivity(next, self)

    def intercept_workflow(self, next: WorkflowInbound) -> WorkflowInbound:
        return _PropagatingWorkflow(next, self)


class _PropagatingClient(OutboundClient):
    def __init__(self, next: OutboundClient, propagator: ContextPropagator) -> None:
        super().__init__(next)
        self._propagator = propagator

    async def start_workflow(self, input: StartWorkflowInput) -> Any:
        return await self.next.start_workflow(self._propagator.outgoing(input))

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:
        await self.next.signal_workflow(self._propagator.outgoing(input))

    async def query_workflow(self, input: QueryWorkflowInput) -> Any:
        return await self.next.query_workflow(self._propagator.outgoing(input))

    async def create_schedule(self, input: CreateScheduleInput) -> Any:
        return await self.next.create_schedule(self._propagator.outgoing(input))

    async def start_activity(self, input: StartStandaloneActivityInput) -> Any:
        return await self.next.start_activity(self._propagator.outgoing(input))

    async def start_update(self, input: StartUpdateInput) -> Any:
        return await self.next.start_update(self._propagator.outgoing(input))


class _PropagatingActivity(ActivityInbound):
    def __init__(self, next: ActivityInbound, propagator: ContextPropagator) -> None:
        super().__init__(next)
        self._propagator = propagator

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        self._propagator.from_headers(input.headers)
        return await self.next.execute_activity(input)


class _PropagatingWorkflow(WorkflowInbound):
    def __init__(self, next: WorkflowInbound, propagator: ContextPropagator) -> None:
        super().__init__(next)
        self._propagator = propagator

    def init(self, outbound: WorkflowOutbound) -> None:
        # Here, not when the code starts: signals that come with the start are handled before.
        self._propagator.from_headers(outbound.info().headers or {})
        self.next.init(_PropagatingOutbound(outbound, self._propagator))

    async def handle_signal(self, input: HandleSignalInput) -> None:
        self._propagator.from_headers(input.headers)
        await self.next.handle_signal(input)

    async def handle_query(self, input: HandleQueryInput) -> Any:
        self._propagator.from_headers(input.headers)
        return await self.next.handle_query(input)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:
        self._propagator.from_headers(input.headers)
        self.next.handle_update_validator(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        self._propagator.from_headers(input.headers)
        return await self.next.handle_update_handler(input)


class _PropagatingOutbound(WorkflowOutbound):
    def __init__(self, next: WorkflowOutbound, propagator: ContextPropagator) -> None:
        super().__init__(next)
        self._propagator = propagator

    def start_activity(self, input: StartActivityInput) -> Awaitable[Any]:
        return self.next.start_activity(self._propagator.outgoing(input))

    def start_local_activity(self, input: StartActivityInput) -> Awaitable[Any]:
        return self.next.start_local_activity(self._propagator.outgoing(input))

    async def start_child_workflow(self, input: StartChildWorkflowInput) -> Any:
        return await self.next.start_child_workflow(self._propagator.outgoing(input))

    async def signal_child_workflow(self, input: SignalOtherInput) -> None:
        await self.next.signal_child_workflow(self._propagator.outgoing(input))

    async def signal_external_workflow(self, input: SignalOtherInput) -> None:
        await self.next.signal_external_workflow(self._propagator.outgoing(input))
