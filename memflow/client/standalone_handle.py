"""The handle of an activity that was started without a workflow, and what it tells."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

from memflow.client.describe import PendingActivity
from memflow.client.handle import Handle
from memflow.client.link import Link
from memflow.client.pending import PendingActivityHandle
from memflow.core.arrivals import CancelRequested
from memflow.duration import Duration
from memflow.errors import (
    ActivityError,
    ActivityNotFoundError,
    CancelledError,
    FailureError,
    WorkflowClosedError,
    WorkflowFailedError,
    WorkflowNotFoundError,
)
from memflow.runs import Status
from memflow.store.turns import ActivityKey, FoundActivity
from memflow.workflow import standalone

R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, slots=True)
class ActivityDescription:
    """A standalone activity. `status` is that of the whole, `pending` how its attempts stand, while it is open and has begun."""

    id: str
    run_id: str
    activity: str
    task_queue: str
    status: Status
    detail: str | None
    started_at: datetime
    closed_at: datetime | None
    arguments: Any
    result: Any
    failure: FailureError | None
    record: Mapping[str, Any]
    memo: Any
    pending: PendingActivity | None


class ActivityHandle(PendingActivityHandle, Generic[R_co]):
    """One standalone activity, by its id: what one can do to any pending activity, and its result. Making one asks nobody."""

    def __init__(self, link: Link, id: str, *, run_id: str | None, result_type: Any, run: int | None = None) -> None:
        workflow_id = standalone.ID + id
        super().__init__(link, ActivityKey(workflow_id=workflow_id, run_id=run_id, activity_id=id))
        self._id = id
        self._handle = Handle[Any](link, workflow_id, run_id=run_id, result_type=result_type, run=run)

    @property
    def id(self) -> str:
        """Its id."""
        return self._id

    @property
    def run_id(self) -> str | None:
        """The start this handle was made for; None means the latest of its id."""
        return self._handle.run_id

    async def result(self, timeout: Duration | None = None) -> R_co:
        """Wait for the end and return what the activity returned, decoded to its declared type.

        `timeout` (timedelta, text or seconds) bounds the wait, not the activity.

        Raises:
            ActivityError: it failed for good, was cancelled or terminated; `cause` says why.
            ActivityNotFoundError: there is no such activity.
            builtins.TimeoutError: it has not ended within `timeout`.
            PayloadError: the result is not of the declared type.
        """
        try:
            return cast("R_co", await self._handle.result(timeout))
        except WorkflowNotFoundError:
            raise self._missing() from None
        except builtins.TimeoutError:
            raise builtins.TimeoutError(f"activity {self._id!r} has not ended within {timeout}; it goes on") from None
        except WorkflowFailedError as failed:
            raise await self._error(failed) from failed.cause

    async def status(self) -> Status:
        """Where it stands.

        Raises:
            ActivityNotFoundError: there is no such activity.
        """
        try:
            return await self._handle.status()
        except WorkflowNotFoundError:
            raise self._missing() from None

    async def describe(self) -> ActivityDescription:
        """All about it.

        Raises:
            ActivityNotFoundError: there is no such activity.
        """
        try:
            run = await self._handle.describe()
        except WorkflowNotFoundError:
            raise self._missing() from None
        return ActivityDescription(
            id=self._id,
            run_id=run.run_id,
            activity=standalone.activity_of(run.type) or run.type,
            task_queue=standalone.task_queue_of(run.task_queue),
            status=run.status,
            detail=run.detail,
            started_at=run.started_at,
            closed_at=run.closed_at,
            arguments=run.arguments if isinstance(run.arguments, str) else run.arguments[0],  # text: it cannot be read
            result=run.result,
            failure=run.failure,
            record=run.record,
            memo=run.memo,
            pending=next(iter(run.activities), None),
        )

    async def cancel(self) -> None:
        """Ask the activity to end. One that takes no notice goes on.

        Raises:
            ActivityNotFoundError: there is no such activity, or it has ended.
        """
        try:
            await self._handle.cancel()
        except (WorkflowNotFoundError, WorkflowClosedError) as error:
            raise self._gone(error) from None

    async def _is_asked_to_end(self, found: FoundActivity) -> bool:
        # Its run is asked first, and hands that on with a turn: until then the request lies among the run's mail.
        store = self._link.store
        mail = await store.read_inbox([(found.run, 0)], limit=1000)
        return any(isinstance(each.arrival, CancelRequested) for each in mail) or (await self._found()).cancel_requested

    async def terminate(self, reason: str | None = None) -> None:
        """End it at once, over the head of its code, whose result does not count any more.

        Raises:
            ActivityNotFoundError: there is no such activity, or it has ended.
        """
        try:
            await self._handle.terminate(reason)
        except (WorkflowNotFoundError, WorkflowClosedError) as error:
            raise self._gone(error) from None

    async def _error(self, failed: WorkflowFailedError) -> ActivityError:
        """The activity's own error; one for a run that ended over the activity's head."""
        cause = failed.cause
        if isinstance(cause, ActivityError):
            error = ActivityError(
                cause.message,
                activity=cause.activity,
                activity_id=cause.activity_id,
                attempt=cause.attempt,
                retry_state=cause.retry_state,
            )
            failed.__cause__ = cause.cause
            return error
        how = "was cancelled" if isinstance(cause, CancelledError) else failed.status.replace("_", " ")
        name = (await self.describe()).activity
        state = "cancel_requested" if isinstance(cause, CancelledError) else None
        return ActivityError(f"activity {name!r} {how}", activity=name, activity_id=self._id, attempt=0, retry_state=state)

    async def _found(self) -> Any:
        try:
            return await super()._found()
        except WorkflowNotFoundError:
            raise self._missing() from None

    def _named(self) -> str:
        return f"activity {self._id!r}"

    def _missing(self) -> ActivityNotFoundError:
        return ActivityNotFoundError(f"no activity {self._id!r} in namespace {self._link.namespace!r}")

    def _gone(self, error: Exception) -> ActivityNotFoundError:
        if isinstance(error, WorkflowNotFoundError):
            return self._missing()
        return ActivityNotFoundError(f"activity {self._id!r} has ended")
