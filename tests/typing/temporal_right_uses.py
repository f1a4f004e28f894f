"""Right uses of `memflow.temporal`, as both type checkers must see them. Read by `test_typing.py`, never run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_type

from memflow.temporal import activity, workflow
from memflow.temporal.client import (
    Client,
    ScheduleHandle,
    WithStartWorkflowOperation,
    WorkflowExecutionDescription,
    WorkflowHandle,
    WorkflowHistory,
    WorkflowUpdateHandle,
    WorkflowUpdateStage,
)
from memflow.temporal.common import RawValue, SearchAttributeKey, TypedSearchAttributes, WorkflowIDConflictPolicy
from memflow.temporal.testing import WorkflowEnvironment
from memflow.temporal.worker import Replayer, Worker, WorkflowReplayResult

SOON = timedelta(seconds=5)


@dataclass
class Order:
    id: str


@activity.defn
async def charge(order: Order) -> bool:
    return True


@activity.defn
def weigh(item: str) -> float:
    return 1.0


@activity.defn
async def send(to: str, copies: int) -> str:
    return to


@activity.defn
async def tick() -> None: ...


class Mail:
    @activity.defn
    async def post(self, text: str) -> int:
        return 1

    @activity.defn
    def stamp(self) -> str:
        return ""


@workflow.defn
class Shop:
    @workflow.run
    async def run(self, order: Order) -> str:
        assert_type(await workflow.execute_activity(charge, order, start_to_close_timeout=SOON), bool)
        assert_type(await workflow.execute_activity(weigh, "x", start_to_close_timeout=SOON), float)
        assert_type(await workflow.execute_activity(tick, start_to_close_timeout=SOON), None)
        assert_type(await workflow.execute_activity(send, args=["x", 1], start_to_close_timeout=SOON), str)
        assert_type(await workflow.execute_activity("named", 1, start_to_close_timeout=SOON), Any)
        assert_type(await workflow.execute_activity_method(Mail.post, "x", start_to_close_timeout=SOON), int)
        assert_type(await workflow.execute_activity_method(Mail.stamp, start_to_close_timeout=SOON), str)
        assert_type(await workflow.execute_local_activity(weigh, "x", start_to_close_timeout=SOON), float)
        handle = workflow.start_activity(charge, order, start_to_close_timeout=SOON)
        assert_type(handle, workflow.ActivityHandle[bool])
        assert_type(await handle, bool)
        assert_type(await workflow.execute_child_workflow(Small.run, id="child"), int)
        assert_type(await workflow.execute_child_workflow(Shop.run, order), str)
        child = await workflow.start_child_workflow(Shop.run, order)
        assert_type(child, workflow.ChildWorkflowHandle[Shop, str])
        await child.signal(Shop.add, "x")
        assert_type(await child, str)
        outside = workflow.get_external_workflow_handle_for(Shop.run, "other")
        await outside.signal(Shop.close)
        assert_type(workflow.now().year, int)
        assert_type(workflow.patched("p"), bool)
        return order.id

    @workflow.signal
    def add(self, item: str) -> None: ...

    @workflow.signal
    async def close(self) -> None: ...

    @workflow.signal(dynamic=True)
    def other(self, name: str, args: Sequence[RawValue]) -> None: ...

    @workflow.query
    def items(self) -> list[str]:
        return []

    @workflow.query
    def item(self, number: int) -> str:
        return ""

    @workflow.update
    async def put(self, item: str) -> int:
        return 1

    @put.validator
    def check(self, item: str) -> None: ...

    @workflow.update
    def clear(self) -> bool:
        return True


@workflow.defn
class Small:
    @workflow.run
    async def run(self) -> int:
        return 1


@workflow.defn
class Many:
    @workflow.run
    async def run(self, first: str, second: int) -> bool:
        return True


async def clients(client: Client) -> None:
    assert_type(await client.execute_workflow(Shop.run, Order("1"), id="a", task_queue="q"), str)
    assert_type(await client.execute_workflow(Small.run, id="a", task_queue="q"), int)
    assert_type(await client.execute_workflow("Named", 1, id="a", task_queue="q"), Any)
    handle = await client.start_workflow(Shop.run, Order("1"), id="a", task_queue="q", run_timeout=SOON)
    assert_type(handle, WorkflowHandle[Shop, str])
    assert_type(await handle.result(), str)
    assert_type(client.get_workflow_handle_for(Small.run, "a"), WorkflowHandle[Small, int])
    assert_type(client.get_workflow_handle_for(Many.run, "a"), WorkflowHandle[Many, bool])
    assert_type(client.get_workflow_handle("a"), WorkflowHandle[Any, Any])

    await handle.signal(Shop.add, "x")
    await handle.signal(Shop.close)
    await handle.signal("named", 1)
    assert_type(await handle.query(Shop.items), list[str])
    assert_type(await handle.query(Shop.item, 1), str)
    assert_type(await handle.query("named"), Any)
    assert_type(await handle.execute_update(Shop.put, "x"), int)
    assert_type(await handle.execute_update(Shop.clear), bool)
    assert_type(await handle.execute_update("named"), Any)
    begun = await handle.start_update(Shop.put, "x", wait_for_stage=WorkflowUpdateStage.ACCEPTED)
    assert_type(begun, WorkflowUpdateHandle[int])
    assert_type(await begun.result(), int)
    assert_type(handle.get_update_handle_for(Shop.clear, "u"), WorkflowUpdateHandle[bool])
    assert_type(await handle.describe(), WorkflowExecutionDescription)
    assert_type(await handle.fetch_history(), WorkflowHistory)

    operation = WithStartWorkflowOperation(
        Shop.run, Order("1"), id="a", task_queue="q", id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING
    )
    assert_type(operation, WithStartWorkflowOperation[Shop, str])
    assert_type(await operation.workflow_handle(), WorkflowHandle[Shop, str])
    assert_type(await client.execute_update_with_start_workflow(Shop.put, "x", start_workflow_operation=operation), int)

    assert_type(await client.execute_activity(charge, Order("1"), id="x", task_queue="q", start_to_close_timeout=SOON), bool)
    assert_type(client.get_schedule_handle("s"), ScheduleHandle)
    async for run in client.list_workflows("WorkflowType = 'Shop'"):
        assert_type(run.id, str)
        assert_type(run.typed_search_attributes, TypedSearchAttributes)
    assert_type(SearchAttributeKey.for_int("n"), SearchAttributeKey[int])


async def workers(client: Client) -> None:
    async with Worker(client, task_queue="q", workflows=[Shop, Small], activities=[charge, weigh, Mail().post]):
        pass
    history = WorkflowHistory.from_json("a", {"events": []})
    assert_type(await Replayer(workflows=[Shop]).replay_workflow(history), WorkflowReplayResult)
    async with await WorkflowEnvironment.start_time_skipping() as env:
        assert_type(env.client, Client)
