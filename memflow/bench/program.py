"""The worker process of a benchmark: a worker like any other, which also tells what it cost.

`python -m memflow.bench.program ORDER`, with the DSN in MEMFLOW_DSN, where `ps` does not show it. Says `READY`, then answers
each line on stdin with one line of JSON, and ends when stdin does: so it never outlives the process that started it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from memflow.bench.machine import peak_memory_mb
from memflow.bench.statements import counting
from memflow.bench.workload import ACTIVITIES, WORKFLOWS
from memflow.client.client import Client
from memflow.worker.worker import Worker


async def main(order: dict[str, Any]) -> None:
    """Serve until stdin ends. `order` holds `schema`, `queue`, and what to `serve`: `all` or `activities`."""
    with counting() as statements:
        async with await Client.connect(schema=order["schema"]) as client:
            workflows = WORKFLOWS if order["serve"] == "all" else []
            async with Worker(client, task_queue=order["queue"], workflows=workflows, activities=ACTIVITIES):
                print("READY", flush=True)
                while await asyncio.to_thread(sys.stdin.readline):
                    usage = {
                        "cpu_seconds": time.process_time(),
                        "peak_memory_mb": peak_memory_mb(),
                        "statements": dict(statements),
                    }
                    print(json.dumps(usage), flush=True)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
