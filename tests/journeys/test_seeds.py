"""Small stories that every durable-workflow library tells; here they must be true every time."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from memflow import Client, RetryPolicy, Worker, activity, workflow

QUICKLY = RetryPolicy(initial_interval=0.01, maximum_interval=0.05)
CHANCE = random.Random(7)


@activity.defn(retry=QUICKLY)
async def flaky(name: str) -> str:
    if CHANCE.random() < 0.5:
        raise RuntimeError(f"{name} was unlucky")
    return name


@workflow.defn
async def both() -> list[str]:
    return list(await asyncio.gather(flaky("left"), flaky("right")))


@activity.defn
async def greet(week: int) -> str:
    return f"week {week}"


@workflow.defn
async def weekly() -> None:
    week = 0
    while True:
        week += 1
        await workflow.enrich({"greeting": await greet(week)})
        await workflow.sleep_for("1 week")


@workflow.defn
async def two_signals() -> list[Any]:
    return list(await asyncio.gather(workflow.wait_for("first", type=bool), workflow.wait_for("second", type=int)))


async def test_two_flaky_activities_always_give_both_results(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[both], activities=[flaky]):
        handles = [await client.workflow.start(both) for _ in range(20)]
        results = await asyncio.gather(*(handle.result(timeout=30) for handle in handles))
    assert results == [["left", "right"]] * 20


async def test_weekly_loop_sleeps_and_is_stopped_by_interrupt(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[weekly], activities=[greet]):
        handle = await client.workflow.start(weekly, id="loop")
        async with asyncio.timeout(10):
            while "timer" not in str((await handle.describe()).detail):
                await asyncio.sleep(0.02)
        await handle.interrupt()
        assert await handle.status() == "terminated"


async def test_signals_sent_in_the_other_order_reach_their_waiters(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[two_signals]):
        handle = await client.workflow.start(two_signals)
        await client.signal("second", 12345)
        await client.signal("first", True)
        assert await handle.result(timeout=10) == [True, 12345]
