"""What operators do to pending activities: pause, resume, reset, new options; and how running attempts learn of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from memflow import ApplicationError, Client, RetryPolicy, Worker, WorkflowFailedError, activity, workflow
from memflow.client import PendingActivity, PendingActivityHandle
from memflow.errors import ActivityNotFoundError, AsyncActivityCancelledError, ConfigurationError
from tests.polling import until

SEEN: list[object] = []
PLEASE: dict[str, bool] = {}


@activity.defn
async def fails() -> str:
    SEEN.append(activity.info().attempt)
    if not PLEASE.get("work"):
        raise RuntimeError("not today")
    return f"attempt {activity.info().attempt}, {activity.info().heartbeat_details}"


@activity.defn
async def beats() -> str:
    SEEN.append(activity.info().attempt)
    try:
        while not PLEASE.get("work"):
            activity.heartbeat("page", activity.info().attempt)
            await asyncio.sleep(0.02)
    except asyncio.CancelledError:
        SEEN.append(activity.cancellation_details())
        raise
    return f"attempt {activity.info().attempt}"


@activity.defn
async def is_silent() -> str:
    SEEN.append(activity.info().attempt)
    while not PLEASE.get("work"):
        await asyncio.sleep(0.02)
    if PLEASE.get("fail"):
        PLEASE["fail"] = False
        raise RuntimeError("once")
    return f"attempt {activity.info().attempt}"


@activity.defn
async def stays_open() -> str:
    activity.raise_complete_async()


ACTIVITIES = {each.name: each for each in (fails, beats, is_silent, stays_open)}


@workflow.defn
async def calls(name: str, interval: float, attempts: int = 0, queue: str | None = None) -> str:
    retry = RetryPolicy(initial_interval=interval, backoff_coefficient=1, maximum_attempts=attempts)
    return str(await workflow.execute_activity(ACTIVITIES[name], activity_id="a", retry=retry, task_queue=queue))


@pytest.fixture
async def client(dsn: str, schema: str) -> AsyncIterator[Client]:
    SEEN.clear()
    PLEASE.clear()
    async with await Client.connect(dsn, schema=schema) as client:
        yield client


def worker_of(client: Client, queue: str = "default") -> Worker:
    return Worker(client, workflows=[calls], activities=list(ACTIVITIES.values()), task_queue=queue)


def the_activity(client: Client) -> PendingActivityHandle:
    return client.get_activity_handle(workflow_id="w", activity_id="a")


async def shown(client: Client) -> PendingActivity:
    [one] = (await client.get_handle("w").describe()).activities
    return one


async def is_in(client: Client, state: str) -> None:
    async def it_is() -> bool:
        found = (await client.get_handle("w").describe()).activities
        return [each.state for each in found] == [state]

    await until(it_is)


async def seen(count: int) -> None:
    async def enough() -> bool:
        return len(SEEN) >= count

    await until(enough)


async def test_a_paused_activity_begins_no_attempt_until_it_is_resumed(dsn: str, schema: str, client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(calls, "fails", 0.05, id="w")
        await seen(2)
        await the_activity(client).pause()
        await the_activity(client).pause()                       # twice is once
        await is_in(client, "paused")
        attempts = len(SEEN)
        await asyncio.sleep(0.5)
        assert len(SEEN) == attempts
        one = await shown(client)
        assert one.paused and one.next_attempt_at is None and one.attempt == attempts
        conn = await asyncpg.connect(dsn)
        try:
            assert await conn.fetchval(f"select state from {schema}.v_activities") == "paused"
        finally:
            await conn.close()
        PLEASE["work"] = True
        await the_activity(client).resume()
        assert await handle.result(10) == f"attempt {attempts + 1}, ()"


async def test_pausing_tells_an_attempt_that_beats_and_does_not_count_it(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(calls, "beats", 0.05, 1, id="w")
        await is_in(client, "running")
        await the_activity(client).pause()
        await is_in(client, "paused")
        assert [1, activity.CancellationDetails(paused=True)] == SEEN
        PLEASE["work"] = True
        await the_activity(client).unpause(jitter="10 ms")
        assert await handle.result(10) == "attempt 1"


async def test_pausing_leaves_an_attempt_alone_that_does_not_beat(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(calls, "is_silent", 0.05, id="w")
        await is_in(client, "running")
        await the_activity(client).pause()
        one = await shown(client)
        assert (one.state, one.paused) == ("running", True)
        PLEASE["work"] = True
        assert await handle.result(10) == "attempt 1"


async def test_an_attempt_that_fails_while_paused_waits_for_resume(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(calls, "is_silent", 0.05, id="w")
        await is_in(client, "running")
        await the_activity(client).pause()
        PLEASE.update(work=True, fail=True)
        await is_in(client, "paused")
        await the_activity(client).resume()
        assert await handle.result(10) == "attempt 2"


async def test_reset_during_backoff_begins_at_once_and_counts_anew(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(calls, "fails", 3600, id="w")
        await is_in(client, "backing_off")
        PLEASE["work"] = True
        await the_activity(client).reset()
        assert await handle.result(10) == "attempt 1, ()"
        assert SEEN == [1, 1]


async def test_reset_keeps_an_activity_paused_if_asked_to(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(calls, "fails", 3600, id="w")
        await is_in(client, "backing_off")
        await the_activity(client).pause()
        await the_activity(client).reset(keep_paused=True)
        one = await shown(client)
        assert (one.state, one.attempt) == ("paused", 0)
        PLEASE["work"] = True
        await the_activity(client).reset()
        assert await handle.result(10) == "attempt 1, ()"


async def test_reset_of_the_last_attempt_gives_it_another_first(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(calls, "is_silent", 0.05, 1, id="w")
        await is_in(client, "running")
        await the_activity(client).reset()
        PLEASE.update(work=True, fail=True)
        assert await handle.result(10) == "attempt 1"
        assert SEEN == [1, 1]


async def test_reset_tells_an_attempt_that_beats_and_may_forget_its_details(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(calls, "beats", 0.05, id="w")
        await is_in(client, "running")
        await the_activity(client).reset(reset_heartbeats=True)
        await seen(3)
        assert SEEN[:3] == [1, activity.CancellationDetails(reset=True), 1]
        PLEASE["work"] = True
        assert await handle.result(10) == "attempt 1"


async def test_cancelling_a_paused_activity_is_answered(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(calls, "fails", 3600, id="w")
        await is_in(client, "backing_off")
        await the_activity(client).pause()
        await handle.cancel()
        with pytest.raises(WorkflowFailedError, match="cancelled"):
            await handle.result(10)


async def test_new_options_hold_from_the_next_attempt_on(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(calls, "fails", 3600, id="w")
        await is_in(client, "backing_off")
        options = await the_activity(client).update_options(retry=RetryPolicy(maximum_attempts=2), start_to_close_timeout=5)
        assert options.activity_id == "a" and options.retry.maximum_attempts == 2
        await the_activity(client).reset()
        with pytest.raises(WorkflowFailedError) as caught:
            await handle.result(20)
        assert caught.value.cause is not None and caught.value.cause.attempt == 2  # type: ignore[attr-defined]


async def test_an_activity_that_nobody_serves_moves_to_another_queue(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(calls, "fails", 1, 0, "nobody", id="w")
        await is_in(client, "queued")
        PLEASE["work"] = True
        await the_activity(client).update_options(task_queue="default")
        assert await handle.result(10) == "attempt 1, ()"


async def test_whoever_completes_from_outside_is_told_of_a_pause(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(calls, "stays_open", 1, id="w")
        await is_in(client, "open")
        await the_activity(client).pause()
        with pytest.raises(AsyncActivityCancelledError, match="paused"):
            await the_activity(client).heartbeat()
        await the_activity(client).complete("all the same")
        assert await handle.result(10) == "all the same"


async def test_an_operator_can_end_an_activity_that_fails_for_ever(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(calls, "fails", 3600, id="w")
        await is_in(client, "backing_off")
        await the_activity(client).fail(ApplicationError("give up", type="Operator", non_retryable=True))
        with pytest.raises(WorkflowFailedError, match="give up"):
            await handle.result(10)
        with pytest.raises(ActivityNotFoundError):
            await the_activity(client).pause()


async def test_what_cannot_work_is_refused_before_anything_is_asked(client: Client) -> None:
    with pytest.raises(ConfigurationError, match="name what is to change"):
        await the_activity(client).update_options()
    with pytest.raises(ConfigurationError, match="heartbeat_timeout"):
        await the_activity(client).update_options(heartbeat_timeout=0)
    with pytest.raises(ConfigurationError, match="jitter"):
        await the_activity(client).reset(jitter=-1)


@workflow.defn
async def two_of_one_id() -> None:
    try:
        await asyncio.gather(*(workflow.execute_activity(is_silent, activity_id="a") for _ in range(2)))
    except ConfigurationError as error:
        raise ApplicationError(str(error)) from None


async def test_two_pending_activities_may_not_share_an_id(client: Client) -> None:
    async with Worker(client, workflows=[two_of_one_id], activities=[is_silent]):
        with pytest.raises(WorkflowFailedError, match="another activity"):
            await client.workflow.execute(two_of_one_id)


async def test_completing_an_attempt_that_runs_stops_it(client: Client) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(calls, "beats", 0.05, id="w")
        await is_in(client, "running")
        await the_activity(client).complete("no need to go on")
        assert await handle.result(10) == "no need to go on"
        await seen(2)
        assert [1, activity.CancellationDetails(not_found=True)] == SEEN


async def test_whatever_several_operators_do_at_once_it_ends_once(client: Client) -> None:
    """Pause, resume, reset, fail and heartbeat against a worker that tries again all the time, then one of ten completions."""
    async with worker_of(client):
        handle = await client.workflow.start(calls, "fails", 0.001, id="w")
        await seen(1)

        async def operator(number: int) -> None:
            acts = the_activity(client)
            for turn in range(12):
                match (number + turn) % 5:
                    case 0:
                        await acts.pause()
                    case 1:
                        await acts.resume()
                    case 2:
                        await acts.reset()
                    case 3:
                        await acts.fail(RuntimeError("said so"))
                    case _:
                        await acts.update_options(start_to_close_timeout=5 + turn)

        await asyncio.gather(*(operator(number) for number in range(5)))
        await the_activity(client).resume()
        attempts = len(SEEN)
        await seen(attempts + 1)                             # none of it has left it stuck
        completions = await asyncio.gather(
            *(the_activity(client).complete(str(number)) for number in range(10)), return_exceptions=True
        )
        assert sum(each is None for each in completions) == 1
        assert await handle.result(10) == str(completions.index(None))
    kinds = [each.kind for each in await handle.history()]
    assert kinds == ["run_started", "schedule_activity", "activity_completed", "complete"]
