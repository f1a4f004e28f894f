"""A second coroutine inside a running workflow: from its own code, from another run, and from outside."""

import asyncio

from memflow import Client, Worker, activity, workflow


@activity.defn
async def research(topic: str) -> str:
    return f"all about {topic}"


async def look_into(topic: str) -> str:
    found = await research(topic)
    await workflow.entity().append("notes", found)  # the record of whatever run it is in
    return found


async def remark(text: str) -> None:
    await workflow.entity().append("notes", text)
    await workflow.signal(f"print {workflow.info().workflow_id}")


@workflow.defn
async def report() -> list[str]:
    await workflow.exec_hook_batch({"cats": (look_into, "cats"), "dogs": (look_into, "dogs")})  # side by side
    await workflow.wait_for(f"print {workflow.info().workflow_id}")
    return sorted(await workflow.entity().get("notes"))


@workflow.defn
async def editor(report_id: str) -> str:
    return await workflow.exec_hook(look_into, "birds", workflow_id=report_id)  # in the other run; its result comes back


async def main() -> None:
    async with await Client.connect() as client:
        async with Worker(
            client, task_queue="hooks", workflows=[report, editor], activities=[research], hooks=[look_into, remark]
        ):
            running = await client.workflow.start(report, task_queue="hooks")
            print("the editor read:", await client.workflow.execute(editor, running.id, task_queue="hooks"))
            await running.hook(remark, "a remark from outside", search={"remarked": True})
            for note in await running.result():
                print("-", note)


asyncio.run(main())
