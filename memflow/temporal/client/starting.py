"""The options of a start, and what interceptors see of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from typing_extensions import TypedDict

from memflow.temporal.arguments import arg_or_args, checked
from memflow.temporal.client.inputs import StartWorkflowInput
from memflow.temporal.common import (
    Priority,
    RetryPolicy,
    SearchAttributes,
    TypedSearchAttributes,
    VersioningOverride,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from memflow.temporal.workflow.define import name_and_result_type


class StartOptions(TypedDict, total=False):
    """How a workflow is started, beside its id and task queue."""

    execution_timeout: timedelta | None
    run_timeout: timedelta | None
    task_timeout: timedelta | None
    id_reuse_policy: WorkflowIDReusePolicy
    id_conflict_policy: WorkflowIDConflictPolicy
    retry_policy: RetryPolicy | None
    cron_schedule: str
    memo: Mapping[str, Any] | None
    search_attributes: TypedSearchAttributes | SearchAttributes | None
    static_summary: str | None
    static_details: str | None
    start_delay: timedelta | None
    start_signal: str | None
    start_signal_args: Sequence[Any]
    rpc_metadata: Mapping[str, str | bytes]
    rpc_timeout: timedelta | None
    request_eager_start: bool
    priority: Priority
    versioning_override: VersioningOverride | None


START_OPTIONS: Final[Mapping[str, Any]] = {
    "result_type": None,
    **dict.fromkeys(StartOptions.__annotations__),
    "id_reuse_policy": WorkflowIDReusePolicy.ALLOW_DUPLICATE,
    "id_conflict_policy": WorkflowIDConflictPolicy.UNSPECIFIED,
    "cron_schedule": "",
    "start_signal_args": [],
    "rpc_metadata": {},
    "request_eager_start": False,
    "priority": Priority.default,
}
_NAMED: Final = {"id": None, "task_queue": None}


def start_input(workflow: Any, arg: Any, args: Sequence[Any], given: Mapping[str, Any]) -> StartWorkflowInput:
    """What interceptors of a start see.

    Raises:
        TypeError: an option is unknown, or `id` or `task_queue` is missing.
    """
    for needed in ("id", "task_queue"):
        if needed not in given:
            raise TypeError(f"start_workflow() missing 1 required keyword-only argument: {needed!r}")
    options = checked("start_workflow", given, {**_NAMED, **START_OPTIONS})
    result_type = options.pop("result_type")
    name, ret_type = name_and_result_type(workflow)
    return StartWorkflowInput(
        workflow=name,
        args=arg_or_args(arg, args),
        headers={},
        ret_type=ret_type if result_type is None else result_type,
        **options,
    )
