"""Going back: a run that went wrong is begun again from a point of its journal, and a fork tries something else beside it."""

import asyncio

from memflow import Client, RetryPolicy, Worker, WorkflowFailedError, activity, workflow

BROKEN = True


@activity.defn
async def reserve(item: str) -> str:
    print("  reserve", item)
    return f"{item} reserved"


@activity.defn(retry=RetryPolicy(maximum_attempts=1))
async def pay(item: str) -> str:
    print("  pay", item)
    if BROKEN:
        raise RuntimeError("the payment service is down")
    return f"{item} paid"


@workflow.defn
async def order(item: str) -> list[str]:
    return [await reserve(item), await pay(item)]


async def main() -> None:
    global BROKEN
    async with (
        await Client.connect() as client,
        Worker(client, task_queue="reset", workflows=[order], activities=[reserve, pay]),
    ):
        failed = await client.workflow.start(order, "book", task_queue="reset")
        try:
            await failed.result()
        except WorkflowFailedError as error:
            print("failed:", error.__cause__)

        BROKEN = False
        again = await failed.reset(to="op:2")  # the first result is kept, the payment is tried again
        print("reset:", await again.result())
        origin = (await again.describe()).origin
        print("it is a", origin and origin.kind, "that kept entries up to", origin and origin.seq)

        other = await again.fork(from_="first")  # another id; the original does not notice
        print("fork:", await other.result())

        held = await client.workflow.start(order, "lamp", task_queue="reset", start_delay="0.2 seconds")
        await held.pause("stock-taking")
        print("paused:", (await held.describe()).detail)
        await held.resume()
        print("resumed:", await held.result())


asyncio.run(main())
