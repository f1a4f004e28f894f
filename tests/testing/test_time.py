"""Time skips while a test awaits a result, stands still while something is under way, and moves for everybody at once."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from memflow import RetryPolicy, activity, workflow
from memflow_testing import NeverEndsError, WorkflowEnvironment

ATTEMPTS: list[int] = []


@pytest.fixture(autouse=True)
def no_attempts() -> None:
    ATTEMPTS.clear()


@activity.defn(retry=RetryPolicy(initial_interval="10 seconds", maximum_interval="1 hour", maximum_attempts=11))
async def eleventh_time() -> int:
    ATTEMPTS.append(activity.info().attempt)
    if len(ATTEMPTS) <= 10:
        raise RuntimeError("not yet")
    return len(ATTEMPTS)


@workflow.defn
async def month() -> str:
    await workflow.sleep_for("30 days")
    return "rested"


@workflow.defn
async def patient() -> int:
    return await eleventh_time()


@workflow.defn
async def waits_for_a_signal() -> str:
    return str(await workflow.wait_for("never-sent"))


async def test_a_month_passes_while_its_result_is_awaited(dsn: str) -> None:
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env:
        before = await env.get_current_time()
        async with env.worker(month):
            handle = await env.client.workflow.start(month, task_queue=env.task_queue)
            began = time.monotonic()
            assert await handle.result() == "rested"
            assert time.monotonic() - began < 1
        passed = await env.get_current_time() - before
        assert timedelta(days=30) <= passed < timedelta(days=30, minutes=1)


async def test_ten_retries_with_backoff_to_an_hour_take_no_time(dsn: str) -> None:
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env:
        before = await env.get_current_time()
        async with env.worker(patient, activities=[eleventh_time]):
            began = time.monotonic()
            assert await env.client.workflow.execute(patient, task_queue=env.task_queue) == 11
            assert time.monotonic() - began < 1
        assert list(range(1, 12)) == ATTEMPTS
        backoff = timedelta(seconds=10 + 20 + 40 + 80 + 160 + 320 + 640 + 1280 + 2560 + 3600)
        assert backoff <= await env.get_current_time() - before < backoff + timedelta(minutes=1)


async def test_a_result_that_cannot_come_is_refused_with_what_each_run_waits_for(dsn: str) -> None:
    async with await WorkflowEnvironment.start_time_skipping(dsn, patience=0.3) as env:
        async with env.worker(waits_for_a_signal):
            handle = await env.client.workflow.start(waits_for_a_signal, id="order-1", task_queue=env.task_queue)
            with pytest.raises(NeverEndsError, match=r"(?s)order-1.*signal 'never-sent' at .*test_time.py:\d+"):
                await handle.result()
