"""Spans of a workflow, and that a replay makes none."""

from __future__ import annotations

from datetime import timedelta

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from memflow.temporal import activity, workflow
from memflow.temporal.client import Client
from memflow.temporal.contrib.opentelemetry import TracingInterceptor
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
