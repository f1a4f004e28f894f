"""Worker interceptors: what sees workflows and activities pass by. Those of workflows run inside them, live and on replay."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from memflow.temporal.api.common.v1 import Payload
from memflow.temporal.common import Priority, RetryPolicy

if TYPE_CHECKING:
    from memflow.temporal import activity, workflow
    from memflow.temporal.workflow.words import ActivityCancellationType, ChildWorkflowCancellationType, ParentClosePolicy

Headers = Mapping[str, Payload]


# ------------------------------------------------------------------------------------------------- activities


@dataclass
class ExecuteActivityInput:
    """An activity about to run."""

    fn: Callable[..., Any]
    args: Sequence[Any]
    executor: concurrent.futures.Executor | None
    headers: Headers


class ActivityInboundInterceptor:
    """What comes to activities."""

    def __init__(self, next: ActivityInboundInterceptor) -> None:
        self.next = next

    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        """Called first; wrap `outbound` to see what the activity asks."""
        self.next.init(outbound)

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        """The activity runs."""
        return await self.next.execute_activity(input)


class ActivityOutboundInterceptor:
    """What activities ask."""

    def __init__(self, next: ActivityOutboundInterceptor) -> None:
        self.next = next

    def info(self) -> activity.Info:
        """`activity.info()`."""
        return self.next.info()

    def heartbeat(self, *details: Any) -> None:
        """`activity.heartbeat()`."""
        self.next.heartbeat(*details)


# ------------------------------------------------------------------------------------------------- workflows, inbound


@dataclass(frozen=True)
class WorkflowInterceptorClassInput:
    """What `workflow_interceptor_class` gets; what it puts in is offered by `workflow.extern_functions()`."""

    unsafe_extern_functions: MutableMapping[str, Callable[..., Any]]


@dataclass
class ExecuteWorkflowInput:
    """A workflow about to run."""

    type: type[Any]
    run_fn: Callable[..., Awaitable[Any]]
    args: Sequence[Any]
    headers: Headers


@dataclass
class HandleSignalInput:
    """A signal about to be answered."""

    signal: str
    args: Sequence[Any]
    headers: Headers


@dataclass
class HandleQueryInput:
    """A query about to be answered."""

    id: str
    query: str
    args: Sequence[Any]
    headers: Headers


@dataclass
class HandleUpdateInput:
    """An update about to be looked at, or answered."""

    id: str
    update: str
    args: Sequence[Any]
    headers: Headers


class WorkflowInboundInterceptor:
    """What comes to workflows. Made per run, inside it."""

    def __init__(self, next: WorkflowInboundInterceptor) -> None:
        self.next = next

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        """Called first; wrap `outbound` to see what the workflow asks."""
        self.next.init(outbound)

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        """The workflow runs."""
        return await self.next.execute_workflow(input)

    async def handle_signal(self, input: HandleSignalInput) -> None:
        """A signal is answered."""
        return await self.next.handle_signal(input)

    async def handle_query(self, input: HandleQueryInput) -> Any:
        """A query is answered."""
        return await self.next.handle_query(input)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:
        """An update is looked at."""
        self.next.handle_update_validator(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        """An update is answered."""
        return await self.next.handle_update_handler(input)


# ------------------------------------------------------------------------------------------------- workflows, outbound


@dataclass
class ContinueAsNewInput:
    """The next run of a chain."""

    workflow: str | None
    args: Sequence[Any]
    task_queue: str | None
    run_timeout: timedelta | None
    task_timeout: timedelta | None
    backoff_start_interval: timedelta | None
    retry_policy: RetryPolicy | None
    memo: Mapping[str, Any] | None
    search_attributes: Any
    headers: Headers
    versioning_intent: Any
    initial_versioning_behavior: Any
    event_groups: Any = None
    arg_types: list[type] | None = None


@dataclass
class SignalChildWorkflowInput:
    """A signal to a child."""

    signal: str
    args: Sequence[Any]
    child_workflow_id: str
    headers: Headers
    event_groups: Any = None


@dataclass
class SignalExternalWorkflowInput:
    """A signal to another workflow."""

    signal: str
    args: Sequence[Any]
    namespace: str
    workflow_id: str
    workflow_run_id: str | None
    headers: Headers
    event_groups: Any = None


@dataclass
class StartActivityInput:
    """An activity to schedule."""

    activity: str
    args: Sequence[Any]
    activity_id: str | None
    task_queue: str | None
    schedule_to_close_timeout: timedelta | None
    schedule_to_start_timeout: timedelta | None
    start_to_close_timeout: timedelta | None
    heartbeat_timeout: timedelta | None
    retry_policy: RetryPolicy | None
    cancellation_type: ActivityCancellationType
    headers: Headers
    disable_eager_execution: bool
    versioning_intent: Any
    summary: str | None
    priority: Priority
    arg_types: list[type] | None
    ret_type: Any
    event_groups: Any = field(default=None, kw_only=True)


@dataclass
class StartLocalActivityInput:
    """A local activity to run."""

    activity: str
    args: Sequence[Any]
    activity_id: str | None
    schedule_to_close_timeout: timedelta | None
    schedule_to_start_timeout: timedelta | None
    start_to_close_timeout: timedelta | None
    retry_policy: RetryPolicy | None
    local_retry_threshold: timedelta | None
    cancellation_type: ActivityCancellationType
    headers: Headers
    summary: str | None
    event_groups: Any = None
    arg_types: list[type] | None = None
    ret_type: Any = None


@dataclass
class StartChildWorkflowInput:
    """A child to start."""

    workflow: str
    args: Sequence[Any]
    id: str
    task_queue: str | None
    cancellation_type: ChildWorkflowCancellationType
    parent_close_policy: ParentClosePolicy
    execution_timeout: timedelta | None
    run_timeout: timedelta | None
    task_timeout: timedelta | None
    id_reuse_policy: Any
    retry_policy: RetryPolicy | None
    cron_schedule: str
    memo: Mapping[str, Any] | None
    search_attributes: Any
    headers: Headers
    versioning_intent: Any
    static_summary: str | None
    static_details: str | None
    priority: Priority
    arg_types: list[type] | None
    ret_type: Any
    versioning_override: Any = field(default=None, kw_only=True)
    event_groups: Any = field(default=None, kw_only=True)


class WorkflowOutboundInterceptor:
    """What workflows ask."""

    def __init__(self, next: WorkflowOutboundInterceptor) -> None:
        self.next = next

    def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:
        """`workflow.continue_as_new()`."""
        self.next.continue_as_new(input)

    def info(self) -> workflow.Info:
        """`workflow.info()`."""
        return self.next.info()

    async def signal_child_workflow(self, input: SignalChildWorkflowInput) -> None:
        """A signal to a child."""
        await self.next.signal_child_workflow(input)

    async def signal_external_workflow(self, input: SignalExternalWorkflowInput) -> None:
        """A signal to another workflow."""
        await self.next.signal_external_workflow(input)

    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
        """An activity is scheduled."""
        return self.next.start_activity(input)

    def start_local_activity(self, input: StartLocalActivityInput) -> workflow.ActivityHandle[Any]:
        """A local activity is run."""
        return self.next.start_local_activity(input)

    async def start_child_workflow(self, input: StartChildWorkflowInput) -> workflow.ChildWorkflowHandle[Any, Any]:
        """A child is started."""
        return await self.next.start_child_workflow(input)


class Interceptor:
    """A worker interceptor. One that is a client interceptor too applies to the workers of its client."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Wrap what comes to activities."""
        return next

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor] | None:
        """The class to wrap what comes to workflows with; None for none."""
        return None
