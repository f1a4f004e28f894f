"""Starts: many at once, conflicts, reuse, request ids, and who wins a race."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from memflow.core.arrivals import SignalReceived
from memflow.payload import Payload
from memflow.store.postgres import PostgresStore
from memflow_testing.conformance.making import a_run


async def test_batches_over_the_same_ids_in_opposite_order_do_not_deadlock(
    store: PostgresStore, other: PostgresStore, sql: Any
) -> None:
    before = await sql.fetchval("select deadlocks from pg_stat_database where datname = current_database()")
    for n in range(10):
        ids = [f"{n}-{k}" for k in range(60)]
        one, two = ([a_run(each, on_conflict="use_existing") for each in ids] for _ in range(2))
        answers = await asyncio.gather(store.start_runs(one), other.start_runs(two[::-1]))
        assert [each.run for each in answers[0]] == [each.run for each in answers[1][::-1]]
    assert await sql.fetchval("select deadlocks from pg_stat_database where datname = current_database()") == before


async def test_a_start_inside_the_callers_transaction(store: PostgresStore, sql: Any) -> None:
    transaction = sql.transaction()
    await transaction.start()
    [started] = await store.start_runs([a_run("x")], connection=sql)
    assert started.created and await store.find_run("x") is None
    await transaction.rollback()
    assert await store.find_run("x") is None


async def test_plain_sql_starts_and_signals(store: PostgresStore, sql: Any, dsn: str, schema: str) -> None:
    run_id = await sql.fetchval(f'''select "{schema}".start('order', '["x", 5]', workflow_id => 'w', task_queue => 'q')''')
    run = await store.find_run("w")
    assert run is not None and (run.run_id, run.input, run.task_queue) == (run_id, Payload(b'["x", 5]'), "q")
    with pytest.raises(asyncpg.UniqueViolationError, match="is taken"):
        await sql.fetchval(f'''select "{schema}".start('order', workflow_id => 'w')''')
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await sql.fetchval(f'''select "{schema}".start('order', '{{}}')''')
    assert await sql.fetchval(f'''select "{schema}".signal('s', '{{"a": 1}}')''') == "kept"
    assert await sql.fetchval(f'''select "{schema}".signal_workflow('w', 'go', '1')''') == "delivered"
    assert [each.arrival for each in await store.read_inbox([(run.run, 0)], limit=9)] == [SignalReceived("go", Payload(b"1"))]
