"""Workers: claims of runs and activities, leases, and taking over from the silent. Counterpart of `functions/20_claim.sql`,
`40_activities.sql` and `50_workers.sql`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from memflow.store.base import ActivityClaim, ActivityClaims, Beat, Beaten, Claim, Claims, Retry, Settle
from memflow_testing.memory.mail import MailRoom
from memflow_testing.memory.runs import SOON
from memflow_testing.memory.tables import ActivityRec, Run, Tables, Wake, WorkerRec

PREFERRED_FOR = timedelta(seconds=2)
"""How long a run is left to the worker that has it in its cache."""


class Workers:
    """Who lives, and who holds what."""

    def __init__(self, tables: Tables, now: Callable[[], datetime], ring: Callable[[str], None], mail: MailRoom) -> None:
        self._tables = tables
        self._now = now
        self._ring = ring
        self._mail = mail

    # ------------------------------------------------------------------------------------------------- life

    def register(
        self, identity: str, queues: Sequence[str], types: Sequence[str], lease: timedelta, version: str | None
    ) -> int:
        """A new worker."""
        id = self._tables.new_id()
        self._tables.workers[id] = WorkerRec(id, identity, tuple(queues), tuple(types), version, self._now(), lease)
        return id

    def beat(self, worker: int, lease: timedelta) -> bool:
        """Renew a lease. False: it was taken for dead."""
        found = self._tables.workers.get(worker)
        if found is None:
            return False
        found.seen, found.lease = self._now(), lease
        return True

    def unregister(self, worker: int) -> None:
        """What it holds is due at once for others, and no crash is counted."""
        self._free(worker, lost=False)
        self._tables.workers.pop(worker, None)

    def release_silent(self, worker: int) -> int:
        """Free what workers held whose lease is over."""
        now = self._now()
        silent = [each.id for each in self._tables.workers.values() if each.id != worker and each.seen + each.lease < now]
        freed = sum(self._free(each, lost=True) for each in silent)
        for each in silent:
            del self._tables.workers[each]
        return freed

    def _free(self, worker: int, *, lost: bool) -> int:
        freed = 0
        for run in self._tables.runs.values():
            wake = run.wake
            if wake is not None and wake.owner == worker:
                wake.owner = wake.token = wake.prefers = None
                wake.wake_at = self._now()
                wake.crashes += lost
                freed += 1
                self._ring(f"queue:{wake.queue}")
        for activity in self._tables.activities.values():
            if activity.owner == worker:
                activity.owner = activity.token = None
                activity.due = self._now()
                freed += 1
                self._ring(f"activities:{activity.queue}")
        return freed

    # ------------------------------------------------------------------------------------------------- runs

    def claim_runs(self, worker: int, queues: Sequence[str], limit: int) -> Claims:
        """Due runs of these queues, by priority and then by when they fell due."""
        now = self._now()
        waiting = [
            (run, run.wake)
            for run in self._tables.runs.values()
            if run.wake is not None and run.wake.owner is None and run.wake.queue in queues and run.wake.wake_at is not None
        ]
        due = [pair for pair in waiting if _at(pair[1]) <= now and self._may_have(worker, pair[1], now)]
        due.sort(key=lambda pair: (queues.index(pair[1].queue), -pair[1].priority, _at(pair[1]), pair[0].id))
        next_due = min((_at(wake) for _, wake in waiting if _at(wake) > now), default=None)
        if worker not in self._tables.workers:
            return Claims([], now, next_due)
        token = uuid4()
        claims: list[Claim] = []
        for run, wake in due[:limit]:
            wake.owner, wake.token, wake.wake_at = worker, token, None
            claims.append(_claim(run, wake))
        return Claims(claims, now, next_due)

    def _may_have(self, worker: int, wake: Wake, now: datetime) -> bool:
        preferred = wake.prefers
        return (
            preferred is None
            or preferred == worker
            or preferred not in self._tables.workers
            or _at(wake) < now - PREFERRED_FOR
        )

    def owned_with_mail(self, worker: int) -> list[int]:
        """Runs of a worker to which something came since their last commit."""
        return [
            run.id
            for run in self._tables.runs.values()
            if run.wake is not None and run.wake.owner == worker and run.wake.wake_at is not None
        ]

    # ------------------------------------------------------------------------------------------------- activities

    def claim_activities(self, worker: int, queues: Sequence[str], limit: int) -> ActivityClaims:
        """Due activities of these queues. Each counts as an attempt from now on."""
        now = self._now()
        waiting = [each for each in self._tables.activities.values() if each.owner is None and each.queue in queues]
        due = sorted((each for each in waiting if each.due <= now), key=lambda each: (each.due, each.run, each.op))
        next_due = min((each.due for each in waiting if each.due > now), default=None)
        if worker not in self._tables.workers:
            return ActivityClaims([], now, next_due)
        token = uuid4()
        claims: list[ActivityClaim] = []
        for each in due[:limit]:
            each.owner, each.token = worker, token
            each.attempt += 1
            claims.append(self._activity_claim(each))
        return ActivityClaims(claims, now, next_due)

    def _activity_claim(self, each: ActivityRec) -> ActivityClaim:
        run = self._tables.runs[each.run]
        assert each.token is not None, "claimed a moment ago"
        return ActivityClaim(
            each.run, each.op, each.token, run.workflow_id, run.run_id, run.workflow, each.name, each.queue, each.input,
            each.options, dict(each.headers), each.attempt, each.scheduled_at, each.close_by, each.last_failure, each.heartbeat,
            each.cancel_requested,
        )

    def settle(self, settled: Sequence[Settle]) -> list[bool]:
        """End activities whose token fits; their answers go to their runs."""
        return [self._settle(each) for each in settled]

    def _settle(self, settle: Settle) -> bool:
        found = self._tables.activities.get((settle.run, settle.op))
        if found is None or found.token != settle.token:
            return False
        del self._tables.activities[settle.run, settle.op]
        run = self._tables.runs[settle.run]
        if run.status.is_open:
            self._mail.deliver(run, settle.arrival)
        return True

    def retry(self, retries: Sequence[Retry]) -> list[bool]:
        """Put failed attempts back for another try."""
        return [self._retry(each) for each in retries]

    def _retry(self, retry: Retry) -> bool:
        found = self._tables.activities.get((retry.run, retry.op))
        if found is None or found.token != retry.token:
            return False
        found.owner = found.token = None
        found.due = self._now() + retry.delay
        found.attempt -= not retry.counts
        found.last_failure = retry.last_failure or found.last_failure
        if retry.delay <= SOON:
            self._ring(f"activities:{found.queue}")
        return True

    def beat_activities(self, beats: Sequence[Beat]) -> list[Beaten]:
        """Keep heartbeat details; tell who has lost its row and who is asked to stop."""
        return [self._beat_activity(each) for each in beats]

    def _beat_activity(self, beat: Beat) -> Beaten:
        found = self._tables.activities.get((beat.run, beat.op))
        if found is None or found.token != beat.token:
            return Beaten(beat.run, beat.op, True, False)
        if beat.details is not None:
            found.heartbeat = beat.details
        return Beaten(beat.run, beat.op, False, found.cancel_requested)

    def activities_of(self, run: int) -> list[Mapping[str, Any]]:
        """The columns of `v_activities`, payloads as such."""
        return [
            {
                "op": each.op,
                "name": each.name,
                "task_queue": each.queue,
                "state": _state(each),
                "attempt": each.attempt,
                "next_attempt_at": each.due if each.owner is None else None,
                "owner": each.owner,
                "last_failure": each.last_failure,
                "heartbeat_details": each.heartbeat,
            }
            for each in self._tables.activities_of(run)
        ]


def _state(each: ActivityRec) -> str:
    if each.owner is not None:
        return "cancelling" if each.cancel_requested else "running"
    return "backing_off" if each.attempt > 0 else "queued"


def _at(wake: Wake) -> datetime:
    assert wake.wake_at is not None, "only those that wait for a time are looked at"
    return wake.wake_at


def _claim(run: Run, wake: Wake) -> Claim:
    assert wake.token is not None, "claimed a moment ago"
    return Claim(
        run=run.id,
        token=wake.token,
        workflow_id=run.workflow_id,
        run_id=run.run_id,
        workflow=run.workflow,
        task_queue=run.task_queue,
        length=run.length,
        arrived=run.arrived,
        consumed=run.consumed,
        turn=run.turn,
        started_at=run.started_at,
        last_at=run.last_at,
        first_arrivals=run.first_arrivals,
        crashes=wake.crashes,
        retries=run.retries,
        input=run.input if run.length == 0 else None,
        headers=dict(run.headers),
        attempt=run.attempt,
        first_run_id=run.first_run_id,
        parent_workflow_id=run.parent_workflow_id,
        parent_run_id=run.parent_run_id,
        deadline=run.deadline,
        deadline_kind=run.deadline_kind,
        memo=run.memo,
        record=run.search,
        retry=run.retry,
        execution_deadline=run.execution_deadline,
        continued_run_id=run.continued_run_id,
    )
