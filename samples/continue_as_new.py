"""A workflow that never ends: after some rounds it goes on as a new run with a fresh journal, and loses no signal."""

import asyncio

from memflow import Client, Worker, workflow

ROUNDS = 3


@workflow.defn
async def counter(total: int) -> int:
    for _ in range(ROUNDS):
        number = await workflow.wait_for("add", type=int)
        if number == 0:
            return total
        total += number
    workflow.continue_as_new(total)


async def main() -> None:
    async with await Client.connect() as client, Worker(client, task_queue="counters", workflows=[counter]):
        handle = await client.workflow.start(counter, 0, task_queue="counters")
        for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0):
            await handle.signal("add", number)
        print("total:", await handle.result())
        runs = [run async for run in client.workflow.list(f'id = "{handle.id}"', order="started asc")]
        print("runs:", [str(run.status) for run in runs])


asyncio.run(main())
