"""The order example of the API page: two queues, two processes, both endings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memflow import Client
from tests.journeys.order_workflow import order_workflow
from tests.processes import WorkerProcess


@pytest.mark.parametrize(
    ("stock", "ending", "backorders"),
    [(10, "reserved 5 of item-123", ""), (3, "backordered", "item-123\n")],
)
async def test_order_is_reserved_or_backordered(
    dsn: str, schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stock: int, ending: str, backorders: str
) -> None:
    warehouse = tmp_path / "warehouse.json"
    warehouse.write_text(json.dumps({"item-123": stock}))
    monkeypatch.setenv("ORDER_WAREHOUSE", str(warehouse))
    async with await Client.connect(dsn, schema=schema) as client:
        with (
            WorkerProcess(dsn, schema, "tests.journeys.order_activities", queue="inventory-tasks", log=tmp_path / "a.log"),
            WorkerProcess(dsn, schema, "tests.journeys.order_workflow", queue="orders", log=tmp_path / "w.log"),
        ):
            result = await client.workflow.execute(order_workflow, "item-123", 5, id="order-456", task_queue="orders")
    assert result == ending
    log = warehouse.with_suffix(".backorders")
    assert (log.read_text() if log.exists() else "") == backorders
