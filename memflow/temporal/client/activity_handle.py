"""A handle on an activity that no workflow started."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from memflow import errors
from memflow.temporal.client.activities import activity_errors
from memflow.temporal.client.activity_describing import ActivityExecutionDescription
from memflow.temporal.client.activity_inputs import (
    CancelActivityInput,
    DescribeActivityInput,
    PauseActivityInput,
    TerminateActivityInput,
    UnpauseActivityInput,
)
from memflow.temporal.client.errors import ActivityFailureError
from memflow.temporal.exceptions import CancelledError
from memflow.temporal.stored import Raw

if TYPE_CHECKING:
    from memflow.temporal.client.client import Client

R = TypeVar("R")
Metadata = Mapping[str, str | bytes]


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

    async def result(
        self, *, rpc_metadata: Metadata = {}, rpc_timeout: timedelta | None = None  # noqa: B006
    ) -> R:
        """What it returned.

        Raises:
            ActivityFailureError: it did not complete; `cause` says why.
            RPCError: there is no such activity, or `rpc_timeout` was up.
        """
        engine = await self._client.engine()
        handle: Any = engine.activity.get_handle(self._id, self._run_id, result_type=Raw)
        with activity_errors(self._id):
            try:
                stored = await handle.result(rpc_timeout)
            except errors.ActivityError as error:
                cause = error.cause or error
                if isinstance(cause, errors.CancelledError):
                    cause = CancelledError("Activity canceled", *cause.details)
                raise ActivityFailureError(cause=cause) from cause
        hint = Any if self._result_type is None else self._result_type
        return cast("R", None if stored is None else self._client.codec.decode(stored, hint))

    async def cancel(
        self,
        *,
        reason: str | None = None,
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Ask it to end.

        Raises:
            RPCError: there is no such activity, or it has ended.
        """
        await self._client.chain.cancel_activity(
            CancelActivityInput(self._id, self._run_id, reason, rpc_metadata, rpc_timeout)
        )

    async def terminate(
        self,
        *,
        reason: str | None = None,
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """End it at once.

        Raises:
            RPCError: there is no such activity, or it has ended.
        """
        await self._client.chain.terminate_activity(
            TerminateActivityInput(self._id, self._run_id, reason, rpc_metadata, rpc_timeout)
        )

    async def pause(
        self,
        *,
        reason: str | None = None,
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Let no further attempt begin."""
        await self._client.chain.pause_activity(
            PauseActivityInput(self._id, self._run_id, reason, rpc_metadata, rpc_timeout)
        )

    async def unpause(
        self,
        *,
        reason: str | None = None,
        jitter: timedelta | None = None,
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Let attempts begin again."""
        await self._client.chain.unpause_activity(
            UnpauseActivityInput(self._id, self._run_id, reason, jitter, rpc_metadata, rpc_timeout)
        )

    async def describe(
        self,
        *,
        include_input: bool = False,
        include_outcome: bool = False,
        include_heartbeat_details: bool = False,
        include_last_failure: bool = False,
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> ActivityExecutionDescription:
        """How it stands, with as much of its values as is asked for.

        Raises:
            RPCError: there is no such activity.
        """
        return await self._client.chain.describe_activity(
            DescribeActivityInput(
                self._id,
                self._run_id,
                include_input,
                include_outcome,
                include_heartbeat_details,
                include_last_failure,
                rpc_metadata,
                rpc_timeout,
            )
        )
