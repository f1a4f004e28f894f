"""Who lives and who does not: leases, session locks, zombies, and what each of them may still do."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from memflow.core.arrivals import ActivityCompleted
from memflow.payload import Payload
from memflow.store.postgres import PostgresStore
from memflow.store.turns import Settle
from memflow_testing.conformance.making import a_run, a_turn, a_worker, an_activity, claim, started_and_claimed
from tests.polling import until


async def test_a_dead_worker_is_noticed_by_its_lock_long_before_its_lease(
    dsn: str, schema: str, store: PostgresStore, sql: Any
) -> None:
    victim = await PostgresStore.connect(dsn, schema=schema)
    dead, worker = await a_worker(victim), await a_worker(store)
    await started_and_claimed(victim, dead, a_run())
    assert victim.notifies and store.notifies
    assert await store.release_silent(worker) == 0
    await victim.close()                         # its connections are gone, as when the process is killed; nothing is handed back
    await sql.execute("update workers set locked_at = locked_at - interval '2 seconds' where id = $1", worker)

    async def freed() -> bool:
        return await store.release_silent(worker) == 1

    await until(freed)
    assert len(await claim(store, worker)) == 1


async def test_locks_are_not_believed_by_one_who_has_only_just_got_its_own(store: PostgresStore, sql: Any) -> None:
    """After a restart of Postgres every lock is free until its owner is back; whoever is back first must not take it all."""
    worker = await a_worker(store)
    await sql.execute(
        "insert into workers (namespace, identity, queues, types, started_at, seen, lease, locked_at)"
        " values ('default', 'x', '{}', '{}', now(), now(), '1 hour', now())"
    )
    assert await store.release_silent(worker) == 0
    assert await sql.fetchval("select count(*) from workers") == 2
    await sql.execute("update workers set locked_at = locked_at - interval '2 seconds' where id = $1", worker)
    await store.release_silent(worker)
    assert await sql.fetchval("select count(*) from workers") == 1


async def test_a_living_worker_whose_listening_connection_breaks_keeps_its_runs(
    dsn: str, schema: str, store: PostgresStore, other: PostgresStore, sql: Any
) -> None:
    worker, watcher = await a_worker(store), await a_worker(other)
    await started_and_claimed(store, worker, a_run())
    await sql.execute("update workers set locked_at = locked_at - interval '1 minute' where id = $1", watcher)
    before = await sql.fetchval("select locked_at from workers where id = $1", worker)
    # The listener of `store` is the one that holds the lock of `worker`.
    await sql.execute(
        "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted"
        " and (classid::bigint << 32) + objid::bigint = worker_lock($1)::bit(64)::bigint", worker
    )

    async def back() -> bool:
        at = await sql.fetchval("select locked_at from workers where id = $1", worker)
        return at is not None and at != before

    await until(back)
    assert await other.release_silent(watcher) == 0
    assert store.notifies


async def test_a_claim_under_way_while_its_worker_leaves_is_handed_back_too(
    store: PostgresStore, other: PostgresStore, sql: Any
) -> None:
    """It was once left with an owner that no longer existed, for ever."""
    leaving, worker = await a_worker(store), await a_worker(other)
    await store.start_runs([a_run()])
    transaction = sql.transaction()
    await transaction.start()
    taken = await sql.fetch("select run from claim_runs($1, 'default', array['q'], 9, gen_random_uuid(), null, false)", leaving)
    assert len(taken) == 2, "the run, after the row without one"
    left = asyncio.create_task(store.unregister_worker(leaving))
    await asyncio.wait([left], timeout=0.3)
    assert not left.done()
    await transaction.commit()
    await left
    assert len(await claim(other, worker)) == 1
    assert await claim(store, leaving) == []


# ------------------------------------------------------------------------------------------------- activities


async def test_settling_inside_the_callers_transaction_commits_with_it(store: PostgresStore, sql: Any) -> None:
    worker = await a_worker(store)
    [mine] = await started_and_claimed(store, worker, a_run("a"))
    await store.commit_turns(worker, [a_turn(mine, activities=[an_activity()])])
    [running] = (await store.claim_activities(worker, task_queues=["q"], limit=9)).claims
    await sql.execute("create table effects (x int)")
    settle = Settle(running.run, 1, running.token, ActivityCompleted(1, Payload(b"1")))

    class Oops(Exception):
        pass

    for fails in (True, False):
        try:
            async with store.transaction() as connection:
                await connection.execute(f'insert into "{store_schema(store)}".effects values (1)')
                assert await store.settle_activities([settle], connection=connection) == [True]
                if fails:
                    raise Oops
        except Oops:
            assert await store.read_inbox([(mine.run, 0)], limit=9) == []
    assert await sql.fetchval("select count(*) from effects") == 1
    assert len(await store.read_inbox([(mine.run, 0)], limit=9)) == 1


def store_schema(store: PostgresStore) -> str:
    return store._database.sql.schema


async def test_what_user_code_does_to_its_session_stays_with_it(store: PostgresStore) -> None:
    async with store.transaction() as connection:
        await connection.execute("set statement_timeout = '1ms'")
    await asyncio.gather(*(store.count_runs(None) for _ in range(20)))
    async with store.transaction() as connection:
        assert await connection.fetchval("show statement_timeout") == "0"


async def test_a_transaction_that_breaks_gives_its_connection_up(store: PostgresStore) -> None:
    for _ in range(8):
        try:
            async with store.transaction() as connection:
                await connection.execute("select 1 / 0")
        except asyncpg.DivisionByZeroError:
            pass
    assert await store.count_runs(None) == 0
