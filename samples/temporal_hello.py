"""A program written for Temporal: but for the name of the package, nothing in it is memflow's."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from memflow.temporal import activity, workflow
from memflow.temporal.client import Client, WorkflowFailureError
from memflow.temporal.common import RetryPolicy
from memflow.temporal.exceptions import ActivityError, ApplicationError
from memflow.temporal.worker import Worker


@dataclass
class Order:
    item: str
    cents: int


@activity.defn
async def charge(order: Order) -> str:
    if order.cents > 10_000:
        raise ApplicationError("over the limit", type="Declined", non_retryable=True)
    if activity.info().attempt == 1:
        raise ConnectionError("the bank does not answer")
    return f"receipt for {order.item}"


@workflow.defn
class Purchase:
    def __init__(self) -> None:
        self.confirmed = False

    @workflow.run
    async def run(self, order: Order) -> str:
        await workflow.wait_condition(lambda: self.confirmed, timeout=timedelta(days=1))
        return await workflow.execute_activity(
            charge,
            order,
            start_to_close_timeout=timedelta(seconds=10),
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=50)),
        )

    @workflow.signal
    def confirm(self) -> None:
        self.confirmed = True

    @workflow.query
    def state(self) -> str:
        return "charging" if self.confirmed else "waiting for a word"


async def main() -> None:
    # A Postgres URL, too. An address such as this one, of no Postgres, means MEMFLOW_DSN, else the embedded Postgres.
    client = await Client.connect("localhost:7233")
    async with Worker(client, task_queue="purchases", workflows=[Purchase], activities=[charge]):
        handle = await client.start_workflow(Purchase.run, Order("book", 1200), id="purchase-1", task_queue="purchases")
        print(await handle.query(Purchase.state))
        await handle.signal(Purchase.confirm)
        print(await handle.result())

        dear = await client.start_workflow(Purchase.run, Order("boat", 2_000_000), id="purchase-2", task_queue="purchases")
        await dear.signal(Purchase.confirm)
        try:
            await dear.result()
        except WorkflowFailureError as failed:
            assert isinstance(failed.cause, ActivityError)
            print(f"declined: {failed.cause.cause}")


asyncio.run(main())
