"""A fan-out of 2,000 activities on a worker that keeps nothing in its cache: every wake-up is a replay."""

from __future__ import annotations

import asyncio

import pytest

from memflow import Client, Worker, activity, workflow


@activity.defn
async def echo(number: int) -> int:
    return number


@workflow.defn
async def fans_out(how: str, count: int) -> bool:
    order: list[int] = []
    tasks = [workflow.start_activity(echo, number) for number in range(count)]
    match how:
        case "gather":
            order = list(await asyncio.gather(*tasks))
        case "wait":
            pending = set(tasks)
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                order.extend(task.result() for task in done)
        case _:
            order = [await each for each in asyncio.as_completed(tasks)]
    await workflow.emit({"order": order})
    await workflow.sleep_for(0.05)                       # the run leaves memory here
    seen = await workflow.execute_activity(echo, order[-1])
    return seen == order[-1] and sorted(order) == list(range(count))


@pytest.mark.parametrize("how", ["gather", "wait", "as_completed"])
async def test_two_thousand_at_once_are_replayed_in_their_order(dsn: str, schema: str, how: str) -> None:
    async with (
        await Client.connect(dsn, schema=schema) as client,
        Worker(client, workflows=[fans_out], activities=[echo], max_cached_workflows=0),
    ):
        handle = await client.workflow.start(fans_out, how, 2000)
        assert await handle.result(60)
        assert len(await handle.history()) == 2 * 2000 + 7
