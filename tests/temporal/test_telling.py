"""Signals and cancellations between workflows: who sends hears whether there was anybody; and what children are given."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from memflow.core.arrivals import RunStarted, SignalReceived, Turn
from memflow.core.definition import RunInfo
from memflow.core.entries import JournalEntry
from memflow.core.interrupts import Complete, SendSignal
from memflow.core.journal import rebuild
from memflow.payload import Payload
from memflow.temporal import workflow
from memflow.temporal.client import Client, WorkflowFailureError
from memflow.temporal.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from memflow.temporal.converter import DataConverter
from memflow.temporal.exceptions import ApplicationError, CancelledError, ChildWorkflowError, RetryState
from memflow.temporal.metrics import MetricMeter
from memflow.temporal.stored import ConvertingCodec
from memflow.temporal.worker import UnsandboxedWorkflowRunner, Worker
from memflow.temporal.worker.turning import settings_of, workflow_definitions

COLOUR = SearchAttributeKey.for_keyword("Colour")


@workflow.defn
class Listener:
    def __init__(self) -> None:
        self.heard: list[int] = []

    @workflow.run
    async def run(self) -> list[int]:
        await workflow.wait_condition(lambda: bool(self.heard))
        return self.heard

    @workflow.signal
    def hear(self, number: int) -> None:
        self.heard.append(number)


@workflow.defn
class Speaker:
    @workflow.run
    async def run(self, how: str, to: str) -> list[str]:
        other = workflow.get_external_workflow_handle_for(Listener.run, to)
        try:
            if how == "signal":
                await other.signal(Listener.hear, 1)
            else:
                await other.cancel()
        except ApplicationError as error:
            return [str(error.type), error.message]
        return []


async def test_a_workflow_hears_whether_the_one_it_speaks_to_is_there(client: Client, queue: str) -> None:
    # Nothing is kept in memory, so that each answer is also read from the journal.
    async with Worker(client, task_queue=queue, workflows=[Listener, Speaker], max_cached_workflows=0):

        async def said(how: str, to: str, name: str) -> Any:
            return await client.execute_workflow(Speaker.run, args=[how, to], id=name, task_queue=queue)

        not_found = "ExternalWorkflowExecutionNotFound"
        assert await said("signal", "nobody", "a") == [
            not_found, "Unable to signal external workflow because it was not found",
        ]
        assert await said("cancel", "nobody", "b") == [not_found, "Unable to cancel external workflow because not found"]
        listener = await client.start_workflow(Listener.run, id="listener", task_queue=queue)
        assert await said("signal", "listener", "c") == []
        assert await listener.result() == [1]
        assert (await said("signal", "listener", "d"))[0] == not_found, "it has ended"
        assert await said("cancel", "listener", "e") == [], "one that has ended takes no notice"
        again = await client.start_workflow(Listener.run, id="listener", task_queue=queue)
        assert await said("cancel", "listener", "f") == []
        try:
            await again.result()
        except WorkflowFailureError as failed:
            assert isinstance(failed.cause, CancelledError)
        else:
            raise AssertionError("it was cancelled")


@workflow.defn
class Given:
    @workflow.run
    async def run(self) -> list[Any]:
        return [dict(workflow.memo()), dict(workflow.info().search_attributes)]


@workflow.defn
class Giving:
    @workflow.run
    async def run(self) -> list[Any]:
        attributes = TypedSearchAttributes([SearchAttributePair(COLOUR, "red")])
        memo: Mapping[str, Any] = {"by": {"name": "bob"}}
        return [
            await workflow.execute_child_workflow(Given.run, id="given", memo=memo, search_attributes=attributes),
            await workflow.execute_child_workflow(Given.run),
        ]


async def test_a_child_begins_with_the_memo_and_the_search_attributes_it_is_given(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Giving, Given]):
        given, plain = await client.execute_workflow(Giving.run, id="giving", task_queue=queue)
    assert given == [{"by": {"name": "bob"}}, {"Colour": ["red"]}]
    assert plain == [{}, {}]
    assert [each.id async for each in client.list_workflows("Colour = 'red'")] == ["given"]
    described = await client.get_workflow_handle("given").describe()
    assert await described.memo() == {"by": {"name": "bob"}}


@workflow.defn
class Stubborn:
    @workflow.run
    async def run(self, swallows: bool) -> str:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if swallows:
                return "swallowed"
            raise
        return "slept"


@workflow.defn
class Cancelling:
    @workflow.run
    async def run(self, kind: str, swallows: bool) -> list[str]:
        child = await workflow.start_child_workflow(
            Stubborn.run, swallows, cancellation_type=workflow.ChildWorkflowCancellationType[kind]
        )
        try:
            return [await asyncio.wait_for(child, 0.2)]
        except ChildWorkflowError as error:
            assert error.retry_state is RetryState.NON_RETRYABLE_FAILURE
            assert error.namespace == workflow.info().namespace
            return [error.message, type(error.cause).__name__]


@workflow.defn
class Waiting:
    @workflow.run
    async def run(self) -> None:
        kind = workflow.ChildWorkflowCancellationType.TRY_CANCEL
        await workflow.execute_child_workflow(Stubborn.run, False, cancellation_type=kind, id="waited")


async def test_what_cancelling_a_child_yields_is_told_by_its_cancellation_type(client: Client, queue: str) -> None:
    cancelled = ["Child Workflow execution cancelled", "CancelledError"]
    async with Worker(client, task_queue=queue, workflows=[Cancelling, Stubborn, Waiting]):
        for kind, swallows, expected in [
            ("TRY_CANCEL", True, cancelled),
            ("ABANDON", False, cancelled),
            ("WAIT_CANCELLATION_COMPLETED", False, cancelled),
            ("WAIT_CANCELLATION_COMPLETED", True, ["swallowed"]),
            ("WAIT_CANCELLATION_REQUESTED", True, ["swallowed"]),
        ]:
            found = await client.execute_workflow(
                Cancelling.run, args=[kind, swallows], id=f"{kind}-{swallows}", task_queue=queue
            )
            assert found == expected, (kind, swallows)
        handle = await client.start_workflow(Waiting.run, id="waiting", task_queue=queue)
        await handle.cancel()
        try:
            await handle.result()
        except WorkflowFailureError as failed:
            assert isinstance(failed.cause, CancelledError), "cancelled, not failed by its child"
        else:
            raise AssertionError("it was cancelled")


@workflow.defn
class Impatient:
    @workflow.run
    async def run(self) -> str:
        try:
            await workflow.execute_child_workflow("unknown to anybody", execution_timeout=timedelta(milliseconds=300))
        except ChildWorkflowError as error:
            return f"{error.message} {type(error.cause).__name__} {error.retry_state.name if error.retry_state else ''}"
        return "it ran"


async def test_a_workflow_that_no_worker_knows_ends_when_its_time_is_up(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Impatient]):
        found = await client.execute_workflow(Impatient.run, id="impatient", task_queue=queue)
    assert found == "Child Workflow execution timed out TimeoutError TIMEOUT"


@workflow.defn
class Asking:
    @workflow.run
    async def run(self, to: str) -> str:
        await workflow.get_external_workflow_handle(to).signal("hear", 1)
        await workflow.wait_condition(lambda: self.answered)
        return "answered"

    answered = False

    @workflow.signal
    def answer(self) -> None:
        self.answered = True


async def test_a_reset_run_does_not_wait_for_what_the_one_before_was_told(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Asking, Listener]):
        await client.start_workflow(Listener.run, id="hears", task_queue=queue)
        asking = await client.start_workflow(Asking.run, "hears", id="asks", task_queue=queue)
        assert await client.get_workflow_handle("hears").result() == [1]
        beneath: Any = (await client.engine()).get_handle(asking.id)
        await beneath.reset(to="first", reason="once more")  # its signal has been asked for, and not yet answered
        handle = client.get_workflow_handle("asks")
        await handle.signal("answer")
        assert await handle.result() == "answered"


def test_a_journal_of_before_senders_were_told_goes_on() -> None:
    known = settings_of(
        [],
        [],
        disable_eager_activity_execution=False,
        meter=MetricMeter.noop,
        build_id="",
        runner=UnsandboxedWorkflowRunner(),
        unsandboxed_runner=UnsandboxedWorkflowRunner(),
    )
    definition = workflow_definitions([Asking], known)["Asking"]
    codec = ConvertingCodec(DataConverter())
    at = datetime(2026, 1, 1, tzinfo=UTC)
    info = RunInfo("default", "asks", "run-1", "Asking", "queue", at)
    journal = [
        JournalEntry(1, 1, at, RunStarted(codec.write_arguments(["hears"]))),
        JournalEntry(2, 1, at, SendSignal(1, "hear", Payload(b"1"), "hears")),
        JournalEntry(3, 2, at, SignalReceived("other", Payload(b"null"))),
    ]
    replay = rebuild(definition, info, codec, journal)
    asked = replay.advance(Turn(at, [SignalReceived("answer", Payload(b"null"))]))
    assert asked == [Complete(codec.encode("answered"))]
