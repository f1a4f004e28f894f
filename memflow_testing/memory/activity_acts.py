"""What happens to activities from outside their worker. Counterpart of `functions/41_activity_acts.sql`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from memflow.core.arrivals import ActivityCancelled, ActivityCompleted, ActivityFailed, ActivityTimedOut, Arrival
from memflow.payload import Payload
from memflow.store.turns import ActivityKey, ActOnActivity, Beaten, FoundActivity, Open
from memflow_testing.memory.activities import OUTSIDE, put_back
from memflow_testing.memory.mail import MailRoom
from memflow_testing.memory.tables import NEVER, ActivityRec, Run, Tables

_ENDS = (ActivityCompleted, ActivityFailed, ActivityTimedOut, ActivityCancelled)


class ActivityActs:
    """Completed by somebody else, paused, reset, changed."""

    def __init__(self, tables: Tables, mail: MailRoom) -> None:
        self._tables = tables
        self._mail = mail

    def open(self, opened: Sequence[Open]) -> list[bool]:
        """These functions have returned without a result: from now on only the token ends their attempts."""
        return [self._open(each) for each in opened]

    def _open(self, each: Open) -> bool:
        found = self._row(each.run, each.op, each.token)
        if found is None:
            return False
        found.owner, found.attempt_by = OUTSIDE, each.attempt_by or NEVER
        found.due = self._time_up(found)
        return True

    def _time_up(self, row: ActivityRec) -> datetime:
        """When an open attempt must have been completed, or been heard of."""
        beat = row.options.heartbeat_timeout
        return min(row.attempt_by or NEVER, NEVER if beat is None else self._tables.now() + beat)

    def _row(self, run: int, op: int, token: UUID | None) -> ActivityRec | None:
        """The row, if the token fits; without a token any attempt does."""
        found = self._tables.activities.get((run, op))
        return found if found is not None and (token is None or found.token == token) else None

    def find(self, key: ActivityKey) -> FoundActivity | str:
        """See `Store.find_activity`."""
        run = self._tables.find(key.workflow_id, key.run_id) if key.run is None else self._tables.runs.get(key.run)
        if run is None:
            return "missing" if key.run is None else "not_found"
        if key.token is not None:
            row = None if key.op is None else self._tables.activities.get((run.id, key.op))
            if row is not None and row.token != key.token:
                return "not_found"
        else:
            rows = [each for each in self._tables.activities_of(run.id) if each.activity_id == key.activity_id]
            # An id given by the author wins over a number of the same text.
            row = min(rows, key=lambda each: each.options.activity_id is None, default=None)
        if row is None:
            return self._why_none(run, key.op)
        return FoundActivity(
            row.run, row.op, row.token, row.name, row.activity_id, run.workflow_id, row.options, row.attempt, row.scheduled_at,
            row.close_by, row.cancel_requested, row.paused_due is not None, row.reset,
        )

    def _why_none(self, run: Run, op: int | None) -> str:
        """There may be one soon, where its run is in a worker's memory or about to be."""
        if run.wake is None:
            return "closed"
        in_hand = run.wake.owner is not None or (run.wake.wake_at is not None and run.wake.wake_at <= self._tables.now())
        ended = any(isinstance(each.entry, _ENDS) and each.entry.op == op for each in run.journal)
        return "maybe" if in_hand and not ended else "not_found"

    def finish(self, found: FoundActivity, arrival: Arrival, *, exact: bool) -> bool:
        """End one: its row goes, the answer goes into its run's inbox, and a worker that runs it is told."""
        row = self._row(found.run, found.op, found.token if exact else None)
        if row is None:
            return False
        self._tables.drop_activity(found.run, found.op)
        run = self._tables.runs[found.run]
        if run.status.is_open:
            self._mail.deliver(run, arrival)
        self._tell(row)
        return True

    def fail_attempt(self, found: FoundActivity, delay: timedelta, failure: Payload, *, exact: bool) -> bool:
        """An attempt failed, as somebody outside says, and the policy allows another one."""
        row = self._row(found.run, found.op, found.token if exact else None)
        if row is None:
            return False
        owner = row.owner
        row.attempt = max(row.attempt, 1)
        row.last_failure = failure
        put_back(self._tables, row, delay)
        self._tables.ring(f"activities:{row.queue}")
        self._tell(row, owner)
        return True

    def beat(self, found: FoundActivity, details: Payload | None) -> Beaten:
        """A heartbeat from outside: the time of an open attempt starts anew."""
        row = None if found.token is None else self._row(found.run, found.op, found.token)
        if row is None:
            return Beaten(found.run, found.op, True, False)
        row.heartbeat = details or row.heartbeat
        if row.owner == OUTSIDE:
            row.due = self._time_up(row)
        return Beaten(found.run, found.op, False, row.cancel_requested, row.paused_due is not None, row.reset)

    def act(self, found: FoundActivity, act: ActOnActivity) -> bool:
        """What an operator does to a pending activity. False: its row is gone."""
        row = self._tables.activities.get((found.run, found.op))
        if row is None:
            return False
        due = self._tables.now() + act.delay
        match act.verb:
            case "pause":
                self._pause(row)
            case "resume":
                if row.paused_due is not None:
                    row.due = max(due, row.paused_due) if row.owner is None else row.due
                    row.paused_due = None
            case "reset":
                self._reset(row, act, due)
            case _:
                row.options = act.options or type(row.options)()
                row.queue = row.options.task_queue or row.queue
        self._tables.ring(f"activities:{row.queue}")
        self._tell(row)
        return True

    def _pause(self, row: ActivityRec) -> None:
        if row.paused_due is None:
            row.paused_due = row.due if row.owner is None else self._tables.now()
            row.due = NEVER if row.owner is None else row.due

    def _reset(self, row: ActivityRec, act: ActOnActivity, due: datetime) -> None:
        if not act.keep_paused and row.paused_due is not None:
            row.paused_due = None
            row.due = due if row.owner is None else row.due
        if row.owner is None:
            row.attempt, row.last_failure = 0, None
            if row.paused_due is None:
                row.due = due
            else:
                row.paused_due = due
        else:
            row.reset = True
        if act.forget_heartbeats:
            row.heartbeat = None

    def _tell(self, row: ActivityRec, owner: int | None = None) -> None:
        owner = owner or row.owner
        if owner:
            self._tables.ring(f"worker:{owner}")
