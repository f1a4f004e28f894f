"""Local activities: in the worker of their workflow, tried again there, never queued, and not lost with a worker."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from memflow import ApplicationError, Client, RetryPolicy, Worker, WorkflowFailedError, activity, workflow
from memflow.errors import ActivityError, ConfigurationError, TimeoutError
from memflow.runs import Status
from tests.polling import until
from tests.processes import WorkerProcess
from tests.worker import local_crash

SEEN: list[object] = []
PLEASE: dict[str, bool] = {}


@activity.defn(task_queue="elsewhere", heartbeat_timeout=5)
async def greet(name: str) -> str:
    info = activity.info()
    activity.heartbeat("ignored")
    return f"hello {name}, local {info.is_local}, on {info.task_queue}, token {info.task_token!r}"


@activity.defn
async def third_time() -> int:
    SEEN.append(activity.info().attempt)
    if activity.info().attempt < 3:
        raise RuntimeError("not yet")
    return activity.info().attempt


@activity.defn
async def never() -> None:
    raise ApplicationError("no", type="No")


@activity.defn
async def sleeps(seconds: float) -> str:
    SEEN.append("begun")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        SEEN.append(activity.cancellation_details())
        raise
    return "slept"


@activity.defn
async def opens() -> None:
    activity.raise_complete_async()


@activity.defn(transactional=True)
async def in_a_transaction() -> None: ...


@workflow.defn
async def greets() -> str:
    return await workflow.execute_local_activity(greet, "you")


@workflow.defn
async def tries(interval: float, threshold: float | None = None) -> int:
    return await workflow.execute_local_activity(
        third_time, retry=RetryPolicy(initial_interval=interval, backoff_coefficient=1), local_retry_threshold=threshold
    )


@workflow.defn
async def fails_for_good() -> None:
    await workflow.execute_local_activity("never", retry=RetryPolicy(initial_interval=0.01, maximum_attempts=2))


@workflow.defn
async def holds(seconds: float) -> list[str]:
    local = workflow.start_local_activity(sleeps, seconds)
    await workflow.sleep_for(1.5)
    SEEN.append("timer fired")
    signal = await workflow.wait_for("go", type=str)
    return [await local, signal]


@workflow.defn
async def times_out(option: str) -> str:
    retry = RetryPolicy(initial_interval=0.01, maximum_attempts=2)
    limit = {option: 0.2}
    return await workflow.execute_local_activity(sleeps, 30, retry=retry, **limit)  # type: ignore[arg-type]


@workflow.defn
async def gives_up() -> str:
    try:
        async with asyncio.timeout(0.3):
            return await workflow.execute_local_activity(sleeps, 30)
    except TimeoutError as error:
        return f"wrong error {error}"
    except builtins.TimeoutError:
        return "gave up"


@workflow.defn
async def gives_up_in_backoff(threshold: float) -> str:
    try:
        async with asyncio.timeout(0.4):
            await workflow.execute_local_activity(
                never, retry=RetryPolicy(initial_interval=3600), local_retry_threshold=threshold
            )
    except builtins.TimeoutError:
        return "gave up"
    return "no"


@workflow.defn
async def opens_locally() -> None:
    await workflow.execute_local_activity(opens, retry=RetryPolicy(maximum_attempts=1))


@workflow.defn
async def mistakes(which: str) -> None:
    try:
        match which:
            case "queue":
                await workflow.execute_local_activity(sleeps, 1.0, task_queue="x")  # type: ignore[call-overload]
            case "transactional":
                await workflow.execute_local_activity(in_a_transaction)
            case _:
                await workflow.execute_local_activity(sleeps, 1.0, local_retry_threshold=-1)
    except ConfigurationError as error:
        raise ApplicationError(str(error)) from None


WORKFLOWS = [greets, tries, fails_for_good, holds, times_out, gives_up, gives_up_in_backoff, opens_locally, mistakes]
ACTIVITIES = [greet, third_time, never, sleeps, opens, in_a_transaction]


@pytest.fixture
async def client(dsn: str, schema: str) -> AsyncIterator[Client]:
    SEEN.clear()
    async with await Client.connect(dsn, schema=schema) as client:
        yield client


def worker_of(client: Client, **options: int) -> Worker:
    return Worker(client, workflows=WORKFLOWS, activities=ACTIVITIES, **options)  # type: ignore[arg-type]


async def test_it_runs_here_whatever_queue_the_activity_names(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(greets)
        assert await handle.result(10) == "hello you, local True, on default, token b''"
    assert [each.kind for each in await handle.history()] == [
        "run_started", "schedule_activity", "activity_completed", "complete",
    ]  # fmt: skip


async def test_it_is_tried_again_in_this_process(client: Client) -> None:
    async with worker_of(client):
        assert await client.workflow.execute(tries, 0.02) == 3
    assert SEEN == [1, 2, 3]


async def test_a_long_backoff_is_left_to_the_database(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(tries, 0.6, 0.1)

        async def rests() -> bool:
            found = (await handle.describe()).activities
            return [(each.state, each.attempt) for each in found] == [("backing_off", 1)]

        await until(rests)
        described = await handle.describe()
        assert described.wake_at is not None and "not yet" in str(described.activities[0].last_failure)
        assert await handle.result(20) == 3
    assert SEEN == [1, 2, 3]


async def test_what_rests_goes_on_in_another_worker(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(tries, 1.0, 0.1)

        async def rests() -> bool:
            return [each.attempt for each in (await handle.describe()).activities] == [1]

        await until(rests)
    async with worker_of(client):
        assert await handle.result(20) == 3
    assert SEEN == [1, 2, 3]


async def test_it_fails_with_its_cause(client: Client) -> None:
    async with worker_of(client):
        with pytest.raises(WorkflowFailedError) as caught:
            await client.workflow.execute(fails_for_good)
    error = caught.value.cause
    assert isinstance(error, ActivityError) and error.attempt == 2
    assert isinstance(error.cause, ApplicationError) and error.cause.type == "No"


async def test_timers_and_signals_reach_a_run_that_is_held_by_one(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(holds, 4)

        async def fired() -> bool:
            return "timer fired" in SEEN

        await until(fired)
        await client.signal("go", "now")
        assert await handle.result(20) == ["slept", "now"]
    assert SEEN == ["begun", "timer fired"]


async def test_what_runs_for_long_shows_without_a_commit_each_moment(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(holds, 3)

        async def asked() -> bool:
            return len(await handle.history()) >= 2

        await until(asked)
        commits = 0
        store = client.store
        real = store.commit_turns

        async def counting(*args: object) -> object:
            nonlocal commits
            commits += 1
            return await real(*args)  # type: ignore[arg-type]

        store.commit_turns = counting  # type: ignore[method-assign, assignment]
        await asyncio.sleep(0.8)
        store.commit_turns = real  # type: ignore[method-assign]
        assert commits <= 1
        await handle.terminate("enough")


@pytest.mark.parametrize("option", ["start_to_close_timeout", "schedule_to_close_timeout"])
async def test_its_time_is_limited(client: Client, option: str) -> None:
    async with worker_of(client):
        with pytest.raises(WorkflowFailedError) as caught:
            await client.workflow.execute(times_out, option)
    error = caught.value.cause
    assert isinstance(error, ActivityError) and isinstance(error.cause, TimeoutError)
    assert f"{error.cause.kind}_timeout" == option


async def test_it_may_not_wait_for_its_slot_for_ever(client: Client) -> None:
    async with worker_of(client, max_concurrent_local_activities=1):
        first = await client.workflow.start(holds, 30)

        async def begun() -> bool:
            return bool(SEEN)

        await until(begun)
        second = await client.workflow.start(times_out, "schedule_to_start_timeout")
        await asyncio.sleep(0.4)
        await first.terminate("room")
        with pytest.raises(WorkflowFailedError) as caught:
            await second.result(10)
        assert isinstance(caught.value.cause, ActivityError) and isinstance(caught.value.cause.cause, TimeoutError)
        assert caught.value.cause.cause.kind == "schedule_to_start"


async def test_it_is_cancelled_while_it_runs_and_while_it_rests(client: Client) -> None:
    async with worker_of(client):
        assert await client.workflow.execute(gives_up) == "gave up"
        assert await client.workflow.execute(gives_up_in_backoff, 7200) == "gave up"
        assert await client.workflow.execute(gives_up_in_backoff, 0.1) == "gave up"
    assert ["begun", activity.CancellationDetails(cancel_requested=True)] == SEEN


async def test_it_cannot_be_left_open(client: Client) -> None:
    async with worker_of(client):
        with pytest.raises(WorkflowFailedError, match="local activity ends in its worker"):
            await client.workflow.execute(opens_locally)


@pytest.mark.parametrize(
    ("which", "said"),
    [("queue", "no option 'task_queue'"), ("transactional", "cannot be local"), ("threshold", "local_retry_threshold")],
)
async def test_mistakes_are_refused_at_the_call(client: Client, which: str, said: str) -> None:
    async with worker_of(client):
        with pytest.raises(WorkflowFailedError, match=said):
            await client.workflow.execute(mistakes, which)


async def test_a_worker_that_does_not_know_it_hands_the_run_back_visibly(client: Client) -> None:
    async with Worker(client, workflows=[greets]):
        handle = await client.workflow.start(greets)

        async def stuck() -> bool:
            return "local activity 'greet' is not registered" in ((await handle.describe()).detail or "")

        await until(stuck)
        assert await handle.status() is Status.RUNNING
    async with worker_of(client):
        assert (await handle.result(20)).startswith("hello you")


async def test_a_stopping_worker_hands_it_to_the_next(client: Client) -> None:
    async with Worker(client, workflows=[holds], activities=[sleeps], graceful_shutdown_timeout=0):
        handle = await client.workflow.start(holds, 1)

        async def begun() -> bool:
            return bool(SEEN)

        await until(begun)
    await client.signal("go", "now")
    async with worker_of(client):
        assert await handle.result(20) == ["slept", "now"]
    assert SEEN.count("begun") == 2


async def test_a_lost_worker_counts_as_an_attempt_and_the_next_goes_on(
    dsn: str, schema: str, client: Client, tmp_path: Path
) -> None:
    log = tmp_path / "attempts"
    with WorkerProcess(dsn, schema, "tests.worker.local_crash", log=tmp_path / "log", lease=1):
        handle = await client.workflow.start(local_crash.dies_twice, str(log), 0, id="w")
        last = await client.workflow.start(local_crash.dies_twice, str(tmp_path / "last"), 1, id="w1")

        async def died() -> bool:
            return log.exists()

        await until(died)
    # Each attempt kills its worker; the third lives.
    for number in range(4):
        if log.read_text().count("\n") >= 3:
            break
        with WorkerProcess(dsn, schema, "tests.worker.local_crash", log=tmp_path / f"log{number}", lease=1) as process:

            async def over(process: WorkerProcess = process) -> bool:
                return process.process.poll() is not None or not (await handle.status()).is_open

            await until(over, seconds=30)
    attempts = [int(line) for line in log.read_text().split()]
    assert attempts == sorted(attempts) and len(set(attempts)) == len(attempts), attempts
    assert await handle.result(20) == max(attempts)
    with WorkerProcess(dsn, schema, "tests.worker.local_crash", log=tmp_path / "log9", lease=1):
        with pytest.raises(WorkflowFailedError, match="lost"):
            await last.result(20)
