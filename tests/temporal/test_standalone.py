"""Activities that a client starts without a workflow: their options, interceptors, descriptions and lists."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from memflow.temporal import activity
from memflow.temporal.client import (
    ActivityExecutionAsyncIterator,
    ActivityExecutionCount,
    ActivityExecutionDescription,
    ActivityExecutionStatus,
    ActivityFailureError,
    ActivityHandle,
    CancelActivityInput,
    Client,
    CountActivitiesInput,
    DescribeActivityInput,
    Interceptor,
    ListActivitiesInput,
    OutboundInterceptor,
    PauseActivityInput,
    RPCError,
    RPCStatusCode,
    StartActivityInput,
    TerminateActivityInput,
    UnpauseActivityInput,
)
from memflow.temporal.common import (
    ActivityIDReusePolicy,
    RetryPolicy,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
)
from memflow.temporal.converter import DataConverter
from memflow.temporal.exceptions import ActivityAlreadyStartedError, ApplicationError, CancelledError
from memflow.temporal.worker import ActivityInboundInterceptor, ExecuteActivityInput, Worker
from memflow.temporal.worker import Interceptor as WorkerInterceptor
from tests.polling import until

SOON = timedelta(seconds=20)
OWNER = SearchAttributeKey.for_keyword("Owner")


@activity.defn
async def greet(name: str) -> str:
    return f"hello {name}"


@activity.defn
async def refuse() -> None:
    raise ApplicationError("no", 1, type="Mine", non_retryable=True)


@activity.defn
async def wait(name: str) -> None:
    activity.heartbeat("begun", name)
    while True:
        activity.heartbeat("begun", name)
        await asyncio.sleep(0.02)


class Watching(Interceptor, WorkerInterceptor):
    """Notes what passes by, and sends a header along."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.headers: dict[str, Any] = {}

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        return _Outbound(next, self)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Inbound(next, self)


class _Inbound(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, watching: Watching) -> None:
        super().__init__(next)
        self._watching = watching

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        self._watching.headers.update(input.headers)
        return await super().execute_activity(input)


class _Outbound(OutboundInterceptor):
    def __init__(self, next: OutboundInterceptor, watching: Watching) -> None:
        super().__init__(next)
        self._watching = watching

    async def start_activity(self, input: StartActivityInput) -> ActivityHandle[Any]:
        self._watching.seen.append(f"start {input.activity_type} {list(input.args)}")
        payloads = DataConverter.default.payload_converter.to_payloads(["abc"])
        input.headers = {**input.headers, "trace": payloads[0]}
        return await super().start_activity(input)

    async def cancel_activity(self, input: CancelActivityInput) -> None:
        self._watching.seen.append(f"cancel {input.activity_id}")
        await super().cancel_activity(input)

    async def terminate_activity(self, input: TerminateActivityInput) -> None:
        self._watching.seen.append(f"terminate {input.reason}")
        await super().terminate_activity(input)

    async def describe_activity(self, input: DescribeActivityInput) -> ActivityExecutionDescription:
        self._watching.seen.append("describe")
        return await super().describe_activity(input)

    async def pause_activity(self, input: PauseActivityInput) -> None:
        self._watching.seen.append("pause")
        await super().pause_activity(input)

    async def unpause_activity(self, input: UnpauseActivityInput) -> None:
        self._watching.seen.append("unpause")
        await super().unpause_activity(input)

    def list_activities(self, input: ListActivitiesInput) -> ActivityExecutionAsyncIterator:
        self._watching.seen.append(f"list {input.query}")
        return super().list_activities(input)

    async def count_activities(self, input: CountActivitiesInput) -> ActivityExecutionCount:
        self._watching.seen.append("count")
        return await super().count_activities(input)


@pytest.fixture
async def served(client: Client, queue: str) -> AsyncIterator[Client]:
    async with Worker(client, task_queue=queue, activities=[greet, refuse, wait]):
        yield client


async def test_interceptors_see_standalone_activities_and_headers_travel_to_them(client: Client, queue: str) -> None:
    watching = Watching()
    config: Any = {**client.config(), "interceptors": [watching]}
    watched = Client(**config)
    async with Worker(watched, task_queue=queue, activities=[greet, wait]):
        assert await watched.execute_activity(greet, "ann", id="a", task_queue=queue, start_to_close_timeout=SOON) == "hello ann"
        assert watched.data_converter.payload_converter.from_payloads([watching.headers["trace"]], [str]) == ["abc"]
        handle = await watched.start_activity(wait, "x", id="w", task_queue=queue, start_to_close_timeout=SOON)
        await handle.describe()
        await handle.pause()
        await handle.unpause()
        await handle.cancel(reason="enough")
        with pytest.raises(ActivityFailureError):
            await handle.result()
        assert (await watched.count_activities()).count == 2
        assert [each.activity_id async for each in watched.list_activities("ActivityId = 'w'")] == ["w"]
    assert watching.seen == [
        "start greet ['ann']", "start wait ['x']", "describe", "pause", "unpause", "cancel w", "count", "list ActivityId = 'w'",
    ]  # fmt: skip


async def test_an_activity_is_described_with_what_is_asked_for(served: Client, queue: str) -> None:
    handle = await served.start_activity(
        wait,
        "x",
        id="w",
        task_queue=queue,
        start_to_close_timeout=SOON,
        heartbeat_timeout=SOON,
        retry_policy=RetryPolicy(maximum_attempts=3),
        search_attributes=TypedSearchAttributes([SearchAttributePair(OWNER, "ann")]),
    )

    async def beaten() -> bool:
        return (await handle.describe(include_heartbeat_details=True)).has_heartbeat_details()

    await until(beaten)
    found = await handle.describe(include_input=True, include_heartbeat_details=True, include_outcome=True)
    assert (found.activity_id, found.activity_type, found.task_queue) == ("w", "wait", queue)
    assert found.status is ActivityExecutionStatus.RUNNING and found.close_time is None and found.attempt == 1
    assert (found.start_to_close_timeout, found.heartbeat_timeout) == (SOON, SOON)
    assert found.retry_policy is not None and found.retry_policy.maximum_attempts == 3
    assert found.typed_search_attributes[OWNER] == "ann"
    assert await found.input([str]) == ["x"] and await found.heartbeat_details() == ["begun", "x"]
    assert not found.has_result() and await found.result() is None and await found.outcome_failure() is None
    bare = await handle.describe()
    assert await bare.input() is None and await bare.heartbeat_details() is None

    await handle.cancel()
    with pytest.raises(ActivityFailureError) as ended:
        await handle.result()
    assert isinstance(ended.value.cause, CancelledError)
    assert (await handle.describe()).status is ActivityExecutionStatus.CANCELED
    with pytest.raises(RPCError) as closed:
        await handle.cancel()
    assert closed.value.status is RPCStatusCode.FAILED_PRECONDITION

    done = await served.start_activity(greet, "ann", id="g", task_queue=queue, start_to_close_timeout=SOON)
    await done.result()
    assert await (await done.describe(include_outcome=True)).result(str) == "hello ann"
    bad = await served.start_activity(refuse, id="r", task_queue=queue, start_to_close_timeout=SOON)
    with pytest.raises(ActivityFailureError) as failed:
        await bad.result()
    why = await (await bad.describe(include_outcome=True)).outcome_failure()
    for error in (failed.value.cause, why):
        assert isinstance(error, ApplicationError) and (error.type, list(error.details)) == ("Mine", [1])


async def test_lists_of_activities_and_of_workflows_are_apart(served: Client, queue: str) -> None:
    for name in ("a", "b"):
        await served.execute_activity(greet, name, id=name, task_queue=queue, start_to_close_timeout=SOON)
    waiting = await served.start_activity(wait, "x", id="w", task_queue=queue, start_to_close_timeout=SOON)
    await served.start_workflow("Nobody", id="a", task_queue=queue)

    async def ids(query: str) -> list[str]:
        return sorted([each.activity_id async for each in served.list_activities(query)])

    assert await ids("") == ["a", "b", "w"]
    assert await ids("ActivityType = 'greet'") == await ids("ExecutionStatus = 'Completed'") == ["a", "b"]
    assert await ids(f"TaskQueue = '{queue}' AND ActivityId STARTS_WITH 'w'") == ["w"]
    assert [each.id async for each in served.list_workflows()] == ["a"]
    assert (await served.count_workflows("WorkflowId = 'a'")).count == 1
    count = await served.count_activities("GROUP BY ExecutionStatus")
    assert {group.group_values[0]: group.count for group in count.groups} == {"Running": 1, "Completed": 2}
    page = served.list_activities("ActivityId IS NOT NULL", page_size=2, limit=3)
    await page.fetch_next_page()
    assert len(page.current_page or ()) == 2 and page.next_page_token is not None
    with pytest.raises(RPCError, match="did you mean ActivityType"):
        served.list_activities("ActivityTyp = 'x'")
    await waiting.terminate(reason="enough")


async def test_a_taken_id_and_a_missing_activity_say_so(served: Client, queue: str) -> None:
    await served.execute_activity(greet, "ann", id="a", task_queue=queue, start_to_close_timeout=SOON)
    with pytest.raises(ActivityAlreadyStartedError) as taken:
        await served.start_activity(
            greet,
            "ann",
            id="a",
            task_queue=queue,
            start_to_close_timeout=SOON,
            id_reuse_policy=ActivityIDReusePolicy.REJECT_DUPLICATE,
        )
    assert taken.value.__cause__ is None
    nobody = served.get_activity_handle("nobody")
    for call in (nobody.describe(), nobody.result(), nobody.cancel(), nobody.terminate()):
        with pytest.raises(RPCError, match="activity not found for ID: nobody"):
            await call
    with pytest.raises(ValueError, match="must have start_to_close_timeout"):
        await served.start_activity(greet, "ann", id="b", task_queue=queue)


async def test_an_open_activity_ends_as_cancelled_as_soon_as_that_was_asked_for(client: Client, queue: str) -> None:
    @activity.defn
    async def leave_open() -> None:
        activity.heartbeat("left")
        activity.raise_complete_async()

    async with Worker(client, task_queue=queue, activities=[leave_open]):
        handle = await client.start_activity(leave_open, id="open", task_queue=queue, start_to_close_timeout=SOON)
        outside = client.get_async_activity_handle(activity_id="open", run_id=handle.run_id)

        async def is_left() -> bool:
            return bool((await handle.describe()).heartbeat_details)

        await until(is_left)
        with pytest.raises(RPCError, match="nobody asked"):
            await outside.report_cancellation()
    # Without a worker the request stays where it is; the activity's row knows nothing of it yet.
    await handle.cancel()
    await outside.report_cancellation("as you wish")
    async with Worker(client, task_queue=queue, activities=[leave_open]):
        with pytest.raises(ActivityFailureError) as ended:
            await handle.result()
    assert isinstance(ended.value.cause, CancelledError) and list(ended.value.cause.details) == ["as you wish"]
    assert (await handle.describe()).status is ActivityExecutionStatus.CANCELED
