"""Wrong uses of `memflow.temporal`: both type checkers refuse every line marked so. Read by `test_typing.py`, never run."""

from __future__ import annotations

from datetime import timedelta

from memflow.temporal import workflow
from memflow.temporal.client import Client, WithStartWorkflowOperation, WorkflowHandle, WorkflowUpdateStage
from memflow.temporal.common import WorkflowIDConflictPolicy
from tests.typing.temporal_right_uses import Order, Shop, Small, charge, tick, weigh

SOON = timedelta(seconds=5)
USE = WorkflowIDConflictPolicy.USE_EXISTING


async def workflows(order: Order) -> None:
    await workflow.execute_activity(charge, "text", start_to_close_timeout=SOON)  # wrong
    await workflow.execute_activity(tick, 1, start_to_close_timeout=SOON)  # wrong
    await workflow.execute_local_activity(weigh, order, start_to_close_timeout=SOON)  # wrong
    await workflow.execute_child_workflow(Shop.run, "text")  # wrong
    workflow.start_activity(weigh, 1, start_to_close_timeout=SOON)  # wrong


async def clients(client: Client, handle: WorkflowHandle[Shop, str]) -> None:
    await client.start_workflow(Shop.run, 1, id="a", task_queue="q")  # wrong
    await client.start_workflow(Shop.run, Order("1"), id="a")  # wrong
    await client.execute_workflow(Small.run, 1, id="a", task_queue="q")  # wrong
    await client.start_workflow(Small.run, id="a", task_queue="q", run_timeout=5)  # wrong
    await handle.signal(Shop.add, 1)  # wrong
    await handle.signal(Shop.close, 1)  # wrong
    await handle.query(Shop.item, "text")  # wrong
    await handle.execute_update(Shop.put, 1)  # wrong
    await handle.start_update(Shop.put, "x")  # wrong
    await handle.start_update(Shop.put, 1, wait_for_stage=WorkflowUpdateStage.ACCEPTED)  # wrong
    WithStartWorkflowOperation(Small.run, id="a", task_queue="q")  # wrong
    WithStartWorkflowOperation(Small.run, 1, id="a", task_queue="q", id_conflict_policy=USE)  # wrong
    await client.execute_activity(charge, "text", id="x", task_queue="q", start_to_close_timeout=SOON)  # wrong
