"""The record: facts that a run keeps about itself, and that lists find it by."""

import asyncio

from memflow import Client, Worker, workflow


@workflow.defn
async def order(customer: str, total: int) -> int:
    await workflow.search().set({"customer": customer, "total": total})
    await workflow.entity().merge({"address": {"city": "Rome"}})
    await workflow.entity().append("lines", {"item": "book"})
    with_tax = await workflow.search().mult("total", 2)
    await workflow.enrich({"state": "priced"})
    return int(with_tax)


async def main() -> None:
    async with await Client.connect() as client, Worker(client, task_queue="records", workflows=[order]):
        mine = f"customer-{asyncio.get_running_loop().time()}"
        await asyncio.gather(*(client.workflow.execute(order, mine, total, task_queue="records") for total in (10, 20, 30)))
        where = f'record.customer = "{mine}" and record.total > 20 and record.address.city = "Rome"'
        print("found:", await client.workflow.count(where))
        async for run in client.workflow.list(where, order="started asc"):
            print(" ", run.record["total"], run.record["state"], run.record["lines"])


asyncio.run(main())
