"""The Store in memory. Thin: each method lets the event loop run, then does what it promises without awaiting again, so
that it is atomic as a transaction is. The promises stand in `memflow/store/base.py`; that they are kept, in `conformance.py`.

It lives in one process and one event loop, and is gone with it. There is no Postgres, so there are no transactions to join.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID

from memflow.core.entries import JournalEntry
from memflow.errors import ConfigurationError
from memflow.filters import Filter
from memflow.payload import Payload
from memflow.store.base import (
    ActivityClaims,
    Answer,
    Beat,
    Beaten,
    Claims,
    Committed,
    Event,
    Mail,
    NewRun,
    Outcome,
    Question,
    Reply,
    Retry,
    RunRow,
    Sent,
    Settle,
    Started,
    ToRun,
    ToSignalId,
    TurnCommit,
    UpdateKey,
)
from memflow_testing.memory.bells import Bells
from memflow_testing.memory.commit import Commits
from memflow_testing.memory.filtering import matches
from memflow_testing.memory.housekeeping import prune
from memflow_testing.memory.mail import MailRoom
from memflow_testing.memory.questions import Questions
from memflow_testing.memory.runs import Runs, entries_of, run_row
from memflow_testing.memory.tables import Tables
from memflow_testing.memory.workers import Workers


def _wall_clock() -> datetime:
    return datetime.now(UTC)


class MemoryStore:
    """One namespace in memory. `now` is the database's clock of it, by default the machine's."""

    notifies = True

    def __init__(self, *, namespace: str = "default", now: Callable[[], datetime] = _wall_clock) -> None:
        self.namespace = namespace
        self._now = now
        self.tables = Tables()
        self._bells = Bells()
        ring = self._bells.ring
        self._mail = MailRoom(self.tables, now, ring)
        self._runs = Runs(self.tables, now, ring, self._mail)
        self._commits = Commits(self.tables, now, ring, self._mail, self._runs)
        self._workers = Workers(self.tables, now, ring, self._mail)
        self._questions = Questions(self.tables, now, ring)

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
        return self._now()

    # -- clients

    async def start_runs(self, runs: Sequence[NewRun], *, connection: Any = None) -> list[Started]:
        await _turn(connection)
        return [self._runs.start(run) for run in runs]

    async def send(self, messages: Sequence[ToRun], *, connection: Any = None) -> list[Sent]:
        await _turn(connection)
        return self._mail.send(messages)

    async def signal(self, signals: Sequence[ToSignalId], *, connection: Any = None) -> list[Sent]:
        await _turn(connection)
        return self._mail.signal(signals)

    async def terminate(self, workflow_id: str, run_id: str | None, reason: str | None) -> Sent:
        await _turn()
        return self._runs.terminate(workflow_id, run_id, reason)

    async def find_run(self, workflow_id: str, run_id: str | None = None) -> RunRow | None:
        await _turn()
        run = self.tables.find(workflow_id, run_id)
        return None if run is None else run_row(run)

    async def outcomes(self, runs: Sequence[int]) -> list[Outcome]:
        await _turn()
        found = (self.tables.runs.get(id) for id in runs)
        return [
            Outcome(run.id, run.status, run.result, run.next_run_id)
            for run in found
            if run is not None and not run.status.is_open
        ]

    async def list_runs(self, where: Filter | None, *, limit: int, after: RunRow | None = None) -> list[RunRow]:
        await _turn()
        found = sorted(self.tables.runs.values(), key=lambda run: -run.id)
        now = self._now()
        rows = (
            run for run in found if (after is None or run.id < after.run) and (where is None or matches(where, run, now))
        )
        return [run_row(run) for run, _ in zip(rows, range(limit), strict=False)]

    async def count_runs(self, where: Filter | None) -> int:
        await _turn()
        now = self._now()
        return sum(where is None or matches(where, run, now) for run in self.tables.runs.values())

    async def history(self, run: int) -> list[JournalEntry]:
        await _turn()
        return entries_of(self.tables.runs[run], 0) if run in self.tables.runs else []

    async def activities_of(self, run: int) -> list[Mapping[str, Any]]:
        await _turn()
        return self._workers.activities_of(run)

    async def events_after(self, position: int | None, *, limit: int) -> tuple[list[Event], int]:
        await _turn()
        events = self.tables.events
        if position is None:
            return [], len(events)
        found = events[position : position + limit]
        return found, found[-1].position if found else position

    async def replies(self, updates: Sequence[UpdateKey]) -> list[Reply]:
        await _turn()
        return self._questions.replies(updates)

    async def ask_question(self, id: UUID, workflow_id: str, run_id: str | None, name: str, input: Payload) -> bool:
        await _turn()
        return self._questions.ask(id, workflow_id, run_id, name, input)

    async def answers(self, ids: Sequence[UUID]) -> list[Answer]:
        await _turn()
        return self._questions.answers(ids)

    # -- workers

    async def register_worker(
        self, *, identity: str, task_queues: Sequence[str], types: Sequence[str], lease: timedelta, version: str | None
    ) -> int:
        await _turn()
        return self._workers.register(identity, task_queues, types, lease, version)

    async def beat_worker(self, worker: int, *, lease: timedelta) -> bool:
        await _turn()
        return self._workers.beat(worker, lease)

    async def unregister_worker(self, worker: int) -> None:
        await _turn()
        self._workers.unregister(worker)

    async def release_silent(self, worker: int) -> int:
        await _turn()
        return self._workers.release_silent(worker)

    async def claim_runs(self, worker: int, *, task_queues: Sequence[str], limit: int) -> Claims:
        await _turn()
        return self._workers.claim_runs(worker, task_queues, limit)

    async def load_journals(self, runs: Sequence[tuple[int, int]]) -> Mapping[int, list[JournalEntry]]:
        await _turn()
        found = {id: entries_of(self.tables.runs[id], after) for id, after in runs if id in self.tables.runs}
        return {id: entries for id, entries in found.items() if entries}

    async def activity_ops(self, runs: Sequence[int]) -> Mapping[int, set[int]]:
        await _turn()
        return {run: {each.op for each in self.tables.activities_of(run)} for run in runs}

    async def owned_with_mail(self, worker: int) -> list[int]:
        await _turn()
        return self._workers.owned_with_mail(worker)

    async def read_inbox(self, runs: Sequence[tuple[int, int]], *, limit: int) -> list[Mail]:
        await _turn()
        return self._mail.read(runs, limit)

    async def commit_turns(self, worker: int, turns: Sequence[TurnCommit]) -> list[Committed]:
        await _turn()
        return self._commits.commit(worker, turns)

    async def claim_activities(self, worker: int, *, task_queues: Sequence[str], limit: int) -> ActivityClaims:
        await _turn()
        return self._workers.claim_activities(worker, task_queues, limit)

    async def settle_activities(self, settled: Sequence[Settle], *, connection: Any = None) -> list[bool]:
        await _turn(connection)
        return self._workers.settle(settled)

    async def retry_activities(self, retries: Sequence[Retry]) -> list[bool]:
        await _turn()
        return self._workers.retry(retries)

    async def beat_activities(self, beats: Sequence[Beat]) -> list[Beaten]:
        await _turn()
        return self._workers.beat_activities(beats)

    async def take_questions(
        self, worker: int, *, task_queues: Sequence[str], types: Sequence[str], limit: int
    ) -> tuple[list[Question], int]:
        await _turn()
        return self._questions.take(worker, task_queues, types, limit)

    async def answer_questions(self, answers: Sequence[Answer]) -> None:
        await _turn()
        self._questions.answer(answers)

    async def prune(self, *, limit: int) -> int:
        await _turn()
        return prune(self.tables, self._now(), limit)

    # -- doorbells

    async def listen(self, ear: str, callback: Callable[[], None]) -> Callable[[], None]:
        return self._bells.listen(ear, callback)

    # -- the caller's own transactions

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        _no_transactions()


async def _turn(connection: Any = None) -> None:
    """Let others run, as waiting for Postgres would."""
    if connection is not None:
        _no_transactions()
    await asyncio.sleep(0)


def _no_transactions() -> NoReturn:
    raise ConfigurationError(
        "the store in memory has no transactions to join: test transactional activities and connection=... on Postgres,"
        " with the fixture memflow_pg_env or @pytest.mark.memflow(store=\"postgres\")"
    )
