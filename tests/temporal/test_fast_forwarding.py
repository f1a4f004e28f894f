"""Environments of `start_time_skipping_v2`: `fast_forward` lets time pass for a workflow."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from memflow.temporal import workflow
from memflow.temporal.testing import TimeSkippingConfig, WorkflowEnvironment
from memflow.temporal.time_skipping import FastForwardConfig
from memflow.temporal.worker import Worker

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def database(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMFLOW_TEST_DSN", dsn)


@workflow.defn
class SleepsTwoHours:
    @workflow.run
    async def run(self) -> str:
        await asyncio.sleep(7200)
        return "rested"


async def test_time_passes_as_far_as_it_is_said() -> None:
    async with await WorkflowEnvironment.start_time_skipping_v2(ts_config=TimeSkippingConfig(enabled=False)) as env:
        assert env.supports_time_skipping_v2 and env.supports_time_skipping and not env.supports_time_skipping_v1
        async with Worker(env.client, task_queue="q", workflows=[SleepsTwoHours]):
            handle = await env.client.start_workflow(SleepsTwoHours.run, id="sleeper", task_queue="q")
            before = await env.get_current_time(handle)
            assert await env.fast_forward(handle, HOUR) is True
            assert await env.get_current_time(handle) - before >= HOUR
            assert await env.fast_forward(handle, 3700.0) is False
            assert await handle.result() == "rested"


async def test_time_passes_until_the_end() -> None:
    for config in (TimeSkippingConfig(), TimeSkippingConfig(enabled=False)):
        async with await WorkflowEnvironment.start_time_skipping_v2(ts_config=config) as env:
            async with Worker(env.client, task_queue="q", workflows=[SleepsTwoHours]):
                handle = await env.client.start_workflow(SleepsTwoHours.run, id="sleeper", task_queue="q")
                with env.with_time_skipping_disabled():
                    assert (await handle.describe()).close_time is None
                assert await env.fast_forward(handle) is False
                assert await handle.result() == "rested"


async def test_what_belongs_to_the_other_kind_of_environment_says_so() -> None:
    async with await WorkflowEnvironment.start_time_skipping_v2() as env:
        with pytest.raises(RuntimeError, match="fast_forward"):
            await env.sleep(1)
        with pytest.raises(RuntimeError, match="requires a workflow handle"):
            await env.get_current_time()
        with pytest.raises(RuntimeError, match="with_time_skipping_disabled"), env.auto_time_skipping_disabled():
            pass
    async with await WorkflowEnvironment.start_time_skipping() as env:
        handle = env.client.get_workflow_handle("any")
        with pytest.raises(RuntimeError, match="start_time_skipping_v2"):
            await env.fast_forward(handle)
        with env.with_time_skipping_disabled():
            assert env.supports_time_skipping_v1
    with pytest.raises(ValueError, match="fast_forward_config"):
        TimeSkippingConfig(enabled=False, fast_forward_config=FastForwardConfig("id", HOUR))
