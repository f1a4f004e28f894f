"""Activities that somebody outside completes: by token or id, once, across dead workers, within their timeouts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from memflow import ApplicationError, Client, RetryPolicy, Worker, WorkflowFailedError, activity, workflow
from memflow.client import PendingActivityHandle
from memflow.errors import (
    ActivityError,
    ActivityNotFoundError,
    AsyncActivityCancelledError,
    ConfigurationError,
    TimeoutError,
    WorkflowNotFoundError,
)
from tests.polling import until
from tests.processes import WorkerProcess
from tests.worker import opening

SOON = RetryPolicy(initial_interval=0.01)
TOKENS: list[bytes] = []


@activity.defn
async def ask_somebody(question: str) -> int:
    TOKENS.append(activity.info().task_token)
    activity.raise_complete_async()


@activity.defn
def ask_from_a_thread(question: str) -> int:
    TOKENS.append(activity.info().task_token)
    activity.raise_complete_async()


@activity.defn(transactional=True)
async def in_a_transaction() -> int:
    activity.raise_complete_async()


@workflow.defn
async def asks(options: dict[str, float], how: str = "async") -> int:
    name = {"async": ask_somebody, "thread": ask_from_a_thread}[how]
    retry = RetryPolicy(initial_interval=0.01, maximum_attempts=int(options.pop("attempts", 0)))
    return await workflow.execute_activity(name, "how many?", activity_id="the-question", retry=retry, **options)


@workflow.defn
async def asks_and_gives_up(kind: str) -> str:
    task = workflow.start_activity(ask_somebody, "how many?", activity_id="q", cancellation_type=kind, heartbeat_timeout=30)
    await workflow.wait_for("enough")
    task.cancel()
    try:
        return f"answered {await task}"
    except asyncio.CancelledError:
        return "cancelled"


@workflow.defn
async def opens_in_a_transaction() -> None:
    await workflow.execute_activity(in_a_transaction, retry=RetryPolicy(maximum_attempts=1))


@pytest.fixture
async def client(dsn: str, schema: str) -> AsyncIterator[Client]:
    TOKENS.clear()
    async with await Client.connect(dsn, schema=schema) as client:
        yield client


def worker_of(client: Client) -> Worker:
    return Worker(
        client,
        workflows=[asks, asks_and_gives_up, opens_in_a_transaction],
        activities=[ask_somebody, ask_from_a_thread, in_a_transaction],
    )


def by_id(client: Client, id: str) -> PendingActivityHandle:
    return client.get_activity_handle(workflow_id=id, activity_id="the-question")


async def next_token() -> bytes:
    """The token of the next attempt that asks."""

    async def there_is_one() -> bool:
        return bool(TOKENS)

    await until(there_is_one)
    return TOKENS.pop(0)


async def opened(client: Client, id: str) -> None:
    """Until the attempt is left to whoever completes it."""

    async def is_open() -> bool:
        described = await client.get_handle(id).describe()
        return [each.state for each in described.activities] == ["open"]

    await until(is_open)


@pytest.mark.parametrize("how", ["async", "thread"])
async def test_a_token_completes_it_from_outside(client: Client, how: str) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(asks, {}, how, id="w")
        token = await next_token()
        await client.get_activity_handle(token).complete(42)
        assert await handle.result(10) == 42


async def test_it_is_completed_by_its_ids_and_shows_as_open_before(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(asks, {}, id="w")
        await opened(client, "w")
        [shown] = (await handle.describe()).activities
        assert (shown.activity_id, shown.attempt, shown.paused) == ("the-question", 1, False)
        await by_id(client, "w").complete(7)
        assert await handle.result(10) == 7


async def test_of_many_completions_one_wins(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(asks, {}, id="w")
        token = await next_token()
        await opened(client, "w")
        outcomes = await asyncio.gather(
            *(client.get_activity_handle(token).complete(number) for number in range(20)), return_exceptions=True
        )
        won = [number for number, outcome in enumerate(outcomes) if outcome is None]
        assert len(won) == 1
        assert all(isinstance(each, ActivityNotFoundError) for each in outcomes if each is not None)
        assert await handle.result(10) == won[0]


async def test_a_second_completion_and_one_of_a_closed_run_are_told_so(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(asks, {}, id="w")
        token = await next_token()
        await client.get_activity_handle(token).complete(1)
        assert await handle.result(10) == 1
        with pytest.raises(ActivityNotFoundError):
            await client.get_activity_handle(token).complete(2)
        with pytest.raises(ActivityNotFoundError, match="has ended"):
            await by_id(client, "w").complete(2)
        with pytest.raises(WorkflowNotFoundError):
            await by_id(client, "nobody").complete(2)
        second = await client.workflow.start(asks, {}, id="w2")
        token = await next_token()
        await opened(client, "w2")
        await second.terminate("enough")
        with pytest.raises(ActivityNotFoundError):
            await client.get_activity_handle(token).complete(2)


async def test_a_failure_from_outside_is_tried_again_by_the_policy(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(asks, {"attempts": 2}, id="w")
        first = await next_token()
        await opened(client, "w")
        await client.get_activity_handle(first).fail(RuntimeError("not now"), ["page", 3])
        second = await next_token()
        with pytest.raises(ActivityNotFoundError):
            await client.get_activity_handle(first).complete(1)
        await opened(client, "w")
        [shown] = (await handle.describe()).activities
        assert shown.attempt == 2 and "not now" in str(shown.last_failure) and shown.heartbeat_details == ("page", 3)
        await client.get_activity_handle(second).fail(ApplicationError("never", type="Never"))
        with pytest.raises(WorkflowFailedError) as caught:
            await handle.result(10)
        error = caught.value.cause
        assert isinstance(error, ActivityError)
        assert (error.activity_id, error.attempt, error.retry_state) == ("the-question", 2, "maximum_attempts_reached")
        assert isinstance(error.cause, ApplicationError) and error.cause.type == "Never"


@pytest.mark.parametrize("option", ["start_to_close_timeout", "heartbeat_timeout"])
async def test_an_open_attempt_whose_time_is_up_is_tried_again(client: Client, option: str) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(asks, {option: 0.3}, id="w")
        first = await next_token()
        second = await next_token()
        with pytest.raises(ActivityNotFoundError):
            await client.get_activity_handle(first).complete(1)
        await client.get_activity_handle(second).complete(2)
        assert await handle.result(10) == 2


@pytest.mark.parametrize(
    ("option", "kind"), [("start_to_close_timeout", "start_to_close"), ("heartbeat_timeout", "heartbeat")]
)
async def test_the_last_attempt_fails_with_its_timeout(client: Client, option: str, kind: str) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(asks, {option: 0.2, "attempts": 1}, id="w")
        with pytest.raises(WorkflowFailedError) as caught:
            await handle.result(10)
        error = caught.value.cause
        assert isinstance(error, ActivityError) and isinstance(error.cause, TimeoutError)
        assert error.cause.kind == kind


async def test_schedule_to_close_bounds_an_open_attempt(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(asks, {"schedule_to_close_timeout": 0.4}, id="w")
        with pytest.raises(WorkflowFailedError) as caught:
            await handle.result(10)
        error = caught.value.cause
        assert isinstance(error, ActivityError) and isinstance(error.cause, TimeoutError)
        assert error.cause.kind == "schedule_to_close"


async def test_heartbeats_from_outside_keep_it_open(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(asks, {"heartbeat_timeout": 1.0}, id="w")
        token = await next_token()
        outside = client.get_activity_handle(token)
        begun = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < begun + 2.5:
            await outside.heartbeat("still here")
            await asyncio.sleep(0.1)
        [shown] = (await handle.describe()).activities
        assert (shown.attempt, shown.heartbeat_details) == (1, ("still here",))
        await outside.complete(3)
        assert await handle.result(10) == 3


async def test_a_completion_that_races_the_timeout_has_one_outcome(client: Client) -> None:
    async with worker_of(client):
        for number in range(6):
            handle = await client.workflow.start(asks, {"start_to_close_timeout": 0.25, "attempts": 1}, id=f"w{number}")
            token = await next_token()
            await asyncio.sleep(0.2 + number * 0.02)
            try:
                await client.get_activity_handle(token).complete(number)
            except ActivityNotFoundError:
                with pytest.raises(WorkflowFailedError):
                    await handle.result(10)
            else:
                assert await handle.result(10) == number


async def test_cancellation_reaches_whoever_completes_it(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(asks_and_gives_up, "wait_cancellation_completed", id="w")
        token = await next_token()
        outside = client.get_activity_handle(token)
        await opened(client, "w")
        await outside.heartbeat()
        with pytest.raises(ConfigurationError, match="nobody asked"):
            await outside.report_cancellation()
        await client.signal("enough")

        async def is_told() -> bool:
            try:
                await outside.heartbeat()
            except AsyncActivityCancelledError as error:
                return error.details == activity.CancellationDetails(cancel_requested=True)
            return False

        await until(is_told)
        await outside.report_cancellation("as you wish")
        assert await handle.result(10) == "cancelled"


async def test_whoever_was_asked_to_stop_may_complete_all_the_same(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(asks_and_gives_up, "wait_cancellation_completed", id="w")
        token = await next_token()
        await opened(client, "w")
        await client.signal("enough")
        await client.get_activity_handle(token).complete(5)
        assert await handle.result(10) == "answered 5"


async def test_it_outlives_its_worker(dsn: str, schema: str, client: Client, tmp_path: Path) -> None:
    with WorkerProcess(dsn, schema, "tests.worker.opening", log=tmp_path / "log", lease=1) as process:
        handle = await client.workflow.start(opening.waits_for_an_answer, id="w")
        await opened(client, "w")
        process.kill()
    # No worker is there at all: the answer is kept for the next one.
    await client.get_activity_handle(workflow_id="w", activity_id=1).complete("from outside")
    with WorkerProcess(dsn, schema, "tests.worker.opening", log=tmp_path / "log2", lease=1):
        assert await handle.result(20) == "from outside"
    history = await handle.history()
    assert [each.kind for each in history] == ["run_started", "schedule_activity", "activity_completed", "complete"]


async def test_its_timeout_is_kept_by_the_database_when_its_worker_died(
    dsn: str, schema: str, client: Client, tmp_path: Path
) -> None:
    with WorkerProcess(dsn, schema, "tests.worker.opening", log=tmp_path / "log", lease=1) as process:
        handle = await client.workflow.start(opening.waits_for_an_answer, 1.0, id="w")
        await opened(client, "w")
        process.kill()
    with WorkerProcess(dsn, schema, "tests.worker.opening", log=tmp_path / "log2", lease=1):

        async def second_attempt() -> bool:
            return [each.attempt for each in (await handle.describe()).activities] == [2]

        await until(second_attempt, seconds=20)
        await client.get_activity_handle(workflow_id="w", activity_id="1").complete("second")
        assert await handle.result(20) == "second"


async def test_what_cannot_be_left_open_is_refused(client: Client) -> None:
    async with worker_of(client):
        with pytest.raises(WorkflowFailedError) as caught:
            await client.workflow.execute(opens_in_a_transaction)
        assert "ends with its transaction" in str(caught.value)


@pytest.mark.parametrize("token", [b"", "1.2", "1.2.3", b"\xff\xfe", "-1.1." + "0" * 32, "9" * 30 + ".1." + "0" * 32, "a.b.c"])
async def test_what_is_no_token_is_refused_at_the_call(client: Client, token: bytes | str) -> None:
    with pytest.raises(ConfigurationError, match="task token"):
        client.get_activity_handle(token)


async def test_a_foreign_token_finds_nothing(client: Client) -> None:
    with pytest.raises(ActivityNotFoundError):
        await client.get_activity_handle("1.1." + "0" * 32).complete(1)
    with pytest.raises(ConfigurationError, match="either"):
        client.get_activity_handle("1.1." + "0" * 32, workflow_id="w", activity_id=1)
    with pytest.raises(ConfigurationError, match="give a task token"):
        client.get_activity_handle(workflow_id="w")
