"""A workflow that asks people: someone claims the question and answers it; what nobody answers goes to the boss."""

import asyncio

from memflow import Client, EscalationError, Worker, workflow


@workflow.defn
async def refund(order: str, cents: int) -> str:
    answer = await workflow.wait_for(
        f"refund {order}",
        timeout="1 second" if cents > 1000 else None,
        default=None,
        escalation=workflow.Escalation(role="clerk", type="refund", metadata={"order": order, "cents": cents}),
    )
    if answer is None:  # its time was up: ask somebody else, with more weight
        answer = await workflow.wait_for(
            f"refund {order}, again", escalation={"role": "boss", "type": "refund", "priority": 1, "metadata": {"order": order}}
        )
    return f"{order}: {answer}"


async def answer(client: Client, role: str, name: str, text: str) -> None:
    while not (found := await client.escalations.list(role=role, status="pending")):  # noqa: ASYNC110
        await asyncio.sleep(0.05)  # people look now and then
    mine = await client.escalations.claim(found[0].id, assignee=name, duration="5 minutes")
    print(f"{name} holds {mine.metadata['order']}")
    try:
        await client.escalations.claim(mine.id, assignee="somebody else")
    except EscalationError as error:
        print("somebody else cannot:", error.reason)
    await client.escalations.resolve(mine.id, f"{text} ({name})", assignee=name)


async def main() -> None:
    async with await Client.connect() as client:
        async with Worker(client, task_queue="refunds", workflows=[refund]):
            small = await client.workflow.start(refund, "order-1", 500, task_queue="refunds")
            await answer(client, "clerk", "ann", "granted")
            print(await small.result())
            large = await client.workflow.start(refund, "order-2", 5000, task_queue="refunds")
            await answer(client, "boss", "bob", "refused")
            print(await large.result())
            ended = await client.escalations.list(metadata={"order": "order-2"}, order="-created_at")
            print([f"{each.role}: {each.status}" for each in ended])


asyncio.run(main())
