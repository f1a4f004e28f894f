"""Runs: start, end, and what an end means to others. Counterpart of `functions/11_ending.sql` and `12_start.sql`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

from memflow.core.arrivals import (
    CancelRequested,
    ChildCancelled,
    ChildCompleted,
    ChildFailed,
    RunStarted,
    RunTerminated,
    SignalReceived,
)
from memflow.core.entries import JournalEntry
from memflow.failure import Failure, decode_failure, encode_failure
from memflow.payload import NOTHING, Payload
from memflow.runs import Status
from memflow.store.base import NewRun, RunRow, Sent, Started
from memflow.store.runs import terminated
from memflow_testing.memory.mail import MailRoom
from memflow_testing.memory.tables import Letter, Run, Tables, Wake

SOON = timedelta(seconds=2)
"""What is due within this time is rung for: an idle worker looks again after a second or so."""

_PARENT_CLOSED = "the parent workflow closed"
_ENDED = {Status.FAILED: "failed", Status.TIMED_OUT: "timed out"}


class Runs:
    """Beginnings and ends."""

    def __init__(self, tables: Tables, now: Callable[[], datetime], ring: Callable[[str], None], mail: MailRoom) -> None:
        self._tables = tables
        self._now = now
        self._ring = ring
        self._mail = mail

    # ------------------------------------------------------------------------------------------------- start

    def start(self, run: NewRun) -> Started:
        """Start a run, as its conflict and reuse policies allow. A repeat is the same start."""
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
            self.end_at_once(old, "replaced by a new start")
        elif old is not None and (
            run.reuse == "reject"
            or (run.reuse == "failed_only" and old.status in (Status.COMPLETED, Status.CONTINUED_AS_NEW))
        ):
            return Started(old.id, old.run_id, False, f"a run with this id has ended ({old.status}) and reuse is {run.reuse}")
        return Started(self._make(run).id, run.run_id, True)

    def _signal_once(self, old: Run, run: NewRun) -> None:
        key = (old.first_run_id, run.run_id)
        if run.signal is not None and key not in self._tables.requests:
            self._tables.requests.add(key)
            name, payload = run.signal
            self._mail.deliver(old, SignalReceived(name, payload), run.run_id)

    def _make(self, new: NewRun) -> Run:
        now = self._now()
        due = now + (new.start_delay or timedelta())
        run = Run(
            self._tables.new_id(), new.workflow_id, new.run_id, new.run_id, new.workflow, new.task_queue, now, due, new.input,
            request_id=new.request_id, run_timeout=new.run_timeout, retry=new.retry, priority=new.priority, memo=new.memo,
            search=new.search, headers=dict(new.headers), expire=new.expire, record=fields_of(new.search),
            execution_deadline=None if new.execution_timeout is None else due + new.execution_timeout,
        )
        set_deadline(run, due)
        if new.signal is not None:
            name, payload = new.signal
            run.first_arrivals = run.arrived = 1
            run.inbox.append(Letter(1, now, SignalReceived(name, payload)))
        self.add(run, due)
        return run

    def add(self, run: Run, due: datetime) -> None:
        """A new run is due."""
        run.wake = Wake(run.task_queue, run.priority, due)
        self._tables.add(run)
        if due <= self._now() + SOON:
            self._ring(f"queue:{run.task_queue}")

    # ------------------------------------------------------------------------------------------------- end

    def terminate(self, workflow_id: str, run_id: str | None, reason: str | None) -> Sent:
        """End a run at once, over its owner's head."""
        run = self._tables.find(workflow_id, run_id)
        if run is None:
            return Sent("not_found")
        if not run.status.is_open:
            return Sent("closed", run.status)
        self.end_at_once(run, reason)
        return Sent("delivered", Status.TERMINATED)

    def end_at_once(self, run: Run, reason: str | None) -> None:
        """Terminate an open run, and tell its family."""
        now = max(self._now(), run.last_at)
        run.turn += 1
        run.journal.append(JournalEntry(run.length + 1, run.turn, now, RunTerminated(reason)))
        run.last_at = now
        run.result = encode_failure(terminated(reason))
        owners = {each.owner for each in self._tables.activities_of(run.id)} | {run.wake.owner if run.wake else None}
        for owner in owners - {None}:
            self._ring(f"worker:{owner}")
        run.inbox.clear()
        self.close(run, Status.TERMINATED)
        self.tell_family(run)

    def close(self, run: Run, status: Status) -> None:
        """An open run ends: what was held for it goes."""
        run.status = status
        run.closed_at = self._now()
        run.expires_at = None if run.expire is None else run.closed_at + run.expire
        run.waiting_at = run.detail = None
        run.wake = None
        for each in self._tables.activities_of(run.id):
            if each.owner is not None:
                self._ring(f"worker:{each.owner}")
            del self._tables.activities[each.run, each.op]
        self._tables.signals = [each for each in self._tables.signals if each.run != run.id]
        self._ring("done")

    def tell_family(self, run: Run) -> None:
        """The parent's answer, and the close policy for open children. Of a run that goes on, only the children's."""
        if run.next_run_id is None and run.parent is not None:
            parent = self._tables.runs.get(run.parent)
            if parent is not None and parent.status.is_open:
                self._mail.deliver(parent, answer_of(run))
        for child in self._tables.children(run.id):
            if child.parent_policy == "request_cancel":
                self._mail.deliver(child, CancelRequested(_PARENT_CLOSED))
            elif child.parent_policy == "terminate":
                self.end_at_once(child, _PARENT_CLOSED)


def answer_of(child: Run) -> ChildCompleted | ChildCancelled | ChildFailed:
    """What a parent learns of a child's end."""
    assert child.parent_op is not None, "a child knows what asked for it"
    if child.status is Status.COMPLETED:
        return ChildCompleted(child.parent_op, child.result or NOTHING)
    how = _ENDED.get(child.status, f"was {child.status}")
    failure = Failure(
        "child",
        f"child workflow {child.workflow} ({child.workflow_id}) {how}",
        facts={"workflow": child.workflow, "workflow_id": child.workflow_id, "run_id": child.run_id},
    )
    if child.result is not None and child.result.encoding == "failure":
        failure = replace(failure, cause=decode_failure(child.result))
    return (ChildCancelled if child.status is Status.CANCELLED else ChildFailed)(child.parent_op, failure)


def set_deadline(run: Run, due: datetime) -> None:
    """When a run's time is up: by its own timeout or by the chain's, whichever is earlier."""
    own = None if run.run_timeout is None else due + run.run_timeout
    run.deadline = min((at for at in (own, run.execution_deadline) if at is not None), default=None)
    run.deadline_kind = None if run.deadline is None else "run" if run.deadline == own else "execution"


def fields_of(payload: Payload | None) -> dict[str, Any] | None:
    """The JSON object in a payload of fields; nothing if it is none, or encrypted."""
    if payload is None or payload.encoding is not None:
        return None
    try:
        found: Any = json.loads(payload.data)
    except ValueError:
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def entries_of(run: Run, after: int) -> list[JournalEntry]:
    """The journal after a seq. Its first entry has the input of the run, wherever the worker had that from."""
    entries = run.journal[after:]
    if entries and isinstance(entries[0].entry, RunStarted):
        entries[0] = replace(entries[0], entry=RunStarted(run.input))
    return entries


def run_row(run: Run) -> RunRow:
    """A run as clients see its row."""
    wake = run.wake
    return RunRow(
        run=run.id,
        namespace="default",
        workflow_id=run.workflow_id,
        run_id=run.run_id,
        workflow=run.workflow,
        task_queue=run.task_queue,
        status=run.status,
        detail=run.detail,
        waiting_at=run.waiting_at,
        started_at=run.started_at,
        closed_at=run.closed_at,
        length=run.length,
        arrived=run.arrived,
        consumed=run.consumed,
        owner=None if wake is None else wake.owner,
        wake_at=None if wake is None else wake.wake_at,
        parent_workflow_id=run.parent_workflow_id,
        parent_run_id=run.parent_run_id,
        first_run_id=run.first_run_id,
        next_run_id=run.next_run_id,
        attempt=run.attempt,
        input=run.input,
        result=run.result,
        record=json.loads(json.dumps(run.record)) if run.record else {},
        memo=run.memo_now or run.memo,
    )

