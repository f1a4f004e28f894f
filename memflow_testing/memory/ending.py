"""How runs end, and what an end means to others. Counterpart of `functions/11_ending.sql`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from memflow.core.arrivals import CancelRequested, ChildCancelled, ChildCompleted, ChildFailed, RunTerminated, RunTimedOut
from memflow.core.entries import JournalEntry
from memflow.failure import Failure, decode_failure, encode_failure
from memflow.payload import NOTHING, Payload
from memflow.run_info import CRON_HEADER
from memflow.runs import Status
from memflow.store.runs import run_timed_out, terminated
from memflow.store.values import Sent
from memflow_testing.memory.escalations import Escalations
from memflow_testing.memory.hooks import drop_hooks
from memflow_testing.memory.mail import MailRoom
from memflow_testing.memory.tables import Run, Tables

_PARENT_CLOSED = "the parent workflow closed"
_PATIENCE = timedelta(seconds=10)
"""For so long a run whose time is up is left to the workers of its queue."""

_ENDED = {Status.FAILED: "failed", Status.TIMED_OUT: "timed out"}


class Endings:
    """Ends."""

    def __init__(self, tables: Tables, mail: MailRoom, escalations: Escalations) -> None:
        self._tables = tables
        self._mail = mail
        self._escalations = escalations

    def terminate(
        self, workflow_id: str, run_id: str | None, reason: str | None, failure: Payload | None = None
    ) -> Sent:
        """End a run at once, over its owner's head."""
        run = self._tables.find(workflow_id, run_id)
        if run is None:
            return Sent("not_found")
        if not run.status.is_open:
            return Sent("closed", run.status)
        self.end_at_once(run, reason, failure)
        return Sent("delivered", Status.TERMINATED)

    def end_at_once(self, run: Run, reason: str | None, failure: Payload | None = None) -> None:
        """Terminate an open run, and tell its family."""
        self._end(run, RunTerminated(reason), failure or encode_failure(terminated(reason)), Status.TERMINATED)
        self.tell([run])

    def time_out(self, runs: Iterable[Run]) -> None:
        """End those whose time is up, and that no worker will come for. Counterpart of `functions/11_timing_out.sql`."""
        for run in runs:
            if self._is_overdue(run):
                kind = run.deadline_kind or "run"
                self._end(run, RunTimedOut(kind), encode_failure(run_timed_out(kind)), Status.TIMED_OUT)
                self.tell([run])

    def _is_overdue(self, run: Run) -> bool:
        now, wall = self._tables.now(), self._tables.wall()
        if run.status is not Status.RUNNING or run.deadline is None or run.deadline > now:
            return False
        if run.deadline_kind != "execution" and (run.retry is not None or CRON_HEADER in run.headers):
            return False
        workers = [each for each in self._tables.workers.values() if each.lives(wall)]
        if run.wake is not None and any(run.wake.owner == each.id for each in workers):
            return False
        queue = run.task_queue.removesuffix("/activities")
        return run.deadline < now - _PATIENCE or not any(queue in each.queues for each in workers)

    def _end(self, run: Run, how: RunTerminated | RunTimedOut, failure: Payload, status: Status) -> None:
        now = max(self._tables.now(), run.last_at)
        run.turn += 1
        run.journal.append(JournalEntry(run.length + 1, run.turn, now, how))
        run.last_at = now
        run.result = failure
        if run.wake is not None and run.wake.owner is not None:
            self._tables.ring(f"worker:{run.wake.owner}")
        run.inbox.clear()
        run.status = status
        self.close(run)
        self._escalations.drop_waits(run.id)
        self.tell_schedule(run)

    def close(self, run: Run) -> None:
        """A run whose status says that it has ended: its wake and its activities go."""
        tables = self._tables
        run.closed_at = tables.now()
        run.expires_at = None if run.expire is None else run.closed_at + run.expire
        run.waiting_at = run.detail = None
        run.wake = None
        tables.open.pop(run.id, None)
        for each in tables.activities_of(run.id):
            tables.drop_activity(each.run, each.op)
            if each.owner is not None:
                tables.ring(f"worker:{each.owner}")
        tables.ring("done")

    def tell_schedule(self, run: Run) -> None:
        """Leave word for the schedule that started this run, which has ended and is not gone on with."""
        if run.schedule is not None and run.next_run_id is None and run.schedule in self._tables.schedules:
            self._tables.schedule_ends.append((run.schedule, run.id))
            self._tables.ring("schedules")

    def tell(self, runs: Iterable[Run]) -> None:
        """What these ends mean to others: who waits for hooks, the parent, and the close policy for open children."""
        ended = list(runs)
        while ended:
            for run in ended:
                drop_hooks(self._tables, self._mail, run)
            for run in sorted(ended, key=lambda run: run.id):
                parent = None if run.parent is None else self._tables.runs.get(run.parent)
                if run.next_run_id is None and parent is not None and parent.status.is_open:
                    self._mail.deliver(parent, answer_of(run))
            children = [child for run in ended for child in self._tables.children(run.id)]
            for child in children:
                if child.parent_policy == "request_cancel":
                    self._mail.deliver(child, CancelRequested(_PARENT_CLOSED))
            ended = [child for child in children if child.parent_policy == "terminate"]
            for child in ended:
                failure = encode_failure(terminated(_PARENT_CLOSED))
                self._end(child, RunTerminated(_PARENT_CLOSED), failure, Status.TERMINATED)


def answer_of(child: Run) -> ChildCompleted | ChildCancelled | ChildFailed:
    """What a parent learns of a child's end."""
    assert child.parent_op is not None, "a child knows what asked for it"
    if child.status is Status.COMPLETED:
        return ChildCompleted(child.parent_op, child.result or NOTHING)
    answer = ChildCancelled if child.status is Status.CANCELLED else ChildFailed
    if child.result is not None and child.result.encoding not in (None, "failure"):
        return answer(child.parent_op, decode_failure(child.result))     # encrypted: nobody here can put it into another
    how = _ENDED.get(child.status, f"was {child.status}")
    failure = Failure(
        "child",
        f"child workflow {child.workflow} ({child.workflow_id}) {how}",
        facts={"workflow": child.workflow, "workflow_id": child.workflow_id, "run_id": child.run_id},
    )
    if child.result is not None and child.result.encoding == "failure":
        failure = replace(failure, cause=decode_failure(child.result))
    return answer(child.parent_op, failure)
