"""Workflows and activities for crash tests. Every attempt leaves a line, so that a test sees what really ran."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from memflow import RetryPolicy, activity, workflow


def note(label: str) -> None:
    """One whole line in $CRASH_LOG, safe across processes and kills."""
    with Path(os.environ["CRASH_LOG"]).open("a") as log:
        log.write(f"{time.time():.3f} {os.getpid()} {label}\n")


@activity.defn
async def step(number: int) -> int:
    note(f"step {number} {activity.info().idempotency_key} attempt {activity.info().attempt}")
    await asyncio.sleep(0.02)
    return number


@activity.defn
async def slow(name: str) -> str:
    note(f"slow {name} {activity.info().idempotency_key} attempt {activity.info().attempt}")
    await asyncio.sleep(30 if os.environ.get("SLOW", "1") == "1" and activity.info().attempt == 1 else 0.01)
    return name


@activity.defn(retry=RetryPolicy(maximum_attempts=1))
async def once_at_most(name: str) -> str:
    note(f"once {name} attempt {activity.info().attempt}")
    await asyncio.sleep(30)
    return name


@workflow.defn
async def ten_steps() -> list[int]:
    return [await step(number) for number in range(10)]


@workflow.defn
async def one_slow(name: str) -> str:
    return await slow(name)


@workflow.defn
async def one_at_most(name: str) -> str:
    return await once_at_most(name)


@workflow.defn
async def waits_for_go() -> str:
    return await workflow.wait_for("go", type=str)


async def hook_with_steps(count: int) -> int:
    """A hook: slow enough to be killed in, and its steps leave lines."""
    return sum([await step(number) for number in range(count)])


@workflow.defn
async def hooked() -> list[int]:
    """Gives way to hooks until it is told to end."""
    own = asyncio.ensure_future(workflow.exec_hook(hook_with_steps, 10))
    await workflow.wait_for(f"end {workflow.info().workflow_id}")
    return [await own, await workflow.search().get("hooks", 0)]


@workflow.defn
async def remote_hook(count: int) -> int:
    """A workflow whose function is a hook for others: it counts in their record."""
    total = sum([await step(number) for number in range(count)])
    await workflow.search().incr("hooks")
    return total


@workflow.defn
async def hooks_another(workflow_id: str) -> int:
    return await workflow.exec_hook(remote_hook, 10, workflow_id=workflow_id)


@workflow.defn
async def asks_people(number: int) -> int:
    answer = await workflow.wait_for(f"people {number}", type=int, escalation={"role": "chaos"})
    return -1 if answer is None else answer
