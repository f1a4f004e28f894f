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
