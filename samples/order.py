import asyncio

from memflow import Client, Worker, activity, workflow


@activity.defn
async def check_inventory(item_id: str) -> int:
    return 10


@activity.defn
async def reserve_item(item_id: str, quantity: int) -> str:
    return f"{quantity} x {item_id} reserved"


@workflow.defn
async def order_workflow(item_id: str, qty: int) -> str:
    if await check_inventory(item_id) < qty:
        return "backordered"
    reservation = await reserve_item(item_id, qty)
    await workflow.sleep_for("2 seconds")  # or "1 week": nothing has to stay up for it
    return reservation


async def main() -> None:
    async with await Client.connect() as client:  # $MEMFLOW_DSN, or a Postgres of this project's own
        async with Worker(client, task_queue="orders", workflows=[order_workflow], activities=[check_inventory, reserve_item]):
            print(await client.workflow.execute(order_workflow, "item-123", 5, id="order-456", task_queue="orders"))


asyncio.run(main())
