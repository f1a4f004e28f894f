"""What a history shows of a run that no code has advanced yet, or whose code fails."""

from __future__ import annotations

from collections.abc import Sequence

from memflow.temporal import workflow
from memflow.temporal.api.enums.v1 import EventType as T
from memflow.temporal.api.enums.v1 import WorkflowTaskFailedCause
from memflow.temporal.api.history.v1 import HistoryEvent
from memflow.temporal.client import Client, WorkflowHandle
from memflow.temporal.worker import Worker
from memflow.temporal.worker.workflow_sandbox import SandboxedWorkflowRunner
from tests.polling import until

BROKEN = True


@workflow.defn(name="Greets")
class Greets:
    def __init__(self) -> None:
        self.name = ""

    @workflow.run
    async def run(self, greeting: str) -> str:
        await workflow.wait_condition(lambda: bool(self.name))
        if BROKEN:
            raise ValueError("no words for this")
        return f"{greeting}, {self.name}"

    @workflow.signal
    def call(self, name: str) -> None:
        self.name = name


@workflow.defn
class Another:
    @workflow.run
    async def run(self) -> None:
        pass


def kinds(events: Sequence[HistoryEvent]) -> list[T]:
    return [event.event_type for event in events]


async def failed_task(handle: WorkflowHandle[object, object]) -> HistoryEvent:
    found: list[HistoryEvent] = []

    async def shows() -> bool:
        events = (await handle.fetch_history()).events
        found[:] = [each for each in events if each.HasField("workflow_task_failed_event_attributes")]
        return bool(found)

    await until(shows)
    return found[-1]


async def test_a_run_that_nobody_took_has_begun_and_its_signals_show(client: Client, queue: str) -> None:
    handle = await client.start_workflow(Greets.run, "hello", id="untaken", task_queue=queue)
    events = (await handle.fetch_history()).events
    assert kinds(events) == [T.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED, T.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED]
    started = events[0].workflow_execution_started_event_attributes
    assert (started.workflow_type.name, started.input.payloads[0].data) == ("Greets", b'"hello"')

    await handle.signal(Greets.call, "you")
    events = (await handle.fetch_history()).events
    assert kinds(events) == [
        T.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
        T.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
        T.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
    ]
    assert events[1].workflow_execution_signaled_event_attributes.signal_name == "call"


async def test_a_failed_task_shows_with_its_error_until_the_code_goes_on(client: Client, queue: str) -> None:
    global BROKEN
    BROKEN = True
    handle = await client.start_workflow(Greets.run, "hello", id="broken", task_queue=queue)
    async with Worker(client, task_queue=queue, workflows=[Greets]):
        await handle.signal(Greets.call, "you")
        failed = (await failed_task(handle)).workflow_task_failed_event_attributes
        assert failed.failure.message == "no words for this"
        assert failed.failure.application_failure_info.type == "ValueError"
        assert failed.cause is WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE
        BROKEN = False
        assert await handle.result() == "hello, you"
    assert T.EVENT_TYPE_WORKFLOW_TASK_FAILED not in kinds((await handle.fetch_history()).events)


async def test_a_type_that_the_worker_lacks_fails_the_task_in_temporals_words(client: Client, queue: str) -> None:
    handle = await client.start_workflow("Missing", id="missing", task_queue=queue)
    async with Worker(client, task_queue=queue, workflows=[Another], workflow_runner=SandboxedWorkflowRunner()):
        failed = (await failed_task(handle)).workflow_task_failed_event_attributes
        assert failed.failure.message == (
            "Workflow class Missing is not registered on this worker, available workflows: Another"
        )
        await handle.terminate()
