"""Connections that break in the middle of everything: nothing acknowledged is lost, nothing is recorded twice."""

from __future__ import annotations

import asyncio
from collections import Counter

import asyncpg

from memflow import Client, Worker, activity, workflow


@activity.defn
async def add_one(number: int) -> int:
    await asyncio.sleep(0.01)
    return number + 1


@workflow.defn
async def counts_to(limit: int) -> int:
    number = 0
    while number < limit:
        number = await add_one(number)
    return number


@workflow.defn
async def adds_signals(count: int, name: str) -> int:
    total = 0
    for _ in range(count):
        total += await workflow.wait_for(name, type=int)
    return total


async def terminate_all(dsn: str) -> int:
    """Cut every connection to this database but our own."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        return len(rows)
    finally:
        await connection.close()


async def test_runs_finish_while_every_connection_is_cut_again_and_again(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        async with Worker(client, workflows=[counts_to], activities=[add_one], lease=3):
            handles = [await client.workflow.start(counts_to, 20) for _ in range(30)]
            cut = 0
            for _ in range(6):
                await asyncio.sleep(0.15)
                cut += await terminate_all(dsn)
            results = await asyncio.gather(*(handle.result(timeout=40) for handle in handles))
        assert cut > 6, "the cuts must have met connections"
        assert results == [20] * 30
        for handle in handles:
            history = await handle.history()
            kinds = Counter(entry.kind for entry in history)
            assert [entry.seq for entry in history] == list(range(1, len(history) + 1))
            assert kinds["activity_completed"] == 20
            assert kinds["complete"] == 1


async def test_acknowledged_signals_arrive_once_though_connections_are_cut(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[adds_signals], lease=3):
        handle = await client.workflow.start(adds_signals, 40, "numbers")
        cutting = asyncio.create_task(_cut_for(dsn, 4))
        for number in range(40):
            while True:
                try:
                    await client.signal("numbers", number, request_id=f"n{number}")
                    break
                except Exception:  # a broken connection: the request id makes the repeat safe
                    await asyncio.sleep(0.02)
        await cutting
        assert await handle.result(timeout=40) == sum(range(40))


async def _cut_for(dsn: str, times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0.1)
        await terminate_all(dsn)
