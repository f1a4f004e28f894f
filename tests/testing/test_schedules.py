"""Schedules under skipped time: each run at its instant, a year in a moment; and what never falls due holds nothing up."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from memflow import RetryPolicy, activity, workflow
from memflow_testing import NeverEndsError, WorkflowEnvironment
from tests.polling import until

SEEN: list[tuple[str, timedelta]] = []
ATTEMPTS: list[int] = []

PROMPT = 30
"""Seconds of real time for a year of days. An idle machine takes one or two; one that is busy with other tests must not fail."""


@pytest.fixture(autouse=True)
def fresh() -> None:
    SEEN.clear()
    ATTEMPTS.clear()


@workflow.defn
async def daily() -> str:
    info = workflow.info()
    assert info.scheduled_at is not None
    SEEN.append((info.workflow_id, workflow.now() - info.scheduled_at))
    return str(info.scheduled_at)


@workflow.defn
async def takes_a_day_and_a_half() -> str:
    info = workflow.info()
    assert info.scheduled_at is not None
    SEEN.append((info.workflow_id, workflow.now() - info.scheduled_at))
    await workflow.sleep_for("36 hours")
    return "done"


@activity.defn
async def nobody_runs_this() -> str:
    return "no"


@activity.defn(start_to_close_timeout="1 day", retry=RetryPolicy(maximum_attempts=2, initial_interval=1))
async def opened() -> str:
    ATTEMPTS.append(activity.info().attempt)
    activity.raise_complete_async()


@workflow.defn
async def calls_elsewhere() -> str:
    return await workflow.execute_activity(nobody_runs_this, task_queue="elsewhere", activity_id="it")


@workflow.defn
async def calls_opened() -> str:
    return await workflow.execute_activity(opened, activity_id="it")


@workflow.defn
async def waits() -> str:
    await workflow.wait_for("go")
    return "went"


def counted(env: WorkflowEnvironment, name: str) -> list[None]:
    """One for each call of the store's method from now on."""
    calls: list[None] = []
    real = getattr(env.store, name)

    async def call(*arguments: Any, **options: Any) -> Any:
        calls.append(None)
        return await real(*arguments, **options)

    setattr(env.store, name, call)
    return calls


async def test_each_run_of_a_year_begins_at_its_instant_for_one_look_each(dsn: str) -> None:
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env:
        looks, claims = counted(env, "serve_schedules"), counted(env, "claim_runs")
        async with env.worker(daily):
            schedule = await env.client.schedule.create("d", daily, spec="0 6 * * *", task_queue=env.task_queue)
            began = time.monotonic()
            await env.sleep("365 days")
            spent = time.monotonic() - began
            described = await schedule.describe()
        assert described.actions == len(SEEN) == len({id for id, _ in SEEN}) == 365
        assert described.missed == described.overlap_skipped == 0
        assert max(late for _, late in SEEN) < timedelta(minutes=1)
        assert [id for id, _ in SEEN] == sorted(id for id, _ in SEEN)
        assert spent < PROMPT
        # What costs is the round trip: one look per firing, not another one for its end, and no claim: who serves a schedule owns
        # what it starts. Polls by the wall clock come on top.
        assert len(looks) < 365 + 20 + spent and len(claims) < 20 + 2 * spent


async def test_a_run_that_outlasts_its_day_is_followed_by_one_that_waited(dsn: str) -> None:
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env, env.worker(takes_a_day_and_a_half):
        schedule = await env.client.schedule.create(
            "b", takes_a_day_and_a_half, spec="0 6 * * *", overlap="buffer_one", task_queue=env.task_queue
        )
        await env.sleep("10 days")
        lates = [late for _, late in SEEN]
        assert [round(late / timedelta(hours=12)) for late in lates[:4]] == [0, 1, 2, 1], "each at the end of the one before"
        assert max(late % timedelta(hours=12) for late in lates) < timedelta(minutes=5)
        assert (await schedule.describe()).overlap_skipped > 0


async def test_a_failure_pauses_its_schedule_at_once(dsn: str) -> None:
    @workflow.defn
    async def breaks() -> None:
        await workflow.sleep_for("1 hour")
        raise ValueError("on purpose")

    async with await WorkflowEnvironment.start_time_skipping(dsn) as env, env.worker(breaks):
        schedule = await env.client.schedule.create(
            "f", breaks, spec="0 6 * * *", pause_on_failure=True, task_queue=env.task_queue
        )
        await env.sleep("3 days")
        described = await schedule.describe()
        assert described.paused and described.actions == 1


async def test_a_paused_activity_never_falls_due_and_holds_nothing_up(dsn: str) -> None:
    async with await WorkflowEnvironment.start_time_skipping(dsn, patience=0.3) as env, env.worker(calls_elsewhere):
        handle = await env.client.workflow.start(calls_elsewhere, task_queue=env.task_queue)

        async def asked() -> bool:
            return bool((await handle.describe()).activities)

        await until(asked)
        await env.client.get_activity_handle(workflow_id=handle.id, activity_id="it").pause()
        before = await env.get_current_time()
        await env.sleep("2 days")
        assert timedelta(days=2) <= await env.get_current_time() - before < timedelta(days=2, minutes=1)
        with pytest.raises(NeverEndsError, match="paused"):
            await handle.result()
        await handle.terminate()


async def test_time_passes_while_somebody_outside_is_to_complete_an_activity(dsn: str) -> None:
    async with (
        await WorkflowEnvironment.start_time_skipping(dsn) as env,
        env.worker(calls_opened, activities=[opened]),
    ):
        handle = await env.client.workflow.start(calls_opened, task_queue=env.task_queue)

        async def is_open() -> bool:
            return bool(ATTEMPTS)

        await until(is_open)
        await env.sleep("12 hours")
        assert ATTEMPTS == [1]
        await env.sleep("20 hours")                      # its day is over: the next attempt
        assert ATTEMPTS == [1, 2]
        await env.client.get_activity_handle(workflow_id=handle.id, activity_id="it").complete("at last")
        assert await handle.result() == "at last"


async def test_a_pinned_run_without_a_worker_of_its_version_is_named_as_that(dsn: str) -> None:
    async with await WorkflowEnvironment.start_time_skipping(dsn, patience=0.3) as env:
        async with env.worker(waits, version="one"):
            handle = await env.client.workflow.start(waits, id="old", task_queue=env.task_queue)

            async def begun() -> bool:
                return "waiting" in str((await handle.describe()).detail)

            await until(begun)
        async with env.worker(waits, version="two"):
            await handle.signal("go")
            with pytest.raises(NeverEndsError, match="old, is pinned to version 'one'; no worker of it"):
                await handle.result()
            before = await env.get_current_time()
            await env.sleep("1 day")                     # nor does it hold time up
            assert await env.get_current_time() - before >= timedelta(days=1)
            await handle.update_options(version="two")
            assert await handle.result() == "went"
