"""What this machine does per second: `python -m memflow.dev.bench`, with one worker process and one client process.

The Postgres is $MEMFLOW_DSN, else the project's embedded one with its durable settings (every commit is flushed to disk).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from statistics import median

from memflow import activity, embedded, workflow
from memflow.client.client import Client
from memflow.dev.processes import worker_process

QUEUE = "memflow-bench"
MANY = 5000
LONG = 1000
SINGLE = 200


@activity.defn
async def echo(number: int) -> int:
    return number


@workflow.defn
async def one_activity(number: int) -> int:
    return await echo(number)


@workflow.defn
async def sequence(length: int) -> int:
    for step in range(length):
        await echo(step)
    return length


async def measure(dsn: str, schema: str) -> None:
    """Run each measurement once, after a warm-up, and print a line for it."""
    async with await Client.connect(dsn, schema=schema) as client:

        async def run(number: int) -> None:
            await client.workflow.execute(one_activity, number, task_queue=QUEUE)

        with worker_process("memflow.dev.bench", dsn=dsn, schema=schema, queue=QUEUE):
            await asyncio.gather(*(run(number) for number in range(500)))
            begun = time.perf_counter()
            await asyncio.gather(*(run(number) for number in range(MANY)))
            _tell(f"{MANY} workflows of one activity, all at once", MANY / (time.perf_counter() - begun), "workflows/s")
            begun = time.perf_counter()
            await client.workflow.execute(sequence, LONG, task_queue=QUEUE)
            _tell(f"one workflow of {LONG} activities in sequence", LONG / (time.perf_counter() - begun), "activities/s")
            took: list[float] = []
            for number in range(SINGLE):
                begun = time.perf_counter()
                await run(number)
                took.append(time.perf_counter() - begun)
            _tell("one workflow of one activity, start to result, median", median(took) * 1000, "ms")


def _tell(what: str, number: float, unit: str) -> None:
    print(f"{what:<60} {number:>10,.1f} {unit}", flush=True)


def main() -> None:
    """The command."""
    with contextlib.ExitStack() as cleanup:
        dsn = os.environ.get("MEMFLOW_DSN") or cleanup.enter_context(embedded.start()).dsn
        asyncio.run(measure(dsn, "memflow_bench"))


if __name__ == "__main__":
    main()
