"""Environments whose time skips, and activities run alone."""

from __future__ import annotations

import asyncio
import builtins
import threading
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from memflow.temporal import activity, workflow
from memflow.temporal.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    WorkflowFailureError,
)
from memflow.temporal.common import RawValue
from memflow.temporal.exceptions import ActivityError, ApplicationError, CancelledError, TimeoutError, TimeoutType
from memflow.temporal.testing import ActivityEnvironment, WorkflowEnvironment
from memflow.temporal.worker import Worker


@pytest.fixture
async def env(dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WorkflowEnvironment]:
    monkeypatch.setenv("MEMFLOW_TEST_DSN", dsn)
    async with await WorkflowEnvironment.start_time_skipping() as made:
        yield made


@activity.defn
async def shout(text: str) -> str:
    return text.upper()


@workflow.defn
class SleepsForDays:
    def __init__(self) -> None:
        self.mails = 0
        self.done = False

    @workflow.run
    async def run(self) -> int:
        while not self.done:
            await workflow.execute_activity(send_mail, start_to_close_timeout=timedelta(seconds=10))
            self.mails += 1
            try:
                await workflow.wait_condition(lambda: self.done, timeout=timedelta(days=30))
            except builtins.TimeoutError:
                pass
        return self.mails

    @workflow.signal
    def complete(self) -> None:
        self.done = True

    @workflow.query
    def sent(self) -> int:
        return self.mails


@activity.defn
async def send_mail() -> None:
    raise AssertionError("replaced in tests")


@activity.defn(name="send_mail")
async def send_mail_mocked() -> None:
    pass


async def test_a_workflow_that_sleeps_for_days(env: WorkflowEnvironment) -> None:
    assert env.supports_time_skipping
    async with Worker(env.client, task_queue="q", workflows=[SleepsForDays], activities=[send_mail_mocked]):
        started = await env.get_current_time()
        real = time.monotonic()
        handle = await env.client.start_workflow(SleepsForDays.run, id="days", task_queue="q")
        await env.sleep(timedelta(days=95))
        assert await handle.query(SleepsForDays.sent) == 4
        await handle.signal(SleepsForDays.complete)
        assert await handle.result() == 4
        assert await env.get_current_time() - started >= timedelta(days=95)
        assert time.monotonic() - real < 30


@workflow.defn
class SleepsAMonth:
    @workflow.run
    async def run(self) -> str:
        before = workflow.now()
        await workflow.sleep(timedelta(days=30))
        return str((workflow.now() - before).days)


async def test_awaiting_a_result_skips_time_for_derived_clients_too(env: WorkflowEnvironment) -> None:
    other = Client(**env.client.config())
    async with Worker(env.client, task_queue="q", workflows=[SleepsAMonth]):
        for number, client in enumerate((env.client, other)):
            result = await client.execute_workflow(SleepsAMonth.run, id=f"month-{number}", task_queue="q")
            assert result == "30"
        with env.auto_time_skipping_disabled():
            handle = await env.client.start_workflow(SleepsAMonth.run, id="real", task_queue="q")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(handle.result(), 0.5)


environment: list[WorkflowEnvironment] = []


@activity.defn
async def falls_silent() -> None:
    await environment[0].sleep(timedelta(seconds=60))


@workflow.defn
class NeedsHeartbeats:
    @workflow.run
    async def run(self) -> None:
        from memflow.temporal.common import RetryPolicy

        await workflow.execute_activity(
            falls_silent,
            schedule_to_close_timeout=timedelta(seconds=1000),
            heartbeat_timeout=timedelta(seconds=20),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )


async def test_time_that_an_activity_lets_pass_costs_it_its_heartbeat(env: WorkflowEnvironment) -> None:
    environment[:] = [env]
    async with Worker(env.client, task_queue="q", workflows=[NeedsHeartbeats], activities=[falls_silent]):
        with pytest.raises(WorkflowFailureError) as failed:
            await env.client.execute_workflow(NeedsHeartbeats.run, id="silent", task_queue="q")
    assert isinstance(failed.value.cause, ActivityError)
    assert isinstance(failed.value.cause.cause, TimeoutError)
    assert failed.value.cause.cause.type == TimeoutType.HEARTBEAT


@workflow.defn
class Asserts:
    @workflow.run
    async def run(self) -> None:
        assert 1 == 2, "no"


async def test_a_failed_assertion_fails_the_workflow(env: WorkflowEnvironment) -> None:
    async with Worker(env.client, task_queue="q", workflows=[Asserts]):
        with pytest.raises(WorkflowFailureError) as failed:
            await env.client.execute_workflow(Asserts.run, id="asserts", task_queue="q")
    assert isinstance(failed.value.cause, ApplicationError) and failed.value.cause.type == "AssertionError"


async def test_an_environment_over_a_client_has_real_time(client: Client, queue: str) -> None:
    async with WorkflowEnvironment.from_client(client) as env:
        assert not env.supports_time_skipping
        async with Worker(env.client, task_queue=queue, workflows=[Asserts]):
            with pytest.raises(WorkflowFailureError):
                await env.client.execute_workflow(Asserts.run, id="asserts", task_queue=queue)


@activity.defn
async def counts_up(limit: int) -> int:
    for number in range(limit):
        activity.heartbeat(number)
        await asyncio.sleep(0.01)
    return activity.info().attempt


@activity.defn
def waits_in_thread() -> str:
    try:
        while True:
            time.sleep(0.01)
    except CancelledError:
        return "cancelled"


async def test_an_activity_is_run_alone() -> None:
    env = ActivityEnvironment()
    beats: list[int] = []
    env.on_heartbeat = beats.append
    env.info = replace(ActivityEnvironment.default_info(), attempt=7)
    assert await env.run(counts_up, 3) == 7
    assert beats == [0, 1, 2]
    assert env.run(lambda: activity.in_activity())
    assert not activity.in_activity()


async def test_only_async_activities_have_a_client(client: Client) -> None:
    def plain() -> None:
        activity.client()

    async def asynchronous() -> bool:
        return activity.client() is client

    environment = ActivityEnvironment(client)
    assert await environment.run(asynchronous)
    with pytest.raises(RuntimeError, match="No client available"):
        environment.run(plain)


async def test_an_activity_alone_is_cancelled_in_task_and_thread() -> None:
    env = ActivityEnvironment()
    env.on_heartbeat = lambda *details: env.cancel() if details == (2,) else None
    with pytest.raises(asyncio.CancelledError):
        await env.run(counts_up, 1000)
    other = ActivityEnvironment()
    threading.Timer(0.1, other.cancel).start()
    assert await asyncio.to_thread(other.run, waits_in_thread) == "cancelled"


@workflow.defn
class Patient:
    """Sleeps for a month, and answers an update once it is told to."""

    def __init__(self) -> None:
        self.told = False

    @workflow.run
    async def run(self) -> str:
        await workflow.sleep(timedelta(days=30))
        return "slept"

    @workflow.signal
    def tell(self) -> None:
        self.told = True

    @workflow.update
    async def answer(self) -> str:
        await workflow.wait_condition(lambda: self.told)
        return workflow.now().isoformat()


async def test_time_skips_for_results_and_not_for_updates(env: WorkflowEnvironment) -> None:
    async with Worker(env.client, task_queue="q", workflows=[Patient]):
        handle = await env.client.start_workflow(Patient.run, id="patient", task_queue="q")
        begun = (await handle.describe()).start_time
        answer = asyncio.create_task(handle.execute_update(Patient.answer))
        await handle.signal(Patient.tell)
        assert datetime.fromisoformat(await answer) < begun + timedelta(days=1)
        assert await handle.result() == "slept"
        assert await env.get_current_time() >= begun + timedelta(days=30)


async def test_schedules_lists_and_activities_of_their_own_work_where_time_skips(env: WorkflowEnvironment) -> None:
    client = env.client
    async with Worker(client, task_queue="q", workflows=[Patient], activities=[shout]):
        action = ScheduleActionStartWorkflow(Patient.run, id="fired", task_queue="q")
        spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(timedelta(days=7))])
        schedule = await client.create_schedule(
            "weekly", Schedule(action, spec, SchedulePolicy(ScheduleOverlapPolicy.ALLOW_ALL))
        )
        await env.sleep(timedelta(days=22))
        found = await schedule.describe()
        assert found.info.num_actions == 3
        assert len([each async for each in client.list_workflows("WorkflowId STARTS_WITH 'fired-'")]) == 3
        await schedule.delete()
        assert await client.execute_activity(shout, "a", id="a", task_queue="q", start_to_close_timeout=timedelta(days=1)) == "A"


@activity.defn(dynamic=True)
async def whatever(args: Sequence[RawValue]) -> str:
    return f"{activity.info().activity_type} of {len(args)}"


@workflow.defn
class CallsTheUnheard:
    @workflow.run
    async def run(self) -> str:
        found: str = await workflow.execute_activity("unheard", "x", start_to_close_timeout=timedelta(seconds=5))
        return found


async def test_a_dynamic_activity_is_served_in_an_environment(env: WorkflowEnvironment) -> None:
    async with Worker(env.client, task_queue="dynamic", workflows=[CallsTheUnheard], activities=[whatever]):
        found = await env.client.execute_workflow(CallsTheUnheard.run, id="dynamic", task_queue="dynamic")
    assert found == "unheard of 1"
