"""Standalone activities as lists and `describe` show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from memflow import errors
from memflow.client import RunDescription, RunSummary
from memflow.core.options_json import activity_options_from_json
from memflow.options import ActivityOptions
from memflow.runs import Status
from memflow.temporal.arguments import is_list
from memflow.temporal.client.activity_inputs import DescribeActivityInput
from memflow.temporal.client.describing import pending_state
from memflow.temporal.client.errors import ActivityExecutionStatus, PendingActivityState
from memflow.temporal.common import Priority, RetryPolicy, TypedSearchAttributes, WorkerDeploymentVersion, policy_of
from memflow.temporal.converter import DataConverter
from memflow.temporal.search_attributes import typed_from
from memflow.temporal.startup import Startup
from memflow.workflow import standalone

STATUSES: Mapping[Status, ActivityExecutionStatus] = {
    Status.RUNNING: ActivityExecutionStatus.RUNNING,
    Status.PAUSED: ActivityExecutionStatus.PAUSED,
    Status.COMPLETED: ActivityExecutionStatus.COMPLETED,
    Status.FAILED: ActivityExecutionStatus.FAILED,
    Status.CANCELLED: ActivityExecutionStatus.CANCELED,
    Status.TERMINATED: ActivityExecutionStatus.TERMINATED,
    Status.TIMED_OUT: ActivityExecutionStatus.TIMED_OUT,
    Status.CONTINUED_AS_NEW: ActivityExecutionStatus.COMPLETED,
}


@dataclass(frozen=True)
class ActivityExecution:
    """A standalone activity as lists show it."""

    activity_id: str
    activity_run_id: str | None
    activity_type: str
    close_time: datetime | None
    execution_duration: timedelta | None
    execution_time: datetime | None
    namespace: str
    schedule_time: datetime
    status: ActivityExecutionStatus
    task_queue: str
    typed_search_attributes: TypedSearchAttributes
    raw_info: Any = field(repr=False)


@dataclass(frozen=True)
class ActivityExecutionDescription(ActivityExecution):
    """A standalone activity with how its attempts stand. Facts that memflow does not keep are None."""

    attempt: int
    canceled_reason: str | None
    current_retry_interval: timedelta | None
    expiration_time: datetime | None
    heartbeat_timeout: timedelta | None
    last_attempt_complete_time: datetime | None
    last_deployment_version: WorkerDeploymentVersion | None
    last_heartbeat_time: datetime | None
    last_started_time: datetime | None
    last_worker_identity: str | None
    next_attempt_schedule_time: datetime | None
    priority: Priority
    retry_policy: RetryPolicy | None
    run_state: PendingActivityState | None
    schedule_to_close_timeout: timedelta | None
    schedule_to_start_timeout: timedelta | None
    start_to_close_timeout: timedelta | None
    start_delay: timedelta | None
    total_heartbeat_count: int
    data_converter: DataConverter = field(repr=False)
    asked: DescribeActivityInput = field(repr=False)

    @property
    def _run(self) -> RunDescription:
        run: RunDescription = self.raw_info
        return run

    @property
    def _arguments(self) -> Sequence[Any]:
        kept = _kept(self._run)
        return kept[0] if kept else ()

    def has_input(self) -> bool:
        """Whether the arguments were asked for."""
        return self.asked.include_input and bool(self._arguments)

    async def input(self, type_hints: list[type] | None = None) -> list[Any] | None:
        """The arguments; None where `describe` was not told to bring them."""
        return self._read(self._arguments, type_hints) if self.has_input() else None

    def has_result(self) -> bool:
        """Whether it completed, and the outcome was asked for."""
        return self.asked.include_outcome and self._run.status is Status.COMPLETED

    async def result(self, type_hint: type | None = None) -> Any | None:
        """What it returned."""
        return self._read([self._run.result], None if type_hint is None else [type_hint])[0] if self.has_result() else None

    def has_outcome_failure(self) -> bool:
        """Whether it did not complete, and the outcome was asked for."""
        return self.asked.include_outcome and self._run.failure is not None

    async def outcome_failure(self) -> BaseException | None:
        """Why it did not complete."""
        failure = self._run.failure if self.has_outcome_failure() else None
        return failure.__cause__ or failure if isinstance(failure, errors.ActivityError) else failure

    def has_heartbeat_details(self) -> bool:
        """Whether there are any, and they were asked for."""
        return self.asked.include_heartbeat_details and bool(self._heartbeat)

    async def heartbeat_details(self, type_hints: list[type] | None = None) -> list[Any] | None:
        """What it said last while it ran."""
        return self._read(self._heartbeat, type_hints) if self.has_heartbeat_details() else None

    def has_last_failure(self) -> bool:
        """Whether an attempt has failed, and that was asked for."""
        return self.asked.include_last_failure and any(each.last_failure for each in self._run.activities)

    async def last_failure(self) -> BaseException | None:
        """Why the last attempt failed."""
        return next((each.last_failure for each in self._run.activities), None) if self.has_last_failure() else None

    @property
    def _heartbeat(self) -> Sequence[Any]:
        return next((each.heartbeat_details for each in self._run.activities), ())

    def _read(self, values: Sequence[Any], hints: list[type] | None) -> list[Any]:
        converter = self.data_converter.payload_converter
        return converter.from_payloads(converter.to_payloads(values), hints)


def _kept(run: RunDescription) -> Sequence[Any]:
    """What a standalone activity's run was started with: arguments and options. Nothing, if that cannot be read."""
    return run.arguments if is_list(run.arguments) else ()


def execution_of(run: RunSummary, namespace: str) -> ActivityExecution:
    """A row of a list."""
    return ActivityExecution(**_shared(run, namespace))


def description_of(
    run: RunDescription, namespace: str, converter: DataConverter, asked: DescribeActivityInput
) -> ActivityExecutionDescription:
    """Everything about one."""
    pending = next(iter(run.activities), None)
    options = ActivityOptions()
    kept = _kept(run)
    if len(kept) > 1:
        options = activity_options_from_json(kept[1])
    limit = options.schedule_to_close_timeout
    return ActivityExecutionDescription(
        **_shared(run, namespace),
        attempt=1 if pending is None else max(1, pending.attempt),
        canceled_reason=None,
        current_retry_interval=None,
        expiration_time=None if limit is None else run.started_at + limit,
        heartbeat_timeout=options.heartbeat_timeout,
        last_attempt_complete_time=None,
        last_deployment_version=None,
        last_heartbeat_time=None,
        last_started_time=None,
        last_worker_identity=None,
        next_attempt_schedule_time=None if pending is None else pending.next_attempt_at,
        priority=Priority(Startup.of(run.headers).priority_key),
        retry_policy=policy_of(options.retry),
        run_state=None if pending is None else PendingActivityState(int(pending_state(pending))),
        schedule_to_close_timeout=limit,
        schedule_to_start_timeout=options.schedule_to_start_timeout,
        start_to_close_timeout=options.start_to_close_timeout,
        start_delay=None,
        total_heartbeat_count=0,
        data_converter=converter,
        asked=asked,
    )


def _shared(run: RunSummary, namespace: str) -> dict[str, Any]:
    return {
        "activity_id": run.id.removeprefix(standalone.ID),
        "activity_run_id": run.run_id,
        "activity_type": standalone.activity_of(run.type) or run.type,
        "close_time": run.closed_at,
        "execution_duration": None if run.closed_at is None else run.closed_at - run.started_at,
        "execution_time": run.started_at,
        "namespace": namespace,
        "schedule_time": run.started_at,
        "status": STATUSES[run.status],
        "task_queue": standalone.task_queue_of(run.task_queue),
        "typed_search_attributes": typed_from(run.record),
        "raw_info": run,
    }
