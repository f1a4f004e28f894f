"""Signals by id: the oldest waiter first, early ones kept, none lost and none served twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from memflow.store.postgres import PostgresStore
from memflow_testing.conformance.making import a_run, a_worker, started_and_claimed
from memflow_testing.conformance.signals import a_sign, heard, waiting


async def test_an_expired_early_signal_is_not_taken_and_pruned(store: PostgresStore, sql: Any) -> None:
    worker = await a_worker(store)
    [a] = await started_and_claimed(store, worker, a_run())
    await store.signal([a_sign(b"old", expire=timedelta(0)), a_sign(b"good", expire=timedelta(hours=1))])
    await waiting(store, worker, a, 1)
    assert await heard(store, a.run) == [(a.run, 1, b"good")]
    assert await store.prune(limit=10) == 1
    assert await sql.fetchval("select count(*) from signals") == 0
