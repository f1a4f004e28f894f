"""What histories and `info()` tell in Temporal's events, and how their times are read."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

from memflow.temporal import activity, workflow
from memflow.temporal.api.enums.v1 import EventType as T
from memflow.temporal.api.sdk.v1 import EnhancedStackTrace, WorkflowMetadata
from memflow.temporal.api.times import Timestamp
from memflow.temporal.client import Client, WorkflowHistory
from memflow.temporal.common import RetryPolicy, SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from memflow.temporal.testing import WorkflowEnvironment
from memflow.temporal.worker import Replayer, Worker

SOON = timedelta(seconds=10)
DUE = SearchAttributeKey.for_datetime("Due")
COST = SearchAttributeKey.for_float("Cost")
TITLE = SearchAttributeKey.for_text("Title")
NOON_IN_TOKYO = datetime.fromisoformat("2026-05-01T12:00:00+09:00")


@activity.defn
async def greet(name: str) -> str:
    return f"hello {name}"


@workflow.defn
class Growing:
    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.signal
    def grow(self, timers: int) -> None:
        self.timers = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(timers)]

    @workflow.signal
    async def ask(self) -> None:
        await workflow.execute_activity(greet, "you", start_to_close_timeout=SOON)
        self.asked = workflow.info().get_current_history_length()

    @workflow.query
    def length(self) -> tuple[int, bool]:
        return workflow.info().get_current_history_length(), workflow.info().is_continue_as_new_suggested()

    @workflow.query
    def when_asked(self) -> int:
        return getattr(self, "asked", 0)


async def test_a_history_grows_by_an_event_for_each_thing_that_is_asked() -> None:
    arguments = ["--dynamic-config-value=limit.historyCount.suggestContinueAsNew=40"]
    async with (
        await WorkflowEnvironment.start_local(dev_server_extra_args=arguments) as env,
        Worker(env.client, task_queue="growing", workflows=[Growing], activities=[greet]),
    ):
        handle = await env.client.start_workflow(Growing.run, id="grows", task_queue="growing")
        assert await handle.query(Growing.length) == (3, False)          # begun, a task scheduled and started
        await handle.signal(Growing.grow, 30)
        # The first task completed, a signal, a task scheduled and started; and what that asked for.
        assert await handle.query(Growing.length) == (3 + 1 + 1 + 2 + 30, False)
        await handle.signal(Growing.grow, 10)
        assert (await handle.query(Growing.length))[1]


async def test_an_activity_makes_three_events(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Growing], activities=[greet]):
        handle = await client.start_workflow(Growing.run, id="asks", task_queue=queue)
        assert (await handle.query(Growing.length))[0] == 3
        await handle.signal(Growing.ask)
        while not await handle.query(Growing.when_asked):
            await asyncio.sleep(0.01)
        # 4 completed, 5 signal, 6 and 7 a task, 8 completed, 9 to 11 the activity, 12 and 13 a task.
        assert await handle.query(Growing.when_asked) == 13
        kinds = [each.event_type for each in (await handle.fetch_history()).events]
        assert kinds[8:11] == [
            T.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
            T.EVENT_TYPE_ACTIVITY_TASK_STARTED,
            T.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
        ]


@workflow.defn
class Counting:
    def __init__(self) -> None:
        self.lengths: list[int] = []

    @workflow.run
    async def run(self) -> list[int]:
        self.note()
        await workflow.execute_local_activity(greet, "you", start_to_close_timeout=SOON)
        self.note()
        await asyncio.sleep(0.01)
        self.note()
        await workflow.wait_condition(lambda: len(self.lengths) == 4)
        await asyncio.sleep(0.01)
        self.note()
        return self.lengths

    def note(self) -> None:
        self.lengths.append(workflow.info().get_current_history_length())

    @workflow.update
    def once(self) -> None:
        self.note()


async def test_local_activities_and_updates_count_as_events_do(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Counting], activities=[greet], max_cached_workflows=0):
        handle = await client.start_workflow(Counting.run, id="counts", task_queue=queue)
        while T.EVENT_TYPE_TIMER_FIRED not in [each.event_type for each in (await handle.fetch_history()).events]:
            await asyncio.sleep(0.01)
        await handle.execute_update(Counting.once)
        # A task of 3; the marker, and a timer of 2; a task; a task with an update of 2, and a timer of 2; a task.
        assert await handle.result() == [3, 3, 3 + 1 + 1 + 2 + 2, 9 + 1 + 2, 12 + 1 + 2 + 2 + 2]
    kinds = [each.event_type for each in (await handle.fetch_history()).events]
    assert len(kinds) == 19 + 2
    accepted = kinds.index(T.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED)
    assert kinds[accepted - 1 : accepted + 2] == [
        T.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
        T.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
        T.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED,
    ]


@workflow.defn
class Wavering:
    @workflow.run
    async def run(self) -> float:
        unwanted = workflow.start_activity(greet, "nobody", start_to_close_timeout=SOON)
        unwanted.cancel()
        asyncio.get_running_loop().call_later(3600, print).cancel()
        local = await workflow.execute_local_activity(greet, "you", start_to_close_timeout=SOON)
        assert local == "hello you"
        await asyncio.sleep(0.01)
        return workflow.time()


async def test_what_was_taken_back_at_once_is_no_event_and_a_local_activity_is_a_marker(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Wavering], activities=[greet]):
        handle = await client.start_workflow(Wavering.run, id="wavers", task_queue=queue)
        told = await handle.result()
    history = await handle.fetch_history()
    kinds = Counter(each.event_type for each in history.events)
    assert kinds[T.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED] == 0
    assert (kinds[T.EVENT_TYPE_TIMER_STARTED], kinds[T.EVENT_TYPE_MARKER_RECORDED]) == (1, 1)
    marker = next(each for each in history.events if each.event_type is T.EVENT_TYPE_MARKER_RECORDED)
    assert marker.marker_recorded_event_attributes.marker_name == "core_local_activity"
    timer = next(each for each in history.events if each.event_type is T.EVENT_TYPE_TIMER_STARTED)
    assert timer.timer_started_event_attributes.start_to_fire_timeout.ToMilliseconds() == 10
    last = [each for each in history.events if each.event_type is T.EVENT_TYPE_WORKFLOW_TASK_STARTED][-1]
    assert told == last.event_time.ToNanoseconds() / 1e9
    result = await Replayer(workflows=[Wavering]).replay_workflow(history)   # its entries are all there
    assert result.replay_failure is None


def test_instants_are_read_as_those_of_protobuf() -> None:
    at = Timestamp.of(datetime(2026, 5, 1, 12, 30, 0, 250_000, UTC))
    assert at.ToDatetime() == datetime(2026, 5, 1, 12, 30, 0, 250_000)
    assert at.ToDatetime(tzinfo=UTC) == at == NOON_IN_TOKYO.astimezone(UTC) + timedelta(hours=9, minutes=30, milliseconds=250)
    assert at.ToNanoseconds() == at.seconds * 10**9 + at.nanos == at.ToMilliseconds() * 10**6
    assert at.ToJsonString() == "2026-05-01T12:30:00.250000Z"


async def test_the_first_event_says_with_which_options_a_workflow_was_started(client: Client, queue: str) -> None:
    delay = timedelta(hours=1, seconds=30)
    handle = await client.start_workflow(
        Growing.run,
        id="later",
        task_queue=queue,
        start_delay=delay,
        run_timeout=timedelta(days=2),
        retry_policy=RetryPolicy(maximum_attempts=3),
        memo={"why": "because"},
    )
    first = (await handle.fetch_history()).events[0].workflow_execution_started_event_attributes
    assert first.first_workflow_task_backoff.ToTimedelta() == delay
    assert first.workflow_run_timeout == timedelta(days=2)
    assert first.workflow_execution_timeout.ToSeconds() == 0             # not said
    assert first.retry_policy.maximum_attempts == 3
    assert first.retry_policy.maximum_interval.ToTimedelta() == timedelta(seconds=100)
    assert first.memo.fields["why"].data == b'"because"'


@workflow.defn
class Remembering:
    @workflow.run
    async def run(self) -> str:
        if workflow.memo_value("step") == 1:
            workflow.upsert_memo({"step": 2})
            await asyncio.sleep(0.01)
        return str(workflow.memo_value("step"))


async def test_a_history_is_replayed_with_the_memo_that_its_workflow_began_with(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Remembering]):
        handle = await client.start_workflow(Remembering.run, id="remembers", task_queue=queue, memo={"step": 1})
        assert await handle.result() == "2"
    history = await handle.fetch_history()
    read = WorkflowHistory.from_json(handle.id, history.to_json())
    for each in (history, read):
        assert (await Replayer(workflows=[Remembering]).replay_workflow(each)).replay_failure is None


async def test_a_start_is_eager_where_a_worker_of_the_same_client_takes_it(client: Client, queue: str) -> None:
    name = "__temporal_eagerly_started"
    async with Worker(client, task_queue=queue, workflows=[Growing]):
        eager = await client.start_workflow(Growing.run, id="eager", task_queue=queue, request_eager_start=True)
        patient = await client.start_workflow(Growing.run, id="patient", task_queue=queue)
        later = await client.start_workflow(
            Growing.run, id="much-later", task_queue=queue, request_eager_start=True, start_delay=timedelta(hours=1)
        )
        elsewhere = await client.start_workflow(Growing.run, id="elsewhere", task_queue="no-worker", request_eager_start=True)
        assert [getattr(each, name) for each in (eager, patient, later, elsewhere)] == [True, False, False, False]
    after = await client.start_workflow(Growing.run, id="after", task_queue=queue, request_eager_start=True)
    assert not getattr(after, name)


# ------------------------------------------------------------------------------------------------- queries and attributes


async def test_built_in_queries_answer_with_messages(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Growing]):
        handle = await client.start_workflow(Growing.run, id="traced", task_queue=queue)
        trace = await handle.query("__enhanced_stack_trace")
        assert isinstance(trace, EnhancedStackTrace)
        assert "run" in [each.function_name for stack in trace.stacks for each in stack.locations]
        assert "class Growing" in trace.sources[__file__].content
        metadata = await handle.query("__temporal_workflow_metadata")
        assert isinstance(metadata, WorkflowMetadata)
        assert "grow" in [each.name for each in metadata.definition.signal_definitions]


@workflow.defn
class Attributed:
    @workflow.run
    async def run(self) -> list[object]:
        workflow.upsert_search_attributes([DUE.value_set(NOON_IN_TOKYO), COST.value_unset()])
        workflow.upsert_search_attributes({"Title": ["another"]})
        info = workflow.info()
        return [
            info.search_attributes["Due"] == [NOON_IN_TOKYO],
            info.search_attributes["Cost"],
            str(info.typed_search_attributes[DUE]),
            info.typed_search_attributes[TITLE],
        ]


async def test_a_workflow_reads_attributes_as_it_wrote_them(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Attributed]):
        handle = await client.start_workflow(
            Attributed.run,
            id="attributed",
            task_queue=queue,
            search_attributes=TypedSearchAttributes([SearchAttributePair(COST, 1.5), SearchAttributePair(TITLE, "some words")]),
        )
        assert await handle.result() == [True, [], "2026-05-01 12:00:00+09:00", "another"]
        described = (await handle.describe()).typed_search_attributes
        assert described[TITLE] == "another" and COST not in described
