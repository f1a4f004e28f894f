"""Payloads encrypted before they leave the process, and keys that rotate while a run is open.

Needs the extra `crypto`: pip install 'memflow[crypto]'.
"""

import asyncio
import secrets
from uuid import uuid4

from memflow import Client, Worker, activity, workflow
from memflow.codec import Compression, Encryption

OLD_KEY, NEW_KEY = secrets.token_bytes(32), secrets.token_bytes(32)  # in earnest from your secret store


@activity.defn
async def charge(card: str, cents: int) -> str:
    return f"charged {cents} cents to the card ending in {card[-4:]}"


@workflow.defn
async def checkout(card: str, cents: int) -> str:
    await workflow.wait_for(f"confirmed-{workflow.info().workflow_id}")
    return await charge(card, cents)


async def main() -> None:
    id = f"checkout-{uuid4()}"

    first = Encryption(keys={"2025-07": OLD_KEY}, active="2025-07")
    print("started under the key 2025-07")
    async with Client.connect(codec=[Compression(), first]) as client:
        await client.workflow.start(checkout, "4242-4242-4242-4242", 1999, id=id, task_queue="checkout")

    print("carried on under the key 2026-01, which is added beside the old one")
    rotated = Encryption(keys={"2026-01": NEW_KEY, "2025-07": OLD_KEY}, active="2026-01")
    async with Client.connect(codec=[Compression(), rotated]) as client:
        async with Worker(client, task_queue="checkout", workflows=[checkout], activities=[charge]):
            await client.signal(f"confirmed-{id}")
            print(await client.get_handle(id).result())

    print("what somebody sees who has the database, but no key:")
    async with Client.connect() as client:
        print(" ", (await client.get_handle(id).describe()).arguments)


asyncio.run(main())
