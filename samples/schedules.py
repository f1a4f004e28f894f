"""A schedule: fired by the clock, then filled in for days that have passed."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

from memflow import Client, Worker, workflow
from memflow.client import ScheduleDescription, ScheduleHandle


@workflow.defn
async def report(region: str) -> str:
    at = workflow.info().scheduled_at
    return f"report for {region} as of {at:%Y-%m-%d %H:%M:%S}"


async def main() -> None:
    async with await Client.connect() as client:  # $MEMFLOW_DSN, or a Postgres of this project's own
        async with Worker(client, task_queue="reports", workflows=[report]):
            id = f"report-{uuid4().hex[:6]}"
            schedule = await client.schedule.create(id, report, "eu", every="1 second", task_queue="reports")
            await until_started(schedule, 2)

            await schedule.update(spec="0 9 * * MON-FRI", zone="Europe/Berlin")
            await schedule.backfill(datetime(2026, 3, 27, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC))  # over a weekend
            described = await until_started(schedule, (await schedule.describe()).actions + 2)
            for run in described.recent:
                print(await client.get_handle(run.workflow_id).result())
            print("next:", ", ".join(f"{at:%a %d %b %H:%M} UTC" for at in described.next_times[:3]))
            await schedule.delete()


async def until_started(schedule: ScheduleHandle, count: int) -> ScheduleDescription:
    for _ in range(100):
        described = await schedule.describe()
        if described.actions >= count:
            return described
        await asyncio.sleep(0.1)
    raise TimeoutError(f"fewer than {count} runs after 10 seconds")


asyncio.run(main())
