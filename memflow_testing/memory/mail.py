"""Inboxes: what others leave for a run, and who is told. Counterpart of `functions/10_inbox.sql` and `13_send.sql`."""

from __future__ import annotations

from collections.abc import Sequence

from memflow.core.arrivals import Arrival
from memflow.runs import Status
from memflow.store.turns import Mail
from memflow.store.values import Sent, ToRun
from memflow_testing.memory.tables import Letter, Run, Tables


class MailRoom:
    """Delivers."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def deliver(self, run: Run, arrival: Arrival, dedupe: str | None = None) -> None:
        """Leave an arrival in the inbox of an open run, and wake it."""
        now = self._tables.now()
        run.arrived += 1
        run.inbox.append(Letter(run.arrived, now, arrival, dedupe))
        wake = run.wake
        assert wake is not None, "only open runs get mail"
        if run.status is Status.PAUSED and wake.owner is None:
            wake.wake_at = None                          # it waits until the run is resumed
        else:
            # Mail does not hasten the next attempt of a run that failed.
            wake.wake_at = max(now, run.last_at) if run.length == 0 and run.attempt > 1 else now
        self._tables.ring(f"queue:{wake.queue}" if wake.owner is None else f"worker:{wake.owner}")

    def send(self, messages: Sequence[ToRun], *, patient: bool) -> list[Sent]:
        """Messages to runs, in order. Patient: the sender comes again when the outcome is `busy`."""
        # Decided first, as of now: a delivery changes nothing that counts here.
        return [self._send(each, patient) for each in messages]

    def _send(self, message: ToRun, patient: bool) -> Sent:
        tables = self._tables
        run = tables.find(message.workflow_id, message.run_id)
        if run is None:
            return Sent("not_found")
        if patient and run.status is Status.RUNNING and run.ending_until is not None and run.ending_until > tables.now():
            return Sent("busy", run.status, run.first_run_id)
        if message.request_id is not None:
            key = (run.first_run_id, message.request_id)
            if key in tables.requests:
                return Sent("duplicate", run.status, run.first_run_id)
            if run.status.is_open:
                tables.take_request(*key)
        if not run.status.is_open:
            return Sent("closed", run.status, run.first_run_id)
        self.deliver(run, message.arrival, message.request_id)
        return Sent("delivered", run.status, run.first_run_id)

    def read(self, runs: Sequence[tuple[int, int]], limit: int) -> list[Mail]:
        """Mail after a position each."""
        found: list[Mail] = []
        for id, after in runs:
            run = self._tables.runs.get(id)
            if run is not None:
                found.extend(Mail(id, each.position, each.arrival) for each in run.inbox if each.position > after)
        return found[:limit]
