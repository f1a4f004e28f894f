"""The unanswered activities of one run: where each runs, and by when it must.

An activity runs in memory alone (fast, and gone with this worker), as a durable row that this worker holds from the start, or
as a row that anybody may take. A crash, a heartbeat, a transaction, or time turn the first kind into the second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol
from uuid import uuid4

from memflow.activity import ActivityDefinition
from memflow.core.interrupts import ScheduleActivity
from memflow.core.replay import Replay
from memflow.failure import encode_failure
from memflow.payload import Payload
from memflow.store.turns import ActivityRow, Claim
from memflow.worker import verdicts
from memflow.worker.jobs import Ending, Errand, Job
from memflow.worker.locals import Locals


class Places(Protocol):
    """What is to be known of a worker to place an activity."""

    namespace: str

    def now(self) -> datetime:
        """The database's time."""
        ...

    def serves(self, task_queue: str, activity: str) -> ActivityDefinition | None:
        """The activity, if this worker serves that queue and knows that name."""
        ...

    def knows(self, activity: str) -> ActivityDefinition | None:
        """The activity, if this worker knows that name, whatever queue it serves."""
        ...

    @property
    def draining(self) -> bool:
        """Whether this worker is about to stop."""
        ...

    def has_room(self) -> bool:
        """Whether an activity could start at once."""
        ...

    def row_finished(self, job: Job, ending: Ending) -> None:
        """A durable activity ended here: report it."""
        ...

    def row_beaten(self, job: Job) -> None:
        """A durable activity that runs here reports life."""
        ...


class Finished(Protocol):
    """The run that an activity in memory belongs to."""

    def finished(self, job: Job, ending: Ending) -> None:
        """It ended."""
        ...

    def wants_row(self, job: Job) -> None:
        """It reports heartbeats, which only a row can keep."""
        ...


class Pending:
    """Activities of one run that were asked for and not answered."""

    __slots__ = (
        "_becoming", "_claim", "_close_by", "_in_flight", "_places", "_replay", "_returned", "_rows", "_start_by",
        "aborted", "cautious", "locals", "memory", "scheduled_at",
    )

    def __init__(self, claim: Claim, replay: Replay, places: Places, scheduled_at: dict[int, datetime]) -> None:
        self.scheduled_at = scheduled_at
        self.memory: dict[int, Job] = {}             # run, or wait for a slot, in memory alone
        self.aborted: list[Job] = []                 # local ones to stop, since the run leaves
        self.cautious = claim.crashes > 0            # an owner was lost: nothing runs in memory alone
        self._claim = claim
        self._replay = replay
        self._places = places
        self.locals = Locals(places, cautious=self.cautious)
        self._rows: list[ActivityRow] = []           # for the next commit
        self._in_flight: list[ActivityRow] = []      # in the commit under way
        self._becoming: list[Job] = []               # run already, and get a row with the commit under way
        self._returned: list[Job] = []               # have returned to be completed from outside, and need a row for that
        self._close_by: dict[int, datetime] = {}
        self._start_by: dict[int, datetime] = {}

    # ------------------------------------------------------------------------------------------------- jobs

    def memory_job(self, asked: ScheduleActivity, at: datetime, run: Finished) -> Job | None:
        """A job in memory alone, if this activity may run so: here, without heartbeats, and nobody crashed on it.

        `run` is its run. It is not kept: a cycle of the two would leave every run to the garbage collector.
        """
        if asked.options.is_local:
            return None if self._places.draining else self.locals.job(self._errand(asked, at), run)
        definition = self._places.serves(self._queue(asked), asked.name)
        if definition is None or self.cautious or definition.transactional or asked.options.heartbeat_timeout is not None:
            return None
        return Job(self._errand(asked, at), definition, 1, None, run.finished, beaten=run.wants_row)

    def row_job(self, asked: ScheduleActivity, at: datetime, *, here: bool) -> Job | None:
        """A durable row; and the job, if this worker takes it (`here`, served, and there is room)."""
        errand = self._errand(asked, at)
        self.watch(asked, at)
        definition = self._places.serves(errand.task_queue, asked.name)
        if definition is None or not here or not self._places.has_room():
            self._rows.append(_row(errand, 0, at))
            return None
        job = Job(errand, definition, 1, None, self._places.row_finished, beaten=self._places.row_beaten)
        self._rows.append(_owned_row(job))
        return job

    def rest_local(self, asked: ScheduleActivity, at: datetime, *, begun: int) -> None:
        """A local activity that does not begin at once; `begun` attempts may have been made."""
        self.locals.rest(self._errand(asked, at), begun, self._places.now())

    def take_up_locals(self, rows: Mapping[int, Mapping[str, Any]]) -> None:
        """What rows tell of the local activities that the code waits for."""
        asked = [each for each in self._replay.open_activities.values() if each.options.is_local]
        errands = [self._errand(each, self.scheduled_at[each.op]) for each in asked if each.op not in self.memory]
        self.locals.take_up(rows, errands, never=verdicts.NEVER)

    def commit_locals(self, now: datetime, run: Finished, *, stays: bool) -> tuple[list[Job], list[tuple[Errand, int]]]:
        """Local attempts that begin once the commit is won, and those whose last attempt was lost."""
        jobs, rows, lost = self.locals.commit(now, run, stays=stays and not self._places.draining)
        self._rows.extend(rows)
        self.memory.update((job.errand.op, job) for job in jobs)
        return jobs, lost

    def lost_row(self, asked: ScheduleActivity, at: datetime) -> None:
        """The row of an activity that a lost owner may have begun: that attempt counts, the next one is due now."""
        self._rows.append(_row(self._errand(asked, at), 1, self._places.now(), encode_failure(verdicts.worker_lost())))
        self.watch(asked, at)

    def again(self, job: Job, due: datetime, failure: Payload | None) -> None:
        """The row of an attempt in memory that failed: the next one is due at `due`."""
        asked = self._replay.open_activities.get(job.errand.op)
        if asked is not None:                            # otherwise nobody waits for it any more
            self._rows.append(_row(job.errand, job.attempt, due, failure, job.heartbeat))
            self.watch(asked, job.errand.scheduled_at)

    def becomes_row(self, job: Job, ending: Ending) -> None:
        """The row of a job whose function has returned, for its ending to be reported to."""
        asked = self._replay.open_activities.get(job.errand.op)
        if asked is not None:
            job.becoming_a_row = True
            job.ending = ending
            self._returned.append(job)
            self.watch(asked, job.errand.scheduled_at)

    def unbegun(self, job: Job) -> None:
        """The row of an activity that still waited for a slot: no attempt of it counts."""
        asked = self._replay.open_activities.get(job.errand.op)
        if asked is not None:
            self._rows.append(_row(job.errand, 0, job.errand.scheduled_at))
            self.watch(asked, job.errand.scheduled_at)

    def turn_memory_into_rows(self, *, leaving: bool) -> list[Job]:
        """Rows for everything in memory. Returns the jobs that had not begun: anybody may take theirs.

        Local ones stay in memory, unless the run is `leaving`: then they are stopped, and begin again where it goes.
        """
        withdrawn: list[Job] = []
        stay: dict[int, Job] = {}
        for op, job in self.memory.items():
            asked = self._replay.open_activities.get(op)
            if job.errand.options.is_local:
                if not leaving:
                    stay[op] = job
                    continue
                if asked is not None:
                    self.locals.rest(job.errand, job.attempt - (job.task is None), self._places.now())
                withdrawn.append(job)
                self.aborted.append(job)
                continue
            if asked is None:
                continue
            self.watch(asked, job.errand.scheduled_at)
            if job.task is None:
                job.stopped = "withdrawn"
                withdrawn.append(job)
                self._rows.append(_row(job.errand, 0, job.errand.scheduled_at))
            else:
                job.becoming_a_row = True
                self._rows.append(_owned_row(job))
                self._becoming.append(job)
        self.memory = stay
        return withdrawn

    def _queue(self, asked: ScheduleActivity) -> str:
        return asked.options.task_queue or self._claim.task_queue

    def _errand(self, asked: ScheduleActivity, at: datetime) -> Errand:
        claim, limit = self._claim, asked.options.schedule_to_close_timeout
        return Errand(
            claim.run,
            asked.op,
            self._places.namespace,
            claim.workflow_id,
            claim.run_id,
            claim.workflow,
            asked.name,
            self._queue(asked),
            asked.input,
            asked.options,
            asked.headers,
            at,
            None if limit is None else at + limit,
        )

    # ------------------------------------------------------------------------------------------------- rows and commits

    def send_rows(self) -> list[ActivityRow]:
        """The rows for the commit that is made now. What comes up while it is in flight belongs to the next one."""
        for job in self._returned:
            self._rows.append(_owned_row(job))
            self._becoming.append(job)
        self._returned = []
        self._in_flight, self._rows = self._rows, []
        return self._in_flight

    def sent(self) -> tuple[list[datetime], list[tuple[Job, Ending]]]:
        """The commit was won: when its rows fall due for anybody, and endings that waited for their rows."""
        due = [row.next_attempt_at for row in self._in_flight if row.token is None]
        self._in_flight = []
        late: list[tuple[Job, Ending]] = []
        for job in self._becoming:
            job.becoming_a_row = False
            # It belongs to the queue now; its run may be let go, and must not hear of it any more.
            job.finished = self._places.row_finished
            job.beaten = self._places.row_beaten
            if job.ending is not None:
                late.append((job, job.ending))
        self._becoming = []
        return due, late

    def give_up(self) -> list[Job]:
        """The run is nobody's business here any more: what of it runs here without a row, to be stopped."""
        jobs = [*self.memory.values(), *self._becoming]
        self.memory.clear()
        self._becoming = []
        return jobs

    def not_sent(self) -> None:
        """The commit did not take place: its rows go with the next one."""
        self._rows[:0] = self._in_flight
        self._in_flight = []

    def undo(self, ops: set[int]) -> None:
        """The turn that asked for these has not happened; none of them has begun."""
        for op in ops:
            self.memory.pop(op, None)
            self.unwatch(op)
        self._rows = [row for row in self._rows if row.op not in ops]
        self._in_flight = [row for row in self._in_flight if row.op not in ops]
        self._becoming = [job for job in self._becoming if job.errand.op not in ops]

    # ------------------------------------------------------------------------------------------------- deadlines

    def watch(self, asked: ScheduleActivity, at: datetime) -> None:
        """Mind the deadlines of a durable activity; its row may lie where nobody looks."""
        if asked.options.schedule_to_close_timeout is not None:
            self._close_by[asked.op] = at + asked.options.schedule_to_close_timeout
        if asked.options.schedule_to_start_timeout is not None:
            self._start_by[asked.op] = at + asked.options.schedule_to_start_timeout

    def unwatch(self, op: int) -> None:
        """Answered, or no longer waited for."""
        self._close_by.pop(op, None)
        self._start_by.pop(op, None)
        self.locals.stop_resting(op)

    def deadlines(self) -> Iterable[datetime]:
        """Every deadline minded."""
        return (*self._close_by.values(), *self._start_by.values(), *self.locals.due())

    @property
    def minds_time(self) -> bool:
        """Whether an activity has a deadline that `overdue` would look at; most runs have none."""
        return bool(self._close_by) or self.locals.used

    def overdue(self, now: datetime) -> list[int]:
        """Durable activities whose time to end is up."""
        late = [op for op, by in self._close_by.items() if by <= now and op not in self.memory]
        return late + self.locals.overdue(now)

    def unstarted_by(self, now: datetime) -> list[int]:
        """Activities that should have been taken up by now; whether they were, their rows know."""
        return [op for op, by in self._start_by.items() if by <= now]

    def started(self, op: int) -> None:
        """It was taken up in time."""
        self._start_by.pop(op, None)


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


def _owned_row(job: Job) -> ActivityRow:
    job.token = job.reserved or uuid4()
    return replace(_row(job.errand, job.attempt, job.errand.scheduled_at, None, job.heartbeat), token=job.token)
