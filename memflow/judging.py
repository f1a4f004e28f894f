"""What becomes of an activity whose attempt failed: another one, or its end. The same for workers and for those outside."""

from __future__ import annotations

from datetime import datetime, timedelta

from memflow.failure import Failure
from memflow.options import ActivityOptions


def judge_attempt(
    options: ActivityOptions, failure: Failure, *, name: str, id: str, attempt: int, now: datetime, close_by: datetime | None
) -> timedelta | Failure:
    """How long to wait before the next attempt; or, if there is none, what workflow code sees."""
    delay = options.retry.delay(attempt, failure)
    if delay is not None and close_by is not None and now + delay >= close_by:
        return activity_failed(name, id, attempt, "timeout", failure)
    if delay is not None:
        return delay
    final = failure.non_retryable or failure.type in options.retry.non_retryable_error_types
    return activity_failed(name, id, attempt, "non_retryable_failure" if final else "maximum_attempts_reached", failure)


def activity_failed(name: str, id: str | int, attempt: int, retry_state: str, cause: Failure) -> Failure:
    """What workflow code sees of an activity that failed for good. `id` is what its author gave, or its number."""
    return Failure(
        "activity",
        f"activity {name!r} failed: {cause.message}" if cause.message else f"activity {name!r} failed",
        cause=cause,
        facts={"activity": name, "activity_id": str(id), "attempt": attempt, "retry_state": retry_state},
    )
