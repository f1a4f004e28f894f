"""Spans of a workflow, and that a replay makes none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from memflow.temporal import activity, workflow
from memflow.temporal.client import Client, WithStartWorkflowOperation
from memflow.temporal.common import RetryPolicy, WorkflowIDConflictPolicy
from memflow.temporal.contrib.opentelemetry import TracingInterceptor
from memflow.temporal.contrib.opentelemetry.workflow import completed_span
from memflow.temporal.exceptions import ApplicationError, ApplicationErrorCategory
from memflow.temporal.worker import Worker


@activity.defn
async def step() -> None:
    pass


@workflow.defn
class Traced:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(step, start_to_close_timeout=timedelta(seconds=20))
        await workflow.sleep(0.01)
        await workflow.execute_activity(step, start_to_close_timeout=timedelta(seconds=20))

    @workflow.query
    def there(self) -> bool:
        return True


async def test_spans_hang_together_and_are_made_once(client: Client, queue: str) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    config = client.config()
    config["interceptors"] = [TracingInterceptor(provider.get_tracer("test"))]
    traced = Client(**config)
    async with Worker(traced, task_queue=queue, workflows=[Traced], activities=[step], max_cached_workflows=0):
        await traced.execute_workflow(Traced.run, id="traced", task_queue=queue)
    async with Worker(traced, task_queue=queue, workflows=[Traced], activities=[step]):
        assert await traced.get_workflow_handle("traced").query(Traced.there)  # rebuilt from the journal
    spans = exporter.get_finished_spans()
    names = sorted(span.name for span in spans)
    assert names == [
        "CompleteWorkflow:Traced",
        "HandleQuery:there",
        "QueryWorkflow:there",
        "RunActivity:step",
        "RunActivity:step",
        "RunWorkflow:Traced",
        "StartActivity:step",
        "StartActivity:step",
        "StartWorkflow:Traced",
    ]
    started = next(span for span in spans if span.name == "StartWorkflow:Traced")
    run = next(span for span in spans if span.name == "RunWorkflow:Traced")
    assert run.parent is not None and started.context is not None and run.parent.span_id == started.context.span_id
    assert len({span.context.trace_id for span in spans if span.context and "Query" not in span.name}) == 1


FAILED_ONCE: list[bool] = []


@activity.defn
async def fails_once() -> None:
    if not FAILED_ONCE:
        FAILED_ONCE.append(True)
        raise ApplicationError("all is well", category=ApplicationErrorCategory.BENIGN)


@workflow.defn
class Told:
    def __init__(self) -> None:
        self.calls = 0

    @workflow.run
    async def run(self, again: bool) -> None:
        completed_span("mine", attributes={"again": again})
        if again:
            await workflow.wait_condition(lambda: self.calls == 2)
            retry = RetryPolicy(initial_interval=timedelta(milliseconds=1))
            await workflow.execute_activity(fails_once, start_to_close_timeout=timedelta(seconds=20), retry_policy=retry)
            workflow.continue_as_new(False)

    @workflow.signal
    def call(self) -> None:
        self.calls += 1

    @workflow.update
    def ask(self) -> None:
        self.calls += 1


def tree(spans: Sequence[ReadableSpan], parent: int | None = None, depth: int = 0) -> list[str]:
    """Names under their parents, with the names of those that are linked."""
    by_id = {span.context.span_id: span.name for span in spans if span.context}
    lines: list[str] = []
    for span in spans:
        if (None if span.parent is None else span.parent.span_id) == parent and span.context:
            linked = [by_id[each.context.span_id] for each in span.links]
            lines.append("  " * depth + " <- ".join([span.name, *linked]))
            lines += tree(spans, span.context.span_id, depth + 1)
    return lines


async def test_messages_are_linked_and_the_next_run_goes_on_in_the_same_trace(client: Client, queue: str) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    config = client.config()
    config["interceptors"] = [TracingInterceptor(provider.get_tracer("test"))]
    traced = Client(**config)
    async with Worker(traced, task_queue=queue, workflows=[Told], activities=[fails_once]):
        handle = await traced.start_workflow(Told.run, True, id="told", task_queue=queue)
        await handle.execute_update(Told.ask)
        await handle.signal(Told.call)
        await handle.result()
        begun = WithStartWorkflowOperation(
            Told.run, True, id="both", task_queue=queue, id_conflict_policy=WorkflowIDConflictPolicy.FAIL
        )
        await traced.execute_update_with_start_workflow(Told.ask, start_workflow_operation=begun)
    spans = exporter.get_finished_spans()
    assert sorted(tree(spans)) == sorted(
        [
            "StartWorkflow:Told",
            "  RunWorkflow:Told",
            "  mine",
            "  HandleUpdate:ask <- StartWorkflowUpdate:ask",
            "  HandleSignal:call <- SignalWorkflow:call",
            "  StartActivity:fails_once",
            "    RunActivity:fails_once",
            "    RunActivity:fails_once",
            "  RunWorkflow:Told",
            "  mine",
            "  CompleteWorkflow:Told",
            "StartWorkflowUpdate:ask",
            "SignalWorkflow:call",
            "StartUpdateWithStartWorkflow:Told",
            "  HandleUpdate:ask <- StartUpdateWithStartWorkflow:Told",
            "  RunWorkflow:Told",
            "  mine",
        ]
    )
    assert all(span.status.status_code is StatusCode.UNSET for span in spans), "a benign failure is no error"
    assert {span.attributes["again"] for span in spans if span.name == "mine" and span.attributes} == {True, False}
