"""memflow.temporal in the peers' benchmark: the harness's own class workflows in Temporal's style, run through our names.

Lies beside `memflow_peer.py` for the same reason; the harness finds it as `adapters.memflow_temporal_peer`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from adapters import base  # type: ignore[import-not-found]

from memflow.temporal.client import Client
from memflow.temporal.worker import Worker

SDK = {"BENCH_SDK": "memflow.temporal"}


class Peer(base.Adapter):  # type: ignore[misc]
    name = "memflow_temporal"

    def worker_env(self, _index: int) -> dict[str, str]:
        return SDK

    async def connect(self) -> None:
        self.client = await Client.connect(self.dsn)

    async def close(self) -> None:
        return None

    async def start(self, wf: str, wid: str, *args: Any) -> Any:
        return await self.client.start_workflow(wf, args=list(args), id=wid, task_queue="bench")

    async def result(self, handle: Any, timeout: float = 120) -> Any:
        return await asyncio.wait_for(handle.result(), timeout)

    async def signal(self, wid: str) -> None:
        await self.client.get_workflow_handle(wid).signal("go")

    async def count_done(self) -> int:
        return (await self.client.count_workflows("ExecutionStatus = 'Completed'")).count


async def main(dsn: str) -> None:
    os.environ.update(SDK)                               # read when the workflows are imported
    from adapters import temporal_wf

    client = await Client.connect(dsn)
    async with Worker(client, task_queue="bench", workflows=temporal_wf.WORKFLOWS, activities=temporal_wf.ACTIVITIES):
        base.log_line("ready", "worker")                 # as `memflow_peer.py` says
        print("READY", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
