"""Activities that were left open, ended from a client."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, cast

from memflow import errors
from memflow.temporal.attempt import ActivityCancellationDetails
from memflow.temporal.client.activity_inputs import (
    CompleteAsyncActivityInput,
    FailAsyncActivityInput,
    HeartbeatAsyncActivityInput,
    ReportCancellationAsyncActivityInput,
)
from memflow.temporal.client.errors import AsyncActivityCancelledError, as_rpc_errors, rpc_error
from memflow.temporal.converter import SerializationContext
from memflow.temporal.service import RPCStatusCode
from memflow.temporal.telling import serving_maybe

if TYPE_CHECKING:
    from memflow.temporal.client.client import Client

Metadata = Mapping[str, str | bytes]


@dataclass(frozen=True)
class AsyncActivityIDReference:
    """An activity by the ids of its workflow and its own."""

    workflow_id: str | None
    run_id: str | None
    activity_id: str


class AsyncActivityHandle:
    """An activity that was left open, to end it from outside."""

    def __init__(
        self, client: Client, id_or_token: AsyncActivityIDReference | bytes, context: SerializationContext | None = None
    ) -> None:
        self._client = client
        self._id_or_token = id_or_token
        self._context = context

    def with_context(self, context: SerializationContext) -> Self:
        """The same, whose values are converted for this activity, where converters care."""
        return type(self)(self._client, self._id_or_token, context)

    async def heartbeat(
        self, *details: Any, rpc_metadata: Metadata = {}, rpc_timeout: timedelta | None = None  # noqa: B006
    ) -> None:
        """Say that it goes on.

        Raises:
            AsyncActivityCancelledError: it should not.
            RPCError: there is no such activity, or it has ended.
        """
        with serving_maybe(self._context):
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
        with serving_maybe(self._context):
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
        with serving_maybe(self._context):
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
        with serving_maybe(self._context):
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
        with activity_errors():
            try:
                await (await self._handle(input.id_or_token)).heartbeat(*self._client.codec.details(input.details))
            except errors.AsyncActivityCancelledError as error:
                told: Any = error.details
                raise AsyncActivityCancelledError(
                    ActivityCancellationDetails(
                        told.not_found, told.cancel_requested, told.paused, told.reset, told.timed_out, told.worker_shutdown
                    )
                ) from error

    async def complete(self, input: CompleteAsyncActivityInput) -> None:
        """End it with a result."""
        with activity_errors():
            await (await self._handle(input.id_or_token)).complete(self._client.codec.encode(input.result))

    async def fail(self, input: FailAsyncActivityInput) -> None:
        """End the attempt with an error."""
        with activity_errors():
            await (await self._handle(input.id_or_token)).fail(input.error, input.last_heartbeat_details)

    async def report_cancellation(self, input: ReportCancellationAsyncActivityInput) -> None:
        """End it as cancelled."""
        with activity_errors():
            await (await self._handle(input.id_or_token)).report_cancellation(*input.details)


@contextmanager
def activity_errors(id: str | None = None) -> Generator[None]:
    """memflow's errors inside come out as Temporal's. `id` is that of a standalone activity."""
    try:
        with as_rpc_errors():
            yield
    except errors.ActivityNotFoundError as error:
        if id is not None and str(error).endswith("has ended"):
            raise rpc_error(RPCStatusCode.FAILED_PRECONDITION, "activity is in terminal state") from None
        named = "" if id is None else f" for ID: {id}"
        raise rpc_error(RPCStatusCode.NOT_FOUND, f"activity not found{named}") from None


class OpenActivities:
    """What a client offers for them."""

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
            raise ValueError("Require task token, or workflow_id & run_id & activity_id, or activity_id & run_id")
        reference = AsyncActivityIDReference(workflow_id, run_id, activity_id)
        return AsyncActivityHandle(cast("Client", self), reference)
