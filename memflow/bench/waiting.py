"""Scenarios of runs that wait, for a signal or for a time, and of workers that die."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

from memflow.bench import workload
from memflow.bench.report import Report
from memflow.bench.stage import PATIENCE_SECONDS, QUEUE, Stage

STEPS = 10
"""Activities of each workflow of the recovery scenario."""

KILL_AFTER = 0.3
"""The share of all activities that are done when the worker is killed: most workflows are then under way."""

STARTS_PER_SECOND = 500
"""What is allowed for starting sleepers, before the first of them is due. A tenth of what a small machine does."""

WAKES_PER_SECOND = 250
"""How densely sleepers are due: few enough that lateness is that of one wake-up, not of a queue of them."""


async def signals(stage: Stage, count: int) -> AsyncGenerator[Report]:
    """Workflows that wait are all signalled: how fast signals are taken, and how soon a workflow goes on."""
    await stage.start_workers()
    names = [stage.name("signal") for _ in range(count)]
    handles = await stage.start_many(count, workload.waiting, lambda number: [names[number]])
    stage.progress.say("waiting until all wait")
    await stage.meter.until(count, "v_signals", "run_id is not null", seconds=PATIENCE_SECONDS)
    sent: dict[str, float] = {}
    done = await stage.completed()

    async def send(name: str) -> None:
        sent[name] = time.time()
        await stage.client.signal(name)

    async with stage.measuring() as measured:
        begun = time.perf_counter()
        await stage.each(names, send, at_once=16)
        sending = time.perf_counter() - begun
        await stage.until_completed(done + count)
    resumed = await asyncio.gather(*(handle.result() for handle in handles))
    took = [at - sent[name] for at, name in zip(resumed, names, strict=True)]
    figures: dict[str, float | None] = {"signals_sent_per_second": round(count / sending, 1)}
    what = f"{count:,} waiting workflows, signalled with 16 calls in flight; percentiles from signal to going on"
    yield stage.report("signals", what, measured, unit="signal", count=count, latencies=took, figures=figures)


async def sleepers(stage: Stage, count: int) -> AsyncGenerator[Report]:
    """Sleeping workflows: how fast they are started, what they cost while they sleep, and how late they wake."""
    await stage.start_workers()
    watch = stage.settings.watch_seconds
    rows, peak = (await stage.meter.read()).rows, (await stage.usage()).peak_memory_mb
    offset = stage.meter.clock_offset
    base = time.time() + offset + count / STARTS_PER_SECOND + watch + 4.0
    due = [base + number / WAKES_PER_SECOND for number in range(count)]
    async with stage.measuring() as starting:
        handles = await stage.start_many(count, workload.sleeping, lambda number: [due[number]])
        stage.progress.say("waiting until all sleep")
        await stage.meter.until(count, "v_runs", "owner is null and wake_at > now()", seconds=PATIENCE_SECONDS)
    memory = (await stage.usage()).peak_memory_mb
    left = (await stage.meter.read()).rows - rows
    idle = await _idle(stage, min(watch, base - (time.time() + offset) - 1.0))
    stage.progress.say("waiting until all woke")
    woke = await asyncio.gather(*(handle.result() for handle in handles))
    late = [at + offset - planned for at, planned in zip(woke, due, strict=True)]
    figures: dict[str, float | None] = {
        **idle,
        "rows_per_sleeper": round(left / count, 2),
        "worker_memory_grew_mb": round(max(0.0, memory - peak), 1),
        "earliest_ms": round(min(late) * 1000, 3),
    }
    what = f"{count:,} sleeping workflows; rate of going to sleep; percentiles of waking late, {WAKES_PER_SECOND} due per second"
    yield stage.report("sleepers", what, starting, unit="workflow", count=count, latencies=late, figures=figures)


async def _idle(stage: Stage, seconds: float) -> dict[str, float | None]:
    """CPU of the workers and of Postgres while nothing happens, in percent of a core. None if there was no time to look."""
    if seconds < 1.0:
        return {"idle_worker_cpu_percent": None, "idle_postgres_cpu_percent": None}
    stage.progress.say(f"watching them sleep for {seconds:.0f} s")
    usage, postgres, begun = await stage.usage(), stage.meter.cpu_seconds(), time.perf_counter()
    await asyncio.sleep(seconds)
    took, later, now = time.perf_counter() - begun, stage.meter.cpu_seconds(), await stage.usage()
    return {
        "idle_worker_cpu_percent": round((now.cpu_seconds - usage.cpu_seconds) / took * 100, 2),
        "idle_postgres_cpu_percent": None if postgres is None or later is None else round((later - postgres) / took * 100, 2),
    }


async def recovery(stage: Stage, count: int) -> AsyncGenerator[Report]:
    """The worker is killed with all its workflows under way; another one is started at once."""
    await stage.start_workers()
    workers = stage.workers
    handles = await stage.start_many(count, workload.steps, lambda _: [STEPS])
    stage.progress.say("waiting until they are under way")
    least = int(count * STEPS * KILL_AFTER)
    await stage.meter.until(least, "v_journal", "kind = 'activity_completed'", seconds=PATIENCE_SECONDS)
    await asyncio.gather(*(stage.kill_worker(worker) for worker in workers))
    killed = time.perf_counter()
    before = await stage.meter.count("v_journal", "kind = 'activity_completed'")
    stage.progress.say("killed; another worker goes on")
    await asyncio.gather(*(stage.start_worker() for _ in workers))
    ready = time.perf_counter() - killed
    await asyncio.gather(*(handle.result() for handle in handles))
    figures: dict[str, float | None] = {
        "all_done_seconds_after_the_kill": round(time.perf_counter() - killed, 3),
        "of_it_starting_a_process": round(ready, 3),
        "activities_done_before": before,
        "activities_in_all": count * STEPS,
    }
    what = f"kill -9 with {count:,} workflows of {STEPS} activities of 20 ms under way, then another worker"
    yield stage.report("recovery", what, None, unit="workflow", count=count, figures=figures)


async def replay(stage: Stage, count: int) -> AsyncGenerator[Report]:
    """A workflow that waits is signalled when only a fresh process is there: it has to be rebuilt from its journal."""
    worker = await stage.start_worker()
    took: dict[int, float] = {}
    for length in (1, count):
        signal = stage.name("replay")
        stage.progress.say(f"a past of {length:,} activities")
        handle = await stage.client.workflow.start(workload.long, length, stage.payload, signal, task_queue=QUEUE)
        await stage.meter.until(1, "v_signals", "signal_id = $1 and run_id is not null", signal, seconds=PATIENCE_SECONDS)
        await stage.kill_worker(worker)
        worker = await stage.start_worker()
        await stage.warm_up()
        sent = time.time()
        await stage.client.signal(signal)
        took[length] = await handle.result() - sent
    figures: dict[str, float | None] = {
        "resumed_after_ms": round(took[count] * 1000, 1),
        "resumed_after_ms_with_one_activity": round(took[1] * 1000, 1),
        "replay_ms": round((took[count] - took[1]) * 1000, 1),
    }
    what = f"a workflow of {count:,} activities goes on in a fresh process"
    yield stage.report("replay", what, None, unit="workflow", count=1, figures=figures)
