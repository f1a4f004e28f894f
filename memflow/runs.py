"""A run's statuses, and which may follow which."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Where a run stands. All but `RUNNING` and `PAUSED` are final."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TERMINATED = "terminated"
    TIMED_OUT = "timed_out"
    CONTINUED_AS_NEW = "continued_as_new"
    PAUSED = "paused"

    @property
    def is_open(self) -> bool:
        """Whether the run can still do something."""
        return self in (Status.RUNNING, Status.PAUSED)
