"""Activities seen from a client: those that were left open, and those that no workflow started."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from memflow import errors
from memflow.temporal.activity import name_and_types
from memflow.temporal.arguments import UNSET, arg_or_args
from memflow.temporal.attempt import ActivityCancellationDetails
from memflow.temporal.client.errors import (
    ActivityFailureError,
    AsyncActivityCancelledError,
    as_rpc_errors,
    rpc_error,
)
from memflow.temporal.client.inputs import (
    CompleteAsyncActivityInput,
    FailAsyncActivityInput,
    HeartbeatAsyncActivityInput,
    ReportCancellationAsyncActivityInput,
)
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
from memflow.temporal.service import RPCStatusCode
from memflow.temporal.stored import Raw

if TYPE_CHECKING:
    from memflow.temporal.client.client import Client

R = TypeVar("R")
Metadata = Mapping[str, str | bytes]


@dataclass
class AsyncActivityIDReference:
    """An activity by the ids of its workflow and its own."""

    workflow_id: str | None
    run_id: str | None
    activity_id: str


class AsyncActivityHandle:
    """An activity that was left open, to end it from outside."""

    def __init__(self, client: Client, id_or_token: AsyncActivityIDReference | bytes) -> None:
        self._client = client
        self._id_or_token = id_or_token

    async def heartbeat(
        self, *details: Any, rpc_metadata: Metadata = {}, rpc_timeout: timedelta | None = None  # noqa: B006
    ) -> None:
        """Say that it goes on.

        Raises:
            AsyncActivityCancelledError: it should not.
            RPCError: there is no such activity, or it has ended.
        """
        await self._client.chain.heartbeat_async_activity(
            HeartbeatAsyncActivityInput(self._id_or_token, details, rpc_metadata, rpc_timeout)
        )

    async def complete(
        self, result: Any = None, *, rpc_metadata: Metadata = {}, rpc_timeout: timedelta | None = None  # noqa: B006
    ) -> None:
        """End it with a result.

        Raises:
            RPCError: there is no such activity, or it has ended.
        """
        await self._client.chain.complete_async_activity(
            CompleteAsyncActivityInput(self._id_or_token, result, rpc_metadata, rpc_timeout)
        )

    async def fail(
        self,
        error: Exception,
        *,
        last_heartbeat_details: Sequence[Any] = [],
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """End this attempt with an error; its retry policy says what follows.

        Raises:
            RPCError: there is no such activity, or it has ended.
        """
        await self._client.chain.fail_async_activity(
            FailAsyncActivityInput(self._id_or_token, error, last_heartbeat_details, rpc_metadata, rpc_timeout)
        )

    async def report_cancellation(
        self, *details: Any, rpc_metadata: Metadata = {}, rpc_timeout: timedelta | None = None  # noqa: B006
    ) -> None:
        """End it as cancelled, once that was asked for.

        Raises:
            RPCError: there is no such activity, or nobody asked.
        """
        await self._client.chain.report_cancellation_async_activity(
            ReportCancellationAsyncActivityInput(self._id_or_token, details, rpc_metadata, rpc_timeout)
        )


class AsyncActivityCalls:
    """The end of the chain of interceptors, for activities that were left open."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def _handle(self, target: AsyncActivityIDReference | bytes) -> Any:
        engine = await self._client.engine()
        if isinstance(target, bytes):
            return engine.get_activity_handle(target)
        if target.workflow_id is None:
            return engine.activity.get_handle(target.activity_id, target.run_id)
        return engine.get_activity_handle(
            workflow_id=target.workflow_id, run_id=target.run_id, activity_id=target.activity_id
        )

    async def heartbeat(self, input: HeartbeatAsyncActivityInput) -> None:
        """Say that it goes on."""
        with _errors():
            try:
                await (await self._handle(input.id_or_token)).heartbeat(*input.details)
            except errors.AsyncActivityCancelledError as error:
                told: Any = error.details
                raise AsyncActivityCancelledError(
                    ActivityCancellationDetails(
                        told.not_found, told.cancel_requested, told.paused, told.reset, told.timed_out, told.worker_shutdown
                    )
                ) from error

    async def complete(self, input: CompleteAsyncActivityInput) -> None:
        """End it with a result."""
        with _errors():
            await (await self._handle(input.id_or_token)).complete(self._client.codec.encode(input.result))

    async def fail(self, input: FailAsyncActivityInput) -> None:
        """End the attempt with an error."""
        with _errors():
            await (await self._handle(input.id_or_token)).fail(input.error, input.last_heartbeat_details)

    async def report_cancellation(self, input: ReportCancellationAsyncActivityInput) -> None:
        """End it as cancelled."""
        with _errors():
            await (await self._handle(input.id_or_token)).report_cancellation(*input.details)


class _errors:
    """memflow's errors inside come out as Temporal's."""

    def __init__(self) -> None:
        self._rest = as_rpc_errors()

    def __enter__(self) -> None:
        self._rest.__enter__()

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> bool | None:
        if isinstance(error, errors.ActivityNotFoundError):
            raise rpc_error(RPCStatusCode.NOT_FOUND, "activity not found") from error
        return self._rest.__exit__(kind, error, traceback)


# ------------------------------------------------------------------------------------------------- standalone ones

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


class ActivityHandle(Generic[R]):
    """An activity that no workflow started."""

    def __init__(self, client: Client, id: str, *, run_id: str | None = None, result_type: Any = None) -> None:
        self._client = client
        self._id = id
        self._run_id = run_id
        self._result_type = result_type

    @property
    def id(self) -> str:
        """Its id."""
        return self._id

    @property
    def run_id(self) -> str | None:
        """The start this handle was made for; None means the latest of its id."""
        return self._run_id

    async def _handle(self) -> Any:
        engine = await self._client.engine()
        return cast("Any", engine.activity).get_handle(self._id, self._run_id, result_type=Raw)

    async def result(
        self, *, rpc_metadata: Metadata = {}, rpc_timeout: timedelta | None = None  # noqa: B006
    ) -> R:
        """What it returned.

        Raises:
            ActivityFailureError: it did not complete; `cause` says why.
            RPCError: there is no such activity, or `rpc_timeout` was up.
        """
        with _errors():
            try:
                stored = await (await self._handle()).result(rpc_timeout)
            except errors.ActivityError as error:
                raise ActivityFailureError(cause=error.cause or error) from error.cause
        hint = Any if self._result_type is None else self._result_type
        return cast("R", None if stored is None else self._client.codec.decode(stored, hint))

    async def cancel(
        self,
        *,
        reason: str | None = None,
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Ask it to end."""
        with _errors():
            await (await self._handle()).cancel(reason)

    async def terminate(
        self,
        *,
        reason: str | None = None,
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """End it at once."""
        with _errors():
            await (await self._handle()).terminate(reason)

    async def pause(
        self,
        *,
        reason: str | None = None,
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Let no further attempt begin."""
        with _errors():
            await (await self._handle()).pause()

    async def unpause(
        self,
        *,
        reason: str | None = None,
        jitter: timedelta | None = None,
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Let attempts begin again."""
        with _errors():
            await (await self._handle()).resume(jitter=jitter)

    async def describe(self, *, rpc_metadata: Metadata = {}, rpc_timeout: timedelta | None = None) -> Any:  # noqa: B006
        """How it stands: memflow's own description."""
        with _errors():
            return await (await self._handle()).describe()


class StandaloneCalls:
    """What a client offers for activities that no workflow starts."""

    async def start_activity(
        self: Any,
        activity: str | Callable[..., Awaitable[R]] | Callable[..., R],
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
    ) -> ActivityHandle[Any]:
        """Start an activity without a workflow.

        Raises:
            ActivityAlreadyStartedError: the id is taken, by the rules of the id policies.
            ValueError: there is no timeout.
        """
        if start_to_close_timeout is None and schedule_to_close_timeout is None:
            raise ValueError("Activity must have start_to_close_timeout or schedule_to_close_timeout")
        name, _, ret_type = name_and_types(activity)
        client = cast("Client", self)
        engine: Any = await client.engine()
        payload = client.codec.write_arguments(arg_or_args(arg, args))
        options: dict[str, Any] = {
            "id": id,
            "task_queue": task_queue,
            "start_to_close_timeout": start_to_close_timeout,
            "schedule_to_close_timeout": schedule_to_close_timeout,
            "schedule_to_start_timeout": schedule_to_start_timeout,
            "heartbeat_timeout": heartbeat_timeout,
            "retry": engine_policy(retry_policy),
            "on_conflict": _CONFLICT[id_conflict_policy],
            "reuse": _REUSE[id_reuse_policy],
            "start_delay": start_delay,
            "search": fields_of(search_attributes) or None,
            "priority": engine_priority(priority),
        }
        given = {name: value for name, value in options.items() if value is not None}
        with _errors():
            try:
                handle = await engine.activity.start(name, args=[payload], **given)
            except errors.ActivityAlreadyStartedError as taken:
                raise ActivityAlreadyStartedError(id, name, run_id=getattr(taken, "run_id", None)) from taken
        hint = ret_type if result_type is None else result_type
        return ActivityHandle(client, id, run_id=handle.run_id, result_type=hint)

    async def execute_activity(self: Any, activity: Any, arg: Any = UNSET, **options: Any) -> Any:
        """Start an activity without a workflow and give its result: `start_activity` and then `result`."""
        handle = await self.start_activity(activity, arg, **options)
        return await handle.result()

    start_activity_method = start_activity_class = start_activity
    execute_activity_method = execute_activity_class = execute_activity

    def get_activity_handle(
        self: Any, activity_id: str, *, run_id: str | None = None, result_type: type | None = None
    ) -> ActivityHandle[Any]:
        """A handle on an activity that was started before. Asks nobody."""
        return ActivityHandle(cast("Client", self), activity_id, run_id=run_id, result_type=result_type)

    def get_async_activity_handle(
        self: Any,
        *,
        workflow_id: str | None = None,
        run_id: str | None = None,
        activity_id: str | None = None,
        task_token: bytes | None = None,
    ) -> AsyncActivityHandle:
        """A handle on an activity that was left open, by its task token or by ids. Asks nobody.

        Raises:
            ValueError: both, or neither.
        """
        if task_token is not None:
            if workflow_id is not None or run_id is not None or activity_id is not None:
                raise ValueError("Task token cannot be present with other IDs")
            return AsyncActivityHandle(cast("Client", self), task_token)
        if activity_id is None:
            raise ValueError("Task token or activity ID must be present")
        reference = AsyncActivityIDReference(workflow_id, run_id, activity_id)
        return AsyncActivityHandle(cast("Client", self), reference)


