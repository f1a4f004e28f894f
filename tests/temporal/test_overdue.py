"""Timeouts of workflows fire although no worker serves their queue, as on a server that is always there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from memflow.temporal.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from memflow.temporal.exceptions import TimeoutError
from tests.polling import until

SOON = timedelta(milliseconds=50)


async def test_who_waits_for_the_result_hears_of_the_timeout(client: Client, queue: str) -> None:
    for option in ("run_timeout", "execution_timeout"):
        limit: dict[str, Any] = {option: SOON}
        with pytest.raises(WorkflowFailureError) as failed:
            await client.execute_workflow("Nobody", id=f"{queue}-{option}", task_queue=queue, **limit)
        assert isinstance(failed.value.cause, TimeoutError)


async def test_who_describes_it_sees_that_it_timed_out(client: Client, queue: str) -> None:
    handle = await client.start_workflow("Nobody", id=queue, task_queue=queue, execution_timeout=SOON)

    async def is_over() -> bool:
        return (await handle.describe()).status is WorkflowExecutionStatus.TIMED_OUT

    await until(is_over)
    assert (await handle.describe()).close_time is not None
