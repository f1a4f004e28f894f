"""Failures that the engine itself pronounces: time is up, a worker was lost, something was stopped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from memflow.core.dialect import Dialect
from memflow.core.interrupts import StartChild
from memflow.failure import Failure
from memflow.judging import activity_failed as activity_failed
from memflow.options import ActivityOptions
from memflow.payload import Payload
from memflow.store.runs import run_timed_out as run_timed_out

NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""Later than any due time that may be asked for."""

STUCK_FIRST_SECONDS = 1.0
STUCK_LONGEST_SECONDS = 60.0


def backoff(retries: int) -> timedelta:
    """How long a stuck run rests before the next try: 1 s doubling to 60 s, so that fixed code is met within a minute."""
    return timedelta(seconds=min(STUCK_LONGEST_SECONDS, STUCK_FIRST_SECONDS * 2.0 ** min(retries, 10)))


def child_failed(child: StartChild, cause: Failure) -> Failure:
    """What a parent sees of a child that did not complete."""
    return Failure(
        "child",
        f"child workflow {child.workflow!r} did not complete: {cause.message}",
        cause=cause,
        facts={"workflow": child.workflow, "workflow_id": child.workflow_id, "run_id": child.run_id},
    )


def timed_out(kind: str, limit: timedelta | None, heartbeat: Payload | None = None) -> Failure:
    """An activity's time was up."""
    after = "" if limit is None else f" after {limit.total_seconds():g} s"
    return Failure("timeout", f"{kind} timeout{after}", details=heartbeat, facts={"kind": kind})


def worker_lost() -> Failure:
    """The worker that ran the attempt died or fell silent; whether the attempt took effect is unknown."""
    return Failure("application", "the worker that ran this attempt was lost; it may have taken effect", type="WorkerLost")


def cancelled(message: str = "cancelled") -> Failure:
    """Stopped on request."""
    return Failure("cancelled", message)


def update_left(dialect: Dialect) -> Failure:
    """The run that had accepted an update ended before it was answered. Temporal's type, so that callers may tell it."""
    return Failure("application", dialect.update_left, type="AcceptedUpdateCompletedWorkflow", non_retryable=True)


def shut_down() -> Failure:
    """The worker stops before the attempt ended."""
    return Failure("application", "the worker shut down during this attempt", type="WorkerShutdown")


def limit_of(options: ActivityOptions, kind: str) -> timedelta | None:
    """The option behind a kind of timeout."""
    limits = {
        "start_to_close": options.start_to_close_timeout,
        "schedule_to_close": options.schedule_to_close_timeout,
        "schedule_to_start": options.schedule_to_start_timeout,
        "heartbeat": options.heartbeat_timeout,
    }
    return limits[kind]
