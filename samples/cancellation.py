"""Cancelling: a run sees asyncio's CancelledError and cleans up; a shielded step ends all the same."""

import asyncio

from memflow import Client, Worker, WorkflowFailedError, activity, workflow


@activity.defn
async def cook(dish: str) -> str:
    try:
        while True:
            activity.heartbeat()
            await asyncio.sleep(0.02)
    finally:
        print("  the cook stops", dish)


@activity.defn
async def clean(kitchen: str) -> str:
    await asyncio.sleep(0.05)
    return f"{kitchen} cleaned"


@workflow.defn
async def dinner() -> str:
    try:
        return await workflow.execute_activity(cook, "soup", heartbeat_timeout="10 seconds")
    except asyncio.CancelledError:
        print(" ", await asyncio.shield(workflow.start_activity(clean, "kitchen")))
        raise


@workflow.defn
async def part_of_it() -> str:
    """One branch is cancelled, the run goes on."""
    slow = asyncio.create_task(asyncio.sleep(3600))
    await workflow.sleep_for(0.05)
    slow.cancel()
    try:
        async with asyncio.timeout(0.05):
            await workflow.wait_for("never sent")
    except TimeoutError:
        return "gave up after a while, and completed"
    return "it came"


async def main() -> None:
    async with (
        await Client.connect() as client,
        Worker(client, task_queue="kitchen", workflows=[dinner, part_of_it], activities=[cook, clean]),
    ):
        handle = await client.workflow.start(dinner, task_queue="kitchen")
        await asyncio.sleep(0.3)
        await handle.cancel("the guests are not coming")
        try:
            await handle.result()
        except WorkflowFailedError as error:
            print("status:", await handle.status(), "-", error.__cause__)
        print(await client.workflow.execute(part_of_it, task_queue="kitchen"))


asyncio.run(main())
