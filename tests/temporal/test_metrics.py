"""What programs measure, and what memflow counts for them, under Temporal's names."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from memflow.temporal import activity, workflow
from memflow.temporal.client import Client, WorkflowFailureError
from memflow.temporal.common import RetryPolicy
from memflow.temporal.exceptions import ApplicationError
from memflow.temporal.runtime import MetricBuffer, MetricBufferDurationFormat, Runtime, TelemetryConfig
from memflow.temporal.worker import Worker

SOON = timedelta(seconds=30)


@activity.defn
async def weigh(how: str) -> None:
    if how == "fail":
        raise ApplicationError("too heavy", non_retryable=True)


@workflow.defn
class Weighed:
    @workflow.run
    async def run(self, how: str) -> None:
        if how == "again":
            workflow.continue_as_new("well")
        if how == "wait":
            await asyncio.Future[None]()
        await workflow.execute_activity(
            weigh, how, start_to_close_timeout=SOON, retry_policy=RetryPolicy(maximum_attempts=1)
        )
        await asyncio.sleep(0.01)


def counts(buffer: MetricBuffer, about: Mapping[str, str]) -> dict[str, int | float]:
    found: dict[str, int | float] = {}
    for each in buffer.retrieve_updates():
        if "latency" in each.metric.name:
            assert each.value >= 0 and each.metric.unit == "ms"
            found[each.metric.name] = found.get(each.metric.name, 0) + 1
        else:
            found[each.metric.name] = found.get(each.metric.name, 0) + each.value
        assert {**each.attributes, **about} == each.attributes
    return found


@pytest.mark.parametrize("cached", [1000, 0])
async def test_ends_of_workflows_and_activities_are_counted_once(
    client: Client, queue: str, monkeypatch: pytest.MonkeyPatch, cached: int
) -> None:
    buffer = MetricBuffer(1000)
    runtime = Runtime(telemetry=TelemetryConfig(metrics=buffer, metric_prefix="own_", global_tags={"team": "scales"}))
    monkeypatch.setattr(client.service_client.config, "runtime", runtime)
    async with Worker(client, task_queue=queue, workflows=[Weighed], activities=[weigh], max_cached_workflows=cached):
        await client.execute_workflow(Weighed.run, "well", id="well", task_queue=queue)
        await client.execute_workflow(Weighed.run, "again", id="again", task_queue=queue)
        with pytest.raises(WorkflowFailureError):
            await client.execute_workflow(Weighed.run, "fail", id="fail", task_queue=queue)
        waiting = await client.start_workflow(Weighed.run, "wait", id="wait", task_queue=queue)
        await waiting.cancel()
        with pytest.raises(WorkflowFailureError):
            await waiting.result()
    assert counts(buffer, {"team": "scales", "task_queue": queue, "workflow_type": "Weighed"}) == {
        "own_workflow_completed": 2,
        "own_workflow_continue_as_new": 1,
        "own_workflow_failed": 1,
        "own_workflow_canceled": 1,
        "own_workflow_endtoend_latency": 5,
        "own_activity_execution_latency": 3,
        "own_activity_execution_failed": 1,
        "own_activity_succeed_endtoend_latency": 2,
    }


def test_a_metric_and_its_attributes_stay_the_same_objects() -> None:
    buffer = MetricBuffer(10)
    counter = Runtime(telemetry=TelemetryConfig(metrics=buffer)).metric_meter.create_counter("seen", "what was seen", "pieces")
    named = counter.with_additional_attributes({"kind": "bird", "wings": 2, "sings": True})
    counter.add(1)
    named.add(2)
    first = buffer.retrieve_updates()
    counter.add(3)
    named.add(4)
    second = buffer.retrieve_updates()
    assert [each.value for each in [*first, *second]] == [1, 2, 3, 4]
    assert len({id(each.metric) for each in [*first, *second]}) == 1
    assert [id(each.attributes) for each in first] == [id(each.attributes) for each in second]
    assert first[1].attributes == {"service_name": "temporal-core-sdk", "kind": "bird", "wings": 2, "sings": True}


@pytest.mark.parametrize("value", [None, [1], b"x"])
def test_attributes_are_text_numbers_or_truth_values(value: Any) -> None:
    buffer = MetricBuffer(10)
    meter = Runtime(telemetry=TelemetryConfig(metrics=buffer)).metric_meter
    with pytest.raises(TypeError, match="Invalid value type for key a"):
        meter.with_additional_attributes({"a": value})
    with pytest.raises(TypeError, match="Invalid value type for key a"):
        meter.create_counter("c").add(1, {"a": value})
    assert not buffer.retrieve_updates()


@pytest.mark.parametrize(
    ("how", "unit", "value"),
    [(MetricBufferDurationFormat.MILLISECONDS, "ms", 1500), (MetricBufferDurationFormat.SECONDS, "s", 1.5)],
)
def test_durations_are_told_as_the_buffer_wants_them(how: MetricBufferDurationFormat, unit: str, value: float) -> None:
    buffer = MetricBuffer(10, duration_format=how)
    runtime = Runtime(telemetry=TelemetryConfig(metrics=buffer, attach_service_name=False))
    runtime.metric_meter.create_histogram_timedelta("took").record(timedelta(seconds=1.5))
    [told] = buffer.retrieve_updates()
    assert (told.metric.unit, told.value, type(told.value), told.attributes) == (unit, value, type(value), {})
