"""Code of yours around every call that leaves a client, enters or leaves a workflow, or enters an activity.

    class Timed(Interceptor):
        def intercept_activity(self, next: ActivityInbound) -> ActivityInbound:
            return TimedActivities(next)

    class TimedActivities(ActivityInbound):
        async def execute_activity(self, input: ExecuteActivityInput) -> Any:
            began = time.monotonic()
            try:
                return await self.next.execute_activity(input)
            finally:
                print(activity.info().activity, time.monotonic() - began)

    client = await Client.connect(interceptors=[Timed()])      # and with it every worker made from this client

A method that is not overridden hands on to `next`; the first interceptor of a list is the outermost. Inputs are frozen: hand on
a changed one by `dataclasses.replace(input, headers={**input.headers, "trace": "..."})`. Headers are text by text: they travel
with starts, signals by name, updates, queries, activities and children, and stay in clear in the database.

Workflow interceptors run inside the run's deterministic loop, in replays too: what holds for workflow code holds for them.
Without interceptors none of this is on any path.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from memflow.options import ActivityOptions, ChildOptions
from memflow.retry import RetryPolicy

if TYPE_CHECKING:
    from memflow.attempts import Info
    from memflow.core.definition import RunInfo

__all__ = [
    "ActivityInbound",
    "ActivityOutbound",
    "CancelWorkflowInput",
    "ClientInterceptor",
    "ContextPropagator",
    "ContinueAsNewInput",
    "CountWorkflowsInput",
    "DescribeWorkflowInput",
    "EmitInput",
    "ExecuteActivityInput",
    "ExecuteWorkflowInput",
    "HandleQueryInput",
    "HandleSignalInput",
    "HandleUpdateInput",
    "Interceptor",
    "ListWorkflowsInput",
    "OutboundClient",
    "QueryWorkflowInput",
    "SignalInput",
    "SignalOtherInput",
    "SignalWorkflowInput",
    "SleepInput",
    "StartActivityInput",
    "StartChildWorkflowInput",
    "StartUpdateInput",
    "StartWorkflowInput",
    "TerminateWorkflowInput",
    "WaitForInput",
    "WorkerInterceptor",
    "WorkflowInbound",
    "WorkflowOutbound",
]

Headers = Mapping[str, str]


def _no_headers() -> dict[str, str]:
    return {}


# ------------------------------------------------------------------------------------------------- a client's calls


@dataclass(frozen=True, slots=True)
class StartWorkflowInput:
    """A start. `workflow` is the type's name, `target` what was given to `start`; `options` are the other keywords of it."""

    workflow: str
    args: Sequence[Any]
    id: str | None
    task_queue: str
    headers: Headers = field(default_factory=_no_headers)
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    target: Any = None
    result_type: Any = None


@dataclass(frozen=True, slots=True)
class SignalWorkflowInput:
    """A signal by name to one workflow. `target` is what was given: the name or a method."""

    id: str
    run_id: str | None
    signal: str
    args: Sequence[Any]
    headers: Headers = field(default_factory=_no_headers)
    request_id: str | None = None
    connection: Any = None
    target: Any = None


@dataclass(frozen=True, slots=True)
class SignalInput:
    """A signal by id, to whoever waits for it. It carries no headers."""

    signal_id: str
    payload: Any
    type: Any = Any
    expire: Any = None
    request_id: str | None = None
    connection: Any = None


@dataclass(frozen=True, slots=True)
class QueryWorkflowInput:
    """A query. `target` is what was given: the name or a method."""

    id: str
    run_id: str | None
    query: str
    args: Sequence[Any]
    headers: Headers = field(default_factory=_no_headers)
    timeout: Any = None
    target: Any = None
    result_type: Any = None


@dataclass(frozen=True, slots=True)
class StartUpdateInput:
    """An update; the answer is a handle on it. `update_id` None: a new one. `target` is the name or a method."""

    id: str
    run_id: str | None
    update: str
    args: Sequence[Any]
    update_id: str | None = None
    headers: Headers = field(default_factory=_no_headers)
    target: Any = None
    result_type: Any = None


@dataclass(frozen=True, slots=True)
class CancelWorkflowInput:
    """A request to a run to cancel itself."""

    id: str
    run_id: str | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class TerminateWorkflowInput:
    """The end of a run, at once."""

    id: str
    run_id: str | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class DescribeWorkflowInput:
    """A look at one run."""

    id: str
    run_id: str | None


@dataclass(frozen=True, slots=True)
class ListWorkflowsInput:
    """A list of runs by a filter."""

    where: str | None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class CountWorkflowsInput:
    """How many runs match a filter."""

    where: str | None


class OutboundClient:
    """Every call of a client and its handles. Override what you want to see; the rest goes on to `next`."""

    def __init__(self, next: OutboundClient) -> None:
        self.next = next

    async def start_workflow(self, input: StartWorkflowInput) -> Any:
        """Start a workflow; gives its handle."""
        return await self.next.start_workflow(input)

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:
        """Send a signal by name."""
        await self.next.signal_workflow(input)

    async def signal(self, input: SignalInput) -> None:
        """Send a signal by id."""
        await self.next.signal(input)

    async def query_workflow(self, input: QueryWorkflowInput) -> Any:
        """Ask a query; gives the answer."""
        return await self.next.query_workflow(input)

    async def start_update(self, input: StartUpdateInput) -> Any:
        """Send an update; gives its handle, before it is accepted."""
        return await self.next.start_update(input)

    async def cancel_workflow(self, input: CancelWorkflowInput) -> None:
        """Ask a run to cancel itself."""
        await self.next.cancel_workflow(input)

    async def terminate_workflow(self, input: TerminateWorkflowInput) -> None:
        """End a run at once."""
        await self.next.terminate_workflow(input)

    async def describe_workflow(self, input: DescribeWorkflowInput) -> Any:
        """Look at one run."""
        return await self.next.describe_workflow(input)

    def list_workflows(self, input: ListWorkflowsInput) -> AsyncIterator[Any]:
        """List runs."""
        return self.next.list_workflows(input)

    async def count_workflows(self, input: CountWorkflowsInput) -> int:
        """Count runs."""
        return await self.next.count_workflows(input)


# ------------------------------------------------------------------------------------------------- activities


@dataclass(frozen=True, slots=True)
class ExecuteActivityInput:
    """One attempt of an activity: `fn` with `args`. `is_async` tells whether it runs on the loop or in a thread."""

    fn: Callable[..., Any]
    args: Sequence[Any]
    headers: Headers
    is_async: bool = True


class ActivityOutbound:
    """What an activity asks of its worker."""

    def __init__(self, next: ActivityOutbound) -> None:
        self.next = next

    def info(self) -> Info:
        """`activity.info()`."""
        return self.next.info()

    def heartbeat(self, *details: Any) -> None:
        """`activity.heartbeat()`; called in the activity's own thread."""
        self.next.heartbeat(*details)


class ActivityInbound:
    """One attempt of an activity on its way in. `init` may wrap what the activity asks of its worker."""

    def __init__(self, next: ActivityInbound) -> None:
        self.next = next

    def init(self, outbound: ActivityOutbound) -> None:
        """Called first; hand on `outbound`, or one of yours around it."""
        self.next.init(outbound)

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        """Run the activity; gives what it returns. `activity.info()` and the others work here."""
        return await self.next.execute_activity(input)


# ------------------------------------------------------------------------------------------------- workflows: in


@dataclass(frozen=True, slots=True)
class ExecuteWorkflowInput:
    """A run's code: `fn` with `args` (without `self`)."""

    workflow: str
    fn: Callable[..., Awaitable[Any]]
    args: Sequence[Any]
    headers: Headers


@dataclass(frozen=True, slots=True)
class HandleSignalInput:
    """A signal that has a handler."""

    signal: str
    args: Sequence[Any]
    headers: Headers
    fn: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class HandleQueryInput:
    """A query that has a handler."""

    query: str
    args: Sequence[Any]
    headers: Headers
    fn: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class HandleUpdateInput:
    """An update that has a handler; `fn` is its validator or the handler itself."""

    id: str
    update: str
    args: Sequence[Any]
    headers: Headers
    fn: Callable[..., Any]


class WorkflowInbound:
    """What reaches a run. Made anew for each run, and in each replay of it."""

    def __init__(self, next: WorkflowInbound) -> None:
        self.next = next

    def init(self, outbound: WorkflowOutbound) -> None:
        """Called first; hand on `outbound`, or one of yours around it."""
        self.next.init(outbound)

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        """Run the code; gives what it returns."""
        return await self.next.execute_workflow(input)

    async def handle_signal(self, input: HandleSignalInput) -> None:
        """Call a signal's handler."""
        await self.next.handle_signal(input)

    async def handle_query(self, input: HandleQueryInput) -> Any:
        """Call a query's handler. It may only look, and answers at once: what is awaited here must not wait."""
        return await self.next.handle_query(input)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:
        """Call an update's validator. Not repeated in replays."""
        self.next.handle_update_validator(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        """Call an update's handler."""
        return await self.next.handle_update_handler(input)


# ------------------------------------------------------------------------------------------------- workflows: out


@dataclass(frozen=True, slots=True)
class StartActivityInput:
    """A call of an activity. `arg_types` and `result_type` are what its function declares, as far as that is known."""

    activity: str
    args: Sequence[Any]
    headers: Headers
    options: ActivityOptions
    arg_types: Sequence[Any] = ()
    result_type: Any = Any
    throw_on_error: bool = True


@dataclass(frozen=True, slots=True)
class StartChildWorkflowInput:
    """The start of a child. `id` None: one derived from this run. With `announce` its start is waited for."""

    workflow: str
    args: Sequence[Any]
    id: str | None
    headers: Headers
    options: ChildOptions
    arg_types: Sequence[Any] = ()
    result_type: Any = Any
    announce: bool = True


@dataclass(frozen=True, slots=True)
class SignalOtherInput:
    """A signal by name to another run; `type` describes the payload."""

    signal: str
    payload: Any
    workflow_id: str
    run_id: str | None
    headers: Headers = field(default_factory=_no_headers)
    type: Any = Any


@dataclass(frozen=True, slots=True)
class ContinueAsNewInput:
    """The next run of the chain. What is None stays as this run has it."""

    args: Sequence[Any]
    workflow: str | None = None
    headers: Headers | None = None
    task_queue: str | None = None
    run_timeout: timedelta | None = None
    retry: RetryPolicy | None = None
    memo: Mapping[str, Any] | None = None
    arg_types: Sequence[Any] = ()


@dataclass(frozen=True, slots=True)
class SleepInput:
    """A durable sleep by `sleep_for` or `sleep_until`."""

    until: datetime


@dataclass(frozen=True, slots=True)
class WaitForInput:
    """A wait for a signal by id."""

    signal_id: str
    type: Any = Any
    timeout: timedelta | None = None


@dataclass(frozen=True, slots=True)
class EmitInput:
    """Events to publish, topic to payload."""

    events: Mapping[str, Any]


class WorkflowOutbound:
    """What a run's code asks of the world."""

    def __init__(self, next: WorkflowOutbound) -> None:
        self.next = next

    def info(self) -> RunInfo:
        """`workflow.info()`."""
        return self.next.info()

    def start_activity(self, input: StartActivityInput) -> Awaitable[Any]:
        """Schedule an activity at once; what is returned gives its result when awaited."""
        return self.next.start_activity(input)

    async def start_child_workflow(self, input: StartChildWorkflowInput) -> Any:
        """Start a child; gives its handle."""
        return await self.next.start_child_workflow(input)

    async def signal_child_workflow(self, input: SignalOtherInput) -> None:
        """Send a child a signal by name."""
        await self.next.signal_child_workflow(input)

    async def signal_external_workflow(self, input: SignalOtherInput) -> None:
        """Send any other run a signal by name."""
        await self.next.signal_external_workflow(input)

    async def signal(self, input: SignalInput) -> None:
        """Send a signal by id."""
        await self.next.signal(input)

    def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:
        """Go on as the next run of the chain: always raises."""
        self.next.continue_as_new(input)

    async def sleep(self, input: SleepInput) -> None:
        """`sleep_for` and `sleep_until`. `asyncio.sleep` does not pass here."""
        await self.next.sleep(input)

    async def wait_for(self, input: WaitForInput) -> Any:
        """Wait for a signal by id; gives its payload. Raises TimeoutError when the time is up."""
        return await self.next.wait_for(input)

    async def emit(self, input: EmitInput) -> None:
        """Publish events."""
        await self.next.emit(input)


# ------------------------------------------------------------------------------------------------- what is handed in


class ClientInterceptor:
    """Given to `Client.connect(interceptors=[...])`."""

    def intercept_client(self, next: OutboundClient) -> OutboundClient:
        """Put yourself in front of `next`. Called once for each client."""
        return next


class WorkerInterceptor:
    """Given to `Worker(interceptors=[...])`."""

    def intercept_activity(self, next: ActivityInbound) -> ActivityInbound:
        """Put yourself in front of `next`. Called for each attempt of an activity."""
        return next

    def intercept_workflow(self, next: WorkflowInbound) -> WorkflowInbound:
        """Put yourself in front of `next`. Called for each run, and in each replay of it, inside its deterministic loop."""
        return next


class Interceptor(ClientInterceptor, WorkerInterceptor):
    """Both. Given to a client it applies to the workers made from that client too, before those that a worker is given."""


N = TypeVar("N")


def chained(first: N, interceptors: Sequence[Any], verb: str) -> N:
    """`first` with interceptors around it: the first of the list is the outermost."""
    for each in reversed(interceptors):
        first = getattr(each, verb)(first)
    return first


def overrides(interceptors: Sequence[WorkerInterceptor], verb: str) -> tuple[WorkerInterceptor, ...]:
    """Those that have a method of their own by that name: the others would cost a call for nothing."""
    plain = getattr(WorkerInterceptor, verb)
    return tuple(each for each in interceptors if getattr(type(each), verb, plain) is not plain or verb in vars(each))


# ------------------------------------------------------------------------------------------------- context propagation



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

    async def start_child_workflow(self, input: StartChildWorkflowInput) -> Any:
        return await self.next.start_child_workflow(self._propagator.outgoing(input))

    async def signal_child_workflow(self, input: SignalOtherInput) -> None:
        await self.next.signal_child_workflow(self._propagator.outgoing(input))

    async def signal_external_workflow(self, input: SignalOtherInput) -> None:
        await self.next.signal_external_workflow(self._propagator.outgoing(input))
