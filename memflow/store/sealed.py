"""A Store whose payloads are changed by codecs on their way to Postgres and back: encrypted, compressed, whatever they do.

Made only where payload codecs are given; the rest of the house sees plain payloads either way. What a payload is bound to
stands in `sealing`. Ids, names, topics, headers, reasons of cancellations, search fields and records stay in clear:
Postgres looks at them.

What cannot be opened (an unknown key, a payload that was moved) must not sink its neighbours and must not reach workflow code,
where it would fail the run: claims, mail and journals say so for their run alone, which is then stuck until it can be read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from memflow.core.entries import JournalEntry
from memflow.errors import PayloadError
from memflow.filters import Filter
from memflow.payload import Payload, Unreadable
from memflow.payload_codecs import Codecs, Place
from memflow.store import sealing
from memflow.store.base import (
    ActivityClaim,
    ActivityClaims,
    Answer,
    Beat,
    Beaten,
    Claim,
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
    Store,
    ToRun,
    ToSignalId,
    TurnCommit,
    UpdateKey,
)
from memflow.store.questions import NO_HEADERS
from memflow.store.sealing import Ids, Visit, activity_place, maybe

T = TypeVar("T")

log = logging.getLogger(__name__)

KNOWN_RUNS = 50_000
"""Runs whose ids are remembered, some 200 bytes each; those of others are asked for."""

PAUSE_SECONDS = 0.5
"""After a commit that could not be sealed: its run would otherwise try again at once."""


class SealedStore:
    """Another store with payload codecs around it. What each method promises stands in `base.Store`."""

    def __init__(self, store: Store, codecs: Codecs) -> None:
        self._store = store
        self._codecs = codecs
        self.namespace = store.namespace
        self._known: dict[int, Ids] = {}

    # -- sealing and opening

    async def _sealed(self, walk: Callable[[Visit], T]) -> T:
        found: list[tuple[Payload, Place]] = []

        def find(payload: Payload, *places: Place) -> Payload:
            found.append((payload, places[0]))
            return payload

        plain = walk(find)
        if not found:
            return plain
        return walk(_put_in(await self._codecs.seal(found)))

    async def _opened(self, walk: Callable[[Visit], T]) -> T:
        found: list[tuple[Payload, Sequence[Place]]] = []

        def find(payload: Payload, *places: Place) -> Payload:
            found.append((payload, places))
            return payload

        sealed = walk(find)
        if not found:
            return sealed
        return walk(_put_in(await self._codecs.open(found)))

    def _learn(self, run: int, ids: Ids) -> Ids:
        if len(self._known) >= KNOWN_RUNS:
            for old in list(self._known)[: KNOWN_RUNS // 4]:  # the first to come; whoever still needs one asks
                del self._known[old]
        self._known[run] = ids
        return ids

    async def _ids(self, runs: Sequence[int]) -> dict[int, Ids]:
        """What names these runs. Taken out of the memory, so that forgetting cannot come between."""
        found = {run: self._known[run] for run in runs if run in self._known}
        missing = sorted(set(runs) - found.keys())
        if missing:
            for run, workflow_id, run_id, chain in await self._store.run_ids(missing):
                found[run] = self._learn(run, Ids(workflow_id, run_id, chain))
        return found

    async def run_ids(self, runs: Sequence[int]) -> list[tuple[int, str, str, str]]:
        return await self._store.run_ids(runs)

    # -- life

    async def migrate(self) -> None:
        await self._store.migrate()

    async def check_schema(self) -> None:
        await self._store.check_schema()

    async def close(self) -> None:
        await self._store.close()

    async def now(self) -> datetime:
        return await self._store.now()

    async def twin(self) -> Store | None:
        twin = await self._store.twin()
        return None if twin is None else SealedStore(twin, self._codecs)

    # -- clients

    async def start_runs(self, runs: Sequence[NewRun], *, connection: Any = None) -> list[Started]:
        sealed = await self._sealed(lambda visit: [_new_run(visit, run) for run in runs])
        answers = await self._store.start_runs(sealed, connection=connection)
        for run, started in zip(runs, answers, strict=True):
            if started.created:                          # its result will be asked for
                self._learn(started.run, Ids(run.workflow_id, run.run_id, run.run_id))
        return answers

    async def send(self, messages: Sequence[ToRun], *, connection: Any = None) -> list[Sent]:
        def walk(visit: Visit) -> list[ToRun]:
            return [
                replace(
                    each,
                    arrival=sealing.arrival(visit, each.namespace, Ids(each.workflow_id, each.run_id or "", ""), each.arrival),
                )
                for each in messages
            ]

        return await self._store.send(await self._sealed(walk), connection=connection)

    async def signal(self, signals: Sequence[ToSignalId], *, connection: Any = None) -> list[Sent]:
        def walk(visit: Visit) -> list[ToSignalId]:
            return [
                replace(each, payload=visit(each.payload, (each.namespace, "signal id", each.signal_id))) for each in signals
            ]

        return await self._store.signal(await self._sealed(walk), connection=connection)

    async def terminate(self, workflow_id: str, run_id: str | None, reason: str | None) -> Sent:
        return await self._store.terminate(workflow_id, run_id, reason)

    async def find_run(self, workflow_id: str, run_id: str | None = None) -> RunRow | None:
        row = await self._store.find_run(workflow_id, run_id)
        return None if row is None else await self._opened(lambda visit: self._row(visit, row))

    async def list_runs(self, where: Filter | None, *, limit: int, after: RunRow | None = None) -> list[RunRow]:
        rows = await self._store.list_runs(where, limit=limit, after=after)
        return await self._opened(lambda visit: [self._row(visit, row) for row in rows])

    def _row(self, visit: Visit, row: RunRow) -> RunRow:
        namespace, chain = row.namespace, row.first_run_id
        ids = self._learn(row.run, Ids(row.workflow_id, row.run_id, chain))
        return replace(
            row,
            input=visit(row.input, *ids.places(lambda run: (namespace, "input", run.chain))),
            result=maybe(visit, row.result, (namespace, "result", chain)),
            memo=maybe(visit, row.memo, *ids.places(lambda run: (namespace, "memo", run.chain))),
            detail=sealing.detail(visit, namespace, ids, row.detail),
        )

    async def count_runs(self, where: Filter | None) -> int:
        return await self._store.count_runs(where)

    async def outcomes(self, runs: Sequence[int]) -> list[Outcome]:
        found = await self._store.outcomes(runs)
        ids = await self._ids([each.run for each in found])

        def walk(visit: Visit) -> list[Outcome]:
            return [
                replace(each, result=maybe(visit, each.result, (self.namespace, "result", ids[each.run].chain)))
                if each.run in ids
                else each
                for each in found
            ]

        return await self._opened(walk)

    async def history(self, run: int) -> list[JournalEntry]:
        found = await self._store.history(run)
        ids = (await self._ids([run])).get(run)
        if ids is None:
            return found
        return await self._opened(lambda visit: sealing.entries(visit, self.namespace, ids, found))

    async def activities_of(self, run: int) -> list[Mapping[str, Any]]:
        rows = await self._store.activities_of(run)
        ids = (await self._ids([run])).get(run) if rows else None
        if ids is None:
            return rows

        def walk(visit: Visit) -> list[Mapping[str, Any]]:
            return [
                {
                    **row,
                    "last_failure": maybe(visit, row["last_failure"], self._of(ids, row["op"], "failure")),
                    "heartbeat_details": maybe(visit, row["heartbeat_details"], self._of(ids, row["op"], "heartbeat")),
                }
                for row in rows
            ]

        return await self._opened(walk)

    def _of(self, ids: Ids, op: int, what: str) -> Place:
        return activity_place(self.namespace, ids.run_id, op, what)

    async def events_after(self, position: int | None, *, limit: int) -> tuple[list[Event], int]:
        found, last = await self._store.events_after(position, limit=limit)

        def walk(visit: Visit) -> list[Event]:
            return [
                replace(each, payload=visit(each.payload, (self.namespace, "event", each.workflow_id or "", each.topic)))
                for each in found
            ]

        return await self._opened(walk), last

    async def replies(self, updates: Sequence[UpdateKey]) -> list[Reply]:
        found = await self._store.replies(updates)

        def walk(visit: Visit) -> list[Reply]:
            return [
                replace(each, payload=maybe(visit, each.payload, (self.namespace, "reply", key.chain, key.update_id)))
                for key, each in zip(updates, found, strict=True)
            ]

        return await self._opened(walk)

    async def ask_question(
        self,
        id: UUID,
        workflow_id: str,
        run_id: str | None,
        name: str,
        input: Payload,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> bool:
        sealed = await self._sealed(lambda visit: visit(input, (self.namespace, "query", str(id))))
        return await self._store.ask_question(id, workflow_id, run_id, name, sealed, headers)

    async def answers(self, ids: Sequence[UUID]) -> list[Answer]:
        found = await self._store.answers(ids)
        return await self._opened(lambda visit: [self._answer(visit, each) for each in found])

    def _answer(self, visit: Visit, found: Answer) -> Answer:
        return replace(found, payload=maybe(visit, found.payload, (self.namespace, "answer to", str(found.id))))

    # -- workers

    async def register_worker(
        self, *, identity: str, task_queues: Sequence[str], types: Sequence[str], lease: timedelta, version: str | None
    ) -> int:
        return await self._store.register_worker(
            identity=identity, task_queues=task_queues, types=types, lease=lease, version=version
        )

    async def beat_worker(self, worker: int, *, lease: timedelta) -> bool:
        return await self._store.beat_worker(worker, lease=lease)

    async def unregister_worker(self, worker: int) -> None:
        await self._store.unregister_worker(worker)

    async def release_silent(self, worker: int) -> int:
        return await self._store.release_silent(worker)

    async def claim_runs(self, worker: int, *, task_queues: Sequence[str], limit: int) -> Claims:
        found = await self._store.claim_runs(worker, task_queues=task_queues, limit=limit)
        opened = await self._opened(lambda visit: [self._claim(visit, each) for each in found.claims])
        return replace(found, claims=opened)

    def _claim(self, visit: Visit, claim: Claim) -> Claim:
        ids = self._learn(claim.run, Ids(claim.workflow_id, claim.run_id, claim.first_run_id))
        input = maybe(visit, claim.input, *ids.places(lambda run: (self.namespace, "input", run.chain)))
        memo = maybe(visit, claim.memo, *ids.places(lambda run: (self.namespace, "memo", run.chain)))
        return replace(claim, input=input, memo=memo, unreadable=_reason(input, memo))

    async def load_journals(self, runs: Sequence[tuple[int, int]]) -> Mapping[int, list[JournalEntry] | PayloadError]:
        found = await self._store.load_journals(runs)
        ids = await self._ids(list(found))

        def walk(visit: Visit) -> dict[int, list[JournalEntry] | PayloadError]:
            journals: dict[int, list[JournalEntry] | PayloadError] = {}
            for run, entries in found.items():
                if isinstance(entries, PayloadError) or run not in ids:
                    journals[run] = entries
                    continue
                watch = _Watch(visit)
                opened = sealing.entries(watch, self.namespace, ids[run], entries)
                journals[run] = opened if watch.broken is None else PayloadError(watch.broken)
            return journals

        return await self._opened(walk)

    async def activity_ops(self, runs: Sequence[int]) -> Mapping[int, set[int]]:
        return await self._store.activity_ops(runs)

    async def owned_with_mail(self, worker: int) -> list[int]:
        return await self._store.owned_with_mail(worker)

    async def read_inbox(self, runs: Sequence[tuple[int, int]], *, limit: int) -> list[Mail]:
        found = await self._store.read_inbox(runs, limit=limit)
        ids = await self._ids([each.run for each in found])

        def walk(visit: Visit) -> list[Mail]:
            mail: list[Mail] = []
            for each in found:
                if each.run in ids:
                    watch = _Watch(visit)
                    arrival = sealing.arrival(watch, self.namespace, ids[each.run], each.arrival)
                    mail.append(replace(each, arrival=arrival, unreadable=watch.broken))
                else:
                    mail.append(each)
            return mail

        return await self._opened(walk)

    async def commit_turns(self, worker: int, turns: Sequence[TurnCommit]) -> list[Committed]:
        ids = await self._ids([turn.run for turn in turns])
        refused: dict[int, Committed] = {}
        sealed: list[TurnCommit] = []
        try:
            sealed = await self._turns(ids, turns)
        except PayloadError:
            for turn in turns:
                try:
                    sealed += await self._turns(ids, [turn])
                except PayloadError as error:
                    log.warning("cannot seal the turn of a run", exc_info=True, extra={"run": turn.run})
                    refused[turn.run] = Committed(turn.run, "refused", 0, False, f"PayloadError: {error}")
            await asyncio.sleep(PAUSE_SECONDS)
        answers = {each.run: each for each in await self._store.commit_turns(worker, sealed)}
        return [refused.get(turn.run) or answers[turn.run] for turn in turns]

    async def _turns(self, ids: Mapping[int, Ids], turns: Sequence[TurnCommit]) -> list[TurnCommit]:
        def walk(visit: Visit) -> list[TurnCommit]:
            # A run that is gone cannot be committed to anyway.
            return [sealing.turn(visit, self.namespace, ids[each.run], each) if each.run in ids else each for each in turns]

        return await self._sealed(walk)

    async def claim_activities(self, worker: int, *, task_queues: Sequence[str], limit: int) -> ActivityClaims:
        found = await self._store.claim_activities(worker, task_queues=task_queues, limit=limit)
        opened = await self._opened(lambda visit: [self._activity(visit, each) for each in found.claims])
        return replace(found, claims=opened)

    def _activity(self, visit: Visit, claim: ActivityClaim) -> ActivityClaim:
        def place(what: str) -> Place:
            return activity_place(self.namespace, claim.run_id, claim.op, what)

        input = visit(claim.input, place("input"))
        heartbeat = maybe(visit, claim.heartbeat, place("heartbeat"))
        last_failure = maybe(visit, claim.last_failure, place("failure"))
        return replace(
            claim, input=input, heartbeat=heartbeat, last_failure=last_failure, unreadable=_reason(input, heartbeat)
        )

    async def settle_activities(self, settled: Sequence[Settle], *, connection: Any = None) -> list[bool]:
        ids = await self._ids([each.run for each in settled])

        def walk(visit: Visit) -> list[Settle]:
            return [
                replace(each, arrival=sealing.arrival(visit, self.namespace, ids[each.run], each.arrival))
                if each.run in ids
                else each
                for each in settled
            ]

        return await self._store.settle_activities(await self._sealed(walk), connection=connection)

    async def retry_activities(self, retries: Sequence[Retry]) -> list[bool]:
        ids = await self._ids([each.run for each in retries])

        def walk(visit: Visit) -> list[Retry]:
            return [
                replace(each, last_failure=maybe(visit, each.last_failure, self._of(ids[each.run], each.op, "failure")))
                if each.run in ids
                else each
                for each in retries
            ]

        return await self._store.retry_activities(await self._sealed(walk))

    async def beat_activities(self, beats: Sequence[Beat]) -> list[Beaten]:
        ids = await self._ids([each.run for each in beats if each.details is not None])

        def walk(visit: Visit) -> list[Beat]:
            return [
                replace(each, details=maybe(visit, each.details, self._of(ids[each.run], each.op, "heartbeat")))
                if each.run in ids
                else each
                for each in beats
            ]

        return await self._store.beat_activities(await self._sealed(walk))

    async def take_questions(
        self, worker: int, *, task_queues: Sequence[str], types: Sequence[str], limit: int
    ) -> tuple[list[Question], int]:
        found, pending = await self._store.take_questions(worker, task_queues=task_queues, types=types, limit=limit)
        for each in found:
            self._learn(each.run, Ids(each.workflow_id, each.run_id, each.first_run_id))

        def walk(visit: Visit) -> list[Question]:
            return [replace(each, input=visit(each.input, (self.namespace, "query", str(each.id)))) for each in found]

        return await self._opened(walk), pending

    async def answer_questions(self, answers: Sequence[Answer]) -> None:
        await self._store.answer_questions(await self._sealed(lambda visit: [self._answer(visit, each) for each in answers]))

    async def prune(self, *, limit: int) -> int:
        return await self._store.prune(limit=limit)

    # -- doorbells

    async def listen(self, ear: str, callback: Callable[[], None]) -> Callable[[], None]:
        return await self._store.listen(ear, callback)

    @property
    def notifies(self) -> bool:
        return self._store.notifies

    # -- the caller's own transactions

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        return self._store.transaction()


class _Watch:
    """A visit that remembers what could not be opened."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self.broken: str | None = None

    def __call__(self, payload: Payload, *places: Place) -> Payload:
        opened = self._visit(payload, *places)
        if self.broken is None and isinstance(opened, Unreadable):
            self.broken = opened.reason
        return opened


def _put_in(changed: Sequence[Payload]) -> Visit:
    """A visit that answers with these, in the order in which they were found."""
    left = iter(changed)

    def put(payload: Payload, *places: Place) -> Payload:
        return next(left)

    return put


def _reason(*payloads: Payload | None) -> str | None:
    return next((each.reason for each in payloads if isinstance(each, Unreadable)), None)


def _new_run(visit: Visit, run: NewRun) -> NewRun:
    """Its search fields are left as they are: Postgres searches in them."""
    signal = run.signal
    if signal is not None:
        signal = signal[0], visit(signal[1], (run.namespace, "signal", run.workflow_id, signal[0]))
    return replace(
        run,
        input=visit(run.input, (run.namespace, "input", run.run_id)),
        memo=maybe(visit, run.memo, (run.namespace, "memo", run.run_id)),
        signal=signal,
    )
