"""What client, worker and store say to one another about schedules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from memflow.firing import Policy, ScheduleState
from memflow.payload import NO_ARGUMENTS, Payload
from memflow.retry import RetryPolicy
from memflow.schedule_spec import ScheduleSpec
from memflow.store.turns import Claim


@dataclass(frozen=True, slots=True)
class ScheduleAction:
    """The run that a schedule starts. Its ids are made for each instant."""

    workflow: str
    task_queue: str = "default"
    input: Payload = NO_ARGUMENTS
    run_timeout: timedelta | None = None
    execution_timeout: timedelta | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    memo: Payload | None = None
    search: Payload | None = None
    expire: timedelta | None = None
    priority: int = 0
    retry: RetryPolicy | None = None
    workflow_id: str | None = None     # what the ids of the runs begin with; None: the schedule's id


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """A schedule. `now` is the database's time when it was read."""

    id: str
    spec: ScheduleSpec
    policy: Policy
    action: ScheduleAction
    state: ScheduleState
    created_at: datetime
    updated_at: datetime
    now: datetime
    result: Payload | None = None      # of the last run that completed
    failure: Payload | None = None     # of the last run, if it failed


@dataclass(frozen=True, slots=True)
class Taker:
    """A worker, of no version, that takes up to `room` runs as they are started, for its queues and of workflows it knows."""

    worker: int
    task_queues: Sequence[str]
    room: int
    knows: Callable[[str], bool]

    def takes(self, runs: Sequence[tuple[str, str]]) -> bool:
        """Whether it takes all of these, each told by its task queue and its workflow. Some of them it never takes."""
        return 0 < len(runs) <= self.room and all(
            queue in self.task_queues and self.knows(workflow) for queue, workflow in runs
        )


@dataclass(frozen=True, slots=True)
class Served:
    """What one look at the schedules did, the database's time then, and when the next of them is due (None: none is)."""

    schedules: int
    started: int
    now: datetime
    next_look: datetime | None
    claims: Sequence[Claim] = ()       # of what was started, what the taker owns
