"""Many tests in one file cost little each: the next environment begins within milliseconds."""

from __future__ import annotations

import time

import pytest

from memflow import workflow
from memflow_testing import WorkflowEnvironment
from memflow_testing.postgres import PostgresGround


@workflow.defn
async def month() -> str:
    await workflow.sleep_for("30 days")
    return "rested"


@pytest.mark.parametrize("number", range(20))
async def test_each_of_many_skips_a_month(memflow_env: WorkflowEnvironment, number: int) -> None:
    async with memflow_env.worker(month):
        handle = await memflow_env.client.workflow.start(month, id=f"nap-{number}", task_queue=memflow_env.task_queue)
        assert await handle.result() == "rested"
        assert [run.id async for run in memflow_env.client.workflow.list()] == [f"nap-{number}"]


async def test_an_environment_starts_quickly_once_the_server_is_up(dsn: str) -> None:
    starts: list[float] = []
    schemas: set[str] = set()
    for _ in range(5):
        began = time.perf_counter()
        async with await WorkflowEnvironment.start_time_skipping(dsn) as env:
            starts.append(time.perf_counter() - began)
            assert isinstance(env.ground, PostgresGround)
            schemas.add(env.ground.schema)
    assert len(schemas) == 1
    assert sorted(starts)[1] < 1, starts                 # 15 ms on an idle machine; the first may have to make the schema
