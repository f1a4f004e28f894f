"""`memflow demo`: an order whose worker is killed half-way, and which finishes all the same.

Everything is real: a Postgres, a worker process, SIGKILL, another worker process, and the journal that both wrote to.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from datetime import UTC, datetime
from typing import Any

from memflow import embedded
from memflow.client.client import Client
from memflow.client.handle import Handle
from memflow.core.entries import JournalEntry
from memflow.core.interrupts import ScheduleActivity
from memflow.core.timeline import duration, render, timeline
from memflow.dev.order import order_workflow, reserve_item
from memflow.dev.processes import worker_process
from memflow.names import new_id

QUEUE = "memflow-demo"
PATIENCE_SECONDS = 50.0


def demonstrate(dsn: str | None = None, *, schema: str = "memflow") -> None:
    """Show it, on the database given or the project's embedded Postgres.

    Raises:
        TimeoutError: a step took longer than `PATIENCE_SECONDS`.
        MemflowError: no database, or the run failed.
    """
    with contextlib.ExitStack() as cleanup:
        given = dsn or os.environ.get("MEMFLOW_DSN")
        if given is None:
            begun = time.perf_counter()
            server = cleanup.enter_context(embedded.start())
            print(f"Postgres is up after {duration(time.perf_counter() - begun)}, data in {server.root}", flush=True)
            given = server.dsn
        asyncio.run(_tell(given, schema))


async def _tell(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, asyncio.timeout(PATIENCE_SECONDS):
        with worker_process("memflow.dev.order", dsn=dsn, schema=schema, queue=QUEUE) as first:
            order = f"order-{new_id()[-8:]}"
            print(f"Starting order_workflow('item-123', 5) as {order}; worker {first.pid} takes it", flush=True)
            handle = await client.workflow.start(order_workflow, "item-123", 5, id=order, task_queue=QUEUE)
            await _reservation_began(handle)
            first.kill()
            killed = datetime.now(UTC)
            first.wait()
        print(f"  kill -9 {first.pid}   in the middle of reserve_item: what it held in memory is gone", flush=True)
        with worker_process("memflow.dev.order", dsn=dsn, schema=schema, queue=QUEUE) as second:
            print(f"Another worker, {second.pid}, finds the order in Postgres", flush=True)
            result = await handle.result()
        await _show(handle, [(killed, f"kill -9 of worker {first.pid}")], result)
    print(f"Look again: memflow run show {order}", flush=True)


async def _reservation_began(handle: Handle[Any]) -> None:
    """Wait until Postgres knows that the second activity runs, and let it run for a moment."""
    begun: set[str] = set()
    while reserve_item.__name__ not in begun:
        await asyncio.sleep(0.05)
        begun = {entry.entry.name for entry in await handle.history() if isinstance(entry.entry, ScheduleActivity)}
    await asyncio.sleep(0.3)


async def _show(handle: Handle[Any], notes: list[tuple[datetime, str]], result: str) -> None:
    history = await handle.history()
    journal = [JournalEntry(entry.seq, entry.turn, entry.at, entry.entry) for entry in history]
    width = min(100, shutil.get_terminal_size((100, 24)).columns)
    print(f"\n{render(timeline(journal), width=width, notes=notes)}\n\nresult: {result}")
