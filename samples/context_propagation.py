"""A context variable that follows a request: from the caller into the workflow, its activities and its children."""

import asyncio
from contextvars import ContextVar

from memflow import Client, Worker, activity, workflow
from memflow.interceptors import ContextPropagator

USER: ContextVar[str] = ContextVar("user", default="nobody")


@activity.defn
async def write_audit(what: str) -> str:
    return f"{USER.get()} {what}"


@workflow.defn
async def ship(item: str) -> str:
    return await write_audit(f"shipped {item}")


@workflow.defn
async def order(item: str) -> list[str]:
    return [await write_audit(f"ordered {item}"), await workflow.execute_child(ship, item)]


async def main() -> None:
    propagator = ContextPropagator({"x-user": USER})
    async with Client.connect(interceptors=[propagator]) as client:  # the worker made from it uses it too
        async with Worker(client, task_queue="audit", workflows=[order, ship], activities=[write_audit]):
            for user in ("ann", "ben"):
                USER.set(user)
                for line in await client.workflow.execute(order, "a book", task_queue="audit"):
                    print(line)


asyncio.run(main())
