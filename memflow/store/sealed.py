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

from memflow.core.arrivals import Arrival
from memflow.core.definition import header_of
from memflow.core.entries import JournalEntry
from memflow.errors import ConfigurationError, PayloadError
from memflow.filters import Filter
from memflow.firing import Action, ScheduleState
from memflow.payload import Payload, Unreadable
from memflow.payload_codecs import Codecs, Place
from memflow.store import sealing, sealing_rows
from memflow.store.base import Store
from memflow.store.escalations import EscalationRows
from memflow.store.questions import NO_HEADERS
from memflow.store.schedule_values import ScheduleRow, Served, Taker
from memflow.store.sealed_escalations import SealedEscalations, Through
from memflow.store.sealing import Ids, Visit, activity_place, maybe
from memflow.store.turns import (
    ActivityClaim,
    ActivityClaims,
    ActivityKey,
    ActOnActivity,
    Beat,
    Beaten,
    Claim,
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

T = TypeVar("T")

log = logging.getLogger(__name__)

KNOWN_RUNS = 50_000
"""Runs whose ids are remembered, some 200 bytes each; those of others are asked for."""

EDITS = 20
"""Tries to change a schedule that others change all the time."""

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
            for each in await self._store.run_ids(missing):
                ids = sealing.ids_of(each.workflow_id, each.run_id, each.first_run_id, each.origins, each.headers)
                found[each.run] = self._learn(each.run, ids)
        return found

    async def run_ids(self, runs: Sequence[int]) -> list[RunIds]:
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
        sealed = await self._sealed(lambda visit: [sealing_rows.new_run(visit, run) for run in runs])
        answers = await self._store.start_runs(sealed, connection=connection)
        for run, started in zip(runs, answers, strict=True):
            self._learn_start(run, started)
        return answers

    def _learn_start(self, run: NewRun, started: Started) -> None:
        if started.created:                              # its result will be asked for
            self._learn(started.run, Ids(run.workflow_id, run.run_id, run.run_id))

    async def start_and_send(self, run: NewRun, message: ToRun, *, connection: Any = None) -> tuple[Started, Sent | None]:
        sealed_run, sealed_message = await self._sealed(
            lambda visit: (sealing_rows.new_run(visit, run), _message(visit, message))
        )
        started, sent = await self._store.start_and_send(sealed_run, sealed_message, connection=connection)
        self._learn_start(run, started)
        return started, sent

    async def send(self, messages: Sequence[ToRun], *, connection: Any = None, patient: bool = False) -> list[Sent]:
        def walk(visit: Visit) -> list[ToRun]:
            return [_message(visit, each) for each in messages]

        return await self._store.send(await self._sealed(walk), connection=connection, patient=patient)

    async def signal(self, signals: Sequence[ToSignalId], *, connection: Any = None) -> list[Sent]:
        def walk(visit: Visit) -> list[ToSignalId]:
            return [
                replace(each, payload=visit(each.payload, (each.namespace, "signal id", each.signal_id))) for each in signals
            ]

        return await self._store.signal(await self._sealed(walk), connection=connection)

    async def terminate(
        self, workflow_id: str, run_id: str | None, reason: str | None, failure: Payload | None = None
    ) -> Sent:
        if failure is None:                              # the reason alone, which stays in clear
            return await self._store.terminate(workflow_id, run_id, reason)
        row = await self._store.find_run(workflow_id, run_id)
        if row is None:
            return Sent("not_found")
        # It is bound to the chain, so that the run must be the one that was looked at.
        sealed = await self._sealed(lambda visit: visit(failure, (self.namespace, "result", row.first_run_id)))
        return await self._store.terminate(workflow_id, row.run_id, reason, sealed)

    async def pause(self, workflow_id: str, run_id: str | None, reason: str | None) -> Sent:
        return await self._store.pause(workflow_id, run_id, reason)

    async def resume(self, workflow_id: str, run_id: str | None) -> Sent:
        return await self._store.resume(workflow_id, run_id)

    async def repin(self, workflow_id: str, run_id: str | None, version: str | None) -> Sent:
        return await self._store.repin(workflow_id, run_id, version)

    async def branch_base(self, run: int) -> BranchBase | None:
        base = await self._store.branch_base(run)
        ids = (await self._ids([run])).get(run)
        if base is None or ids is None:
            return base
        return await self._opened(lambda visit: replace(base, memo=self._memo(visit, ids, base.memo)))

    async def branch(self, branch: Branch) -> Branched:
        return await self._store.branch(
            await self._sealed(lambda visit: sealing_rows.branch(visit, self.namespace, branch))
        )

    async def find_run(self, workflow_id: str, run_id: str | None = None) -> RunRow | None:
        row = await self._store.find_run(workflow_id, run_id)
        return None if row is None else (await self._rows([row]))[0]

    async def list_runs(
        self, where: Filter | None, *, limit: int, after: RunRow | None = None, order: tuple[str, bool] | None = None
    ) -> list[RunRow]:
        return await self._rows(await self._store.list_runs(where, limit=limit, after=after, order=order))

    async def _rows(self, rows: Sequence[RunRow]) -> list[RunRow]:
        # Rows of resets and forks do not tell all that they descend from.
        ids = await self._ids([row.run for row in rows if row.origin_kind is not None or row.continued_run_id is not None])
        for row in rows:
            if row.run not in ids:
                plain = Ids(row.workflow_id, row.run_id, row.first_run_id, schedule=row.schedule)
                ids[row.run] = self._learn(row.run, plain)
        return await self._opened(
            lambda visit: [sealing_rows.run_row(visit, row.namespace, ids[row.run], row) for row in rows]
        )

    def _memo(self, visit: Visit, ids: Ids, memo: Payload | None) -> Payload | None:
        return maybe(visit, memo, *ids.given(self.namespace, "memo"))

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

    async def facts_of(self, run: int) -> RunFacts | None:
        facts = await self._store.facts_of(run)
        ids = (await self._ids([run])).get(run)
        if facts is None or ids is None:
            return facts
        def walk(visit: Visit) -> RunFacts:
            left = sealing.handed_on(visit, self.namespace, facts.headers) or {}
            texts = {name: header_of(each) for name, each in left.items() if not isinstance(each, Unreadable)}
            return replace(facts, headers={**facts.headers, **texts}, memo=self._memo(visit, ids, facts.memo))

        return await self._opened(walk)

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

    @property
    def escalations(self) -> EscalationRows:
        return SealedEscalations(self._store.escalations, self.namespace, self._sealed, self._opened)

    async def knows_update(self, update: UpdateKey) -> bool:
        return await self._store.knows_update(update)

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

    # -- schedules

    async def create_schedule(self, row: ScheduleRow) -> bool:
        return await self._store.create_schedule(await self._schedule(self._sealed, row))

    async def find_schedule(self, id: str) -> ScheduleRow | None:
        row = await self._store.find_schedule(id)
        return None if row is None else await self._schedule(self._opened, row)

    async def list_schedules(self, *, after: str | None, limit: int) -> list[ScheduleRow]:
        rows = await self._store.list_schedules(after=after, limit=limit)
        return await self._opened(lambda visit: [sealing_rows.schedule(visit, self.namespace, row) for row in rows])

    async def edit_schedule(self, id: str, change: Callable[[ScheduleRow], ScheduleRow]) -> ScheduleRow | None:
        for _ in range(EDITS):
            before = await self._store.find_schedule(id)
            if before is None:
                return None
            plain = await self._schedule(self._opened, before)
            after = change(plain)
            swap = sealing_rows.Swap(before, plain, after, await self._schedule(self._sealed, after))
            try:
                row = await self._store.edit_schedule(id, swap.around(change))
            except sealing_rows.ChangedMeanwhile:
                continue
            return None if row is None else await self._schedule(self._opened, row)
        raise ConfigurationError(
            f"schedule {id!r}: what changes it gives other arguments each time it is called; it is called more than once"
        )

    async def _schedule(self, through: Through, row: ScheduleRow) -> ScheduleRow:
        return await through(lambda visit: sealing_rows.schedule(visit, self.namespace, row))

    async def delete_schedule(self, id: str) -> bool:
        return await self._store.delete_schedule(id)

    async def running_of(self, state: ScheduleState) -> list[Action]:
        return await self._store.running_of(state)

    async def serve_schedules(self, *, limit: int, taker: Taker | None = None) -> Served:
        # Starts runs with what lies in the schedules' rows, which is sealed.
        served = await self._store.serve_schedules(limit=limit, taker=taker)
        return replace(served, claims=await self._claims(served.claims)) if served.claims else served

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

    async def claim_runs(
        self, worker: int, *, task_queues: Sequence[str], limit: int, version: str | None = None,
        since: datetime | None = None,
    ) -> Claims:
        found = await self._store.claim_runs(worker, task_queues=task_queues, limit=limit, version=version, since=since)
        return replace(found, claims=await self._claims(found.claims))

    async def _claims(self, found: Sequence[Claim]) -> list[Claim]:
        return await self._opened(lambda visit: [self._claim(visit, each) for each in found])

    def _claim(self, visit: Visit, claim: Claim) -> Claim:
        ids = self._learn(
            claim.run,
            sealing.ids_of(claim.workflow_id, claim.run_id, claim.first_run_id, claim.origins, claim.headers),
        )
        input = maybe(visit, claim.input, *ids.given(self.namespace, "input"))
        memo = self._memo(visit, ids, claim.memo)
        left = sealing.handed_on(visit, self.namespace, claim.headers)
        unreadable = _reason(input, memo, *(left or {}).values())
        return replace(claim, input=input, memo=memo, handed_on=left, unreadable=unreadable)

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

    async def open_activities(self, opened: Sequence[Open]) -> list[bool]:
        return await self._store.open_activities(opened)

    async def find_activity(self, key: ActivityKey) -> FoundActivity | str:
        return await self._store.find_activity(key)

    async def finish_activity(self, found: FoundActivity, arrival: Arrival, *, exact: bool) -> bool:
        ids = (await self._ids([found.run])).get(found.run)
        if ids is None:                                  # the run is gone, and the activity with it
            return False
        sealed = await self._sealed(lambda visit: sealing.arrival(visit, self.namespace, ids, arrival))
        return await self._store.finish_activity(found, sealed, exact=exact)

    async def fail_attempt(self, found: FoundActivity, delay: timedelta, failure: Payload, *, exact: bool) -> bool:
        ids = (await self._ids([found.run])).get(found.run)
        if ids is None:
            return False
        sealed = await self._sealed(lambda visit: visit(failure, self._of(ids, found.op, "failure")))
        return await self._store.fail_attempt(found, delay, sealed, exact=exact)

    async def beat_activity(self, found: FoundActivity, details: Payload | None) -> Beaten:
        ids = (await self._ids([found.run])).get(found.run)
        if ids is not None:
            details = await self._sealed(lambda visit: maybe(visit, details, self._of(ids, found.op, "heartbeat")))
        return await self._store.beat_activity(found, None if ids is None else details)

    async def act_on_activity(self, found: FoundActivity, act: ActOnActivity) -> bool:
        return await self._store.act_on_activity(found, act)

    async def take_questions(
        self, worker: int, *, task_queues: Sequence[str], types: Sequence[str], limit: int, version: str | None = None
    ) -> tuple[list[Question], int]:
        found, pending = await self._store.take_questions(
            worker, task_queues=task_queues, types=types, limit=limit, version=version
        )

        def walk(visit: Visit) -> list[Question]:
            return [self._question(visit, each) for each in found]

        return await self._opened(walk), pending

    def _question(self, visit: Visit, found: Question) -> Question:
        ids = self._learn(
            found.run,
            sealing.ids_of(found.workflow_id, found.run_id, found.first_run_id, found.origins, found.headers),
        )
        input = visit(found.input, (self.namespace, "query", str(found.id)))
        memo = self._memo(visit, ids, found.memo)
        left = sealing.handed_on(visit, self.namespace, found.headers)
        return replace(found, input=input, memo=memo, handed_on=left)

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


def _message(visit: Visit, message: ToRun) -> ToRun:
    ids = Ids(message.workflow_id, message.run_id or "", "")
    return replace(message, arrival=sealing.arrival(visit, message.namespace, ids, message.arrival))


def _put_in(changed: Sequence[Payload]) -> Visit:
    """A visit that answers with these, in the order in which they were found."""
    left = iter(changed)

    def put(payload: Payload, *places: Place) -> Payload:
        return next(left)

    return put


def _reason(*payloads: Payload | None) -> str | None:
    return next((each.reason for each in payloads if isinstance(each, Unreadable)), None)
