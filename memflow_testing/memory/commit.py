"""Turns made durable. Counterpart of `functions/30_commit.sql` to `34`: the same fence, the same order of effects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import assert_never

from memflow.core.arrivals import (
    ActivityCancelled,
    Arrival,
    CancelRequested,
    ChildNotStarted,
    ChildStarted,
    SignalReceived,
)
from memflow.core.interrupts import AnswerUpdate, AwaitSignal, CancelWait, Emit, SendSignal, StartChild, StopOther
from memflow.failure import Failure, encode_failure
from memflow.store.base import ActivityRow, Committed, Effect, Event, NextRun, TurnCommit
from memflow_testing.memory.mail import MailRoom
from memflow_testing.memory.runs import SOON, Runs, fields_of, set_deadline
from memflow_testing.memory.tables import ActivityRec, Letter, ReplyRec, Run, Tables


class Commits:
    """Writes what turns did, each run fenced on its own."""

    def __init__(
        self, tables: Tables, now: Callable[[], datetime], ring: Callable[[str], None], mail: MailRoom, runs: Runs
    ) -> None:
        self._tables = tables
        self._now = now
        self._ring = ring
        self._mail = mail
        self._runs = runs

    def commit(self, worker: int, turns: Sequence[TurnCommit]) -> list[Committed]:
        """The shares of a group commit; the answers in their order."""
        answers = {turn.run: self._fence(worker, turn) for turn in turns}
        won = sorted((turn for turn in turns if answers[turn.run].outcome == "won"), key=lambda turn: turn.run)
        for turn in won:
            self._write(worker, turn)
        for turn in won:
            if turn.next is not None:
                self._go_on(self._tables.runs[turn.run], turn.next)
        for turn in won:
            for effect in turn.effects:
                self._do(turn, effect)
        for turn in won:
            if not turn.status.is_open:
                self._runs.tell_family(self._tables.runs[turn.run])
        return [self._with_mail(worker, turn, answers[turn.run]) for turn in turns]

    # ------------------------------------------------------------------------------------------------- the fence

    def _fence(self, worker: int, turn: TurnCommit) -> Committed:
        run = self._tables.runs.get(turn.run)
        wake = None if run is None else run.wake
        if run is None or wake is None or (wake.owner, wake.token, run.length) != (worker, turn.token, turn.length):
            return Committed(turn.run, "fenced", 0, True)
        unread = run.arrived > turn.consumed
        if not turn.status.is_open:
            if unread and turn.next is None:
                return Committed(turn.run, "unread", run.arrived, False)
            return Committed(turn.run, "won", run.arrived, True)
        free = turn.release and not (unread and turn.sticky)
        if free:
            wake.owner = wake.token = None
        wake.prefers = worker if turn.release and not unread and turn.sticky else None
        if unread:
            wake.wake_at = self._now() if turn.sticky else turn.wake_at or self._now()
        else:
            wake.wake_at = turn.wake_at if turn.release else None
        wake.crashes = 0
        if free and wake.wake_at is not None and wake.wake_at <= self._now() + SOON:
            self._ring(f"queue:{wake.queue}")
        return Committed(turn.run, "won", run.arrived, free)

    def _with_mail(self, worker: int, turn: TurnCommit, answer: Committed) -> Committed:
        """Arrivals that the commit brought its own members: such a run stays with its owner, who is told here."""
        run = self._tables.runs.get(turn.run)
        wake = None if run is None else run.wake
        if answer.outcome != "won" or run is None or wake is None or run.arrived == answer.arrived:
            return answer
        wake.owner = worker if turn.sticky else None
        wake.token = turn.token if turn.sticky else None
        wake.wake_at = self._now() if turn.sticky else turn.wake_at or self._now()
        wake.prefers = None
        return Committed(turn.run, "won", run.arrived, not turn.sticky)

    # ------------------------------------------------------------------------------------------------- the run itself

    def _write(self, worker: int, turn: TurnCommit) -> None:
        run = self._tables.runs[turn.run]
        run.journal.extend(turn.entries)
        if turn.entries:
            run.turn, run.last_at = turn.entries[-1].turn, turn.entries[-1].at
        run.consumed, run.retries = turn.consumed, turn.retries
        run.waiting_at, run.detail = turn.waiting_at, turn.detail
        run.inbox = [each for each in run.inbox if each.position > turn.consumed]
        for row in turn.activities:
            self._add_activity(worker, run, row)
        for op in turn.cancelled_activities:
            self._cancel_activity(turn, run, op)
        for op in turn.dropped_activities:
            self._drop_activity(run, op)
        if turn.record is not None:
            run.record = fields_of(turn.record) or run.record
        if turn.memo is not None:
            run.memo_now = turn.memo
        if turn.status.is_open:
            for arrival in turn.mail:
                self._mail.deliver(run, arrival)
        else:
            run.result = turn.result
            self._runs.close(run, turn.status)

    def _add_activity(self, worker: int, run: Run, row: ActivityRow) -> None:
        if (run.id, row.op) in self._tables.activities:
            return                                       # a recovered run may ask for the same one again
        owner = None if row.token is None else worker
        self._tables.activities[run.id, row.op] = ActivityRec(
            run.id, row.op, row.name, row.task_queue, row.input, row.options, dict(row.headers), row.next_attempt_at,
            row.scheduled_at, row.close_by, row.attempt, owner, row.token, False, row.last_failure, row.heartbeat,
        )
        if owner is None and row.next_attempt_at <= self._now() + SOON:
            self._ring(f"activities:{row.task_queue}")

    def _cancel_activity(self, turn: TurnCommit, run: Run, op: int) -> None:
        found = self._tables.activities.get((run.id, op))
        if found is None:
            return
        if found.owner is not None:
            found.cancel_requested = True
            self._ring(f"worker:{found.owner}")
            return
        del self._tables.activities[run.id, op]
        if turn.status.is_open:
            self._mail.deliver(run, ActivityCancelled(op, Failure("cancelled", "cancelled")))

    def _drop_activity(self, run: Run, op: int) -> None:
        found = self._tables.activities.pop((run.id, op), None)
        if found is not None and found.owner is not None:
            self._ring(f"worker:{found.owner}")

    def _go_on(self, old: Run, new: NextRun) -> None:
        """The next run of a chain begins in the place of the one that ends, and gets the mail that no code has taken."""
        now = self._now()
        due = now + new.delay
        run = Run(
            self._tables.new_id(), old.workflow_id, new.run_id, old.first_run_id, new.workflow or old.workflow,
            new.task_queue or old.task_queue, now, due, new.input or old.input,
            continued_run_id=old.run_id, run_timeout=new.run_timeout or old.run_timeout,
            execution_deadline=old.execution_deadline, retry=new.retry or old.retry, attempt=new.attempt, priority=old.priority,
            parent=old.parent, parent_op=old.parent_op, parent_policy=old.parent_policy,
            parent_workflow_id=old.parent_workflow_id, parent_run_id=old.parent_run_id, memo=new.memo, search=new.record,
            headers=old.headers, version=old.version, expire=old.expire, record=fields_of(new.record),
        )
        set_deadline(run, due)
        letters: list[tuple[datetime, Arrival, str | None]] = [(now, signal, None) for signal in new.signals]
        # What answers an operation of the run that ended goes with it, but for signals: by now they are this workflow's.
        letters += [
            (each.at, each.arrival, each.dedupe)
            for each in old.inbox
            if getattr(each.arrival, "op", None) is None or isinstance(each.arrival, SignalReceived)
        ]
        run.inbox = [Letter(n, at, arrival, dedupe) for n, (at, arrival, dedupe) in enumerate(letters, start=1)]
        run.first_arrivals = run.arrived = len(run.inbox)
        old.inbox.clear()
        old.next_run_id = new.run_id
        self._runs.add(run, due)

    # ------------------------------------------------------------------------------------------------- effects

    def _do(self, turn: TurnCommit, effect: Effect) -> None:
        run, ended = self._tables.runs[turn.run], not turn.status.is_open
        match effect:
            case AwaitSignal(op=op, signal_id=signal_id):
                if not ended:
                    self._mail.wait(run, op, signal_id)
            case CancelWait(op=op):
                self._mail.unwait(run.id, op)
            case SendSignal(name=name, payload=payload, workflow_id=target, run_id=run_id):
                if target is None:
                    self._mail.give(name, payload, None)
                    return
                other = self._tables.find_open(target, run_id)
                if other is not None and other.status.is_open:
                    self._mail.deliver(other, SignalReceived(name, payload))
            case StopOther(how=how, workflow_id=target, run_id=run_id, reason=reason):
                other = self._tables.find_open(target, run_id)
                if other is not None and other.status.is_open:
                    if how == "cancel":
                        self._mail.deliver(other, CancelRequested(reason))
                    else:
                        self._runs.end_at_once(other, reason)
            case StartChild():
                self._start_child(run, effect, ended)
            case Emit(events=events):
                for topic, payload in events.items():
                    position = len(self._tables.events) + 1
                    self._tables.events.append(Event(position, topic, payload, self._now(), run.workflow_id))
                self._ring("event")
            case AnswerUpdate(update_id=update_id, outcome=outcome, result=result, failure=failure):
                answer = result if failure is None else encode_failure(failure)
                self._tables.replies[run.first_run_id, update_id] = ReplyRec(outcome, answer)
                self._ring("reply")
            case _:
                assert_never(effect)

    def _start_child(self, parent: Run, child: StartChild, ended: bool) -> None:
        there = self._tables.latest.get(child.workflow_id)
        if there is None or (there.run_id != child.run_id and not there.status.is_open):
            there = self._make_child(parent, child)
        if ended:
            return
        if there.run_id != child.run_id:
            self._mail.deliver(parent, ChildNotStarted(child.op, child.workflow_id, there.run_id))
        elif child.announce:
            self._mail.deliver(parent, ChildStarted(child.op))

    def _make_child(self, parent: Run, child: StartChild) -> Run:
        now, options = self._now(), child.options
        run = Run(
            self._tables.new_id(), child.workflow_id, child.run_id, child.run_id, child.workflow,
            options.task_queue or parent.task_queue, now, now, child.input,
            run_timeout=options.run_timeout, retry=options.retry, headers=dict(child.headers),
            execution_deadline=None if options.execution_timeout is None else now + options.execution_timeout,
            parent=parent.id, parent_op=child.op, parent_policy=options.parent_close_policy.value,
            parent_workflow_id=parent.workflow_id, parent_run_id=parent.run_id,
        )
        set_deadline(run, now)
        self._runs.add(run, now)
        return run
