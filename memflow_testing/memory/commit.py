"""Turns made durable. Counterpart of `functions/30_commit.sql` and `31_commit_activities.sql`: the same fence, the same order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from memflow.core.arrivals import ActivityCancelled, SignalReceived, WaitCancelled
from memflow.core.interrupts import AwaitSignal, CancelWait, Emit, SendHook, SendSignal
from memflow.failure import Failure
from memflow.runs import Status
from memflow.store.turns import ActivityRow, Committed, TurnCommit
from memflow_testing.memory.chains import go_on
from memflow_testing.memory.effects import Effects
from memflow_testing.memory.ending import Endings
from memflow_testing.memory.escalations import Escalations
from memflow_testing.memory.mail import MailRoom
from memflow_testing.memory.rows import fields_of
from memflow_testing.memory.signals import Signals
from memflow_testing.memory.tables import SOON, ActivityRec, Run, Tables

_ENDING_FOR = timedelta(seconds=10)
"""How long patient senders wait for a run whose end has met unread mail."""


class Commits:
    """Writes what turns did, each run fenced on its own."""

    def __init__(
        self, tables: Tables, mail: MailRoom, endings: Endings, escalations: Escalations, signals: Signals
    ) -> None:
        self._tables = tables
        self._mail = mail
        self._endings = endings
        self._escalations = escalations
        self._signals = signals
        self._effects = Effects(tables, mail, endings, signals)

    def commit(self, worker: int, turns: Sequence[TurnCommit]) -> list[Committed]:
        """The shares of a group commit; the answers in their order."""
        answers = {turn.run: _refused(turn) or self._fence(worker, turn) for turn in turns}
        won = sorted((turn for turn in turns if answers[turn.run].outcome == "won"), key=lambda turn: turn.run)
        runs = self._tables.runs
        for turn in won:
            self._write(worker, runs[turn.run], turn)
        for turn in won:
            self._cancel(runs[turn.run], turn)
        closed = [runs[turn.run] for turn in won if not turn.status.is_open]
        for turn in won:
            if not turn.status.is_open:
                self._leave(runs[turn.run], turn)
        for turn in won:
            if turn.version is not None:
                _note_version(runs[turn.run], *turn.version)
        for turn in won:
            if turn.next is not None:
                go_on(self._tables, runs[turn.run], turn.next)
        self._effects.do(won)
        self._endings.tell(closed)
        for run in closed:
            self._endings.tell_schedule(run)
        return [self._with_mail(worker, turn, answers[turn.run]) for turn in turns]

    # ------------------------------------------------------------------------------------------------- the fence

    def _fence(self, worker: int, turn: TurnCommit) -> Committed:
        run = self._tables.runs.get(turn.run)
        wake = None if run is None else run.wake
        if run is None or wake is None or (wake.owner, wake.token, run.length) != (worker, turn.token, turn.length):
            return Committed(turn.run, "fenced", 0, True)
        now, unread, closing = self._tables.now(), run.arrived > turn.consumed, not turn.status.is_open
        paused = run.status is Status.PAUSED
        if closing:
            may = not paused and (not unread or turn.next is not None)
        else:
            may = not paused or not turn.sticky          # what its owner leaves behind when it lets go of it
        if not paused and self._sends_to_a_busy_one(run, turn):
            return Committed(turn.run, "busy", run.arrived, False)
        if not may or _contested(run, turn):
            if closing and not paused:
                # Its end is tried again, with the mail. Senders wait meanwhile, or a flood of them would keep it open for ever.
                run.ending_until = now + _ENDING_FOR
            return Committed(turn.run, "paused" if paused else "unread", run.arrived, False)
        if closing:
            return Committed(turn.run, "won", run.arrived, True)
        free = turn.release and not (unread and turn.sticky)
        if free:
            wake.owner = wake.token = None
        wake.prefers = worker if turn.release and not unread and turn.sticky else None
        if paused:
            wake.wake_at = None
        elif unread:
            wake.wake_at = now if turn.sticky else turn.wake_at or now
        else:
            wake.wake_at = turn.wake_at if turn.release else None
        wake.crashes = 0
        if free and wake.wake_at is not None and wake.wake_at <= now + SOON:
            self._tables.ring(f"queue:{wake.queue}")
        return Committed(turn.run, "won", run.arrived, free)

    def _sends_to_a_busy_one(self, run: Run, turn: TurnCommit) -> bool:
        """Whether it sends something to another run that is trying to end."""
        for each in turn.effects:
            if isinstance(each, SendSignal | SendHook) and each.workflow_id is not None:
                target = self._tables.find_open(each.workflow_id, each.run_id)
                if target is None or target is run or target.status is not Status.RUNNING or target.ending_until is None:
                    continue
                if target.ending_until > self._tables.now():
                    return True
        return False

    def _with_mail(self, worker: int, turn: TurnCommit, answer: Committed) -> Committed:
        """Arrivals that the commit brought its own members: such a run stays with its owner, who is told here."""
        run = self._tables.runs.get(turn.run)
        wake = None if run is None else run.wake
        if answer.outcome != "won" or run is None or wake is None or run.arrived == answer.arrived:
            return answer
        wake.owner = worker if turn.sticky else None
        wake.token = turn.token if turn.sticky else None
        if run.status is Status.PAUSED:
            wake.wake_at = None
        else:
            wake.wake_at = self._tables.now() if turn.sticky else turn.wake_at or self._tables.now()
        wake.prefers = None
        return Committed(turn.run, "won", run.arrived, not turn.sticky)

    # ------------------------------------------------------------------------------------------------- the run itself

    def _write(self, worker: int, run: Run, turn: TurnCommit) -> None:
        closing = not turn.status.is_open
        run.journal.extend(turn.entries)
        if turn.entries:
            run.turn, run.last_at = turn.entries[-1].turn, turn.entries[-1].at
        run.consumed, run.retries = turn.consumed, turn.retries
        run.waiting_at, run.detail, run.result = turn.waiting_at, turn.detail, turn.result
        if not closing and turn.sticky:
            run.ending_until = None
        run.inbox = [each for each in run.inbox if each.position > turn.consumed]
        for row in turn.activities:
            self._add_activity(worker, run, row)
        if turn.record is not None:
            fields = fields_of(turn.record)
            run.record = run.record if fields is None else fields
        if turn.memo is not None:
            run.memo_now = turn.memo
        if closing:
            run.status = turn.status

    def _add_activity(self, worker: int, run: Run, row: ActivityRow) -> None:
        there = self._tables.activities.get((run.id, row.op))
        if there is not None:                            # a recovered run may ask for the same one again
            if there.queue == "" and row.task_queue == "":   # what is kept of a local activity is kept anew
                there.attempt, there.due, there.last_failure = row.attempt, row.next_attempt_at, row.last_failure
            return
        owner = None if row.token is None else worker
        self._tables.add_activity(
            ActivityRec(
                run.id, row.op, row.name, row.task_queue, row.input, row.options, dict(row.headers), row.next_attempt_at,
                row.scheduled_at, row.close_by, row.attempt, owner, row.token, False, row.last_failure, row.heartbeat,
            )
        )
        if owner is None and row.task_queue and row.next_attempt_at <= self._tables.now() + SOON:
            self._tables.ring(f"activities:{row.task_queue}")

    def _cancel(self, run: Run, turn: TurnCommit) -> None:
        """A cancelled activity that nobody runs is answered at once; who runs one learns it with the next heartbeat."""
        for op in turn.cancelled_activities:
            found = self._tables.activities.get((run.id, op))
            if found is None:
                continue
            if found.owner is not None:
                found.cancel_requested = True
                self._tables.ring(f"worker:{found.owner}")
            elif turn.status.is_open:
                self._tables.drop_activity(run.id, op)
                self._mail.deliver(run, ActivityCancelled(op, Failure("cancelled", "cancelled")))
        for op in turn.dropped_activities:
            found = self._tables.drop_activity(run.id, op)
            if found is not None and found.owner is not None:
                self._tables.ring(f"worker:{found.owner}")

    def _leave(self, run: Run, turn: TurnCommit) -> None:
        """A run ends: what was held for it goes. Waits that it left first, before its end cancels all that it still waits for."""
        for effect in turn.effects:
            if isinstance(effect, CancelWait) and effect.became is not None:
                self._signals.unwait(run.id, effect.op, effect.became, effect.payload)
        self._endings.close(run)
        self._escalations.drop_waits(run.id)


def _contested(run: Run, turn: TurnCommit) -> bool:
    """Whether it leaves a wait although somebody has just answered its escalation: it must read that first."""
    left = {each.op for each in turn.effects if isinstance(each, CancelWait) and each.became is not None}
    return bool(left) and any(
        each.position > turn.consumed and isinstance(each.arrival, SignalReceived | WaitCancelled) and each.arrival.op in left
        for each in run.inbox
    )


def _note_version(run: Run, version: str, pinned: bool) -> None:
    """Which version of the code has advanced a run, and whether it is pinned to it from now on."""
    if run.pinned:
        return
    run.version, run.pinned = version, pinned
    if pinned and run.wake is not None:
        run.wake.version = version


def _refused(turn: TurnCommit) -> Committed | None:
    """Postgres holds no text with a NUL in it, nor with half a surrogate; so nobody does here."""
    for text in _texts(turn):
        if "\0" in text:
            return Committed(turn.run, "refused", 0, False, 'invalid byte sequence for encoding "UTF8": 0x00')
        try:
            text.encode()
        except UnicodeEncodeError as error:
            return Committed(turn.run, "refused", 0, False, str(error))
    return None


def _texts(turn: TurnCommit) -> list[str]:
    texts = [text for text in (turn.detail, turn.waiting_at) if text]
    for effect in turn.effects:
        match effect:
            case AwaitSignal(signal_id=name) | SendSignal(name=name, workflow_id=None):
                texts.append(name)
            case Emit(events=events):
                texts.extend(events)
            case _:
                pass
    return texts
