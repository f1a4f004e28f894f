"""A schedule: fired by the clock, triggered by hand, and filled in for a day that has passed."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

from memflow import Client, Worker, workflow


@workflow.defn
async def report(region: str) -> str:
    at = workflow.info().scheduled_at
    return f"report for {region} as of {at:%Y-%m-%d %H:%M:%S}"


async def main() -> None:
    async with await Client.connect() as client:  # $MEMFLOW_DSN, or a Postgres of this project's own
        async with Worker(client, task_queue="reports", workflows=[report]):
            id = f"report-{uuid4().hex[:6]}"
            schedule = await client.schedule.create(id, report, "eu", every="1 second", task_queue="reports", overlap="buffer_all")
            while (await schedule.describe()).actions < 2:
                await asyncio.sleep(0.1)

            await schedule.update(spec="0 9 * * MON-FRI", zone="Europe/Berlin")
            await schedule.pause(note="shown enough")
            started = (await schedule.describe()).actions
            await schedule.backfill(datetime(2026, 3, 27, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC))
            while (described := await schedule.describe()).actions < started + 2 or described.running:
                await asyncio.sleep(0.1)

            async for run in client.workflow.list(f'schedule = "{id}"'):
                print(await client.get_handle(run.id).result())
            print("next:", ", ".join(f"{at:%a %d %b %H:%M} UTC" for at in described.next_times[:3]))
            await schedule.delete()


asyncio.run(main())
