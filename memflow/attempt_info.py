"""What an attempt of an activity can know of itself. Plain values: `attempts` and the interceptors share them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from memflow.retry import DEFAULT_RETRY, RetryPolicy


@dataclass(frozen=True, slots=True)
class Info:
    """What an activity can know of itself.

    `attempt` counts from 1. `idempotency_key` is the same for each attempt: hand it to services that recognise repeats.
    `deadline` is when this attempt's time is up, None without a limit. `heartbeat_details` are the last ones of the attempt
    before. `is_local`: it was called as a local activity. `task_token` names this attempt to whoever completes it from outside
    (`raise_complete_async`); a local one has none. `in_workflow`: a workflow called it, not a client.
    """

    workflow_id: str
    run_id: str
    workflow: str
    activity: str
    activity_id: str
    attempt: int
    task_queue: str
    namespace: str
    idempotency_key: str
    headers: Mapping[str, str]
    scheduled_at: datetime
    started_at: datetime
    deadline: datetime | None
    heartbeat_timeout: timedelta | None
    heartbeat_details: tuple[Any, ...]
    is_local: bool
    task_token: bytes = b""
    start_to_close_timeout: timedelta | None = None
    schedule_to_close_timeout: timedelta | None = None
    retry: RetryPolicy = DEFAULT_RETRY
    in_workflow: bool = True


@dataclass(frozen=True, slots=True)
class CancellationDetails:
    """Why an attempt is asked to end.

    `not_found`: it counts for nothing any more (its workflow ended, or somebody else completed it). `paused` and `reset`: an
    operator did that; another attempt begins by itself.
    """

    not_found: bool = False
    cancel_requested: bool = False
    paused: bool = False
    timed_out: bool = False
    worker_shutdown: bool = False
    reset: bool = False
