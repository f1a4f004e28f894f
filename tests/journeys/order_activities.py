"""The activities of the order journey; the warehouse lives in a file so that every process sees the same stock."""

from __future__ import annotations

import json
import os
from pathlib import Path

from memflow import activity


def warehouse() -> Path:
    return Path(os.environ["ORDER_WAREHOUSE"])


@activity.defn
async def check_inventory(item_id: str) -> int:
    return int(json.loads(warehouse().read_text())[item_id])


@activity.defn
async def reserve_item(item_id: str, quantity: int) -> str:
    return f"reserved {quantity} of {item_id}"


@activity.defn
async def notify_backorder(item_id: str) -> None:
    with warehouse().with_suffix(".backorders").open("a") as log:
        log.write(item_id + "\n")
