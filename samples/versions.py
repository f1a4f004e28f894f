"""Changing a workflow while runs are open: a patch keeps old runs on their path, a pinned version on their code."""

import asyncio

from memflow import Client, Worker, activity, workflow


@activity.defn
async def charge(cents: int) -> str:
    return f"{cents} cents"


@activity.defn
async def charge_in_euro(cents: int) -> str:
    return f"{cents / 100:.2f} euro"


@workflow.defn(name="order")
async def order_yesterday(cents: int) -> str:
    charged = await charge(cents)
    await workflow.wait_for("shipped")
    return charged


@workflow.defn(name="order")
async def order_today(cents: int) -> str:
    charged = await (charge_in_euro if workflow.patched("charge in euro") else charge)(cents)
    await workflow.wait_for("shipped")
    return charged


async def waiting(handle) -> None:
    for _ in range(500):
        if "shipped" in str((await handle.describe()).detail):
            return
        await asyncio.sleep(0.02)


async def main() -> None:
    activities = [charge, charge_in_euro]
    async with await Client.connect() as client:
        async with Worker(client, task_queue="versions", workflows=[order_yesterday], activities=activities):
            old = await client.workflow.start("order", 500, task_queue="versions")
            await waiting(old)
        async with Worker(client, task_queue="versions", workflows=[order_today], activities=activities):
            new = await client.workflow.start("order", 700, task_queue="versions")
            await waiting(new)
            for handle in (old, new):
                await handle.signal("shipped")
            print("patched:", await old.result(), "and", await new.result())

        async with Worker(client, task_queue="pinned", workflows=[order_yesterday], activities=activities, version="1"):
            pinned = await client.workflow.start("order", 900, task_queue="pinned")
            await waiting(pinned)
        async with Worker(client, task_queue="pinned", workflows=[order_today], activities=activities, version="2"):
            await pinned.signal("shipped")
            print("pinned:", (await pinned.describe()).detail)
            await pinned.update_options(version="2")  # its code has a patch, so it can go on there
            print("moved:", await pinned.result())


asyncio.run(main())
