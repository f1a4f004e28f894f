"""What the calls of a client about activities carry through its interceptors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from memflow.temporal.client.inputs import Headers, Metadata
from memflow.temporal.common import (
    ActivityIDConflictPolicy,
    ActivityIDReusePolicy,
    Priority,
    RetryPolicy,
    TypedSearchAttributes,
)

if TYPE_CHECKING:
    from memflow.temporal.client.activities import AsyncActivityIDReference

@dataclass
class HeartbeatAsyncActivityInput:
    """A heartbeat of an activity that was left open."""

    id_or_token: AsyncActivityIDReference | bytes
    details: Sequence[Any]
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None
    data_converter_override: Any = None


@dataclass
class CompleteAsyncActivityInput:
    """The result of an activity that was left open."""

    id_or_token: AsyncActivityIDReference | bytes
    result: Any
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None
    data_converter_override: Any = None


@dataclass
class FailAsyncActivityInput:
    """The failure of an activity that was left open."""

    id_or_token: AsyncActivityIDReference | bytes
    error: Exception
    last_heartbeat_details: Sequence[Any]
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None
    data_converter_override: Any = None


@dataclass
class ReportCancellationAsyncActivityInput:
    """The cancellation of an activity that was left open."""

    id_or_token: AsyncActivityIDReference | bytes
    details: Sequence[Any]
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None
    data_converter_override: Any = None


@dataclass
class StartActivityInput:
    """An activity to start without a workflow."""

    activity_type: str
    args: Sequence[Any]
    id: str
    task_queue: str
    result_type: type | None
    schedule_to_close_timeout: timedelta | None
    start_to_close_timeout: timedelta | None
    schedule_to_start_timeout: timedelta | None
    heartbeat_timeout: timedelta | None
    id_reuse_policy: ActivityIDReusePolicy
    id_conflict_policy: ActivityIDConflictPolicy
    retry_policy: RetryPolicy | None
    priority: Priority
    search_attributes: TypedSearchAttributes | None
    summary: str | None
    start_delay: timedelta | None
    headers: Headers
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None


@dataclass
class CancelActivityInput:
    """A standalone activity to cancel."""

    activity_id: str
    activity_run_id: str | None
    reason: str | None
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None


@dataclass
class TerminateActivityInput:
    """A standalone activity to terminate."""

    activity_id: str
    activity_run_id: str | None
    reason: str | None
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None


@dataclass
class DescribeActivityInput:
    """A standalone activity to describe."""

    activity_id: str
    activity_run_id: str | None
    include_input: bool
    include_outcome: bool
    include_heartbeat_details: bool
    include_last_failure: bool
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None


@dataclass
class PauseActivityInput:
    """A standalone activity to pause."""

    activity_id: str
    activity_run_id: str | None
    reason: str | None
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None


@dataclass
class UnpauseActivityInput:
    """A standalone activity to go on with."""

    activity_id: str
    activity_run_id: str | None
    reason: str | None
    jitter: timedelta | None
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None


@dataclass
class ListActivitiesInput:
    """Standalone activities to list."""

    query: str
    page_size: int
    next_page_token: bytes | None
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None
    limit: int | None


@dataclass
class CountActivitiesInput:
    """Standalone activities to count."""

    query: str | None
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None
