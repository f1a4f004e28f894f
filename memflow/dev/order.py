"""The order workflow of the README, with activities that take their time, so that a worker can die in the middle of one."""

from __future__ import annotations

import asyncio
import os

from memflow import activity, workflow


def tell(text: str) -> None:
    """One line on the demonstration's screen, with the process that says it."""
    print(f"  worker {os.getpid()}   {text}", flush=True)


@activity.defn
async def check_inventory(item_id: str) -> int:
    tell(f"check_inventory({item_id!r}) counts the shelf")
    await asyncio.sleep(0.4)
    return 10


@activity.defn
async def reserve_item(item_id: str, quantity: int) -> str:
    tell(f"reserve_item({item_id!r}, {quantity}) begins, attempt {activity.info().attempt}")
    await asyncio.sleep(1.5)
    tell("reserve_item is done")
    return f"{quantity} x {item_id} reserved"


@activity.defn
async def notify_backorder(item_id: str) -> None:
    tell(f"notify_backorder({item_id!r})")


@workflow.defn
async def order_workflow(item_id: str, qty: int) -> str:
    if await check_inventory(item_id) >= qty:
        reservation = await reserve_item(item_id, qty)
        await workflow.sleep_for("1 second")         # durable: no worker needs to live through it
        return reservation
    await notify_backorder(item_id)
    return "backordered"
