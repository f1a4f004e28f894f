"""How activities learn that they are to stop, in coroutines and threads; dynamic activities; the rate of starts."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from memflow import Client, Worker, WorkflowFailedError, activity, workflow
from memflow.activity import CancellationDetails
from memflow.errors import CancelledError, ConfigurationError, NotInActivityError
from memflow.worker.injection import ThreadCancel
from tests.polling import until

SEEN: list[object] = []
GO = threading.Event()


def spin() -> None:
    """Work in a thread: Python code, for at most 20 s."""
    end = time.monotonic() + 20
    while time.monotonic() < end and not GO.is_set():
        time.sleep(0.005)


@activity.defn
def never_looks() -> str:
    SEEN.append("begun")
    try:
        spin()
    except CancelledError:
        SEEN.append(activity.cancellation_details())
        raise
    return "ran on"


@activity.defn(no_thread_cancel_exception=True)
def is_left_alone() -> str:
    SEEN.append("begun")
    spin()
    return f"ended by itself, cancelled {activity.is_cancelled()}"


@activity.defn
def looks() -> str:
    SEEN.append("begun")
    while not activity.is_cancelled():
        time.sleep(0.005)
    return "looked"


@activity.defn
def waits_in_a_thread() -> str:
    SEEN.append("begun")
    activity.wait_for_cancelled_sync(0.01)
    activity.wait_for_cancelled_sync(20)
    return f"waited, {activity.cancellation_details()}"


@activity.defn
def shields() -> str:
    SEEN.append("begun")
    try:
        with activity.shield_thread_cancel_exception():
            spin()
            SEEN.append("all of it")
    except CancelledError:
        SEEN.append("then cancelled")
        raise
    return "no"


@activity.defn
async def waits() -> str:
    SEEN.append("begun")
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        await activity.wait_for_cancelled()
        SEEN.append((activity.is_cancelled(), activity.cancellation_details()))
    return "waited"


@activity.defn
async def until_shutdown() -> str:
    SEEN.append("begun")
    await activity.wait_for_worker_shutdown()
    return f"shutdown {activity.is_worker_shutdown()}"


@activity.defn
def until_shutdown_in_a_thread() -> str:
    SEEN.append("begun")
    activity.wait_for_worker_shutdown_sync("20 seconds")
    return f"shutdown {activity.is_worker_shutdown()}"


@activity.defn
async def says_who_runs_it() -> str:
    return str(activity.client().namespace)


@activity.defn(dynamic=True)
async def anything(args: list[Any]) -> list[Any]:
    return [activity.info().activity, args]


@activity.defn(dynamic=True)
async def something(args: list[Any]) -> list[Any]:
    return args


@activity.defn
async def quick() -> None:
    SEEN.append(asyncio.get_running_loop().time())


@workflow.defn
async def stops(name: str, option: str | None = None) -> str:
    limit = {} if option is None else {option: 0.3}
    task = workflow.start_activity(name, cancellation_type="wait_cancellation_completed", **limit)  # type: ignore[arg-type]
    if option is None:
        await workflow.wait_for("enough")
        task.cancel()
    try:
        return str(await task)
    except asyncio.CancelledError:
        return "cancelled"


@workflow.defn
async def calls(name: str) -> Any:
    return await workflow.execute_activity(name, 1, {"a": "b"})


@workflow.defn
async def plain(name: str) -> Any:
    return await workflow.execute_activity(name)


@workflow.defn
async def many(count: int) -> None:
    await asyncio.gather(*(workflow.execute_activity(quick) for _ in range(count)))


ACTIVITIES = [
    *(never_looks, is_left_alone, looks, waits_in_a_thread, shields, waits, until_shutdown, until_shutdown_in_a_thread),
    *(says_who_runs_it, quick),
]


@pytest.fixture
async def client(dsn: str, schema: str) -> AsyncIterator[Client]:
    SEEN.clear()
    GO.clear()
    async with await Client.connect(dsn, schema=schema) as client:
        yield client
    GO.set()


def worker_of(client: Client, **options: Any) -> Worker:
    return Worker(client, workflows=[stops, calls, plain, many], activities=[*ACTIVITIES, anything], **options)


async def begun() -> None:
    async def it_has() -> bool:
        return bool(SEEN)

    await until(it_has)


CANCELLED = CancellationDetails(cancel_requested=True)


@pytest.mark.parametrize(
    ("name", "result", "seen"),
    [
        ("never_looks", "cancelled", [CANCELLED]),
        ("looks", "looked", []),
        ("waits_in_a_thread", f"waited, {CANCELLED}", []),
        ("waits", "waited", [(True, CANCELLED)]),
    ],
)
async def test_a_cancelled_activity_is_told_in_its_own_way(client: Client, name: str, result: str, seen: list[object]) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(stops, name)
        await begun()
        await client.signal("enough")
        assert await handle.result(15) == result
        assert SEEN[1:] == seen


@pytest.mark.parametrize(
    ("name", "result", "seen"),
    [
        ("is_left_alone", "ended by itself, cancelled True", []),
        ("shields", "cancelled", ["all of it", "then cancelled"]),
    ],
)
async def test_a_thread_can_keep_the_exception_out(client: Client, name: str, result: str, seen: list[object]) -> None:
    async with worker_of(client):
        handle = await client.workflow.start(stops, name)
        await begun()
        await client.signal("enough")

        async def told() -> bool:
            return "wait_for" not in ((await handle.describe()).detail or "wait_for")

        await until(told)
        await asyncio.sleep(0.3)                             # the worker hears of it
        GO.set()
        assert await handle.result(15) == result
        assert SEEN[1:] == seen


async def test_the_thread_of_a_timed_out_activity_ends_and_frees_its_slot(client: Client) -> None:
    async with worker_of(client, max_concurrent_activities=1):
        handle = await client.workflow.start(stops, "never_looks", "schedule_to_close_timeout")
        with pytest.raises(WorkflowFailedError, match="schedule_to_close"):
            await handle.result(15)
        assert await client.workflow.execute(plain, "says_who_runs_it") == "default"
    assert SEEN[1] == CancellationDetails(timed_out=True)


@pytest.mark.parametrize("name", ["until_shutdown", "until_shutdown_in_a_thread"])
async def test_activities_hear_of_a_shutdown_and_may_end_in_its_grace(client: Client, name: str) -> None:
    async with worker_of(client, graceful_shutdown_timeout=10):
        handle = await client.workflow.start(plain, name)
        await begun()
    async with worker_of(client):
        assert await handle.result(15) == "shutdown True"
    assert SEEN == ["begun"]


async def test_a_dynamic_activity_takes_every_other_name(client: Client) -> None:
    async with worker_of(client):
        assert await client.workflow.execute(calls, "made-up") == ["made-up", [1, {"a": "b"}]]
        assert await client.activity.execute("other", 5) == ["other", [5]]
    with pytest.raises(ConfigurationError, match="two dynamic"):
        Worker(client, activities=[anything, something])
    with pytest.raises(ConfigurationError, match="dynamic one"):

        @activity.defn(dynamic=True, name="x")
        async def named(args: list[Any]) -> None: ...


async def test_starts_keep_to_their_rate(client: Client) -> None:
    async with worker_of(client, max_activities_per_second=20):
        await client.workflow.execute(many, 11)
    times = [float(str(each)) for each in SEEN]
    assert times[-1] - times[0] > 0.4                        # ten gaps of 50 ms, less the clock's grain


def test_outside_an_activity_nothing_of_it_is_there() -> None:
    for call in (activity.is_worker_shutdown, activity.cancellation_details, activity.client, activity.raise_complete_async):
        with pytest.raises(NotInActivityError):
            call()


def test_a_cancelled_call_that_has_not_begun_never_does() -> None:
    cancel = ThreadCancel()
    cancel.cancel()
    with pytest.raises(CancelledError):
        cancel.run(SEEN.append, "never")


def test_nothing_is_raised_in_a_thread_after_its_call() -> None:
    """A thousand calls, each cancelled about when it ends: what comes too late must not hit the thread's next work."""
    problems: list[BaseException] = []
    outcomes: list[str] = []

    def thread(cancels: list[ThreadCancel]) -> None:
        for cancel in cancels:
            try:
                cancel.run(sum, range(200))
                outcomes.append("ended")
            except CancelledError:
                outcomes.append("cancelled")
            try:
                sum(range(500))
            except BaseException as error:
                problems.append(error)

    cancels = [ThreadCancel() for _ in range(1000)]
    worker = threading.Thread(target=thread, args=(cancels,))
    worker.start()
    for cancel in cancels:
        cancel.cancel()
    worker.join()
    assert len(outcomes) == 1000 and not problems
