"""The Store over Postgres. Thin: each method calls the function of its name, which calls the statement of that name.

Where to look: `commit.py` and `functions/30_commit.sql` for what a commit does, `database.py` for connections and repeats,
`notify.py` for doorbells, `migrations/0001_initial.sql` for the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from memflow.core.arrivals import Arrival
from memflow.core.entries import JournalEntry
from memflow.errors import ConfigurationError, PayloadError
from memflow.filters import Filter
from memflow.firing import Action, ScheduleState
from memflow.payload import Payload
from memflow.store import (
    activities,
    activity_acts,
    branches,
    commit,
    events,
    inbox,
    journal,
    migrate,
    questions,
    records,
    schedule_serving,
    schedules,
    workers,
)
from memflow.store import runs as run_rows
from memflow.store import signals as signal_rows
from memflow.store.database import Database
from memflow.store.escalations import EscalationRows
from memflow.store.notify import Listener
from memflow.store.schedule_values import ScheduleRow, Served, Taker
from memflow.store.sql import Statements
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


class PostgresStore:
    """One namespace of one schema. Made by `connect`; what each method promises stands in `base.Store`."""

    def __init__(self, database: Database, listener: Listener, namespace: str) -> None:
        self.namespace = namespace
        self._database = database
        self._listener = listener
        self._escalations = EscalationRows(database, namespace)
        self._address: tuple[str | None, str] = (None, "memflow")

    @classmethod
    async def connect(
        cls,
        dsn: str | None = None,
        *,
        pool: Any = None,
        namespace: str = "default",
        schema: str = "memflow",
        listen_dsn: str | None = None,
    ) -> Self:
        """Open a store over a DSN, or over an asyncpg pool of the caller's, which stays open when the store is closed.

        `listen_dsn` is a direct connection for notices, where `dsn` leads through a pooler. `?pgbouncer=1` in a DSN says
        that it does; otherwise that is found out.

        Raises:
            ConfigurationError: the DSN or the schema's name cannot be used.
            DatabaseError: Postgres cannot be reached, or refuses.
        """
        if (dsn is None) == (pool is None):
            raise ConfigurationError("give either a DSN or a pool")
        database = Database(dsn, pool, Statements(schema))
        await database.open()
        store = cls(database, Listener(database, dsn=listen_dsn or database.dsn, pool=pool, namespace=namespace), namespace)
        store._address = (dsn, schema)
        return store

    # -- life

    async def migrate(self) -> None:
        await migrate.migrate(self._database)

    async def check_schema(self) -> None:
        await migrate.check(self._database)

    async def close(self) -> None:
        await self._listener.close()
        await self._database.close()

    async def twin(self) -> PostgresStore | None:
        dsn, schema = self._address
        return None if dsn is None else await PostgresStore.connect(dsn, namespace=self.namespace, schema=schema)

    async def now(self) -> datetime:
        row = await self._database.row("now")
        assert row is not None, "the statement always gives one row"
        now: datetime = row["now"]
        return now

    # -- clients

    async def start_runs(self, runs: Sequence[NewRun], *, connection: Any = None) -> list[Started]:
        return await run_rows.start_runs(self._database, runs, connection=connection)

    async def send(self, messages: Sequence[ToRun], *, connection: Any = None, patient: bool = False) -> list[Sent]:
        return await inbox.send(self._database, messages, connection=connection, patient=patient)

    async def start_and_send(self, run: NewRun, message: ToRun, *, connection: Any = None) -> tuple[Started, Sent | None]:
        return await run_rows.start_and_send(self._database, run, message, connection=connection)

    async def signal(self, signals: Sequence[ToSignalId], *, connection: Any = None) -> list[Sent]:
        return await signal_rows.signal(self._database, signals, connection=connection)

    async def terminate(
        self, workflow_id: str, run_id: str | None, reason: str | None, failure: Payload | None = None
    ) -> Sent:
        return await run_rows.terminate(self._database, self.namespace, workflow_id, run_id, reason, failure)

    async def pause(self, workflow_id: str, run_id: str | None, reason: str | None) -> Sent:
        return await branches.pause(self._database, self.namespace, workflow_id, run_id, reason)

    async def resume(self, workflow_id: str, run_id: str | None) -> Sent:
        return await branches.resume(self._database, self.namespace, workflow_id, run_id)

    async def repin(self, workflow_id: str, run_id: str | None, version: str | None) -> Sent:
        return await branches.repin(self._database, self.namespace, workflow_id, run_id, version)

    async def branch_base(self, run: int) -> BranchBase | None:
        return await branches.branch_base(self._database, run)

    async def branch(self, branch: Branch) -> Branched:
        return await branches.branch(self._database, self.namespace, branch)

    async def find_run(self, workflow_id: str, run_id: str | None = None) -> RunRow | None:
        return await run_rows.find_run(self._database, self.namespace, workflow_id, run_id)

    async def outcomes(self, runs: Sequence[int]) -> list[Outcome]:
        return await run_rows.outcomes(self._database, self.namespace, runs)

    async def list_runs(
        self, where: Filter | None, *, limit: int, after: RunRow | None = None, order: tuple[str, bool] | None = None
    ) -> list[RunRow]:
        return await records.list_runs(self._database, self.namespace, where, limit=limit, after=after, order=order)

    async def count_runs(self, where: Filter | None) -> int:
        return await records.count_runs(self._database, self.namespace, where)

    async def history(self, run: int) -> list[JournalEntry]:
        return await journal.history(self._database, run)

    async def facts_of(self, run: int) -> RunFacts | None:
        return await run_rows.facts_of(self._database, run)

    async def activities_of(self, run: int) -> list[Mapping[str, Any]]:
        return await activities.activities_of(self._database, run)

    async def events_after(self, position: int | None, *, limit: int) -> tuple[list[Event], int]:
        return await events.events_after(self._database, self.namespace, position, limit=limit)

    @property
    def escalations(self) -> EscalationRows:
        return self._escalations

    async def knows_update(self, update: UpdateKey) -> bool:
        return await questions.knows_update(self._database, self.namespace, update)

    async def replies(self, updates: Sequence[UpdateKey]) -> list[Reply]:
        return await questions.replies(self._database, self.namespace, updates)

    async def ask_question(
        self,
        id: UUID,
        workflow_id: str,
        run_id: str | None,
        name: str,
        input: Payload,
        headers: Mapping[str, str] = questions.NO_HEADERS,
    ) -> bool:
        return await questions.ask_question(self._database, self.namespace, id, workflow_id, run_id, name, input, headers)

    async def answers(self, ids: Sequence[UUID]) -> list[Answer]:
        return await questions.answers(self._database, ids)

    # -- schedules

    async def create_schedule(self, row: ScheduleRow) -> bool:
        return await schedules.create_schedule(self._database, self.namespace, row)

    async def find_schedule(self, id: str) -> ScheduleRow | None:
        return await schedules.find_schedule(self._database, self.namespace, id)

    async def list_schedules(self, *, after: str | None, limit: int) -> list[ScheduleRow]:
        return await schedules.list_schedules(self._database, self.namespace, after=after, limit=limit)

    async def edit_schedule(self, id: str, change: Callable[[ScheduleRow], ScheduleRow]) -> ScheduleRow | None:
        return await schedules.edit_schedule(self._database, self.namespace, id, change)

    async def delete_schedule(self, id: str) -> bool:
        return await schedules.delete_schedule(self._database, self.namespace, id)

    async def running_of(self, state: ScheduleState) -> list[Action]:
        return await schedules.running_now(self._database, self.namespace, state)

    async def serve_schedules(
        self, *, limit: int, taker: Taker | None = None, look: schedule_serving.Look | None = None
    ) -> Served:
        return await schedule_serving.serve_schedules(self._database, self.namespace, limit=limit, taker=taker, look=look)

    # -- workers

    async def register_worker(
        self, *, identity: str, task_queues: Sequence[str], types: Sequence[str], lease: timedelta, version: str | None
    ) -> int:
        return await workers.register_worker(
            self._database,
            self._listener,
            namespace=self.namespace,
            identity=identity,
            task_queues=task_queues,
            types=types,
            lease=lease,
            version=version,
        )

    async def beat_worker(self, worker: int, *, lease: timedelta) -> bool:
        return await workers.beat_worker(self._database, worker, lease=lease)

    async def unregister_worker(self, worker: int) -> None:
        await workers.unregister_worker(self._database, self._listener, worker)

    async def release_silent(self, worker: int) -> int:
        return await workers.release_silent(self._database, worker)

    async def claim_runs(
        self, worker: int, *, task_queues: Sequence[str], limit: int, version: str | None = None,
        since: datetime | None = None,
    ) -> Claims:
        return await run_rows.claim_runs(
            self._database, worker=worker, namespace=self.namespace, task_queues=task_queues, limit=limit, version=version,
            since=since,
        )

    async def load_journals(self, runs: Sequence[tuple[int, int]]) -> Mapping[int, list[JournalEntry] | PayloadError]:
        return dict(await journal.load_journals(self._database, runs))

    async def run_ids(self, runs: Sequence[int]) -> list[RunIds]:
        return await run_rows.run_ids(self._database, runs)

    async def activity_ops(self, runs: Sequence[int]) -> Mapping[int, set[int]]:
        return await activities.activity_ops(self._database, runs)

    async def owned_with_mail(self, worker: int) -> list[int]:
        return await inbox.owned_with_mail(self._database, worker)

    async def read_inbox(self, runs: Sequence[tuple[int, int]], *, limit: int) -> list[Mail]:
        return await inbox.read_inbox(self._database, runs, limit=limit)

    async def commit_turns(self, worker: int, turns: Sequence[TurnCommit]) -> list[Committed]:
        return await commit.commit_turns(self._database, worker, self.namespace, turns)

    async def claim_activities(self, worker: int, *, task_queues: Sequence[str], limit: int) -> ActivityClaims:
        return await activities.claim_activities(
            self._database, worker=worker, namespace=self.namespace, task_queues=task_queues, limit=limit
        )

    async def settle_activities(self, settled: Sequence[Settle], *, connection: Any = None) -> list[bool]:
        return await activities.settle_activities(self._database, self.namespace, settled, connection=connection)

    async def retry_activities(self, retries: Sequence[Retry]) -> list[bool]:
        return await activities.retry_activities(self._database, self.namespace, retries)

    async def beat_activities(self, beats: Sequence[Beat]) -> list[Beaten]:
        return await activities.beat_activities(self._database, beats)

    async def open_activities(self, opened: Sequence[Open]) -> list[bool]:
        return await activity_acts.open_activities(self._database, opened)

    async def find_activity(self, key: ActivityKey) -> FoundActivity | str:
        return await activity_acts.find_activity(self._database, self.namespace, key)

    async def finish_activity(self, found: FoundActivity, arrival: Arrival, *, exact: bool) -> bool:
        return await activity_acts.finish_activity(self._database, self.namespace, found, arrival, exact=exact)

    async def fail_attempt(self, found: FoundActivity, delay: timedelta, failure: Payload, *, exact: bool) -> bool:
        return await activity_acts.fail_attempt(self._database, self.namespace, found, delay, failure, exact=exact)

    async def beat_activity(self, found: FoundActivity, details: Payload | None) -> Beaten:
        return await activity_acts.beat_activity(self._database, found, details)

    async def act_on_activity(self, found: FoundActivity, act: ActOnActivity) -> bool:
        return await activity_acts.act_on_activity(self._database, self.namespace, found, act)

    async def take_questions(
        self, worker: int, *, task_queues: Sequence[str], types: Sequence[str], limit: int, version: str | None = None
    ) -> tuple[list[Question], int]:
        return await questions.take_questions(
            self._database,
            worker=worker,
            namespace=self.namespace,
            task_queues=task_queues,
            types=types,
            limit=limit,
            version=version,
        )

    async def answer_questions(self, answers: Sequence[Answer]) -> None:
        await questions.answer_questions(self._database, self.namespace, answers)

    async def prune(self, *, limit: int) -> int:
        await run_rows.end_left(self._database, self.namespace, limit=limit)
        return await workers.prune(self._database, limit=limit)

    # -- doorbells

    async def listen(self, ear: str, callback: Callable[[], None]) -> Callable[[], None]:
        return await self._listener.listen(ear, callback)

    @property
    def notifies(self) -> bool:
        return self._listener.notifies

    # -- the caller's own transactions

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        return self._database.transaction()
