"""What a worker logs of its runs: failed turns with the mark that programs filter by, and nothing of what is in order."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from memflow.temporal import workflow
from memflow.temporal.client import Client
from memflow.temporal.worker import Worker
from tests.polling import until


@workflow.defn(name="Marked")
class Raising:
    @workflow.run
    async def run(self) -> None:
        await asyncio.sleep(0.01)
        raise RuntimeError("this turn fails")


@workflow.defn(name="Marked")
class Sleeping:
    @workflow.run
    async def run(self) -> None:
        await asyncio.sleep(3600)


@workflow.defn(name="Marked")
class Changed:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity("another", start_to_close_timeout=timedelta(seconds=10))


def marked(caplog: pytest.LogCaptureFixture, text: str) -> list[logging.LogRecord]:
    mark = "WorkflowTaskFailure"
    return [
        each for each in caplog.records
        if vars(each).get("__temporal_error_identifier") == mark and text in f"{each.getMessage()} {each.exc_text}"
    ]


async def test_a_turn_that_fails_is_logged_with_the_mark(
    client: Client, queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def told() -> bool:
        return bool(marked(caplog, "this turn fails"))

    async with Worker(client, task_queue=queue, workflows=[Raising]):
        handle = await client.start_workflow(Raising.run, id="raises", task_queue=queue)
        await until(told)
        await handle.terminate()
    [record, *_] = marked(caplog, "this turn fails")
    assert vars(record)["workflow_id"] == "raises"
    assert record.name == "memflow.temporal.worker._workflow_instance"
    assert record.getMessage().startswith("Failed activation on workflow Marked with ID raises and run ID ")
    assert vars(record)["temporal_workflow"]["workflow_type"] == "Marked"


async def test_a_history_that_the_code_no_longer_fits_is_logged_with_the_mark(
    client: Client, queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Worker(client, task_queue=queue, workflows=[Sleeping]):
        handle = await client.start_workflow(Sleeping.run, id="parts", task_queue=queue)

        async def asleep() -> bool:
            return any(each.event_type.name.endswith("TIMER_STARTED") for each in (await handle.fetch_history()).events)

        await until(asleep)

    async def told() -> bool:
        return bool(marked(caplog, "cannot be rebuilt"))

    async with Worker(client, task_queue=queue, workflows=[Changed]):
        await handle.signal("wakes it")
        await until(told)
        await handle.terminate()
    assert {vars(record)["workflow_id"] for record in marked(caplog, "cannot be rebuilt")} == {"parts"}


@workflow.defn
class Lasting:
    @workflow.run
    async def run(self) -> None:
        await asyncio.sleep(3600)


@workflow.defn
class Leaving:
    @workflow.run
    async def run(self, how: str, again: bool) -> str:
        if not again:
            return how
        if how == "child":
            self.child = await workflow.start_child_workflow(
                Lasting.run, id="left", parent_close_policy=workflow.ParentClosePolicy.ABANDON
            )
        else:
            self.task = asyncio.create_task(asyncio.sleep(3600), name="left")
        await asyncio.sleep(0)
        workflow.continue_as_new(args=[how, False])


@pytest.mark.parametrize(("how", "dropped"), [("child", []), ("task", [["left"]])])
async def test_a_child_that_goes_on_is_no_task_that_was_dropped(
    client: Client, queue: str, caplog: pytest.LogCaptureFixture, how: str, dropped: list[list[str]]
) -> None:
    async with Worker(client, task_queue=queue, workflows=[Leaving, Lasting]):
        assert await client.execute_workflow(Leaving.run, args=[how, True], id="leaves", task_queue=queue) == how
        if how == "child":
            await client.get_workflow_handle("left").terminate()
    assert [vars(each)["tasks"] for each in caplog.records if "they are dropped" in each.getMessage()] == dropped
