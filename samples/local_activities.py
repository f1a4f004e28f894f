import asyncio

from memflow import Client, RetryPolicy, Worker, activity, workflow


@activity.defn
async def look_up(item: str) -> int:
    if activity.info().attempt == 1:
        raise RuntimeError("the cache is cold")
    print(f"looked up {item} at attempt {activity.info().attempt}, local: {activity.info().is_local}")
    return len(item)


@workflow.defn
async def price(items: list[str]) -> int:
    # Short work that needs no queue of its own: it runs in the worker that has the workflow, and is tried again there.
    soon = RetryPolicy(initial_interval="50 ms", maximum_attempts=3)
    prices = [workflow.start_local_activity(look_up, item, retry=soon) for item in items]
    return sum(await asyncio.gather(*prices))


async def main() -> None:
    async with await Client.connect() as client:
        async with Worker(client, task_queue="prices", workflows=[price], activities=[look_up]):
            print("total:", await client.workflow.execute(price, ["pen", "ink", "paper"], task_queue="prices"))


asyncio.run(main())
