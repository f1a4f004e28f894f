"""The Store in memory. Thin: each method lets the event loop run, then does what it promises without awaiting again, so
that it is atomic as a transaction is. The promises stand in `memflow/store/base.py`; that they are kept, in `conformance.py`.

It lives in one process and one event loop, and is gone with it. There is no Postgres, so there are no transactions to join.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID

from memflow.core.arrivals import Arrival
from memflow.core.entries import JournalEntry
from memflow.errors import ApplicationError, ConfigurationError, PayloadError
from memflow.filters import Filter
from memflow.firing import Action, ScheduleState
from memflow.payload import Payload
from memflow.store.escalations import EscalationRows
from memflow.store.questions import NO_HEADERS
from memflow.store.schedule_values import ScheduleRow, Served, Taker
from memflow.store.turns import (
    ActivityClaims,
    ActivityKey,
    ActOnActivity,
    Beat,
    Beaten,
    Claims,
    Committed,
    FoundActivity,
    Mail,
    Open,
    Retry,
    Settle,
    TurnCommit,
)
from memflow.store.values import (
    Answer,
    Branch,
    BranchBase,
    Branched,
    Event,
    NewRun,
    Outcome,
    Question,
    Reply,
    RunFacts,
    RunIds,
    RunRow,
    Sent,
    Started,
    ToRun,
    ToSignalId,
    UpdateKey,
)
from memflow_testing.memory import pausing, workers
from memflow_testing.memory.activities import Activities
from memflow_testing.memory.activity_acts import ActivityActs
from memflow_testing.memory.asking import MemoryEscalations
from memflow_testing.memory.bells import Bells
from memflow_testing.memory.branching import Branches
from memflow_testing.memory.claims import claim_runs, owned_with_mail
from memflow_testing.memory.commit import Commits
from memflow_testing.memory.ending import Endings
from memflow_testing.memory.escalations import Escalations
from memflow_testing.memory.filtering import key_of, matches
from memflow_testing.memory.housekeeping import prune
from memflow_testing.memory.mail import MailRoom
from memflow_testing.memory.questions import Questions
from memflow_testing.memory.rows import entries_of, run_row
from memflow_testing.memory.schedules import Schedules
from memflow_testing.memory.signals import Signals
from memflow_testing.memory.starting import Starts
from memflow_testing.memory.tables import Run, Tables


def wall_clock() -> datetime:
    """The machine's time."""
    return datetime.now(UTC)


class MemoryStore:
    """One namespace in memory. `now` is the database's clock of it, by default the machine's."""

    notifies = True

    def __init__(self, *, namespace: str = "default", now: Callable[[], datetime] = wall_clock) -> None:
        self.namespace = namespace
        self._bells = Bells()
        self.tables = tables = Tables(namespace, now, wall_clock, self._bells.ring)
        self._mail = mail = MailRoom(tables)
        escalations = Escalations(tables)
        self._signals = Signals(tables, mail, escalations)
        self._endings = Endings(tables, mail, escalations)
        self._starts = Starts(tables, mail, self._endings)
        self._commits = Commits(tables, mail, self._endings, escalations, self._signals)
        self._branches = Branches(tables, self._endings, self._signals)
        self._activities = Activities(tables, mail)
        self._acts = ActivityActs(tables, mail)
        self._questions = Questions(tables)
        self._schedules = Schedules(tables, mail, self._starts, self._endings)
        self._escalations = MemoryEscalations(tables, mail, escalations, _no_transactions)

    # -- life

    async def migrate(self) -> None:
        return None

    async def check_schema(self) -> None:
        return None

    async def close(self) -> None:
        self._bells.close()

    async def twin(self) -> MemoryStore | None:
        return None                                      # it belongs to one event loop

    async def now(self) -> datetime:
        return self.tables.source()

    # -- clients

    async def start_runs(self, runs: Sequence[NewRun], *, connection: Any = None) -> list[Started]:
        await self._turn(connection)
        return self._starts.start(runs)

    async def send(self, messages: Sequence[ToRun], *, connection: Any = None, patient: bool = False) -> list[Sent]:
        await self._turn(connection)
        return self._mail.send(messages, patient=patient)

    async def start_and_send(self, run: NewRun, message: ToRun, *, connection: Any = None) -> tuple[Started, Sent | None]:
        await self._turn(connection)
        [started] = self._starts.start([run])
        if started.conflict is not None:
            return started, None
        [sent] = self._mail.send([replace(message, run_id=started.run_id)], patient=False)
        return started, sent

    async def signal(self, signals: Sequence[ToSignalId], *, connection: Any = None) -> list[Sent]:
        await self._turn(connection)
        return self._signals.signal(signals)

    async def terminate(
        self, workflow_id: str, run_id: str | None, reason: str | None, failure: Payload | None = None
    ) -> Sent:
        await self._turn()
        return self._endings.terminate(workflow_id, run_id, reason, failure)

    async def pause(self, workflow_id: str, run_id: str | None, reason: str | None) -> Sent:
        await self._turn()
        return pausing.pause(self.tables, workflow_id, run_id, reason)

    async def resume(self, workflow_id: str, run_id: str | None) -> Sent:
        await self._turn()
        return pausing.resume(self.tables, workflow_id, run_id)

    async def repin(self, workflow_id: str, run_id: str | None, version: str | None) -> Sent:
        await self._turn()
        return pausing.repin(self.tables, workflow_id, run_id, version)

    async def branch_base(self, run: int) -> BranchBase | None:
        await self._turn()
        found = self.tables.runs.get(run)
        return None if found is None else BranchBase(found.memo, found.search, found.origins)

    async def branch(self, branch: Branch) -> Branched:
        await self._turn()
        return self._branches.branch(branch)

    async def find_run(self, workflow_id: str, run_id: str | None = None) -> RunRow | None:
        await self._turn()
        run = self.tables.find(workflow_id, run_id)
        if run is not None:
            self._endings.time_out([run])
        return None if run is None else run_row(self.tables, run)

    async def outcomes(self, runs: Sequence[int]) -> list[Outcome]:
        await self._turn()
        found = [self.tables.runs.get(id) for id in runs]
        self._endings.time_out([run for run in found if run is not None])
        return [
            Outcome(run.id, run.status, run.result, run.next_run_id)
            for run in found
            if run is not None and not run.status.is_open
        ]

    async def list_runs(
        self, where: Filter | None, *, limit: int, after: RunRow | None = None, order: tuple[str, bool] | None = None
    ) -> list[RunRow]:
        await self._turn()
        field, descends = ("run", True) if order is None else order

        def place(run: Run | RunRow) -> tuple[Any, int]:
            id = run.id if isinstance(run, Run) else run.run
            return (id if order is None else key_of(run, field), id)

        found = sorted(self._matching(where), key=place, reverse=descends)
        if after is not None:
            mark = place(after)
            found = [run for run in found if (place(run) < mark if descends else place(run) > mark)]
        return [run_row(self.tables, run) for run in found[:limit]]

    async def count_runs(self, where: Filter | None) -> int:
        await self._turn()
        return len(self._matching(where))

    def _matching(self, where: Filter | None) -> list[Run]:
        now = self.tables.now()
        return [run for run in self.tables.runs.values() if where is None or matches(where, run, now)]

    async def history(self, run: int) -> list[JournalEntry]:
        await self._turn()
        return entries_of(self.tables.runs[run], 0) if run in self.tables.runs else []

    async def facts_of(self, run: int) -> RunFacts | None:
        await self._turn()
        found = self.tables.runs.get(run)
        return None if found is None else RunFacts(
            dict(found.headers), found.continued_run_id, found.search, found.memo, found.origins
        )

    async def activities_of(self, run: int) -> list[Mapping[str, Any]]:
        await self._turn()
        return self._activities.of_run(run)

    async def events_after(self, position: int | None, *, limit: int) -> tuple[list[Event], int]:
        await self._turn()
        if position is None:
            return [], self.tables.events[-1].position if self.tables.events else 0
        found = [each for each in self.tables.events if each.position > position][:limit]
        return found, found[-1].position if found else position

    @property
    def escalations(self) -> EscalationRows:
        return self._escalations

    async def knows_update(self, update: UpdateKey) -> bool:
        await self._turn()
        return self._questions.knows_update(update)

    async def replies(self, updates: Sequence[UpdateKey]) -> list[Reply]:
        await self._turn()
        return self._questions.replies(updates)

    async def ask_question(
        self,
        id: UUID,
        workflow_id: str,
        run_id: str | None,
        name: str,
        input: Payload,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> bool:
        await self._turn()
        return self._questions.ask(id, workflow_id, run_id, name, input, dict(headers))

    async def answers(self, ids: Sequence[UUID]) -> list[Answer]:
        await self._turn()
        return self._questions.answers(ids)

    # -- schedules

    async def create_schedule(self, row: ScheduleRow) -> bool:
        await self._turn()
        return self._schedules.create(row)

    async def find_schedule(self, id: str) -> ScheduleRow | None:
        await self._turn()
        return self._schedules.find(id)

    async def list_schedules(self, *, after: str | None, limit: int) -> list[ScheduleRow]:
        await self._turn()
        return self._schedules.list(after=after, limit=limit)

    async def edit_schedule(self, id: str, change: Callable[[ScheduleRow], ScheduleRow]) -> ScheduleRow | None:
        await self._turn()
        return self._schedules.edit(id, change)

    async def delete_schedule(self, id: str) -> bool:
        await self._turn()
        return self._schedules.delete(id)

    async def running_of(self, state: ScheduleState) -> list[Action]:
        await self._turn()
        return list(self._schedules.running_of(state.running))

    async def serve_schedules(self, *, limit: int, taker: Taker | None = None) -> Served:
        await self._turn()
        return self._schedules.serve(limit, taker)

    # -- workers

    async def register_worker(
        self, *, identity: str, task_queues: Sequence[str], types: Sequence[str], lease: timedelta, version: str | None
    ) -> int:
        await self._turn()
        return workers.register(self.tables, identity, task_queues, types, lease, version)

    async def beat_worker(self, worker: int, *, lease: timedelta) -> bool:
        await self._turn()
        return workers.beat(self.tables, worker, lease)

    async def unregister_worker(self, worker: int) -> None:
        await self._turn()
        workers.unregister(self.tables, worker)

    async def release_silent(self, worker: int) -> int:
        await self._turn()
        return workers.release_silent(self.tables, worker)

    async def claim_runs(
        self, worker: int, *, task_queues: Sequence[str], limit: int, version: str | None = None,
        since: datetime | None = None,
    ) -> Claims:
        await self._turn()
        return claim_runs(self.tables, worker, task_queues, limit, version)

    async def load_journals(self, runs: Sequence[tuple[int, int]]) -> Mapping[int, list[JournalEntry] | PayloadError]:
        await self._turn()
        found = {id: entries_of(self.tables.runs[id], after) for id, after in runs if id in self.tables.runs}
        return {id: entries for id, entries in found.items() if entries}

    async def run_ids(self, runs: Sequence[int]) -> list[RunIds]:
        await self._turn()
        found = (self.tables.runs.get(id) for id in runs)
        return [
            RunIds(run.id, run.workflow_id, run.run_id, run.first_run_id, dict(run.headers), run.origins)
            for run in found
            if run is not None
        ]

    async def activity_ops(self, runs: Sequence[int]) -> Mapping[int, set[int]]:
        await self._turn()
        return {run: {each.op for each in self.tables.activities_of(run)} for run in runs}

    async def owned_with_mail(self, worker: int) -> list[int]:
        await self._turn()
        return owned_with_mail(self.tables, worker)

    async def read_inbox(self, runs: Sequence[tuple[int, int]], *, limit: int) -> list[Mail]:
        await self._turn()
        return self._mail.read(runs, limit)

    async def commit_turns(self, worker: int, turns: Sequence[TurnCommit]) -> list[Committed]:
        await self._turn()
        return self._commits.commit(worker, turns)

    async def claim_activities(self, worker: int, *, task_queues: Sequence[str], limit: int) -> ActivityClaims:
        await self._turn()
        return self._activities.claim(worker, task_queues, limit)

    async def settle_activities(self, settled: Sequence[Settle], *, connection: Any = None) -> list[bool]:
        await self._turn(connection)
        return self._activities.settle(settled)

    async def retry_activities(self, retries: Sequence[Retry]) -> list[bool]:
        await self._turn()
        return self._activities.retry(retries)

    async def beat_activities(self, beats: Sequence[Beat]) -> list[Beaten]:
        await self._turn()
        return self._activities.beat(beats)

    async def open_activities(self, opened: Sequence[Open]) -> list[bool]:
        await self._turn()
        return self._acts.open(opened)

    async def find_activity(self, key: ActivityKey) -> FoundActivity | str:
        await self._turn()
        return self._acts.find(key)

    async def finish_activity(self, found: FoundActivity, arrival: Arrival, *, exact: bool) -> bool:
        await self._turn()
        return self._acts.finish(found, arrival, exact=exact)

    async def fail_attempt(self, found: FoundActivity, delay: timedelta, failure: Payload, *, exact: bool) -> bool:
        await self._turn()
        return self._acts.fail_attempt(found, delay, failure, exact=exact)

    async def beat_activity(self, found: FoundActivity, details: Payload | None) -> Beaten:
        await self._turn()
        return self._acts.beat(found, details)

    async def act_on_activity(self, found: FoundActivity, act: ActOnActivity) -> bool:
        await self._turn()
        return self._acts.act(found, act)

    async def take_questions(
        self, worker: int, *, task_queues: Sequence[str], types: Sequence[str], limit: int, version: str | None = None
    ) -> tuple[list[Question], int]:
        await self._turn()
        return self._questions.take(worker, task_queues, types, limit, version)

    async def answer_questions(self, answers: Sequence[Answer]) -> None:
        await self._turn()
        self._questions.answer(answers)

    async def prune(self, *, limit: int) -> int:
        await self._turn()
        self._endings.time_out([*self.tables.open.values()])
        return prune(self.tables, limit)

    # -- doorbells

    async def listen(self, ear: str, callback: Callable[[], None]) -> Callable[[], None]:
        return self._bells.listen(ear, callback)

    # -- the caller's own transactions

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        # Where the attempt of an activity fails with this, no other attempt can help.
        raise ApplicationError(_NO_TRANSACTIONS, type="ConfigurationError", non_retryable=True)

    async def _turn(self, connection: Any = None) -> None:
        """Let others run, as waiting for Postgres would. Then it is this call's time, and nobody else's until it is done."""
        if connection is not None:
            _no_transactions()
        await asyncio.sleep(0)
        self.tables.tick()


_NO_TRANSACTIONS = "there are no transactions in the store in memory; test this on Postgres: memflow_pg_env, or store='postgres'"


def _no_transactions() -> NoReturn:
    raise ConfigurationError(_NO_TRANSACTIONS)
