"""Escalations beside their waits: whoever ends one ends the other, in one transaction."""

from __future__ import annotations

import asyncio
from typing import Any

from memflow.core.arrivals import RunStarted
from memflow.core.interrupts import AwaitSignal
from memflow.payload import Payload
from memflow.store.escalations import EscalationFilter
from memflow.store.postgres import PostgresStore
from memflow_testing.conformance.escalations import ABOUT, row_of, settle, waiting
from memflow_testing.conformance.making import a_run, a_turn, a_worker, started_and_claimed


async def test_a_fenced_commit_leaves_no_row(store: PostgresStore, sql: Any) -> None:
    worker = await a_worker(store)
    [run] = await started_and_claimed(store, worker, a_run())
    await sql.execute("update wakes set token = gen_random_uuid()")
    wait = AwaitSignal(1, "s", ABOUT)
    [answer] = await store.commit_turns(worker, [a_turn(run, RunStarted(), wait, effects=[wait])])
    assert answer.outcome == "fenced"
    assert await store.escalations.count(EscalationFilter()) == 0


async def test_batches_over_the_same_rows_in_opposite_order_do_not_deadlock(store: PostgresStore, other: PostgresStore) -> None:
    worker = await a_worker(store)
    claims = await started_and_claimed(store, worker, *(a_run() for _ in range(10)))
    for n, run in enumerate(claims):
        wait = AwaitSignal(1, f"s{n}", ABOUT)
        await store.commit_turns(worker, [a_turn(run, RunStarted(), wait, effects=[wait])])
    ids = [each.id for each in await store.escalations.find(EscalationFilter())]
    payloads = [Payload(b"1")] * 10
    ended = await asyncio.gather(
        *(
            each.escalations.settle(order, "resolved", payloads, together=True)
            for each in (store, other)
            for order in (ids, ids[::-1])
            for _ in range(3)
        )
    )
    assert sum(set(outcomes) == {"done"} for outcomes in ended) == 1
    assert sum(set(outcomes) == {"already_resolved"} for outcomes in ended) == 11
    assert len(await store.read_inbox([(run.run, 0) for run in claims], limit=100)) == 10


async def test_rows_go_with_their_expired_runs(store: PostgresStore, sql: Any) -> None:
    worker = await a_worker(store)
    [run] = await started_and_claimed(store, worker, a_run("a"))
    await waiting(store, worker, run)
    await store.terminate("a", None, None)
    await sql.execute("update runs set expires_at = now() - interval '1 s'")
    assert await store.prune(limit=10) == 1
    assert await store.escalations.count(EscalationFilter()) == 0


async def test_another_namespace_sees_and_settles_nothing(dsn: str, schema: str, store: PostgresStore) -> None:
    worker = await a_worker(store)
    [run] = await started_and_claimed(store, worker, a_run())
    row = await waiting(store, worker, run)
    elsewhere = await PostgresStore.connect(dsn, schema=schema, namespace="elsewhere")
    try:
        assert await elsewhere.escalations.count(EscalationFilter()) == 0
        assert await settle(elsewhere, row.id) == "not_found"
    finally:
        await elsewhere.close()
    assert (await row_of(store)).status == "pending"
