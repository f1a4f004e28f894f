"""Activities end to end: sync and async, methods, retries, timeouts, heartbeats, cancellation, transactions."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass

import asyncpg
import pytest

from memflow import ApplicationError, Client, RetryPolicy, Worker, WorkflowFailedError, activity, workflow
from memflow.errors import ActivityError, TimeoutError

SOON = RetryPolicy(initial_interval=0.01, maximum_interval=0.05)
ATTEMPTS: list[tuple[str, int, tuple[object, ...]]] = []


@pytest.fixture(autouse=True)
def no_attempts() -> None:
    ATTEMPTS.clear()


@activity.defn
def in_a_thread(name: str) -> str:
    time.sleep(0.01)
    return f"{name} in {threading.current_thread().name.split('_')[0]}"


class Mailer:
    def __init__(self, sender: str) -> None:
        self.sender = sender

    @activity.defn
    async def send(self, to: str) -> str:
        return f"{self.sender} to {to}"


@dataclass
class Order:
    item: str
    quantity: int


@activity.defn
async def double(order: Order) -> Order:
    return Order(order.item, order.quantity * 2)


@activity.defn(retry=SOON)
async def third_time(name: str) -> str:
    attempt = activity.info().attempt
    ATTEMPTS.append((name, attempt, ()))
    if attempt < 3:
        raise RuntimeError("not yet")
    return f"{name} at attempt {attempt}"


@activity.defn(retry=RetryPolicy(initial_interval=0.01, maximum_attempts=2))
async def never(name: str) -> str:
    ATTEMPTS.append((name, activity.info().attempt, ()))
    raise ApplicationError("no", 1, "two", type="Refused")


@activity.defn(retry=SOON)
async def final() -> None:
    ATTEMPTS.append(("final", activity.info().attempt, ()))
    raise ApplicationError("never again", type="Final", non_retryable=True)


@activity.defn(retry=RetryPolicy(initial_interval=0.01, maximum_attempts=2), heartbeat_timeout=0.2)
async def beats_then_hangs() -> str:
    info = activity.info()
    ATTEMPTS.append(("beats", info.attempt, tuple(info.heartbeat_details)))
    if info.attempt == 1:
        activity.heartbeat("page", 7)
        await asyncio.sleep(30)
    return "done"


@activity.defn(start_to_close_timeout=0.05, retry=RetryPolicy(initial_interval=0.01, maximum_attempts=2))
async def too_slow() -> None:
    ATTEMPTS.append(("slow", activity.info().attempt, ()))
    await asyncio.sleep(30)


@activity.defn
async def until_cancelled() -> str:
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        ATTEMPTS.append(("cancelled", 1, ()))
        raise
    return "no"


@activity.defn
def polls() -> str:
    for _ in range(500):
        if activity.is_cancelled():
            ATTEMPTS.append(("saw it", 1, ()))
            return "stopped"
        time.sleep(0.01)
    return "ran on"


@activity.defn(transactional=True)
async def debit(account: str, cents: int) -> int:
    balance = await activity.connection().fetchval(
        "update money set cents = cents - $2 where account = $1 returning cents", account, cents
    )
    return int(balance)


@activity.defn(transactional=True, retry=SOON)
async def debit_but_fail_once(account: str, cents: int) -> int:
    balance = await activity.connection().fetchval(
        "update money set cents = cents - $2 where account = $1 returning cents", account, cents
    )
    if activity.info().attempt == 1:
        raise RuntimeError("after the update")
    return int(balance)


@workflow.defn
async def calls(what: str) -> str:
    match what:
        case "thread":
            return await in_a_thread("sync")
        case "method":
            return await workflow.proxy_activities(Mailer).send("bob")
        case "typed":
            return str(await double(Order("pen", 2)))
        case "third":
            return await third_time("x")
        case "never":
            return await never("x")
        case "final":
            await final()
        case "beats":
            return await beats_then_hangs()
        case "slow":
            await too_slow()
        case "unqueued":
            await workflow.execute_activity(in_a_thread, "x", task_queue="nobody", schedule_to_start_timeout=0.2)
        case "unclosed":
            await workflow.execute_activity(in_a_thread, "x", task_queue="nobody", schedule_to_close_timeout=0.2)
        case "debit":
            return str(await debit("a", 5))
        case "debit twice":
            return str(await debit_but_fail_once("a", 5))
        case "cancel":
            task = workflow.start_activity(until_cancelled)
            await workflow.sleep_for(0.3)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                await workflow.sleep_for(0.3)
                return "cancelled"
        case "cancel sync":
            task = workflow.start_activity(polls, cancellation_type="wait_cancellation_completed")
            await workflow.sleep_for(0.3)
            task.cancel()
            return await task
        case "in time":
            try:
                async with asyncio.timeout(0.05):
                    await until_cancelled()
            except builtin_timeout:
                await workflow.sleep_for(0.3)
                return "timed out"
    return "nothing"


builtin_timeout = asyncio.TimeoutError
ACTIVITIES = [
    in_a_thread, Mailer("ann"), double, third_time, never, final, beats_then_hangs, too_slow, until_cancelled, polls, debit,
    debit_but_fail_once,
]  # fmt: skip


async def run(dsn: str, schema: str, what: str) -> str:
    async with await Client.connect(dsn, schema=schema) as client:
        async with Worker(client, workflows=[calls], activities=ACTIVITIES, graceful_shutdown_timeout=0):
            handle = await client.workflow.start(calls, what)
            return await handle.result(timeout=15)


async def failure(dsn: str, schema: str, what: str) -> ActivityError:
    with pytest.raises(WorkflowFailedError) as failed:
        await run(dsn, schema, what)
    assert isinstance(failed.value.cause, ActivityError)
    return failed.value.cause


async def test_sync_activity_runs_in_a_thread(dsn: str, schema: str) -> None:
    assert await run(dsn, schema, "thread") == "sync in memflow-activity"


async def test_method_of_an_instance(dsn: str, schema: str) -> None:
    assert await run(dsn, schema, "method") == "ann to bob"


async def test_arguments_and_results_keep_their_types(dsn: str, schema: str) -> None:
    assert await run(dsn, schema, "typed") == "Order(item='pen', quantity=4)"


async def test_failed_attempts_are_tried_again_and_counted(dsn: str, schema: str) -> None:
    assert await run(dsn, schema, "third") == "x at attempt 3"
    assert [attempt for _, attempt, _ in ATTEMPTS] == [1, 2, 3]


async def test_attempts_end_at_the_maximum_with_the_cause(dsn: str, schema: str) -> None:
    error = await failure(dsn, schema, "never")
    assert (error.retry_state, error.attempt, error.activity) == ("maximum_attempts_reached", 2, "never")
    assert isinstance(error.cause, ApplicationError)
    assert (error.cause.message, error.cause.type, tuple(error.cause.details)) == ("no", "Refused", (1, "two"))


async def test_non_retryable_failure_ends_at_once(dsn: str, schema: str) -> None:
    error = await failure(dsn, schema, "final")
    assert (error.retry_state, len(ATTEMPTS)) == ("non_retryable_failure", 1)


async def test_heartbeat_details_reach_the_next_attempt(dsn: str, schema: str) -> None:
    assert await run(dsn, schema, "beats") == "done"
    assert ATTEMPTS == [("beats", 1, ()), ("beats", 2, ("page", 7))]


@pytest.mark.parametrize(
    ("what", "kind"), [("slow", "start_to_close"), ("unqueued", "schedule_to_start"), ("unclosed", "schedule_to_close")]
)
async def test_timeouts_say_which(dsn: str, schema: str, what: str, kind: str) -> None:
    error = await failure(dsn, schema, what)
    assert isinstance(error.cause, TimeoutError)
    assert error.cause.kind == kind


async def test_cancelled_activity_is_stopped(dsn: str, schema: str) -> None:
    assert await run(dsn, schema, "cancel") == "cancelled"
    assert ATTEMPTS == [("cancelled", 1, ())]


async def test_sync_activity_is_told_and_ends_by_itself(dsn: str, schema: str) -> None:
    assert await run(dsn, schema, "cancel sync") == "stopped"
    assert ATTEMPTS == [("saw it", 1, ())]


async def test_activity_in_a_timeout_is_stopped_and_the_builtin_error_raised(dsn: str, schema: str) -> None:
    assert await run(dsn, schema, "in time") == "timed out"
    assert ATTEMPTS == [("cancelled", 1, ())]


@pytest.mark.parametrize("what", ["debit", "debit twice"])
async def test_transactional_activity_takes_effect_once(dsn: str, schema: str, what: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("create table if not exists money (account text primary key, cents int); truncate money")
        await connection.execute("insert into money values ('a', 100)")
        assert await run(dsn, schema, what) == "95"
        assert await connection.fetchval("select cents from money") == 95
    finally:
        await connection.execute("drop table money")
        await connection.close()
