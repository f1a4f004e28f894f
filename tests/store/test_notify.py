"""Doorbells: who is rung by what, how deafness is found out, and how a lost connection heals."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import asyncpg
import pytest

from memflow.store.postgres import PostgresStore
from memflow_testing.conformance.doorbells import Ears
from memflow_testing.conformance.making import (
    MINUTE,
    a_run,
    a_worker,
    started_and_claimed,
)
from tests.polling import until


async def test_after_a_lost_connection_all_ears_are_rung_and_hear_again(store: PostgresStore, sql: Any) -> None:
    ears = Ears()
    await ears.listen(store, "queue:q", "done")
    await sql.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'memflow listener'"
                      " and datname = current_database()")
    await ears.heard("queue:q", "done")
    assert store.notifies
    await store.start_runs([a_run()])
    await ears.heard("queue:q")


async def test_who_cannot_hear_says_so_once_and_names_the_fix(
    dsn: str, server_dsn: str, schema: str, store: PostgresStore, caplog: pytest.LogCaptureFixture
) -> None:
    # Notices do not cross databases: to listen in another one is to hear nothing, as behind a pooler.
    deaf = await PostgresStore.connect(dsn, schema=schema, listen_dsn=server_dsn)
    try:
        with caplog.at_level(logging.WARNING):
            worker = await a_worker(deaf)
            await deaf.listen("done", lambda: None)
        assert not deaf.notifies
        assert [record.name for record in caplog.records if "listen_dsn" in record.getMessage()] == ["memflow.store.notify"]
        # Its lock would lie in another database too, and nobody may believe in it.
        assert await deaf.beat_worker(worker, lease=MINUTE)
        assert await started_and_claimed(deaf, worker, a_run())
    finally:
        await deaf.close()


async def test_a_pool_of_the_callers_lends_a_connection_and_gets_it_back(dsn: str, schema: str, store: PostgresStore) -> None:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=3) as pool:
        mine = await PostgresStore.connect(pool=pool, schema=schema)
        ears = Ears()
        await ears.listen(mine, "queue:q")
        assert mine.notifies
        await store.start_runs([a_run()])
        await ears.heard("queue:q")
        await mine.close()
        async with asyncio.timeout(5):
            held = [await pool.acquire() for _ in range(3)]
        for each in held:
            await pool.release(each)


async def test_a_pool_of_one_connection_is_polled(dsn: str, schema: str, store: PostgresStore) -> None:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
        mine = await PostgresStore.connect(pool=pool, schema=schema)
        await mine.listen("done", lambda: None)
        assert not mine.notifies
        await mine.start_runs([a_run()])
        assert await mine.count_runs(None) == 1
        await mine.close()


async def test_channels_tell_nothing_and_differ_by_schema_namespace_and_ear(store: PostgresStore, sql: Any) -> None:
    names = await sql.fetch(
        "select channel(n, e)"
        " from unnest(array['a', 'b']) n, unnest(array['queue:secret', 'queue:ünï', 'done', repeat('x', 500)]) e"
    )
    assert len({row[0] for row in names}) == 8
    assert all(len(row[0]) < 63 and row[0].isascii() and "secret" not in row[0] for row in names)


@pytest.mark.parametrize("times", [1, 3, 40])
async def test_an_ear_is_rung_once_however_often_it_is_named(dsn: str, store: PostgresStore, sql: Any, times: int) -> None:
    heard: list[str] = []
    listening = await asyncpg.connect(dsn)
    try:
        channels = {ear: await sql.fetchval("select channel('default', $1)", ear) for ear in ("done", "queue:q", "last")}
        names = {channel: ear for ear, channel in channels.items()}
        assert len(names) == 3
        for channel in names:
            await listening.add_listener(channel, lambda *said: heard.append(names[said[2]]))
        await sql.execute("select ring('default', $1)", ["done", None, "queue:q"] * times)
        await sql.execute("select ring('default', null)")
        await sql.execute("select ring('default', '{last}')")

        async def last() -> bool:
            return "last" in heard

        await until(last)
    finally:
        await listening.close()
    assert sorted(heard) == ["done", "last", "queue:q"]
