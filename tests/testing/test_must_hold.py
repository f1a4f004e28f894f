"""What tests with skipped time may cost: a month of sleep, ten retries, a year of a daily schedule, each well under a second;
two hundred such tests in one file. `pytest tests/testing/test_must_hold.py --durations 5` measures it; with
`--memflow-store postgres` on Postgres.
"""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from memflow import RetryPolicy, activity, workflow
from memflow_testing import WorkflowEnvironment

BEGUN: list[int] = []


@activity.defn(retry=RetryPolicy(initial_interval="10 seconds", maximum_interval="1 hour", maximum_attempts=11))
async def eleventh_time() -> int:
    attempt = activity.info().attempt
    BEGUN.append(attempt)
    if attempt <= 10:
        raise RuntimeError("not yet")
    return attempt


@workflow.defn
async def month() -> str:
    await workflow.sleep_for("30 days")
    return "rested"


@workflow.defn
async def patient() -> int:
    return await eleventh_time()


@workflow.defn
async def approval() -> str:
    return str(await workflow.wait_for("approve", timeout="7 days", default="expired"))


@workflow.defn
async def daily() -> str:
    return "done"


@pytest.mark.parametrize("number", range(66))
async def test_it_sleeps_a_month(memflow_env: WorkflowEnvironment, number: int) -> None:
    async with memflow_env.worker(month):
        handle = await memflow_env.client.workflow.start(month, id=f"nap-{number}", task_queue=memflow_env.task_queue)
        before = await memflow_env.get_current_time()
        assert await handle.result() == "rested"
        assert await memflow_env.get_current_time() - before >= timedelta(days=29, hours=23)
        assert [run.id async for run in memflow_env.client.workflow.list()] == [f"nap-{number}"]


@pytest.mark.parametrize("number", range(66))
async def test_it_is_tried_again_for_hours(memflow_env: WorkflowEnvironment, number: int) -> None:
    BEGUN.clear()
    async with memflow_env.worker(patient, activities=[eleventh_time]):
        assert await memflow_env.client.workflow.execute(patient, task_queue=memflow_env.task_queue) == 11
    assert list(range(1, 12)) == BEGUN


@pytest.mark.parametrize("number", range(66))
async def test_nobody_answers_for_a_week(memflow_env: WorkflowEnvironment, number: int) -> None:
    async with memflow_env.worker(approval):
        assert await memflow_env.client.workflow.execute(approval, task_queue=memflow_env.task_queue) == "expired"


@pytest.mark.parametrize("number", range(2))
async def test_it_is_scheduled_daily_for_a_year(memflow_env: WorkflowEnvironment, number: int) -> None:
    async with memflow_env.worker(daily):
        await memflow_env.client.schedule.create("report", daily, spec="0 6 * * *", task_queue=memflow_env.task_queue)
        await memflow_env.sleep("365 days")
        assert await memflow_env.client.workflow.count('status = "completed"') == 365


@pytest.mark.memflow(store="memory")
async def test_an_environment_in_memory_starts_in_no_time(memflow_env: WorkflowEnvironment) -> None:
    starts: list[float] = []
    for _ in range(5):
        began = time.perf_counter()
        async with await WorkflowEnvironment.start_time_skipping(store="memory"):
            starts.append(time.perf_counter() - began)
    assert min(starts) < 0.02, starts                    # 0.3 ms on an idle machine
