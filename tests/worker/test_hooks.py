"""Hooks end to end: in the run itself, in another one, from outside; what fails, what is missing, what ends first."""

from __future__ import annotations

from typing import Any

import pytest

from memflow import ApplicationError, Client, Worker, activity, workflow
from memflow.client import Handle
from memflow.errors import (
    HookError,
    WorkflowClosedError,
    WorkflowFailedError,
    WorkflowNotFoundError,
)
from tests.polling import until


@activity.defn
async def shout(text: str) -> str:
    return text.upper()


async def count(by: int) -> int:
    """Counts in the record of whatever run it is in."""
    text = await shout("counted")
    await workflow.sleep_for(0.01)
    await workflow.entity().append("log", text)
    return int(await workflow.search().incr("counter", by))


async def refuse(text: str) -> None:
    await workflow.sleep_for(0.01)
    raise ApplicationError(text, type="Refused")


async def note(text: str) -> None:
    await workflow.entity().append("log", text)


@workflow.defn
async def counting() -> list[Any]:
    await workflow.hook(count, 1)
    result = await workflow.exec_hook(count, 10)
    await workflow.wait_condition(lambda: False, timeout=0.05) if result == -1 else None
    await workflow.wait_for("go on")
    return [result, await workflow.search().get("counter")]


@workflow.defn
async def target() -> dict[str, Any]:
    await workflow.wait_for("finish")
    return dict(await workflow.entity().get())


@workflow.defn
async def caller(workflow_id: str, by: int) -> int:
    return await workflow.exec_hook(count, by, workflow_id=workflow_id)


@workflow.defn
async def catches(workflow_id: str | None) -> list[str]:
    try:
        await workflow.exec_hook(refuse, "no", workflow_id=workflow_id)
    except HookError as error:
        cause = error.cause
        assert isinstance(cause, ApplicationError)
        return [error.hook, cause.message, str(cause.type)]
    return []


@workflow.defn
async def fires(workflow_id: str) -> str:
    try:
        return await workflow.hook(note, "from a workflow", workflow_id=workflow_id)
    except (WorkflowNotFoundError, WorkflowClosedError) as error:
        return type(error).__name__


@workflow.defn
async def batch() -> dict[str, int]:
    return await workflow.exec_hook_batch({"a": (count, 1), "b": (count, 2)})


@workflow.defn
async def failing() -> None:
    await workflow.hook(refuse, "on purpose")
    await workflow.wait_for("never")


@workflow.defn
async def recursive() -> None:
    await workflow.hook(recursive)


ALL = [counting, target, caller, catches, fires, batch, failing, recursive]


def worker_of(client: Client, **more: Any) -> Worker:
    return Worker(client, workflows=ALL, activities=[shout], **{"hooks": [count, refuse, note], **more})


async def test_a_hook_is_a_second_coroutine_of_its_run(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        handle = await client.workflow.start(counting)
        await client.signal("go on")
        result, counter = await handle.result()
        assert counter == 11 and result in (10, 11)
        kinds = [entry.kind for entry in await handle.history()]
        assert kinds.count("start_hook") == 2 and kinds.count("schedule_activity") == 2


async def test_a_hook_from_outside_writes_the_record_first_then_runs(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        handle = await client.workflow.start(target, id="t")
        await client.workflow.hook("t", count, 5, search={"counter": 100})
        await handle.hook("note", "by name")
        await until(lambda: _recorded(handle, counter=105))
        await client.signal("finish")
        record = await handle.result()
        assert record["counter"] == 105 and sorted(record["log"]) == ["COUNTED", "by name"]


async def test_the_result_of_a_hook_in_another_run_comes_back(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        there = await client.workflow.start(target, id="t")
        assert await client.workflow.execute(caller, "t", 3) == 3
        assert await client.workflow.execute(caller, "t", 4) == 7
        await client.signal("finish")
        assert (await there.result())["counter"] == 7


@pytest.mark.parametrize("where", [None, "t"])
async def test_the_failure_of_a_hook_reaches_who_waits_for_it(dsn: str, schema: str, where: str | None) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        there = await client.workflow.start(target, id="t")
        assert await client.workflow.execute(catches, where) == ["refuse", "no", "Refused"]
        await client.signal("finish")
        assert await there.result() == {}, "the run that the hook failed in goes on"


async def test_a_hook_that_nobody_waits_for_fails_its_run(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        with pytest.raises(WorkflowFailedError) as caught:
            await client.workflow.execute(failing)
        assert "on purpose" in str(caught.value)


async def test_all_of_a_batch_run_together(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, worker_of(client):
        assert sorted((await client.workflow.execute(batch)).values()) in ([1, 3], [2, 3])


async def _recorded(handle: Handle[Any], **fields: Any) -> bool:
    record = (await handle.describe()).record
    return all(record.get(name) == value for name, value in fields.items())
