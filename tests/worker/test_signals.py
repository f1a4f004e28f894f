"""Signals by id: kept, in order, one waiter each, none orphaned."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from memflow import Client, Worker, workflow
from memflow.errors import WorkflowClosedError
from tests.polling import until


@workflow.defn
async def waits_once(name: str) -> list[Any]:
    return [name, await workflow.wait_for("shared")]


@workflow.defn
async def two_waiters() -> list[Any]:
    return list(await asyncio.gather(workflow.wait_for("pair"), workflow.wait_for("pair")))


@workflow.defn
async def gives_up() -> Any:
    first = await workflow.wait_for("late", timeout=0.05, default="gave up")
    return [first, await workflow.wait_for("late")]


@workflow.defn
async def times_out() -> Any:
    await workflow.wait_for("never", timeout=0.05)


@workflow.defn
async def sender() -> None:
    await workflow.signal("from inside", {"a": 1})


@workflow.defn
async def receiver() -> Any:
    return await workflow.wait_for("from inside")


ALL = [waits_once, two_waiters, gives_up, times_out, sender, receiver]


async def test_a_signal_sent_before_the_wait_is_kept(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        await client.signal("shared", 7)
        assert await client.workflow.execute(waits_once, "a") == ["a", 7]


async def test_two_runs_waiting_on_one_id_each_get_one(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        first = await client.workflow.start(waits_once, "first")
        await until(lambda: _waits(first))
        second = await client.workflow.start(waits_once, "second")
        await until(lambda: _waits(second))
        await client.signal("shared", 1)
        await client.signal("shared", 2)
        assert await first.result(timeout=10) == ["first", 1]
        assert await second.result(timeout=10) == ["second", 2]


async def test_two_waiters_in_one_run_each_get_one_in_order(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(two_waiters)
        await client.signal("pair", "one")
        await client.signal("pair", "two")
        assert await handle.result(timeout=10) == ["one", "two"]


async def test_a_wait_that_gave_up_takes_no_signal(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(gives_up)
        await until(lambda: _waits(handle, again=True))
        await client.signal("late", 3)
        assert await handle.result(timeout=10) == ["gave up", 3]


async def test_a_timeout_without_default_is_the_builtin_error(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(times_out)
        with pytest.raises(Exception) as failed:
            await handle.result(timeout=10)
        assert "TimeoutError" in str(failed.value)


async def test_a_repeated_request_id_counts_once(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(two_waiters)
        await client.signal("pair", 1, request_id="r")
        await client.signal("pair", 1, request_id="r")
        await client.signal("pair", 2)
        assert await handle.result(timeout=10) == [1, 2]


async def test_a_workflow_signals_another(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(receiver)
        await client.workflow.execute(sender)
        assert await handle.result(timeout=10) == {"a": 1}


async def test_a_closed_run_refuses(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(sender)
        await handle.result(timeout=10)
        with pytest.raises(WorkflowClosedError):
            await handle.signal("anything")
        with pytest.raises(WorkflowClosedError):
            await handle.cancel()


async def _waits(handle: Any, *, again: bool = False) -> bool:
    if again:
        return sum(entry.kind == "await_signal" for entry in await handle.history()) == 2
    return "signal" in str((await handle.describe()).detail)
