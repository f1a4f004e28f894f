"""Scenarios of runs that work: how many per second, how long one takes, and how that changes with length and size."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

from memflow.bench import workload
from memflow.bench.report import Report
from memflow.bench.stage import QUEUE, Stage
from memflow.client.client import Client

PAYLOAD_SIZES = (100, 1_000, 10_000, 100_000)
"""Bytes. Postgres compresses and moves aside (TOAST) what is longer than about 2,000."""

LENGTHS = (100, 1_000)
"""Activities of the shorter sequences, beside which a long one should not be slower."""

REMOTE_WIDTH = 100
"""Activities at a time that one workflow has on another worker's queue."""


async def throughput(stage: Stage, count: int) -> AsyncGenerator[Report]:
    """Workflows of one activity: started with many calls in flight, until the last one has completed."""
    await stage.start_workers()
    yield await _many(stage, "throughput", workload.single, count, stage.payload, "workflows of 1 activity")


async def as_class(stage: Stage, count: int) -> AsyncGenerator[Report]:
    """The same with workflows that are classes."""
    await stage.start_workers()
    yield await _many(stage, "class", "bench-class", count, stage.payload, "class workflows of 1 activity")


async def payload(stage: Stage, count: int) -> AsyncGenerator[Report]:
    """The same with larger and larger arguments. Chance makes them, so that nothing is saved by compression."""
    await stage.start_workers()
    letters = random.Random(0)
    for size in PAYLOAD_SIZES:
        value = "".join(letters.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/", k=size))
        few = max(1, min(count, 20_000_000 // size))         # 20 MB of arguments are enough to see the price of one
        yield await _many(stage, "payload", workload.single, few, value, f"workflows passing on {size:,} bytes")


async def _many(stage: Stage, scenario: str, workflow: Any, count: int, value: str, what: str) -> Report:
    done = await stage.completed()
    async with stage.measuring() as measured:
        await stage.start_many(count, workflow, lambda _: [value])
        await stage.until_completed(done + count)
    what = f"{count:,} {what}, {stage.settings.in_flight} calls in flight, {stage.settings.workers} worker(s)"
    return stage.report(scenario, what, measured, unit="workflow", count=count)


async def latency(stage: Stage, count: int) -> AsyncGenerator[Report]:
    """One workflow after the other, from the call of start until the result is here."""
    await stage.start_workers()
    took: list[float] = []
    async with stage.measuring() as measured:
        for number in range(count):
            begun = time.perf_counter()
            await stage.client.workflow.execute(workload.single, stage.payload, task_queue=QUEUE)
            took.append(time.perf_counter() - begun)
            stage.progress.count("running", number, count)
    what = f"start to result of {count:,} workflows of 1 activity, one at a time"
    yield stage.report("latency", what, measured, unit="workflow", count=count, latencies=took)


async def sequence(stage: Stage, count: int) -> AsyncGenerator[Report]:
    """One workflow of many activities in a row, for several lengths: the rate should be the same for all."""
    await stage.start_workers()
    for length in sorted({each for each in LENGTHS if each < count} | {count}):
        stage.progress.say(f"{length:,} activities in a row")
        async with stage.measuring() as measured:
            await stage.client.workflow.execute(workload.sequence, length, stage.payload, task_queue=QUEUE)
        yield stage.report("sequence", f"{length:,} activities in a row in one workflow", measured, unit="activity", count=length)


async def fan_out(stage: Stage, count: int) -> AsyncGenerator[Report]:
    """One workflow that asks for all its activities at once."""
    await stage.start_workers()
    async with stage.measuring() as measured:
        await stage.client.workflow.execute(workload.fan, count, stage.payload, task_queue=QUEUE)
    yield stage.report("fan-out", f"{count:,} activities at once in one workflow", measured, unit="activity", count=count)


async def queues(stage: Stage, count: int) -> AsyncGenerator[Report]:
    """Activities on the queue of another process: each one is a row there, claimed and settled."""
    await stage.start_workers()
    await stage.start_worker(queue="bench-remote", serve="activities")
    width = min(count, REMOTE_WIDTH)
    runs = max(1, count // width)
    done = await stage.completed()
    async with stage.measuring() as measured:
        await stage.start_many(runs, workload.remote, lambda _: [width, "bench-remote", stage.payload])
        await stage.until_completed(done + runs)
    what = f"{runs * width:,} activities of {runs:,} workflows, on the queue of another worker process"
    yield stage.report("queues", what, measured, unit="activity", count=runs * width)


async def mixed(stage: Stage, count: int) -> AsyncGenerator[Report]:
    """A bit of everything at the same time; the percentiles are those of the workflows of one activity among it."""
    await stage.start_workers()
    took: list[float] = []
    async with stage.measuring() as measured:
        await stage.each(range(count), lambda number: _one_of_many(stage, number, took))
    what = f"{count:,} workflows: 6 of 10 of 1 activity, the others a sequence of 10, a signal, a timer of 0.2 s, a child"
    yield stage.report("mixed", what, measured, unit="workflow", count=count, latencies=took)


async def _one_of_many(stage: Stage, number: int, took: list[float]) -> None:
    client: Client = stage.client
    match number % 10:
        case 6:
            await client.workflow.execute(workload.sequence, 10, stage.payload, task_queue=QUEUE)
        case 7:
            signal = stage.name("mixed")
            handle = await client.workflow.start(workload.waiting, signal, task_queue=QUEUE)
            await client.signal(signal)
            await handle.result()
        case 8:
            due = time.time() + stage.meter.clock_offset + 0.2
            await client.workflow.execute(workload.sleeping, due, task_queue=QUEUE)
        case 9:
            await client.workflow.execute(workload.parent, stage.payload, task_queue=QUEUE)
        case _:
            begun = time.perf_counter()
            await client.workflow.execute(workload.single, stage.payload, task_queue=QUEUE)
            took.append(time.perf_counter() - begun)
    stage.progress.count("running", number, number + 1)


async def backlog(stage: Stage, count: int) -> AsyncGenerator[Report]:
    """The time of one claim with few and with many runs due: it must not grow. No worker process: the claims are made here."""
    few = min(1_000, count)
    due = 0
    for size in sorted({few, count}):
        await stage.start_many(size - due, workload.single, lambda _: [stage.payload], queue="bench-backlog")
        due = size
        took = await _claims(stage, at_a_time=10, claims=max(1, min(50, size // 20)))
        yield stage.report(
            "backlog", f"a claim of 10 runs while {size:,} are due", None, unit="claim", count=len(took), latencies=took
        )


async def _claims(stage: Stage, *, at_a_time: int, claims: int) -> list[float]:
    """Claim, and hand back at the end."""
    store = stage.client.store
    worker = await store.register_worker(
        identity="bench", task_queues=["bench-backlog"], types=["bench-single"], lease=timedelta(minutes=5), version=None
    )
    took: list[float] = []
    try:
        for _ in range(claims):
            begun = time.perf_counter()
            await store.claim_runs(worker, task_queues=["bench-backlog"], limit=at_a_time)
            took.append(time.perf_counter() - begun)
            await asyncio.sleep(0)
    finally:
        await store.unregister_worker(worker)
    return took
