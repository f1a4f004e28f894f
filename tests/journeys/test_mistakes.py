"""Ordinary mistakes answer clearly: what was wrong, what is allowed, what to do."""

from __future__ import annotations

import asyncio
import datetime
import time
from typing import Any

import asyncpg
import pytest

from memflow import Client, Worker, WorkflowAlreadyStartedError, WorkflowFailedError, activity, workflow
from memflow.errors import ConfigurationError, DatabaseError, DeterminismError, PayloadError, SchemaError
from tests.polling import until


@activity.defn
async def known(number: int) -> int:
    return number


@workflow.defn
async def calls_unknown() -> Any:
    return await workflow.execute_activity("nobody_knows_me")


@workflow.defn
async def calls_badly() -> int:
    return await known("seven")  # type: ignore[arg-type]


@workflow.defn
async def takes_a_number(number: int) -> int:
    return number


@workflow.defn
async def sleeps_for_real() -> None:
    time.sleep(0.01)


@workflow.defn
async def asks_the_clock() -> str:
    return f"{datetime.datetime.now(datetime.UTC) == workflow.now()}"


ALL = [calls_unknown, calls_badly, takes_a_number, sleeps_for_real, asks_the_clock]


async def test_unknown_workflow_type_is_handed_back_and_shows(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL, activities=[known]):
        handle = await client.workflow.start("no_such_workflow", id="lost")
        await until(lambda: _detail(client, "lost", "no_such_workflow"))
        assert await handle.status() == "running"


async def test_unregistered_activity_shows_while_it_is_offered(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL, activities=[known]):
        handle = await client.workflow.start(calls_unknown, id="odd")

        async def shown() -> bool:
            pending = (await handle.describe()).activities
            return bool(pending) and "nobody_knows_me" in str(pending[0])

        await until(shown)
        assert await handle.status() == "running"
        await handle.terminate("enough")


async def _detail(client: Client, id: str, word: str) -> bool:
    return word in str((await client.get_handle(id).describe()).detail)


async def test_an_argument_that_does_not_fit_is_refused_at_the_call(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL, activities=[known]):
        with pytest.raises(PayloadError, match=r"int.*\$\[0\]"):
            await client.workflow.start(takes_a_number, "seven")  # type: ignore[arg-type]
        with pytest.raises(WorkflowFailedError) as failed:
            await client.workflow.execute(calls_badly)
        assert "$[0]" in str(failed.value.cause)
        assert "int" in str(failed.value.cause)


async def test_an_argument_that_does_not_decode_fails_the_run_with_its_path(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        with pytest.raises(WorkflowFailedError) as failed:
            await client.workflow.execute("takes_a_number", args=["seven"])
        assert "$[0]" in str(failed.value.cause)


async def test_blocking_sleep_in_a_workflow_names_the_call_and_the_line(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        with pytest.raises(WorkflowFailedError) as failed:
            await client.workflow.execute(sleeps_for_real)
    text = str(failed.value.cause)
    assert "time.sleep" in text
    assert "test_mistakes.py" in text
    assert "sleep_for" in text


async def test_the_clock_is_the_runs_own_or_an_error(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        try:
            assert await client.workflow.execute(asks_the_clock) == "True"
        except WorkflowFailedError as failed:
            assert "workflow.now" in str(failed.cause)


async def test_a_client_outside_its_with_block(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        pass
    with pytest.raises(ConfigurationError, match="closed"):
        await client.workflow.start("anything")


async def test_a_wrong_dsn_never_shows_its_password() -> None:
    with pytest.raises((DatabaseError, ConfigurationError)) as refused:
        await Client.connect("postgresql://app:s3cret-word@127.0.0.1:1/none")
    assert "s3cret-word" not in str(refused.value)
    assert "s3cret-word" not in repr(refused.value.__cause__)


async def test_a_schema_newer_than_the_library_is_refused(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema):
        pass
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f'update "{schema}".migrations set version = version + 1000')
    finally:
        await connection.close()
    with pytest.raises(SchemaError, match="newer"):
        await Client.connect(dsn, schema=schema)


async def test_a_taken_workflow_id_names_the_run(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        first = await client.workflow.start("anything", id="same")
        with pytest.raises(WorkflowAlreadyStartedError, match="same") as taken:
            await client.workflow.start("anything", id="same")
        assert taken.value.run_id == first.run_id


def test_a_worker_with_nothing_to_run_or_two_of_a_name_is_refused() -> None:
    class NoClient:
        store: Any = None
        codec: Any = None

    with pytest.raises(ConfigurationError, match="nothing to run"):
        Worker(NoClient())

    @activity.defn(name="known")
    async def other(number: int) -> int:
        return -number

    with pytest.raises(ConfigurationError, match="'known'"):
        Worker(NoClient(), activities=[known, other])
    with pytest.raises(ConfigurationError, match="needs an instance"):
        Worker(NoClient(), activities=[asyncio.Event])


def test_determinism_errors_are_memflow_errors() -> None:
    error = DeterminismError("time.sleep(1)", instead="use workflow.sleep_for", where="a.py:3")
    assert str(error) == "time.sleep(1) in workflow code at a.py:3; use workflow.sleep_for"
