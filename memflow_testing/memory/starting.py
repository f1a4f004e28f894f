"""How runs begin. Counterpart of `functions/12_start.sql`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from memflow.core.arrivals import SignalReceived
from memflow.runs import Status
from memflow.store.values import NewRun, Started
from memflow_testing.memory.ending import Endings
from memflow_testing.memory.mail import MailRoom
from memflow_testing.memory.rows import fields_of
from memflow_testing.memory.tables import Letter, Run, Tables


class Starts:
    """Begins runs."""

    def __init__(self, tables: Tables, mail: MailRoom, endings: Endings) -> None:
        self._tables = tables
        self._mail = mail
        self._endings = endings

    def start(self, runs: Sequence[NewRun]) -> list[Started]:
        """Start runs, each as if the ones before it had been started already. A repeat of a run id is the same start."""
        return [self._start(run) for run in runs]

    def _start(self, run: NewRun) -> Started:
        tables = self._tables
        known = tables.by_request.get(run.request_id) if run.request_id is not None else None
        known = known or tables.find(run.workflow_id, run.run_id)
        if known is not None:
            return Started(known.id, known.run_id, known.run_id == run.run_id)
        old = tables.latest.get(run.workflow_id)
        if old is not None and old.status.is_open:
            if run.on_conflict == "use_existing":
                self._signal_once(old, run)
                return Started(old.id, old.run_id, False)
            if run.on_conflict != "terminate_existing":
                return Started(old.id, old.run_id, False, "a run with this id is open")
            self._endings.end_at_once(old, "replaced by a new start")
        elif old is not None and (
            run.reuse == "reject"
            or (run.reuse == "failed_only" and old.status in (Status.COMPLETED, Status.CONTINUED_AS_NEW))
        ):
            return Started(old.id, old.run_id, False, f"a run with this id has ended ({old.status}) and reuse is {run.reuse}")
        return Started(self._make(run).id, run.run_id, True)

    def _signal_once(self, old: Run, run: NewRun) -> None:
        # The start's run id keeps a repeat from counting twice.
        if run.signal is not None and self._tables.take_request(old.first_run_id, run.run_id):
            name, payload = run.signal
            self._mail.deliver(old, SignalReceived(name, payload), run.run_id)

    def _make(self, new: NewRun) -> Run:
        now = self._tables.now()
        due = now + (new.start_delay or timedelta())
        run = Run(
            self._tables.new_id(), new.workflow_id, new.run_id, new.run_id, new.workflow, new.task_queue, now, due, new.input,
            request_id=new.request_id, run_timeout=new.run_timeout, retry=new.retry, priority=new.priority, memo=new.memo,
            search=new.search, headers=dict(new.headers), expire=new.expire, record=fields_of(new.search),
            execution_deadline=None if new.execution_timeout is None else due + new.execution_timeout,
            task_timeout=new.task_timeout,
        )
        set_deadline(run, due)
        if new.signal is not None:
            name, payload = new.signal
            run.first_arrivals = run.arrived = 1
            run.inbox.append(Letter(1, now, SignalReceived(name, payload)))
        self._tables.add(run, due)
        return run


def set_deadline(run: Run, due: datetime) -> None:
    """When a run's time is up: by its own timeout or by the chain's, whichever is earlier."""
    own = None if run.run_timeout is None else due + run.run_timeout
    run.deadline = min((at for at in (own, run.execution_deadline) if at is not None), default=None)
    run.deadline_kind = None if run.deadline is None else "run" if run.deadline == own else "execution"
