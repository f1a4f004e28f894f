"""The order workflow of the API page; its activities live on another task queue, in another process."""

from __future__ import annotations

from memflow import workflow
from tests.journeys import order_activities


@workflow.defn
async def order_workflow(item_id: str, qty: int) -> str:
    inventory = workflow.proxy_activities(order_activities, task_queue="inventory-tasks")
    if await inventory.check_inventory(item_id) >= qty:
        return str(await inventory.reserve_item(item_id, qty))
    await inventory.notify_backorder(item_id)
    return "backordered"
