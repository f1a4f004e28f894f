"""Many tests in one file cost little each: the next environment begins within milliseconds."""

from __future__ import annotations

import time

import asyncpg
import pytest

from memflow import workflow
from memflow_testing import WorkflowEnvironment, postgres
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


async def test_the_first_environment_finds_a_schema_that_the_session_made(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `memflow_dsn` does once: no test pays for it."""
    await postgres.make_ready(dsn)

    async def made_late(*_: object) -> None:
        raise AssertionError("the schema was to be there")

    monkeypatch.setattr(postgres, "_make", made_late)
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env, env.worker(month):
        assert await env.client.workflow.execute(month, task_queue=env.task_queue) == "rested"


async def test_an_environment_begins_empty_whatever_the_one_before_has_left(dsn: str) -> None:
    """Only tables that have something are emptied; that none is left out is looked at here."""
    for _ in range(2):
        async with await WorkflowEnvironment.start_time_skipping(dsn) as env:
            assert isinstance(env.ground, PostgresGround)
            connection = await asyncpg.connect(dsn)
            try:
                await connection.execute(f'set search_path = "{env.ground.schema}"')
                tables = [
                    row[0]
                    for row in await connection.fetch(
                        "select tablename from pg_tables where schemaname = $1 and tablename <> all($2)",
                        env.ground.schema,
                        ["migrations", "test_clock"],
                    )
                ]
                assert len(tables) > 10
                left = {table: await connection.fetchval(f"select count(*) from {table}") for table in tables}
                assert not any(left.values()), left
                async with env.worker(month):
                    await env.client.schedule.create("s", month, spec="0 6 * * *", task_queue=env.task_queue)
                    await env.client.signal("early", 1)
                    await env.sleep("40 days")
                await connection.execute("insert into schedule_ends (namespace, schedule, run) values ('default', 'x', 1)")
                assert await connection.fetchval("select count(*) from runs") >= 1
            finally:
                await connection.close()
