"""Signals by id: those who wait, and what is kept for the first who will. Counterpart of `functions/14_signal.sql`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from memflow.core.arrivals import SignalReceived
from memflow.payload import Payload
from memflow.store.values import Sent, ToSignalId
from memflow_testing.memory.escalations import Escalations
from memflow_testing.memory.mail import MailRoom
from memflow_testing.memory.tables import Run, SignalRec, Tables


class Signals:
    """Where signals and waits meet."""

    def __init__(self, tables: Tables, mail: MailRoom, escalations: Escalations) -> None:
        self._tables = tables
        self._mail = mail
        self._escalations = escalations

    def signal(self, signals: Sequence[ToSignalId]) -> list[Sent]:
        """Signals by id, in order."""
        return [self._signal(each) for each in signals]

    def _signal(self, signal: ToSignalId) -> Sent:
        tables = self._tables
        if signal.request_id is not None and not tables.take_request(
            f"signal:{signal.signal_id}", signal.request_id, tables.now()
        ):
            return Sent("duplicate")
        expires_at = None if signal.expire is None else tables.now() + signal.expire
        given = self.give(signal.signal_id, signal.payload, expires_at)
        if given is None:
            return Sent("kept")
        run, op = given
        self._mail.deliver(run, SignalReceived(signal.signal_id, signal.payload, op=op), signal.request_id)
        return Sent("delivered")

    def give(self, signal_id: str, payload: Payload, expires_at: datetime | None) -> tuple[Run, int] | None:
        """To the oldest open run that waits for the id: the caller delivers. None: it is kept."""
        tables = self._tables
        for waiting in [each for each in tables.signals if each.signal_id == signal_id and each.run is not None]:
            tables.signals.remove(waiting)
            run = None if waiting.run is None else tables.runs.get(waiting.run)
            if run is not None and run.status.is_open and waiting.op is not None:
                self._escalations.end(waiting.escalation, "resolved", payload)
                return run, waiting.op
        tables.signals.append(SignalRec(tables.new_id(), signal_id, None, None, payload, expires_at))
        return None

    def take_kept(self, signal_id: str) -> Payload | None:
        """The oldest signal that was kept for this id, which is gone then."""
        tables, now = self._tables, self._tables.now()
        for kept in tables.signals:
            if kept.signal_id == signal_id and kept.run is None and (kept.expires_at is None or kept.expires_at > now):
                tables.signals.remove(kept)
                assert kept.payload is not None, "a kept signal has its payload"
                return kept.payload
        return None

    def wait(self, run: Run, op: int, signal_id: str, about: str | None = None) -> SignalReceived | None:
        """A run begins to wait for an id, and may ask people meanwhile. A signal that was kept is its answer at once."""
        kept = self.take_kept(signal_id)
        asked = None if about is None else self._escalations.escalate(run, op, signal_id, about)
        if kept is not None:
            self._escalations.end(asked, "resolved", kept)
            return SignalReceived(signal_id, kept, op=op)
        self._tables.signals.append(SignalRec(self._tables.new_id(), signal_id, run.id, op, None, None, asked))
        return None

    def unwait(self, run: int, op: int, became: str, payload: Payload | None) -> None:
        """A run no longer waits; whom it asked learns what became of that."""
        for each in [each for each in self._tables.signals if (each.run, each.op) == (run, op)]:
            self._tables.signals.remove(each)
            self._escalations.end(each.escalation, became, payload)
