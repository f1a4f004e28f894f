"""What leaves a client: one input per call, and the class whose methods they pass."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Headers = Mapping[str, str]
"""Text by text."""


def no_headers() -> dict[str, str]:
    """The default of `headers`."""
    return {}

@dataclass(frozen=True, slots=True)
class StartWorkflowInput:
    """A start. `workflow` is the type's name, `target` what was given to `start`; `options` are the other keywords of it."""

    workflow: str
    args: Sequence[Any]
    id: str | None
    task_queue: str
    headers: Headers = field(default_factory=no_headers)
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
    headers: Headers = field(default_factory=no_headers)
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
    headers: Headers = field(default_factory=no_headers)
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
    headers: Headers = field(default_factory=no_headers)
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
    """A list of runs by a filter. With `records` a name in it that is no field of runs is one of their records."""

    where: str | None
    limit: int | None = None
    order: str | None = None
    records: bool = False


@dataclass(frozen=True, slots=True)
class CountWorkflowsInput:
    """How many runs match a filter."""

    where: str | None


@dataclass(frozen=True, slots=True)
class HookWorkflowInput:
    """A hook to start in a run. `target` is what was given: the name or a function."""

    id: str
    run_id: str | None
    hook: str
    args: Sequence[Any]
    search: Mapping[str, Any] | None = None
    request_id: str | None = None
    connection: Any = None
    target: Any = None


@dataclass(frozen=True, slots=True)
class CreateScheduleInput:
    """A new schedule, or with `or_update` one that changes. `headers` are for its runs, `options` the other keywords."""

    id: str
    workflow: str
    args: Sequence[Any]
    headers: Headers = field(default_factory=no_headers)
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    or_update: bool = False
    target: Any = None


@dataclass(frozen=True, slots=True)
class StartStandaloneActivityInput:
    """The start of an activity without a workflow. `target` is the name or function; `task_queue` None: as it declares."""

    activity: str
    args: Sequence[Any]
    id: str | None
    task_queue: str | None
    headers: Headers = field(default_factory=no_headers)
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    target: Any = None
    result_type: Any = None


@dataclass(frozen=True, slots=True)
class ActOnActivityInput:
    """What a handle does to a pending activity; `verb` is its method: `complete`, `pause`. By a token there are no ids."""

    verb: str
    workflow_id: str | None
    run_id: str | None
    activity_id: str | None
    args: Sequence[Any]
    keywords: Mapping[str, Any]
    act: Callable[[Sequence[Any], Mapping[str, Any]], Awaitable[Any]]


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

    async def hook_workflow(self, input: HookWorkflowInput) -> str:
        """Start a hook; gives its id."""
        return await self.next.hook_workflow(input)

    async def create_schedule(self, input: CreateScheduleInput) -> Any:
        """Create a schedule; gives its handle."""
        return await self.next.create_schedule(input)

    async def start_activity(self, input: StartStandaloneActivityInput) -> Any:
        """Start an activity without a workflow; gives its handle."""
        return await self.next.start_activity(input)

    async def act_on_activity(self, input: ActOnActivityInput) -> Any:
        """Complete a pending activity from outside, or act on it."""
        return await self.next.act_on_activity(input)

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


class ClientInterceptor:
    """Given to `Client.connect(interceptors=[...])`."""

    def intercept_client(self, next: OutboundClient) -> OutboundClient:
        """Put yourself in front of `next`. Called once for each client."""
        return next
