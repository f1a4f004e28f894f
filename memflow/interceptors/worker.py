"""What enters and leaves a workflow, and enters an activity: the inputs, and the classes whose methods they pass."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NoReturn, TypeVar

from memflow.attempt_info import Info
from memflow.interceptors.client import ClientInterceptor, Headers, SignalInput, no_headers
from memflow.options import ActivityOptions, ChildOptions
from memflow.retry import RetryPolicy
from memflow.run_info import RunInfo

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
    """A signal by name to another run. `type` describes the payload; with `arg_types` it is a list of arguments."""

    signal: str
    payload: Any
    workflow_id: str
    run_id: str | None
    headers: Headers = field(default_factory=no_headers)
    type: Any = Any
    arg_types: Sequence[Any] = ()


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
    """A wait for a signal by id. `cancelled` is what it gives when somebody cancels its escalation."""

    signal_id: str
    type: Any = Any
    timeout: timedelta | None = None
    escalation: Any = None
    cancelled: Any = None


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

    def start_local_activity(self, input: StartActivityInput) -> Awaitable[Any]:
        """Run an activity in this worker; what is returned gives its result when awaited."""
        return self.next.start_local_activity(input)

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
