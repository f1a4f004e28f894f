"""Frozen option values: what a person said, checked once, passed on whole. Times are timedelta, None is "no limit"."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from memflow.errors import ConfigurationError
from memflow.retry import DEFAULT_RETRY, RetryPolicy


class HandlerUnfinishedPolicy(StrEnum):
    """What happens when a run ends while a signal's or update's handler is running. It is dropped either way."""

    WARN_AND_ABANDON = "warn_and_abandon"
    ABANDON = "abandon"


class VersioningBehavior(StrEnum):
    """Which workers go on with a run that a worker with a version has begun."""

    PINNED = "pinned"
    """Those of the same version."""
    AUTO_UPGRADE = "auto_upgrade"
    """Those of the newest version; changes of the code are guarded by `patched`."""


def versioning_of(value: VersioningBehavior | str, *, what: str) -> VersioningBehavior:
    """The behaviour of that name.

    Raises:
        ConfigurationError: there is none.
    """
    try:
        return VersioningBehavior(value)
    except ValueError:
        raise ConfigurationError(f"{what}: {value!r} is not one of {', '.join(VersioningBehavior)}") from None


class CancellationType(StrEnum):
    """What awaiting a cancelled activity yields."""

    TRY_CANCEL = "try_cancel"
    """Ask the activity to stop; the await ends at once as cancelled."""
    WAIT_CANCELLATION_COMPLETED = "wait_cancellation_completed"
    """Ask the activity to stop; the await ends with what it really returns or raises."""
    ABANDON = "abandon"
    """Tell nobody; the await ends at once as cancelled."""


class ParentClosePolicy(StrEnum):
    """What happens to an open child when its parent closes."""

    TERMINATE = "terminate"
    REQUEST_CANCEL = "request_cancel"
    ABANDON = "abandon"


@dataclass(frozen=True, slots=True)
class ActivityOptions:
    """How an activity is run. `task_queue` None is the run's own queue."""

    task_queue: str | None = None
    start_to_close_timeout: timedelta | None = None
    schedule_to_close_timeout: timedelta | None = None
    schedule_to_start_timeout: timedelta | None = None
    heartbeat_timeout: timedelta | None = None
    retry: RetryPolicy = DEFAULT_RETRY
    cancellation_type: CancellationType = CancellationType.TRY_CANCEL
    activity_id: str | None = None
    """How people and clients name it within its run; None: by its op."""
    local_retry_threshold: timedelta | None = None
    """Set: it runs nowhere but in the worker of its workflow. A longer wait between attempts is left to a durable timer."""

    @property
    def is_local(self) -> bool:
        """Whether it runs in the worker of its workflow and is never queued."""
        return self.local_retry_threshold is not None


@dataclass(frozen=True, slots=True)
class ChildOptions:
    """How a child run is started. `task_queue` None is the parent's own queue, `retry` None is one attempt."""

    task_queue: str | None = None
    parent_close_policy: ParentClosePolicy = ParentClosePolicy.TERMINATE
    cancellation_type: CancellationType = CancellationType.WAIT_CANCELLATION_COMPLETED
    run_timeout: timedelta | None = None
    execution_timeout: timedelta | None = None
    retry: RetryPolicy | None = None
