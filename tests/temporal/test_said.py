"""What people are told: summaries and priorities in histories, warnings and logs with Temporal's words, sleeps of no time."""

from __future__ import annotations

import asyncio
import logging
import warnings
from datetime import timedelta
from typing import Any

import pytest

from memflow.temporal import activity, workflow
from memflow.temporal.api.enums.v1 import EventType as T
from memflow.temporal.client import Client, WorkflowFailureError, WorkflowHistory
from memflow.temporal.common import Priority, RetryPolicy
from memflow.temporal.converter import DataConverter, DefaultFailureConverter, PayloadConverter
from memflow.temporal.exceptions import ActivityError, ApplicationError
from memflow.temporal.worker import Replayer, Worker
from tests.polling import until

FAILED = "workflow_task_failed_event_attributes"
SOON = timedelta(seconds=20)
read = PayloadConverter.default.from_payload


@activity.defn
async def bake(cake: str) -> str:
    return cake


@workflow.defn
class Bakes:
    @workflow.run
    async def run(self, cake: str) -> None:
        await workflow.sleep(0, summary="a breath")
        with_timeout = workflow.wait_condition(lambda: False, timeout=0.01, timeout_summary="till cold")
        await asyncio.gather(workflow.sleep(0.01, summary='oven "hot"'), with_timeout, return_exceptions=True)
        await asyncio.sleep(0.01)
        await workflow.execute_activity(
            bake, cake, start_to_close_timeout=SOON, summary="in the oven", priority=Priority(priority_key=2)
        )


async def test_summaries_and_priorities_show_in_histories_and_their_json(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Bakes], activities=[bake]):
        handle = await client.start_workflow(
            Bakes.run, "tart", id="bakes", task_queue=queue, static_summary="s", static_details="d", priority=Priority(3)
        )
        await handle.result()
    history = await handle.fetch_history()
    for told in (history, WorkflowHistory.from_json("bakes", history.to_json())):
        started = told.events[0]
        assert (read(started.user_metadata.summary), read(started.user_metadata.details)) == ("s", "d")
        assert started.workflow_execution_started_event_attributes.priority.priority_key == 3
        timers = [each for each in told.events if each.event_type is T.EVENT_TYPE_TIMER_STARTED]
        lines = [read(each.user_metadata.summary) if each.HasField("user_metadata") else None for each in timers]
        assert lines == ["a breath", 'oven "hot"', "till cold", None]
        (asked,) = [each for each in told.events if each.event_type is T.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED]
        assert read(asked.user_metadata.summary) == "in the oven"
        assert asked.activity_task_scheduled_event_attributes.priority.priority_key == 2
        await Replayer(workflows=[Bakes]).replay_workflow(told)


@workflow.defn
class LeavesHandlers:
    def __init__(self) -> None:
        self.called = False

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self.called)
        return "left"

    @workflow.signal
    async def call(self) -> None:
        self.called = True
        await workflow.sleep(1000)


async def test_where_warnings_are_errors_a_handler_left_running_fails_the_task(client: Client, queue: str) -> None:
    handle = await client.start_workflow(LeavesHandlers.run, id="leaves", task_queue=queue)

    async def failed() -> bool:
        events = (await handle.fetch_history()).events
        said = [str(each.workflow_task_failed_event_attributes.failure.message) for each in events if each.HasField(FAILED)]
        return any(each.startswith("[TMPRL1102] Workflow finished while signal handlers are still running") for each in said)

    async with Worker(client, task_queue=queue, workflows=[LeavesHandlers]):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await handle.signal(LeavesHandlers.call)
            await until(failed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert await handle.result() == "left"


@workflow.defn(sandboxed=False)
class NeverLeaves:
    @workflow.run
    async def run(self) -> str:
        async def stay() -> None:
            while True:
                try:
                    await workflow.wait_condition(lambda: False)
                except BaseException:
                    continue

        self.task = asyncio.create_task(stay())
        return "done"


async def test_code_that_cannot_be_evicted_is_told_of_by_its_run_id(
    client: Client, queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with Worker(client, task_queue=queue, workflows=[NeverLeaves]):
            handle = await client.start_workflow(NeverLeaves.run, id="stays", task_queue=queue)
            assert await handle.result() == "done"
    text = f"Timed out running eviction job for run ID {handle.result_run_id}"
    assert any(each.getMessage().startswith(text) for each in caplog.records)


class Picky(DefaultFailureConverter):
    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Any) -> None:
        if isinstance(exception, KeyError):
            raise RuntimeError("no keys")
        super().to_failure(exception, payload_converter, failure)


@activity.defn
async def lose_key() -> None:
    raise KeyError("lost")


@workflow.defn
class LosesKey:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(
            lose_key, start_to_close_timeout=SOON, retry_policy=RetryPolicy(maximum_attempts=1)
        )


async def test_an_error_that_the_failure_converter_cannot_describe_tells_why(client: Client, queue: str) -> None:
    config = client.config()
    config["data_converter"] = DataConverter(failure_converter_class=Picky)
    picky = Client(**config)
    async with Worker(picky, task_queue=queue, workflows=[LosesKey], activities=[lose_key]):
        with pytest.raises(WorkflowFailureError) as failed:
            await picky.execute_workflow(LosesKey.run, id="keys", task_queue=queue)
    assert isinstance(failed.value.cause, ActivityError)
    cause = failed.value.cause.cause
    assert isinstance(cause, ApplicationError)
    assert cause.message == "Failed building exception result: no keys"
