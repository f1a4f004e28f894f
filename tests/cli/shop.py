"""Workflows for the command line to look at."""

from __future__ import annotations

from memflow import activity, workflow


@activity.defn
async def weigh(item: str) -> int:
    return len(item)


@workflow.defn(name="ship")
async def ship(item: str) -> str:
    await workflow.sleep_for("1 day")
    return f"{item} weighs {await weigh(item)}"


@workflow.defn(name="other")
async def other() -> None:
    await workflow.wait_for("never")
