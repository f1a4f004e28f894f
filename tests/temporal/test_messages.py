"""Message passing: handlers that wait and lock, updates by id, updates with a start, external workflows, dynamic handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest

from memflow.temporal import activity, workflow
from memflow.temporal.client import (
    Client,
    RPCError,
    WithStartWorkflowOperation,
    WorkflowFailureError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateStage,
)
from memflow.temporal.common import QueryRejectCondition, RawValue, WorkflowIDConflictPolicy
from memflow.temporal.exceptions import ApplicationError, WorkflowAlreadyStartedError
from memflow.temporal.worker import Worker

SOON = timedelta(seconds=20)


@dataclass
class Assignment:
    nodes: int
    job: str


@activity.defn
async def assign(assignment: Assignment) -> str:
    await asyncio.sleep(0.01)
    return assignment.job


@workflow.defn
class Cluster:
    """Handlers that share state behind a lock, a start that is waited for, and an end that waits for handlers."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.started = False
        self.stopped = False
        self.free = 5
        self.jobs: dict[str, int] = {}

    @workflow.run
    async def run(self) -> dict[str, int]:
        await workflow.wait_condition(lambda: self.stopped)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.jobs

    @workflow.signal
    async def start(self) -> None:
        self.started = True

    @workflow.signal
    async def stop(self) -> None:
        await workflow.wait_condition(lambda: self.started)
        self.stopped = True

    @workflow.update
    async def allocate(self, assignment: Assignment) -> int:
        await workflow.wait_condition(lambda: self.started)
        async with self.lock:
            if assignment.nodes > self.free:
                raise ApplicationError(f"{assignment.nodes} nodes wanted, {self.free} are free", type="Full")
            job = await workflow.execute_activity(assign, assignment, start_to_close_timeout=SOON)
            self.free -= assignment.nodes
            self.jobs[job] = assignment.nodes
            info = workflow.current_update_info()
            assert info is not None and info.name == "allocate"
            return self.free


async def test_handlers_wait_lock_and_are_waited_for(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Cluster], activities=[assign]):
        handle = await client.start_workflow(Cluster.run, id="cluster", task_queue=queue)
        pending = [
            await handle.start_update(
                Cluster.allocate, Assignment(2, job), wait_for_stage=WorkflowUpdateStage.ACCEPTED, id=job
            )
            for job in ("a", "b", "c")
        ]
        await handle.signal(Cluster.stop)
        await handle.signal(Cluster.start)
        assert [await pending[0].result(), await pending[1].result()] == [3, 1]
        with pytest.raises(WorkflowUpdateFailedError) as full:
            await pending[2].result()
        assert isinstance(full.value.cause, ApplicationError) and full.value.cause.type == "Full"
        assert await handle.result() == {"a": 2, "b": 2}
        again = client.get_workflow_handle("cluster").get_update_handle("a", result_type=int)
        assert await again.result() == 3


@workflow.defn
class Cart:
    def __init__(self) -> None:
        self.items: list[str] = []
        self.paid = False

    @workflow.run
    async def run(self, owner: str = "nobody") -> list[str]:
        await workflow.wait_condition(lambda: self.paid)
        return [owner, *self.items]

    @workflow.update
    def add(self, item: str) -> int:
        if item == "forbidden":
            raise ApplicationError("not for sale")
        self.items.append(item)
        return len(self.items)

    @workflow.signal
    def pay(self) -> None:
        self.paid = True


def cart_start(queue: str, policy: WorkflowIDConflictPolicy) -> WithStartWorkflowOperation[Cart, list[str]]:
    return WithStartWorkflowOperation(Cart.run, "ann", id="cart", task_queue=queue, id_conflict_policy=policy)


async def test_an_update_starts_its_workflow_if_there_is_none(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Cart]):
        first = cart_start(queue, WorkflowIDConflictPolicy.USE_EXISTING)
        assert await client.execute_update_with_start_workflow(Cart.add, "apple", start_workflow_operation=first) == 1
        second = cart_start(queue, WorkflowIDConflictPolicy.USE_EXISTING)
        update = await client.start_update_with_start_workflow(
            Cart.add, "pear", start_workflow_operation=second, wait_for_stage=WorkflowUpdateStage.ACCEPTED
        )
        assert await update.result() == 2
        handle = await second.workflow_handle()
        assert handle.first_execution_run_id == (await first.workflow_handle()).first_execution_run_id
        third = cart_start(queue, WorkflowIDConflictPolicy.FAIL)
        with pytest.raises(WorkflowAlreadyStartedError):
            await client.execute_update_with_start_workflow(Cart.add, "plum", start_workflow_operation=third)
        with pytest.raises(WorkflowAlreadyStartedError):
            await third.workflow_handle()
        with pytest.raises(RuntimeError, match="cannot be reused"):
            await client.execute_update_with_start_workflow(Cart.add, "plum", start_workflow_operation=first)
        await handle.signal(Cart.pay)
        assert await handle.result() == ["ann", "apple", "pear"]


@workflow.defn
class Listener:
    def __init__(self) -> None:
        self.heard: list[str] = []
        self.done = False

    @workflow.run
    async def run(self) -> list[str]:
        await workflow.wait_condition(lambda: self.done)
        return self.heard

    @workflow.signal(dynamic=True)
    async def any_signal(self, name: str, args: Sequence[RawValue]) -> None:
        values = [workflow.payload_converter().from_payload(arg.payload, str) for arg in args]
        self.heard.append(f"{name}({', '.join(values)})")
        self.done = name == "last"

    @workflow.query(dynamic=True)
    def any_query(self, name: str, args: Sequence[RawValue]) -> str:
        return f"{name} with {len(args)}"

    @workflow.update(dynamic=True)
    async def any_update(self, name: str, args: Sequence[RawValue]) -> str:
        return f"updated {name} with {workflow.payload_converter().from_payload(args[0].payload, list)}"


async def test_dynamic_handlers_get_raw_values(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Listener]):
        handle = await client.start_workflow(Listener.run, id="listener", task_queue=queue)
        await handle.signal("one", "a")
        await handle.signal("two", args=["b", "c"])
        assert await handle.query("what", args=[1, 2, 3]) == "what with 3"
        assert await handle.execute_update("it", [1, 2]) == "updated it with [1, 2]"
        await handle.signal("last")
        assert await handle.result() == ["one(a)", "two(b, c)", "last()"]


@workflow.defn
class Late:
    """Sets its handlers in the middle of the run; what came before is kept for them."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    @workflow.run
    async def run(self) -> list[str]:
        await workflow.sleep(0.2)
        workflow.set_signal_handler("late", self.heard.append)
        workflow.set_query_handler("heard", lambda: list(self.heard))

        async def update(text: str) -> str:
            await workflow.sleep(0.01)
            self.heard.append(text)
            return text.upper()

        def check(text: str) -> None:
            if not text:
                raise ValueError("empty")

        workflow.set_update_handler("say", update, validator=check)
        assert workflow.get_update_handler("say") is update
        await workflow.wait_condition(lambda: len(self.heard) == 3)
        return self.heard


async def test_handlers_set_at_run_time_get_what_came_before(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Late]):
        handle = await client.start_workflow(Late.run, id="late", task_queue=queue)
        await handle.signal("late", "early bird")
        await handle.signal("late", "second")
        await asyncio.sleep(0.4)
        assert await handle.query("heard") == ["early bird", "second"]
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update("say", "")
        assert await handle.execute_update("say", "third") == "THIRD"
        assert await handle.result() == ["early bird", "second", "third"]


@workflow.defn
class Sender:
    @workflow.run
    async def run(self, target: str) -> None:
        other = workflow.get_external_workflow_handle_for(Cart.run, target)
        await other.signal(Cart.pay)


@workflow.defn
class Canceller:
    @workflow.run
    async def run(self, target: str) -> None:
        await workflow.get_external_workflow_handle(target).cancel(reason="enough")


async def test_workflows_signal_and_cancel_others(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Cart, Sender, Canceller]):
        paid = await client.start_workflow(Cart.run, "bob", id="to-be-paid", task_queue=queue)
        dropped = await client.start_workflow(Cart.run, "eve", id="to-be-dropped", task_queue=queue)
        await client.execute_workflow(Sender.run, "to-be-paid", id="sender", task_queue=queue)
        await client.execute_workflow(Canceller.run, "to-be-dropped", id="canceller", task_queue=queue)
        assert await paid.result() == ["bob"]
        with pytest.raises(WorkflowFailureError):
            await dropped.result()


async def test_a_query_is_rejected_by_status(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Listener]):
        handle = await client.start_workflow(Listener.run, id="rejecting", task_queue=queue, start_signal="last")
        await handle.result()
        with pytest.raises(WorkflowQueryRejectedError) as rejected:
            await handle.query("x", reject_condition=QueryRejectCondition.NOT_OPEN)
        assert rejected.value.status is not None and rejected.value.status.name == "COMPLETED"
        assert await handle.query("x", reject_condition=QueryRejectCondition.NOT_COMPLETED_CLEANLY) == "x with 0"


async def test_a_query_without_a_worker_runs_out_of_time(client: Client, queue: str) -> None:
    handle = await client.start_workflow(Cart.run, id="nobody-answers", task_queue=queue)
    with pytest.raises(RPCError) as late:
        await handle.query("anything", rpc_timeout=timedelta(milliseconds=200))
    assert late.value.status.name == "DEADLINE_EXCEEDED"
