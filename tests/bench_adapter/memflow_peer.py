"""memflow in the peers' benchmark: the client side is `Peer`, the worker side runs when this file is the program.

Lies here so that it is kept with the code it measures; the harness finds it as `adapters.memflow_peer` through a link or copy.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from adapters import base  # type: ignore[import-not-found]

from memflow import Client, Worker, activity, workflow

echo = activity.defn(name="echo")(base.echo)
stamp = activity.defn(name="stamp")(base.stamp)
work = activity.defn(name="work")(base.work)


class Peer(base.Adapter):  # type: ignore[misc]
    name = "memflow"

    async def connect(self) -> None:
        self.client = await Client.connect(self.dsn)

    async def close(self) -> None:
        await self.client.close()

    async def start(self, wf: str, wid: str, *args: Any) -> Any:
        return await self.client.workflow.start(wf, args=list(args), id=wid, task_queue="bench")

    async def result(self, handle: Any, timeout: float = 120) -> Any:
        return await handle.result(timeout=timeout)

    async def signal(self, wid: str) -> None:
        await self.client.signal(f"go:{wid}")

    async def count_done(self) -> int:
        return await self.client.workflow.count('status = "completed"')


@workflow.defn
async def one(p: Any) -> Any:
    return await echo(p)


@workflow.defn
async def seq(n: int, p: Any) -> int:
    for _ in range(n):
        await echo(p)
    return n


@workflow.defn
async def fan(n: int, p: Any) -> int:
    return len(await asyncio.gather(*(echo(p) for _ in range(n))))


@workflow.defn
async def sig(w: str) -> None:
    await stamp("arrive", w)
    await workflow.wait_for(f"go:{w}")
    await stamp("resumed", w)


@workflow.defn
async def nap(w: str, s: float) -> None:
    base.log_line("doze", w)
    await workflow.sleep_for(s)
    await stamp("woke", w)


@workflow.defn
async def rec(w: str) -> None:
    for i in range(10):
        await work(w, i)


@workflow.defn
async def rep(w: str, n: int) -> None:
    for _ in range(n):
        await echo(base.PAYLOAD)
    await stamp("arrive", w)
    await workflow.wait_for(f"go:{w}")
    await stamp("resumed", w)


async def main(dsn: str, _index: int, opts: dict[str, Any]) -> None:
    if opts.get("uvloop"):
        raise SystemExit("uvloop must be installed before the loop starts")
    async with (
        await Client.connect(dsn) as client,
        Worker(client, task_queue="bench", workflows=[one, seq, fan, sig, nap, rec, rep], activities=[echo, stamp, work]),
    ):
        # `nap` notes in plain workflow code that it dozes. There files may not be opened, so the log is opened here; and the time
        # it notes is that of its turn, from which its sleep counts.
        base.log_line("ready", "worker")
        print("READY", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])))
