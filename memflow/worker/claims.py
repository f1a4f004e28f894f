"""Takes due runs and makes residents of them: from the cache, fresh, or rebuilt from the journal."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from memflow.codec import Codec
from memflow.core.arrivals import Answer, Arrival, ChildCancelled, ChildFailed, MessageDelivered, RunTimedOut
from memflow.core.definition import RunInfo
from memflow.core.entries import JournalEntry
from memflow.core.interrupts import CancelActivity, Fail, ScheduleActivity
from memflow.core.journal import rebuild
from memflow.core.replay import Replay, TurnFailed
from memflow.errors import NondeterminismError, PayloadError
from memflow.failure import failure_of
from memflow.options import VersioningBehavior
from memflow.runs import Status
from memflow.store.base import Store
from memflow.store.turns import Claim, TurnCommit
from memflow.worker import verdicts
from memflow.worker.cache import Cache
from memflow.worker.chains import ending_of
from memflow.worker.committer import stuck_because
from memflow.worker.registry import Registry
from memflow.worker.resident import Hands, Resident
from memflow.workflow import standalone

log = logging.getLogger(__name__)

CLAIM_LIMIT = 500
"""Runs in one claim."""

MAIL_LIMIT = 5000
"""Inbox rows in one read, over all runs of it."""

UNKNOWN_SECONDS = 5.0
"""How long a run of a type that this worker does not know rests before it is offered again (with jitter)."""


class Claims:
    """From claimed rows to residents."""

    def __init__(
        self,
        store: Store,
        codec: Codec,
        registry: Registry,
        cache: Cache,
        hands: Hands,
        residents: dict[int, Resident],
        *,
        version: str | None = None,
        pins: bool = True,
    ) -> None:
        self._store = store
        self._codec = codec
        self._registry = registry
        self._cache = cache
        self._hands = hands
        self._residents = residents
        self._version = version
        self._pins = pins

    async def adopt(self, worker: int, claims: Sequence[Claim]) -> None:
        """Make residents of claimed runs and read their mail; runs that cannot go on here are handed back."""
        cold: list[Claim] = []
        refused: list[TurnCommit] = []
        for claim in claims:
            definition = self._registry.workflow(claim.workflow)
            if definition is None:
                refused.append(self._unknown(claim))
            elif claim.unreadable is not None:
                refused.append(self._unreadable(claim, PayloadError(claim.unreadable)))
            elif claim.length == 0:
                self._settle_in(self._resident(claim, Replay(definition, self._info(claim), self._codec), {}))
            else:
                kept = self._cache.take(claim.run, claim.length)
                if kept is not None and claim.crashes == 0:
                    self._settle_in(self._resident(claim, kept.replay, kept.scheduled_at))
                else:
                    cold.append(claim)
        if cold:
            refused.extend(await self._rebuild(cold))
        if refused:
            await self._commit(worker, refused)
        # Nobody is marked before it knows all that it needs for its turn.
        known = [claim.run for claim in claims if claim.length]
        await self._check_starts(known)
        await self._take_up_locals(known)
        await self.read_mail([claim.run for claim in claims if claim.arrived > claim.consumed])
        for claim in claims:
            if claim.arrived <= claim.consumed and claim.run in self._residents:
                self._hands.mark(self._residents[claim.run])

    def _resident(self, claim: Claim, replay: Replay, scheduled_at: dict[int, datetime], **more: Any) -> Resident:
        version = None
        if self._version is not None and not claim.pinned:
            behaviour = replay.definition.versioning
            pinned = self._pins if behaviour is None else behaviour == VersioningBehavior.PINNED
            if pinned or claim.version != self._version:
                version = (self._version, pinned)
        return Resident(claim, replay, self._hands, scheduled_at=scheduled_at, version=version, **more)

    def _settle_in(self, resident: Resident) -> None:
        self._residents[resident.run] = resident

    def _info(self, claim: Claim) -> RunInfo:
        return RunInfo(
            self._hands.namespace,
            claim.workflow_id,
            claim.run_id,
            claim.workflow,
            claim.task_queue,
            claim.started_at,
            claim.attempt,
            claim.first_run_id,
            claim.parent_workflow_id,
            claim.parent_run_id,
            dict(claim.headers),
            claim.continued_run_id,
            claim.record,
            claim.memo,
            tuple(claim.origins),
            handed_on=claim.handed_on,
        )

    async def _commit(self, worker: int, refused: list[TurnCommit]) -> None:
        while refused:
            answers = await self._store.commit_turns(worker, refused)
            refused = [
                # No code will read what has arrived for a run that ends here; a paused one ends when it goes on.
                replace(share, consumed=answer.arrived)
                if answer.outcome == "unread"
                else replace(share, entries=(), status=Status.RUNNING, result=None, sticky=False)
                for share, answer in zip(refused, answers, strict=True)
                if answer.outcome in ("unread", "paused")
            ]

    async def _rebuild(self, cold: list[Claim]) -> list[TurnCommit]:
        journals = await self._store.load_journals([(claim.run, 0) for claim in cold])
        crashed = [claim.run for claim in cold if claim.crashes]
        rows: Mapping[int, set[int]] = await self._store.activity_ops(crashed) if crashed else {}
        refused: list[TurnCommit] = []
        for claim in cold:
            entries = journals.get(claim.run, [])
            if isinstance(entries, PayloadError):
                refused.append(self._unreadable(claim, entries))
                continue
            definition = self._registry.workflow(claim.workflow)
            assert definition is not None, "others have been handed back"
            try:
                replay = rebuild(definition, self._info(claim), self._codec, entries)
            except (NondeterminismError, TurnFailed) as error:
                why = error if isinstance(error, NondeterminismError) else error.__cause__ or error
                message = f"run cannot be rebuilt with this code; it is parked and tried again\n{why}"
                extra = {"workflow_id": claim.workflow_id, "run_id": claim.run_id, "retries": claim.retries}
                definition.dialect.log_failed_turn(log, message, None, self._info(claim), extra)
                if isinstance(error, NondeterminismError) and definition.fails_unfit is not None:
                    failure = failure_of(definition.fails_unfit(error), self._codec)
                    refused.append(_ended(claim, self._hands.now(), Fail(failure)))
                    continue
                refused.append(_parked(claim, self._hands.now(), stuck_because(why)))
                continue
            resident = self._resident(
                claim,
                replay,
                _since_the_branch(claim, scheduled_at(entries)),
                rows=rows.get(claim.run, set()) if claim.crashes else None,
                cancelled={e.entry.op for e in entries if isinstance(e.entry, CancelActivity)},
            )
            resident.arrivals.extend((None, each) for each in _told_before_the_branch(claim, replay))
            self._settle_in(resident)
            await asyncio.sleep(0)                       # a long journal must not hold up everything else
        return refused

    async def _check_starts(self, runs: Sequence[int]) -> None:
        now = self._hands.now()
        for run in runs:
            resident = self._residents.get(run)
            late = resident.pending.unstarted_by(now) if resident is not None else []
            if resident is None or not late:
                continue
            rows = {row["op"]: row for row in await self._store.activities_of(run)}
            for op in late:
                row = rows.get(op)
                resident.started_in_time(op, row is None or row["attempt"] > 0 or row["owner"] is not None)

    async def _take_up_locals(self, runs: Sequence[int]) -> None:
        for run in runs:
            resident = self._residents.get(run)
            if resident is not None and resident.has_locals():
                resident.take_up_locals({row["op"]: row for row in await self._store.activities_of(run)})

    async def read_mail(self, runs: Sequence[int]) -> None:
        """Bring unread inbox rows to their residents."""
        wanted = [(run, self._residents[run].read) for run in runs if run in self._residents]
        while wanted:
            mail = await self._store.read_inbox(wanted, limit=MAIL_LIMIT)
            touched: dict[int, Resident] = {}
            for row in mail:
                resident = self._residents.get(row.run)
                if resident is not None and row.position > resident.read:
                    resident.read = row.position
                    if row.unreadable is None:
                        resident.arrivals.append((row.position, _as_the_parent_sees_it(resident, row.arrival)))
                    else:
                        resident.unreadable = PayloadError(row.unreadable)
                    touched[row.run] = resident
            last = len(mail) < MAIL_LIMIT
            for resident in touched.values():
                if last or not resident.ending:          # one that is about to end has to see all of it in one turn
                    self._hands.mark(resident)
            if last:
                # A claim that counted mail which is gone by now (its owner consumed it) still has its turn.
                for run, _ in wanted:
                    if run not in touched and run in self._residents:
                        self._hands.mark(self._residents[run])
                return
            wanted = [(run, self._residents[run].read) for run, _ in wanted if run in self._residents]

    def _unreadable(self, claim: Claim, error: PayloadError) -> TurnCommit:
        log.error(
            "the payloads of a run cannot be read; it is parked and tried again: %s",
            error,
            extra={"workflow_id": claim.workflow_id, "run_id": claim.run_id, "retries": claim.retries},
        )
        return _parked(claim, self._hands.now(), stuck_because(error))

    def _unknown(self, claim: Claim) -> TurnCommit:
        known = ", ".join(sorted(self._registry.workflows)) or "none"
        log.warning(
            "workflow type unknown here, handed back",
            extra={"workflow": claim.workflow, "workflow_id": claim.workflow_id, "task_queue": claim.task_queue},
        )
        detail = f"stuck: workflow type {claim.workflow!r} is not known to the worker that took it (it knows {known})"
        activity = standalone.activity_of(claim.workflow)
        if activity is not None:
            known = ", ".join(sorted(self._registry.activities)) or "none"
            detail = f"stuck: activity {activity!r} is not registered on the worker that took it (it knows {known})"
        now = self._hands.now()
        if claim.deadline is not None and claim.deadline <= now:
            return _ended(claim, now, RunTimedOut(claim.deadline_kind or "run"))
        rest = timedelta(seconds=UNKNOWN_SECONDS * (0.5 + random.random()))
        if claim.deadline is not None:
            rest = min(rest, claim.deadline - now)
        return _release(claim, self._hands.now() + rest, detail, claim.retries)


def _as_the_parent_sees_it(resident: Resident, arrival: Arrival) -> Arrival:
    """A child's own failure comes as it ended the child; its parent sees a child that failed, with that as the cause."""
    if not isinstance(arrival, ChildFailed | ChildCancelled):
        return arrival
    child, failure = resident.replay.open_children.get(arrival.op), arrival.failure
    if child is None or (failure.kind == "child" and failure.facts.get("workflow_id") == child.workflow_id):
        return arrival
    return replace(arrival, failure=verdicts.child_failed(child, failure))


def _parked(claim: Claim, now: datetime, detail: str) -> TurnCommit:
    return _release(claim, now + verdicts.backoff(claim.retries), detail, claim.retries + 1)


def _release(claim: Claim, wake_at: datetime, detail: str, retries: int) -> TurnCommit:
    return TurnCommit(
        claim.run,
        claim.token,
        claim.length,
        (),
        claim.consumed,
        release=True,
        wake_at=wake_at,
        status=Status.RUNNING,
        detail=detail,
        retries=retries,
        sticky=False,
    )


def _ended(claim: Claim, now: datetime, closing: Fail | RunTimedOut) -> TurnCommit:
    """The end of a run that no code here can bring further."""
    status, result = ending_of(closing)
    entry = JournalEntry(claim.length + 1, claim.turn + 1, max(now, claim.last_at), closing)
    return TurnCommit(
        claim.run, claim.token, claim.length, [entry], claim.consumed, release=True, status=status, result=result
    )


def _since_the_branch(claim: Claim, scheduled: dict[int, datetime]) -> dict[int, datetime]:
    """What the copied turns of a reset run left unanswered was scheduled anew when that run began."""
    if not claim.origins:
        return scheduled
    return {op: max(at, claim.started_at) for op, at in scheduled.items()}


def _told_before_the_branch(claim: Claim, replay: Replay) -> list[MessageDelivered]:
    """What the copied turns of a reset run sent has gone out; that it arrived was told to the run that it copies."""
    if not claim.origins or replay.turn_number > claim.origins[-1].turn:
        return []
    return [MessageDelivered(op) for op in replay.open_messages]


def scheduled_at(entries: Sequence[JournalEntry]) -> dict[int, datetime]:
    """When each unanswered activity was asked for."""
    found: dict[int, datetime] = {}
    for each in entries:
        if isinstance(each.entry, ScheduleActivity):
            found[each.entry.op] = each.at
        elif isinstance(each.entry, Answer):
            found.pop(each.entry.op, None)
    return found
