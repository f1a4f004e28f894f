"""One owned run: advance, commit, act. Everything here is memory; the committer takes its share to Postgres.

Read `advance` → `run_ahead` → `share` → `won`. A turn that fails, and a close over unread mail, are cut back to where
that turn began, so that what came before is kept. Its activities are in `pending`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

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
from memflow.core.handlers import journaled
from memflow.core.interrupts import (
    AnswerUpdate,
    CancelActivity,
    Cancelled,
    CancelTimer,
    Closing,
    Complete,
    ContinueAsNew,
    Emit,
    Fail,
    Interrupt,
    MarkPatch,
    ScheduleActivity,
    StartHook,
    StartTimer,
    Trace,
    WriteMemo,
    WriteRecord,
)
from memflow.core.replay import Replay, TurnFailed
from memflow.errors import ConfigurationError, PayloadError
from memflow.failure import encode_failure
from memflow.payload import NO_ARGUMENTS
from memflow.runs import Status
from memflow.store.turns import Claim, TurnCommit
from memflow.store.values import Question
from memflow.worker import verdicts
from memflow.worker.chains import ending_of, next_run, unanswered
from memflow.worker.jobs import Ending, HandBack, Job, Opened, Settled, TryAgain
from memflow.worker.locals import lost as lost_local
from memflow.worker.locals import unknown as unknown_local
from memflow.worker.pending import Pending, Places
from memflow.worker.unsaved import NO_MARKS, Unsaved

TURN_LIMIT = 500
"""Arrivals in one turn: a flood for one run must not starve its neighbours."""

REPEATABLE_FOR = timedelta(seconds=1)
"""How old a start may be for its first turn to take the start's own time (see `Resident.advance`)."""


class Hands(Places, Protocol):
    """What a resident needs of its worker."""

    def mark(self, resident: Resident) -> None:
        """There is something to do for this resident."""
        ...

    def begin(self, resident: Resident, job: Job, delay: timedelta) -> None:
        """Start the next attempt of a local activity after `delay`, if this resident is still ours."""
        ...


class Acts:
    """What a won commit allows: start these, stop those, report, look again when rows fall due, tell the tracing sink."""

    __slots__ = ("abort", "due", "report", "start", "stop", "traces")

    def __init__(self, start: list[Job] | None = None) -> None:
        self.start: list[Job] = [] if start is None else start
        self.stop: list[int] = []
        self.report: list[tuple[Job, Ending]] = []
        self.due: list[datetime] = []
        self.traces: list[Trace] = []
        self.abort: list[Job] = []


class Resident:
    """A run that this worker owns, its replay, and what it waits for here."""

    __slots__ = (
        "_acts", "_answers", "_closing", "_hands", "_marks", "_taken_before", "_unsaved", "_version", "arrivals",
        "claim", "committing", "detail", "due_timer", "ending", "flush", "last_at", "leaving", "length", "marked",
        "pending", "questions", "read", "replay", "run", "taken", "turn", "unreadable", "wake_at",
    )

    def __init__(
        self,
        claim: Claim,
        replay: Replay,
        hands: Hands,
        *,
        scheduled_at: dict[int, datetime],
        rows: Collection[int] | None = None,
        cancelled: Collection[int] = (),
        version: tuple[str, bool] | None = None,
    ) -> None:
        """`version` is of this worker's code, if the run's row does not say so yet. `rows` names the ops that have a
        durable row; None when no owner was lost, so that all have.
        """
        self.claim = claim
        self.run = claim.run
        self.replay = replay
        self.length = claim.length
        self.turn = claim.turn
        self.last_at = claim.last_at
        self.read = self.taken = claim.consumed      # inbox positions: read into memory, taken by a turn
        self.arrivals: deque[tuple[int | None, Arrival]] = deque()
        self.pending = Pending(claim, replay, hands, scheduled_at)
        self.committing = self.marked = self.flush = False
        self.due_timer: asyncio.TimerHandle | None = None
        self.wake_at: datetime | None = None         # as of the last commit that asked for release
        self.leaving: str | None = None              # why it is released without keeping its replay
        self.detail: str | None = None
        self.unreadable: PayloadError | None = None  # mail that cannot be read: nothing behind it may be either
        self.questions: list[Question] = []          # asked while turns were unsaved: answered when their commit has won
        self._version = version
        self.ending = claim.ending                   # its end met unread mail: the next turn takes all there is
        self._hands = hands
        self._unsaved = Unsaved()
        self._marks = NO_MARKS                       # where the last turn began
        self._taken_before = self.taken
        self._answers: list[Arrival] = []            # what the last turn knew from here, not from the inbox
        self._closing: Closing | RunTimedOut | None = None
        self._acts = Acts()
        for op, asked in replay.open_activities.items():
            if asked.options.is_local:
                continue                                 # `take_up_locals` follows, with their rows
            if rows is None or op in rows:
                self.pending.watch(asked, scheduled_at[op])
            elif op in cancelled:
                self.arrivals.append((None, ActivityCancelled(op, verdicts.cancelled())))
            else:
                self._recover(asked, scheduled_at[op])

    @property
    def closed(self) -> bool:
        """Whether its code has ended."""
        return self._closing is not None

    @property
    def unsaved(self) -> bool:
        """Whether its replay is ahead of what is durable."""
        return self.committing or self.leaving is not None or bool(self._unsaved.entries)

    # ------------------------------------------------------------------------------------------------- advance

    def advance(self, now: datetime) -> None:
        """One turn of all that is due, if anything is.

        Raises:
            NondeterminismError, TurnFailed: the code cannot go on; `cut_back` keeps what came before.
        """
        if self.leaving is not None:
            return                                       # what it leaves behind is not touched any more: answers go with it
        self._marks = self._unsaved.marks()
        self._taken_before = self.taken
        self._answers = []
        if self._closing is not None:
            return
        if self.claim.deadline is not None and self.claim.deadline <= now:
            self._end_by_time(now)
            return
        if self.unreadable is not None:
            raise TurnFailed("mail of this run cannot be read") from self.unreadable
        first = self.turn == 0
        arrivals = self._due(now, first)
        if not arrivals:
            return
        at = max(now, self.last_at)
        if first and (self.pending.cautious or now - self.claim.last_at < REPEATABLE_FOR):
            # The start's own time is durable already, so a crash before the first commit repeats this turn exactly.
            at = self.claim.last_at
        asked = self.replay.advance(Turn(at, arrivals))
        for each in asked:
            if isinstance(each, ScheduleActivity):
                if each.options.is_local and self._hands.knows(each.name) is None:
                    raise TurnFailed from ConfigurationError(unknown_local(each))
            elif isinstance(each, AnswerUpdate):
                self._unsaved.effects.append(each)
        kept, said = journaled(arrivals, asked)
        if kept or said:
            self.turn += 1
            self.last_at = at
            self._keep(kept, said)

    def has_locals(self) -> bool:
        """Whether its code waits for local activities."""
        return any(asked.options.is_local for asked in self.replay.open_activities.values())

    def take_up_locals(self, rows: Mapping[int, Mapping[str, Any]]) -> None:
        """Go on with local activities from where their rows say, or leave, if they cannot run here."""
        for asked in self.replay.open_activities.values():
            if asked.options.is_local and self._hands.knows(asked.name) is None:
                self.cut_back(unknown_local(asked), stuck=True)
                return
        self.pending.take_up_locals(rows)

    def _keep(self, arrivals: Sequence[Arrival], asked: Sequence[Interrupt]) -> None:
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
        # An end that met unread mail is tried again with all of it; else the same end would meet the rest, again and again.
        while self.arrivals and (len(due) < TURN_LIMIT or self.ending):
            position, arrival = self.arrivals.popleft()
            if position is not None:
                self.taken = position
            if isinstance(arrival, Answer):
                if self.pending.locals.used and self.pending.locals.forget(arrival.op):
                    self._unsaved.dropped.append(arrival.op)
                if arrival.op in answered or not self.replay.expects(arrival):
                    continue                             # it comes late: another answer was faster
                if not isinstance(arrival, ChildStarted):
                    answered.add(arrival.op)             # a child's start is followed by its end, maybe in the same turn
                if position is None:
                    self._answers.append(arrival)
            due.append(arrival)
        timers = self.replay.open_timers
        if timers and not (self.arrivals and self.replay.asks_people):
            fired = sorted((at, op) for op, at in timers.items() if at <= now and op not in answered)
            due.extend(TimerFired(op) for _, op in fired)
        if self.pending.minds_time:
            due.extend([self._late(op, "schedule_to_close") for op in self.pending.overdue(now) if op not in answered])
        return due

    def _late(self, op: int, kind: str) -> ActivityTimedOut:
        """The verdict on a durable activity whose time was up; its row goes with the commit."""
        self.pending.unwatch(op)
        self.pending.locals.forget(op)
        self._unsaved.dropped.append(op)
        asked = self.replay.open_activities[op]
        cause = verdicts.timed_out(kind, verdicts.limit_of(asked.options, kind))
        return ActivityTimedOut(op, verdicts.activity_failed(asked.name, asked.options.activity_id or op, 0, "timeout", cause))

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
                self.pending.scheduled_at[interrupt.op] = at
            case CancelActivity(op=op):
                self._unsaved.cancelled.append(op)
            case AnswerUpdate():
                pass                                     # an effect already, as are the rejections, which are no entries
            case StartTimer() | CancelTimer() | MarkPatch() | StartHook():
                pass                                     # the entry is all; a released run's wake_at is its earliest open timer
            case Trace():
                self._unsaved.traces.append(interrupt)
            case WriteRecord():
                self._unsaved.records.append(self.replay.record_payload())
            case WriteMemo():
                self._unsaved.memos.append(self.replay.memo_payload())
            case Complete() | Fail() | Cancelled() | ContinueAsNew():
                self._closing = interrupt
            case _:
                self._unsaved.effects.append(interrupt)

    def next_due(self) -> datetime | None:
        """The earliest timer or deadline of this run, None when there is none."""
        due = [*self.replay.open_timers.values(), *self.pending.deadlines()]
        if self.claim.deadline is not None:
            due.append(self.claim.deadline)
        return min(due, default=None)

    def started_in_time(self, op: int, started: bool) -> None:
        """What the row of an activity said that should have been taken up by now."""
        self.pending.started(op)
        if not started and op in self.replay.open_activities:
            self.arrivals.append((None, self._late(op, "schedule_to_start")))

    # ------------------------------------------------------------------------------------------------- activities

    def run_ahead(self) -> list[Job]:
        """Activities that may start before any commit: those of a first turn that the run's row fully determines.

        Their inputs depend on nothing that is not durable (DESIGN, invariant 3). Empty: commit first.
        """
        unsaved = self._unsaved
        if (
            self.length
            or self.turn != 1
            or self.pending.cautious
            or self.flush
            or self._closing is not None
            or not unsaved.scheduled
            or unsaved.cancelled
            or self.last_at != self.claim.last_at
            or self.taken != self.claim.first_arrivals
            or (unsaved.effects and any(not isinstance(effect, Emit) for effect in unsaved.effects))
        ):
            return []
        jobs = [self.pending.memory_job(asked, at, self) for asked, at in unsaved.scheduled]
        ready = [job for job in jobs if job is not None]
        if len(ready) < len(jobs):
            return []
        unsaved.scheduled.clear()
        self.pending.memory.update((job.errand.op, job) for job in ready)
        return ready

    def wants_row(self, job: Job) -> None:
        """An activity in memory reports heartbeats, which only a row can keep."""
        self.flush = True
        self._hands.mark(self)

    def finished(self, job: Job, ending: Ending) -> None:
        """An activity of this run ended in memory."""
        if job.becoming_a_row:
            job.ending = ending                          # its row is being written: the report follows the commit
            return
        if self.pending.memory.pop(job.errand.op, None) is None:
            return
        match ending:
            case TryAgain() | HandBack() if job.errand.options.is_local:
                following = self.pending.locals.again(job, ending, self)
                if following is not None and isinstance(ending, TryAgain):
                    self.pending.memory[job.errand.op] = following
                    self._hands.begin(self, following, ending.delay)
                    return
            case TryAgain(delay=delay, failure=failure):
                self.pending.again(job, self._hands.now() + delay, encode_failure(failure))
            case HandBack(begun=False):
                self.pending.unbegun(job)
            case HandBack(failure=failure):
                self.pending.again(job, self._hands.now(), encode_failure(failure))
            case Opened():
                self.pending.becomes_row(job, ending)
            case Settled():
                pass
            case _:
                self.arrivals.append((None, ending))
        self._hands.mark(self)

    def _recover(self, asked: ScheduleActivity, at: datetime) -> None:
        """An activity that a lost owner may have begun."""
        if asked.options.retry.maximum_attempts == 1:
            id = asked.options.activity_id or asked.op
            failure = verdicts.activity_failed(asked.name, id, 1, "worker_lost", verdicts.worker_lost())
            self.arrivals.append((None, ActivityFailed(asked.op, failure)))
        else:
            self.pending.lost_row(asked, at)

    def _place_activities(self) -> None:
        """Where each newly asked activity runs: in memory, as a row of ours, or as a row that anybody may take."""
        maybe_ran = self.pending.cautious and self.length == 0
        for asked, at in self._unsaved.scheduled:
            if asked.op in self._unsaved.cancelled:
                self.arrivals.append((None, ActivityCancelled(asked.op, verdicts.cancelled())))
            elif asked.options.is_local:
                self._place_local(asked, at, begun=int(maybe_ran))
            elif maybe_ran:
                self._recover(asked, at)
            else:
                self._place(asked, at)
        self._unsaved.scheduled.clear()
        if self.flush or self.leaving is not None:
            withdrawn = self.pending.turn_memory_into_rows(leaving=self.leaving is not None)
            self._acts.start = [job for job in self._acts.start if job not in withdrawn]
            self.flush = False

    def _place_local(self, asked: ScheduleActivity, at: datetime, *, begun: int) -> None:
        job = None if begun or self.leaving is not None else self.pending.memory_job(asked, at, self)
        if job is None:
            self.pending.rest_local(asked, at, begun=begun)
        else:
            self.pending.memory[asked.op] = job
            self._acts.start.append(job)

    def _place(self, asked: ScheduleActivity, at: datetime) -> None:
        stays = self.leaving is None
        job = self.pending.memory_job(asked, at, self) if stays else None
        if job is not None:
            self.pending.memory[asked.op] = job
        else:
            job = self.pending.row_job(asked, at, here=stays)
        if job is not None:
            self._acts.start.append(job)

    # ------------------------------------------------------------------------------------------------- commit

    def share(self, now: datetime) -> TurnCommit:
        """This run's part of the next group commit: everything since its last one."""
        unsaved, acts = self._unsaved, self._acts
        status, result = ending_of(self._closing)
        if status is Status.RUNNING:
            self._place_activities()
        for op in unsaved.cancelled:
            self.pending.unwatch(op)
            acts.stop.append(op)
        acts.traces.extend(unsaved.traces)
        if status is Status.RUNNING and self.pending.locals.used:
            self._commit_locals(now)
        busy = self.pending.memory or self.arrivals or any(job.token is None for job in acts.start)
        release = status is not Status.RUNNING or self.leaving is not None or not busy
        parked = release and status is Status.RUNNING
        if self.leaving is not None:
            self.wake_at = now + verdicts.backoff(self.claim.retries) if self.detail else now
        else:
            self.wake_at = self.next_due() if parked else None
        following = None if self._closing is None else next_run(self.claim, self._closing, self.replay, now)
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
            activities=self.pending.send_rows(),
            cancelled_activities=[op for op in unsaved.cancelled if op not in self.pending.memory],
            dropped_activities=unsaved.dropped,
            effects=[*unsaved.effects, *unanswered(self.replay, following)],
            mail=self._answers if self.leaving else (),
            sticky=self.leaving is None,
            version=self._version if unsaved.entries else None,
            record=unsaved.records[-1] if unsaved.records else None,
            memo=unsaved.memos[-1] if unsaved.memos else None,
            next=following,
        )

    def _commit_locals(self, now: datetime) -> None:
        jobs, lost = self.pending.commit_locals(now, self, stays=self.leaving is None)
        self._acts.start.extend(jobs)
        self._acts.abort.extend(self.pending.aborted)
        self.pending.aborted.clear()
        for errand, begun in lost:
            self.arrivals.append((None, ActivityFailed(errand.op, lost_local(errand, begun))))

    def won(self) -> Acts:
        """The commit is durable: what may be acted on now."""
        if self._unsaved.entries:
            self.length += len(self._unsaved.entries)
            self._version = None
            self.ending = False
        acts = self._acts
        acts.due, acts.report = self.pending.sent()
        if self._closing is not None:
            self._unsaved.entries = []                   # it is forgotten next: nothing but this is asked of it before
            return acts
        self._unsaved = Unsaved()
        self._marks = NO_MARKS
        self._taken_before = self.taken
        self._answers = []
        self._acts = Acts()
        return acts

    def pause(self) -> None:
        """The run was paused before this commit: keep what it did before the last turn, and leave.

        But for a first turn whose activities run ahead of its commit: that one has happened.
        """
        if self.length or any(self._marks) or not self.pending.memory or self._closing is not None:
            self.cut_back("paused", stuck=False)
            return
        self.leaving = "paused"
        self.pending.not_sent()
        self._answers = [arrival for position, arrival in self.arrivals if position is None]
        self.arrivals.clear()

    def cut_back(self, why: str, *, stuck: bool, everything: bool = False) -> None:
        """Undo the last turn (or all that is unsaved) and leave: its replay no longer fits its journal.

        Answers that only this worker knows go into the run's own inbox with the commit.
        """
        self.leaving = why
        self.detail = why if stuck else None
        marks = tuple(0 for _ in self._marks) if everything else self._marks
        undone = {each.entry.op for each in self._unsaved.entries[marks[0] :] if isinstance(each.entry, ScheduleActivity)}
        self._unsaved.cut(marks)
        self.pending.undo(undone)
        # What else the refused share allowed, the next one says again, as far as it still holds.
        self._acts = Acts(start=[job for job in self._acts.start if job.errand.op not in undone])
        self.taken = self._taken_before
        self._closing = None
        self.pending.not_sent()
        self._answers.extend(arrival for position, arrival in self.arrivals if position is None)
        self.arrivals.clear()
