"""Child runs: results, failures with causes, taken ids, cancellation, close policies."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from memflow import ApplicationError, Client, Worker, WorkflowAlreadyStartedError, WorkflowFailedError, workflow
from memflow.errors import ChildWorkflowError
from tests.polling import until


@workflow.defn
async def leaf(value: int) -> int:
    if value < 0:
        raise ApplicationError("negative", value, type="Negative")
    return value * 2


@workflow.defn
async def branch(value: int) -> int:
    return await workflow.execute_child(leaf, value) + 1


@workflow.defn
async def root(value: int) -> int:
    return await workflow.execute_child(branch, value) + 1


@workflow.defn
async def sleeper() -> None:
    await workflow.sleep_for("1 hour")


@workflow.defn
async def starts_taken() -> str:
    try:
        await workflow.start_child(leaf, 1, id="taken")
    except WorkflowAlreadyStartedError as taken:
        return taken.workflow_id
    return "not taken"


@workflow.defn
async def starts_and_leaves(policy: str) -> str:
    child = await workflow.start_child(sleeper, parent_close_policy=policy)
    return child.id


@workflow.defn
async def cancels_its_child() -> str:
    child = await workflow.start_child(sleeper)
    await child.cancel()
    try:
        await child
    except ChildWorkflowError as error:
        return type(error.cause).__name__
    except asyncio.CancelledError:
        return "CancelledError"
    return "nothing"


@workflow.defn
async def starts_then_awaits() -> int:
    child = await workflow.start_child(leaf, 4)
    return await child


ALL = [starts_then_awaits, leaf, branch, root, sleeper, starts_taken, starts_and_leaves, cancels_its_child]


async def test_three_levels_deep(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        assert await client.workflow.execute(root, 5) == 12


async def test_start_and_end_of_a_child_in_one_turn_both_count(dsn: str, schema: str) -> None:
    """A fast child starts and ends before its parent looks: the end was once taken for a second answer, and lost."""
    async with await Client.connect(dsn, schema=schema) as client:
        async with Worker(client, workflows=[starts_then_awaits], task_queue="default"):
            handle = await client.workflow.start(starts_then_awaits)
            await until(lambda: _kinds_include(handle, "start_child"))
        async with Worker(client, workflows=[leaf]):
            child = await anext(run async for run in client.workflow.list() if run.type == "leaf")
            assert await client.get_handle(child.id).result(timeout=20) == 8
        async with Worker(client, workflows=ALL):
            assert await handle.result(timeout=20) == 8


async def _kinds_include(handle: Any, kind: str) -> bool:
    return kind in [entry.kind for entry in await handle.history()]


async def test_a_failure_comes_up_with_its_causes(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        with pytest.raises(WorkflowFailedError) as failed:
            await client.workflow.execute(root, -1)
    chain: list[BaseException] = []
    cause: BaseException | None = failed.value.cause
    while cause is not None:
        chain.append(cause)
        cause = cause.__cause__
    assert [type(each) for each in chain] == [ChildWorkflowError, ChildWorkflowError, ApplicationError]
    assert chain[-1].type == "Negative"  # type: ignore[attr-defined]


async def test_a_taken_id_raises_in_the_parent(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        await client.workflow.start(sleeper, id="taken")
        assert await client.workflow.execute(starts_taken) == "taken"


@pytest.mark.parametrize(
    ("policy", "status"), [("terminate", "terminated"), ("request_cancel", "cancelled"), ("abandon", "running")]
)
async def test_close_policies(dsn: str, schema: str, policy: str, status: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        child = client.get_handle(await client.workflow.execute(starts_and_leaves, policy))

        async def there() -> bool:
            return await child.status() == status

        await until(there)
        # An abandoned one looked so from the beginning: nothing may have come for it.
        row = await client.store.find_run(child.id)
        assert row is not None and (row.arrived > 0) == (policy == "request_cancel")
        assert (row.closed_at is None) == (policy == "abandon")


async def test_a_child_can_be_cancelled(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        assert await client.workflow.execute(cancels_its_child) == "CancelledError"


@workflow.defn
async def cleans_up() -> Any:
    try:
        await workflow.sleep_for("1 hour")
    except asyncio.CancelledError:
        await workflow.execute_child(leaf, 1)
        raise


async def test_cancel_reaches_a_sleeping_run_and_cleanup_runs(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[*ALL, cleans_up]):
        handle = await client.workflow.start(cleans_up)

        async def sleeps() -> bool:
            return "timer" in str((await handle.describe()).detail)

        await until(sleeps)
        await handle.cancel()
        with pytest.raises(WorkflowFailedError) as ended:
            await handle.result(timeout=10)
        assert ended.value.status == "cancelled"
        assert "child_completed" in [entry.kind for entry in await handle.history()]


async def test_terminate_is_immediate_and_ends_an_activity_less_run(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(sleeper)
        await handle.terminate("enough")
        with pytest.raises(WorkflowFailedError) as ended:
            await handle.result(timeout=10)
        assert ended.value.status == "terminated"
        assert "enough" in str(ended.value)
