"""Inboxes and signals: what others leave for a run, and who is told. See `functions/10_inbox.sql` to `14_signal.sql`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from memflow.core.arrivals import Arrival, SignalReceived
from memflow.payload import Payload
from memflow.store.base import Mail, Sent, ToRun, ToSignalId
from memflow_testing.memory.tables import Letter, Run, SignalRec, Tables


class MailRoom:
    """Delivers. `ring` takes ears, as `Store.listen` names them."""

    def __init__(self, tables: Tables, now: Callable[[], datetime], ring: Callable[[str], None]) -> None:
        self._tables = tables
        self._now = now
        self._ring = ring

    def deliver(self, run: Run, arrival: Arrival, dedupe: str | None = None) -> None:
        """Leave an arrival in the inbox of an open run, and wake it."""
        now = self._now()
        run.arrived += 1
        run.inbox.append(Letter(run.arrived, now, arrival, dedupe))
        wake = run.wake
        assert wake is not None, "only open runs get mail"
        # Mail does not hasten the next attempt of a run that failed.
        wake.wake_at = max(now, run.last_at) if run.length == 0 and run.attempt > 1 else now
        self._ring(f"queue:{wake.queue}" if wake.owner is None else f"worker:{wake.owner}")

    def send(self, messages: Sequence[ToRun]) -> list[Sent]:
        """Messages to runs, in order."""
        return [self._send(each) for each in messages]

    def _send(self, message: ToRun) -> Sent:
        run = self._tables.find(message.workflow_id, message.run_id)
        if run is None:
            return Sent("not_found")
        key = (run.first_run_id, message.request_id or "")
        if message.request_id is not None:
            if key in self._tables.requests:
                return Sent("duplicate", run.status, run.first_run_id)
            if run.status.is_open:
                self._tables.requests.add(key)
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

    # ------------------------------------------------------------------------------------------------- signals by id

    def signal(self, signals: Sequence[ToSignalId]) -> list[Sent]:
        """Signals by id, in order."""
        return [self._signal(each) for each in signals]

    def _signal(self, signal: ToSignalId) -> Sent:
        if signal.request_id is not None:
            key = (f"signal:{signal.signal_id}", signal.request_id)
            if key in self._tables.requests:
                return Sent("duplicate")
            self._tables.requests.add(key)
        expires_at = None if signal.expire is None else self._now() + signal.expire
        return Sent("delivered" if self.give(signal.signal_id, signal.payload, expires_at, signal.request_id) else "kept")

    def give(self, signal_id: str, payload: Payload, expires_at: datetime | None, dedupe: str | None = None) -> bool:
        """To the oldest open run that waits for the id; else it is kept. Says whether somebody waited."""
        tables = self._tables
        for waiting in list(tables.signals):
            if waiting.signal_id != signal_id or waiting.run is None:
                continue
            tables.signals.remove(waiting)
            run = tables.runs.get(waiting.run)
            if run is not None and run.status.is_open:
                self.deliver(run, SignalReceived(signal_id, payload, op=waiting.op), dedupe)
                return True
        tables.signals.append(SignalRec(tables.new_id(), signal_id, None, None, payload, expires_at))
        return False

    def wait(self, run: Run, op: int, signal_id: str) -> None:
        """A run begins to wait for an id; a signal that was kept is its, at once."""
        tables, now = self._tables, self._now()
        for kept in tables.signals:
            if kept.signal_id == signal_id and kept.run is None and (kept.expires_at is None or kept.expires_at > now):
                tables.signals.remove(kept)
                assert kept.payload is not None, "a kept signal has its payload"
                self.deliver(run, SignalReceived(signal_id, kept.payload, op=op))
                return
        tables.signals.append(SignalRec(tables.new_id(), signal_id, run.id, op, None, None))

    def unwait(self, run: int, op: int) -> None:
        """A run no longer waits."""
        self._tables.signals = [each for each in self._tables.signals if (each.run, each.op) != (run, op)]
