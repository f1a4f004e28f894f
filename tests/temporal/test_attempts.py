"""Attempts of activities beside their results: ids, policies, workers that stop, executors that break, other clients."""

from __future__ import annotations

import asyncio
import concurrent.futures
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import nullcontext
from datetime import timedelta

import pytest

from memflow import Client as EngineClient
from memflow.temporal import activity, workflow
from memflow.temporal.client import Client, WorkflowFailureError
from memflow.temporal.common import RetryPolicy, VersioningBehavior
from memflow.temporal.exceptions import ActivityError, ApplicationError, CancelledError
from memflow.temporal.worker import (
    ResourceBasedSlotConfig,
    SharedStateManager,
    Worker,
    WorkerDeploymentConfig,
    WorkerDeploymentVersion,
    WorkerTuner,
)
from memflow.worker.engine import Engine
from tests.polling import until

SOON = timedelta(seconds=30)
ONCE = RetryPolicy(maximum_attempts=1)


@pytest.fixture
def processes() -> Iterator[tuple[concurrent.futures.Executor, SharedStateManager]]:
    """One other process, and what is shared with it."""
    fork = multiprocessing.get_context("fork")
    with multiprocessing.Manager() as manager, concurrent.futures.ProcessPoolExecutor(1, mp_context=fork) as executor:
        yield executor, SharedStateManager.create_from_multiprocessing(manager)


@workflow.defn
class Once:
    @workflow.run
    async def run(self, name: str) -> str:
        done: str = await workflow.execute_activity(name, start_to_close_timeout=SOON, retry_policy=ONCE)
        return done


# ------------------------------------------------------------------------------------------------- ids


@activity.defn
async def own_id() -> str:
    return activity.info().activity_id


@workflow.defn
class Counting:
    @workflow.run
    async def run(self) -> list[str]:
        first = await workflow.execute_activity(own_id, start_to_close_timeout=SOON)
        await asyncio.sleep(0.01)
        second = await workflow.execute_local_activity(own_id, start_to_close_timeout=SOON)
        named = await workflow.execute_activity(own_id, start_to_close_timeout=SOON, activity_id="mine")
        last = workflow.start_activity("nobody knows this", start_to_close_timeout=SOON)
        await asyncio.sleep(0.01)
        last.cancel()
        try:
            await last
        except ActivityError as error:
            return [first, second, named, error.activity_id]
        return []


@pytest.mark.parametrize("cached", [1000, 0])
async def test_activities_are_numbered_among_themselves(client: Client, queue: str, cached: int) -> None:
    async with Worker(client, task_queue=queue, workflows=[Counting], activities=[own_id], max_cached_workflows=cached):
        handle = await client.start_workflow(Counting.run, id="counting", task_queue=queue)
        assert await handle.result() == ["1", "2", "mine", "4"]
    events = (await handle.fetch_history()).events
    asked = [each.activity_task_scheduled_event_attributes for each in events]
    assert [each.activity_id for each in asked if each] == ["1", "mine", "4"]     # of a local one a marker tells


@activity.defn
async def policy() -> list[float]:
    found = activity.info().retry_policy
    assert found is not None and found.maximum_interval is not None
    return [
        found.initial_interval.total_seconds(),
        found.backoff_coefficient,
        found.maximum_interval.total_seconds(),
        found.maximum_attempts,
    ]


@workflow.defn
class Policies:
    @workflow.run
    async def run(self) -> list[list[float]]:
        full = RetryPolicy(timedelta(seconds=2), 1.5, timedelta(seconds=9), 1)
        odd = RetryPolicy(timedelta(seconds=2), 0.5, maximum_attempts=1)   # not looked at, where there is one attempt
        return [
            await workflow.execute_activity(policy, start_to_close_timeout=SOON, retry_policy=each) for each in (full, odd)
        ]


async def test_a_policy_of_one_attempt_is_told_as_it_was_given(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Policies], activities=[policy]):
        told = await client.execute_workflow(Policies.run, id="policies", task_queue=queue)
    assert told == [[2, 1.5, 9, 1], [1, 2, 100, 1]]


# ------------------------------------------------------------------------------------------------- the worker stops


async def test_an_attempt_that_a_stopping_worker_ends_has_failed(client: Client, queue: str) -> None:
    begun = threading.Event()

    @activity.defn
    def endless() -> None:
        begun.set()
        while True:
            time.sleep(0.02)
            activity.heartbeat()

    with concurrent.futures.ThreadPoolExecutor(5) as threads:
        async with Worker(client, task_queue=queue, workflows=[Once], activities=[endless], activity_executor=threads):
            handle = await client.start_workflow(Once.run, "endless", id="stopped", task_queue=queue)
            await asyncio.to_thread(begun.wait, 20)
        async with Worker(client, task_queue=queue, workflows=[Once]):
            with pytest.raises(WorkflowFailureError) as failed:
                await handle.result()
    cause = failed.value.cause.__cause__
    assert isinstance(cause, ApplicationError)
    assert (cause.type, cause.non_retryable) == ("WorkerShutdown", False)
    assert "shutting down and this activity did not complete in time" in cause.message


async def test_what_a_thread_answers_to_a_stopping_worker_counts(client: Client, queue: str) -> None:
    begun = threading.Event()

    @activity.defn
    def tidy() -> str:
        begun.set()
        try:
            while True:
                time.sleep(0.02)
        except CancelledError:
            details = activity.cancellation_details()
            return f"tidied {details is not None and details.worker_shutdown}"

    with concurrent.futures.ThreadPoolExecutor(5) as threads:
        async with Worker(client, task_queue=queue, workflows=[Once], activities=[tidy], activity_executor=threads):
            handle = await client.start_workflow(Once.run, "tidy", id="tidy", task_queue=queue)
            await asyncio.to_thread(begun.wait, 20)
        async with Worker(client, task_queue=queue, workflows=[Once]):
            assert await handle.result() == "tidied True"


@activity.defn
def wait_for_the_end() -> str:
    activity.heartbeat("here")
    activity.wait_for_worker_shutdown_sync(20)
    return f"over {activity.is_worker_shutdown()}"


async def test_another_process_hears_that_the_worker_stops(
    client: Client, queue: str, processes: tuple[concurrent.futures.Executor, SharedStateManager]
) -> None:
    executor, shared = processes
    worker = Worker(
        client,
        task_queue=queue,
        workflows=[Once],
        activities=[wait_for_the_end],
        activity_executor=executor,
        shared_state_manager=shared,
        graceful_shutdown_timeout=timedelta(seconds=15),
    )
    async with worker:
        handle = await client.start_workflow(Once.run, "wait_for_the_end", id="heard", task_queue=queue)

        engine = await client.engine()

        async def begun() -> bool:
            return bool((await engine.get_handle("heard").describe()).activities)

        await until(begun)
    async with Worker(client, task_queue=queue, workflows=[Once]):
        assert await handle.result() == "over True"


@activity.defn
def kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def test_a_worker_whose_executor_is_broken_ends(
    client: Client, queue: str, processes: tuple[concurrent.futures.Executor, SharedStateManager]
) -> None:
    executor, shared = processes
    heard: list[BaseException] = []

    async def hear(error: BaseException) -> None:
        heard.append(error)

    worker = Worker(
        client,
        task_queue=queue,
        workflows=[Once],
        activities=[kill_this_process],
        activity_executor=executor,
        shared_state_manager=shared,
        on_fatal_error=hear,
    )
    running = asyncio.create_task(worker.run())
    handle = await client.start_workflow(Once.run, "kill_this_process", id="broken", task_queue=queue)
    with pytest.raises(RuntimeError, match="Activity worker failed") as fatal:
        await running
    assert heard == [fatal.value]
    assert isinstance(fatal.value.__cause__, concurrent.futures.BrokenExecutor)
    assert worker.is_shutdown
    async with Worker(client, task_queue=queue, workflows=[Once]):
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    cause = failed.value.cause.__cause__
    assert isinstance(cause, ApplicationError) and cause.type == "BrokenProcessPool"


async def test_what_kills_a_worker_is_the_cause_of_what_it_raises(
    client: Client, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(engine: Engine) -> None:
        raise ValueError("no use")

    monkeypatch.setattr(Engine, "live", fail)
    heard: list[BaseException] = []

    async def hear(error: BaseException) -> None:
        heard.append(error)

    with pytest.raises(RuntimeError, match=r"^Workflow worker failed$") as fatal:
        async with Worker(client, task_queue=queue, workflows=[Once], on_fatal_error=hear):
            await asyncio.Event().wait()         # it is cancelled
    assert isinstance(fatal.value.__cause__, ValueError) and heard == [fatal.value]
    with pytest.raises(RuntimeError, match=r"^Activity worker failed$"):
        await Worker(client, task_queue=queue, activities=[whose]).run()
    # Whoever makes something else of the cancellation is heard.
    with pytest.raises(KeyError) as other:
        async with Worker(client, task_queue=queue, workflows=[Once]):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError as cancelled:
                raise KeyError("mine") from cancelled
    assert isinstance(other.value.__cause__, asyncio.CancelledError)


# ------------------------------------------------------------------------------------------------- threads and clients


@workflow.defn
class Twice:
    @workflow.run
    async def run(self, name: str) -> str:
        done: str = await workflow.execute_activity(name, start_to_close_timeout=SOON)
        return done


async def test_a_heartbeat_may_come_from_a_thread_of_ones_own(client: Client, queue: str) -> None:
    @activity.defn
    async def hands_on() -> str:
        if activity.info().attempt > 1:
            return f"found {activity.info().heartbeat_details[0]}"
        context = activity._Context.current()  # pyright: ignore[reportPrivateUsage]
        thread = threading.Thread(target=context.heartbeat, args=["a mark"])
        thread.start()
        thread.join()
        raise ApplicationError("once more", next_retry_delay=timedelta(milliseconds=1))

    async with Worker(client, task_queue=queue, workflows=[Twice], activities=[hands_on]):
        assert await client.execute_workflow(Twice.run, "hands_on", id="twice", task_queue=queue) == "found a mark"
    with pytest.raises(RuntimeError, match="Not in activity context"):
        activity._Context.current()  # pyright: ignore[reportPrivateUsage]


@activity.defn
async def whose() -> str:
    return activity.info().namespace


async def test_a_worker_moves_to_the_client_it_is_given(client: Client, dsn: str, schema: str, queue: str) -> None:
    other = Client.from_memflow(await EngineClient.connect(dsn, schema=schema, namespace="elsewhere"))
    async with Worker(client, task_queue=queue, workflows=[Once], activities=[whose]) as worker:
        assert await client.execute_workflow(Once.run, "whose", id="here", task_queue=queue) == "default"
        worker.client = other
        assert await other.execute_workflow(Once.run, "whose", id="there", task_queue=queue) == "elsewhere"
        assert worker.is_running
    await other.close()


def in_a_fork(work: Callable[[], Awaitable[object]]) -> str:
    """What a forked process says of it."""
    fork = multiprocessing.get_context("fork")
    said = fork.SimpleQueue()

    def run() -> None:
        try:
            asyncio.run(asyncio.wait_for(work(), 10))  # type: ignore[arg-type]
            said.put("done")
        except BaseException as error:
            said.put(f"{type(error).__name__}: {error}")
        finally:
            os._exit(0)                          # nothing of the parent's is to be tidied up there

    process = fork.Process(target=run)
    process.start()
    process.join(20)
    answer: str = said.get()
    return answer


async def test_a_fork_is_told_that_connections_stay_behind(client: Client, queue: str) -> None:
    worker = Worker(client, task_queue=queue, activities=[whose])

    async def make() -> None:
        Worker(client, task_queue=queue, activities=[whose])

    for work, action in ((make, "create worker"), (worker.run, "use worker"), (client.count_workflows, "use client")):
        assert in_a_fork(work).startswith(f"AssertionError: Cannot {action} across forks")
    assert (await client.count_workflows()).count == 0        # and the parent's still work


def test_slots_by_resources_have_temporals_limit() -> None:
    tuner = WorkerTuner.create_resource_based(
        target_memory_usage=0.5, target_cpu_usage=0.5, workflow_config=ResourceBasedSlotConfig(maximum_slots=7)
    )
    assert (tuner.workflow_slots, tuner.activity_slots) == (7, 500)


@workflow.defn
class Unversioned:
    @workflow.run
    async def run(self) -> None:
        pass


@workflow.defn(versioning_behavior=VersioningBehavior.PINNED)
class Versioned:
    @workflow.run
    async def run(self) -> None:
        pass


@pytest.mark.parametrize(
    ("kind", "default", "refused"),
    [
        (Unversioned, VersioningBehavior.UNSPECIFIED, True),
        (Unversioned, VersioningBehavior.AUTO_UPGRADE, False),
        (Versioned, VersioningBehavior.UNSPECIFIED, False),
    ],
)
async def test_where_versions_count_a_workflow_says_what_a_new_one_means_to_it(
    client: Client, queue: str, kind: type[object], default: VersioningBehavior, refused: bool
) -> None:
    config = WorkerDeploymentConfig(WorkerDeploymentVersion("d", "1"), True, default)
    expected = pytest.raises(ValueError, match="must specify a versioning behavior") if refused else nullcontext()
    with expected:
        Worker(client, task_queue=queue, workflows=[kind], deployment_config=config)
