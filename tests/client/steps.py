"""A workflow of many small steps, for workers in processes of their own."""

from __future__ import annotations

from memflow import activity, workflow


@activity.defn
async def step(number: int) -> int:
    return number


@workflow.defn
async def many(count: int) -> int:
    for number in range(count):
        await step(number)
    return count
