"""Where a scenario plays: a schema of its own, worker processes, a client, and the counters. Nothing is left behind."""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from memflow.bench import workload
from memflow.bench.machine import busy_seconds, facts
from memflow.bench.meter import PREFIX, Meter, Reading
from memflow.bench.progress import Progress
from memflow.bench.report import Cost, Report, limiting, percentiles
from memflow.bench.settings import Settings
from memflow.bench.statements import counting
from memflow.bench.workers import Usage, WorkerProcess
from memflow.client.client import Client
from memflow.client.handle import Handle

T = TypeVar("T")

QUEUE = "bench"
WARM_UP = 100
"""Workflows before the measured ones: statements get prepared, caches filled."""

PATIENCE_SECONDS = 600.0
"""How long a stretch of work may take before the benchmark gives up."""


@dataclass(slots=True)
class Measured:
    """A stretch of work: how long it took, and, afterwards, what it cost."""

    seconds: float = 0.0
    cost: Cost | None = None


class Stage:
    """One scenario's surroundings. Made by `stage`."""

    def __init__(
        self,
        dsn: str,
        schema: str,
        settings: Settings,
        *,
        meter: Meter,
        client: Client,
        statements: Counter[str],
        progress: Progress,
    ) -> None:
        self.settings = settings
        self.meter = meter
        self.client = client
        self.progress = progress
        self.payload = "x" * settings.payload
        self.machine: dict[str, Any] = {}
        self._dsn = dsn
        self._schema = schema
        self._statements = statements
        self._workers: list[WorkerProcess] = []
        self._gone = Usage()
        self._numbers = itertools.count(1)

    # ------------------------------------------------------------------------------------------------- workers

    async def start_worker(self, *, queue: str = QUEUE, serve: str = "all") -> WorkerProcess:
        """One more worker process, ready to work."""
        worker = await WorkerProcess.start(self._dsn, self._schema, queue=queue, serve=serve)
        self._workers.append(worker)
        return worker

    async def start_workers(self) -> None:
        """As many as were asked for, warmed up."""
        self.progress.say("starting workers")
        await asyncio.gather(*(self.start_worker() for _ in range(self.settings.workers)))
        await self.warm_up()

    async def warm_up(self) -> None:
        """Run some workflows that are not measured."""
        await self.each(range(min(WARM_UP, self.settings.n or WARM_UP)), lambda _: self.client.workflow.execute(
            workload.single, "warm", task_queue=QUEUE
        ))  # fmt: skip

    @property
    def workers(self) -> list[WorkerProcess]:
        """Those that run."""
        return list(self._workers)

    async def kill_worker(self, worker: WorkerProcess) -> None:
        """SIGKILL. What it cost stays counted."""
        self._gone.add(await worker.usage())
        self._workers.remove(worker)
        await worker.kill()

    async def usage(self) -> Usage:
        """What the workers cost so far, those that are gone included."""
        total = Usage()
        total.add(self._gone)
        for one in await asyncio.gather(*(worker.usage() for worker in self._workers)):
            total.add(one)
        return total

    async def stop_workers(self) -> None:
        """All of them, at the end."""
        await asyncio.gather(*(worker.stop() for worker in self._workers))
        self._workers.clear()

    async def kill_workers(self) -> None:
        """All of them, whatever happened."""
        await asyncio.gather(*(worker.kill() for worker in self._workers))

    # ------------------------------------------------------------------------------------------------- work

    def name(self, kind: str) -> str:
        """A name nobody has had in this schema."""
        return f"{kind}-{next(self._numbers)}"

    async def each(self, items: Iterable[T], work: Callable[[T], Awaitable[object]], *, at_once: int | None = None) -> None:
        """`work` for each, as many at a time as calls may be in flight."""
        left = iter(items)

        async def feed() -> None:
            for item in left:
                await work(item)

        async with asyncio.TaskGroup() as group:
            for _ in range(at_once or self.settings.in_flight):
                group.create_task(feed())

    async def start_many(
        self, count: int, workflow: Any, arguments: Callable[[int], Sequence[Any]], *, queue: str = QUEUE
    ) -> list[Handle[Any]]:
        """Start `count` workflows, and give their handles in the order of their numbers."""
        handles: dict[int, Handle[Any]] = {}

        async def start(number: int) -> None:
            given = list(arguments(number))
            handles[number] = await self.client.workflow.start(workflow, args=given, task_queue=queue)
            self.progress.count("starting", len(handles), count)

        await self.each(range(count), start)
        return [handles[number] for number in range(count)]

    async def until_completed(self, count: int) -> None:
        """Wait until so many workflows have completed in this schema."""
        self.progress.say("waiting for the last ones")
        await self.meter.until(count, "v_runs", "status = 'completed'", seconds=PATIENCE_SECONDS)

    async def completed(self) -> int:
        """How many workflows have completed in this schema."""
        return await self.meter.count("v_runs", "status = 'completed'")

    # ------------------------------------------------------------------------------------------------- measuring

    @asynccontextmanager
    async def measuring(self) -> AsyncGenerator[Measured]:
        """Count what happens while the block runs."""
        before, usage, statements = await self.meter.read(), await self.usage(), Counter(self._statements)
        measured = Measured()
        busy, cpu, begun = busy_seconds(), time.process_time(), time.perf_counter()
        yield measured
        measured.seconds = time.perf_counter() - begun
        client_cpu = time.process_time() - cpu
        busy_now = busy_seconds()
        after_cpu = self.meter.cpu_seconds()
        now = await self.usage()
        after = await self.meter.read()
        measured.cost = Cost(
            seconds=measured.seconds,
            commits=after.transactions - before.transactions,
            wal_bytes=after.wal_bytes - before.wal_bytes,
            rows_left=after.rows - before.rows,
            worker_statements=_gained(usage.statements, now.statements),
            client_statements=_gained(statements, self._statements),
            worker_cpu=now.cpu_seconds - usage.cpu_seconds,
            client_cpu=client_cpu,
            postgres_cpu=_postgres_cpu(before, after_cpu),
            peak_memory_mb=round(now.peak_memory_mb, 1),
            machine_cpu=None if busy is None or busy_now is None else busy_now - busy,
            workers=len(self._workers),
        )

    def report(
        self,
        scenario: str,
        what: str,
        measured: Measured | None,
        *,
        unit: str,
        count: int,
        latencies: Sequence[float] = (),
        figures: dict[str, float | None] | None = None,
        with_rate: bool = True,
    ) -> Report:
        """What was found. `latencies` in seconds."""
        cost = None if measured is None else measured.cost
        return Report(
            scenario=scenario,
            what=what,
            unit=unit,
            count=count,
            seconds=None if measured is None else round(measured.seconds, 4),
            rate=None if measured is None or not with_rate else round(count / measured.seconds, 1),
            latency_ms=percentiles(latencies),
            figures=figures or {},
            per_unit=None if cost is None else cost.per(count),
            statements=None if cost is None else {
                "worker": dict(cost.worker_statements), "client": dict(cost.client_statements)
            },
            peak_memory_mb=None if cost is None else cost.peak_memory_mb,
            limit=None if cost is None else limiting(
                cost, cpus=self.machine["cpus"], flush_ms=self.machine["postgres"]["flush_ms"]
            ),
        )  # fmt: skip


@asynccontextmanager
async def stage(dsn: str, settings: Settings, progress: Progress, machine: dict[str, Any]) -> AsyncGenerator[Stage]:
    """Set up for one scenario. `machine` is filled at the first, and told to all."""
    schema = f"{PREFIX}{os.getpid()}_{secrets.token_hex(3)}"
    async with AsyncExitStack() as cleanup:
        meter = await Meter.open(dsn, schema)
        cleanup.push_async_callback(meter.close)
        statements = cleanup.enter_context(counting())
        client = await Client.connect(dsn, schema=schema)
        cleanup.push_async_callback(client.close)
        made = Stage(dsn, schema, settings, meter=meter, client=client, statements=statements, progress=progress)
        if not machine:
            machine.update(facts(), workers=settings.workers, postgres=await meter.facts())
        made.machine = machine
        cleanup.push_async_callback(made.kill_workers)
        yield made
        await made.stop_workers()


def _gained(before: dict[str, int] | Counter[str], after: dict[str, int] | Counter[str]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in sorted(after.items()) if count > before.get(name, 0)}


def _postgres_cpu(before: Reading, after: float | None) -> float | None:
    return None if before.cpu_seconds is None or after is None else after - before.cpu_seconds
