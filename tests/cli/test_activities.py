"""`memflow activity ...`: what an operator does from a shell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from memflow import Client, RetryPolicy, Worker, WorkflowFailedError, activity, workflow
from memflow.cli.main import main
from memflow.cli.problems import Exit
from tests.polling import until

WORKS: list[bool] = []


@activity.defn
async def broken() -> str:
    if not WORKS:
        raise RuntimeError("no")
    return f"attempt {activity.info().attempt}"


@workflow.defn
async def calls() -> str:
    return await workflow.execute_activity(broken, activity_id="a", retry=RetryPolicy(initial_interval=3600))


@pytest.fixture
async def client(dsn: str, schema: str) -> AsyncIterator[Client]:
    WORKS.clear()
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[calls], activities=[broken]):
        yield client


async def memflow(dsn: str, schema: str, verb: str, *arguments: str) -> int:
    return await asyncio.to_thread(main, ["activity", verb, "w", "a", *arguments, "--dsn", dsn, "--schema", schema])


async def failed(client: Client, state: str = "backing_off") -> None:
    async def it_has() -> bool:
        return [each.state for each in (await client.get_handle("w").describe()).activities] == [state]

    await until(it_has)


async def test_an_activity_is_paused_resumed_and_reset(dsn: str, schema: str, client: Client) -> None:
    handle = await client.workflow.start(calls, id="w")
    await failed(client)
    assert await memflow(dsn, schema, "pause") == Exit.DONE
    await failed(client, "paused")
    assert await memflow(dsn, schema, "reset", "--keep-paused") == Exit.DONE
    WORKS.append(True)                                   # before: it begins at once, and would wait for an hour after a failure
    assert await memflow(dsn, schema, "resume") == Exit.DONE
    assert await handle.result(10) == "attempt 1"
    assert await memflow(dsn, schema, "pause") == Exit.NOT_FOUND


async def test_an_activity_is_completed(
    dsn: str, schema: str, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    handle = await client.workflow.start(calls, id="w")
    await failed(client)
    assert await memflow(dsn, schema, "complete", "--result", "no json") == Exit.USAGE
    assert await memflow(dsn, schema, "complete", "--result", '"by hand"') == Exit.DONE
    assert await handle.result(10) == "by hand"
    shown = capsys.readouterr()
    assert "completed activity a of w" in shown.out and "quotes of its own" in shown.err


async def test_an_activity_is_failed_for_good(dsn: str, schema: str, client: Client) -> None:
    handle = await client.workflow.start(calls, id="w")
    await failed(client)
    assert await memflow(dsn, schema, "fail", "give up", "--final") == Exit.DONE
    with pytest.raises(WorkflowFailedError, match="give up"):
        await handle.result(10)
