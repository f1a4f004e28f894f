"""The rows of durable activities: claim, settle, retry, heartbeat. Counterpart of `functions/40_activities.sql`, and of the
claim in `20_claim.sql`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from memflow.core.arrivals import ActivityFailed, ActivityTimedOut
from memflow.store.turns import (
    ActivityClaim,
    ActivityClaims,
    Beat,
    Beaten,
    Retry,
    Settle,
)
from memflow_testing.memory.mail import MailRoom
from memflow_testing.memory.tables import NEVER, SOON, ActivityRec, Tables

OUTSIDE = 0
"""The owner of an attempt that is open: whoever has its token ends it, until its time is up. Then it is due to be judged."""


def due_unless_paused(row: ActivityRec, due: datetime) -> datetime:
    """When an activity that nobody runs is due: never while it is paused, but a cancelled one must be taken up."""
    return NEVER if row.paused_due is not None and not row.cancel_requested else due


class Activities:
    """Activities as workers see them."""

    def __init__(self, tables: Tables, mail: MailRoom) -> None:
        self._tables = tables
        self._mail = mail

    def claim(self, worker: int, queues: Sequence[str], limit: int) -> ActivityClaims:
        """Due activities of these queues. Each counts as an attempt from now on, but for late ones, which are judged."""
        now = self._tables.now()
        waiting = [
            each for each in self._tables.activities.values() if each.owner in (None, OUTSIDE) and each.queue in queues
        ]
        next_due = min((each.due for each in waiting if now < each.due < NEVER), default=None)
        if worker not in self._tables.workers:
            return ActivityClaims([], now, next_due)
        due = [each for each in waiting if each.due <= now]
        due.sort(key=lambda each: (queues.index(each.queue), each.owner == OUTSIDE, each.due, each.run, each.op))
        token = uuid4()
        claims: list[ActivityClaim] = []
        for each in due[:limit]:
            if each.owner is None:
                each.attempt += 1
                each.attempt_by = None
            each.owner, each.token = worker, token
            claims.append(self._claim(each))
        return ActivityClaims(claims, now, next_due)

    def _claim(self, each: ActivityRec) -> ActivityClaim:
        run = self._tables.runs[each.run]
        assert each.token is not None, "claimed a moment ago"
        late = None
        if each.attempt_by is not None:
            late = "start_to_close" if each.attempt_by <= self._tables.now() else "heartbeat"
        return ActivityClaim(
            each.run, each.op, each.token, run.workflow_id, run.run_id, run.workflow, each.name, each.queue, each.input,
            each.options, dict(each.headers), each.attempt, each.scheduled_at, each.close_by, each.last_failure, each.heartbeat,
            each.cancel_requested, late=late,
        )

    def settle(self, settled: Sequence[Settle]) -> list[bool]:
        """End activities whose token fits; their answers go to their runs."""
        return [self._settle(each) for each in settled]

    def _settle(self, settle: Settle) -> bool:
        found = self._tables.activities.get((settle.run, settle.op))
        if found is None or found.token != settle.token:
            return False
        if found.reset and isinstance(settle.arrival, ActivityFailed | ActivityTimedOut):
            # Reset meanwhile: this attempt was not the last one after all.
            found.owner = found.token = found.attempt_by = found.last_failure = None
            found.attempt, found.reset = 0, False
            found.due = due_unless_paused(found, self._tables.now())
            self._tables.ring(f"activities:{found.queue}")
            return True
        self._tables.drop_activity(settle.run, settle.op)
        run = self._tables.runs[settle.run]
        if run.status.is_open:
            self._mail.deliver(run, settle.arrival)
        return True

    def retry(self, retries: Sequence[Retry]) -> list[bool]:
        """Put failed attempts back for another try. One that did not begin is not counted."""
        return [self._retry(each) for each in retries]

    def _retry(self, retry: Retry) -> bool:
        found = self._tables.activities.get((retry.run, retry.op))
        if found is None or found.token != retry.token:
            return False
        found.attempt -= not retry.counts
        found.last_failure = retry.last_failure or found.last_failure
        put_back(self._tables, found, retry.delay)
        if retry.delay <= SOON:
            self._tables.ring(f"activities:{found.queue}")
        return True

    def beat(self, beats: Sequence[Beat]) -> list[Beaten]:
        """Keep heartbeat details; tell who has lost its row and who is asked to stop."""
        return [self._beat(each) for each in beats]

    def _beat(self, beat: Beat) -> Beaten:
        found = self._tables.activities.get((beat.run, beat.op))
        if found is None or found.token != beat.token:
            return Beaten(beat.run, beat.op, True, False)
        if beat.details is not None:
            found.heartbeat = beat.details
        return Beaten(beat.run, beat.op, False, found.cancel_requested, found.paused_due is not None, found.reset)

    def of_run(self, run: int) -> list[Mapping[str, Any]]:
        """The columns of `v_activities`, payloads as such."""
        return [
            {
                "op": each.op,
                "activity_id": each.activity_id,
                "paused": each.paused_due is not None,
                "name": each.name,
                "task_queue": each.queue,
                "state": _state(each),
                "attempt": each.attempt,
                "next_attempt_at": each.due if each.owner is None and each.paused_due is None else None,
                "owner": each.owner,
                "last_failure": each.last_failure,
                "heartbeat_details": each.heartbeat,
            }
            for each in self._tables.activities_of(run)
        ]


def put_back(tables: Tables, row: ActivityRec, delay: timedelta) -> None:
    """Nobody runs it, and it is due after a delay; if it was reset meanwhile, at once and as if for the first time."""
    now = tables.now()
    row.owner = row.token = row.attempt_by = None
    row.due = due_unless_paused(row, now if row.reset else now + delay)
    row.paused_due = None if row.paused_due is None else now + delay
    row.attempt, row.reset = 0 if row.reset else row.attempt, False


def _state(each: ActivityRec) -> str:
    if each.owner is not None:
        return "cancelling" if each.cancel_requested else "open" if each.owner == OUTSIDE else "running"
    return "paused" if each.paused_due is not None else "backing_off" if each.attempt > 0 else "queued"
