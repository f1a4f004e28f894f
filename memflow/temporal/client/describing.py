"""Workflows as lists and `describe` show them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any

from memflow.client import PendingActivity, RunDescription, RunSummary
from memflow.runs import Status
from memflow.temporal.api.enums.v1 import PendingActivityState
from memflow.temporal.arguments import UNSET
from memflow.temporal.common import SearchAttributes, TypedSearchAttributes
from memflow.temporal.converter import DataConverter
from memflow.temporal.search_attributes import typed_from, untyped_from
from memflow.temporal.startup import Startup


class WorkflowExecutionStatus(IntEnum):
    """Where a workflow stands."""

    RUNNING = 1
    COMPLETED = 2
    FAILED = 3
    CANCELED = 4
    TERMINATED = 5
    CONTINUED_AS_NEW = 6
    TIMED_OUT = 7


STATUSES: Mapping[Status, WorkflowExecutionStatus] = {
    Status.RUNNING: WorkflowExecutionStatus.RUNNING,
    Status.PAUSED: WorkflowExecutionStatus.RUNNING,
    Status.COMPLETED: WorkflowExecutionStatus.COMPLETED,
    Status.FAILED: WorkflowExecutionStatus.FAILED,
    Status.CANCELLED: WorkflowExecutionStatus.CANCELED,
    Status.TERMINATED: WorkflowExecutionStatus.TERMINATED,
    Status.TIMED_OUT: WorkflowExecutionStatus.TIMED_OUT,
    Status.CONTINUED_AS_NEW: WorkflowExecutionStatus.CONTINUED_AS_NEW,
}


@dataclass
class WorkflowExecution:
    """A workflow as lists show it."""

    close_time: datetime | None
    execution_time: datetime | None
    history_length: int
    id: str
    namespace: str
    parent_id: str | None
    parent_run_id: str | None
    root_id: str | None
    root_run_id: str | None
    raw_info: Any = field(repr=False)
    run_id: str
    search_attributes: SearchAttributes
    start_time: datetime
    status: WorkflowExecutionStatus | None
    task_queue: str
    typed_search_attributes: TypedSearchAttributes
    workflow_type: str
    _converter: DataConverter = field(repr=False)

    @property
    def data_converter(self) -> DataConverter:
        """The converter that reads the memo."""
        return self._converter

    async def memo(self) -> Mapping[str, Any]:
        """The facts kept with the workflow."""
        found: Mapping[str, Any] = self.raw_info.memo or {}
        return {name: self._value(value, None) for name, value in found.items()}

    async def memo_value(self, key: str, default: Any = UNSET, *, type_hint: type | None = None) -> Any:
        """One of them, read as `type_hint`.

        Raises:
            KeyError: there is none, and no default was given.
        """
        found: Mapping[str, Any] = self.raw_info.memo or {}
        if key not in found:
            if default is UNSET:
                raise KeyError(f"Memo does not have a value for key {key}")
            return default
        return self._value(found[key], type_hint)

    def _value(self, value: Any, hint: Any) -> Any:
        converter = self._converter.payload_converter
        payloads = converter.to_payloads([value])
        return converter.from_payloads(payloads, None if hint is None else [hint])[0]


@dataclass
class WorkflowExecutionDescription(WorkflowExecution):
    """A workflow with what it is doing."""

    raw_description: Any = field(default=None, repr=False)
    _startup: Startup = field(default_factory=Startup, repr=False)

    async def static_summary(self) -> str | None:
        """What was said at the start, in a line."""
        return self._startup.static_summary

    async def static_details(self) -> str | None:
        """What was said at the start, at length."""
        return self._startup.static_details


@dataclass(frozen=True)
class _ActivityType:
    name: str


@dataclass(frozen=True)
class _LastFailure:
    message: str


@dataclass(frozen=True)
class PendingActivityInfo:
    """An activity that is queued, running or backing off, with the fields that Temporal's programs read."""

    activity_id: str
    activity_type: _ActivityType
    state: PendingActivityState
    attempt: int
    scheduled_time: datetime | None
    last_failure: _LastFailure | None
    heartbeat_details: tuple[Any, ...]
    paused: bool


@dataclass(frozen=True)
class RawDescription:
    """What a description is made of. `run` is memflow's own."""

    run: RunDescription
    pending_activities: tuple[PendingActivityInfo, ...]


_STATES = {
    "running": PendingActivityState.PENDING_ACTIVITY_STATE_STARTED,
    "started": PendingActivityState.PENDING_ACTIVITY_STATE_STARTED,
    "open": PendingActivityState.PENDING_ACTIVITY_STATE_STARTED,
    "paused": PendingActivityState.PENDING_ACTIVITY_STATE_PAUSED,
    "cancel requested": PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED,
}


def pending_state(activity: PendingActivity) -> PendingActivityState:
    """What a pending activity does."""
    return _STATES.get(activity.state, PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED)


def execution_of(run: RunSummary, namespace: str, converter: DataConverter) -> WorkflowExecution:
    """A row of a list."""
    return WorkflowExecution(**_shared(run, namespace, converter, Startup()))


def description_of(
    run: RunDescription, headers: Mapping[str, str], namespace: str, converter: DataConverter
) -> WorkflowExecutionDescription:
    """Everything about one run."""
    startup = Startup.of(headers)
    pending = tuple(_pending(each) for each in run.activities)
    return WorkflowExecutionDescription(
        **_shared(run, namespace, converter, startup), raw_description=RawDescription(run, pending), _startup=startup
    )


def _shared(run: RunSummary, namespace: str, converter: DataConverter, startup: Startup) -> dict[str, Any]:
    root = startup.root or (run.run_id, run.id)
    return {
        "close_time": run.closed_at,
        "execution_time": run.started_at,
        "history_length": run.length,
        "id": run.id,
        "namespace": namespace,
        "parent_id": run.parent_id,
        "parent_run_id": run.parent_run_id,
        "root_id": root[1],
        "root_run_id": root[0],
        "raw_info": run,
        "run_id": run.run_id,
        "search_attributes": untyped_from(run.record),
        "start_time": run.started_at,
        "status": STATUSES[run.status],
        "task_queue": run.task_queue,
        "typed_search_attributes": typed_from(run.record),
        "workflow_type": run.type,
        "_converter": converter,
    }


def _pending(activity: PendingActivity) -> PendingActivityInfo:
    failure = activity.last_failure
    return PendingActivityInfo(
        activity_id=str(activity.op),
        activity_type=_ActivityType(activity.name),
        state=pending_state(activity),
        attempt=activity.attempt,
        scheduled_time=activity.next_attempt_at,
        last_failure=None if failure is None else _LastFailure(getattr(failure, "message", str(failure))),
        heartbeat_details=activity.heartbeat_details,
        paused=activity.state == "paused",
    )
