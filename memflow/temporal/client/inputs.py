"""What the calls of a client about workflows carry through its interceptors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from memflow.temporal.api.common.v1 import Payload
from memflow.temporal.common import (
    Priority,
    QueryRejectCondition,
    RetryPolicy,
    VersioningOverride,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)

if TYPE_CHECKING:
    from memflow.temporal.client.handle import WorkflowHandle
    from memflow.temporal.client.histories import WorkflowHistoryEventFilterType
    from memflow.temporal.client.updates import WorkflowUpdateStage

Headers = Mapping[str, Payload]
Metadata = Mapping[str, str | bytes]


@dataclass
class StartWorkflowInput:
    """A workflow to start."""

    workflow: str
    args: Sequence[Any]
    id: str
    task_queue: str
    execution_timeout: timedelta | None
    run_timeout: timedelta | None
    task_timeout: timedelta | None
    id_reuse_policy: WorkflowIDReusePolicy
    id_conflict_policy: WorkflowIDConflictPolicy
    retry_policy: RetryPolicy | None
    cron_schedule: str
    memo: Mapping[str, Any] | None
    search_attributes: Any
    start_delay: timedelta | None
    headers: Headers
    start_signal: str | None
    start_signal_args: Sequence[Any]
    static_summary: str | None
    static_details: str | None
    ret_type: Any
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None
    request_eager_start: bool
    priority: Priority
    versioning_override: VersioningOverride | None = None


@dataclass
class CancelWorkflowInput:
    """A workflow to cancel."""

    id: str
    run_id: str | None
    first_execution_run_id: str | None
    reason: str
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None


@dataclass
class DescribeWorkflowInput:
    """A workflow to describe."""

    id: str
    run_id: str | None
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None


@dataclass
class FetchWorkflowHistoryEventsInput:
    """A history to read."""

    id: str
    run_id: str | None
    page_size: int | None
    next_page_token: bytes | None
    wait_new_event: bool
    event_filter_type: WorkflowHistoryEventFilterType
    skip_archival: bool
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None


@dataclass
class ListWorkflowsInput:
    """Workflows to list."""

    query: str | None
    page_size: int
    next_page_token: bytes | None
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None
    limit: int | None


@dataclass
class CountWorkflowsInput:
    """Workflows to count."""

    query: str | None
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None


@dataclass
class QueryWorkflowInput:
    """A query."""

    id: str
    run_id: str | None
    query: str
    args: Sequence[Any]
    reject_condition: QueryRejectCondition | None
    headers: Headers
    ret_type: Any
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None


@dataclass
class SignalWorkflowInput:
    """A signal."""

    id: str
    run_id: str | None
    signal: str
    args: Sequence[Any]
    headers: Headers
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None


@dataclass
class TerminateWorkflowInput:
    """A workflow to terminate."""

    id: str
    run_id: str | None
    first_execution_run_id: str | None
    args: Sequence[Any]
    reason: str | None
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None


@dataclass
class StartWorkflowUpdateInput:
    """An update."""

    id: str
    run_id: str | None
    first_execution_run_id: str | None
    update_id: str | None
    update: str
    args: Sequence[Any]
    wait_for_stage: WorkflowUpdateStage
    headers: Headers
    ret_type: Any
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None


@dataclass
class UpdateWithStartUpdateWorkflowInput:
    """The update of an update-with-start."""

    update_id: str | None
    update: str
    args: Sequence[Any]
    wait_for_stage: WorkflowUpdateStage
    headers: Headers
    ret_type: Any


@dataclass
class UpdateWithStartStartWorkflowInput:
    """The start of an update-with-start."""

    workflow: str
    args: Sequence[Any]
    id: str
    task_queue: str
    execution_timeout: timedelta | None
    run_timeout: timedelta | None
    task_timeout: timedelta | None
    id_reuse_policy: WorkflowIDReusePolicy
    id_conflict_policy: WorkflowIDConflictPolicy
    retry_policy: RetryPolicy | None
    cron_schedule: str
    memo: Mapping[str, Any] | None
    search_attributes: Any
    start_delay: timedelta | None
    headers: Headers
    static_summary: str | None
    static_details: str | None
    ret_type: Any
    priority: Priority
    versioning_override: VersioningOverride | None = None


@dataclass
class StartWorkflowUpdateWithStartInput:
    """An update, and the start of its workflow if there is none."""

    start_workflow_input: UpdateWithStartStartWorkflowInput
    update_workflow_input: UpdateWithStartUpdateWorkflowInput
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None
    on_start: Callable[[WorkflowHandle[Any, Any]], None] = field(repr=False)
    on_start_error: Callable[[BaseException], None] = field(repr=False)
