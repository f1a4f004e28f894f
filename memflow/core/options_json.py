"""Options as the journal keeps them: only what differs from the defaults, times in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from memflow.options import ActivityOptions, CancellationType, ChildOptions, ParentClosePolicy
from memflow.retry import RetryPolicy

Attributes = Mapping[str, Any]

_DEFAULT_ACTIVITY = ActivityOptions()
_DEFAULT_CHILD = ChildOptions()
_TIMEOUTS = ("start_to_close_timeout", "schedule_to_close_timeout", "schedule_to_start_timeout", "heartbeat_timeout")


def activity_options_to_json(options: ActivityOptions) -> dict[str, Any]:
    """Activity options as a JSON object: only what differs from the defaults, times in seconds."""
    kept: dict[str, Any] = {"task_queue": options.task_queue}
    for name in _TIMEOUTS:
        kept[name] = _seconds(getattr(options, name))
    if options.retry != _DEFAULT_ACTIVITY.retry:
        kept["retry"] = retry_to_json(options.retry)
    if options.cancellation_type is not _DEFAULT_ACTIVITY.cancellation_type:
        kept["cancellation_type"] = options.cancellation_type.value
    kept.update(activity_id=options.activity_id, local_retry_threshold=_seconds(options.local_retry_threshold))
    return {name: value for name, value in kept.items() if value is not None}


def activity_options_from_json(found: Attributes) -> ActivityOptions:
    """Activity options from what `activity_options_to_json` made, by this version or an older one."""
    retry = found.get("retry")
    return ActivityOptions(
        task_queue=found.get("task_queue"),
        start_to_close_timeout=_delta(found.get("start_to_close_timeout")),
        schedule_to_close_timeout=_delta(found.get("schedule_to_close_timeout")),
        schedule_to_start_timeout=_delta(found.get("schedule_to_start_timeout")),
        heartbeat_timeout=_delta(found.get("heartbeat_timeout")),
        retry=_DEFAULT_ACTIVITY.retry if retry is None else retry_from_json(retry),
        cancellation_type=CancellationType(found.get("cancellation_type", _DEFAULT_ACTIVITY.cancellation_type)),
        activity_id=found.get("activity_id"),
        local_retry_threshold=_delta(found.get("local_retry_threshold")),
    )


def retry_to_json(retry: RetryPolicy) -> dict[str, Any]:
    """A retry policy as a JSON object, whole."""
    return {
        "initial_interval": retry.initial_interval.total_seconds(),
        "backoff_coefficient": retry.backoff_coefficient,
        "maximum_interval": _seconds(retry.maximum_interval),
        "maximum_attempts": retry.maximum_attempts,
        "non_retryable_error_types": list(retry.non_retryable_error_types),
    }


def retry_from_json(found: Attributes) -> RetryPolicy:
    """A retry policy from what `retry_to_json` made."""
    return RetryPolicy(
        initial_interval=found.get("initial_interval", 1.0),
        backoff_coefficient=found.get("backoff_coefficient", 2.0),
        maximum_interval=found.get("maximum_interval"),
        maximum_attempts=found.get("maximum_attempts", 0),
        non_retryable_error_types=tuple(found.get("non_retryable_error_types", ())),
    )


def child_options_to_json(options: ChildOptions) -> dict[str, Any]:
    """Child options as a JSON object: only what differs from the defaults."""
    kept: dict[str, Any] = {} if options.task_queue is None else {"task_queue": options.task_queue}
    if options.parent_close_policy is not _DEFAULT_CHILD.parent_close_policy:
        kept["parent_close_policy"] = options.parent_close_policy.value
    if options.cancellation_type is not _DEFAULT_CHILD.cancellation_type:
        kept["cancellation_type"] = options.cancellation_type.value
    kept.update(run_timeout=_seconds(options.run_timeout), execution_timeout=_seconds(options.execution_timeout))
    kept["retry"] = None if options.retry is None else retry_to_json(options.retry)
    return {name: value for name, value in kept.items() if value is not None}


def child_options_from_json(found: Attributes) -> ChildOptions:
    """Child options from what `child_options_to_json` made."""
    retry = found.get("retry")
    return ChildOptions(
        task_queue=found.get("task_queue"),
        parent_close_policy=ParentClosePolicy(found.get("parent_close_policy", _DEFAULT_CHILD.parent_close_policy)),
        cancellation_type=CancellationType(found.get("cancellation_type", _DEFAULT_CHILD.cancellation_type)),
        run_timeout=_delta(found.get("run_timeout")),
        execution_timeout=_delta(found.get("execution_timeout")),
        retry=None if retry is None else retry_from_json(retry),
    )


def _seconds(value: timedelta | None) -> float | None:
    return None if value is None else value.total_seconds()


def _delta(value: float | None) -> timedelta | None:
    return None if value is None else timedelta(seconds=value)
