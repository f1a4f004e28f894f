"""Failures: retries with a delay of their own, errors that no retry mends, and the chain of causes that arrives."""

import asyncio
from datetime import timedelta

from memflow import ActivityError, ApplicationError, Client, RetryPolicy, Worker, WorkflowFailedError, activity, workflow


@activity.defn(retry=RetryPolicy(initial_interval="1 minute"))
async def flaky() -> str:
    if activity.info().attempt < 3:
        raise ApplicationError("busy, come again soon", next_retry_delay=timedelta(milliseconds=50))
    return f"done at attempt {activity.info().attempt}"


@activity.defn
async def declined(card: str) -> None:
    try:
        raise ConnectionError("the bank hung up")
    except ConnectionError as error:
        raise ApplicationError("card declined", card, type="CardDeclined", non_retryable=True) from error


@workflow.defn
async def payment(card: str) -> str:
    print(" ", await flaky())
    try:
        await declined(card)
    except ActivityError as error:
        cause = error.cause
        assert isinstance(cause, ApplicationError)
        print("  caught:", cause.type, cause.details, "because of", cause.__cause__)
        raise ApplicationError("payment failed", type="PaymentFailed") from error
    return "paid"


async def main() -> None:
    async with (
        await Client.connect() as client,
        Worker(client, task_queue="payments", workflows=[payment], activities=[flaky, declined]),
    ):
        try:
            await client.workflow.execute(payment, "4242", task_queue="payments")
        except WorkflowFailedError as failed:
            error: BaseException | None = failed
            while error is not None:
                print(f"  {type(error).__name__}: {error}")
                error = error.__cause__


asyncio.run(main())
