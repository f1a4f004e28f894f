"""Histories as events and JSON, replayed without a database, and lists in Temporal's filter."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from memflow.temporal import activity, workflow
from memflow.temporal.api.enums.v1 import EventType
from memflow.temporal.client import Client, RPCError, WorkflowExecutionStatus, WorkflowHistory
from memflow.temporal.client.visibility import compiled
from memflow.temporal.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from memflow.temporal.worker import Replayer, Worker
from memflow.temporal.workflow import NondeterminismError
from tests.polling import until

SOON = timedelta(seconds=20)


@activity.defn
async def say(text: str) -> str:
    return text.upper()


@workflow.defn(name="Story")
class Story:
    def __init__(self) -> None:
        self.parts: list[str] = []

    @workflow.run
    async def run(self, text: str) -> str:
        first = await workflow.execute_activity(say, text, start_to_close_timeout=SOON)
        await workflow.sleep(0.01)
        await workflow.wait_condition(lambda: bool(self.parts))
        if workflow.patched("louder"):
            first += "!"
        return first + self.parts[0]

    @workflow.signal
    def add(self, part: str) -> None:
        self.parts.append(part)


@workflow.defn(name="Story")
class ChangedStory:
    @workflow.run
    async def run(self, text: str) -> str:
        await workflow.sleep(1)
        return text

    @workflow.signal
    def add(self, part: str) -> None:
        pass


@workflow.defn(name="Other")
class Other:
    @workflow.run
    async def run(self) -> None:
        pass


async def told(client: Client, queue: str, id: str = "story") -> WorkflowHistory:
    async with Worker(client, task_queue=queue, workflows=[Story], activities=[say]):
        handle = await client.start_workflow(Story.run, "once", id=id, task_queue=queue)
        await handle.signal(Story.add, "?")
        assert await handle.result() == "ONCE!?"
        return await handle.fetch_history()


async def test_events_are_named_and_filled_as_temporals(client: Client, queue: str) -> None:
    history = await told(client, queue)
    kinds = [event.event_type for event in history.events]
    assert kinds[0] is EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
    assert kinds[-1] is EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED
    for kind in (
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
        EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
        EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED,
        EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
        EventType.EVENT_TYPE_TIMER_STARTED,
        EventType.EVENT_TYPE_TIMER_FIRED,
        EventType.EVENT_TYPE_MARKER_RECORDED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
    ):
        assert kind in kinds
    assert [event.event_id for event in history.events] == list(range(1, len(history.events) + 1))
    scheduled = next(event for event in history.events if event.HasField("activity_task_scheduled_event_attributes"))
    attributes = scheduled.activity_task_scheduled_event_attributes
    assert attributes.activity_type.name == "say"
    assert attributes.input.payloads[0].data == b'"once"'
    completed = next(event for event in history.events if event.event_type is EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    assert completed.activity_task_completed_event_attributes.scheduled_event_id == scheduled.event_id
    assert history.run_id == (await client.get_workflow_handle("story").describe()).run_id


async def test_a_history_replays_offline_also_from_json(client: Client, queue: str) -> None:
    history = await told(client, queue)
    again = WorkflowHistory.from_json("story", history.to_json())
    assert json.loads(again.to_json()) == json.loads(history.to_json())
    result = await Replayer(workflows=[Story]).replay_workflow(again)
    assert result.replay_failure is None
    with pytest.raises(NondeterminismError):
        await Replayer(workflows=[ChangedStory]).replay_workflow(again)
    quiet = await Replayer(workflows=[ChangedStory]).replay_workflow(again, raise_on_replay_failure=False)
    assert isinstance(quiet.replay_failure, NondeterminismError)
    unknown = await Replayer(workflows=[Other]).replay_workflow(again, raise_on_replay_failure=False)
    assert unknown.replay_failure is not None and "not registered" in str(unknown.replay_failure)


async def test_listed_histories_are_replayed_one_by_one(client: Client, queue: str) -> None:
    for number in range(3):
        await told(client, f"{queue}-{number}", f"story-{number}")
    histories = client.list_workflows("WorkflowType = 'Story'").map_histories()
    results = await Replayer(workflows=[Story]).replay_workflows(histories)
    assert results.replay_failures == {}
    histories = client.list_workflows("WorkflowType = 'Story'").map_histories()
    broken = await Replayer(workflows=[ChangedStory]).replay_workflows(histories, raise_on_replay_failure=False)
    assert len(broken.replay_failures) == 3


def _payloads(*values: Any) -> dict[str, Any]:
    def encoded(data: bytes) -> str:
        return base64.b64encode(data).decode()

    return {
        "payloads": [
            {"metadata": {"encoding": encoded(b"json/plain")}, "data": encoded(json.dumps(value).encode())}
            for value in values
        ]
    }


def _temporal_history(activity_name: str) -> dict[str, Any]:
    """A history in the shape that Temporal's own tools write."""

    def event(number: int, kind: str, **attributes: Any) -> dict[str, Any]:
        field = kind[0].lower() + kind[1:] + "EventAttributes"
        return {
            "eventId": str(number),
            "eventTime": f"2026-01-01T00:00:0{number % 10}.123456789Z",
            "eventType": kind,
            field: attributes,
        }

    return {
        "events": [
            event(
                1,
                "WorkflowExecutionStarted",
                workflowType={"name": "Short"},
                taskQueue={"name": "q"},
                input=_payloads("once"),
                originalExecutionRunId="3dd0c2f1-0000-4000-8000-000000000001",
                attempt=1,
            ),
            event(2, "WorkflowTaskScheduled"),
            event(3, "WorkflowTaskStarted", scheduledEventId="2"),
            event(4, "WorkflowTaskCompleted", scheduledEventId="2", startedEventId="3"),
            event(
                5, "ActivityTaskScheduled", activityId="1", activityType={"name": activity_name}, input=_payloads("once")
            ),
            event(6, "ActivityTaskStarted", scheduledEventId="5"),
            event(7, "ActivityTaskCompleted", scheduledEventId="5", startedEventId="6", result=_payloads("ONCE")),
            event(8, "WorkflowTaskScheduled"),
            event(9, "WorkflowTaskStarted", scheduledEventId="8"),
            event(10, "WorkflowTaskCompleted", scheduledEventId="8", startedEventId="9"),
            event(11, "WorkflowExecutionCompleted", result=_payloads("ONCE")),
        ]
    }


@workflow.defn
class Short:
    @workflow.run
    async def run(self, text: str) -> str:
        return await workflow.execute_activity(say, text, start_to_close_timeout=SOON)


async def test_temporals_own_json_of_a_simple_workflow_replays() -> None:
    history = WorkflowHistory.from_json("short", _temporal_history("say"))
    await Replayer(workflows=[Short]).replay_workflow(history)
    other = WorkflowHistory.from_json("short", _temporal_history("shout"))
    with pytest.raises(NondeterminismError):
        await Replayer(workflows=[Short]).replay_workflow(other)


CUSTOMER = SearchAttributeKey.for_keyword("Customer")
AMOUNT = SearchAttributeKey.for_int("Amount")


async def test_workflows_are_listed_and_counted_by_temporals_filter(client: Client, queue: str) -> None:
    for number in range(4):
        attributes = TypedSearchAttributes(
            [SearchAttributePair(CUSTOMER, f"c-{number % 2}"), SearchAttributePair(AMOUNT, number * 10)]
        )
        await client.start_workflow(
            Story.run, "x", id=f"listed-{number}", task_queue=queue, search_attributes=attributes, memo={"n": number}
        )
    await client.get_workflow_handle("listed-3").terminate()

    async def ids(query: str) -> list[str]:
        return sorted([each.id async for each in client.list_workflows(query)])

    assert await ids("WorkflowType = 'Story' AND ExecutionStatus = 'Running'") == ["listed-0", "listed-1", "listed-2"]
    assert await ids("ExecutionStatus IN ('Terminated', \"Failed\")") == ["listed-3"]
    assert await ids("Customer = 'c-1' AND Amount > 5") == ["listed-1", "listed-3"]
    assert await ids("Amount BETWEEN 10 AND 20 OR WorkflowId = 'listed-0'") == ["listed-0", "listed-1", "listed-2"]
    assert await ids("WorkflowId STARTS_WITH 'listed-' AND CloseTime IS NOT NULL") == ["listed-3"]
    assert await ids("NOT (Customer = 'c-0') AND StartTime > '2020-01-01T00:00:00Z'") == ["listed-1", "listed-3"]
    ordered = [each.id async for each in client.list_workflows("Customer IS NOT NULL ORDER BY WorkflowId DESC", limit=2)]
    assert ordered == ["listed-3", "listed-2"]
    assert (await client.count_workflows("TaskQueue = '" + queue + "'")).count == 4
    groups = (await client.count_workflows("GROUP BY ExecutionStatus")).groups
    assert {group.group_values[0]: group.count for group in groups} == {"Running": 3, "Terminated": 1}
    found = await client.get_workflow_handle("listed-2").describe()
    assert found.status is WorkflowExecutionStatus.RUNNING
    assert found.typed_search_attributes[AMOUNT] == 20
    assert found.search_attributes == {"Customer": ["c-0"], "Amount": [20]}
    assert await found.memo() == {"n": 2}
    assert await found.memo_value("n", type_hint=int) == 2
    assert await found.memo_value("m", "default") == "default"

    async def gone() -> bool:
        return not await ids("WorkflowId = 'nobody'")

    await until(gone)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("WorkflowTyp = 'x'", "did you mean WorkflowType"),
        ("ExecutionStatus = 'Rnning'", "no ExecutionStatus"),
        ("WorkflowType = ", "expected a value"),
        ("WorkflowType 'x'", "expected an operator"),
        ("(WorkflowType = 'x'", "expected ')'"),
        ("WorkflowType = 'x' ; drop table runs", "has no meaning here"),
    ],
)
def test_a_filter_that_cannot_be_read_says_why(query: str, said: str) -> None:
    with pytest.raises(RPCError, match="invalid query") as refused:
        compiled(query)
    assert said in str(refused.value)


def test_values_of_a_filter_cannot_leave_their_quotes() -> None:
    query = compiled("""Customer = 'a\\" or type = \\"b' AND WorkflowId = 'it''s'""")
    assert query.where.startswith("""((record."Customer" = "a\\" or type = \\"b" and id = "it's")) and not """)


@workflow.defn(name="Story")
class BrokenStory:
    @workflow.run
    async def run(self, text: str) -> str:
        raise ValueError("no words")


async def test_a_replay_that_fails_otherwise_is_told_from_one_that_parts(client: Client, queue: str) -> None:
    history = await told(client, queue)
    for kind, text in ((Other, "Workflow class Story is not registered on this worker"), (BrokenStory, "no words")):
        result = await Replayer(workflows=[kind]).replay_workflow(history, raise_on_replay_failure=False)
        assert type(result.replay_failure) is RuntimeError and text in str(result.replay_failure)
