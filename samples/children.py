"""Children: runs of their own, whose results and failures come back to the run that started them."""

import asyncio

from memflow import ChildWorkflowError, Client, Worker, workflow


@workflow.defn
async def word_count(text: str) -> int:
    if not text:
        raise ValueError("nothing to count")
    return len(text.split())


@workflow.defn
async def patient() -> str:
    return str(await workflow.wait_for("news"))


@workflow.defn
async def library(texts: list[str]) -> int:
    counts = await asyncio.gather(*(workflow.execute_child(word_count, text) for text in texts))
    try:
        await workflow.execute_child(word_count, "")
    except ChildWorkflowError as error:
        print("  one child failed:", error.__cause__)
    listener = await workflow.start_child(patient)
    await listener.signal("news", "hello")
    print("  a child heard:", await listener.result())
    return sum(counts)


async def main() -> None:
    async with await Client.connect() as client, Worker(client, task_queue="books", workflows=[library, word_count, patient]):
        handle = await client.workflow.start(library, ["a b c", "d e"], task_queue="books")
        print("words:", await handle.result())
        async for run in client.workflow.list(f'parent = "{handle.id}"', order="started asc"):
            print(" ", run.type, run.status)


asyncio.run(main())
