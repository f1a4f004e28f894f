"""Values that store tests are made of: runs to start, turns to commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from memflow.core.arrivals import RunStarted, SignalReceived
from memflow.core.entries import Entry, JournalEntry
from memflow.core.interrupts import Complete
from memflow.options import ActivityOptions
from memflow.payload import Payload
from memflow.runs import Status
from memflow.store.base import Store
from memflow.store.turns import ActivityRow, Claim, TurnCommit
from memflow.store.values import NewRun, ToRun

QUEUE = "q"
MINUTE = timedelta(minutes=1)
T0 = datetime(2026, 1, 1, tzinfo=UTC)


def a_run(workflow_id: str | None = None, **more: Any) -> NewRun:
    """A run to start."""
    options: dict[str, Any] = {
        "namespace": "default", "run_id": str(uuid4()), "workflow": "order", "task_queue": QUEUE, "input": Payload(b"[]"), **more,
    }
    return NewRun(workflow_id=workflow_id or str(uuid4()), **options)


def a_signal(
    workflow_id: str, name: str = "go", data: bytes = b"null", *, run_id: str | None = None, request_id: str | None = None
) -> ToRun:
    """A signal by name to one run."""
    return ToRun("default", workflow_id, run_id, SignalReceived(name, Payload(data)), request_id)


async def a_worker(store: Store, *, lease: timedelta = MINUTE, queue: str = QUEUE) -> int:
    """A registered worker."""
    return await store.register_worker(identity="w", task_queues=[queue], types=[], lease=lease, version=None)


async def claim(store: Store, worker: int, *, limit: int = 1000, queue: str = QUEUE) -> list[Claim]:
    """What is due, in the order of runs."""
    found = await store.claim_runs(worker, task_queues=[queue], limit=limit)
    return sorted(found.claims, key=lambda each: each.run)


async def started_and_claimed(store: Store, worker: int, *runs: NewRun) -> list[Claim]:
    """Start these runs and take them: their claims, in the same order (and of others that were due, last)."""
    await store.start_runs(runs)
    order = {run.run_id: n for n, run in enumerate(runs)}
    return sorted(await claim(store, worker), key=lambda each: order.get(each.run_id, len(order)))


def journal(claim: Claim, *entries: Entry, at: datetime = T0) -> list[JournalEntry]:
    """Entries of one turn at the end of the claim's journal."""
    return [JournalEntry(claim.length + n, claim.turn + 1, at, entry) for n, entry in enumerate(entries, start=1)]


def a_turn(claim: Claim, *entries: Entry, consumed: int | None = None, release: bool = True, **more: Any) -> TurnCommit:
    """A turn of an open run; without entries its first one."""
    spoken: Sequence[Entry] = entries or (RunStarted(),)
    read = claim.arrived if consumed is None else consumed
    return TurnCommit(claim.run, claim.token, claim.length, journal(claim, *spoken), read, release, **more)


def an_end(claim: Claim, *entries: Entry, result: bytes = b'"done"', consumed: int | None = None, **more: Any) -> TurnCommit:
    """The last turn of a run that completes."""
    payload = Payload(result)
    options: dict[str, Any] = {"status": Status.COMPLETED, "result": payload, **more}
    return a_turn(claim, *(entries or (RunStarted(),)), Complete(payload), consumed=consumed, **options)


def an_activity(op: int = 1, **more: Any) -> ActivityRow:
    """A durable activity that is due."""
    options: dict[str, Any] = {
        "name": "charge", "task_queue": QUEUE, "input": Payload(b"[1]"), "options": ActivityOptions(), "headers": {},
        "attempt": 0, "next_attempt_at": T0, "scheduled_at": T0, "close_by": None, **more,
    }
    return ActivityRow(op=op, **options)


async def until(true: Callable[[], Awaitable[bool]], *, seconds: float = 10) -> None:
    """Wait for something to become true, asking again and again."""
    async with asyncio.timeout(seconds):
        while not await true():                          # noqa: ASYNC110  # it has no bell
            await asyncio.sleep(0.02)
