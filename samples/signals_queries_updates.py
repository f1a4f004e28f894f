"""Talking to a run: signals tell it something, queries look at it, updates ask and get an answer."""

import asyncio

from memflow import Client, Worker, workflow
from memflow.errors import UpdateFailedError


@workflow.defn
class Basket:
    def __init__(self) -> None:
        self.items: list[str] = []
        self.paid_by: str | None = None

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self.paid_by is not None)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return f"{self.paid_by} bought {', '.join(self.items)}"

    @workflow.signal
    def pay(self, by: str) -> None:
        self.paid_by = by

    @workflow.query
    def count(self) -> int:
        return len(self.items)

    @workflow.update
    async def add(self, item: str) -> int:
        await workflow.sleep_for(0.05)  # handlers may do whatever a workflow may
        self.items.append(item)
        return len(self.items)

    @add.validator
    def check(self, item: str) -> None:
        if not item:
            raise ValueError("an item has a name")


async def main() -> None:
    async with await Client.connect() as client, Worker(client, task_queue="baskets", workflows=[Basket]):
        basket = await client.workflow.start(Basket.run, task_queue="baskets")
        print("items now:", await basket.update(Basket.add, "book"))
        print("the same update again counts once:", await basket.update(Basket.add, "lamp", id="lamp"))
        print("the same update again counts once:", await basket.update(Basket.add, "lamp", id="lamp"))
        try:
            await basket.update(Basket.add, "")
        except UpdateFailedError as error:
            print("rejected:", error.__cause__)
        print("query:", await basket.query(Basket.count))
        await basket.signal(Basket.pay, "ada")
        print("result:", await basket.result())
        print("query after the end:", await basket.query(Basket.count))


asyncio.run(main())
