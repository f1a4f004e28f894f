"""What environments in memory do alone, and what both kinds do with time where nobody's worker has anything to do."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from memflow import RetryPolicy, activity, workflow
from memflow.errors import ActivityError, ApplicationError, ConfigurationError, WorkflowFailedError
from memflow.store.turns import ActivityKey, ActOnActivity, FoundActivity
from memflow_testing import WorkflowEnvironment
from memflow_testing.memory.skipping import MemoryGround

both = pytest.mark.memflow(store="both")


@activity.defn(transactional=True)
async def moves_money() -> int:
    return 1


@workflow.defn
async def pays() -> int:
    return await moves_money()


@workflow.defn
async def idle() -> str:
    await workflow.sleep_for("1 hour")
    return "done"


@activity.defn(start_to_close_timeout="3 days", retry=RetryPolicy(maximum_attempts=1))
async def asks_somebody() -> str:
    activity.raise_complete_async()


@workflow.defn
async def waits_for_somebody() -> str:
    try:
        return await asks_somebody()
    except ActivityError:
        return f"nobody, for {(workflow.now() - workflow.info().started_at).days} days"


@activity.defn
async def doubles(n: int) -> int:
    return 2 * n


async def test_memory_is_where_an_environment_is_if_nobody_says_anything() -> None:
    async with await WorkflowEnvironment.start_time_skipping() as env:
        assert isinstance(env.ground, MemoryGround) and env.supports_time_skipping


async def test_a_dsn_means_postgres_and_is_refused_in_memory(dsn: str) -> None:
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env:
        assert not isinstance(env.ground, MemoryGround)
    with pytest.raises(ConfigurationError, match="no use to store='memory'"):
        await WorkflowEnvironment.start_time_skipping(dsn, store="memory")
    with pytest.raises(ConfigurationError, match="'redis' is not one of memory, postgres"):
        await WorkflowEnvironment.start_time_skipping(store="redis")


@pytest.mark.memflow(store="memory")
async def test_what_needs_transactions_says_so_at_once(memflow_env: WorkflowEnvironment) -> None:
    with pytest.raises(ConfigurationError, match=r"no transactions in the store in memory.*memflow_pg_env"):
        await memflow_env.client.workflow.start(idle, task_queue=memflow_env.task_queue, connection=object())
    async with memflow_env.worker(pays, activities=[moves_money]):
        with pytest.raises(WorkflowFailedError, match="no transactions in the store in memory"):
            await memflow_env.client.workflow.execute(pays, task_queue=memflow_env.task_queue)


async def test_with_real_time_in_memory_nothing_is_skipped() -> None:
    async with await WorkflowEnvironment.start_local(store="memory") as env, env.worker(idle):
        handle = await env.client.workflow.start(idle, task_queue=env.task_queue)
        with pytest.raises(TimeoutError):
            await handle.result(timeout=0.3)
        await handle.terminate()


async def test_many_environments_at_once_are_strangers() -> None:
    async def lives(days: int) -> tuple[int, int]:
        async with await WorkflowEnvironment.start_time_skipping() as env, env.worker(idle):
            before = await env.get_current_time()
            await env.client.workflow.execute(idle, id="same", task_queue=env.task_queue)
            await env.sleep(timedelta(days=days))
            return (await env.get_current_time() - before).days, await env.client.workflow.count()

    found = await asyncio.gather(*(lives(days) for days in range(1, 20)))
    assert found == [(days, 1) for days in range(1, 20)]


@both
async def test_time_passes_while_somebody_outside_has_an_activity(memflow_env: WorkflowEnvironment) -> None:
    async with memflow_env.worker(waits_for_somebody, activities=[asks_somebody]):
        handle = await memflow_env.client.workflow.start(waits_for_somebody, task_queue=memflow_env.task_queue)
        assert await handle.result() == "nobody, for 3 days"


@both
async def test_an_activity_without_a_workflow_is_not_skipped_over(memflow_env: WorkflowEnvironment) -> None:
    async with memflow_env.worker(activities=[doubles]):
        before = await memflow_env.get_current_time()
        client: Any = memflow_env.client
        assert await client.activity.execute(doubles, 21, id="d", task_queue=memflow_env.task_queue) == 42
        assert await memflow_env.get_current_time() - before < timedelta(minutes=1)


@both
async def test_a_paused_activity_keeps_no_clock_from_going(memflow_env: WorkflowEnvironment) -> None:
    @activity.defn(task_queue="nobody's", activity_id="far")
    async def elsewhere() -> None: ...

    @workflow.defn
    async def starts_elsewhere() -> str:
        try:
            async with asyncio.timeout(24 * 3600):
                await elsewhere()
        except TimeoutError:
            return "a day has passed"
        raise ApplicationError("somebody ran it")

    async with memflow_env.worker(starts_elsewhere):
        handle = await memflow_env.client.workflow.start(starts_elsewhere, task_queue=memflow_env.task_queue)
        await memflow_env.sleep("1 second")
        found = await memflow_env.store.find_activity(ActivityKey(handle.id, None, "far"))
        assert isinstance(found, FoundActivity) and await memflow_env.store.act_on_activity(found, ActOnActivity("pause"))
        assert await handle.result() == "a day has passed"
