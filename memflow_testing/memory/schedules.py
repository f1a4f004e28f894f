"""Schedules. Counterpart of `memflow/store/schedules.py` and `memflow/store/schedule_serving.py`: the same decisions of
`memflow/firing.py`, over rows in memory.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import uuid4

from memflow import firing
from memflow.core.arrivals import CancelRequested
from memflow.firing import Action
from memflow.runs import Status
from memflow.store.schedule_serving import FEW, INSTANTS_PER_LOOK, LEAST_PER_SCHEDULE, REPLACED, run_of
from memflow.store.schedule_values import ScheduleRow, Served, Taker
from memflow.store.turns import Claim
from memflow.store.values import ToRun
from memflow_testing.memory.ending import Endings
from memflow_testing.memory.mail import MailRoom
from memflow_testing.memory.rows import claim_of
from memflow_testing.memory.starting import Starts
from memflow_testing.memory.tables import Run, ScheduleRec, Tables

log = logging.getLogger(__name__)

Ended = Mapping[str, tuple[Status | None, Run | None]]
"""By run id, how the chain of a run ended; (None, None) for one that is gone."""


class Schedules:
    """The schedules of one namespace."""

    def __init__(self, tables: Tables, mail: MailRoom, starts: Starts, endings: Endings) -> None:
        self._tables = tables
        self._mail = mail
        self._starts = starts
        self._endings = endings

    def create(self, row: ScheduleRow) -> bool:
        """Put a new schedule, due when its state says. False: its id is taken."""
        if row.id in self._tables.schedules:
            return False
        now = self._tables.now()
        state, look_at = firing.refreshed(row.id, row.spec, row.state, row.now)
        self._tables.schedules[row.id] = ScheduleRec(replace(row, state=state, created_at=now, updated_at=now), look_at)
        self._tables.ring("schedules")
        return True

    def find(self, id: str) -> ScheduleRow | None:
        """One schedule."""
        found = self._tables.schedules.get(id)
        return None if found is None else replace(found.row, now=self._tables.now())

    def list(self, *, after: str | None, limit: int) -> list[ScheduleRow]:
        """Schedules by id, beginning after `after`."""
        ids = sorted(id for id in self._tables.schedules if after is None or id.encode() > after.encode())
        return [replace(self._tables.schedules[id].row, now=self._tables.now()) for id in ids[:limit]]

    def edit(self, id: str, change: Callable[[ScheduleRow], ScheduleRow]) -> ScheduleRow | None:
        """Change one. None: there is none of that id."""
        before = self.find(id)
        if before is None:
            return None
        row = change(before)
        state, look_at = firing.refreshed(row.id, row.spec, row.state, row.now)
        after = replace(row, state=state, updated_at=self._tables.now())
        self._tables.schedules[id] = ScheduleRec(after, look_at)
        self._tables.ring("schedules")
        return after

    def delete(self, id: str) -> bool:
        """Delete one; its runs go on. False: there was none."""
        tables = self._tables
        if tables.schedules.pop(id, None) is None:
            return False
        tables.schedule_ends = [each for each in tables.schedule_ends if each[0] != id]
        return True

    def running_of(self, watched: Sequence[Action]) -> Sequence[Action]:
        """Those of a schedule's runs that are open."""
        ended = self._ended(watched)
        return [each for each in watched if each.run_id not in ended]

    # ------------------------------------------------------------------------------------------------- serving

    def serve(self, limit: int, taker: Taker | None = None) -> Served:
        """Look at up to `limit` that are due, or had a run end. The taker owns what they start, unless many are due."""
        tables, now = self._tables, self._tables.now()
        due = [each for each in tables.schedules.values() if each.look_at is not None and each.look_at <= now]
        due.sort(key=_place)
        due = due[:limit]
        told = [id for id in dict.fromkeys(id for id, _ in tables.schedule_ends) if id in tables.schedules][:limit]
        due += [each for each in map(tables.schedules.__getitem__, told) if each not in due]
        due.sort(key=_place)
        served = {each.row.id for each in due}
        tables.schedule_ends = [each for each in tables.schedule_ends if each[0] not in served]
        made = self._serve(due) if due else ()
        claims = self._taken(made, taker) if taker is not None and len(due) <= FEW else ()
        next_look = min((each.look_at for each in tables.schedules.values() if each.look_at is not None), default=None)
        return Served(len(due), len(made), now, next_look, claims)

    def _taken(self, made: Sequence[Run], taker: Taker) -> Sequence[Claim]:
        if taker.worker not in self._tables.workers or not taker.takes([(run.task_queue, run.workflow) for run in made]):
            return []
        token = uuid4()
        mine = [(run, run.wake) for run in made if run.wake is not None]
        for _, wake in mine:
            wake.owner, wake.token, wake.wake_at = taker.worker, token, None
        return [claim_of(run, wake) for run, wake in mine]

    def _serve(self, due: Sequence[ScheduleRec]) -> Sequence[Run]:
        now = self._tables.now()
        ended = self._ended([action for each in due for action in each.row.state.running])
        most = max(LEAST_PER_SCHEDULE, INSTANTS_PER_LOOK // len(due))
        decisions = [
            firing.decide(
                each.row.id, each.row.spec, each.row.policy, each.row.state, now=now, most=most,
                ended={run: how for run, (how, _) in ended.items()},
            )
            for each in due
        ]
        for decision in decisions:
            self._stop(decision)
        made: deque[Run] = deque()                       # `list` is a method here
        for n, each in enumerate(due):
            row = _with_outcome(replace(each.row, state=decisions[n].state, now=now), each.row.state.running, ended)
            decisions[n] = replace(decisions[n], state=row.state)
            for one in decisions[n].start:
                run = self._start(row, one.at)
                action = None if run is None else Action(one.at, row.now, run.workflow_id, run.run_id)
                if run is not None:
                    made.append(run)
                decisions[n] = firing.started(decisions[n], one, action)
            each.row, each.look_at = replace(row, state=decisions[n].state), decisions[n].look_at
        return made

    def _start(self, row: ScheduleRow, at: datetime) -> Run | None:
        run = run_of(self._tables.namespace, row, at)
        [answer] = self._starts.start([run])
        if not answer.created or answer.run_id != run.run_id:
            log.info("this instant has had its run", extra={"schedule": row.id, "workflow_id": run.workflow_id})
            return None
        made = self._tables.runs[answer.run]
        made.schedule, made.scheduled_at = row.id, at
        return made

    def _stop(self, decision: firing.Decision) -> None:
        for each in decision.terminate:
            self._endings.terminate(each.workflow_id, None, REPLACED)
        arrival = CancelRequested(REPLACED)
        self._mail.send(
            [ToRun(self._tables.namespace, each.workflow_id, None, arrival) for each in decision.cancel], patient=False
        )

    def _ended(self, watched: Sequence[Action]) -> Ended:
        ended: dict[str, tuple[Status | None, Run | None]] = {}
        for each in watched:
            run = self._tables.find_open(each.workflow_id, each.run_id)
            if run is None or not run.status.is_open:
                ended[each.run_id] = (None if run is None else run.status, run)
        return ended


def _place(each: ScheduleRec) -> tuple[bool, datetime | None, str]:
    return each.look_at is None, each.look_at, each.row.id


def _with_outcome(row: ScheduleRow, watched: Sequence[Action], ended: Ended) -> ScheduleRow:
    """The row with the result or failure of the latest of its runs that has ended."""
    mine = [(run, each.run_id) for each in watched if (run := ended.get(each.run_id, (None, None))[1]) is not None]
    for run, watched_id in sorted(mine, key=lambda pair: (pair[0].closed_at or row.now, pair[0].id)):
        if run.status is Status.COMPLETED:
            state = replace(row.state, result_of=watched_id, failure_of=None)
            row = replace(row, result=run.result, failure=None, state=state)
        elif run.status in (Status.FAILED, Status.TIMED_OUT):
            row = replace(row, failure=run.result, state=replace(row.state, failure_of=watched_id))
    return row
