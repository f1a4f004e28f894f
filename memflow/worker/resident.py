"""One owned run: advance, commit, act. Everything here is memory; the committer takes its share to Postgres.

Read `advance` → `run_ahead` → `share` → `won`. A turn that fails, and a close over unread mail, are cut back to where
that turn began, so that what came before is kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol
from uuid import uuid4

from memflow.activity import ActivityDefinition
from memflow.core.arrivals import (
    ActivityCancelled,
    ActivityFailed,
    ActivityTimedOut,
    Answer,
    Arrival,
    ChildStarted,
    RunStarted,
    RunTimedOut,
    TimerFired,
    Turn,
)
from memflow.core.entries import JournalEntry
from memflow.core.interrupts import (
    CancelActivity,
    Cancelled,
    CancelTimer,
    Complete,
    Emit,
    Fail,
    Interrupt,
    ScheduleActivity,
    StartTimer,
    Trace,
    WriteRecord,
)
from memflow.core.replay import Replay
from memflow.failure import encode_failure
from memflow.payload import NO_ARGUMENTS, Payload
from memflow.runs import Status
from memflow.store.base import ActivityRow, Claim, TurnCommit
from memflow.worker import verdicts
from memflow.worker.jobs import Ending, Errand, HandBack, Job, Settled, TryAgain
from memflow.worker.unsaved import Unsaved

TURN_LIMIT = 500
"""Arrivals in one turn: a flood for one run must not starve its neighbours."""

REPEATABLE_FOR = timedelta(seconds=1)
"""How old a start may be for its first turn to take the start's own time (see `Resident.advance`)."""


class Hands(Protocol):
    """What a resident needs of its worker."""

    namespace: str

    def now(self) -> datetime:
        """The database's time."""
        ...

    def serves(self, task_queue: str, activity: str) -> ActivityDefinition | None:
        """The activity, if this worker serves that queue and knows that name."""
        ...

    def has_room(self) -> bool:
        """Whether an activity could start at once."""
        ...

    def mark(self, resident: Resident) -> None:
        """There is something to do for this resident."""
        ...

    def row_finished(self, job: Job, ending: Ending) -> None:
        """A durable activity ended here: report it."""
        ...


@dataclass(slots=True)
class Acts:
    """What a won commit allows: start these, stop those, tell the tracing sink."""

    start: list[Job] = field(default_factory=list[Job])
    stop: list[int] = field(default_factory=list[int])
    traces: list[Trace] = field(default_factory=list[Trace])
    report: list[tuple[Job, Ending]] = field(default_factory=list[tuple[Job, Ending]])
    due: list[datetime] = field(default_factory=list[datetime])  # of activity rows that anybody may take


class Resident:
    """A run that this worker owns, its replay, and what it waits for here."""

    def __init__(
        self,
        claim: Claim,
        replay: Replay,
        hands: Hands,
        *,
        scheduled_at: dict[int, datetime],
        rows: Collection[int] | None = None,
        cancelled: Collection[int] = (),
    ) -> None:
        """`rows` names the ops that have a durable row; None when no owner was lost, so that all have."""
        self.claim = claim
        self.run = claim.run
        self.replay = replay
        self.length = claim.length
        self.turn = claim.turn
        self.last_at = claim.last_at
        self.read = self.taken = claim.consumed      # inbox positions: read into memory, taken by a turn
        self.arrivals: deque[tuple[int | None, Arrival]] = deque()
        self.scheduled_at = scheduled_at
        self.memory: dict[int, Job] = {}             # activities that run, or wait for a slot, in memory alone
        self.cautious = claim.crashes > 0
        self.committing = self.marked = self.flush = False
        self.flush_timer: asyncio.TimerHandle | None = None
        self.wake_at: datetime | None = None         # as of the last commit that asked for release
        self.leaving: str | None = None              # why it is released without keeping its replay
        self.detail: str | None = None
        self._hands = hands
        self._unsaved = Unsaved()
        self._marks = self._unsaved.marks()          # where the last turn began
        self._taken_before = self.taken
        self._answers: list[Arrival] = []            # what the last turn knew from here, not from the inbox
        self._closing: Complete | Fail | Cancelled | RunTimedOut | None = None
        self._rows: list[ActivityRow] = []
        self._rows_in_flight: list[ActivityRow] = []
        self._becoming: list[Job] = []
        self._acts = Acts()
        self._close_by: dict[int, datetime] = {}
        self._start_by: dict[int, datetime] = {}
        for op, asked in replay.open_activities.items():
            if rows is None or op in rows:
                self._watch(asked, scheduled_at[op])
            elif op in cancelled:
                self.arrivals.append((None, ActivityCancelled(op, verdicts.cancelled())))
            else:
                self._recover(asked, scheduled_at[op])

    @property
    def closed(self) -> bool:
        """Whether its code has ended."""
        return self._closing is not None

    # ------------------------------------------------------------------------------------------------- advance

    def advance(self, now: datetime) -> None:
        """One turn of all that is due, if anything is.

        Raises:
            NondeterminismError, TurnFailed: the code cannot go on; `park` keeps what came before.
        """
        self._marks = self._unsaved.marks()
        self._taken_before = self.taken
        self._answers = []
        if self._closing is not None or self.leaving is not None:
            return
        if self.claim.deadline is not None and self.claim.deadline <= now:
            self._end_by_time(now)
            return
        first = self.turn == 0
        arrivals = self._due(now, first)
        if not arrivals:
            return
        at = max(now, self.last_at)
        if first and (self.cautious or now - self.claim.last_at < REPEATABLE_FOR):
            # The start's own time is durable already, so a crash before the first commit repeats this turn exactly.
            at = self.claim.last_at
        asked = self.replay.advance(Turn(at, arrivals))
        self.turn += 1
        self.last_at = at
        self._keep(arrivals, asked)

    def _keep(self, arrivals: list[Arrival], asked: list[Interrupt]) -> None:
        entries, turn, at = self._unsaved.entries, self.turn, self.last_at
        seq = self.length + len(entries)
        for arrival in arrivals:
            seq += 1
            entries.append(JournalEntry(seq, turn, at, arrival))
        for interrupt in asked:
            seq += 1
            entries.append(JournalEntry(seq, turn, at, interrupt))
            self._note(interrupt, at)

    def _due(self, now: datetime, first: bool) -> list[Arrival]:
        due: list[Arrival] = [RunStarted(self.claim.input or NO_ARGUMENTS)] if first else []
        answered: set[int] = set()
        while self.arrivals and len(due) < TURN_LIMIT:
            position, arrival = self.arrivals.popleft()
            if position is not None:
                self.taken = position
            if isinstance(arrival, Answer):
                if arrival.op in answered or not self.replay.expects(arrival):
                    continue                             # it comes late: another answer was faster
                if not isinstance(arrival, ChildStarted):
                    answered.add(arrival.op)             # a child's start is followed by its end, maybe in the same turn
                if position is None:
                    self._answers.append(arrival)
            due.append(arrival)
        timers = self.replay.open_timers
        if timers:
            fired = sorted((at, op) for op, at in timers.items() if at <= now and op not in answered)
            due.extend(TimerFired(op) for _, op in fired)
        if self._close_by:
            for op in [op for op, by in self._close_by.items() if by <= now and op not in answered and op not in self.memory]:
                due.append(self._late(op, "schedule_to_close"))
        return due

    def _late(self, op: int, kind: str) -> ActivityTimedOut:
        """The verdict on a durable activity whose time was up; its row goes with the commit."""
        self._unwatch(op)
        self._unsaved.dropped.append(op)
        asked = self.replay.open_activities[op]
        cause = verdicts.timed_out(kind, verdicts.limit_of(asked.options, kind))
        return ActivityTimedOut(op, verdicts.activity_failed(asked.name, op, 0, "timeout", cause))

    def _end_by_time(self, now: datetime) -> None:
        self._closing = RunTimedOut(self.claim.deadline_kind or "run")
        self.turn += 1
        self.last_at = max(now, self.last_at)
        self._unsaved.entries.append(
            JournalEntry(self.length + len(self._unsaved.entries) + 1, self.turn, self.last_at, self._closing)
        )

    def _note(self, interrupt: Interrupt, at: datetime) -> None:
        match interrupt:
            case ScheduleActivity():
                self._unsaved.scheduled.append((interrupt, at))
                self.scheduled_at[interrupt.op] = at
            case CancelActivity(op=op):
                self._unsaved.cancelled.append(op)
            case StartTimer() | CancelTimer():
                pass                                     # a released run's wake_at is its earliest open timer
            case Trace():
                self._unsaved.traces.append(interrupt)
            case Complete() | Fail() | Cancelled():
                self._closing = interrupt
            case _:
                self._unsaved.effects.append(interrupt)

    def next_due(self) -> datetime | None:
        """The earliest timer or deadline of this run, None when there is none."""
        due = [*self.replay.open_timers.values(), *self._close_by.values(), *self._start_by.values()]
        if self.claim.deadline is not None:
            due.append(self.claim.deadline)
        return min(due, default=None)

    def unstarted_by(self, now: datetime) -> list[int]:
        """Activities that should have been taken up by now; whether they were, their rows know."""
        return [op for op, by in self._start_by.items() if by <= now]

    def started_in_time(self, op: int, started: bool) -> None:
        """What the row of such an activity said."""
        del self._start_by[op]
        if not started and op in self.replay.open_activities:
            self.arrivals.append((None, self._late(op, "schedule_to_start")))

    # ------------------------------------------------------------------------------------------------- run ahead

    def run_ahead(self) -> list[Job]:
        """Activities that may start before any commit: those of a first turn that the run's row fully determines.

        Their inputs depend on nothing that is not durable (DESIGN, invariant 3). Empty: commit first.
        """
        unsaved = self._unsaved
        if (
            self.length
            or self.turn != 1
            or self.cautious
            or self.flush
            or self._closing is not None
            or not unsaved.scheduled
            or unsaved.cancelled
            or self.last_at != self.claim.last_at
            or self.taken != self.claim.first_arrivals
            or any(not isinstance(effect, WriteRecord | Emit) for effect in unsaved.effects)
        ):
            return []
        jobs = [self._memory_job(asked, at) for asked, at in unsaved.scheduled]
        ready = [job for job in jobs if job is not None]
        if len(ready) < len(jobs):
            return []
        unsaved.scheduled.clear()
        self.memory.update((job.errand.op, job) for job in ready)
        return ready

    def _memory_job(self, asked: ScheduleActivity, at: datetime) -> Job | None:
        """A job in memory alone, if this activity may run so: here, without heartbeats, and nobody crashed on it."""
        definition = self._hands.serves(asked.options.task_queue or self.claim.task_queue, asked.name)
        if definition is None or self.cautious or definition.transactional or asked.options.heartbeat_timeout is not None:
            return None
        return Job(self._errand(asked, at), definition, 1, None, self.finished, beaten=self._wants_row)

    def _errand(self, asked: ScheduleActivity, at: datetime) -> Errand:
        claim, options = self.claim, asked.options
        limit = options.schedule_to_close_timeout
        return Errand(
            claim.run,
            asked.op,
            self._hands.namespace,
            claim.workflow_id,
            claim.run_id,
            claim.workflow,
            asked.name,
            options.task_queue or claim.task_queue,
            asked.input,
            options,
            asked.headers,
            at,
            None if limit is None else at + limit,
        )

    def _wants_row(self, _job: Job) -> None:
        self.flush = True
        self._hands.mark(self)

    def finished(self, job: Job, ending: Ending) -> None:
        """An activity of this run ended in memory."""
        if job.becoming_a_row:
            job.ending = ending                          # its row is being written: the report follows the commit
            return
        if self.memory.pop(job.errand.op, None) is None:
            return
        match ending:
            case TryAgain(delay=delay, failure=failure):
                self._add_row(job, self._hands.now() + delay, encode_failure(failure))
            case HandBack(failure=failure):
                self._add_row(job, self._hands.now(), encode_failure(failure))
            case Settled():
                pass
            case _:
                self.arrivals.append((None, ending))
        self._hands.mark(self)

    # ------------------------------------------------------------------------------------------------- rows

    def _recover(self, asked: ScheduleActivity, at: datetime) -> None:
        """An activity that a lost owner may have begun: that attempt counts, the next one is a durable row."""
        op = asked.op
        if asked.options.retry.maximum_attempts == 1:
            failure = verdicts.activity_failed(asked.name, op, 1, "worker_lost", verdicts.worker_lost())
            self.arrivals.append((None, ActivityFailed(op, failure)))
            return
        self._rows.append(self._row(self._errand(asked, at), 1, self._hands.now(), encode_failure(verdicts.worker_lost())))
        self._watch(asked, at)

    def _add_row(self, job: Job, due: datetime, failure: Payload | None) -> None:
        asked = self.replay.open_activities.get(job.errand.op)
        if asked is not None:                            # otherwise nobody waits for it any more
            self._rows.append(self._row(job.errand, job.attempt, due, failure, job.heartbeat))
            self._watch(asked, job.errand.scheduled_at)

    @staticmethod
    def _row(
        errand: Errand, attempt: int, due: datetime, failure: Payload | None = None, heartbeat: Payload | None = None
    ) -> ActivityRow:
        return ActivityRow(
            errand.op,
            errand.name,
            errand.task_queue,
            errand.input,
            errand.options,
            errand.headers,
            attempt,
            due,
            errand.scheduled_at,
            errand.close_by,
            last_failure=failure,
            heartbeat=heartbeat,
        )

    def _owned_row(self, job: Job) -> ActivityRow:
        job.token = uuid4()
        return replace(self._row(job.errand, job.attempt, job.errand.scheduled_at, None, job.heartbeat), token=job.token)

    def _watch(self, asked: ScheduleActivity, at: datetime) -> None:
        if asked.options.schedule_to_close_timeout is not None:
            self._close_by[asked.op] = at + asked.options.schedule_to_close_timeout
        if asked.options.schedule_to_start_timeout is not None:
            self._start_by[asked.op] = at + asked.options.schedule_to_start_timeout

    def _unwatch(self, op: int) -> None:
        self._close_by.pop(op, None)
        self._start_by.pop(op, None)

    # ------------------------------------------------------------------------------------------------- commit

    def share(self, now: datetime) -> TurnCommit:
        """This run's part of the next group commit: everything since its last one."""
        unsaved, acts = self._unsaved, self._acts
        status, result = _ending_of(self._closing)
        if status is Status.RUNNING:
            self._place_activities()
        for op in unsaved.cancelled:
            self._unwatch(op)
            acts.stop.append(op)
        acts.traces.extend(unsaved.traces)
        busy = self.memory or self.arrivals or self._memory_starts()
        release = status is not Status.RUNNING or self.leaving is not None or not busy
        parked = release and status is Status.RUNNING
        if self.leaving is not None:
            self.wake_at = now + verdicts.backoff(self.claim.retries) if self.detail else now
        else:
            self.wake_at = self.next_due() if parked else None
        # Rows that come up while the commit is in flight belong to the next one.
        self._rows_in_flight, self._rows = self._rows, []
        return TurnCommit(
            self.run,
            self.claim.token,
            self.length,
            unsaved.entries,
            self.taken,
            release,
            wake_at=self.wake_at,
            status=status,
            result=result,
            waiting_at=self.replay.waiting_json() if parked and self.leaving is None else None,
            detail=self.detail,
            retries=self.claim.retries + 1 if self.detail else 0,
            activities=self._rows_in_flight,
            cancelled_activities=[op for op in unsaved.cancelled if op not in self.memory],
            dropped_activities=unsaved.dropped,
            effects=unsaved.effects,
            mail=self._answers if self.leaving else (),
            sticky=self.leaving is None,
        )

    def _memory_starts(self) -> bool:
        return any(job.token is None for job in self._acts.start)

    def _place_activities(self) -> None:
        """Where each newly asked activity runs: in memory, as a row of ours, or as a row that anybody may take."""
        maybe_ran = self.cautious and self.length == 0
        for asked, at in self._unsaved.scheduled:
            if asked.op in self._unsaved.cancelled:
                self.arrivals.append((None, ActivityCancelled(asked.op, verdicts.cancelled())))
                continue
            if maybe_ran:
                self._recover(asked, at)
                continue
            job = self._memory_job(asked, at) if self.leaving is None else None
            if job is None:
                job = self._row_job(asked, at)
            else:
                self.memory[asked.op] = job
            if job is not None:
                self._acts.start.append(job)
        self._unsaved.scheduled.clear()
        if self.flush or self.leaving is not None:
            self._turn_memory_into_rows()

    def _row_job(self, asked: ScheduleActivity, at: datetime) -> Job | None:
        errand = self._errand(asked, at)
        self._watch(asked, at)
        definition = self._hands.serves(errand.task_queue, asked.name)
        if definition is None or self.leaving is not None or not self._hands.has_room():
            self._rows.append(self._row(errand, 0, at))
            return None
        job = Job(errand, definition, 1, None, self._hands.row_finished)
        self._rows.append(self._owned_row(job))
        return job

    def _turn_memory_into_rows(self) -> None:
        for op, job in self.memory.items():
            asked = self.replay.open_activities.get(op)
            if asked is None:
                continue
            self._watch(asked, job.errand.scheduled_at)
            if job.task is None:                         # still waits for a slot: anybody may take it
                job.stopped = "withdrawn"
                self._acts.start = [other for other in self._acts.start if other is not job]
                self._rows.append(self._row(job.errand, 0, job.errand.scheduled_at))
            else:
                job.becoming_a_row = True
                self._rows.append(self._owned_row(job))
                self._becoming.append(job)
        self.memory.clear()
        self.flush = False

    def won(self) -> Acts:
        """The commit is durable: what may be acted on now."""
        self.length += len(self._unsaved.entries)
        self._unsaved = Unsaved()
        self._marks = self._unsaved.marks()
        self._taken_before = self.taken
        self._answers = []
        self._acts.due.extend(row.next_attempt_at for row in self._rows_in_flight if row.token is None)
        self._rows_in_flight = []
        acts, self._acts = self._acts, Acts()
        for job in self._becoming:
            job.becoming_a_row = False
            job.finished = self._hands.row_finished
            if job.ending is not None:
                acts.report.append((job, job.ending))
        self._becoming = []
        return acts

    def cut_back(self, why: str, *, stuck: bool, everything: bool = False) -> None:
        """Undo the last turn (or all that is unsaved) and leave: its replay no longer fits its journal.

        Answers that only this worker knows go into the run's own inbox with the commit.
        """
        self.leaving = why
        self.detail = why if stuck else None
        self._unsaved.cut(tuple(0 for _ in self._marks) if everything else self._marks)
        self.taken = self._taken_before
        self._closing = None
        self._rows[:0] = self._rows_in_flight
        self._rows_in_flight = []
        self._answers.extend(arrival for position, arrival in self.arrivals if position is None)
        self.arrivals.clear()


def _ending_of(closing: Complete | Fail | Cancelled | RunTimedOut | None) -> tuple[Status, Payload | None]:
    match closing:
        case None:
            return Status.RUNNING, None
        case Complete(result=result):
            return Status.COMPLETED, result
        case Fail(failure=failure):
            return Status.FAILED, encode_failure(failure)
        case Cancelled(failure=failure):
            return Status.CANCELLED, encode_failure(failure)
        case RunTimedOut(kind=kind):
            return Status.TIMED_OUT, encode_failure(verdicts.run_timed_out(kind))
