import asyncio
from uuid import uuid4

from memflow import Client, RetryPolicy, Worker, activity
from memflow.errors import ActivityError


@activity.defn
async def send_mail(to: str) -> str:
    if activity.info().attempt < 3:
        raise ConnectionError("the mail server is busy")
    return f"sent to {to} at attempt {activity.info().attempt}"


async def main() -> None:
    async with await Client.connect() as client:
        # No workflow: one durable call, with retries, timeouts, an id that counts once, and a result to come back for.
        id = f"welcome-{uuid4()}"
        soon = RetryPolicy(initial_interval="100 ms")
        handle = await client.activity.start(send_mail, "ada@example.org", id=id, task_queue="mail", retry=soon)
        async with Worker(client, task_queue="mail", activities=[send_mail]):
            print(await handle.result())
            print(await client.activity.get_handle(id).status())
            once = RetryPolicy(maximum_attempts=1)
            try:
                await client.activity.execute(send_mail, "bob@example.org", task_queue="mail", retry=once)
            except ActivityError as error:
                print("failed:", error.cause)


asyncio.run(main())
