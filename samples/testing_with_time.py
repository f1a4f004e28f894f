"""Tests that skip time: run them with `pytest samples/testing_with_time.py`, or with `python samples/testing_with_time.py`."""

from datetime import timedelta
from typing import Any

import pytest

from memflow import RetryPolicy, activity, workflow
from memflow_testing import WorkflowEnvironment

pytestmark = pytest.mark.asyncio


@activity.defn(retry=RetryPolicy(initial_interval="10 seconds", maximum_interval="1 hour", maximum_attempts=11))
async def send_mail(to: str, text: str) -> str:
    raise NotImplementedError("there is no mail server in a test")


@workflow.defn
async def reminder(customer: str) -> str:
    answer = await workflow.wait_for(f"answer:{customer}", timeout="30 days", default=None)
    if answer is not None:
        return f"answered: {answer}"
    return await send_mail(customer, "are you still there?")


async def test_a_customer_who_says_nothing_is_reminded_after_a_month(memflow_env: WorkflowEnvironment) -> None:
    async def fake_mail(to: str, text: str) -> str:
        return f"mailed {to}"

    before = await memflow_env.get_current_time()
    async with memflow_env.worker(reminder, activities=[send_mail], replace={send_mail: fake_mail}):
        handle = await memflow_env.client.workflow.start(reminder, "ann", task_queue=memflow_env.task_queue)
        assert await handle.result() == "mailed ann"  # a month passes here, in some milliseconds
        handle.assert_called(send_mail, "ann", "are you still there?", times=1)
    assert await memflow_env.get_current_time() - before >= timedelta(days=30)


async def test_an_answer_on_the_last_day_counts(memflow_env: WorkflowEnvironment) -> None:
    async with memflow_env.worker(reminder, activities=[send_mail]):
        handle = await memflow_env.client.workflow.start(reminder, "ann", task_queue=memflow_env.task_queue)
        await memflow_env.sleep("29 days")
        await memflow_env.client.signal("answer:ann", "yes")
        assert await handle.result() == "answered: yes"


async def test_a_mail_server_that_is_down_for_hours_is_tried_again(memflow_env: WorkflowEnvironment) -> None:
    attempts: list[int] = []

    async def comes_back(to: str, text: str) -> str:
        attempts.append(activity.info().attempt)
        if len(attempts) < 11:
            raise ConnectionError("the server is down")
        return "mailed at last"

    fakes: dict[Any, Any] = {send_mail: comes_back}
    async with memflow_env.worker(reminder, activities=[send_mail], replace=fakes):
        assert await memflow_env.client.workflow.execute(reminder, "bob", task_queue=memflow_env.task_queue) == "mailed at last"
    assert attempts == list(range(1, 12))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q", "-W", "ignore::pytest.PytestAssertRewriteWarning"]))
