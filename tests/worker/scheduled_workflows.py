"""Workflows for tests of schedules, in a module of their own so that worker processes can import them."""

from __future__ import annotations

from datetime import timedelta

from memflow import ApplicationError, workflow


@workflow.defn
async def notes(text: str) -> str:
    """Tells who started it."""
    info = workflow.info()
    return f"{text} {info.schedule_id} {info.scheduled_at}"


@workflow.defn
async def waits() -> str:
    """Ends when told to."""
    return await workflow.wait_for(f"end {workflow.info().workflow_id}", type=str)


@workflow.defn
async def goes_on(left: int) -> str:
    """Ends after some runs of its chain, each of which waits to be told."""
    await workflow.wait_for(f"end {workflow.info().workflow_id}")
    if left:
        workflow.continue_as_new(left - 1)
    return str(workflow.info().schedule_id)


@workflow.defn
async def fails() -> None:
    raise ApplicationError("no", non_retryable=True)


@workflow.defn
async def naps() -> None:
    await workflow.sleep_for(timedelta(hours=1))


@workflow.defn
async def counts_up(fail_at: int) -> int:
    """Goes on where the run before it stopped; fails once on the way."""
    failure = workflow.get_last_failure()
    before = workflow.get_last_completion_result(int) if workflow.has_last_completion_result() else 0
    await workflow.wait_for(f"end {workflow.info().workflow_id}")
    assert before == workflow.get_last_completion_result(int) or before == 0
    if before == fail_at and failure is None:
        raise ApplicationError(f"failed at {before}", non_retryable=True)
    return (before or 0) + 1
