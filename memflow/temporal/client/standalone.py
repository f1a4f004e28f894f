"""Activities that a client starts, without a workflow around them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, overload

from typing_extensions import TypedDict, Unpack

from memflow import errors
from memflow.temporal.activity import name_and_types
from memflow.temporal.arguments import UNSET, arg_or_args
from memflow.temporal.client.activities import activity_errors
from memflow.temporal.client.activity_describing import ActivityExecutionDescription, description_of
from memflow.temporal.client.activity_handle import ActivityHandle
from memflow.temporal.client.activity_inputs import (
    CancelActivityInput,
    CountActivitiesInput,
    DescribeActivityInput,
    ListActivitiesInput,
    PauseActivityInput,
    StartActivityInput,
    TerminateActivityInput,
    UnpauseActivityInput,
)
from memflow.temporal.client.activity_listing import ActivityExecutionAsyncIterator, ActivityExecutionCount, counted
from memflow.temporal.client.errors import as_rpc_errors
from memflow.temporal.common import (
    ActivityIDConflictPolicy,
    ActivityIDReusePolicy,
    Priority,
    RetryPolicy,
    TypedSearchAttributes,
    engine_policy,
    engine_priority,
)
from memflow.temporal.exceptions import ActivityAlreadyStartedError
from memflow.temporal.search_attributes import fields_of
from memflow.temporal.startup import Startup
from memflow.temporal.stored import carried
from memflow.workflow import standalone

if TYPE_CHECKING:
    from memflow.temporal.client.client import Client

R = TypeVar("R")
P = TypeVar("P")
Metadata = Mapping[str, str | bytes]

_CONFLICT: Final = {
    ActivityIDConflictPolicy.UNSPECIFIED: "fail",
    ActivityIDConflictPolicy.FAIL: "fail",
    ActivityIDConflictPolicy.USE_EXISTING: "use_existing",
}
_REUSE: Final = {
    ActivityIDReusePolicy.UNSPECIFIED: "allow",
    ActivityIDReusePolicy.ALLOW_DUPLICATE: "allow",
    ActivityIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY: "failed_only",
    ActivityIDReusePolicy.REJECT_DUPLICATE: "reject",
}


class ActivityCalls:
    """The end of the chain of interceptors, for standalone activities."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def _handle(self, id: str, run_id: str | None) -> Any:
        return (await self._client.engine()).activity.get_handle(id, run_id)

    async def start(self, input: StartActivityInput) -> ActivityHandle[Any]:
        """Start one."""
        client = self._client
        engine: Any = await client.engine()
        startup = Startup(static_summary=input.summary, priority_key=input.priority.priority_key)
        options: dict[str, Any] = {
            "id": input.id,
            "task_queue": input.task_queue,
            "start_to_close_timeout": input.start_to_close_timeout,
            "schedule_to_close_timeout": input.schedule_to_close_timeout,
            "schedule_to_start_timeout": input.schedule_to_start_timeout,
            "heartbeat_timeout": input.heartbeat_timeout,
            "retry": engine_policy(input.retry_policy),
            "on_conflict": _CONFLICT[input.id_conflict_policy],
            "reuse": _REUSE[input.id_reuse_policy],
            "start_delay": input.start_delay,
            "search": fields_of(input.search_attributes) or None,
            "priority": engine_priority(input.priority),
            "headers": {**startup.headers(), **carried(input.headers)} or None,
        }
        given = {name: value for name, value in options.items() if value is not None}
        payload = client.codec.write_arguments(input.args)
        with activity_errors(input.id):
            try:
                handle = await engine.activity.start(input.activity_type, args=[payload], **given)
            except errors.ActivityAlreadyStartedError as taken:
                raise ActivityAlreadyStartedError(input.id, input.activity_type, run_id=taken.run_id) from None
        return ActivityHandle(client, input.id, run_id=handle.run_id, result_type=input.result_type)

    async def cancel(self, input: CancelActivityInput) -> None:
        """Ask one to end."""
        with activity_errors(input.activity_id):
            await (await self._handle(input.activity_id, input.activity_run_id)).cancel()

    async def terminate(self, input: TerminateActivityInput) -> None:
        """End one at once."""
        with activity_errors(input.activity_id):
            await (await self._handle(input.activity_id, input.activity_run_id)).terminate(input.reason)

    async def pause(self, input: PauseActivityInput) -> None:
        """Let no further attempt begin."""
        with activity_errors(input.activity_id):
            await (await self._handle(input.activity_id, input.activity_run_id)).pause()

    async def unpause(self, input: UnpauseActivityInput) -> None:
        """Let attempts begin again."""
        with activity_errors(input.activity_id):
            await (await self._handle(input.activity_id, input.activity_run_id)).resume(jitter=input.jitter)

    async def describe(self, input: DescribeActivityInput) -> ActivityExecutionDescription:
        """How one stands."""
        client = self._client
        engine = await client.engine()
        with activity_errors(input.activity_id):
            try:
                run = await engine.get_handle(standalone.ID + input.activity_id, input.activity_run_id).describe()
            except errors.WorkflowNotFoundError as error:
                raise errors.ActivityNotFoundError(str(error)) from None
        return description_of(run, client.namespace, client.data_converter, input)

    async def count(self, input: CountActivitiesInput) -> ActivityExecutionCount:
        """How many match."""
        with as_rpc_errors():
            return await counted(self._client, input.query)


class ActivityStartOptions(TypedDict, total=False):
    """How a standalone activity is started, beside its id and task queue."""

    schedule_to_close_timeout: timedelta | None
    schedule_to_start_timeout: timedelta | None
    start_to_close_timeout: timedelta | None
    heartbeat_timeout: timedelta | None
    id_reuse_policy: ActivityIDReusePolicy
    id_conflict_policy: ActivityIDConflictPolicy
    retry_policy: RetryPolicy | None
    search_attributes: TypedSearchAttributes | None
    summary: str | None
    priority: Priority
    start_delay: timedelta | None
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None


class StandaloneCalls:
    """What a client offers for them."""

    @overload
    async def start_activity(
        self,
        activity: Callable[[], Awaitable[R]],
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityStartOptions],
    ) -> ActivityHandle[R]: ...
    @overload
    async def start_activity(
        self,
        activity: Callable[[], R],
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityStartOptions],
    ) -> ActivityHandle[R]: ...
    @overload
    async def start_activity(
        self,
        activity: Callable[[P], Awaitable[R]],
        arg: P,
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityStartOptions],
    ) -> ActivityHandle[R]: ...
    @overload
    async def start_activity(
        self,
        activity: Callable[[P], R],
        arg: P,
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityStartOptions],
    ) -> ActivityHandle[R]: ...
    @overload
    async def start_activity(
        self,
        activity: Callable[..., Awaitable[R]],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str,
        **options: Unpack[ActivityStartOptions],
    ) -> ActivityHandle[R]: ...
    @overload
    async def start_activity(
        self,
        activity: Callable[..., R],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str,
        **options: Unpack[ActivityStartOptions],
    ) -> ActivityHandle[R]: ...
    @overload
    async def start_activity(
        self,
        activity: str,
        arg: Any = ...,
        *,
        args: Sequence[Any] = ...,
        result_type: type | None = None,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityStartOptions],
    ) -> ActivityHandle[Any]: ...
    async def start_activity(
        self,
        activity: Any,
        arg: Any = UNSET,
        *,
        args: Sequence[Any] = [],
        id: str,
        task_queue: str,
        result_type: type | None = None,
        schedule_to_close_timeout: timedelta | None = None,
        schedule_to_start_timeout: timedelta | None = None,
        start_to_close_timeout: timedelta | None = None,
        heartbeat_timeout: timedelta | None = None,
        id_reuse_policy: ActivityIDReusePolicy = ActivityIDReusePolicy.ALLOW_DUPLICATE,
        id_conflict_policy: ActivityIDConflictPolicy = ActivityIDConflictPolicy.FAIL,
        retry_policy: RetryPolicy | None = None,
        search_attributes: TypedSearchAttributes | None = None,
        summary: str | None = None,
        priority: Priority = Priority.default,
        start_delay: timedelta | None = None,
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> Any:
        """Start an activity without a workflow.

        Raises:
            ActivityAlreadyStartedError: the id is taken, by the rules of the id policies.
            ValueError: there is no timeout.
        """
        if start_to_close_timeout is None and schedule_to_close_timeout is None:
            raise ValueError("Activity must have start_to_close_timeout or schedule_to_close_timeout")
        name, _, ret_type = name_and_types(activity)
        return await cast("Client", self).chain.start_activity(
            StartActivityInput(
                name,
                arg_or_args(arg, args),
                id,
                task_queue,
                ret_type if result_type is None else result_type,
                schedule_to_close_timeout,
                start_to_close_timeout,
                schedule_to_start_timeout,
                heartbeat_timeout,
                id_reuse_policy,
                id_conflict_policy,
                retry_policy,
                priority,
                search_attributes,
                summary,
                start_delay,
                {},
                rpc_metadata,
                rpc_timeout,
            )
        )

    @overload
    async def execute_activity(
        self,
        activity: Callable[[], Awaitable[R]],
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityStartOptions],
    ) -> R: ...
    @overload
    async def execute_activity(
        self,
        activity: Callable[[], R],
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityStartOptions],
    ) -> R: ...
    @overload
    async def execute_activity(
        self,
        activity: Callable[[P], Awaitable[R]],
        arg: P,
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityStartOptions],
    ) -> R: ...
    @overload
    async def execute_activity(
        self,
        activity: Callable[[P], R],
        arg: P,
        *,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityStartOptions],
    ) -> R: ...
    @overload
    async def execute_activity(
        self,
        activity: Callable[..., Awaitable[R]],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str,
        **options: Unpack[ActivityStartOptions],
    ) -> R: ...
    @overload
    async def execute_activity(
        self,
        activity: Callable[..., R],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str,
        **options: Unpack[ActivityStartOptions],
    ) -> R: ...
    @overload
    async def execute_activity(
        self,
        activity: str,
        arg: Any = ...,
        *,
        args: Sequence[Any] = ...,
        result_type: type | None = None,
        id: str,
        task_queue: str,
        **options: Unpack[ActivityStartOptions],
    ) -> Any: ...
    async def execute_activity(self, activity: Any, arg: Any = UNSET, **options: Any) -> Any:
        """Start an activity without a workflow and give its result: `start_activity` and then `result`."""
        handle = await self.start_activity(activity, arg, **options)
        return await handle.result()

    start_activity_method: Any = start_activity
    start_activity_class: Any = start_activity
    execute_activity_method: Any = execute_activity
    execute_activity_class: Any = execute_activity
    """The same for methods and for classes that are called; checkers do not see their types."""

    def get_activity_handle(
        self: Any, activity_id: str, *, run_id: str | None = None, result_type: type | None = None
    ) -> ActivityHandle[Any]:
        """A handle on an activity that was started before. Asks nobody."""
        return ActivityHandle(cast("Client", self), activity_id, run_id=run_id, result_type=result_type)

    def list_activities(
        self: Any,
        query: str,
        *,
        limit: int | None = None,
        page_size: int = 1000,
        next_page_token: bytes | None = None,
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> ActivityExecutionAsyncIterator:
        """The standalone activities that match, read as they are asked for: `ActivityType = 'x' AND TaskQueue = 'y'`."""
        return cast("Client", self).chain.list_activities(
            ListActivitiesInput(query, page_size, next_page_token, rpc_metadata, rpc_timeout, limit)
        )

    async def count_activities(
        self: Any,
        query: str | None = None,
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> ActivityExecutionCount:
        """How many standalone activities match; with `GROUP BY ExecutionStatus` for each status."""
        return await cast("Client", self).chain.count_activities(CountActivitiesInput(query, rpc_metadata, rpc_timeout))
