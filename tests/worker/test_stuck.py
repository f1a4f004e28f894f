"""Code that cannot go on parks its run, says why, and carries on when mended."""

from __future__ import annotations

import asyncio
from typing import Any

from memflow import Client, Worker, activity, workflow
from tests.polling import until


@activity.defn
async def charge(order: str) -> str:
    return f"charged {order}"


@activity.defn
async def refund(order: str) -> str:
    return f"refunded {order}"


@workflow.defn(name="evolving")
async def first_version(order: str) -> list[Any]:
    charged = await charge(order)
    return [charged, await workflow.wait_for(f"go {order}")]


@workflow.defn(name="evolving")
async def changed_version(order: str) -> list[Any]:
    charged = await refund(order)
    return [charged, await workflow.wait_for(f"go {order}")]


BROKEN = True


@workflow.defn
class Buggy:
    @workflow.run
    async def run(self, order: str) -> str:
        charged = await charge(order)
        if BROKEN:
            raise KeyError(order)
        return charged


async def test_changed_code_is_stuck_with_a_report_and_the_old_code_carries_on(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        async with Worker(client, workflows=[first_version], activities=[charge]):
            handle = await client.workflow.start(first_version, "o-1")

            async def waits() -> bool:
                return "go o-1" in str((await handle.describe()).detail)

            await until(waits)
        async with Worker(client, workflows=[changed_version], activities=[refund]):
            await client.signal("go o-1", 1)

            async def stuck() -> bool:
                detail = str((await handle.describe()).detail)
                return detail.startswith("stuck") and "charge" in detail and "refund" in detail and "test_stuck.py" in detail

            await until(stuck)
            assert await handle.status() == "running"
        async with Worker(client, workflows=[first_version], activities=[charge]):
            assert await handle.result(timeout=20) == ["charged o-1", 1]


async def test_a_bug_in_a_class_workflow_is_tried_again_and_mended_code_carries_on(dsn: str, schema: str) -> None:
    global BROKEN
    BROKEN = True
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[Buggy], activities=[charge]):
        handle = await client.workflow.start(Buggy.run, "o-2")

        async def stuck() -> bool:
            return "KeyError" in str((await handle.describe()).detail)

        await until(stuck)
        BROKEN = False
        assert await handle.result(timeout=20) == "charged o-2"
        kinds = [entry.kind for entry in await handle.history()]
        assert kinds.count("activity_completed") == 1, "the activity's outcome was kept while the code was broken"


@workflow.defn
async def waits_in_turn(count: int) -> list[Any]:
    return [await workflow.wait_for(f"step {number}") for number in range(count)]


async def test_without_a_cache_every_wake_up_replays_and_agrees(dsn: str, schema: str) -> None:
    async with (
        await Client.connect(dsn, schema=schema) as client,
        Worker(client, workflows=[waits_in_turn], max_cached_workflows=0),
    ):
        handle = await client.workflow.start(waits_in_turn, 5)
        for number in range(5):
            await client.signal(f"step {number}", number * number)
            await asyncio.sleep(0)
        assert await handle.result(timeout=20) == [0, 1, 4, 9, 16]
