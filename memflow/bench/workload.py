"""The workflows that are measured, and their activities: as small as they can be, so that what is left is memflow."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

from memflow import activity, workflow

WORK_SECONDS = 0.02
"""How long an activity of the recovery scenario takes: long enough that a kill meets many under way."""


@activity.defn(name="bench-echo")
async def echo(value: str) -> str:
    return value


@activity.defn(name="bench-clock")
async def clock() -> float:
    """Seconds since 1970 by the clock of the worker's machine, at the moment the run was here."""
    return time.time()


@activity.defn(name="bench-work")
async def work(step: int) -> int:
    await asyncio.sleep(WORK_SECONDS)
    return step


@workflow.defn(name="bench-single")
async def single(value: str) -> str:
    return await echo(value)


@workflow.defn(name="bench-class")
class Single:
    """The same, written as a class."""

    @workflow.run
    async def run(self, value: str) -> str:
        return await echo(value)


@workflow.defn(name="bench-sequence")
async def sequence(length: int, value: str) -> int:
    for _ in range(length):
        await echo(value)
    return length


@workflow.defn(name="bench-fan")
async def fan(width: int, value: str) -> int:
    return len(await asyncio.gather(*(echo(value) for _ in range(width))))


@workflow.defn(name="bench-remote")
async def remote(width: int, queue: str, value: str) -> int:
    """Activities on the queue of another worker."""
    calls = (workflow.execute_activity(echo, value, task_queue=queue) for _ in range(width))
    return len(await asyncio.gather(*calls))


@workflow.defn(name="bench-waiting")
async def waiting(signal_id: str) -> float:
    await workflow.wait_for(signal_id)
    return await clock()


@workflow.defn(name="bench-sleeping")
async def sleeping(due: float) -> float:
    """Sleeps until `due`, in seconds since 1970 by the database's clock."""
    await workflow.sleep_until(datetime.fromtimestamp(due, UTC))
    return await clock()


@workflow.defn(name="bench-steps")
async def steps(length: int) -> int:
    for step in range(length):
        await work(step)
    return length


@workflow.defn(name="bench-long")
async def long(length: int, value: str, signal_id: str) -> float:
    for _ in range(length):
        await echo(value)
    await workflow.wait_for(signal_id)
    return await clock()


@workflow.defn(name="bench-parent")
async def parent(value: str) -> str:
    return await workflow.execute_child(single, value)


WORKFLOWS = [single, Single, sequence, fan, remote, waiting, sleeping, steps, long, parent]
ACTIVITIES = [echo, clock, work]
