"""How far back claims look when an old snapshot makes a look at everything slow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from memflow import Client, workflow
from memflow.store.postgres import PostgresStore
from memflow.worker.clock import DatabaseClock
from memflow.worker.reach import LONGEST_SECONDS, MARGIN, SHARE, SLOW_SECONDS, Reach

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def reach() -> Reach:
    return Reach(DatabaseClock(NOW))


async def test_where_looks_are_quick_each_begins_at_the_very_first(reach: Reach) -> None:
    assert reach.since(1.0) is None
    reach.looked(NOW, everything=True, found_all=True, began=1.0, ended=1.0 + SLOW_SECONDS / 2)
    assert reach.since(1.01) is None


async def test_after_a_slow_look_the_next_ones_begin_shortly_before_it_for_a_while(reach: Reach) -> None:
    reach.looked(NOW, everything=True, found_all=True, began=1.0, ended=1.02)
    assert reach.since(1.1) == NOW - MARGIN
    reach.looked(NOW + timedelta(seconds=1), everything=False, found_all=True, began=2.0, ended=2.5)
    assert reach.since(2.6) == NOW - MARGIN, "only a look at everything tells that nothing older is left"
    assert reach.since(1.02 + SHARE * 0.021) is None
    soon = reach.rest_until(None, 2.0)
    assert timedelta(seconds=0.9) < soon - NOW < timedelta(seconds=1.2), "until everything is looked at"
    assert reach.rest_until(NOW + timedelta(seconds=0.5), 2.0) == NOW + timedelta(seconds=0.5)


async def test_what_a_look_left_behind_is_not_skipped(reach: Reach) -> None:
    reach.looked(NOW, everything=True, found_all=False, began=1.0, ended=1.02)
    assert reach.since(1.1) is None


async def test_a_very_slow_look_comes_again_after_seconds(reach: Reach) -> None:
    reach.looked(NOW, everything=True, found_all=True, began=1.0, ended=3.0)
    assert reach.since(3.0 + LONGEST_SECONDS - 0.1) is not None
    assert reach.since(3.0 + LONGEST_SECONDS) is None


@workflow.defn
async def idle() -> None:
    return None


async def test_a_claim_leaves_what_was_due_before(dsn: str, schema: str) -> None:
    async with Client.connect(dsn, schema=schema) as client:
        store = client.store
        assert isinstance(store, PostgresStore)
        for id in ("old", "new"):
            await client.workflow.start(idle, id=id, task_queue="q")
        worker = await store.register_worker(
            identity="w", task_queues=["q"], types=["idle"], lease=timedelta(minutes=1), version=None
        )
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(
                f'update "{schema}".wakes w set wake_at = w.wake_at - interval \'1 hour\''
                f' from "{schema}".runs r where r.id = w.run and r.workflow_id = \'old\''
            )
        finally:
            await connection.close()
        now = await store.now()
        late = await store.claim_runs(worker, task_queues=["q"], limit=9, since=now - timedelta(minutes=1))
        assert [each.workflow_id for each in late.claims] == ["new"]
        everything = await store.claim_runs(worker, task_queues=["q"], limit=9)
        assert [each.workflow_id for each in everything.claims] == ["old"]
