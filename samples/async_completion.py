import asyncio

from memflow import Client, Worker, activity, workflow
from memflow.errors import ActivityNotFoundError

letters: asyncio.Queue[bytes] = asyncio.Queue()  # stands for a mail, a queue of another system, a form that a person fills in


@activity.defn
async def ask_the_boss(question: str) -> bool:
    await letters.put(activity.info().task_token)
    activity.raise_complete_async()  # this function ends, the activity stays open, whatever becomes of this worker


@workflow.defn
async def expense(cents: int) -> str:
    approved = await workflow.execute_activity(ask_the_boss, f"spend {cents}?", schedule_to_close_timeout="1 week")
    return "paid" if approved else "refused"


async def boss(client: Client) -> None:
    token = await letters.get()
    answer = client.get_activity_handle(token)
    await answer.heartbeat("thinking")
    await answer.complete(True)
    try:
        await answer.complete(False)
    except ActivityNotFoundError as error:
        print("a second answer:", error)


async def main() -> None:
    async with await Client.connect() as client:
        async with Worker(client, task_queue="expenses", workflows=[expense], activities=[ask_the_boss]):
            handle = await client.workflow.start(expense, 500, task_queue="expenses")
            await boss(client)
            print(await handle.result())


asyncio.run(main())
