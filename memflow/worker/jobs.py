"""One attempt of an activity on this worker, and how it can end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from memflow.activity import ActivityDefinition
from memflow.core.arrivals import ActivityCancelled, ActivityCompleted, ActivityFailed, ActivityTimedOut
from memflow.failure import Failure
from memflow.names import task_token
from memflow.options import ActivityOptions
from memflow.payload import Payload
from memflow.quick import quick
from memflow.worker.clock import Timer


@quick
@dataclass(frozen=True, slots=True)
class TryAgain:
    """The attempt failed and the policy allows another one `delay` from now."""

    delay: timedelta
    failure: Failure


@quick
@dataclass(frozen=True, slots=True)
class HandBack:
    """The attempt was stopped because this worker stops; it is due again at once. One that had not begun does not count."""

    failure: Failure
    begun: bool = True


@quick
@dataclass(frozen=True, slots=True)
class Opened:
    """The function returned without a result: somebody outside completes the attempt, until `by` at the latest."""

    by: datetime | None


@quick
@dataclass(frozen=True, slots=True)
class Settled:
    """A transactional activity whose result went into its own transaction: nothing is left to report."""


Ending = ActivityCompleted | ActivityFailed | ActivityTimedOut | ActivityCancelled | TryAgain | HandBack | Opened | Settled


@quick
@dataclass(frozen=True, slots=True)
class Errand:
    """What is to be run: the same for each attempt."""

    run: int
    op: int
    namespace: str
    workflow_id: str
    run_id: str
    workflow: str
    name: str
    task_queue: str
    input: Payload
    options: ActivityOptions
    headers: Mapping[str, str]
    scheduled_at: datetime
    close_by: datetime | None


def _no_timers() -> list[Timer]:
    return []                          # `list[Timer]()` would cost ten times as much, once per attempt


@dataclass(slots=True, eq=False)
class Job:
    """An attempt that waits for a slot or runs. With a `token` it is a durable row, without it lives in memory alone.

    `stopped` is why its task was cancelled: `cancel`, `shutdown`, `lost`, or the kind of a timeout.
    """

    errand: Errand
    definition: ActivityDefinition
    attempt: int
    token: UUID | None
    finished: Callable[[Job, Ending], None]
    heartbeat: Payload | None = None   # the last one reported, by this attempt or the one before
    heartbeat_before: Payload | None = None
    beaten: Callable[[Job], None] | None = None
    started_at: datetime | None = None
    task: asyncio.Task[None] | None = None
    stopped: str | None = None
    becoming_a_row: bool = False
    ending: Ending | None = None
    timers: list[Timer] = field(default_factory=_no_timers)
    context: Any = None
    since: float = 0.0                 # when it was submitted, by the loop's clock
    beats: bool = False                # it reports heartbeats, so pauses and resets are told to it
    later: Timer | None = None         # a local one that waits for its backoff
    reserved: UUID | None = None       # the token that its row will have, once somebody asked for it

    @property
    def task_token(self) -> bytes:
        """How somebody outside names this attempt."""
        if self.token is None and self.reserved is None:
            self.reserved = uuid4()
        return task_token(self.errand.run, self.errand.op, self.token or self.reserved)

    @property
    def key(self) -> tuple[int, int]:
        """Run and op: one attempt of them at a time runs here."""
        return self.errand.run, self.errand.op
