"""Payload codecs of programs: what they encode is all that Postgres sees."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from memflow.temporal import activity, workflow
from memflow.temporal.api.common.v1 import Payload
from memflow.temporal.client import Client, WorkflowFailureError, WorkflowQueryFailedError
from memflow.temporal.common import RetryPolicy
from memflow.temporal.converter import DataConverter, PayloadCodec
from memflow.temporal.exceptions import ActivityError, ApplicationError
from memflow.temporal.worker import Worker
from tests.polling import until
from tests.worker.test_sealed import dump

SOON = timedelta(seconds=20)
SECRET = "xyzzy-plugh"


class Backwards(PayloadCodec):
    """Stands for encryption: what it writes cannot be read as it lies there."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload(metadata={"encoding": b"binary/backwards"}, data=each.SerializeToString()[::-1]) for each in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload.FromString(each.data[::-1]) if each.metadata.get("encoding") == b"binary/backwards" else each
            for each in payloads
        ]


@activity.defn
async def repeat(text: str) -> bytes:
    if not activity.info().heartbeat_details:
        activity.heartbeat(text)
        raise ApplicationError(f"not yet: {text}", text)
    return str(activity.info().heartbeat_details[0]).encode()


@workflow.defn
class Kid:
    @workflow.run
    async def run(self, text: str) -> str:
        return text + " of a child"


@workflow.defn
class Secretive:
    def __init__(self) -> None:
        self.told: list[str] = []

    @workflow.run
    async def run(self, text: str, round: int) -> list[str]:
        if round == 0:
            workflow.continue_as_new(args=[text, 1])
        await workflow.wait_condition(lambda: len(self.told) == 2)
        workflow.upsert_memo({"later": text})
        found: bytes = await workflow.execute_activity(
            repeat, text, start_to_close_timeout=SOON, retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=20))
        )
        return [*sorted(self.told), found.decode(), await workflow.execute_child_workflow(Kid.run, text)]

    @workflow.signal
    def tell(self, text: str) -> None:
        self.told.append(f"{text} by signal")

    @workflow.update
    async def ask(self, text: str) -> str:
        self.told.append(f"{text} by update")
        return text

    @workflow.query
    def known(self, text: str) -> str:
        if text == "nothing":
            raise ApplicationError(f"{SECRET} is not for you")
        return f"{text} {len(self.told)}"


@workflow.defn
class Fails:
    @workflow.run
    async def run(self, text: str) -> None:
        await workflow.execute_activity(
            repeat, text, start_to_close_timeout=SOON, retry_policy=RetryPolicy(maximum_attempts=1)
        )


@workflow.defn
class Counts:
    @workflow.run
    async def run(self) -> str:
        last = workflow.get_last_completion_result(str)
        return f"{SECRET} 1" if last is None else f"{SECRET} after {last}"


def sealed(client: Client) -> Client:
    config = client.config()
    config["data_converter"] = dataclasses.replace(DataConverter.default, payload_codec=Backwards())
    return Client(**config)


def worker_of(client: Client, queue: str) -> Worker:
    return Worker(client, task_queue=queue, workflows=[Secretive, Kid, Fails, Counts], activities=[repeat])


async def test_a_payload_codec_hides_everything_from_the_tables(client: Client, queue: str, dsn: str, schema: str) -> None:
    hidden = sealed(client)
    async with worker_of(hidden, queue):
        handle: Any = await hidden.start_workflow(
            Secretive.run, args=[SECRET, 0], id="w", task_queue=queue, memo={"first": SECRET}
        )
        latest: Any = hidden.get_workflow_handle("w")
        first = handle.first_execution_run_id
        await until(lambda: _moved_on(latest, first))
        await latest.signal(Secretive.tell, SECRET)
        assert await latest.execute_update(Secretive.ask, SECRET) == SECRET
        assert await latest.query(Secretive.known, SECRET) == f"{SECRET} 2"
        with pytest.raises(WorkflowQueryFailedError, match=SECRET):
            await latest.query(Secretive.known, "nothing")
        assert await handle.result() == [f"{SECRET} by signal", f"{SECRET} by update", SECRET, f"{SECRET} of a child"]
        assert await (await latest.describe()).memo() == {"first": SECRET, "later": SECRET}
        assert SECRET in repr((await latest.fetch_history()).events)

        with pytest.raises(WorkflowFailureError) as failed:
            await hidden.execute_workflow(Fails.run, SECRET, id="f", task_queue=queue)
        assert isinstance(failed.value.cause, ActivityError)
        assert isinstance(failed.value.cause.cause, ApplicationError)
        assert failed.value.cause.cause.details == (SECRET,)
    found = await dump(dsn, schema)
    assert [name for name, data in found.items() if SECRET.encode() in data] == []


async def _moved_on(handle: Any, first: str) -> bool:
    return bool((await handle.describe()).run_id != first)


async def test_the_last_result_of_a_cron_workflow_is_hidden_and_handed_on(
    client: Client, queue: str, dsn: str, schema: str
) -> None:
    hidden = sealed(client)
    async with worker_of(hidden, queue):
        handle = await hidden.start_workflow(Counts.run, id="c", task_queue=queue, cron_schedule="@every 1s")
        second = hidden.get_workflow_handle("c", run_id=None)
        await until(lambda: _moved_on(second, handle.first_execution_run_id or ""))
        following = (await second.describe()).run_id
        this = hidden.get_workflow_handle("c", run_id=following)
        assert await this.result(follow_runs=False) == f"{SECRET} after {SECRET} 1"
        await second.terminate()
    found = await dump(dsn, schema)
    assert [name for name, data in found.items() if SECRET.encode() in data] == []


async def test_what_was_stored_before_the_codec_is_read(client: Client, queue: str) -> None:
    await client.start_workflow(Kid.run, "open", id="k", task_queue=queue)
    hidden = sealed(client)
    async with worker_of(hidden, queue):
        assert await hidden.get_workflow_handle_for(Kid.run, "k").result() == "open of a child"
