"""A workflow of a worker process that waits for somebody to complete its activity from outside."""

from __future__ import annotations

from memflow import RetryPolicy, activity, workflow


@activity.defn
async def open_question() -> str:
    activity.raise_complete_async()


@workflow.defn
async def waits_for_an_answer(limit: float | None = None) -> str:
    return await workflow.execute_activity(
        open_question, start_to_close_timeout=limit, retry=RetryPolicy(initial_interval=0.01)
    )
